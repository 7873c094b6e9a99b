//! Sources that are damaged, or not plain: the numbered clip as x264 and x265 encode it, its FLV tags altered.

use std::ops::Range;
use std::path::Path;

use crate::harness::clip::{Clip, Sound};
use crate::harness::ffmpeg::{Ffmpeg, run_ok_with, text};
use crate::harness::flv::{Tag, tags};
use crate::harness::rtmp::VIDEO;

/// GOPs of the clip that are encoded: 6 s, 180 frames. In the sources a GOP has 30 frames.
const GOPS: usize = 3;
/// Bytes before the picture in a tag: type, packet type and composition offset; behind a FourCC where it is HEVC.
const HEAD: usize = 5;
/// A frame in the middle of a GOP, of which only the number's last bit differs from the one before; and a key frame.
const MIDDLE: usize = 75;
const KEY: usize = 90;
const GOP_OF_KEY: Range<usize> = 90..120;

const H264: &str = "-c:a copy -c:v libx264 -preset veryfast -threads 1 -sc_threshold 0 -x264-params";
const CLOSED: &str = "keyint=30:min-keyint=30:bframes=0";
const CLOSED_B: &str = "keyint=30:min-keyint=30:bframes=2";
const OPEN: &str = "keyint=30:min-keyint=30:bframes=3:open-gop=1";
const REFRESH: &str = "keyint=30:bframes=0:intra-refresh=1";
const REFRESH_B: &str = "keyint=30:bframes=2:intra-refresh=1";
const FIELDS: &str = "keyint=30:min-keyint=30:bframes=2:tff=1:interlaced=1";
const HEVC_OPEN: &str = "-c:a copy -c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params \
    open-gop=1:keyint=30:min-keyint=30:bframes=3:b-adapt=0:scenecut=0:log-level=error";

/// A source, and what is known of it.
pub struct Source {
    pub name: &'static str,
    /// What is sent.
    pub tags: Vec<Tag>,
    /// What was encoded.
    pub clip: std::sync::Arc<Clip>,
    /// Frames that were taken out: nobody accepts or counts them.
    pub removed: Vec<usize>,
    /// Frames that a decoder may not bring, or bring damaged.
    pub damaged: Range<usize>,
    /// Pictures at the beginning, in coded order, before the first at which decoding can begin.
    pub before: usize,
    /// Whether decoding can begin at its first picture only. All others have a GOP each second, and segments of two.
    pub is_one_gop: bool,
}

/// An encoded clip, and its tags.
struct Encoded {
    clip: std::sync::Arc<Clip>,
    tags: Vec<Tag>,
}

impl Encoded {
    fn new(name: &str, options: &str, folder: &Path) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir(&folder).expect("a temporary folder can be written");
        let clip = Clip::encoded(GOPS, options, Sound::Distinct, &folder);
        let path = folder.join("source.flv");
        run_ok_with(Ffmpeg::Current, &["-loglevel error -i", text(&clip.path), "-c copy", text(&path)]);
        Self { clip: clip.into(), tags: tags(&path) }
    }

    fn source(&self, name: &'static str) -> Source {
        let (clip, tags) = (self.clip.clone(), self.tags.clone());
        Source { name, tags, clip, removed: Vec::new(), damaged: 0..0, before: 0, is_one_gop: false }
    }

    /// With the picture at `at`, which has no B-frames around it, altered; frames of `damaged` may be lost for it.
    fn altered(
        &self,
        name: &'static str,
        at: usize,
        damaged: Range<usize>,
        alter: fn(&mut Vec<u8>),
    ) -> Source {
        let mut source = Source { damaged, ..self.source(name) };
        let place = places(&source.tags)[at];
        alter(&mut source.tags[place].body);
        source
    }

    /// Without it.
    fn without(&self, name: &'static str, at: usize, damaged: Range<usize>) -> Source {
        let mut source = Source { damaged, removed: vec![at], ..self.source(name) };
        let place = places(&source.tags)[at];
        source.tags.remove(place);
        source
    }
}

/// Where pictures are among tags, in coded order.
fn places(tags: &[Tag]) -> Vec<usize> {
    tags.iter().enumerate().filter(|(_, tag)| is_picture(tag)).map(|(place, _)| place).collect()
}

/// Whether a tag holds a picture: of AVC, or of a codec that a FourCC names (packet types 1 and 3).
pub fn is_picture(tag: &Tag) -> bool {
    let extended = |first: &u8| first & 0x80 != 0;
    tag.kind == VIDEO
        && match tag.body.first() {
            Some(first) if extended(first) => matches!(first & 0x0F, 1 | 3),
            _ => tag.is_media(),
        }
}

/// The picture in a tag, and how much later than decoded it is shown, in milliseconds.
pub fn picture(tag: &Tag) -> (&[u8], i64) {
    let offset = |at: usize| {
        let field = [tag.body[at], tag.body[at + 1], tag.body[at + 2], 0];
        i64::from(i32::from_be_bytes(field) >> 8)
    };
    match tag.body[0] {
        first if first & 0x80 == 0 => (&tag.body[HEAD..], offset(2)),
        first if first & 0x0F == 1 => (&tag.body[8..], offset(5)),
        _ => (&tag.body[HEAD..], 0),
    }
}

/// All sources that `ffmpeg` can read.
pub fn all(ffmpeg: Ffmpeg, folder: &Path) -> Vec<Source> {
    let encode = |name, options: &str| Encoded::new(name, &format!("{H264} {options}"), folder);
    let (closed, open, refresh) =
        (encode("closed", CLOSED), encode("open", OPEN), encode("refresh", REFRESH));
    let mut sources = damaged(&closed);
    sources.extend([
        encode("closed-b", CLOSED_B).source("closed-b"),
        encode("fields", FIELDS).source("fields"),
        open.source("open"),
        without_messages(&open, "open-unsaid"),
        refresh.source("refresh"),
        encode("refresh-b", REFRESH_B).source("refresh-b"),
        joined(&closed, "joined", 60..60),
        joined(&refresh, "joined-refresh", 60..90),
    ]);
    if ffmpeg == Ffmpeg::Current {
        sources.push(Encoded::new("hevc-open", HEVC_OPEN, folder).source("hevc-open"));
    }
    sources
}

fn damaged(closed: &Encoded) -> Vec<Source> {
    let middle = || MIDDLE..MIDDLE + 1;
    vec![
        closed.without("picture-missing", MIDDLE, MIDDLE..MIDDLE),
        closed.altered("picture-truncated", MIDDLE, middle(), halve),
        closed.altered("picture-no-nal", MIDDLE, middle(), |body| body[HEAD + 4] = 0x5E),
        closed.altered("garbage-nals", MIDDLE, 0..0, |body| {
            let garbage = b"\0\0\0\x03\x1e\x01\x02\0\0\0\x02\x1f\xff\0\0\0\x01\0\0\0\0\x01\x0b";
            body.splice(HEAD..HEAD, garbage.iter().copied());
        }),
        closed.without("key-missing", KEY, GOP_OF_KEY),
        closed.altered("key-truncated", KEY, GOP_OF_KEY, halve),
        closed.altered("key-flipped", KEY, GOP_OF_KEY, |body| {
            let slice = body.len() / 2;
            body[slice..].iter_mut().step_by(7).for_each(|byte| *byte ^= 0x5A);
        }),
        closed.altered("key-wrong-length", KEY, GOP_OF_KEY, |body| {
            body.splice(HEAD..HEAD + 4, *b"\x7f\xff\xff\xff");
        }),
        closed.altered("key-unreadable", KEY, GOP_OF_KEY, |body| unreadable(body)),
    ]
}

fn halve(body: &mut Vec<u8>) {
    body.truncate(HEAD + (body.len() - HEAD) / 2);
}

/// Makes the IDR slices refer to a parameter set that there is not.
fn unreadable(body: &mut [u8]) {
    let mut at = HEAD;
    while let Some(length) =
        body.get(at..at + 4).map(|field| u32::from_be_bytes([field[0], field[1], field[2], field[3]]))
    {
        if body[at + 4] & 0x1F == 5 {
            body[at + 5] ^= 0x5A;
        }
        at += 4 + length as usize;
    }
}

/// Without recovery points: I pictures that nothing tells from a picture that cannot be begun at.
fn without_messages(open: &Encoded, name: &'static str) -> Source {
    let mut source = Source { is_one_gop: true, ..open.source(name) };
    for tag in source.tags.iter_mut().filter(|tag| is_picture(tag)) {
        let mut kept = tag.body[..HEAD].to_vec();
        let mut rest = &tag.body[HEAD..];
        while let Some((field, after)) = rest.split_first_chunk::<4>() {
            let (nal, after) = after.split_at(u32::from_be_bytes(*field) as usize);
            if nal[0] & 0x1F != 6 {
                kept.extend_from_slice(field);
                kept.extend_from_slice(nal);
            }
            rest = after;
        }
        tag.body = kept;
    }
    source
}

/// Joined in the middle of its second GOP: frames 0 to 44 were never sent, 45 to 59 cannot be decoded. Sound begins with what
/// can be.
fn joined(encoded: &Encoded, name: &'static str, damaged: Range<usize>) -> Source {
    let mut source = encoded.source(name);
    let places = places(&source.tags);
    let (first, audible) = (places[45], places[60]);
    let late = source.tags[first].time_ms;
    let mut at = 0;
    source.tags.retain(|tag| {
        at += 1;
        !(is_picture(tag) || tag.is_media()) || at > if is_picture(tag) { first } else { audible }
    });
    source.tags.iter_mut().for_each(|tag| tag.time_ms = tag.time_ms.saturating_sub(late));
    Source { removed: (0..45).collect(), damaged: 45..damaged.end, before: 15, ..source }
}
