//! An access unit: one coded picture or audio frame with its times, in its carriage.

use bytes::Bytes;

use super::time::Ticks;
use super::track::TrackKind;

/// One coded picture or audio frame. `payload` is what the publisher sent, untouched and shared by all readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// The track it belongs to.
    pub track: TrackKind,
    /// When it is decoded, on the stream's timeline.
    pub decode_time: Ticks,
    /// When it is shown or heard, on the stream's timeline.
    pub presentation_time: Ticks,
    /// Whether a GOP begins here: at a picture with which decoding can begin. Audio can be decoded from anywhere; it begins
    /// GOPs only where there is no video.
    pub random_access: bool,
    /// The carriage's payload: for RTMP the FLV tag body.
    pub payload: Bytes,
}
