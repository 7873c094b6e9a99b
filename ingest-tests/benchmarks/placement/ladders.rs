//! What publishers send and what is made of it: every mix of source, ladder and encoders that the simulated streams have.

use std::rc::Rc;

use headgate::ffmpeg::capability::Carriage;
use headgate::ffmpeg::ladder::{Deinterlace, VideoOutput};
use headgate::placement::demand::Demand;
use headgate::placement::work::{AudioWork, RenditionWork, SourceMedia, Work};

use super::hardware::{HARDWARE, SOFTWARE};

/// A source: lines, pictures a second, and how common it is.
const SOURCES: [(u32, f64, f64); 10] = [
    (480, 30.0, 8.0),
    (576, 25.0, 6.0),
    (720, 30.0, 20.0),
    (720, 60.0, 8.0),
    (1080, 25.0, 12.0),
    (1080, 30.0, 24.0),
    (1080, 50.0, 6.0),
    (1080, 60.0, 12.0),
    (2160, 30.0, 3.0),
    (2160, 60.0, 1.0),
];
/// What is made of it, and how common that is.
const MADE: [(Made, f64); 4] =
    [(Made::Everything, 45.0), (Made::SourceAndLess, 35.0), (Made::Two, 12.0), (Made::Copy, 8.0)];
/// By which encoders and at which preset, and how common that is.
const ENCODERS: [(&[&str], &str, f64); 5] = [
    (&[SOFTWARE], "veryfast", 35.0),
    (&[SOFTWARE], "medium", 15.0),
    (&[HARDWARE, SOFTWARE], "veryfast", 35.0),
    (&[HARDWARE, SOFTWARE], "medium", 12.0),
    (&[HARDWARE], "veryfast", 3.0),
];
/// Heights that ladders are made of.
const RUNGS: [u32; 5] = [2160, 1080, 720, 480, 360];

/// A shape of ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// Every rung from the source down, encoded.
    Everything,
    /// The source copied, and the rungs below it.
    SourceAndLess,
    /// The two highest rungs.
    Two,
    /// The source copied and nothing else.
    Copy,
}

/// What all streams of one kind have in common.
#[derive(Clone, Debug)]
pub struct Kind {
    /// What a proxy asks placement for.
    pub demand: Rc<Demand>,
    /// How common it is.
    pub weight: f64,
}

/// All kinds that there are. Encoders mean nothing to a copy: it is listed once.
pub fn catalogue() -> Vec<Kind> {
    let every: f64 = ENCODERS.iter().map(|(_, _, weight)| weight).sum();
    let mut kinds = Vec::new();
    for (height, fps, source_weight) in SOURCES {
        for (made, made_weight) in MADE {
            let weight = source_weight * made_weight;
            if made == Made::Copy {
                kinds.push(kind((height, fps), &[], made, weight * every));
                continue;
            }
            for (encoders, preset, encoder_weight) in ENCODERS {
                let encoders: Vec<String> = encoders.iter().map(|&name| name.to_owned()).collect();
                let video = VideoOutput::H264 { encoders, preset: preset.to_owned() };
                let renditions = encoded(height, made, &video);
                kinds.push(kind((height, fps), &renditions, made, weight * encoder_weight));
            }
        }
    }
    kinds
}

/// The rungs that are encoded, with how.
fn encoded(height: u32, made: Made, video: &VideoOutput) -> Vec<(u32, VideoOutput)> {
    let below = RUNGS.iter().copied().filter(|&rung| rung < height);
    let rungs: Vec<u32> = match made {
        Made::Everything => [height].into_iter().chain(below).collect(),
        Made::SourceAndLess => below.collect(),
        Made::Two => [height].into_iter().chain(below.take(1)).collect(),
        Made::Copy => Vec::new(),
    };
    rungs.into_iter().map(|rung| (rung, video.clone())).collect()
}

fn kind((height, fps): (u32, f64), encoded: &[(u32, VideoOutput)], made: Made, weight: f64) -> Kind {
    let source = SourceMedia {
        video: Some(Carriage::H264),
        audio: Some(Carriage::Aac),
        width: width(height),
        height,
        fps,
        bitrate: bitrate(height, fps) * 3 / 2,
    };
    let copies = matches!(made, Made::SourceAndLess | Made::Copy);
    let copy = (height, VideoOutput::Copy);
    let all = [copy].iter().filter(|_| copies).chain(encoded).cloned().collect::<Vec<_>>();
    let renditions = all.into_iter().map(|(lines, video)| RenditionWork {
        name: format!("{lines}p").parse().expect("digits and a letter"),
        width: width(lines),
        height: lines,
        fps,
        bitrate: if video == VideoOutput::Copy { source.bitrate } else { bitrate(lines, fps) },
        video,
    });
    let renditions: Vec<RenditionWork> = renditions.collect();
    let decodes = if encoded.is_empty() { Vec::new() } else { vec![Carriage::H264] };
    let work = Work { source, renditions, audio: AudioWork::Copy, deinterlace: Deinterlace::Off };
    let reads = vec![Carriage::H264, Carriage::Aac];
    Kind { demand: Rc::new(Demand { work, reads, decodes, ..Demand::default() }), weight }
}

/// Of a picture that is 16 to 9, even.
fn width(height: u32) -> u32 {
    height * 16 / 9 / 2 * 2
}

/// A tenth of a bit for a pixel, more or less what live ladders have.
fn bitrate(height: u32, fps: f64) -> u64 {
    let pixels = u64::from(height) * u64::from(width(height));
    let rate: u64 = if fps > 30.0 { 50 } else { 30 };
    pixels * rate / 10
}
