//! Demand: what a node must have to run an attempt.

use crate::base::names::Name;
use crate::ffmpeg::attempt::AttemptSpec;
use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::ladder::{Deinterlace, VideoOutput};
use crate::placement::work::{AudioWork, SourceMedia, Work};

/// What one lease needs, and which nodes it had better not get.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// What is to be done.
    pub work: Work,
    /// For each rendition that is encoded, FFmpeg's names of the encoders that would do: the node must have at least
    /// one of them. A copied rendition needs none and is not listed.
    pub encoders: Vec<EncoderDemand>,
    /// What the node's FFmpeg must read from FLV, all of it.
    pub reads: Vec<Carriage>,
    /// Tags that the node must have, all of them.
    pub require_tags: Vec<Name>,
    /// Tags that it had better have.
    pub prefer_tags: Vec<Name>,
    /// Nodes that may not get it whatever happens, for example the one that it is moved away from.
    pub exclude: Vec<Name>,
    /// Nodes that get it only if no other is feasible, for example the one where the last attempt failed: with a
    /// single node in the fleet, trying there again beats not trying.
    pub prefer_not: Vec<Name>,
}

/// The encoders that would do for one rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderDemand {
    /// The rendition's name, for the explanation.
    pub rendition: Name,
    /// FFmpeg's names, the best first.
    pub any_of: Vec<String>,
}

impl Demand {
    /// What `attempt` needs, anywhere. Without video it needs no video encoder.
    #[must_use]
    pub fn of(attempt: &AttemptSpec) -> Self {
        let renditions = attempt.ladder.renditions.iter().filter(|_| attempt.has_video);
        let encoders = renditions.filter_map(|rendition| match &rendition.video {
            VideoOutput::Copy => None,
            VideoOutput::H264 { encoders, .. } => {
                Some(EncoderDemand { rendition: rendition.name.clone(), any_of: encoders.clone() })
            }
        });
        let work = Work::of(attempt, SourceMedia::untold(&attempt.ladder));
        Self { work, encoders: encoders.collect(), ..Self::default() }
    }
}

impl Default for Demand {
    /// Nothing that any node could lack.
    fn default() -> Self {
        let source = SourceMedia { video: None, audio: None, width: 0, height: 0, fps: 0.0, bitrate: 0 };
        let (renditions, audio, deinterlace) = (Vec::new(), AudioWork::None, Deinterlace::Off);
        Self {
            work: Work { source, renditions, audio, deinterlace },
            require_tags: Vec::new(),
            prefer_tags: Vec::new(),
            encoders: Vec::new(),
            reads: Vec::new(),
            exclude: Vec::new(),
            prefer_not: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Bitrate;
    use crate::ffmpeg::attempt::AudioStart;
    use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Rendition};
    use crate::media::time::Ticks;

    fn rendition(name: &str, video: VideoOutput) -> Rendition {
        Rendition {
            name: name.parse().expect("test name"),
            height: 360,
            video_bitrate: Bitrate::kilobits(800),
            fps: None,
            threads: None,
            video,
        }
    }

    #[test]
    fn encoded_renditions_need_an_encoder_and_copied_ones_none() {
        let any_of = vec!["h264_nvenc".to_owned(), "libx264".to_owned()];
        let encoded = VideoOutput::H264 { encoders: any_of.clone(), preset: "veryfast".into() };
        let ladder = Ladder {
            renditions: vec![rendition("source", VideoOutput::Copy), rendition("360p", encoded)],
            audio: AudioOutput::Copy,
            latency: Latency::Normal,
            deinterlace: Deinterlace::Off,
        };
        let mut attempt = AttemptSpec {
            number: 1,
            ladder,
            has_video: true,
            has_audio: true,
            base: Ticks::ZERO,
            frame_rate: None,
            max_gop: std::time::Duration::from_secs(10),
            audio_start: AudioStart::default(),
        };
        let expected = EncoderDemand { rendition: "360p".parse().expect("test name"), any_of };
        assert_eq!(Demand::of(&attempt).encoders, [expected]);
        attempt.has_video = false;
        assert_eq!(Demand::of(&attempt).encoders, [], "audio alone needs no video encoder");
    }
}
