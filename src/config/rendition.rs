//! One entry of a profile's `renditions`.

use serde::Deserialize;
use toml::{Spanned, Value};

use super::reader::{Key, Reader, Setting};
use crate::base::names::Name;
use crate::base::units::Bitrate;
use crate::ffmpeg::encoder::{Encoder, PRESETS};
use crate::ffmpeg::frame_rate::FrameRate;
use crate::ffmpeg::ladder::{Rendition, VideoOutput};

/// The tallest picture: 8K, which H.264 level 6.2 still covers.
const MAX_HEIGHT: u32 = 4320;
/// The smallest picture: one macroblock.
const MIN_HEIGHT: u32 = 16;
/// The most encoders that one rendition may name.
const MAX_ENCODERS: usize = 8;
/// The most threads that one may ask for. Each but one holds a picture back.
const MAX_THREADS: u32 = 64;
/// Encoder where none is written.
const DEFAULT_ENCODER: &str = "libx264";
/// Preset where none is written.
const DEFAULT_PRESET: &str = "veryfast";

/// The renditions of the built-in profile.
pub(super) fn default_renditions() -> Vec<Rendition> {
    let rendition = |name: &str, height, kilobits| Rendition {
        name: name.parse().expect("letters and digits are a name"),
        height,
        video_bitrate: Bitrate::kilobits(kilobits),
        fps: None,
        threads: None,
        video: VideoOutput::H264 {
            encoders: vec![DEFAULT_ENCODER.to_owned()],
            preset: DEFAULT_PRESET.to_owned(),
        },
    };
    vec![rendition("720p", 720, 2500), rendition("360p", 360, 800)]
}

/// The entry as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    name: Key<Name>,
    height: Key<u32>,
    video_bitrate: Key<Bitrate>,
    video_codec: Key<VideoCodec>,
    encoder: Key<Encoders>,
    preset: Key<Preset>,
    fps: Key<FrameRate>,
    threads: Key<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum VideoCodec {
    H264,
    Copy,
}

/// FFmpeg's names of encoders, the best first; at least one.
#[derive(Clone)]
struct Encoders(Vec<String>);

/// One of [`PRESETS`].
#[derive(Clone)]
struct Preset(String);

impl Written {
    pub(super) fn name(&self) -> &Key<Name> {
        &self.name
    }

    fn video(&self, reader: &mut Reader) -> VideoOutput {
        if reader.get(&self.video_codec, VideoCodec::H264) == VideoCodec::Copy {
            let idle = [self.encoder.place(), self.preset.place(), self.fps.place(), self.threads.place()];
            for place in idle.into_iter().flatten() {
                reader.refuse(Some(place), "does nothing beside video_codec = \"copy\": remove it");
            }
            return VideoOutput::Copy;
        }
        let Encoders(encoders) = reader.get(&self.encoder, Encoders(vec![DEFAULT_ENCODER.to_owned()]));
        let Preset(preset) = reader.get(&self.preset, Preset(DEFAULT_PRESET.to_owned()));
        if encoders.iter().any(|name| Encoder::by_name(name).is_none()) {
            let names: Vec<_> = Encoder::ALL.iter().map(|encoder| encoder.name()).collect();
            reader.refuse(self.encoder.place(), format!("must be of these encoders: {}", names.join(", ")));
        }
        VideoOutput::H264 { encoders, preset }
    }

    fn threads(&self, reader: &mut Reader) -> Option<u32> {
        let threads = reader.optional(&self.threads)?;
        Some(reader.within(&self.threads, threads, 1..=MAX_THREADS))
    }
}

/// The rendition, or `None` after noting what is wrong with it.
pub(super) fn mean(written: &Spanned<Written>, reader: &mut Reader) -> Option<Rendition> {
    let (table, written) = (written.span(), written.get_ref());
    let name = reader.required(&written.name, "name", &table);
    let height = reader.required(&written.height, "height", &table);
    let video_bitrate = reader.required(&written.video_bitrate, "video_bitrate", &table);
    let video = written.video(reader);
    let (fps, threads) = (reader.optional(&written.fps), written.threads(reader));
    // 4:2:0 pictures have half as many lines of colour.
    if height.is_some_and(|height| !(MIN_HEIGHT..=MAX_HEIGHT).contains(&height) || height % 2 != 0) {
        let problem = format!("must be an even number from {MIN_HEIGHT} to {MAX_HEIGHT}");
        reader.refuse(written.height.place(), problem);
    }
    if video_bitrate.is_some_and(|bitrate| !(10..=200_000).contains(&(bitrate.0 / 1000))) {
        reader.refuse(written.video_bitrate.place(), "must be from 10k to 200M");
    }
    Some(Rendition { name: name?, height: height?, video_bitrate: video_bitrate?, fps, threads, video })
}

impl Setting for VideoCodec {
    const ALLOWED: &'static str = r#""h264" or "copy""#;

    fn read(written: &Value) -> Option<Self> {
        match written.as_str()? {
            "h264" => Some(Self::H264),
            "copy" => Some(Self::Copy),
            _ => None,
        }
    }
}

impl Setting for FrameRate {
    const ALLOWED: &'static str =
        r#"a whole number from 1 to 240, an NTSC rate such as 29.97, or such a fraction: "30000/1001""#;

    fn read(written: &Value) -> Option<Self> {
        match written {
            Value::String(fraction) => fraction.parse().ok(),
            Value::Integer(_) | Value::Float(_) => written.to_string().parse().ok(),
            Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
        }
    }
}

impl Setting for Preset {
    const ALLOWED: &'static str =
        "one of ultrafast, superfast, veryfast, faster, fast, medium, slow, slower and veryslow";

    fn read(written: &Value) -> Option<Self> {
        let name = written.as_str().filter(|name| PRESETS.contains(name))?;
        Some(Self(name.to_owned()))
    }
}

impl Setting for Encoders {
    const ALLOWED: &'static str =
        r#"an encoder of FFmpeg or a list of 1 to 8, such as "libx264" or ["h264_nvenc", "libx264"]"#;

    fn read(written: &Value) -> Option<Self> {
        let listed = written.as_array().map_or(std::slice::from_ref(written), Vec::as_slice);
        let encoders: Option<Vec<_>> = listed.iter().map(|one| Some(one.as_str()?.to_owned())).collect();
        encoders.filter(|encoders| (1..=MAX_ENCODERS).contains(&encoders.len())).map(Self)
    }
}
