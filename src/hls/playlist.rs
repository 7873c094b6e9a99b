//! Media playlists (RFC 8216bis §4.4).

use std::fmt::Write;

use super::date_time::DateTime;
use super::view::{OutputView, Segment, View};
use crate::media::time::Ticks;

/// The media playlist of one output: the last [`View::window`] segments. After the stream's end it keeps them, with
/// `EXT-X-ENDLIST`: what remains can be watched from its beginning.
///
/// RFC 8216bis §6.2.2 wants three target durations listed. The target duration here is the longest segment that
/// could ever come, not the usual one, so a window of six 2 s segments lists less, on purpose: players start within
/// what is listed.
#[must_use]
pub fn media(view: &View, output: &OutputView) -> String {
    let listed = &output.segments[output.segments.len().saturating_sub(view.window)..];
    let mut text = String::with_capacity(256 + 128 * listed.len());
    text.push_str("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    line(&mut text, format_args!("#EXT-X-TARGETDURATION:{}", view.target_duration_seconds));
    if let Some(first) = listed.first() {
        line(&mut text, format_args!("#EXT-X-MEDIA-SEQUENCE:{}", first.sequence));
        if first.discontinuities_before > 0 {
            line(&mut text, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", first.discontinuities_before));
        }
    }
    let mut init = None;
    for segment in listed {
        push_segment(&mut text, segment, &mut init);
    }
    if view.ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// One segment; `init` is the number of the init segment that the last `EXT-X-MAP` named.
fn push_segment(text: &mut String, segment: &Segment, init: &mut Option<u64>) {
    if segment.discontinuity {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    let number = segment.init.as_ref().map(|init| init.number);
    if let Some(number) = number.filter(|_| number != *init) {
        line(text, format_args!("#EXT-X-MAP:URI=\"init-{number}.mp4\""));
        *init = Some(number);
    }
    line(text, format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", DateTime(segment.start)));
    if segment.data.is_none() {
        text.push_str("#EXT-X-GAP\n");
    }
    line(text, format_args!("#EXTINF:{},", Seconds(segment.duration())));
    line(text, format_args!("{}.m4s", segment.sequence));
}

pub(super) fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("a String takes all that is written");
}

/// A duration in seconds with 6 decimals, which tell every tick from its neighbours.
struct Seconds(Ticks);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = (i128::from(self.0.0.max(0)) * 100 + 4) / 9;
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

#[cfg(test)]
mod tests;
