//! The ladder: what a profile asks to be made of a source.

use serde::{Deserialize, Serialize};

use super::frame_rate::FrameRate;
use crate::base::names::Name;
use crate::base::units::Bitrate;
use crate::media::track::AudioCodec;

/// The most renditions a ladder may have.
pub const MAX_RENDITIONS: usize = 16;
/// What audio is encoded at that was to be copied and cannot be.
const INSTEAD_OF_A_COPY: Bitrate = Bitrate::kilobits(128);

/// All outputs of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// The video outputs, in the order in which players list them; at most [`MAX_RENDITIONS`].
    pub renditions: Vec<Rendition>,
    /// The one audio output that all renditions share.
    pub audio: AudioOutput,
    /// How much the encoder may hold back.
    pub latency: Latency,
    /// What becomes of interlaced pictures in the renditions that are encoded.
    pub deinterlace: Deinterlace,
}

impl Ladder {
    /// Whether each decodable picture of the source becomes one of `rendition`. A frame rate of its own leaves pictures out
    /// or repeats them, and fields become two pictures.
    #[must_use]
    pub fn is_one_to_one(&self, rendition: &Rendition) -> bool {
        match rendition.video {
            VideoOutput::Copy => true,
            VideoOutput::H264 { .. } => rendition.fps.is_none() && self.deinterlace != Deinterlace::Field,
        }
    }

    /// Whether audio of this codec is encoded anew.
    #[must_use]
    pub fn encodes_audio(&self, codec: AudioCodec) -> bool {
        matches!(self.for_source(Some(codec)).audio, AudioOutput::Aac { .. })
    }

    /// The ladder for a source whose audio is of this codec. Only AAC is copied: HLS players play little else, so any
    /// other audio is encoded where a copy is asked for.
    #[must_use]
    pub fn for_source(&self, audio: Option<AudioCodec>) -> Self {
        let audio = match (self.audio, audio) {
            (output @ AudioOutput::Aac { .. }, _) => output,
            (AudioOutput::Copy, None | Some(AudioCodec::Aac)) => AudioOutput::Copy,
            (
                AudioOutput::Copy,
                Some(
                    AudioCodec::Mp3
                    | AudioCodec::Opus
                    | AudioCodec::Flac
                    | AudioCodec::Ac3
                    | AudioCodec::Eac3,
                ),
            ) => AudioOutput::Aac { bitrate: INSTEAD_OF_A_COPY },
        };
        Self { audio, ..self.clone() }
    }
}

/// One video output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// Its name, unique in the ladder; a part of its URL.
    pub name: Name,
    /// Height in pixels at most: a smaller source is not enlarged. The width keeps the source's shape and is even.
    pub height: u32,
    /// Target and cap of the encoder's bitrate.
    pub video_bitrate: Bitrate,
    /// Pictures a second, of a rendition that is encoded; `None` for those of the source.
    pub fps: Option<FrameRate>,
    /// Threads of its encoder at most; `None` for as many as keep it within its latency.
    pub threads: Option<u32>,
    /// What to make.
    pub video: VideoOutput,
}

/// How a rendition's video is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoOutput {
    /// The source's access units, untouched.
    Copy,
    /// H.264 by the first of these encoders that the node has.
    H264 {
        /// FFmpeg's names of encoders ([`super::encoder::Encoder`]), the best first; at least one.
        encoders: Vec<String>,
        /// The preset, by x264's name for it ([`super::encoder::PRESETS`]).
        preset: String,
    },
}

/// How audio is made, once for all renditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioOutput {
    /// The source's access units, untouched, if they are AAC; others are encoded ([`Ladder::for_source`]).
    Copy,
    /// AAC at 48 kHz stereo.
    Aac {
        /// Target bitrate.
        bitrate: Bitrate,
    },
}

/// How much an encoder may hold back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Look-ahead of at most 10 frames.
    #[default]
    Normal,
    /// No look-ahead, no B-frames.
    Low,
}

/// What becomes of interlaced pictures; progressive ones pass as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deinterlace {
    /// They stay interlaced.
    #[default]
    Off,
    /// Two fields become one picture.
    Frame,
    /// Each field becomes a picture: twice as many.
    Field,
}

/// One output of an attempt, each with a pipe of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The ladder's rendition at this index.
    Rendition(u8),
    /// The audio.
    Audio,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug>(value: &T, json: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), json);
        assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
    }

    #[test]
    fn a_ladder_travels_as_it_is_named() {
        check(&Output::Rendition(3), r#"{"rendition":3}"#);
        check(&Output::Audio, r#""audio""#);
        check(&AudioOutput::Copy, r#""copy""#);
        check(&AudioOutput::Aac { bitrate: Bitrate::kilobits(128) }, r#"{"aac":{"bitrate":128000}}"#);
        check(&VideoOutput::Copy, r#""copy""#);
        let video = VideoOutput::H264 { encoders: vec!["libx264".into()], preset: "veryfast".into() };
        check(&video, r#"{"h264":{"encoders":["libx264"],"preset":"veryfast"}}"#);
        check(&Latency::Low, r#""low""#);
    }

    #[track_caller]
    fn check_audio(wanted: AudioOutput, source: Option<AudioCodec>, expected: AudioOutput) {
        let ladder = Ladder {
            renditions: Vec::new(),
            audio: wanted,
            latency: Latency::Low,
            deinterlace: Deinterlace::Off,
        };
        let adapted = ladder.for_source(source);
        assert_eq!(adapted, Ladder { audio: expected, ..ladder }, "{source:?}");
    }

    #[test]
    fn only_aac_is_copied() {
        let encoded = |kilobits| AudioOutput::Aac { bitrate: Bitrate::kilobits(kilobits) };
        check_audio(AudioOutput::Copy, None, AudioOutput::Copy);
        check_audio(AudioOutput::Copy, Some(AudioCodec::Aac), AudioOutput::Copy);
        for codec in [AudioCodec::Mp3, AudioCodec::Opus, AudioCodec::Flac, AudioCodec::Ac3, AudioCodec::Eac3]
        {
            check_audio(AudioOutput::Copy, Some(codec), encoded(128));
            check_audio(encoded(96), Some(codec), encoded(96));
        }
        check_audio(encoded(96), Some(AudioCodec::Aac), encoded(96));
    }

    #[test]
    fn frame_rates_and_fields_are_not_one_to_one() {
        let video = VideoOutput::H264 { encoders: vec!["libx264".into()], preset: "veryfast".into() };
        let (name, video_bitrate) = ("a".parse().unwrap(), Bitrate::kilobits(800));
        let encoded = Rendition { name, height: 720, video_bitrate, fps: None, threads: None, video };
        let rated = Rendition { fps: FrameRate::new(25, 1), ..encoded.clone() };
        let copied = Rendition { video: VideoOutput::Copy, ..encoded.clone() };
        for (deinterlace, expected) in [
            (Deinterlace::Off, [true, false, true]),
            (Deinterlace::Frame, [true, false, true]),
            (Deinterlace::Field, [false, false, true]),
        ] {
            let latency = Latency::Normal;
            let ladder = Ladder { renditions: Vec::new(), audio: AudioOutput::Copy, latency, deinterlace };
            let found = [&encoded, &rated, &copied].map(|rendition| ladder.is_one_to_one(rendition));
            assert_eq!(found, expected, "{deinterlace:?}");
        }
    }

    #[test]
    fn outputs_are_ordered_as_the_ladder_with_audio_last() {
        let mut outputs = [Output::Audio, Output::Rendition(1), Output::Rendition(0)];
        outputs.sort();
        assert_eq!(outputs, [Output::Rendition(0), Output::Rendition(1), Output::Audio]);
    }

    #[test]
    fn an_encoder_may_look_ahead_unless_told_otherwise() {
        assert_eq!(Latency::default(), Latency::Normal);
    }
}
