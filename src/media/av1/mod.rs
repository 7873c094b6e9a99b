//! AV1: what a track's configuration says, and where its decoding can begin.
//!
//! Nothing is decoded. The standards are the AV1 Bitstream & Decoding Process Specification (OBUs, the sequence and frame
//! headers; "AV1 §") and the AV1 Codec ISO Media File Format Binding ("AV1-ISOBMFF §": the record, which Enhanced RTMP v2
//! carries, and how OBUs follow each other).

mod configuration;
mod obu;
mod random_access;
mod sequence;

pub use configuration::{Av1Error, read_configuration};
pub use random_access::{random_access, size};
