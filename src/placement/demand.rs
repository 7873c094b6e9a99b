//! Demand: what a node must have to run an attempt, and which nodes it had better not get.

use std::time::Duration;

use super::work::{AudioWork, SourceMedia, Work};
use crate::base::names::Name;
use crate::ffmpeg::attempt::AttemptSpec;
use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::ladder::Deinterlace;

/// What one lease needs, and where it may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Whose stream it is.
    pub tenant: Name,
    /// What is made of what: a cost is predicted for it, and each rendition that is encoded names its encoders.
    pub work: Work,
    /// What the node's FFmpeg must read from FLV, all of it.
    pub reads: Vec<Carriage>,
    /// What it must decode; nothing of what is only copied.
    pub decodes: Vec<Carriage>,
    /// Tags that the node must have: the tenant's and the profile's.
    pub require_tags: Vec<Name>,
    /// Tags that it had better have: the more the better.
    pub prefer_tags: Vec<Name>,
    /// Nodes that may not get it whatever happens, for example the one that it is moved away from.
    pub exclude: Vec<Name>,
    /// The one node that may get it, where an operator named one.
    pub only: Option<Name>,
    /// Nodes whose hosts may not get it: those of a stream's other attempts that are to fail apart from it.
    pub apart_from: Vec<Name>,
    /// What it is for, where the stream has another attempt beside it.
    pub beside: Beside,
    /// Nodes that get it only if no other is feasible, for example the one where the last attempt failed: with a
    /// single node in the fleet, trying there again beats not trying.
    pub prefer_not: Vec<Name>,
    /// FFmpeg's names of the encoders that the stream's last attempt used, one for each rendition that is encoded; empty
    /// before the first. Nodes that can use the same come first, and use them: pictures of another encoder look otherwise.
    pub prefer_encoders: Vec<String>,
    /// How much of a node it may fill.
    pub urgency: Urgency,
    /// Whether it begins behind live.
    pub replay: Replay,
}

/// Whether a stream has another attempt beside the one that is demanded, and what this one is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beside {
    /// It has none, or had none when it asked.
    #[default]
    Nothing,
    /// One that is suspected: counts against the budget of second attempts.
    Suspected,
    /// One that is well, and is to be moved: counts against that budget too.
    Moved,
    /// One that shall stay: the stream has two all the time.
    Twin,
}

/// How much of a node a demand may fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urgency {
    /// A stream's first lease: up to the headroom.
    #[default]
    New,
    /// A stream that has lost its node: where nothing is under the headroom, up to the whole node.
    Running,
}

/// Whether an attempt begins behind live, and so runs faster than live until it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replay {
    /// It begins with what comes in now.
    #[default]
    None,
    /// So much media waits for it in the GOP log.
    Media(Duration),
}

impl Demand {
    /// What `attempt` needs, anywhere, of a source of which nothing more is known.
    #[must_use]
    pub fn of(attempt: &AttemptSpec) -> Self {
        let work = Work::of(attempt, SourceMedia::untold(&attempt.ladder));
        Self { work, ..Self::default() }
    }
}

/// A demand that any node can meet: nothing in, nothing out.
impl Default for Demand {
    fn default() -> Self {
        let source = SourceMedia { video: None, audio: None, width: 0, height: 0, fps: 0.0, bitrate: 0 };
        Self {
            tenant: "live".parse().expect("four letters are a name"),
            work: Work {
                source,
                renditions: Vec::new(),
                audio: AudioWork::None,
                deinterlace: Deinterlace::Off,
            },
            reads: Vec::new(),
            decodes: Vec::new(),
            require_tags: Vec::new(),
            prefer_tags: Vec::new(),
            exclude: Vec::new(),
            only: None,
            apart_from: Vec::new(),
            beside: Beside::Nothing,
            prefer_not: Vec::new(),
            prefer_encoders: Vec::new(),
            urgency: Urgency::New,
            replay: Replay::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Bitrate;
    use crate::ffmpeg::attempt::AudioStart;
    use crate::ffmpeg::ladder::{AudioOutput, Ladder, Latency, Rendition, VideoOutput};
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
            max_gop: Duration::from_secs(10),
            audio_start: AudioStart::default(),
        };
        let wanted = |attempt: &AttemptSpec| -> Vec<Vec<String>> {
            Demand::of(attempt).work.renditions.iter().map(|made| made.encoders().to_vec()).collect()
        };
        assert_eq!(wanted(&attempt), [Vec::new(), any_of]);
        attempt.has_video = false;
        assert_eq!(wanted(&attempt), Vec::<Vec<String>>::new(), "audio alone needs no video encoder");
    }
}
