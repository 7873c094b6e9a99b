//! A fragment: what a node cuts and a proxy commits.

use bytes::Bytes;

use super::time::Ticks;

/// Access units of one rendition from a random access point on, as `moof` and `mdat` on the stream's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Index of the rendition.
    pub rendition: u8,
    /// Presentation time of the first access unit.
    pub position: Ticks,
    /// Position of the next fragment; `None` for the last one of an attempt.
    pub end: Option<Ticks>,
    /// Smallest presentation time in it.
    pub first_presentation: Ticks,
    /// Largest presentation time in it.
    pub last_presentation: Ticks,
    /// Number of access units.
    pub access_units: u32,
    /// `moof` and `mdat`.
    pub data: Bytes,
}
