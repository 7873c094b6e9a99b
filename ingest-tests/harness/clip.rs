//! The numbered clip, or its first GOPs, with what the judges need to know of it.

use std::path::{Path, PathBuf};

use super::audio::{self, Unit};
use super::ffmpeg::{run_ok, text};
use super::judge::{self, Item, Tolerance};
use super::{frames, root};

/// Frames in a GOP of the clip.
pub const GOP_FRAMES: usize = 60;
/// Frames of the whole clip.
pub const ALL_FRAMES: usize = 900;

/// Frames keep their time to a millisecond, which is what RTMP carries.
const FRAME_TOLERANCE: Tolerance = 1_000;
/// Half of 1024 samples at 48 kHz: nearer to its own place than to any other.
const AUDIO_TOLERANCE: Tolerance = 10_666;

/// A file to publish, and its content as the judges read it.
pub struct Clip {
    /// The file.
    pub path: PathBuf,
    /// Its frames.
    pub frames: Vec<Item>,
    /// Its audio access units.
    pub units: Vec<Unit>,
}

impl Clip {
    /// The whole clip: 30 s.
    pub fn whole() -> Self {
        Self::read(root().join("fixtures/media/numbered-30s.flv"), ALL_FRAMES)
    }

    /// The first `gops` GOPs, of 2 s each, as a file in `folder`. The GOPs are closed, so that many frames in coded order
    /// are just these GOPs.
    pub fn beginning(gops: usize, folder: &Path) -> Self {
        let path = folder.join("beginning.flv");
        let (whole, count) = (root().join("fixtures/media/numbered-30s.flv"), gops * GOP_FRAMES);
        let take = format!("-c copy -frames:v {count}");
        run_ok(&["-loglevel error -i", text(&whole), &take, text(&path)]);
        Self::read(path, count)
    }

    fn read(path: PathBuf, count: usize) -> Self {
        let (frames, complaints) = frames::read(&path);
        let numbers: Vec<Option<u32>> = frames.iter().map(|frame| frame.id).collect();
        assert!(complaints.is_empty(), "{}: {complaints:?}", path.display());
        assert_eq!(numbers, (0..).take(count).map(Some).collect::<Vec<_>>(), "{}", path.display());
        let (units, complaints) = audio::read(&path);
        assert!(complaints.is_empty() && !units.is_empty(), "{}: {complaints:?}", path.display());
        Self { path, frames, units }
    }

    /// What is wrong with a video output of this clip.
    pub fn judge_video(&self, media: &Path) -> Vec<String> {
        let (found, mut findings) = frames::read(media);
        findings.extend(judge::compare("frames", &self.frames, &found, FRAME_TOLERANCE));
        findings
    }

    /// What is wrong with a copied audio output of this clip.
    pub fn judge_audio(&self, media: &Path) -> Vec<String> {
        let (found, mut findings) = audio::read(media);
        let (source, found) = (self.items(), audio::items(&self.units, &found));
        findings.extend(judge::compare("audio units", &source, &found, AUDIO_TOLERANCE));
        findings
    }

    /// Whether sound and picture are as far apart as in the source.
    pub fn judge_sync(&self, video: &Path, audio: &Path) -> Vec<String> {
        let frames = judge::offset(&self.frames, &frames::read(video).0);
        let units = judge::offset(&self.items(), &audio::items(&self.units, &audio::read(audio).0));
        match (frames, units) {
            (Some(frames), Some(units)) if (frames - units).abs() <= AUDIO_TOLERANCE => Vec::new(),
            (Some(frames), Some(units)) => {
                vec![format!("sound is {} us late to the picture", units - frames)]
            }
            _ => vec!["picture or sound has nothing of the source".to_owned()],
        }
    }

    fn items(&self) -> Vec<Item> {
        audio::items(&self.units, &self.units)
    }
}
