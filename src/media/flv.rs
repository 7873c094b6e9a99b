//! FLV tags: how RTMP media is carried to FFmpeg, and what the first bytes of a tag's body mean.

use bytes::Bytes;

/// What a tag carries; the values are FLV's tag types and RTMP's message types (FLV 10.1 Annex E.4.1, RTMP 1.0 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TagKind {
    /// Sound.
    Audio = 8,
    /// Pictures.
    Video = 9,
    /// Script data, `onMetaData` for example.
    Script = 18,
}

/// One media message of a publisher: the body of an FLV tag with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it carries.
    pub kind: TagKind,
    /// The sender's clock in milliseconds; wraps at 2^32.
    pub timestamp_ms: u32,
    /// The body, as received.
    pub payload: Bytes,
}
