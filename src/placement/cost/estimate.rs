//! What an attempt needs by the table: what is known of work that nobody has seen running.
//!
//! The CPU figures are user and system time of FFmpeg 5.1.9 (Debian) and 9.0.2 on one AMD EPYC core at 3 GHz or so, each
//! with the arguments of an attempt, reading 12 s of FLV as fast as it could: 30 pictures a second of a photograph that is
//! panned with some noise, and of `testsrc2`, 640x360 at 0.9 Mbit/s to 1920x1080 at 6 Mbit/s. `make cost-table` measures
//! them again. Nearly everything is in proportion to pixels a second; what is written is thousandths of a core for each
//! million pixels a second. Other machines are faster or slower, and other pictures harder: that is learnt.

use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::ladder::{Deinterlace, VideoOutput};
use crate::placement::work::{AudioWork, RenditionWork, SourceMedia, Work};
use crate::wire::cost::{Cost, GpuResources, Resources};
use crate::wire::report::EncoderOn;

/// Cores of an FFmpeg that copies: it reads, and writes 10 reports a second. At the pace of a live stream, so that it is woken
/// for each access unit, 0.015 (5.1) and 0.011 (9.0); as fast as it can, half of that.
const PROCESS: f64 = 0.013;
/// Cores of each further output that is encoded, beside what its pixels take: its threads are woken for each picture. A
/// 240p rendition beside a 360p one, both ultrafast, takes 0.050 (5.1) and 0.038 (9.0), of which 0.020 are its pixels'.
const OUTPUT: f64 = 0.015;
/// Cores of sound that is decoded, resampled and encoded as stereo AAC. 5.1: 0.0164, 9.0: 0.0188.
const SOUND: f64 = 0.018;
/// Thousandths of a core for each million pixels a second that are scaled, of those that come in and those that go out.
/// 1080p to 720p 0.05 cores, 360p 0.049, 240p 0.039; 720p to 360p 0.012 (5.1; 9.0 takes half).
const SCALED: f64 = 0.5;
/// As many for `yadif`, once for each rendition. 5.1: 2.0 a frame and 3.6 a field; 9.0: 0.95 and 3.0.
const FRAMES_MADE: f64 = 1.5;
const FIELDS_SHOWN: f64 = 3.3;
/// As many for `OpenH264`, which has no presets, and its bytes for each pixel. 9.0: 5.3 at 360p and 8.2 at 720p; 18 bytes.
const OPENH264: f64 = 7.0;
const OPENH264_BYTES: f64 = 20.0;
/// As many for handing pictures to hardware. Not measured: about two copies of a picture and the driver.
const HANDED_OVER: f64 = 1.5;

/// Bytes of an FFmpeg that copies. 5.1: 54 to 58 MB, 9.0: 34 to 38 MB.
const PROCESS_BYTES: f64 = 46e6;
/// Bytes for each pixel of a picture that is decoded, with two threads: 14 to 16.
const DECODED_BYTES: f64 = 15.0;
/// Bytes for each pixel of the pictures on their way to hardware.
const HANDED_OVER_BYTES: f64 = 30.0;

/// Bytes of a GPU for a context and an encoder's session, and for each pixel of its pictures. Not measured.
const SESSION_BYTES: f64 = 200e6;
const SESSION_PIXEL_BYTES: f64 = 50.0;

/// No source has more pictures a second, whatever is said of it.
const MOST_RATE: f64 = 1000.0;
/// More than any camera, in millions of pixels a picture: what is larger comes of damaged configurations.
const MOST_MEGAPIXELS: f64 = 256.0;

/// A preset: x264's thousandths of a core for each million pixels a second with the muxer's, x264's bytes for each pixel,
/// and how many million pixels a second an encoder of a GPU makes with its own preset of that kind.
struct Preset {
    cpu: f64,
    bytes: f64,
    gpu_megapixels: f64,
}

/// x264's figures lie between both kinds of pictures, nearer to the photograph. Measured with 5.1 (the photograph at 360p,
/// 720p and 1080p, `testsrc2` at 360p and 1080p): ultrafast 5.0 5.5 5.1 4.4 3.7, superfast 9.3 11.5 8.5 6.4 7.6, veryfast
/// 17.1 17.8 16.4 13.3 10.1, faster 32.7 31.6 27.5 19.3 14.7, fast 37.2 35.1 32.5 24.5 18.2, medium 44.8 50.5 41.3 29.0 20.8,
/// slow 76.3 73.0 and 41.8, slower 114 and 82, veryslow 266 and 159; 9.0 is alike within 10 %. `zerolatency` changes that by -20 to +30 %.
///
/// The GPU's are no measurements: they are of the order that NVIDIA tells of one Turing encoder, and on the safe side.
fn preset(name: &str) -> Preset {
    let (cpu, bytes, gpu_megapixels) = match name {
        "ultrafast" => (5.0, 60.0, 1000.0),
        "superfast" => (9.0, 140.0, 1000.0),
        "veryfast" => (17.0, 155.0, 900.0),
        "faster" => (29.0, 155.0, 750.0),
        "fast" => (34.0, 155.0, 750.0),
        "slow" => (68.0, 165.0, 450.0),
        "slower" => (105.0, 185.0, 350.0),
        "veryslow" => (230.0, 380.0, 250.0),
        // Its default, "medium", is what a name means that nobody knows.
        _ => (43.0, 165.0, 600.0),
    };
    Preset { cpu, bytes, gpu_megapixels }
}

/// Decoding: thousandths of a core for each million pixels a second, and for each Mbit/s.
///
/// Measured of the photograph, in cores, 1080p and 360p: H.264 0.190 and 0.036 (5.1), 0.215 and 0.029 (9.0); with 9.0 HEVC
/// 0.284 and 0.035, AV1 (dav1d) 0.121 and 0.027, VP9 0.278 and 0.035. HEVC and AV1 by fast presets.
fn decoding(carriage: Carriage) -> (f64, f64) {
    match carriage {
        Carriage::H264 => (2.1, 12.0),
        Carriage::Hevc => (4.2, 4.0),
        Carriage::Av1 => (1.6, 6.0),
        Carriage::Vp9 => (3.4, 7.5),
        Carriage::Aac | Carriage::Mp3 | Carriage::Opus | Carriage::Flac | Carriage::Ac3 | Carriage::Eac3 => {
            (0.0, 0.0)
        }
    }
}

/// What `work` needs where its renditions are made by these `encoders`. Always finite.
pub(super) fn cost(work: &Work, encoders: &[Option<EncoderOn>]) -> Cost {
    let process = Resources { cpu: PROCESS, memory: PROCESS_BYTES, disk: 0.0, network: network(work) };
    let mut cost = Cost { machine: process, gpus: Vec::new() };
    if work.renditions.iter().any(RenditionWork::is_encoded) {
        cost.machine += decoded(&work.source);
    }
    for (index, rendition) in work.renditions.iter().enumerate() {
        let VideoOutput::H264 { preset: name, .. } = &rendition.video else { continue };
        let (encoder, preset) = (encoders.get(index).and_then(Option::as_ref), preset(name));
        cost.machine += filtered(work, rendition);
        cost.machine += encoded(rendition, &preset, encoder);
        if let Some(gpu) = encoder.and_then(|encoder| encoder.gpu) {
            cost.gpus.push((gpu, session(rendition, &preset)));
        }
    }
    if work.audio == AudioWork::Encode {
        cost.machine.cpu += SOUND;
    }
    cost
}

fn decoded(source: &SourceMedia) -> Resources {
    let (pixels, bits) = source.video.map_or((0.0, 0.0), decoding);
    let megapixels = megapixels(source.width, source.height);
    Resources {
        cpu: (pixels * megapixels * rate(source.fps) + bits * bits_per_second(source.bitrate) / 1e6) / 1e3,
        memory: DECODED_BYTES * megapixels * 1e6,
        ..Resources::default()
    }
}

/// Fields first, then the frame rate, then the size: what is scaled is as large as the source and as many as go out.
fn filtered(work: &Work, rendition: &RenditionWork) -> Resources {
    let source = megapixels(work.source.width, work.source.height);
    let deinterlaced = match work.deinterlace {
        Deinterlace::Off => 0.0,
        Deinterlace::Frame => FRAMES_MADE,
        Deinterlace::Field => FIELDS_SHOWN,
    };
    let resized = (rendition.width, rendition.height) != (work.source.width, work.source.height);
    let out = megapixels(rendition.width, rendition.height);
    let scaled = if resized { SCALED * (source + out) * rate(rendition.fps) } else { 0.0 };
    let cpu = (deinterlaced * source * rate(work.source.fps) + scaled) / 1e3;
    Resources { cpu, ..Resources::default() }
}

/// On hardware only the way there is the machine's own.
fn encoded(rendition: &RenditionWork, preset: &Preset, encoder: Option<&EncoderOn>) -> Resources {
    let (cpu, bytes) = match encoder {
        Some(encoder) if is_hardware(encoder) => (HANDED_OVER, HANDED_OVER_BYTES),
        Some(encoder) if encoder.encoder == "libopenh264" => (OPENH264, OPENH264_BYTES),
        Some(_) | None => (preset.cpu, preset.bytes),
    };
    let megapixels = megapixels(rendition.width, rendition.height);
    Resources {
        cpu: OUTPUT + cpu * megapixels * rate(rendition.fps) / 1e3,
        memory: bytes * megapixels * 1e6,
        ..Resources::default()
    }
}

/// FFmpeg's encoders in software are named after a library.
fn is_hardware(encoder: &EncoderOn) -> bool {
    encoder.gpu.is_some() || !encoder.encoder.starts_with("lib")
}

fn session(rendition: &RenditionWork, preset: &Preset) -> GpuResources {
    let megapixels = megapixels(rendition.width, rendition.height);
    GpuResources {
        encoder: megapixels * rate(rendition.fps) / preset.gpu_megapixels,
        decoder: 0.0,
        memory: SESSION_BYTES + SESSION_PIXEL_BYTES * megapixels * 1e6,
        sessions: 1.0,
    }
}

/// A node receives the source and sends the renditions: the busier direction counts.
fn network(work: &Work) -> f64 {
    let sent = work.renditions.iter().map(|rendition| bits_per_second(rendition.bitrate));
    bits_per_second(work.source.bitrate).max(sent.sum())
}

fn megapixels(width: u32, height: u32) -> f64 {
    (f64::from(width) * f64::from(height) / 1e6).min(MOST_MEGAPIXELS)
}

/// What is no number is none.
fn rate(fps: f64) -> f64 {
    if fps.is_nan() { 0.0 } else { fps.clamp(0.0, MOST_RATE) }
}

#[expect(clippy::cast_precision_loss, reason = "bit rates beyond 2^53 do not exist")]
fn bits_per_second(bitrate: u64) -> f64 {
    bitrate as f64
}

#[cfg(test)]
mod tests;
