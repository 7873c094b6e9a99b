//! `[rtmp]`: the front door for RTMP publishers, and the limits of it, which hold for RTMPS too.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::reader::{Key, Reader};
use crate::base::units::{Bitrate, ByteSize};

/// The RTMP listener and the bounds on what strangers and publishers may do, over RTMP and RTMPS together.
#[derive(Clone, Debug, PartialEq)]
pub struct Rtmp {
    /// Where it listens; port 0 takes any, `None` is off.
    pub listen: Option<SocketAddr>,
    /// Chunk size that we announce for what we send, in bytes (RTMP 1.0 §5.4.1).
    pub chunk_size: u32,
    /// Connections at once; further ones are closed at once.
    pub max_connections: usize,
    /// Connections at once from one address, of IPv6 one network of 64 bits; further ones are closed at once.
    pub max_connections_per_address: usize,
    /// From accepting a connection to its first byte after the handshake, TLS included.
    pub handshake_timeout: Duration,
    /// From there to an accepted publish.
    pub publish_timeout: Duration,
    /// A publisher that sends no media for this long is disconnected.
    pub idle_timeout: Duration,
    /// The largest message, an access unit for instance, that is assembled.
    pub max_message_size: ByteSize,
    /// Chunk streams of a connection at once.
    pub max_chunk_streams: usize,
    /// What one publisher may send.
    pub max_bitrate: Bitrate,
    /// For how long it may send more.
    pub bitrate_grace: Duration,
}

impl Default for Rtmp {
    fn default() -> Self {
        Self {
            listen: Some(([127, 0, 0, 1], 1935).into()),
            chunk_size: 4096,
            max_connections: 1000,
            max_connections_per_address: 100,
            handshake_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            max_message_size: ByteSize::mebibytes(16),
            max_chunk_streams: 32,
            max_bitrate: Bitrate::kilobits(100_000),
            bitrate_grace: Duration::from_secs(10),
        }
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    pub(super) listen: Key<Option<SocketAddr>>,
    chunk_size: Key<u32>,
    max_connections: Key<usize>,
    max_connections_per_address: Key<usize>,
    handshake_timeout: Key<Duration>,
    publish_timeout: Key<Duration>,
    idle_timeout: Key<Duration>,
    max_message_size: Key<ByteSize>,
    max_chunk_streams: Key<usize>,
    max_bitrate: Key<Bitrate>,
    bitrate_grace: Key<Duration>,
}

impl Written {
    pub(super) fn mean(&self, reader: &mut Reader) -> Rtmp {
        let default = Rtmp::default();
        let second = Duration::from_secs(1);
        // Long enough for a satellite link, short enough that who says nothing does not keep others out.
        let asking = second / 10..=60 * second;
        // A message's length has 24 bits (RTMP 1.0 §5.3.1.2.1), so more than 16 MiB cannot be sent.
        let messages = ByteSize(64 * 1024)..=ByteSize::mebibytes(16);
        // Above: an uncompressed picture is larger than a message. Below: no camera sends so little.
        let bitrates = Bitrate::kilobits(100)..=Bitrate::kilobits(10_000_000);
        let connections = 1..=100_000;
        Rtmp {
            listen: reader.get(&self.listen, default.listen),
            // RTMP 1.0 §5.4.1: at least 128 bytes. Larger than 64 KiB gains nothing.
            chunk_size: reader.within(&self.chunk_size, default.chunk_size, 128..=65_536),
            max_connections: reader.within(
                &self.max_connections,
                default.max_connections,
                connections.clone(),
            ),
            max_connections_per_address: reader.within(
                &self.max_connections_per_address,
                default.max_connections_per_address,
                connections,
            ),
            handshake_timeout: reader.within(
                &self.handshake_timeout,
                default.handshake_timeout,
                asking.clone(),
            ),
            publish_timeout: reader.within(&self.publish_timeout, default.publish_timeout, asking),
            idle_timeout: reader.within(&self.idle_timeout, default.idle_timeout, second / 10..=600 * second),
            max_message_size: reader.within(&self.max_message_size, default.max_message_size, messages),
            // Encoders use up to eight. Each is remembered, so more than this would break what a stranger may cost.
            max_chunk_streams: reader.within(&self.max_chunk_streams, default.max_chunk_streams, 8..=64),
            max_bitrate: reader.within(&self.max_bitrate, default.max_bitrate, bitrates),
            bitrate_grace: reader.within(&self.bitrate_grace, default.bitrate_grace, second..=600 * second),
        }
    }
}
