//! The clock of a take: the sender's milliseconds become times on the stream's timeline, which never goes back.
//!
//! RTMP's timestamps wrap at 2^32 ms and may jump (RTMP 1.0 §5.3.1.2.1), and neither track need be exact. Three rooms
//! decide, each with its states, bounds and what its wrong answers cost:
//!
//! 1. [`shifts`]: where a message stands, by the shift of its track between the sender's clock and the timeline; a step
//!    that no time can explain ([`arrival`]) changes the shift, so that the timeline goes on one step later, for both
//!    tracks alike.
//! 2. [`pictures`]: decode times never go back, presentation times are unique.
//! 3. [`samples`]: sound is laid end to end, to the sample.
//!
//! What they give: pictures stand at whole milliseconds, sound at whole samples of its rate counted from the timeline's
//! zero ([`Ticks::as_samples`] recovers them), nothing before the anchor once [`TakeClock::settle_anchor`] was called,
//! no track goes back.

mod arrival;
mod pictures;
mod samples;
mod shifts;

use std::time::Instant;

use self::pictures::PictureClock;
use self::samples::{PATIENCE, SampleClock, Stamps};
#[cfg(test)]
pub(super) use self::shifts::MAX_STEP;
use self::shifts::Shifts;
use crate::media::access_unit::AccessUnit;
use crate::media::time::Ticks;
use crate::media::track::TrackKind;

/// Where the length of a picture is not known: one at 30 a second, in whole milliseconds.
const DEFAULT_STEP: Ticks = Ticks::from_millis(33);

/// Maps the sender's clock to the timeline.
#[derive(Debug)]
pub(super) struct TakeClock {
    anchor: Ticks,
    /// Whether nothing may be moved any more, because a section has begun.
    settled: bool,
    shifts: Shifts,
    pictures: PictureClock,
    /// Unknown before the first access unit of audio.
    samples: Option<SampleClock>,
    /// Whether an encoder has begun anew, and for how many units of audio that may show.
    anew: (Stamps, u32),
    /// Where the last access unit ends.
    pub(super) end: Ticks,
}

impl TakeClock {
    /// A clock whose first message stands at `anchor`, a whole millisecond.
    pub(super) fn new(anchor: Ticks) -> Self {
        Self {
            anchor,
            settled: false,
            shifts: Shifts::new(anchor),
            pictures: PictureClock::default(),
            samples: None,
            anew: (Stamps::Steady, 0),
            end: anchor,
        }
    }

    /// Decode and presentation time of a picture, which is shown `offset`, in whole milliseconds, after it is decoded.
    /// Both are whole milliseconds.
    pub(super) fn place_video(
        &mut self,
        timestamp_ms: u32,
        offset: Ticks,
        random_access: bool,
        now: Instant,
    ) -> (Ticks, Ticks) {
        let step = self.shifts.video_step().unwrap_or(DEFAULT_STEP);
        let mut time = self.shifts.place(TrackKind::Video, timestamp_ms, DEFAULT_STEP, now);
        // What comes at a random access point is shown after all that came before, or its position would go back.
        if let Some(by) = self.pictures.overlap(time, offset).filter(|_| random_access) {
            time = time + by + step;
            self.shifts.move_on(by + step);
        }
        let (decoded, shown) = self.pictures.place(time, offset, random_access);
        self.extend(shown + self.shifts.video_step().unwrap_or(DEFAULT_STEP));
        (decoded, shown)
    }

    /// When an access unit of audio is heard that has `samples` at `rate` in Hz: a whole sample of the timeline.
    pub(super) fn place_audio(&mut self, timestamp_ms: u32, samples: u32, rate: u32, now: Instant) -> Ticks {
        let length = Ticks::from_samples(i64::from(samples), rate);
        let stamped = self.shifts.place(TrackKind::Audio, timestamp_ms, length, now);
        let stamps = self.stamps();
        let clock = self.samples.get_or_insert_with(|| SampleClock::new(stamped, rate));
        clock.change_rate(rate);
        let begin = clock.place(stamped, samples, stamps);
        let (end, expected) = (clock.end(), clock.expected());
        self.shifts.follow_audio(begin, expected);
        self.extend(end);
        begin
    }

    /// A codec configuration has changed: the encoder behind it has begun anew, and its sound need not go on where the sound
    /// before ended.
    pub(super) fn begin_anew(&mut self, track: TrackKind) {
        self.anew = match track {
            TrackKind::Audio => (Stamps::Anew, 1),
            TrackKind::Video => (Stamps::PerhapsAnew, PATIENCE),
        };
    }

    fn stamps(&mut self) -> Stamps {
        let (stamps, units) = self.anew;
        self.anew.1 = units.saturating_sub(1);
        match units {
            _ if self.shifts.take_audio_moved() => Stamps::Anew,
            0 => Stamps::Steady,
            _ => stamps,
        }
    }

    fn extend(&mut self, end: Ticks) {
        self.end = self.end.max(end);
    }

    /// The pictures so far are never decoded, so nothing need come after them.
    pub(super) fn forget_pictures(&mut self) {
        self.pictures.forget();
    }

    /// Moves the take so that its `earliest` time is not before the anchor, and says how; only before the first section.
    pub(super) fn settle_anchor(&mut self, earliest: Ticks) -> Option<Moved> {
        // Whole milliseconds, as pictures have them.
        let missing = Ticks::from_millis((self.anchor - earliest + Ticks(89)).as_millis());
        if std::mem::replace(&mut self.settled, true) || missing <= Ticks::ZERO {
            return None;
        }
        self.shifts.move_all(missing);
        self.pictures.move_all(missing);
        if let Some(samples) = &mut self.samples {
            samples.move_all(missing);
        }
        self.end = self.end + missing;
        Some(Moved { by: missing, rate: self.samples.as_ref().map(SampleClock::rate) })
    }
}

/// How a take has moved on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    by: Ticks,
    /// The rate of its audio.
    rate: Option<u32>,
}

impl Moved {
    /// Moves an access unit that was placed before: sound by whole samples, all by the same number of them.
    pub(super) fn apply(self, unit: &mut AccessUnit) {
        let moved = |time: Ticks| match (unit.track, self.rate) {
            (TrackKind::Audio, Some(rate)) => {
                Ticks::from_samples(samples::moved(time.as_samples(rate), self.by, rate), rate)
            }
            (TrackKind::Video, _) | (TrackKind::Audio, None) => time + self.by,
        };
        (unit.decode_time, unit.presentation_time) = (moved(unit.decode_time), moved(unit.presentation_time));
    }
}
