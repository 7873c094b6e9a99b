//! `[rtmp]`: the front door for RTMP publishers.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::reader::{Key, Reader};
use crate::base::units::ByteSize;

/// The RTMP listener and its bounds on what strangers may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Rtmp {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// Chunk size that we announce for what we send, in bytes (RTMP 1.0 §5.4.1).
    pub chunk_size: u32,
    /// A publisher that sends nothing for this long is disconnected.
    pub idle_timeout: Duration,
    /// From accepting a connection to an accepted publish at most.
    pub handshake_timeout: Duration,
    /// Connections at once; further ones are closed at once.
    pub max_connections: usize,
    /// The largest message, an access unit for instance, that is assembled.
    pub max_message_size: ByteSize,
}

impl Default for Rtmp {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 1935).into(),
            chunk_size: 4096,
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            max_connections: 1000,
            max_message_size: ByteSize::mebibytes(16),
        }
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    pub(super) listen: Key<SocketAddr>,
    chunk_size: Key<u32>,
    idle_timeout: Key<Duration>,
    handshake_timeout: Key<Duration>,
    max_connections: Key<usize>,
    max_message_size: Key<ByteSize>,
}

impl Written {
    pub(super) fn mean(&self, reader: &mut Reader) -> Rtmp {
        let default = Rtmp::default();
        let second = Duration::from_secs(1);
        // A message's length has 24 bits (RTMP 1.0 §5.3.1.2.1), so more than 16 MiB cannot be sent.
        let messages = ByteSize(64 * 1024)..=ByteSize::mebibytes(16);
        Rtmp {
            listen: reader.get(&self.listen, default.listen),
            // RTMP 1.0 §5.4.1: at least 128 bytes. Larger than 64 KiB gains nothing.
            chunk_size: reader.within(&self.chunk_size, default.chunk_size, 128..=65_536),
            idle_timeout: reader.within(&self.idle_timeout, default.idle_timeout, second / 10..=600 * second),
            handshake_timeout: reader.within(
                &self.handshake_timeout,
                default.handshake_timeout,
                second / 10..=60 * second,
            ),
            max_connections: reader.within(&self.max_connections, default.max_connections, 1..=100_000),
            max_message_size: reader.within(&self.max_message_size, default.max_message_size, messages),
        }
    }
}
