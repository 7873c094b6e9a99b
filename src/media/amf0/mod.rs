//! AMF0, the values of RTMP's commands and of FLV's script data (Adobe, *Action Message Format AMF 0*, 2007).
//!
//! `reader` is a cursor over foreign bytes: it copies nothing and keeps nothing, so what a stranger sends costs no
//! memory here. `value` holds what we say ourselves. AMF3 (marker 0x11) is not read here: see `rtmp::amf3`.

mod reader;
mod value;

pub use reader::{Item, Reader};
pub use value::Value;

/// How deep values may nest. Encoders nest two levels (connect's `fourCcList`); 80 KB of nested objects overflow the
/// stack of a reader without a bound.
pub const MAX_DEPTH: usize = 16;

// Markers, §2.1. Movie clips (4) and record sets (14) are reserved and have no form that could be read (§2.6, §2.16).
/// §2.2.
pub const NUMBER: u8 = 0x00;
/// §2.3.
pub const BOOLEAN: u8 = 0x01;
/// §2.4.
pub const STRING: u8 = 0x02;
/// §2.5.
pub const OBJECT: u8 = 0x03;
/// §2.7.
pub const NULL: u8 = 0x05;
/// §2.8.
pub const UNDEFINED: u8 = 0x06;
/// §2.9.
pub const REFERENCE: u8 = 0x07;
/// §2.10.
pub const ECMA_ARRAY: u8 = 0x08;
/// §2.11.
pub const OBJECT_END: u8 = 0x09;
/// §2.12.
pub const STRICT_ARRAY: u8 = 0x0A;
/// §2.13.
pub const DATE: u8 = 0x0B;
/// §2.14.
pub const LONG_STRING: u8 = 0x0C;
/// §2.15.
pub const UNSUPPORTED: u8 = 0x0D;
/// §2.17.
pub const XML: u8 = 0x0F;
/// §2.18.
pub const TYPED_OBJECT: u8 = 0x10;
/// §3.1: the next value is AMF3.
pub const AVMPLUS: u8 = 0x11;

/// Why bytes are no AMF0, with the offset of the byte in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input ends within a value.
    #[error("AMF0 value cut short at byte {0}")]
    CutShort(usize),
    /// No marker, or one that may not come here.
    #[error("AMF0 marker {marker:#04x} at byte {offset} is not understood")]
    Marker {
        /// The byte.
        marker: u8,
        /// Where it is.
        offset: usize,
    },
    /// More than [`MAX_DEPTH`].
    #[error("AMF0 values nest deeper than {MAX_DEPTH} at byte {0}")]
    TooDeep(usize),
}
