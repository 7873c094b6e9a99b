//! How an encoder proves itself: an attempt as any other, over 90 pictures that are kept here. It is accepted only if exactly
//! the pictures at which a GOP must begin come out as IDR pictures, and every presentation time comes out once.
//!
//! The source is made to be hard: its random access points are the pictures 0, 30 and 61, its times are not those of any frame
//! rate, and there are three scene cuts, one of them far from any random access point. `-g` is 40 pictures, so that it shows
//! whether they are counted from the last IDR picture.
//!
//! This decides only; who runs FFmpeg is `node::ability`.

use super::attempt::{AttemptSpec, AudioStart};
use super::encoder::{Encoder, PRESETS, SceneCuts};
use super::frame_rate::FrameRate;
use super::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Rendition, VideoOutput};
use crate::base::units::Bitrate;
use crate::media::fmp4::SampleEntry;
use crate::media::fmp4::read::{self, Event, Reader};
use crate::media::time::Ticks;
use crate::media::track::{VideoCodec, VideoConfiguration};
use crate::media::video::{self, RandomAccess, VideoError};

/// What FFmpeg is given, an FLV file.
///
/// ```text
/// ffmpeg 5.1 -f lavfi -i "testsrc2=size=320x180:rate=25,negate=enable='between(n,45,49)+gte(n,75)',settb=1/1000,
///   setpts='1000+40*N+7*mod(N,3)'" -frames:v 90 -copyts -fps_mode passthrough -enc_time_base 1:1000 -c:v libx264
///   -preset veryslow -crf 45 -bf 0 -pix_fmt yuv420p -force_key_frames "expr:eq(n,0)+eq(n,30)+eq(n,61)" -forced-idr 1
///   -g 1000 -sc_threshold 0 -bsf:v filter_units=remove_types=6 -fflags +bitexact
///   -flvflags no_duration_filesize+no_sequence_end -f flv source.flv
/// ```
pub const INPUT: &[u8] = include_bytes!("proof/source.flv");
/// More than this is no answer to it.
pub const MAX_OUTPUT_BYTES: usize = 16 << 20;

/// Pictures of the input.
const PICTURES: i64 = 90;
/// Its random access points.
const KEYS: [i64; 3] = [0, 30, 61];
/// Its scene cuts.
const CUTS: [i64; 3] = [45, 50, 75];

/// When a picture of the input is shown, in 90 kHz ticks on FFmpeg's clock.
const fn time(picture: i64) -> i64 {
    (1000 + 40 * picture + 7 * (picture % 3)) * 90
}

/// What is wrong with an encoder's answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It is no fragmented MP4 of one track.
    #[error("its output cannot be read: {0}")]
    Container(#[from] read::Error),
    /// The output ends within a box, or before the track is described.
    #[error("its output is cut")]
    Cut,
    /// The decoder's configuration is broken.
    #[error("its configuration cannot be read: {0}")]
    Configuration(#[from] VideoError),
    /// It is not H.264.
    #[error("its output is not H.264")]
    Codec,
    /// It makes another number of pictures than it gets.
    #[error("{made} pictures come out of {PICTURES}")]
    Count {
        /// How many came out.
        made: usize,
    },
    /// A picture has a time that none has in the source.
    #[error("picture {picture} comes out at {found} instead of {expected} (of 90000 a second)")]
    Time {
        /// Which, in the order of presentation.
        picture: i64,
        /// Its time.
        found: i64,
        /// The source's.
        expected: i64,
    },
    /// A random access point of the source is none any more.
    #[error("picture {picture} is no IDR picture, although it was asked for")]
    NoKey {
        /// Which.
        picture: i64,
    },
    /// A GOP begins where none should.
    #[error("picture {picture} begins a GOP that nobody asked for")]
    ExtraKey {
        /// Which.
        picture: i64,
    },
}

/// The attempt with which `encoder` proves itself, at this latency.
#[must_use]
pub fn attempt(encoder: Encoder, latency: Latency) -> AttemptSpec {
    let [_, _, preset, ..] = PRESETS;
    let video = VideoOutput::H264 { encoders: vec![encoder.name().to_owned()], preset: preset.to_owned() };
    let rendition = Rendition {
        name: "proof".parse().expect("five letters are a name"),
        height: 180,
        video_bitrate: Bitrate::kilobits(600),
        fps: None,
        threads: None,
        video,
    };
    AttemptSpec {
        number: 1,
        ladder: Ladder {
            renditions: vec![rendition],
            audio: AudioOutput::Copy,
            latency,
            deinterlace: Deinterlace::Off,
        },
        has_video: true,
        has_audio: false,
        base: Ticks::ZERO,
        frame_rate: FrameRate::new(25, 1),
        max_gop: std::time::Duration::from_millis(1600),
        audio_start: AudioStart::default(),
    }
}

/// Judges all that `encoder` wrote.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn judge(encoder: Encoder, written: &[u8]) -> Result<(), Flaw> {
    let mut pictures = pictures(written)?;
    pictures.sort_by_key(|(time, _)| *time);
    if pictures.len() != usize::try_from(PICTURES).unwrap_or_default() {
        return Err(Flaw::Count { made: pictures.len() });
    }
    for (picture, (found, access)) in (0..).zip(pictures) {
        let expected = time(picture);
        if found != expected {
            return Err(Flaw::Time { picture, found, expected });
        }
        let may_be_key = encoder.scene_cuts() == SceneCuts::Kept && CUTS.contains(&picture);
        match (access, KEYS.contains(&picture)) {
            (RandomAccess::Idr, true) | (RandomAccess::None, false) => {}
            (RandomAccess::Idr, false) if may_be_key => {}
            (RandomAccess::None | RandomAccess::RecoveryPoint { .. }, true) => {
                return Err(Flaw::NoKey { picture });
            }
            (RandomAccess::Idr | RandomAccess::RecoveryPoint { .. }, false) => {
                return Err(Flaw::ExtraKey { picture });
            }
        }
    }
    Ok(())
}

/// Each picture's time in ticks and what it is, in coded order.
fn pictures(written: &[u8]) -> Result<Vec<(i64, RandomAccess)>, Flaw> {
    let mut reader = Reader::new();
    reader.push(written);
    let (mut configuration, mut scale, mut pictures) = (None, 1, Vec::new());
    while let Some(event) = reader.next_event()? {
        match event {
            Event::Header(header) => {
                configuration = Some(h264(&header.entry)?);
                scale = i64::from(header.timescale);
            }
            Event::AccessUnit(unit) => {
                let configuration: &VideoConfiguration = configuration.as_ref().ok_or(Flaw::Cut)?;
                let access = video::random_access(configuration, &unit.data);
                let time = i128::from(unit.presentation_time) * 90_000 / i128::from(scale.max(1));
                pictures.push((i64::try_from(time).unwrap_or(i64::MAX), access));
            }
        }
    }
    if configuration.is_none() || reader.buffered() > 0 {
        return Err(Flaw::Cut);
    }
    Ok(pictures)
}

fn h264(entry: &SampleEntry) -> Result<VideoConfiguration, Flaw> {
    match entry {
        SampleEntry::Video { codec: codec @ VideoCodec::H264, configuration, .. } => {
            Ok(video::read_configuration(*codec, configuration)?)
        }
        SampleEntry::Video { .. } | SampleEntry::Aac { .. } => Err(Flaw::Codec),
    }
}

#[cfg(test)]
mod tests;
