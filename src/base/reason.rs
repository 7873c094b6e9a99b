//! Why something ended or was refused: one closed set for log, metric and API.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// Why a publisher, stream, lease, attempt or process ended, or was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The reason as log, metric and API write it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// Ended in order: end of the stream, or all input transcoded.
    Completed => "completed",
    /// The publisher said that it ends (FCUnpublish, deleteStream).
    Unpublished => "unpublished",
    /// The peer's connection ended without a word.
    ConnectionLost => "connection_lost",
    /// The publisher did not come back within `reconnect_grace`.
    GraceExpired => "grace_expired",
    /// A second publisher of the same stream took over.
    TakenOver => "taken_over",
    /// The stream has a publisher and `takeover = "refuse"`, or takeover backs off.
    AlreadyPublishing => "already_publishing",
    /// Nothing came for longer than the idle time-out.
    IdleTimeout => "idle_timeout",
    /// A handshake or a publish did not come in time.
    HandshakeTimeout => "handshake_timeout",
    /// What a peer sent breaks the protocol.
    ProtocolViolation => "protocol_violation",
    /// A bound on connections, streams, message sizes or memory was hit.
    LimitExceeded => "limit_exceeded",
    /// A wrong or missing stream key.
    WrongKey => "wrong_key",
    /// No such tenant.
    UnknownTenant => "unknown_tenant",
    /// A tenant, stream or other name outside the alphabet.
    BadName => "bad_name",
    /// Something legal that headgate does not do, `play` for example.
    Unsupported => "unsupported",
    /// A codec that no profile or node can take.
    UnsupportedCodec => "unsupported_codec",
    /// A wrong or missing fleet token.
    WrongToken => "wrong_token",
    /// The other side speaks another version of the fleet protocol.
    WrongVersion => "wrong_version",
    /// TLS could not be agreed on: a certificate that is not trusted, or only one side speaks it.
    TlsFailed => "tls_failed",
    /// A node of that name is connected already.
    NameTaken => "name_taken",
    /// No node can take it, or none is alive.
    NoNode => "no_node",
    /// Nodes could take it, but none has room.
    NoRoom => "no_room",
    /// The node has no free slot.
    NoSlot => "no_slot",
    /// As many streams have a second attempt as may at once.
    NoBudget => "no_budget",
    /// The node's connection broke, or it fell silent.
    NodeLost => "node_lost",
    /// The node is stopping.
    NodeStopping => "node_stopping",
    /// FFmpeg is missing, too old, or could not be started.
    FfmpegUnusable => "ffmpeg_unusable",
    /// FFmpeg exited by itself although its input went on.
    FfmpegExited => "ffmpeg_exited",
    /// FFmpeg was ended by a signal that was not ours.
    FfmpegCrashed => "ffmpeg_crashed",
    /// FFmpeg could not read the input.
    InputUnreadable => "input_unreadable",
    /// The encoder could not be opened or does not exist.
    EncoderUnusable => "encoder_unusable",
    /// FFmpeg's output could not be understood.
    OutputUnreadable => "output_unreadable",
    /// The link to the proxy could not take the output in time.
    LinkSlow => "link_slow",
    /// Input went in and nothing came out.
    Stalled => "stalled",
    /// The attempt does not keep up with its source.
    TooSlow => "too_slow",
    /// Its node is drained.
    Drained => "drained",
    /// Its node has too much to do, and another has room.
    Rebalanced => "rebalanced",
    /// An operator wants it on another node.
    Moved => "moved",
    /// The reader fell off the tail of the GOP log.
    FellBehind => "fell_behind",
    /// No random access point came for 12 s.
    NoRandomAccessPoint => "no_random_access_point",
    /// Another attempt took over.
    Superseded => "superseded",
    /// Ended through the API.
    Ended => "ended",
    /// The process is stopping.
    Shutdown => "shutdown",
    /// A fault of our own.
    Internal => "internal",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_and_api_write_a_reason_alike() {
        for reason in Reason::ALL {
            let json = serde_json::to_string(reason).expect("a unit variant is always JSON");
            assert_eq!(json, format!("\"{reason}\""));
        }
    }
}
