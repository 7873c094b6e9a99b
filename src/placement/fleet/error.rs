//! Why a node's message is not taken.

use super::MAX_NODES;
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::placement::load::ReportError;

/// Why a node's message is not taken. Its connection is to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Another connection has that name.
    #[error("a node named {0} is connected already")]
    NameTaken(Name),
    /// [`MAX_NODES`] are connected.
    #[error("the proxy has {MAX_NODES} nodes, no more are taken")]
    TooManyNodes,
    /// It said hello twice.
    #[error("a second hello on one connection")]
    SecondHello,
    /// Something else before its hello.
    #[error("the connection has not said hello")]
    NoHello,
    /// What it says about itself is out of bounds.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl NodeError {
    /// The reason of the closed set.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::NameTaken(_) => Reason::NameTaken,
            Self::TooManyNodes | Self::Report(_) => Reason::LimitExceeded,
            Self::SecondHello | Self::NoHello => Reason::ProtocolViolation,
        }
    }
}
