//! The clock of a take: the sender's milliseconds become times on the stream's timeline, which never goes back.
//!
//! RTMP's timestamps wrap at 2^32 ms and may jump (RTMP 1.0 §5.3.1.2.1); a step that no time can explain moves the take's
//! shift, so that the timeline goes on.

use crate::media::time::{MillisUnwrapper, Ticks};

/// A longer step forward of a track's clock is a jump of the sender's clock, not time that passed.
pub(super) const MAX_STEP: Ticks = Ticks::from_millis(10_000);
/// A longer step back is one too. A shorter one is a sender's rounding: the time stands still for it.
pub(super) const MAX_STEP_BACK: Ticks = Ticks::from_millis(100);
/// Where the length of an access unit is not known: a picture at 30 a second, in whole milliseconds.
const DEFAULT_STEP: Ticks = Ticks::from_millis(33);

/// Maps the sender's clock to the timeline. Both tracks share one shift, so they move together.
#[derive(Debug)]
pub(super) struct TakeClock {
    unwrapper: MillisUnwrapper,
    /// Timeline minus sender's clock; unknown before the first access unit.
    shift: Option<Ticks>,
    anchor: Ticks,
    /// Whether nothing may be moved any more, because a section has begun.
    settled: bool,
    last_video: Option<Ticks>,
    last_audio: Option<Ticks>,
    video_step: Ticks,
    /// The latest presentation time of a picture.
    pub(super) last_shown: Option<Ticks>,
    /// Where the last access unit ends.
    pub(super) end: Ticks,
}

impl TakeClock {
    pub(super) fn new(anchor: Ticks) -> Self {
        Self {
            unwrapper: MillisUnwrapper::default(),
            shift: None,
            anchor,
            settled: false,
            last_video: None,
            last_audio: None,
            video_step: DEFAULT_STEP,
            last_shown: None,
            end: anchor,
        }
    }

    /// Decode and presentation time of a picture, which is shown `offset` after it is decoded.
    pub(super) fn place_video(
        &mut self,
        timestamp_ms: u32,
        offset: Ticks,
        random_access: bool,
    ) -> (Ticks, Ticks) {
        let mut time = self.place(timestamp_ms, self.last_video, self.video_step);
        // What comes at a random access point is shown after all that came before, or its position would go back.
        let overlap = self
            .last_shown
            .map(|last| last - (time + offset))
            .filter(|&by| random_access && by >= Ticks::ZERO);
        if let Some(by) = overlap {
            let by = by + self.video_step;
            time = time + by;
            self.shift = self.shift.map(|shift| shift + by);
        }
        if let Some(last) = self.last_video.filter(|&last| last < time) {
            self.video_step = (time - last).min(Ticks::from_millis(1000));
        }
        self.last_video = Some(time);
        let shown = time + offset;
        self.last_shown = self.last_shown.max(Some(shown));
        self.extend(shown + self.video_step);
        (time, shown)
    }

    pub(super) fn place_audio(&mut self, timestamp_ms: u32) -> Ticks {
        let time = self.place(timestamp_ms, self.last_audio, Ticks::from_millis(21));
        self.last_audio = Some(time);
        time
    }

    /// The timeline's time of `timestamp_ms`, never before the track's `last` time. A jump of the sender's clock moves the
    /// shift, so that the take goes on one `step` later.
    fn place(&mut self, timestamp_ms: u32, last: Option<Ticks>, step: Ticks) -> Ticks {
        let raw = Ticks::from_millis(self.unwrapper.unwrap(timestamp_ms));
        let shift = *self.shift.get_or_insert(self.anchor - raw);
        let time = raw + shift;
        let Some(latest) = self.last_video.max(self.last_audio) else { return time };
        // A track may pause, or begin late: what counts as a jump forward is judged by the take as a whole.
        let (jumps_ahead, jumps_back) = match last {
            Some(last) => (time - latest > MAX_STEP, last - time > MAX_STEP_BACK),
            None => (time - latest > MAX_STEP, latest - time > MAX_STEP),
        };
        let goes_on_from =
            if jumps_ahead { Some(latest) } else { last.or(Some(latest)).filter(|_| jumps_back) };
        match goes_on_from {
            Some(from) => {
                self.shift = Some(from + step - raw);
                from + step
            }
            None => last.map_or(time, |last| time.max(last)),
        }
    }

    pub(super) fn extend(&mut self, end: Ticks) {
        self.end = self.end.max(end);
    }

    /// Moves the take so that its `earliest` time is not before the anchor, and says by how much; only before the first
    /// section.
    pub(super) fn settle_anchor(&mut self, earliest: Ticks) -> Option<Ticks> {
        let missing = self.anchor - earliest;
        if std::mem::replace(&mut self.settled, true) || missing <= Ticks::ZERO {
            return None;
        }
        self.shift = self.shift.map(|shift| shift + missing);
        let moved = [&mut self.last_video, &mut self.last_audio, &mut self.last_shown];
        moved.into_iter().flatten().for_each(|time| *time = *time + missing);
        self.end = self.end + missing;
        Some(missing)
    }
}
