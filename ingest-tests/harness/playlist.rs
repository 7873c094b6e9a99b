//! Reads HLS playlists as a player does (RFC 8216 §4). Strict where a player would stumble: what cannot be read is an error.

use std::collections::BTreeMap;

use super::wall;

/// Attributes of a tag, without quotes.
pub type Attributes = BTreeMap<String, String>;

/// A multivariant playlist.
#[derive(Debug, Default)]
pub struct Multivariant {
    /// URI and attributes of each `EXT-X-STREAM-INF`.
    pub variants: Vec<(String, Attributes)>,
    /// Attributes of each `EXT-X-MEDIA`.
    pub media: Vec<Attributes>,
    /// Whether `EXT-X-INDEPENDENT-SEGMENTS` is there.
    pub independent_segments: bool,
}

/// A media playlist.
#[derive(Debug, Default)]
pub struct Media {
    /// `EXT-X-TARGETDURATION`, in microseconds.
    pub target_duration_us: i64,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub discontinuity_sequence: u64,
    /// The segments listed.
    pub segments: Vec<Segment>,
    /// Whether `EXT-X-ENDLIST` is there.
    pub ended: bool,
}

/// A media segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Its media sequence number.
    pub sequence: u64,
    /// Its address, as written.
    pub uri: String,
    /// `EXTINF`, in microseconds.
    pub duration_us: i64,
    /// The address in the `EXT-X-MAP` that applies to it.
    pub map: String,
    /// `EXT-X-PROGRAM-DATE-TIME`, its own or carried on from the one before, in microseconds since 1970.
    pub date_us: Option<i64>,
    /// Whether `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// Whether `EXT-X-GAP` says that it is not there.
    pub gap: bool,
}

impl Multivariant {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut playlist = Self::default();
        let mut pending = None;
        for line in lines(text)? {
            match line.split_once(':') {
                _ if line == "#EXT-X-INDEPENDENT-SEGMENTS" => playlist.independent_segments = true,
                Some(("#EXT-X-MEDIA", rest)) => playlist.media.push(attributes(rest)),
                Some(("#EXT-X-STREAM-INF", rest)) => pending = Some(attributes(rest)),
                _ if line.starts_with('#') => {}
                _ => {
                    let attributes =
                        pending.take().ok_or(format!("{line}: an address without EXT-X-STREAM-INF"))?;
                    playlist.variants.push((line.to_owned(), attributes));
                }
            }
        }
        if playlist.variants.is_empty() { Err("no variant".to_owned()) } else { Ok(playlist) }
    }
}

impl Media {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut playlist = Self::default();
        let mut next = Segment::default();
        for line in lines(text)? {
            if !line.starts_with('#') {
                next.uri = line.to_owned();
                playlist.push(&mut next);
            } else if !playlist.read_header(line)? {
                next.read_tag(line).ok_or(format!("{line}: not understood"))?;
            }
        }
        if playlist.target_duration_us == 0 {
            Err("no EXT-X-TARGETDURATION".to_owned())
        } else {
            Ok(playlist)
        }
    }

    /// Reads a tag that belongs to the playlist as a whole; `false` for one that belongs to a segment.
    fn read_header(&mut self, line: &str) -> Result<bool, String> {
        let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{line}: {error}"));
        match line.split_once(':') {
            Some(("#EXT-X-TARGETDURATION", rest)) => {
                self.target_duration_us = i64::try_from(number(rest)?).unwrap_or(i64::MAX) * 1_000_000;
            }
            Some(("#EXT-X-MEDIA-SEQUENCE", rest)) => self.sequence = number(rest)?,
            Some(("#EXT-X-DISCONTINUITY-SEQUENCE", rest)) => self.discontinuity_sequence = number(rest)?,
            _ if line == "#EXT-X-ENDLIST" => self.ended = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a complete segment and prepares the next: map and date carry on.
    fn push(&mut self, next: &mut Segment) {
        next.sequence = self.sequence + self.segments.len() as u64;
        let map = next.map.clone();
        let date_us = next.date_us.map(|date| date + next.duration_us);
        self.segments.push(std::mem::replace(next, Segment { map, date_us, ..Segment::default() }));
    }
}

impl Segment {
    /// Reads a tag that stands before a segment; tags that a player may ignore are ignored.
    fn read_tag(&mut self, line: &str) -> Option<()> {
        match line.split_once(':') {
            Some(("#EXTINF", rest)) => self.duration_us = wall::decimal_micros(rest.split(',').next()?)?,
            Some(("#EXT-X-PROGRAM-DATE-TIME", rest)) => self.date_us = Some(wall::parse(rest)?),
            Some(("#EXT-X-MAP", rest)) => self.map = attributes(rest).remove("URI")?,
            _ if line == "#EXT-X-DISCONTINUITY" => self.discontinuity = true,
            _ if line == "#EXT-X-GAP" => self.gap = true,
            _ => {}
        }
        Some(())
    }
}

/// The lines after `#EXTM3U`, which must come first (§4.3.1.1).
fn lines(text: &str) -> Result<impl Iterator<Item = &str>, String> {
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    match lines.next() {
        Some("#EXTM3U") => Ok(lines),
        first => Err(format!("begins with {first:?} and not with #EXTM3U")),
    }
}

/// `A=1,B="x,y"` (§4.2).
fn attributes(text: &str) -> Attributes {
    let mut quoted = false;
    let separate = |letter: char| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    };
    let pairs = text.split(separate).filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim_matches('"').to_owned())).collect()
}

/// `uri` as a link on the page at `base`.
pub fn resolve(base: &str, uri: &str) -> String {
    if uri.contains("://") {
        return uri.to_owned();
    }
    let host_end = base.find("://").and_then(|at| base[at + 3..].find('/').map(|slash| at + 3 + slash));
    let end = if uri.starts_with('/') { host_end } else { base.rfind('/').map(|slash| slash + 1) };
    format!("{}{uri}", &base[..end.unwrap_or(base.len())])
}
