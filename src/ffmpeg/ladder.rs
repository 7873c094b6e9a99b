//! The ladder: what a profile asks to be made of a source.

use serde::{Deserialize, Serialize};

use crate::base::names::Name;
use crate::base::units::Bitrate;

/// The most renditions a ladder may have.
pub const MAX_RENDITIONS: usize = 16;

/// All outputs of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// The video outputs, in the order in which players list them; at most [`MAX_RENDITIONS`].
    pub renditions: Vec<Rendition>,
    /// The one audio output that all renditions share.
    pub audio: AudioOutput,
    /// How much the encoder may hold back.
    pub latency: Latency,
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
        /// FFmpeg's names of encoders, the best first; at least one.
        encoders: Vec<String>,
        /// The encoder's preset.
        preset: String,
    },
}

/// How audio is made, once for all renditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioOutput {
    /// The source's access units, untouched.
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
