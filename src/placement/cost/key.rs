//! What an average is kept by: texts, so that the file can be read by people too.

use std::fmt::Write as _;

use crate::ffmpeg::ladder::{Deinterlace, VideoOutput};
use crate::placement::work::{AudioWork, RenditionWork, Work};
use crate::wire::report::EncoderOn;

/// A work whose text is longer has no average of its own. Sixteen renditions by encoders with the longest names have less.
pub(super) const MAX_KEY_BYTES: usize = 2048;
/// Of a class so many characters count.
pub(super) const MAX_CLASS_CHARS: usize = 128;

/// The keys of an attempt, from the finest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    /// Work, encoders and class: `h264 1920x1080@30 > 1280x720@30 libx264/veryfast + aac on AMD EPYC`. `None` where that
    /// would be too long.
    pub work: Option<String>,
    /// Encoders and class: `libx264/veryfast on AMD EPYC`.
    pub encoders: String,
    /// The class.
    pub class: String,
}

/// What the keys of an attempt begin with; the class follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stems {
    /// `h264 1920x1080@30 > 1280x720@30 libx264/veryfast + aac on `.
    pub work: String,
    /// `libx264/veryfast on `.
    pub encoders: String,
}

impl Keys {
    pub(super) fn of(class: &str, work: &Work, encoders: &[Option<EncoderOn>]) -> Self {
        let class: String = class.chars().take(MAX_CLASS_CHARS).collect();
        let stems = Stems::of(work, encoders);
        let work = stems.work + &class;
        Self { work: (work.len() <= MAX_KEY_BYTES).then_some(work), encoders: stems.encoders + &class, class }
    }
}

impl Stems {
    /// Bit rates are left out: they hardly change what a picture costs, and measured ones never repeat. Frame rates count
    /// by the whole picture, as a source's is measured too. The order of the renditions makes no difference.
    pub(super) fn of(work: &Work, encoders: &[Option<EncoderOn>]) -> Self {
        let mut made: Vec<String> = Vec::with_capacity(work.renditions.len());
        let mut by: Vec<String> = Vec::with_capacity(work.renditions.len());
        for (index, rendition) in work.renditions.iter().enumerate() {
            let encoder = made_by(rendition, encoders.get(index).and_then(Option::as_ref));
            if !rendition.is_encoded() {
                made.push(encoder.clone());
            } else {
                made.push(format!("{}x{}@{:.0} {encoder}", rendition.width, rendition.height, rendition.fps));
            }
            by.push(encoder);
        }
        made.sort_unstable();
        by.sort_unstable();
        // How many there are of a kind says nothing of how well that kind is estimated.
        by.dedup();
        let mut text = source(work);
        // Writing to a text does not fail.
        let _ = write!(text, " > {}{} on ", made.join(", "), sound(work.audio));
        let by = if by.is_empty() { "sound".to_owned() } else { by.join(", ") };
        Self { work: text, encoders: format!("{by} on ") }
    }
}

/// Its encoder and preset. On which of several GPUs makes no difference.
fn made_by(rendition: &RenditionWork, encoder: Option<&EncoderOn>) -> String {
    match &rendition.video {
        VideoOutput::Copy => "copy".to_owned(),
        VideoOutput::H264 { encoders, preset } => {
            let first = encoders.first().map_or("", String::as_str);
            format!("{}/{preset}", encoder.map_or(first, |on| on.encoder.as_str()))
        }
    }
}

/// What is read: `h264 1920x1080@30 aac`.
fn source(work: &Work) -> String {
    let source = &work.source;
    let mut text = String::with_capacity(128);
    if let Some(video) = source.video {
        let _ = write!(text, "{video} {}x{}@{:.0}", source.width, source.height, source.fps);
    }
    if let Some(audio) = source.audio {
        let _ = write!(text, "{}{audio}", if text.is_empty() { "" } else { " " });
    }
    text.push_str(match work.deinterlace {
        Deinterlace::Off => "",
        Deinterlace::Frame => " deinterlaced",
        Deinterlace::Field => " fields",
    });
    text
}

fn sound(audio: AudioWork) -> &'static str {
    match audio {
        AudioWork::None => "",
        AudioWork::Copy => " + copy",
        AudioWork::Encode => " + aac",
    }
}

#[cfg(test)]
mod tests;
