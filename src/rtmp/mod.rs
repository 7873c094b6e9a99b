//! The RTMP front door: one publisher's connection as a value. Bytes in; bytes, requests and media out.
//!
//! No sockets, no clock, no tasks: `proxy::ingest` owns those. Written for strangers: nothing here panics, loops,
//! or keeps more memory than [`Limits`] says, whatever comes. Standards: Adobe RTMP 1.0 (2012), AMF0 (2007), AMF3 (2013),
//! FLV 10.1, and of Enhanced RTMP v2 what concerns the connection; its codecs pass as media, for the reader of the tags.
//!
//! ```text
//! input ─► handshake ─► chunk::Reader ─► message ─► session ─► Event (request, media, end)
//! output ◄───────────── chunk::Writer ◄── reply  ◄─────┘        request ─► address
//! ```
//!
//! | file | holds |
//! |---|---|
//! | [`session`] | the connection's state: which command is answered how, and when media is taken |
//! | `session/commands` | what each command does |
//! | `session/reply` | what we say, as messages in a bounded buffer |
//! | [`request`] | what a publisher asks for, its secrets masked |
//! | [`address`] | from the forms encoders use to tenant, stream and secret |
//! | [`message`] | what a message's type and payload mean |
//! | [`aggregate`] | several tags in one message |
//! | [`amf3`] | the newer values, rewritten as the older ones that [`crate::media::amf0`] reads |
//! | [`chunk`] | messages from chunks and back |
//! | [`handshake`] | the first 3073 bytes of each side |

pub mod address;
pub mod aggregate;
pub mod amf3;
pub mod chunk;
#[cfg(test)]
pub(crate) mod client;
pub mod handshake;
pub mod message;
pub mod request;
pub mod session;

pub use address::{AddressError, PublishAddress};
pub use request::{Capabilities, PublishKind, PublishRequest};
pub use session::{Error, Event, Limits, Session};
