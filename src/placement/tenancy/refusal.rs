//! Why a tenant does not get what it asks for, in words for whoever runs the encoder. No text names another tenant.

use crate::base::names::Name;
use crate::base::reason::Reason;

use super::MAX_BOOKINGS;

/// Why a stream is not taken, or ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TenancyRefusal {
    /// The tenant is not configured.
    #[error("there is no tenant {0}")]
    UnknownTenant(Name),
    /// The tenant has all its streams.
    #[error("tenant {tenant} has {has} of {most} streams (max_streams): end one of them first")]
    Streams {
        /// Whose.
        tenant: Name,
        /// How many there are.
        has: usize,
        /// How many there may be.
        most: usize,
    },
    /// The tenant would have more pixels encoded than it may.
    #[error(
        "tenant {tenant} has {:.1} of {:.1} million pixels a second (max_pixels_per_second), and this stream takes \
         {:.1} million: end another one first, or send fewer pictures a second or smaller ones",
        .has / 1e6, .most / 1e6, .more / 1e6
    )]
    Pixels {
        /// Whose.
        tenant: Name,
        /// What the other streams take.
        has: f64,
        /// What they may take.
        most: f64,
        /// What this one would take.
        more: f64,
    },
    /// All tenants together have as many streams as are kept account of.
    #[error("the server has {MAX_BOOKINGS} streams, and takes no more: try again later")]
    Bookings,
    /// The fleet has no room for it now.
    #[error(transparent)]
    Room(#[from] Shortage),
}

/// Why there is no room for a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// No node that is alive could ever take it; what each lacks.
    #[error("{0}")]
    Unsuitable(String),
    /// No node has room; what each lacks.
    #[error("{0}; try again later")]
    Full(String),
    /// What is free is as good as taken.
    #[error("the room that is left is promised to streams that are starting; try again later")]
    Promised,
    /// Streams that run have lost their nodes, and go first.
    #[error("room is short, and streams that lost their node go first; try again later")]
    AfterRunning,
    /// A tenant waits that has less.
    #[error("room is short, and a tenant that has less goes first; try again later")]
    AfterPoorer,
    /// What is left is kept for tenants that have less.
    #[error("the room that is left is kept for tenants that have less; end a stream, or try again later")]
    KeptBack,
}

impl TenancyRefusal {
    /// The reason of the closed set.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::UnknownTenant(_) => Reason::UnknownTenant,
            Self::Streams { .. } | Self::Pixels { .. } | Self::Bookings => Reason::LimitExceeded,
            Self::Room(shortage) => shortage.reason(),
        }
    }
}

impl Shortage {
    /// The same with what is `missing`, where nodes are what is missing.
    pub(super) fn told(self, missing: impl FnOnce() -> Option<String>) -> Self {
        let text = || missing().unwrap_or_else(|| "no node has room".to_owned());
        match self {
            Self::Unsuitable(_) => Self::Unsuitable(text()),
            Self::Full(_) => Self::Full(text()),
            Self::Promised | Self::AfterRunning | Self::AfterPoorer | Self::KeptBack => self,
        }
    }

    /// The reason of the closed set.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unsuitable(_) => Reason::NoNode,
            Self::Full(_) | Self::Promised | Self::AfterRunning | Self::AfterPoorer | Self::KeptBack => {
                Reason::NoRoom
            }
        }
    }
}
