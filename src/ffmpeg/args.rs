//! The arguments of one attempt: one FFmpeg that reads FLV from its standard input and writes each output, as a
//! fragmented MP4 with every access unit in a fragment of its own, to a pipe of its own.
//!
//! The flags make the output a function of source position: the source's times are kept and every source random access
//! point becomes an IDR picture, so that two attempts agree wherever they overlap. No shell is involved, nothing that a
//! publisher chose becomes an argument, and FFmpeg may open nothing but pipes.

use std::os::fd::RawFd;

use super::attempt::AttemptSpec;
use super::ladder::{AudioOutput, Latency, Output, Rendition, VideoOutput};
use super::{bounds, filters};

#[cfg(test)]
mod tests;

/// Video encoders whose flags are known. A profile may name others; no node can run them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoder {
    /// x264 on the CPU.
    Libx264,
}

impl Encoder {
    /// Every encoder there is a row of flags for.
    pub const ALL: &'static [Encoder] = &[Encoder::Libx264];

    /// The presets it has, the fastest first.
    #[must_use]
    pub const fn presets(self) -> &'static [&'static str] {
        match self {
            Self::Libx264 => &[
                "ultrafast",
                "superfast",
                "veryfast",
                "faster",
                "fast",
                "medium",
                "slow",
                "slower",
                "veryslow",
            ],
        }
    }

    /// FFmpeg's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Libx264 => "libx264",
        }
    }

    /// The encoder that FFmpeg calls `name`, if its flags are known.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|encoder| encoder.name() == name)
    }
}

/// How one output's video or audio is made on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding<'a> {
    Copy,
    H264 { encoder: Encoder, preset: &'a str },
}

/// Where FFmpeg writes to, as descriptor numbers in the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipes {
    /// `-progress` reports.
    pub progress: RawFd,
    /// Every output of the attempt, in the order of [`outputs`].
    pub outputs: Vec<(Output, RawFd)>,
}

/// A rendition for which this node has no encoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentsError {
    /// None of a rendition's encoders is usable here.
    #[error("rendition {rendition} needs one of the encoders {wanted}; this node has none of them")]
    NoEncoder {
        /// Index of the rendition.
        rendition: u8,
        /// The encoders asked for.
        wanted: String,
    },
    /// A preset that would not be one word of FFmpeg's command line.
    #[error("rendition {rendition} has a preset that is no word of letters and digits")]
    BadPreset {
        /// Index of the rendition.
        rendition: u8,
    },
}

/// The outputs of an attempt: its renditions where the input has video, its audio where it has audio.
#[must_use]
pub fn outputs(attempt: &AttemptSpec) -> Vec<Output> {
    let renditions = if attempt.has_video { attempt.ladder.renditions.len() } else { 0 };
    let audio = attempt.has_audio.then_some(Output::Audio);
    (0u8..).take(renditions).map(Output::Rendition).chain(audio).collect()
}

/// FFmpeg's arguments for `attempt`, without the program's name.
///
/// # Errors
/// When a rendition needs an encoder that is not among `usable`.
pub fn arguments(
    attempt: &AttemptSpec,
    usable: &[Encoder],
    pipes: &Pipes,
) -> Result<Vec<String>, ArgumentsError> {
    let mut arguments = Arguments::default();
    arguments.input(attempt, pipes.progress);
    for &(output, descriptor) in &pipes.outputs {
        match output {
            Output::Rendition(index) => {
                if let Some(rendition) = attempt.ladder.renditions.get(usize::from(index)) {
                    let track = choose(index, rendition, usable)?;
                    arguments.rendition(attempt, rendition, track);
                }
            }
            Output::Audio => arguments.audio(attempt),
        }
        arguments.fragmented_mp4(descriptor);
    }
    Ok(arguments.0)
}

/// The flags of `encoder` alone, as a 720p attempt uses them with a fast preset: enough to prove that it works.
#[must_use]
pub(super) fn encoder_flags(encoder: Encoder) -> Vec<String> {
    let mut arguments = Arguments::default();
    arguments.encoder(encoder, "veryfast", 720, Latency::Normal);
    arguments.0
}

/// The first encoder that `rendition` asks for and this node has.
fn choose<'a>(
    index: u8,
    rendition: &'a Rendition,
    usable: &[Encoder],
) -> Result<Encoding<'a>, ArgumentsError> {
    let VideoOutput::H264 { encoders, preset } = &rendition.video else { return Ok(Encoding::Copy) };
    if preset.is_empty() || !preset.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(ArgumentsError::BadPreset { rendition: index });
    }
    let mut known = encoders.iter().filter_map(|name| Encoder::by_name(name));
    match known.find(|encoder| usable.contains(encoder)) {
        Some(encoder) => Ok(Encoding::H264 { encoder, preset }),
        None => Err(ArgumentsError::NoEncoder { rendition: index, wanted: encoders.join(", ") }),
    }
}

/// The growing list of arguments.
#[derive(Default)]
struct Arguments(Vec<String>);

impl Arguments {
    /// Appends fixed words.
    fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|&word| word.to_owned()));
    }

    /// Appends an option with a value.
    fn option(&mut self, option: &str, value: impl ToString) {
        self.0.extend([option.to_owned(), value.to_string()]);
    }

    /// What concerns FFmpeg as a whole and its input.
    fn input(&mut self, attempt: &AttemptSpec, progress: RawFd) {
        // `level+` puts the level before each line, which `diagnosis` reads.
        self.words(&["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+warning"]);
        self.option("-progress", format!("pipe:{progress}"));
        self.words(&["-stats_period", "0.1"]);
        // The times that come in are the times that go out.
        self.words(&["-copyts"]);
        // Without these two, probing waits for up to 11 s; with them for 0.6 s, or less when two GOPs come at once.
        self.words(&["-analyzeduration", "500000", "-fpsprobesize", "0"]);
        if !attempt.has_audio {
            // One track shows with its first picture. FFmpeg would look at four: at one a second that takes three more.
            self.words(&["-probesize", "32"]);
        }
        self.words(&["-protocol_whitelist", "pipe"]);
        // Each decoder thread but one holds a picture back.
        self.option("-threads", bounds::decoder_threads(attempt));
        // Damaged input is counted, not a reason to give the stream up (FFmpeg's default ends with status 69 at two thirds).
        self.words(&["-max_error_rate", "1"]);
        self.words(&["-f", "flv", "-i", "pipe:0"]);
    }

    fn rendition(&mut self, attempt: &AttemptSpec, rendition: &Rendition, track: Encoding<'_>) {
        self.words(&["-map", "0:v:0"]);
        match track {
            // No codec needs a bitstream filter: FLV carries H.264, HEVC, AV1 and VP9 as MP4 does, and FFmpeg's muxer takes
            // AV1's temporal delimiters off by itself (measured with 9.0). With `empty_moov` it adds no filter of its own.
            Encoding::Copy => self.words(&["-c:v", "copy"]),
            Encoding::H264 { encoder, preset } => {
                self.option("-vf", filters::video(attempt, rendition));
                self.words(&["-pix_fmt", "yuv420p"]);
                self.words(&["-fps_mode", "passthrough", "-enc_time_base:v", "1:90000"]);
                self.words(&["-force_key_frames", "source"]);
                self.option("-g", attempt.max_gop_access_units(rendition));
                let rate = rendition.video_bitrate.0;
                self.option("-b:v", rate);
                self.option("-maxrate", rate);
                // A second of buffer lets a key frame be several times as large as a picture between two of them.
                self.option("-bufsize", rate);
                self.encoder(encoder, preset, rendition.height, bounds::latency(attempt));
            }
        }
        self.words(&["-video_track_timescale", "90000"]);
    }

    /// The table of flags: a row for each encoder, because not every encoder has each of them.
    fn encoder(&mut self, encoder: Encoder, preset: &str, height: u32, latency: Latency) {
        self.option("-c:v", encoder.name());
        match encoder {
            Encoder::Libx264 => {
                self.option("-preset", preset);
                // A forced key frame is an IDR picture, and nothing else is one.
                self.words(&["-forced-idr", "1", "-sc_threshold", "0"]);
                self.option("-threads", bounds::encoder_threads(height));
                match latency {
                    Latency::Low => self.words(&["-tune", "zerolatency"]),
                    Latency::Normal if looks_ahead_far(preset) => self.words(&["-rc-lookahead", "10"]),
                    Latency::Normal => {}
                }
            }
        }
    }

    fn audio(&mut self, attempt: &AttemptSpec) {
        self.words(&["-map", "0:a:0"]);
        match attempt.ladder.audio {
            AudioOutput::Copy => self.words(&["-c:a", "copy"]),
            AudioOutput::Aac { bitrate } => {
                self.option("-af", filters::audio(&attempt.audio_start));
                self.words(&["-ac", "2", "-c:a", "aac"]);
                self.option("-b:a", bitrate.0);
            }
        }
    }

    /// The output's container: each access unit leaves in a `moof` of its own, at once, with the source's times.
    fn fragmented_mp4(&mut self, descriptor: RawFd) {
        self.words(&["-avoid_negative_ts", "disabled", "-flush_packets", "1"]);
        self.words(&[
            "-movflags",
            "+empty_moov+default_base_moof+negative_cts_offsets+frag_discont+frag_every_frame",
        ]);
        self.words(&["-f", "mp4"]);
        self.0.push(format!("pipe:{descriptor}"));
    }
}

/// Whether x264's preset looks ahead further than 10 pictures (x264 `common/base.c`, `param_apply_preset`: ultrafast and
/// superfast do not at all, veryfast by 10, the default is 40). Setting 10 on the fast ones would slow them down.
fn looks_ahead_far(preset: &str) -> bool {
    !matches!(preset, "ultrafast" | "superfast" | "veryfast")
}
