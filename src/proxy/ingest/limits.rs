//! The bounds on what publishers and strangers may do, by name. No clock and no sockets: who counts is
//! [`super::admission`], who acts is [`super::rtmp`].

use std::time::Duration;

use crate::base::units::Bitrate;
use crate::config::Rtmp;
use crate::rtmp::{self, chunk};

/// What one connection may hold of our memory before it has proved a key, in bytes, beside its socket's own buffers:
/// unfinished messages, input that waits, answers that wait, and TLS.
pub const MAX_UNPROVED_MEMORY_BYTES: usize = 64 * 1024;

/// The largest message before a key is proved, in bytes. `connect` and `publish` with every text that encoders send take
/// 1 KiB.
pub const MAX_UNPROVED_MESSAGE_BYTES: usize = 12 * 1024;

/// A bound that a connection can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Connections at once.
    Connections,
    /// Connections at once from one address.
    ConnectionsPerAddress,
    /// Time until the handshake is finished, TLS included.
    HandshakeTimeout,
    /// Time from there to an accepted publish.
    PublishTimeout,
    /// Time without media.
    IdleTimeout,
    /// Bytes of one message.
    MessageSize,
    /// Chunk streams at once.
    ChunkStreams,
    /// Memory before a key is proved.
    UnprovedMemory,
    /// Bits per second of one publisher.
    Bitrate,
}

impl Limit {
    /// Its key in the configuration and in stats.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::ConnectionsPerAddress => "max_connections_per_address",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::PublishTimeout => "publish_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::MessageSize => "max_message_size",
            Self::ChunkStreams => "max_chunk_streams",
            Self::UnprovedMemory => "max_unproved_memory",
            Self::Bitrate => "max_bitrate",
        }
    }

    /// Every limit, in the order of its discriminant.
    pub const ALL: [Self; 9] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::HandshakeTimeout,
        Self::PublishTimeout,
        Self::IdleTimeout,
        Self::MessageSize,
        Self::ChunkStreams,
        Self::UnprovedMemory,
        Self::Bitrate,
    ];

    /// The limit that a session ran into, if it was one. Before a key is proved a long message is one of memory.
    #[must_use]
    pub fn of_session(error: &rtmp::Error, phase: Phase) -> Option<Self> {
        let rtmp::Error::Chunk(error) = error else { return None };
        if matches!(error, chunk::Error::TooManyChunkStreams { .. }) {
            return Some(Self::ChunkStreams);
        }
        let long = matches!(error, chunk::Error::TooLong { .. });
        long.then_some(if phase == Phase::Publishing { Self::MessageSize } else { Self::UnprovedMemory })
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From accepting it: TLS, then RTMP's handshake. It ends with the first byte after that.
    Handshaking,
    /// From there to an accepted publish.
    Asking,
    /// From there on.
    Publishing,
}

/// The bounds as configured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once from one address.
    pub max_connections_per_address: usize,
    /// How long [`Phase::Handshaking`] may take.
    pub handshake_timeout: Duration,
    /// How long [`Phase::Asking`] may take.
    pub publish_timeout: Duration,
    /// How long a publisher may send no media.
    pub idle_timeout: Duration,
    /// The largest message, in bytes.
    pub max_message_bytes: usize,
    /// Chunk streams of a connection at once.
    pub max_chunk_streams: usize,
    /// What a publisher may send.
    pub max_bitrate: Bitrate,
    /// For how long it may send more.
    pub bitrate_grace: Duration,
}

impl Bounds {
    /// As `[rtmp]` says, for RTMP and RTMPS together.
    #[must_use]
    pub fn new(rtmp: &Rtmp) -> Self {
        Self {
            max_connections: rtmp.max_connections,
            max_connections_per_address: rtmp.max_connections_per_address,
            handshake_timeout: rtmp.handshake_timeout,
            publish_timeout: rtmp.publish_timeout,
            idle_timeout: rtmp.idle_timeout,
            max_message_bytes: rtmp.max_message_size.as_usize(),
            max_chunk_streams: rtmp.max_chunk_streams,
            max_bitrate: rtmp.max_bitrate,
            bitrate_grace: rtmp.bitrate_grace,
        }
    }

    /// The time that a phase has, and which limit it is.
    #[must_use]
    pub fn timeout(&self, phase: Phase) -> (Limit, Duration) {
        match phase {
            Phase::Handshaking => (Limit::HandshakeTimeout, self.handshake_timeout),
            Phase::Asking => (Limit::PublishTimeout, self.publish_timeout),
            Phase::Publishing => (Limit::IdleTimeout, self.idle_timeout),
        }
    }

    /// What is told of a limit: a count, bytes, bits per second, or milliseconds.
    #[must_use]
    pub fn told(&self, limit: Limit) -> u64 {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        match limit {
            Limit::Connections => self.max_connections as u64,
            Limit::ConnectionsPerAddress => self.max_connections_per_address as u64,
            Limit::HandshakeTimeout => millis(self.handshake_timeout),
            Limit::PublishTimeout => millis(self.publish_timeout),
            Limit::IdleTimeout => millis(self.idle_timeout),
            Limit::MessageSize => self.max_message_bytes as u64,
            Limit::ChunkStreams => self.max_chunk_streams as u64,
            Limit::UnprovedMemory => MAX_UNPROVED_MEMORY_BYTES as u64,
            Limit::Bitrate => self.max_bitrate.0,
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::new(&Rtmp::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_listed_once_and_in_order() {
        assert!(Limit::ALL.iter().enumerate().all(|(at, &limit)| at == limit as usize));
    }

    #[test]
    fn a_limit_is_told_in_its_unit() {
        let bounds = Bounds::default();
        let told = Limit::ALL.map(|limit| bounds.told(limit));
        assert_eq!(
            told,
            [1000, 100, 10_000, 10_000, 30_000, 16 * 1024 * 1024, 32, 64 * 1024, 100_000_000],
            "connections, milliseconds, bytes, bits per second"
        );
    }

    #[test]
    fn a_long_message_is_one_of_memory_until_a_key_is_proved() {
        let check = |error: chunk::Error, phase, expected| {
            assert_eq!(Limit::of_session(&rtmp::Error::Chunk(error), phase), expected);
        };
        let long = || chunk::Error::TooLong { announced: 9, limit: 8, at: 0 };
        check(long(), Phase::Asking, Some(Limit::UnprovedMemory));
        check(long(), Phase::Publishing, Some(Limit::MessageSize));
        let many = chunk::Error::TooManyChunkStreams { limit: 32, at: 0 };
        check(many, Phase::Handshaking, Some(Limit::ChunkStreams));
        assert_eq!(Limit::of_session(&rtmp::Error::NotConnected, Phase::Asking), None);
    }
}
