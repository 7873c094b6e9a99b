//! HLS: from committed fragments and audio to segments in memory and the playlists that list them (RFC 8216 and its
//! second edition, RFC 8216bis; CMAF, ISO/IEC 23000-19, one track a segment).
//!
//! [`Window`] takes what was committed and [`View`] is what it hands out: an immutable snapshot, from which
//! [`playlist`] and [`multivariant`] are written. Serving them is `proxy::origin`'s work. Pure: no I/O, no clock; the
//! timeline is the wall clock (90 kHz ticks since the Unix epoch), so a position is a date by itself.

mod audio_track;
mod boundaries;
mod date_time;
pub mod multivariant;
mod output;
pub mod playlist;
mod video_track;
pub mod view;
pub mod window;

pub use view::{AUDIO_NAME, InitSegment, OutputView, Segment, View};
pub use window::{AudioSample, Window, WindowSettings};
