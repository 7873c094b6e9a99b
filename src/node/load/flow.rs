//! How well one lease's FFmpeg keeps up: what it was given, what it has made of that, and how fast.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ffmpeg::ladder::Output;
use crate::media::flv::TagKind;

/// Output further behind than this waits.
const BEHIND_MS: i64 = 1000;
/// Speed is that of the last three seconds. FFmpeg's own is the mean since it was started, which after an hour says nothing
/// about now.
const SPEED_WINDOW: Duration = Duration::from_secs(3);
/// Speed over less time is not told.
const LEAST_WINDOW: Duration = Duration::from_secs(1);
/// Progress reports that are kept; FFmpeg makes ten a second. Of more the oldest go.
const MAX_REPORTS: usize = 128;
/// A report as old as this is not followed by others: FFmpeg hangs, or has nothing to do.
const FRESH: Duration = Duration::from_millis(500);
/// Slower than this is slower than a live source.
const LIVE_SPEED: f64 = 0.97;
/// The least time for which a source that paused is taken for the reason of a low speed.
const PAUSED_LATELY: Duration = Duration::from_secs(1);
/// No output's number is above this.
const MAX_OUTPUTS: usize = 64;

/// What an output is compared with: the input's times of its own kind, because sound may pause while pictures go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Picture,
    Sound,
}

/// The first and the last time of a kind in the input, in milliseconds after the attempt's base.
#[derive(Clone, Copy, Debug)]
struct Given {
    first: i64,
    last: i64,
}

/// One output: where it ends, in milliseconds after the attempt's base; `None` before it has begun.
#[derive(Clone, Copy, Debug)]
struct Made {
    output: Output,
    end: Option<i64>,
}

/// Whether FFmpeg has all input that there is.
#[derive(Clone, Copy, Debug)]
enum Supply {
    /// The link is empty: it waits for the source, since then.
    Waiting,
    /// There is more than it takes, since then. The link was empty last when `given` had been given, and a live source has
    /// gone on as fast as time since.
    Pressing { since: Instant, given: Option<i64> },
}

/// One lease's input and output.
#[derive(Debug)]
pub(super) struct Flow {
    pictures: Option<Given>,
    sound: Option<Given>,
    made: Vec<Made>,
    supply: Supply,
    /// When it was last seen waiting.
    waited: Option<Instant>,
    /// FFmpeg's reports: when, and the microseconds of media that were made.
    reports: VecDeque<(Instant, i64)>,
}

impl Flow {
    /// Of an attempt with these outputs, that was given nothing.
    pub(super) fn new(outputs: &[Output]) -> Self {
        let made = outputs.iter().take(MAX_OUTPUTS).map(|&output| Made { output, end: None }).collect();
        let (supply, reports) = (Supply::Waiting, VecDeque::new());
        Self { pictures: None, sound: None, made, supply, waited: None, reports }
    }

    /// There is nothing more to give at the moment.
    pub(super) fn handle_waiting(&mut self, now: Instant) {
        self.supply = Supply::Waiting;
        self.waited = Some(now);
    }

    /// Input has come, and will be given.
    pub(super) fn handle_input(&mut self, now: Instant) {
        if matches!(self.supply, Supply::Waiting) {
            self.waited = Some(now);
            self.supply = Supply::Pressing { since: now, given: self.last_given() };
        }
    }

    /// A tag was given.
    pub(super) fn handle_given(&mut self, kind: TagKind, time_ms: i64) {
        let given = match kind {
            TagKind::Video => &mut self.pictures,
            TagKind::Audio => &mut self.sound,
            TagKind::Script => return,
        };
        let first = given.map_or(time_ms, |given| given.first);
        *given = Some(Given { first, last: given.map_or(time_ms, |given| given.last.max(time_ms)) });
        if let Supply::Pressing { given: begun @ None, .. } = &mut self.supply {
            *begun = Some(time_ms);
        }
    }

    /// An output has come as far as this. With B-frames single pictures come before earlier ones.
    pub(super) fn handle_made(&mut self, output: Output, end_ms: i64) {
        if let Some(made) = self.made.iter_mut().find(|made| made.output == output) {
            made.end = Some(made.end.map_or(end_ms, |end| end.max(end_ms)));
        }
    }

    /// FFmpeg says how far it is.
    pub(super) fn handle_report(&mut self, out_time_us: i64, now: Instant) {
        self.reports.push_back((now, out_time_us));
        let old = |at: Instant| now.saturating_duration_since(at) >= SPEED_WINDOW;
        // The newest of those before the window is the one that it is compared with.
        while self.reports.len() > MAX_REPORTS || self.reports.get(1).is_some_and(|&(at, _)| old(at)) {
            self.reports.pop_front();
        }
    }

    /// How far the output that is furthest behind is behind the input, in milliseconds; `None` before any has begun. Input
    /// that waits because FFmpeg takes no more of it counts, as if the source were live.
    pub(super) fn lag_ms(&self, now: Instant) -> Option<u64> {
        self.made.iter().any(|made| made.end.is_some()).then_some(())?;
        let behind = self.made.iter().filter_map(|made| {
            let given = match kind_of(made.output) {
                Kind::Picture => self.pictures?,
                Kind::Sound => self.sound?,
            };
            Some(given.last.saturating_sub(made.end.unwrap_or(given.first)))
        });
        let lag = behind.max().unwrap_or_default().saturating_add(self.waiting_ms(now));
        Some(u64::try_from(lag).unwrap_or_default())
    }

    /// Seconds of media that are made in a second; `None` before it can be said, and where nobody can say it: FFmpeg is done
    /// with all that it was given and the source gives less than a second in a second.
    pub(super) fn speed(&self, now: Instant) -> Option<f64> {
        let speed = self.pace(now)?;
        let waits = matches!(self.supply, Supply::Waiting)
            || self.waited.is_some_and(|at| now.saturating_duration_since(at) < PAUSED_LATELY);
        let starves = waits && !self.is_behind(now);
        (speed >= LIVE_SPEED || !starves).then_some(speed)
    }

    /// Whether its output waits: it is behind by more than a second, or has not begun.
    pub(super) fn is_behind(&self, now: Instant) -> bool {
        self.lag_ms(now).is_none_or(|lag| lag > BEHIND_MS.unsigned_abs())
    }

    /// The latest time of any kind that was given.
    fn last_given(&self) -> Option<i64> {
        [self.pictures, self.sound].into_iter().flatten().map(|given| given.last).max()
    }

    /// Media of a live source that is there and was not given.
    fn waiting_ms(&self, now: Instant) -> i64 {
        let (Supply::Pressing { since, given: Some(before) }, Some(given)) = (self.supply, self.last_given())
        else {
            return 0;
        };
        let passed = i64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(i64::MAX);
        before.saturating_add(passed).saturating_sub(given).max(0)
    }

    /// Seconds of media a second, over the window, whatever the reason.
    fn pace(&self, now: Instant) -> Option<f64> {
        let (&(first, from), &(last, to)) = (self.reports.front()?, self.reports.back()?);
        // Between two reports the last one says where FFmpeg is; after that it stands still.
        let fresh = now.saturating_duration_since(last) < FRESH;
        let over = if fresh { last } else { now }.saturating_duration_since(first);
        let made = Duration::from_micros(to.saturating_sub(from).try_into().unwrap_or_default());
        (over >= LEAST_WINDOW).then(|| made.as_secs_f64() / over.as_secs_f64())
    }
}

/// What of the input an output is made of.
fn kind_of(output: Output) -> Kind {
    match output {
        Output::Rendition(_) => Kind::Picture,
        Output::Audio => Kind::Sound,
    }
}

#[cfg(test)]
mod tests;
