//! Whether an attempt answers: what it was given, what came out, and from when on it is suspected.
//!
//! An attempt is alive as long as what it is fed comes out, access unit for access unit; nothing else proves it. A connection
//! may stand while the node behind it is stopped, and FFmpeg may report progress while its encoder hangs. So it is the
//! **oldest input without an answer** that counts, for each rendition apart (for the audio, where there is no video).
//!
//! What is *not* taken for a fault: a publisher that pauses (nothing is owed, whatever an encoder holds back), a low frame
//! rate, and FFmpeg's start, which has a patience of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ffmpeg::ladder::Output;

use super::patience::Patience;

/// So many pictures in a row without an answer are owed: one or two may be lost to a frame-rate filter, or their answer not
/// yet told.
const OWED_PICTURES: u32 = 8;
/// FFmpeg holds back fewer pictures than half of this before its first answer: probing, reordering, look-ahead, threads.
const STARTING_PICTURES: u32 = 60;
/// With fewer than that, at a low frame rate, it is waited for as long as this.
const SLOW_START: Duration = Duration::from_secs(20);

/// What an attempt owes.
#[derive(Clone, Debug)]
pub struct Pulse {
    outputs: BTreeMap<Output, Owed>,
    /// Since when its first answer is waited for, until it comes.
    starting: Option<Instant>,
    last_answer: Instant,
}

/// What one output owes.
#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    /// When the oldest and the newest input without an answer were sent.
    since: Option<(Instant, Instant)>,
    inputs: u32,
}

/// What an answer says of the time it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The first one, so long after the attempt was given to its node.
    First(Duration),
    /// So long after the oldest input that had none.
    Next(Duration),
    /// To nothing that was owed.
    Unasked,
}

impl Pulse {
    /// Of an attempt with these outputs; nothing is owed yet.
    #[must_use]
    pub fn new(outputs: impl IntoIterator<Item = Output>, now: Instant) -> Self {
        let outputs = outputs.into_iter().map(|output| (output, Owed::default())).collect();
        Self { outputs, starting: None, last_answer: now }
    }

    /// A node has it: its first answer is waited for from now on.
    pub fn handle_placed(&mut self, now: Instant) {
        self.starting = Some(now);
        self.last_answer = now;
    }

    /// It was sent an access unit that every watched output answers.
    pub fn handle_input(&mut self, now: Instant) {
        for owed in self.outputs.values_mut() {
            let (since, _) = owed.since.unwrap_or((now, now));
            owed.since = Some((since, now));
            owed.inputs = owed.inputs.saturating_add(1);
        }
    }

    /// Something of `output` came.
    pub fn handle_answer(&mut self, output: Output, now: Instant) -> Answer {
        self.last_answer = now;
        let Some(owed) = self.outputs.get_mut(&output) else { return Answer::Unasked };
        let owed = std::mem::take(owed);
        if let Some(since) = self.starting.take() {
            // FFmpeg has started: from now on each output is waited for as usual.
            let others = self.outputs.values_mut().filter_map(|owed| owed.since.as_mut());
            others.for_each(|(oldest, _)| *oldest = now);
            return Answer::First(now.saturating_duration_since(since));
        }
        owed.since.map_or(Answer::Unasked, |(since, _)| Answer::Next(now.saturating_duration_since(since)))
    }

    /// When it was last heard of: its last answer, or when a node got it.
    #[must_use]
    pub fn last_answer(&self) -> Instant {
        self.last_answer
    }

    /// Access units sent that the slowest output has not answered.
    #[must_use]
    pub fn unanswered(&self) -> u32 {
        self.outputs.values().map(|owed| owed.inputs).max().unwrap_or(0)
    }

    /// When it is suspected, should nothing come; `None` while nothing is owed.
    #[must_use]
    pub fn overdue_at(&self, answers: &Patience, starts: &Patience) -> Option<Instant> {
        if let Some(since) = self.starting {
            let inputs = self.unanswered();
            let patience = if (1..STARTING_PICTURES).contains(&inputs) { SLOW_START } else { starts.limit() };
            return Some(since + patience);
        }
        let limit = answers.limit();
        let owed = self.outputs.values().filter_map(|owed| Some((owed.since?, owed.inputs)));
        let overdue = owed.filter(|((oldest, newest), inputs)| {
            *inputs >= OWED_PICTURES || newest.saturating_duration_since(*oldest) >= limit
        });
        overdue.map(|((oldest, _), _)| oldest + limit).min()
    }

    /// We were late ourselves by so much: answers may lie unread.
    pub fn forgive(&mut self, late: Duration) {
        self.starting = self.starting.map(|since| since + late);
        for (since, newest) in self.outputs.values_mut().filter_map(|owed| owed.since.as_mut()) {
            (*since, *newest) = (*since + late, *newest + late);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Output = Output::Rendition(0);
    const B: Output = Output::Rendition(1);

    struct Scene {
        pulse: Pulse,
        begun: Instant,
        now: Instant,
    }

    impl Scene {
        fn placed() -> Self {
            let now = crate::base::clock::now();
            let mut pulse = Pulse::new([A, B], now);
            pulse.handle_placed(now);
            Self { pulse, begun: now, now }
        }

        fn started() -> Self {
            let mut scene = Self::placed();
            scene.input(30, 30);
            scene.answer(A);
            scene.answer(B);
            scene.begun = scene.now;
            scene
        }

        /// So many pictures, each after so many milliseconds.
        fn input(&mut self, pictures: u32, millis: u64) {
            for _ in 0..pictures {
                self.now += Duration::from_millis(millis);
                self.pulse.handle_input(self.now);
            }
        }

        fn answer(&mut self, output: Output) -> Answer {
            self.pulse.handle_answer(output, self.now)
        }

        /// When it is overdue, in milliseconds after it began, or 0 for never.
        #[track_caller]
        fn check(&self, expected: u128) {
            let (floor, start) = (Duration::from_millis(750), Duration::from_secs(3));
            let patience = (Patience::new(floor, floor), Patience::new(floor, start));
            let at = self.pulse.overdue_at(&patience.0, &patience.1);
            assert_eq!(at.map_or(0, |at| (at - self.begun).as_millis()), expected);
        }
    }

    #[test]
    fn a_node_that_never_connects_is_overdue_by_time_alone() {
        Scene::placed().check(3_000);
    }

    #[test]
    fn a_start_needs_pictures_enough_or_a_long_time() {
        let mut scene = Scene::placed();
        scene.input(STARTING_PICTURES - 1, 10);
        scene.check(20_000);
        scene.input(1, 10);
        scene.check(3_000);
        assert_eq!(scene.answer(A), Answer::First(Duration::from_millis(600)));
    }

    #[test]
    fn what_is_fed_must_come_out_of_every_rendition() {
        let mut scene = Scene::started();
        scene.check(0);
        scene.input(OWED_PICTURES, 30);
        scene.check(780);
        assert_eq!(scene.answer(A), Answer::Next(Duration::from_millis(210)));
        scene.check(780);
        scene.answer(B);
        scene.check(0);
    }

    #[test]
    fn a_publisher_that_pauses_owes_the_answers_itself() {
        let mut scene = Scene::started();
        scene.input(OWED_PICTURES - 1, 30);
        scene.check(0);
    }

    #[test]
    fn at_a_low_frame_rate_two_pictures_are_enough() {
        let mut scene = Scene::started();
        scene.input(1, 1_000);
        scene.check(0);
        scene.input(1, 1_000);
        scene.check(1_750);
    }

    #[test]
    fn audio_that_comes_says_nothing_of_pictures() {
        let mut scene = Scene::started();
        scene.input(OWED_PICTURES, 30);
        assert_eq!(scene.answer(Output::Audio), Answer::Unasked);
        scene.check(780);
    }

    #[test]
    fn our_own_lateness_is_not_held_against_it() {
        let mut scene = Scene::started();
        scene.input(OWED_PICTURES, 30);
        scene.pulse.forgive(Duration::from_millis(500));
        scene.check(1_280);
        let mut scene = Scene::placed();
        scene.pulse.forgive(Duration::from_millis(500));
        scene.check(3_500);
    }
}
