//! Pictures from later GOPs: the fragments that a node would cut, beside those of a run from the beginning.

use std::time::Duration;

use headgate::base::units::Bitrate;
use headgate::ffmpeg::attempt::{AttemptSpec, AudioStart};
use headgate::ffmpeg::frame_rate::FrameRate;
use headgate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Output, Rendition, VideoOutput};
use headgate::media::fragment::Fragment;
use headgate::media::time::Ticks;

use crate::attempt;
use crate::harness;
use crate::harness::ffmpeg::{Ffmpeg, run_ok_with, text};
use crate::harness::flv::{self, Tag};
use crate::harness::rtmp::VIDEO;

/// How far a fragment may begin before the committed end and still continue it: `headgate::stream::commit::TOLERANCE`.
const TOLERANCE: Ticks = Ticks::from_millis(4);

/// A source of pictures, by its access units.
pub struct Source {
    configuration: Tag,
    /// In coded order, with their times from the beginning in milliseconds.
    pub units: Vec<Tag>,
    /// Time at which the source begins, in milliseconds.
    begin: i64,
}

impl Source {
    /// Encodes what lavfi's `graph` gives with `options`.
    pub fn encode(graph: &str, options: &str, begin: i64) -> Self {
        let folder = harness::folder();
        let path = folder.path().join("source.flv");
        run_ok_with(Ffmpeg::Current, &["-loglevel error -f lavfi -i", graph, options, text(&path)]);
        let tags = flv::tags(&path);
        let is_configuration = |tag: &&Tag| tag.kind == VIDEO && !is_media(tag);
        let configuration = tags.iter().find(is_configuration).expect("a codec configuration").clone();
        Self { configuration, units: tags.into_iter().filter(is_media).collect(), begin }
    }

    /// Indices of the access units that begin a GOP.
    pub fn gops(&self) -> Vec<usize> {
        (0..self.units.len()).filter(|&index| self.units[index].body[0] >> 4 & 7 == 1).collect()
    }

    /// When the access unit at `index` is shown, after FFmpeg's time zero.
    pub fn shown(&self, index: usize) -> Ticks {
        let tag = &self.units[index];
        Ticks::from_millis(self.begin + i64::from(tag.time_ms) + offset_ms(tag))
    }

    /// What an attempt reads that begins with the access unit at `first`, as far as before the one at `end`.
    pub fn input(&self, spec: &AttemptSpec, first: usize, end: usize) -> Vec<u8> {
        let units = self.units[first..end].iter().map(|tag| (tag, self.begin + i64::from(tag.time_ms)));
        attempt::flv(spec, std::iter::once((&self.configuration, 0)).chain(units))
    }
}

/// Whether it has pictures: packet types 1 and 3 of Enhanced RTMP, or the first of AVC (FLV 10.1 E.4.3.1).
fn is_media(tag: &Tag) -> bool {
    let enhanced = tag.body[0] & 0x80 != 0;
    tag.kind == VIDEO && if enhanced { matches!(tag.body[0] & 15, 1 | 3) } else { tag.body[1] == 1 }
}

/// How much later than it is decoded it is shown.
fn offset_ms(tag: &Tag) -> i64 {
    let field = match (tag.body[0] & 0x80 != 0, tag.body[0] & 15) {
        (true, 1) => &tag.body[5..8],
        (true, _) => return 0,
        (false, _) => &tag.body[2..5],
    };
    i64::from(i32::from_be_bytes([field[0], field[1], field[2], 0]) >> 8)
}

/// A rendition at `fps`, or at the source's rate.
pub fn rendition(fps: Option<&str>, preset: &str) -> Rendition {
    Rendition {
        name: "a".parse().expect("a name"),
        height: 90,
        video_bitrate: Bitrate::kilobits(300),
        fps: fps.map(|fps| fps.parse().expect("a rate")),
        threads: None,
        video: VideoOutput::H264 { encoders: vec!["libx264".to_owned()], preset: preset.to_owned() },
    }
}

/// An attempt without sound.
pub fn spec(
    renditions: Vec<Rendition>,
    deinterlace: Deinterlace,
    frame_rate: Option<FrameRate>,
) -> AttemptSpec {
    let (audio, latency) = (AudioOutput::Copy, Latency::Normal);
    AttemptSpec {
        number: 1,
        ladder: Ladder { renditions, audio, latency, deinterlace },
        has_video: true,
        has_audio: false,
        base: Ticks::ZERO,
        frame_rate,
        max_gop: Duration::from_secs(10),
        audio_start: AudioStart::default(),
    }
}

/// The fragments of the first rendition, from the GOP that begins at `first` on.
pub fn fragments(ffmpeg: Ffmpeg, spec: &AttemptSpec, source: &Source, first: usize) -> Vec<Fragment> {
    let input = source.input(spec, first, source.units.len());
    let bytes = attempt::run(ffmpeg, spec, &input).remove(&Output::Rendition(0)).expect("there is video");
    attempt::fragments(spec, &bytes)
}

/// What differs when the source is read from GOP `gop` on: where it is committed up to the end of that GOP, its warm-up, or
/// further, another fragment must begin and end just there.
pub fn compare(whole: &[Fragment], restarted: &[Fragment], warm_up_end: Ticks) -> Vec<String> {
    let shape = |fragment: &Fragment| {
        let Fragment { position, end, access_units, last_presentation, .. } = fragment;
        (position.0, end.map(|end| end.0), *access_units, last_presentation.0)
    };
    let after = |fragments: &[Fragment]| {
        let after = fragments.iter().filter(|fragment| fragment.position + TOLERANCE >= warm_up_end);
        after.map(shape).collect::<Vec<_>>()
    };
    let (wanted, found) = (after(whole), after(restarted));
    let missing =
        wanted.iter().filter(|shape| !found.contains(shape)).map(|shape| format!("{shape:?} is missing"));
    let new = found.iter().filter(|shape| !wanted.contains(shape)).map(|shape| format!("{shape:?} is new"));
    missing.chain(new).collect()
}
