//! The life of one live stream, decided without I/O or clock.
//!
//! ```text
//! publisher ─ tags ─► take ─ access units ─► GOP log ─ (cursor) ─► attempt ─ fragments ─► commit ─► the one output
//!                       └── sections ──────────────────────────────┘  (backoff, resume)
//! ```
//!
//! * [`life`]: the stream as a whole, its phases; composes the rest.
//! * [`take`]: one publisher connection: tags become access units on the timeline, and sections.
//! * [`section`]: a stretch with one codec configuration; FFmpeg is started anew for each.
//! * [`delivery`]: the attempts of the section in front, and what they bring.
//! * [`attempt`]: one FFmpeg run: its place in the log, its window.
//! * [`pulse`], [`patience`]: whether an attempt answers, and from when on it is suspected.
//! * [`pace`]: whether it keeps up with its source.
//! * [`resume`]: where an attempt begins (warm-up) and which GOPs may leave the log.
//! * [`unheard`]: audio that left the log before FFmpeg had let go of it.
//! * [`commit`]: each position exactly once, per rendition and for audio; what was lost.
//! * [`backoff`]: when the next attempt may start, and where not.
//! * [`command`]: what goes in and comes out.
//! * [`report`]: the stream as stats show it.

pub mod attempt;
pub mod backoff;
pub mod command;
pub mod commit;
pub mod delivery;
pub mod life;
pub mod pace;
pub mod patience;
pub mod pulse;
pub mod report;
pub mod resume;
pub mod section;
pub mod source;
pub mod take;
pub mod unheard;

pub use command::{Command, PublisherEnd, PublisherId, StreamSettings, Takeover};
pub use life::Stream;

#[cfg(test)]
mod example;
#[cfg(test)]
pub(crate) mod simulation;
