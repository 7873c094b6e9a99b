//! What a publisher sends, as far as a section tells: for whoever must know what an attempt takes before it runs.
//!
//! What encoders say of themselves is believed only where it can be: `framerate` is a time base now and then, and
//! `videodatarate` bits instead of kilobits (FLV 10.1 E.5 has both as a plain number). What has come is counted as soon as a
//! second of it is in the log.

use crate::base::units::Bitrate;
use crate::ffmpeg::capability::Carriage;
use crate::media::access_unit::AccessUnit;
use crate::media::flv;
use crate::media::gop::GopLog;
use crate::media::time::Ticks;
use crate::media::track::TrackKind;

use super::section::Section;

/// No source has more pictures a second; a higher number is a time base.
const MOST_RATE: f64 = 240.0;
/// How far what is said of the pictures a second may be from what is counted: a sender that leaves pictures out has its
/// own reasons.
const BELIEVED: std::ops::RangeInclusive<f64> = 0.8..=1.25;
/// The most bits a second of sound that are believed: uncompressed, eight channels have hardly more.
const MOST_SOUND: u64 = 10_000_000;
/// From how much media on counting tells something.
const COUNTED_FROM: Ticks = Ticks::from_millis(1_000);
/// The most access units that are counted: the last 10 s or so.
const MAX_COUNTED: usize = 1024;

/// What comes in.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceMedia {
    /// How its pictures are coded; `None` of sound alone.
    pub video: Option<Carriage>,
    /// How its sound is coded; `None` without.
    pub audio: Option<Carriage>,
    /// Width in pixels; 0 where nothing says it.
    pub width: u32,
    /// Height in pixels; 0 where nothing says it.
    pub height: u32,
    /// Pictures a second, where that is known.
    pub fps: Option<f64>,
    /// Bits a second of all of it, where that is known.
    pub bitrate: Option<Bitrate>,
}

impl SourceMedia {
    /// What `section` is, of which `log` has the last access units.
    #[must_use]
    pub fn of(section: &Section, log: &GopLog) -> Self {
        let counted = Counted::of(section, log);
        let (width, height) = section.video.as_ref().map_or((0, 0), |video| (video.width, video.height));
        let told = section.frame_rate.filter(|rate| *rate > 0.0 && *rate <= MOST_RATE);
        let fps = match (told, counted.as_ref().and_then(|counted| counted.fps)) {
            (Some(told), Some(counted)) if !BELIEVED.contains(&(told / counted)) => Some(counted),
            (told, counted) => told.or(counted),
        };
        let video = section.video.as_ref().map(|video| Carriage::of_video(video.codec));
        Self {
            video,
            audio: section.audio.as_ref().map(|audio| Carriage::of_audio(audio.codec)),
            width,
            height,
            fps: fps.filter(|_| video.is_some()),
            bitrate: counted.map(|counted| counted.bitrate).or_else(|| announced(section, fps)),
        }
    }
}

/// What the access units of a section tell.
struct Counted {
    fps: Option<f64>,
    bitrate: Bitrate,
}

impl Counted {
    /// `None` while there is too little.
    fn of(section: &Section, log: &GopLog) -> Option<Self> {
        let gops = log.gops().rev().filter(|gop| gop.section() == section.id);
        let units: Vec<&AccessUnit> = gops.flat_map(|gop| gop.units().rev()).take(MAX_COUNTED).collect();
        let bytes: u64 = units.iter().map(|unit| unit.payload.len() as u64).sum();
        let seconds = seconds(units.iter().copied())?;
        let pictures = || units.iter().copied().filter(|unit| unit.track == TrackKind::Video);
        // Between n pictures there are n - 1 steps.
        let steps = pictures().count().saturating_sub(1);
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_COUNTED")]
        let fps = self::seconds(pictures()).map(|seconds| (steps as f64 / seconds).min(MOST_RATE));
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the log holds less than 2^52 bytes, of at least a second"
        )]
        let bitrate = Bitrate((bytes as f64 * 8.0 / seconds) as u64);
        Some(Self { fps: fps.filter(|rate| *rate > 0.0), bitrate })
    }
}

/// From the first to the last decode time, where that is long enough.
fn seconds<'a>(units: impl Iterator<Item = &'a AccessUnit>) -> Option<f64> {
    let ends = units.map(|unit| unit.decode_time).fold(None, |ends, time| match ends {
        None => Some((time, time)),
        Some((first, last)) => Some((time.min(first), time.max(last))),
    });
    let (first, last) = ends?;
    (last - first >= COUNTED_FROM).then(|| (last - first).as_seconds())
}

/// What `onMetaData` says, up to a bit for each pixel: ten times what live streams have.
fn announced(section: &Section, fps: Option<f64>) -> Option<Bitrate> {
    let metadata = flv::read_metadata(section.preamble.metadata.as_ref()?)?;
    let video = metadata.video_bitrate.filter(|_| section.video.is_some());
    let audio = metadata.audio_bitrate.filter(|_| section.audio.is_some());
    if section.video.is_some() && video.is_none() {
        return None;
    }
    let pixels = section.video.as_ref().map(|video| u64::from(video.width) * u64::from(video.height));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to MOST_RATE")]
    let rate = fps.unwrap_or(MOST_RATE).clamp(1.0, MOST_RATE) as u64;
    let most = pixels.filter(|pixels| *pixels > 0).map_or(u64::MAX, |pixels| pixels.saturating_mul(rate));
    let video = video.map_or(0, |bitrate| bitrate.0.min(most));
    let audio = audio.map_or(0, |bitrate| bitrate.0.min(MOST_SOUND));
    Some(Bitrate(video.saturating_add(audio))).filter(|bitrate| bitrate.0 > 0)
}

#[cfg(test)]
mod tests;
