//! The work of one attempt: what comes in, what is made of it, and how. It is what a cost is predicted for, and learnt of;
//! two attempts of equal work on machines of one class need the same.

use crate::base::names::Name;
use crate::ffmpeg::attempt::AttemptSpec;
use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Rendition, VideoOutput};

/// Pictures a second where nobody says it.
const UNTOLD_RATE: f64 = 30.0;
/// Lines of a source that is not known yet.
const UNTOLD_HEIGHT: u32 = 1080;

/// What a publisher sends, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceMedia {
    /// How its pictures are coded; `None` of audio alone.
    pub video: Option<Carriage>,
    /// How its sound is coded; `None` without.
    pub audio: Option<Carriage>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: f64,
    /// Bits a second.
    pub bitrate: u64,
}

/// One attempt's work.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// What is read, and decoded if anything is encoded.
    pub source: SourceMedia,
    /// The video outputs, in the ladder's order; none without video.
    pub renditions: Vec<RenditionWork>,
    /// Whether sound is encoded.
    pub audio: AudioWork,
    /// What becomes of interlaced pictures.
    pub deinterlace: Deinterlace,
}

/// One video output.
#[derive(Clone, Debug, PartialEq)]
pub struct RenditionWork {
    /// Its name, for the explanation.
    pub name: Name,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: f64,
    /// Bits a second.
    pub bitrate: u64,
    /// How it is made.
    pub video: VideoOutput,
}

/// What becomes of the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioWork {
    /// There is none.
    None,
    /// It is copied.
    Copy,
    /// It is encoded.
    Encode,
}

impl SourceMedia {
    /// What is reckoned with before anything was sent: H.264 and AAC, full HD at 30 pictures a second, at twice the bits of
    /// the largest rendition.
    #[must_use]
    pub fn untold(ladder: &Ladder) -> Self {
        let largest = ladder.renditions.iter().map(|rendition| rendition.video_bitrate.0).max();
        Self {
            video: Some(Carriage::H264),
            audio: Some(Carriage::Aac),
            width: UNTOLD_HEIGHT * 16 / 9,
            height: UNTOLD_HEIGHT,
            fps: UNTOLD_RATE,
            bitrate: largest.unwrap_or(0).saturating_mul(2),
        }
    }

    /// Pixels a second.
    #[must_use]
    pub fn pixel_rate(&self) -> f64 {
        f64::from(self.width) * f64::from(self.height) * self.fps
    }
}

impl Work {
    /// What `attempt` makes of `source`.
    #[must_use]
    pub fn of(attempt: &AttemptSpec, source: SourceMedia) -> Self {
        let mut source = source;
        if !attempt.has_video {
            source.video = None;
        }
        if !attempt.has_audio {
            source.audio = None;
        }
        Self::made(&attempt.ladder, source)
    }

    /// What a stream with this ladder is expected to be, before its publisher has sent anything.
    #[must_use]
    pub fn expected(ladder: &Ladder) -> Self {
        Self::made(ladder, SourceMedia::untold(ladder))
    }

    fn made(ladder: &Ladder, source: SourceMedia) -> Self {
        let fields = if ladder.deinterlace == Deinterlace::Field { 2.0 } else { 1.0 };
        let wanted = ladder.renditions.iter().filter(|_| source.video.is_some());
        let renditions = wanted.map(|rendition| RenditionWork::of(rendition, &source, fields));
        let audio = match (source.audio, ladder.audio) {
            (None, _) => AudioWork::None,
            (Some(_), AudioOutput::Copy) => AudioWork::Copy,
            (Some(_), AudioOutput::Aac { .. }) => AudioWork::Encode,
        };
        Self { renditions: renditions.collect(), audio, deinterlace: ladder.deinterlace, source }
    }

    /// What is really decoded: nothing of what is only copied.
    #[must_use]
    pub fn decodes(&self) -> Vec<Carriage> {
        let pictures = self.renditions.iter().any(RenditionWork::is_encoded);
        let video = self.source.video.filter(|_| pictures);
        video.into_iter().chain(self.source.audio.filter(|_| self.audio == AudioWork::Encode)).collect()
    }

    /// Pixels a second of all renditions that are encoded: what a tenant's `max_pixels_per_second` counts.
    #[must_use]
    pub fn encoded_pixel_rate(&self) -> f64 {
        let encoded = self.renditions.iter().filter(|rendition| rendition.is_encoded());
        encoded.map(RenditionWork::pixel_rate).sum()
    }
}

impl RenditionWork {
    /// A copy is as large as the source; what is encoded keeps the source's shape and is not enlarged. Of each picture of the
    /// source so many are made, unless the rendition has a rate of its own.
    fn of(rendition: &Rendition, source: &SourceMedia, fields: f64) -> Self {
        let (height, fps) = match rendition.video {
            VideoOutput::Copy => (source.height, source.fps),
            VideoOutput::H264 { .. } => {
                let own = rendition.fps.map(|rate| rate.as_f64());
                (rendition.height.min(source.height), own.unwrap_or(source.fps * fields))
            }
        };
        let width = u64::from(source.width) * u64::from(height) / u64::from(source.height.max(1));
        Self {
            name: rendition.name.clone(),
            width: u32::try_from(width).unwrap_or(u32::MAX) / 2 * 2,
            height,
            fps,
            bitrate: match rendition.video {
                VideoOutput::Copy => source.bitrate,
                VideoOutput::H264 { .. } => rendition.video_bitrate.0,
            },
            video: rendition.video.clone(),
        }
    }

    /// Whether an encoder makes it.
    #[must_use]
    pub fn is_encoded(&self) -> bool {
        matches!(self.video, VideoOutput::H264 { .. })
    }

    /// The encoders that would do, the best first; none for a copy.
    #[must_use]
    pub fn encoders(&self) -> &[String] {
        match &self.video {
            VideoOutput::Copy => &[],
            VideoOutput::H264 { encoders, .. } => encoders,
        }
    }

    /// Pixels a second.
    #[must_use]
    pub fn pixel_rate(&self) -> f64 {
        f64::from(self.width) * f64::from(self.height) * self.fps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Bitrate;
    use crate::ffmpeg::frame_rate::FrameRate;
    use crate::ffmpeg::ladder::Latency;

    fn rendition(name: &str, height: u32, video: VideoOutput) -> Rendition {
        let name = name.parse().expect("test name");
        Rendition { name, height, video_bitrate: Bitrate::kilobits(800), fps: None, threads: None, video }
    }

    fn ladder() -> Ladder {
        let encoded = VideoOutput::H264 { encoders: vec!["libx264".into()], preset: "veryfast".into() };
        Ladder {
            renditions: vec![
                rendition("source", 2160, VideoOutput::Copy),
                rendition("720p", 720, encoded.clone()),
                rendition("360p", 360, encoded),
            ],
            audio: AudioOutput::Copy,
            latency: Latency::Normal,
            deinterlace: Deinterlace::Off,
        }
    }

    #[test]
    fn a_stream_that_is_not_known_yet_is_taken_for_full_hd() {
        let work = Work::expected(&ladder());
        let sizes: Vec<_> = work.renditions.iter().map(|made| (made.width, made.height)).collect();
        assert_eq!(sizes, [(1920, 1080), (1280, 720), (640, 360)]);
        let pixels = (1280.0 * 720.0 + 640.0 * 360.0) * 30.0;
        assert!((work.encoded_pixel_rate() - pixels).abs() < 1.0, "a copy is not encoded");
        assert_eq!(work.audio, AudioWork::Copy);
    }

    #[test]
    fn nothing_is_enlarged() {
        let source = SourceMedia { width: 480, height: 270, ..SourceMedia::untold(&ladder()) };
        let work = Work::made(&ladder(), source);
        assert_eq!((work.renditions[1].width, work.renditions[1].height), (480, 270));
    }

    #[test]
    fn pictures_are_as_many_as_the_source_has_or_the_rendition_says() {
        let rates = |ladder: &Ladder| -> Vec<f64> {
            let source = SourceMedia { fps: 25.0, ..SourceMedia::untold(ladder) };
            Work::made(ladder, source).renditions.iter().map(|made| made.fps).collect()
        };
        let mut ladder = ladder();
        assert_eq!(rates(&ladder), [25.0, 25.0, 25.0]);
        ladder.deinterlace = Deinterlace::Field;
        ladder.renditions[2].fps = FrameRate::new(15, 1);
        assert_eq!(rates(&ladder), [25.0, 50.0, 15.0], "a copy keeps its fields");
    }

    #[test]
    fn only_what_is_encoded_anew_is_decoded() {
        let check = |change: &dyn Fn(&mut Ladder), expected: &[Carriage]| {
            let mut ladder = ladder();
            change(&mut ladder);
            assert_eq!(Work::expected(&ladder).decodes(), expected);
        };
        let sound = AudioOutput::Aac { bitrate: Bitrate::kilobits(96) };
        check(&|_| {}, &[Carriage::H264]);
        check(&|ladder| ladder.audio = sound, &[Carriage::H264, Carriage::Aac]);
        check(&|ladder| ladder.renditions.truncate(1), &[]);
        let copied = |ladder: &mut Ladder| (ladder.audio, _) = (sound, ladder.renditions.truncate(1));
        check(&copied, &[Carriage::Aac]);
    }

    #[test]
    fn sound_alone_has_no_renditions() {
        let source = SourceMedia { video: None, ..SourceMedia::untold(&ladder()) };
        assert_eq!(Work::made(&ladder(), source).renditions, []);
    }
}
