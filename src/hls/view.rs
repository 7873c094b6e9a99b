//! What players may read at one moment: an immutable snapshot of a window.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::names::Name;
use crate::base::units::Bitrate;
use crate::media::time::Ticks;
use crate::wire::message::OutputConfiguration;

/// The name of the audio in URLs, beside the renditions' names. No rendition may have it.
pub const AUDIO_NAME: &str = "audio";

/// An init segment: `ftyp` and `moov` (RFC 8216bis §3.1.2).
#[derive(Debug, PartialEq, Eq)]
pub struct InitSegment {
    /// The number in its URL: media sequence number of the first segment that it may belong to. So it is never used
    /// twice for different bytes, and caches may keep it for ever.
    pub number: u64,
    /// The bytes.
    pub data: Bytes,
}

/// A closed segment; it never changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its media sequence number, equal in all outputs.
    pub sequence: u64,
    /// Where it begins on the timeline: where the one before it ends.
    pub start: Ticks,
    /// Where it ends.
    pub end: Ticks,
    /// One or more `moof` and `mdat`; `None` if there is no media, which playlists say with `EXT-X-GAP`.
    pub data: Option<Bytes>,
    /// The init segment that it needs; `None` only if nothing has come of the output yet.
    pub init: Option<Arc<InitSegment>>,
    /// Whether `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// How many discontinuities the output had before that one.
    pub discontinuities_before: u64,
}

impl Segment {
    /// How long it lasts.
    #[must_use]
    pub fn duration(&self) -> Ticks {
        self.end - self.start
    }
}

/// One output: a rendition or the audio.
#[derive(Clone, Debug)]
pub struct OutputView {
    /// Its name in URLs.
    pub name: Name,
    /// What is in it; `None` as long as nothing has come.
    pub configuration: Option<Arc<OutputConfiguration>>,
    /// The segments that can be fetched, oldest first. Playlists list the last [`View::window`] of them.
    pub segments: Vec<Arc<Segment>>,
    /// The largest bitrate of a segment.
    pub peak: Bitrate,
    /// The bitrate over all segments with media.
    pub average: Bitrate,
    /// Pictures per second, measured from what was committed; `None` for audio and before the first fragment.
    pub frame_rate: Option<f64>,
}

impl OutputView {
    /// The segment with this media sequence number, if it is still kept and has media.
    #[must_use]
    pub fn segment(&self, sequence: u64) -> Option<&Bytes> {
        let index = self.segments.binary_search_by_key(&sequence, |segment| segment.sequence).ok()?;
        self.segments[index].data.as_ref()
    }

    /// The init segment with this number, if a kept segment needs it.
    #[must_use]
    pub fn init(&self, number: u64) -> Option<&Bytes> {
        let inits = self.segments.iter().filter_map(|segment| segment.init.as_ref());
        inits.rev().find(|init| init.number == number).map(|init| &init.data)
    }
}

/// All that players may read of one stream at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// `EXT-X-TARGETDURATION`; never changes while the stream lives.
    pub target_duration_seconds: u64,
    /// How many segments a playlist lists.
    pub window: usize,
    /// Whether nothing will follow: `EXT-X-ENDLIST`.
    pub ended: bool,
    /// The video outputs, in the ladder's order.
    pub renditions: Vec<OutputView>,
    /// The one audio that the renditions share.
    pub audio: Option<OutputView>,
}

impl View {
    /// Whether every output has a segment, so that a player which opens the stream now can play it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let mut outputs = self.outputs().peekable();
        outputs.peek().is_some() && outputs.all(|output| !output.segments.is_empty())
    }

    /// The renditions, then the audio.
    pub fn outputs(&self) -> impl Iterator<Item = &OutputView> {
        self.renditions.iter().chain(&self.audio)
    }

    /// The output of this name in URLs.
    #[must_use]
    pub fn output(&self, name: &Name) -> Option<&OutputView> {
        self.outputs().find(|output| output.name == *name)
    }
}
