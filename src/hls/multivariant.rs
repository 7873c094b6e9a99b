//! The multivariant playlist (RFC 8216bis §4.4.6): the renditions as variants, and the audio that they share.

use std::fmt::{self, Write};

use super::playlist::line;
use super::view::{OutputView, View};
use crate::media::track::{AudioConfiguration, VideoConfiguration};
use crate::wire::message::OutputConfiguration;

/// The multivariant playlist. An output of which nothing has come, not even its configuration, is left out: its
/// codec is not known. A stream without video has one variant, the audio itself.
#[must_use]
pub fn multivariant(view: &View) -> String {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let audio = view.audio.as_ref().and_then(|output| Some((output, audio_of(output)?)));
    if view.renditions.is_empty() {
        if let Some((output, configuration)) = audio {
            push_audio_variant(&mut text, output, configuration);
        }
        return text;
    }
    if let Some((output, configuration)) = audio {
        push_audio_group(&mut text, output, configuration);
    }
    for output in &view.renditions {
        if let Some(configuration) = video_of(output) {
            push_variant(&mut text, (output, configuration), audio);
        }
    }
    text
}

fn push_audio_group(text: &mut String, output: &OutputView, configuration: &AudioConfiguration) {
    line(
        text,
        format_args!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"{name}\",DEFAULT=YES,AUTOSELECT=YES,\
             CHANNELS=\"{}\",URI=\"{name}/index.m3u8\"",
            configuration.channels,
            name = output.name,
        ),
    );
}

fn push_audio_variant(text: &mut String, output: &OutputView, configuration: &AudioConfiguration) {
    push_bandwidth(text, output, None);
    line(text, format_args!(",CODECS=\"{}\"", Quoted(&configuration.codecs)));
    line(text, format_args!("{}/index.m3u8", output.name));
}

fn push_variant(
    text: &mut String,
    (output, video): (&OutputView, &VideoConfiguration),
    audio: Option<(&OutputView, &AudioConfiguration)>,
) {
    push_bandwidth(text, output, audio.map(|(output, _)| output));
    push(text, format_args!(",CODECS=\"{}", Quoted(&video.codecs)));
    if let Some((_, audio)) = audio {
        push(text, format_args!(",{}", Quoted(&audio.codecs)));
    }
    push(text, format_args!("\",RESOLUTION={}x{}", video.width, video.height));
    // Measured comes first: encoders that are given 90 kHz timestamps may write that as their frame rate.
    if let Some(rate) = output.frame_rate.or(video.frame_rate).filter(|rate| rate.is_finite() && *rate > 0.0)
    {
        push(text, format_args!(",FRAME-RATE={rate:.3}"));
    }
    if audio.is_some() {
        text.push_str(",AUDIO=\"audio\"");
    }
    text.push('\n');
    line(text, format_args!("{}/index.m3u8", output.name));
}

/// `BANDWIDTH` is an upper bound for what the variant needs together with its audio, and is required (§4.4.6.2).
fn push_bandwidth(text: &mut String, output: &OutputView, audio: Option<&OutputView>) {
    let peak = output.peak.0.saturating_add(audio.map_or(0, |audio| audio.peak.0)).max(1);
    let average = output.average.0.saturating_add(audio.map_or(0, |audio| audio.average.0)).clamp(1, peak);
    push(text, format_args!("#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average}"));
}

fn push(text: &mut String, content: fmt::Arguments<'_>) {
    text.write_fmt(content).expect("a String takes all that is written");
}

/// The inside of a quoted string, which may hold neither quote nor line break (RFC 8216bis §4.2). Codec strings come
/// from nodes; what is not a printable ASCII character is left out.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = |c: &char| c.is_ascii_graphic() && *c != '"';
        self.0.chars().filter(allowed).try_for_each(|c| f.write_char(c))
    }
}

fn video_of(output: &OutputView) -> Option<&VideoConfiguration> {
    match output.configuration.as_deref()? {
        OutputConfiguration::Video(video) => Some(video),
        OutputConfiguration::Audio(_) => None,
    }
}

fn audio_of(output: &OutputView) -> Option<&AudioConfiguration> {
    match output.configuration.as_deref()? {
        OutputConfiguration::Audio(audio) => Some(audio),
        OutputConfiguration::Video(_) => None,
    }
}

#[cfg(test)]
mod tests;
