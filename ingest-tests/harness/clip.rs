//! The numbered clip, or its first GOPs, with what the judges need to know of it.

use std::path::{Path, PathBuf};

use super::audio::{self, Unit};
use super::ffmpeg::{Ffmpeg, run_ok, run_ok_with, text};
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

/// How a clip's sound is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// Each access unit by its payload: no two are equal, and none is encoded anew.
    Distinct,
    /// Units are alike, as silence is: their number and their times.
    Alike,
    /// It is encoded anew: that it is there, and lasts as long as in the source.
    Encoded,
}

/// A file to publish, and its content as the judges read it.
pub struct Clip {
    /// The file.
    pub path: PathBuf,
    /// Its frames.
    pub frames: Vec<Item>,
    /// Its audio access units.
    pub units: Vec<Unit>,
    /// How they are judged.
    pub sound: Sound,
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

    /// A clip of a minute in GOPs of so many seconds each, to be published again and again: nobody reads its numbers.
    pub fn of_gops(seconds: u32, folder: &Path) -> Self {
        let path = folder.join("gops.flv");
        let frames = seconds * 30;
        let video = format!(
            "-c:v libx264 -preset veryfast -g {frames} -keyint_min {frames} -sc_threshold 0 -b:v 1500k"
        );
        let sources = "-loglevel error -f lavfi -i testsrc2=s=640x360:r=30 -f lavfi -i sine=r=48000";
        run_ok(&[sources, "-t 60 -pix_fmt yuv420p", &video, "-c:a aac -b:a 96k", text(&path)]);
        Self { path, frames: Vec::new(), units: Vec::new(), sound: Sound::Encoded }
    }

    /// The same with sound that begins 100 ms later, so after the picture. GStreamer's `flvdemux` begins its segment at the
    /// picture, and gives all sound from before that the time 0.
    pub fn beginning_with_picture(gops: usize, folder: &Path) -> Self {
        let path = folder.join("picture-first.flv");
        let (whole, count) = (root().join("fixtures/media/numbered-30s.flv"), gops * GOP_FRAMES);
        let take = format!("-map 0:v -map 1:a -c copy -frames:v {count} -t {}", gops * 2);
        let whole = text(&whole);
        run_ok(&["-loglevel error -i", whole, "-itsoffset 0.1 -i", whole, &take, text(&path)]);
        Self::read(path, count)
    }

    /// Cuts GOPs `from` to `to` out of the clip, as a file in `folder` that begins with a key frame.
    pub fn cut(from: usize, to: usize, folder: &Path) -> PathBuf {
        let path = folder.join(format!("gops-{from}-{to}.flv"));
        let whole = root().join("fixtures/media/numbered-30s.flv");
        // The key frame itself is 67 ms after the GOP's beginning.
        let (start, count) = (format!("-loglevel error -ss {}.1 -i", from * 2), (to - from) * GOP_FRAMES);
        run_ok(&[&start, text(&whole), &format!("-c copy -frames:v {count}"), text(&path)]);
        path
    }

    /// The first `gops` GOPs with silence: its access units have one size and one delta, or two that take turns.
    pub fn silent(gops: usize, folder: &Path) -> Self {
        let path = folder.join("silent.flv");
        let (whole, count) = (root().join("fixtures/media/numbered-30s.flv"), gops * GOP_FRAMES);
        let take = format!("-map 0:v -map 1:a -c:v copy -c:a aac -b:a 16k -frames:v {count} -t {}", gops * 2);
        // Sound must not begin much before the picture: the judge takes that for a fault.
        let silence = "-itsoffset 0.1 -f lavfi -i anullsrc=r=44100:cl=mono";
        run_ok(&["-loglevel error -i", text(&whole), silence, &take, text(&path)]);
        Self { sound: Sound::Alike, ..Self::read(path, count) }
    }

    /// The first `gops` GOPs, small and encoded anew by the current FFmpeg with these options, as an MP4 file.
    pub fn encoded(gops: usize, options: &str, sound: Sound, folder: &Path) -> Self {
        let (path, whole) = (folder.join("encoded.mp4"), root().join("fixtures/media/numbered-30s.flv"));
        let count = gops * GOP_FRAMES;
        // The picture begins 67 ms after the file: a little more than the GOPs, and exactly their frames.
        let take =
            format!("-map 0:v -map 1:a -t {}.1 -vf scale=320:180 {options} -frames:v {count}", gops * 2);
        // Sound must not begin much before the picture: the judge takes that for a fault.
        let (whole, later) = (text(&whole), "-itsoffset 0.1 -i");
        run_ok_with(Ffmpeg::Current, &["-loglevel error -i", whole, later, whole, &take, text(&path)]);
        Self { sound, ..Self::read(path, count) }
    }

    /// A file of `count` frames that an FFmpeg made.
    pub fn read(path: PathBuf, count: usize) -> Self {
        let (frames, complaints) = frames::read(&path);
        let numbers: Vec<Option<u32>> = frames.iter().map(|frame| frame.id).collect();
        assert!(complaints.is_empty(), "{}: {complaints:?}", path.display());
        assert_eq!(numbers, (0..).take(count).map(Some).collect::<Vec<_>>(), "{}", path.display());
        let (units, complaints) = audio::read(&path);
        assert!(complaints.is_empty() && !units.is_empty(), "{}: {complaints:?}", path.display());
        Self { path, frames, units, sound: Sound::Distinct }
    }

    /// What is wrong with a video output of this clip.
    pub fn judge_video(&self, media: &Path) -> Vec<String> {
        let (found, mut findings) = frames::read(media);
        findings.extend(judge::compare("frames", &self.frames, &found, FRAME_TOLERANCE));
        findings
    }

    /// What is wrong with an audio output of this clip.
    pub fn judge_audio(&self, media: &Path) -> Vec<String> {
        let (found, mut findings) = audio::read(media);
        match self.sound {
            Sound::Distinct | Sound::Alike => {
                let (source, found) = (self.items(&self.units), self.items(&found));
                findings.extend(judge::compare("audio units", &source, &found, AUDIO_TOLERANCE));
            }
            Sound::Encoded => findings.extend(audio::compare_lengths(&self.units, &found)),
        }
        findings
    }

    /// Whether sound and picture are as far apart as in the source.
    pub fn judge_sync(&self, video: &Path, audio: &Path) -> Vec<String> {
        let frames = judge::offset(&self.frames, &frames::read(video).0);
        let found = audio::read(audio).0;
        let (units, tolerance) = match self.sound {
            Sound::Distinct | Sound::Alike => {
                (judge::offset(&self.items(&self.units), &self.items(&found)), AUDIO_TOLERANCE)
            }
            Sound::Encoded => (audio::first_offset(&self.units, &found), audio::LENGTH_TOLERANCE),
        };
        match (frames, units) {
            (Some(frames), Some(units)) if (frames - units).abs() <= tolerance => Vec::new(),
            (Some(frames), Some(units)) => {
                vec![format!("sound is {} us late to the picture", units - frames)]
            }
            _ => vec!["picture or sound has nothing of the source".to_owned()],
        }
    }

    /// Units as items that are named by payload, or by order where payloads are alike.
    fn items(&self, units: &[Unit]) -> Vec<Item> {
        if self.sound == Sound::Distinct {
            return audio::items(&self.units, units);
        }
        (0..).zip(units).map(|(id, unit)| Item { id: Some(id), at_us: unit.at_us }).collect()
    }
}
