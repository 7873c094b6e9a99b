//! Reads FLV files as tags (FLV 10.1, annex E.3 and E.4), to publish them by hand.

use std::path::Path;

use super::rtmp::{AUDIO, VIDEO};

/// File header and the size of the tag before the first, which is none.
const HEADER_BYTES: usize = 13;
/// A tag's header, and the size after it.
const TAG_HEADER_BYTES: usize = 11;
const TRAILER_BYTES: usize = 4;

/// A tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// The type, which is RTMP's message type too.
    pub kind: u8,
    pub time_ms: u32,
    pub body: Vec<u8>,
}

impl Tag {
    /// Whether it holds a picture or sound, and not what a decoder needs first: AVC and AAC say so in their second byte.
    pub fn is_media(&self) -> bool {
        [AUDIO, VIDEO].contains(&self.kind) && self.body.get(1) == Some(&1)
    }

    /// Whether it holds a key frame.
    pub fn is_key_frame(&self) -> bool {
        self.kind == VIDEO && self.is_media() && self.body.first() == Some(&0x17)
    }
}

/// All tags of a sound file.
pub fn tags(file: &Path) -> Vec<Tag> {
    let bytes = std::fs::read(file).expect("the test made the file");
    let mut rest = &bytes[HEADER_BYTES..];
    let mut tags = Vec::new();
    while let Some((header, after)) = rest.split_at_checked(TAG_HEADER_BYTES) {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte));
        let length = number(&header[1..4]) as usize;
        let time_ms = u32::from(header[7]) << 24 | number(&header[4..7]);
        tags.push(Tag { kind: header[0], time_ms, body: after[..length].to_vec() });
        rest = &after[length + TRAILER_BYTES..];
    }
    tags
}
