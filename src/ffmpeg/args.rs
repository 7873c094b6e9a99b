//! The arguments of one attempt: one FFmpeg that reads FLV from its standard input and writes each output, as a
//! fragmented MP4 with every access unit in a fragment of its own, to a pipe of its own.
//!
//! The flags make the output a function of source position: the source's times are kept and every source random access
//! point becomes an IDR picture, so that two attempts agree wherever they overlap. No shell is involved, nothing that a
//! publisher chose becomes an argument, and FFmpeg may open nothing but pipes.

use std::os::fd::RawFd;

use super::attempt::AttemptSpec;
use super::encoder::{Encoder, PRESETS, Usable};
use super::ladder::{AudioOutput, Latency, Output, Rendition, VideoOutput};
use super::{bounds, filters};

#[cfg(test)]
mod tests;

/// What a node runs an attempt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equipment {
    /// What each rendition is encoded by, in the ladder's order; `None` for a copy.
    pub encoders: Vec<Option<Usable>>,
    /// The node's cores: no encoder gets more threads.
    pub cores: u32,
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
    /// A preset that there is not.
    #[error("rendition {rendition} has a preset that is none")]
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

/// What each rendition of `attempt` is encoded by where nobody said it: the first that it asks for and this node has.
///
/// # Errors
/// When a rendition needs an encoder that is not among `usable`.
pub fn choose(attempt: &AttemptSpec, usable: &[Usable]) -> Result<Vec<Option<Usable>>, ArgumentsError> {
    if !attempt.has_video {
        return Ok(Vec::new());
    }
    let best = |(index, rendition): (u8, &Rendition)| {
        let VideoOutput::H264 { encoders, .. } = &rendition.video else { return Ok(None) };
        let of = |name: &String| {
            let encoder = Encoder::by_name(name)?;
            usable.iter().find(|usable| usable.encoder == encoder).cloned()
        };
        let found = encoders.iter().find_map(of);
        let wanted = || encoders.join(", ");
        found.map(Some).ok_or_else(|| ArgumentsError::NoEncoder { rendition: index, wanted: wanted() })
    };
    (0u8..).zip(&attempt.ladder.renditions).map(best).collect()
}

/// FFmpeg's arguments for `attempt`, without the program's name.
///
/// # Errors
/// When a rendition that must be encoded has no encoder, or a preset that is none.
pub fn arguments(
    attempt: &AttemptSpec,
    equipment: &Equipment,
    pipes: &Pipes,
) -> Result<Vec<String>, ArgumentsError> {
    let mut arguments = Arguments::default();
    arguments.input(attempt, equipment, pipes.progress);
    for &(output, descriptor) in &pipes.outputs {
        match output {
            Output::Rendition(index) => {
                if let Some(rendition) = attempt.ladder.renditions.get(usize::from(index)) {
                    match encoding(index, rendition, equipment)? {
                        None => arguments.copied(),
                        Some((usable, preset)) => {
                            let threads = bounds::encoder_threads(rendition).min(equipment.cores.max(1));
                            arguments.encoded(attempt, rendition, usable.encoder);
                            arguments.encoder(usable, preset, bounds::latency(attempt), threads);
                        }
                    }
                    arguments.words(&["-video_track_timescale", "90000"]);
                }
            }
            Output::Audio => arguments.audio(attempt),
        }
        arguments.fragmented_mp4(descriptor);
    }
    Ok(arguments.0)
}

/// What encodes a rendition, and with which preset; `None` for a copy.
fn encoding<'a>(
    index: u8,
    rendition: &'a Rendition,
    equipment: &'a Equipment,
) -> Result<Option<(&'a Usable, &'a str)>, ArgumentsError> {
    let VideoOutput::H264 { encoders, preset } = &rendition.video else { return Ok(None) };
    if !PRESETS.contains(&preset.as_str()) {
        return Err(ArgumentsError::BadPreset { rendition: index });
    }
    match equipment.encoders.get(usize::from(index)) {
        Some(Some(usable)) => Ok(Some((usable, preset))),
        Some(None) | None => Err(ArgumentsError::NoEncoder { rendition: index, wanted: encoders.join(", ") }),
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
    fn input(&mut self, attempt: &AttemptSpec, equipment: &Equipment, progress: RawFd) {
        // `level+` puts the level before each line, which `diagnosis` reads.
        self.words(&["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+warning"]);
        self.option("-progress", format!("pipe:{progress}"));
        self.words(&["-stats_period", "0.1"]);
        let mut opened: Vec<Vec<String>> = Vec::new();
        for device in equipment.encoders.iter().flatten().map(Usable::device_arguments) {
            // Several renditions on one device share it.
            if !opened.contains(&device) {
                self.0.extend(device.iter().cloned());
                opened.push(device);
            }
        }
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

    /// A rendition that is the source's own access units.
    fn copied(&mut self) {
        // No codec needs a bitstream filter: FLV carries H.264, HEVC, AV1 and VP9 as MP4 does, and FFmpeg's muxer takes
        // AV1's temporal delimiters off by itself (measured with 9.0). With `empty_moov` it adds no filter of its own.
        self.words(&["-map", "0:v:0", "-c:v", "copy"]);
    }

    /// What any encoder is told of a rendition.
    fn encoded(&mut self, attempt: &AttemptSpec, rendition: &Rendition, encoder: Encoder) {
        self.words(&["-map", "0:v:0"]);
        self.option("-vf", filters::video(attempt, rendition, encoder));
        if let Some(format) = encoder.pixel_format() {
            self.option("-pix_fmt", format);
        }
        self.words(&["-fps_mode", "passthrough", "-enc_time_base:v", "1:90000"]);
        self.words(&["-force_key_frames", "source"]);
        self.option("-g", attempt.max_gop_access_units(rendition));
        let rate = rendition.video_bitrate.0;
        self.option("-b:v", rate);
        self.option("-maxrate", rate);
        // A second of buffer lets a key frame be several times as large as a picture between two of them.
        self.option("-bufsize", rate);
    }

    /// What its row in the table says.
    fn encoder(&mut self, usable: &Usable, preset: &str, latency: Latency, threads: u32) {
        let encoder = usable.encoder;
        self.option("-c:v", encoder.name());
        self.0.extend(usable.binding().into_iter().flatten());
        if let Some(preset) = encoder.preset(preset) {
            self.option("-preset", preset);
        }
        self.words(&encoder.flags(preset, latency, usable.reordering));
        if encoder.is_threaded() {
            self.option("-threads", threads);
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
