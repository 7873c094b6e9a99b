//! The video encoders whose flags are known: one table, a row for each. A row makes FFmpeg's output a function of source
//! position (a forced key frame becomes an IDR picture and nothing else does, no picture is left out) and keeps what the
//! encoder holds back within the bound of the profile's latency.
//!
//! Learnt from `ffmpeg -h encoder=NAME` of FFmpeg 5.1.9 and 9.0.2 and from libavcodec's sources; every flag is in both where
//! the encoder is. A row is no promise: on each node an encoder proves itself first ([`super::proof`]).
//!
//! `h264_amf` has no row: FFmpeg 5.1 has it on Windows only, and AMD's GPUs are reached through VAAPI on Linux.

use super::ladder::Latency;

mod table;
#[cfg(test)]
mod tests;

/// The presets that a profile may name for any encoder, the fastest first: x264's (`x264 --fullhelp`, `--preset`). Each
/// row says what its encoder calls them.
pub const PRESETS: [&str; 9] =
    ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"];

/// A video encoder whose flags are known. A profile can name no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoder {
    /// x264 on the CPU.
    Libx264,
    /// Cisco's `OpenH264` on the CPU: constrained baseline, and far fewer ways to save bits than x264.
    Libopenh264,
    /// NVIDIA's NVENC.
    H264Nvenc,
    /// What the GPU's driver offers through VA-API: Intel and AMD on Linux.
    H264Vaapi,
    /// Intel's Quick Sync Video.
    H264Qsv,
}

/// Encoders of one class make alike pictures: all attempts of a stream prefer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// On the CPU.
    Software,
    /// On an NVIDIA GPU.
    Nvenc,
    /// On a GPU through VA-API.
    Vaapi,
    /// On an Intel GPU through its own runtime.
    Qsv,
}

/// Where an encoder runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Device {
    /// On the CPU.
    Cpu,
    /// On the NVIDIA GPU with this index, counted by its place on the PCI bus as NVML does. `None`: on the first that
    /// will do.
    Nvidia(Option<u32>),
    /// On the GPU behind this render node, such as `/dev/dri/renderD128`.
    RenderNode(String),
}

/// Whether an encoder may put pictures out in another order than they are shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reordering {
    /// It may make B-frames, as far as its row has them.
    BFrames,
    /// It may not: the latency is low, or its times come out wrong with them.
    None,
}

/// An encoder that proved itself, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Usable {
    /// Which.
    pub encoder: Encoder,
    /// Where.
    pub device: Device,
    /// Whether its B-frames come out with the right times.
    pub reordering: Reordering,
}

/// Key frames of an encoder beyond the forced ones and those of `-g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SceneCuts {
    /// There are none.
    Off,
    /// It begins a GOP at a scene cut, and nothing can stop it. Where, depends on the source's pictures since the last key
    /// frame alone, so all attempts agree about it once their warm-up is over.
    Kept,
}

/// One encoder's row.
pub(super) struct Row {
    name: &'static str,
    class: Class,
    /// Filters that end its filter graph.
    filters: &'static [&'static str],
    /// `-pix_fmt`, where the filters do not say it.
    pixel_format: Option<&'static str>,
    /// The option that takes a preset, and what it calls each of [`PRESETS`].
    presets: Option<[&'static str; 9]>,
    /// A forced key frame is an IDR picture, nothing else is one, and no picture is left out.
    exact: &'static [&'static str],
    /// Whether it makes key frames of its own.
    scene_cuts: SceneCuts,
    /// What [`Latency::Normal`] needs.
    normal: &'static [&'static str],
    /// What [`Latency::Low`] needs; no B-frames among it.
    low: &'static [&'static str],
    /// What makes it use B-frames with [`Latency::Normal`]; nothing where its preset says it, or where it has none.
    b_frames: &'static [&'static str],
    /// What makes it go without; nothing where it has none.
    no_b_frames: &'static [&'static str],
    /// Whether `-threads` means anything to it.
    threaded: bool,
    /// Pictures that it holds back with [`Latency::Normal`] and with [`Latency::Low`]; of x264 see [`Encoder::held_back`].
    held_back: (u32, u32),
}

impl Encoder {
    /// Every encoder there is a row for.
    pub const ALL: &'static [Encoder] =
        &[Self::Libx264, Self::Libopenh264, Self::H264Nvenc, Self::H264Vaapi, Self::H264Qsv];

    /// Its row.
    fn row(self) -> &'static Row {
        match self {
            Self::Libx264 => &table::LIBX264,
            Self::Libopenh264 => &table::LIBOPENH264,
            Self::H264Nvenc => &table::H264_NVENC,
            Self::H264Vaapi => &table::H264_VAAPI,
            Self::H264Qsv => &table::H264_QSV,
        }
    }

    /// FFmpeg's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The encoder that FFmpeg calls `name`, if its flags are known.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|encoder| encoder.name() == name)
    }

    /// Its class.
    #[must_use]
    pub fn class(self) -> Class {
        self.row().class
    }

    /// Whether it can make B-frames, and can be told not to.
    #[must_use]
    pub fn reorders(self) -> bool {
        !self.row().no_b_frames.is_empty()
    }

    /// Key frames beyond those that are asked for.
    pub(super) fn scene_cuts(self) -> SceneCuts {
        self.row().scene_cuts
    }

    /// The filters that its pictures must have gone through last.
    pub(super) fn filters(self) -> &'static [&'static str] {
        self.row().filters
    }

    /// The format of the pictures that it takes from FFmpeg, where no filter says it.
    pub(super) fn pixel_format(self) -> Option<&'static str> {
        self.row().pixel_format
    }

    /// Whether it takes a number of threads.
    pub(super) fn is_threaded(self) -> bool {
        self.row().threaded
    }

    /// What it calls the preset that x264 calls `preset`; `None` where it has no presets.
    pub(super) fn preset(self, preset: &str) -> Option<&'static str> {
        let at = PRESETS.iter().position(|known| *known == preset)?;
        self.row().presets?.get(at).copied()
    }

    /// All else that makes its output what an attempt needs.
    pub(super) fn flags(self, preset: &str, latency: Latency, reordering: Reordering) -> Vec<&'static str> {
        let row = self.row();
        let rest: [&[&str]; 2] = match (latency, reordering) {
            (Latency::Low, _) => [row.low, &[]],
            (Latency::Normal, Reordering::BFrames) => [row.normal, row.b_frames],
            (Latency::Normal, Reordering::None) => [row.normal, row.no_b_frames],
        };
        // The one flag that depends on a preset: setting it on the fast ones would slow them down.
        let looks_too_far = self == Self::Libx264 && latency == Latency::Normal && looks_ahead_far(preset);
        let shorter: &[&str] = if looks_too_far { &["-rc-lookahead", "10"] } else { &[] };
        [row.exact, rest[0], rest[1], shorter].concat()
    }

    /// Pictures that it holds back with so many threads.
    ///
    /// x264 (`encoder/encoder.c`, `i_delay`): the look-ahead, or the B-frames that its decision needs; a picture for each
    /// further thread; a look-ahead's own thread, one more than there are B-frames; one for variable frame rates. With
    /// `-tune zerolatency` it is none.
    pub(super) fn held_back(self, preset: &str, threads: u32, latency: Latency) -> u32 {
        match (self, latency) {
            (Self::Libx264, Latency::Normal) => {
                let (b_frames, decision) = match preset {
                    "ultrafast" => (0, 0),
                    "superfast" => (3, 3),
                    "veryfast" | "faster" | "fast" | "medium" | "slow" => (3, 10),
                    // Its better decision about B-frames looks at four times as many.
                    "slower" => (3, 12),
                    _ => (8, 32),
                };
                decision + threads.saturating_sub(1) + (b_frames + 1) + 1
            }
            (_, Latency::Normal) => self.row().held_back.0,
            (_, Latency::Low) => self.row().held_back.1,
        }
    }
}

/// Whether x264's preset looks ahead further than 10 pictures (x264 `common/base.c`, `param_apply_preset`: ultrafast and
/// superfast do not at all, veryfast by 10, the default is 40).
fn looks_ahead_far(preset: &str) -> bool {
    !matches!(preset, "ultrafast" | "superfast" | "veryfast")
}

impl Usable {
    /// Arguments that open its device, before any input. One that FFmpeg finds by itself needs none.
    pub(super) fn device_arguments(&self) -> Vec<String> {
        match (self.encoder.class(), &self.device) {
            (Class::Vaapi, Device::RenderNode(node)) => {
                vec![
                    "-init_hw_device".to_owned(),
                    format!("vaapi=va:{node}"),
                    "-filter_hw_device".to_owned(),
                    "va".to_owned(),
                ]
            }
            (Class::Qsv, Device::RenderNode(node)) => {
                vec!["-init_hw_device".to_owned(), format!("qsv=qs:hw,child_device={node}")]
            }
            (Class::Software | Class::Nvenc | Class::Vaapi | Class::Qsv, _) => Vec::new(),
        }
    }

    /// Arguments that bind the encoder to its device.
    pub(super) fn binding(&self) -> Option<[String; 2]> {
        match self.device {
            Device::Nvidia(Some(index)) => Some(["-gpu".to_owned(), index.to_string()]),
            Device::Nvidia(None) | Device::Cpu | Device::RenderNode(_) => None,
        }
    }

    /// An encoder on the CPU, with all that it has.
    #[must_use]
    pub fn software(encoder: Encoder) -> Self {
        Self { encoder, device: Device::Cpu, reordering: Reordering::BFrames }
    }
}
