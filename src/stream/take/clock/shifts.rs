//! The shifts between the sender's clock and the timeline, one for each track, and what is a jump of that clock.
//!
//! **State.** Both tracks normally have the same shift. A track's own message changes its shift by a jump, or by
//! following the other track's jump. Beside the two there is one more: the shift that was left last.
//!
//! **Where a message stands.** A track *expects* its next message one step after its last; later by what the other
//! track has moved on meanwhile, where that is much (a track that paused). The message stands where the track's own
//! shift puts it, if that is after the last one and no more than [`USUAL_LEAD`] after what is expected. Otherwise it
//! stands by that of the shifts (its own, the other track's, the one left last) which puts it nearest to what is
//! expected. So messages from before a jump and after it may come in any order, and a single wrong time moves nothing
//! but itself.
//!
//! **What is a jump.** There it is still a jump if it is
//! * more than [`MAX_STEP_BACK`] before the track's last; or
//! * more than [`MAX_STEP`] after its last, counted from what the take has passed; or
//! * more than [`MIN_JUMP`] after it, counted likewise, more than [`RHYTHM_STEPS`] of the track's usual steps, no
//!   repetition of the jump before, and more than twice the arrival time that can explain it ([`super::arrival`]).
//!
//! Then the track's shift becomes the one under which the message stands where it was expected.
//!
//! **What a wrong answer costs.** A jump taken for time that passed leaves a hole of its length, at most [`MAX_STEP`],
//! in both tracks. Time that passed taken for a jump is missing on the timeline, in both tracks, as long as both
//! stepped. Where the other track goes on for [`MAX_ALONE`] under the shift that was left, only one did: it goes back
//! to that shift. In neither case does a track go back, and no access unit is lost. A jump forwards of less than
//! [`MIN_JUMP`] cannot be told from time that passed.

use std::time::Instant;

use super::arrival::Arrival;
use crate::media::time::{Ticks, nearest_millis};
use crate::media::track::TrackKind;

/// A longer step forward of a track's clock is a jump of the sender's clock, whatever explains it.
pub(in crate::stream::take) const MAX_STEP: Ticks = Ticks::from_millis(10_000);
/// A longer step back is one too. A shorter one is a sender's rounding: the time stands still for it.
const MAX_STEP_BACK: Ticks = Ticks::from_millis(100);
/// A longer step forward is a jump if nothing explains it.
const MIN_JUMP: Ticks = Ticks::from_millis(1_000);
/// A step forward of so many usual ones needs no explanation.
const RHYTHM_STEPS: i64 = 4;
/// So much later than expected a message may stand without a look at the other shifts: the jitter of senders, and how
/// unevenly they interleave their tracks.
const USUAL_LEAD: Ticks = Ticks::from_millis(250);
/// How long a track may stand alone after a jump that could have been a pause.
const MAX_ALONE: Ticks = Ticks::from_millis(2_000);
/// The longest that a track's step is taken to be where it has to be guessed.
const LONGEST_STEP: Ticks = Ticks::from_millis(1_000);

/// Timeline minus sender's clock in milliseconds, modulo 2^32 as that clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shift(u32);

impl Shift {
    /// The shift that puts `timestamp_ms` at `time`.
    fn landing(timestamp_ms: u32, time: Ticks) -> Self {
        let millis = u32::try_from(time.as_millis().rem_euclid(1 << 32)).unwrap_or(0);
        Self(millis.wrapping_sub(timestamp_ms))
    }

    /// Where it puts `timestamp_ms`: of all times that may mean, the one nearest to `near`.
    fn place(self, timestamp_ms: u32, near: Ticks) -> Ticks {
        Ticks::from_millis(nearest_millis(timestamp_ms.wrapping_add(self.0), near.as_millis()))
    }

    fn moved(self, by: Ticks) -> Self {
        Self::landing(0, Ticks::from_millis(i64::from(self.0)) + by)
    }
}

/// A jump forward that could have been a pause.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    left: Shift,
    landed: Ticks,
}

/// A track's place on the timeline.
#[derive(Clone, Copy, Debug)]
struct Line {
    shift: Shift,
    /// The latest time that a message of it stood at.
    reached: Ticks,
    /// How long its access units last.
    step: Ticks,
    /// The longest of its late steps, which fades.
    rhythm: Ticks,
    /// Where the other track was then.
    other_reached: Option<Ticks>,
    /// The length of the jump forward that its last message made, if it could have been a pause.
    jumped: Option<Ticks>,
    doubt: Option<Doubt>,
    /// Whether its shift has changed since it was last asked.
    moved: bool,
}

impl Line {
    fn new(shift: Shift, reached: Ticks, step: Ticks) -> Self {
        let (rhythm, other_reached, jumped, doubt) = (Ticks::ZERO, None, None, None);
        Self { shift, reached, step, rhythm, other_reached, jumped, doubt, moved: false }
    }

    /// How far the track is behind the other by pausing: what that one has moved on since, but for its own step, where
    /// it is more than uneven interleaving.
    fn paused(&self, other: Option<&Line>) -> Ticks {
        // Where there was no other track yet, it has begun since.
        let then = self.other_reached.unwrap_or(self.reached);
        let passed = other.map(|other| other.reached - then - other.step);
        passed.filter(|&passed| passed > self.step + USUAL_LEAD).unwrap_or(Ticks::ZERO)
    }

    /// Whether steps of `length` are what the track does.
    fn is_rhythm(&self, length: Ticks) -> bool {
        let repeated = self.jumped.is_some_and(|jumped| length.0 <= 2 * jumped.0 && jumped.0 <= 2 * length.0);
        repeated || length.0 <= RHYTHM_STEPS * self.rhythm.0
    }

    /// Where the track goes back to the shift that it left, because the other one has gone on there: it was a pause.
    fn comes_back(&self, other: Option<&Line>, timestamp_ms: u32, near: Ticks) -> Option<(Shift, Ticks)> {
        let Doubt { left, landed } = self.doubt?;
        let other = other.filter(|other| other.shift == left && other.reached - landed > MAX_ALONE)?;
        let time = other.shift.place(timestamp_ms, near);
        (time > self.reached && time - near <= MAX_STEP).then_some((left, time))
    }

    /// The track goes on at `time` by `shift`.
    fn step_to(&mut self, shift: Shift, time: Ticks) {
        let length = time - self.reached;
        self.moved |= shift != self.shift;
        self.shift = shift;
        if length > Ticks::ZERO {
            self.rhythm = length.max(Ticks(self.rhythm.0 - self.rhythm.0 / 8));
            self.step = length.min(LONGEST_STEP);
            self.reached = time;
        }
        (self.jumped, self.doubt) = (None, self.doubt.filter(|doubt| doubt.left != shift));
    }
}

/// The shifts of a take, and what is needed to tell a jump.
#[derive(Debug)]
pub(super) struct Shifts {
    /// Where the first message stands.
    anchor: Ticks,
    video: Option<Line>,
    audio: Option<Line>,
    /// The shift that was left last, and until when it may be meant.
    previous: Option<(Shift, Ticks)>,
    /// Where the last late step went that was taken for time that passed, and by which shift: for the other track, it has
    /// passed too.
    passed: Option<(Shift, Ticks)>,
    arrival: Arrival,
}

impl Shifts {
    pub(super) fn new(anchor: Ticks) -> Self {
        let arrival = Arrival::default();
        Self { anchor, video: None, audio: None, previous: None, passed: None, arrival }
    }

    /// Where a message of `track` stands; `step` is how long its access units last, as long as nothing better is known.
    pub(super) fn place(&mut self, track: TrackKind, timestamp_ms: u32, step: Ticks, now: Instant) -> Ticks {
        self.arrival.come(now);
        let (mine, other) = match track {
            TrackKind::Video => (self.video, self.audio),
            TrackKind::Audio => (self.audio, self.video),
        };
        let (mut line, time) = match (mine, other) {
            (Some(mine), _) => self.go_on(mine, other, timestamp_ms),
            (None, Some(other)) => self.begin_beside(other, timestamp_ms, step),
            (None, None) => {
                let anchor = self.anchor;
                (Line::new(Shift::landing(timestamp_ms, anchor), anchor, step), anchor)
            }
        };
        line.other_reached = other.map(|other| other.reached);
        match track {
            TrackKind::Video => self.video = Some(line),
            TrackKind::Audio => self.audio = Some(line),
        }
        let latest = other.map_or(line.reached, |other| other.reached.max(line.reached));
        self.arrival.reach(latest);
        time
    }

    /// A track that begins late may begin anywhere near the other; where its first time is absurd, one step after it.
    fn begin_beside(&self, other: Line, timestamp_ms: u32, step: Ticks) -> (Line, Ticks) {
        let near = |shift: Shift| (shift, shift.place(timestamp_ms, other.reached));
        let shifts = [Some(other.shift), self.previous(other.reached)];
        let nearest =
            shifts.into_iter().flatten().map(near).min_by_key(|&(_, time)| (time - other.reached).abs());
        let (shift, time) =
            nearest.filter(|&(_, time)| (time - other.reached).abs() <= MAX_STEP).unwrap_or_else(|| {
                let time = whole_millis(other.reached + step);
                (Shift::landing(timestamp_ms, time), time)
            });
        (Line::new(shift, time, step), time)
    }

    fn go_on(&mut self, mut line: Line, other: Option<Line>, timestamp_ms: u32) -> (Line, Ticks) {
        let other = other.as_ref();
        let paused = line.paused(other);
        let expected = line.reached + line.step.max(paused);
        if let Some((shift, time)) = line.comes_back(other, timestamp_ms, expected) {
            line.step_to(shift, time);
            return (line, time);
        }
        let (shift, time) = self.nearest(&line, other, timestamp_ms, expected);
        let passed = self.passed.filter(|&(by, _)| by == shift).map(|(_, time)| time);
        let passed = passed.max(Some(line.reached + paused)).unwrap_or(line.reached);
        let ahead = time - passed;
        let back = line.reached - time > MAX_STEP_BACK;
        let unexplained = ahead > MIN_JUMP
            && !line.is_rhythm(time - line.reached)
            && ahead.0 > self.arrival.unexplained().0.saturating_mul(2);
        if back || ahead > MAX_STEP || unexplained {
            let (left, landed) = (line.shift, whole_millis(expected));
            self.previous = Some((left, landed + MAX_STEP));
            line.shift = Shift::landing(timestamp_ms, landed);
            line.reached = landed;
            line.moved = true;
            let could_be_pause = !back && ahead <= MAX_STEP;
            line.jumped = could_be_pause.then_some(ahead);
            line.doubt = could_be_pause.then_some(Doubt { left, landed });
            return (line, landed);
        }
        if ahead > USUAL_LEAD {
            self.passed = Some((shift, time));
        }
        if self.previous.is_some_and(|(previous, _)| previous == shift && shift != line.shift) {
            self.previous = Some((line.shift, time + MAX_STEP));
        }
        line.step_to(shift, time);
        line.doubt = line.doubt.filter(|_| other.is_some_and(|other| other.shift != shift));
        (line, time)
    }

    /// The shift that a message of `line` means, and where it puts it. See the module's words.
    fn nearest(&self, line: &Line, other: Option<&Line>, timestamp_ms: u32, near: Ticks) -> (Shift, Ticks) {
        let place = |shift: Shift| (shift, shift.place(timestamp_ms, near));
        let theirs = other.map(|other| other.shift);
        let own = place(line.shift);
        if own.1 > line.reached && own.1 - near <= USUAL_LEAD {
            return own;
        }
        let others = [theirs, self.previous(near)].into_iter().flatten().map(place);
        others.fold(own, |best, next| if (next.1 - near).abs() < (best.1 - near).abs() { next } else { best })
    }

    fn previous(&self, at: Ticks) -> Option<Shift> {
        self.previous.filter(|&(_, until)| at < until).map(|(shift, _)| shift)
    }

    /// How long a picture lasts, as far as is known.
    pub(super) fn video_step(&self) -> Option<Ticks> {
        self.video.map(|line| line.step)
    }

    /// The sound that was just placed begins at `begin`, and the next is expected at `expected`.
    pub(super) fn follow_audio(&mut self, begin: Ticks, expected: Ticks) {
        if let Some(line) = &mut self.audio {
            (line.reached, line.step) = (begin, expected - begin);
        }
    }

    /// Whether the shift of audio has changed since this was last asked.
    pub(super) fn take_audio_moved(&mut self) -> bool {
        self.audio.as_mut().is_some_and(|line| std::mem::take(&mut line.moved))
    }

    /// Everything moves on, from the last picture on: both tracks' shifts.
    pub(super) fn move_on(&mut self, by: Ticks) {
        self.move_shifts(by);
        if let Some(line) = &mut self.video {
            line.reached = line.reached + by;
        }
        if let Some(line) = &mut self.audio {
            line.moved = true;
        }
    }

    /// Everything moves on, what has been placed too.
    pub(super) fn move_all(&mut self, by: Ticks) {
        self.move_shifts(by);
        for line in [&mut self.video, &mut self.audio].into_iter().flatten() {
            line.reached = line.reached + by;
            line.other_reached = line.other_reached.map(|reached| reached + by);
        }
        self.arrival.move_all(by);
    }

    fn move_shifts(&mut self, by: Ticks) {
        for line in [&mut self.video, &mut self.audio].into_iter().flatten() {
            line.shift = line.shift.moved(by);
            line.doubt = line.doubt.map(|Doubt { left, landed }| Doubt { left: left.moved(by), landed });
        }
        for (shift, time) in [&mut self.previous, &mut self.passed].into_iter().flatten() {
            (*shift, *time) = (shift.moved(by), *time + by);
        }
    }
}

fn whole_millis(time: Ticks) -> Ticks {
    Ticks::from_millis((time + Ticks(45)).as_millis())
}
