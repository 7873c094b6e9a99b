//! What work really takes: a model of its own, which no policy but the clairvoyant sees. It differs from placement's estimate
//! by class, by encoder, by preset and by content, as real machines do.

use headgate::ffmpeg::ladder::VideoOutput;
use headgate::placement::work::{RenditionWork, Work};
use headgate::wire::cost::{Cost, GpuResources, Resources};
use headgate::wire::report::EncoderOn;

use super::hardware::{Class, HARDWARE, SOFTWARE};

/// Core seconds for a pixel, on a middling machine: decoded, scaled from the source, given to a GPU, and encoded by x264 at
/// `veryfast`. 1080p at 30 a second costs a quarter of a core to decode and 1.3 to encode.
const DECODE: f64 = 4.0e-9;
const SCALE: f64 = 1.2e-9;
const UPLOAD: f64 = 0.6e-9;
const ENCODE: f64 = 21.0e-9;
/// How many times that x264 needs at `medium`.
const MEDIUM: f64 = 2.1;
/// Encoding suffers more from an old processor than all else.
const ENCODE_SLOWNESS_POWER: f64 = 1.3;
/// Large pictures cost less a pixel, in proportion to their size to this power.
const SIZE_POWER: f64 = -0.08;
/// Pixels of a 720p picture, at which the constants are right.
const MIDDLING_PIXELS: f64 = 1280.0 * 720.0;
/// GPUs make so much less at `medium`.
const GPU_MEDIUM: f64 = 1.5;
/// Bytes: of a process; for each pixel of a picture in a GPU's session and in x264's look-ahead.
const PROCESS: f64 = 90e6;
const X264_BYTES: f64 = 90.0;
const SESSION: f64 = 150e6;
const SESSION_BYTES: f64 = 40.0;
/// Core seconds for each bit that passes.
const PASSING: f64 = 4.0e-10;

/// What `work` really takes on machines of a class, each rendition by its encoder. `content` is what the pictures do to the
/// cost of coding them, about 1.
pub fn cost(work: &Work, class: &Class, encoders: &[Option<EncoderOn>], content: f64) -> Cost {
    let mut machine = Resources { memory: PROCESS, ..Resources::default() };
    let mut gpus: Vec<(u32, GpuResources)> = Vec::new();
    let source = work.source.pixel_rate();
    let encodes = encoders.iter().any(Option::is_some);
    if encodes {
        machine.cpu += DECODE * source * class.slowness;
    }
    let sent: u64 = work.renditions.iter().map(|rendition| rendition.bitrate).sum();
    machine.network = float(sent.max(work.source.bitrate));
    machine.cpu += PASSING * (float(sent) + float(work.source.bitrate)) * class.slowness;
    for (rendition, on) in work.renditions.iter().zip(encoders) {
        let Some(on) = on else { continue };
        machine.cpu += SCALE * source.max(rendition.pixel_rate()) * class.slowness;
        match on.gpu {
            None => add_software(&mut machine, rendition, class, content),
            Some(gpu) => {
                machine.cpu += UPLOAD * rendition.pixel_rate() * class.slowness;
                gpus.push((gpu, session(rendition, class, content)));
            }
        }
    }
    Cost { machine, gpus }
}

fn add_software(machine: &mut Resources, rendition: &RenditionWork, class: &Class, content: f64) {
    let pixels = f64::from(rendition.width) * f64::from(rendition.height);
    let size = (pixels / MIDDLING_PIXELS).powf(SIZE_POWER);
    let preset = if is_medium(rendition) { MEDIUM } else { 1.0 };
    let slowness = class.slowness.powf(ENCODE_SLOWNESS_POWER);
    machine.cpu += ENCODE * rendition.pixel_rate() * size * preset * slowness * content;
    machine.memory += X264_BYTES * pixels;
}

fn session(rendition: &RenditionWork, class: &Class, content: f64) -> GpuResources {
    let pixels = f64::from(rendition.width) * f64::from(rendition.height);
    let preset = if is_medium(rendition) { GPU_MEDIUM } else { 1.0 };
    // What the pictures show matters half as much to a GPU, whose search is of a fixed length.
    let content = f64::midpoint(1.0, content);
    GpuResources {
        encoder: rendition.pixel_rate() * preset * content / class.gpu.pixels.max(1.0),
        decoder: 0.0,
        memory: SESSION + SESSION_BYTES * pixels,
        sessions: 1.0,
    }
}

fn is_medium(rendition: &RenditionWork) -> bool {
    matches!(&rendition.video, VideoOutput::H264 { preset, .. } if preset == "medium")
}

/// Bit rates and sizes are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "an amount to reckon with")]
pub fn float(amount: u64) -> f64 {
    amount as f64
}

/// Each rendition by the named encoder, all on one GPU if it is one of GPUs; `None` if one of them does not take it.
pub fn encoders(work: &Work, encoder: &str, gpu: Option<u32>) -> Option<Vec<Option<EncoderOn>>> {
    let on = |rendition: &RenditionWork| match rendition.is_encoded() {
        false => Some(None),
        true if rendition.encoders().iter().any(|name| name == encoder) => {
            Some(Some(EncoderOn { encoder: encoder.to_owned(), gpu }))
        }
        true => None,
    };
    work.renditions.iter().map(on).collect()
}

/// The ways in which a node can make a stream that need to be told apart: all by the processor, or all by one GPU.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// By the processor; of a copy, too.
    pub software: Option<Cost>,
    /// By a GPU, listed as number 0.
    pub hardware: Option<Cost>,
}

impl Ways {
    /// What it takes by a GPU, or without.
    pub fn way(&self, gpu: Option<u32>) -> Option<&Cost> {
        if gpu.is_some() { self.hardware.as_ref() } else { self.software.as_ref() }
    }
}

/// What a stream takes on machines of a class, by each way.
pub fn ways(work: &Work, class: &Class, content: f64) -> Ways {
    let made = |encoder, gpu| encoders(work, encoder, gpu).map(|on| cost(work, class, &on, content));
    let encodes = work.renditions.iter().any(RenditionWork::is_encoded);
    let hardware = (class.gpus > 0 && encodes).then(|| made(HARDWARE, Some(0))).flatten();
    Ways { software: made(SOFTWARE, None), hardware }
}
