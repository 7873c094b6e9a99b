//! A lease as the fleet keeps it.

use std::time::Instant;

use crate::base::names::Name;
use crate::placement::work::Work;
use crate::wire::report::EncoderOn;

/// A lease that takes up a slot.
#[derive(Debug)]
pub(super) struct Lease {
    /// Who has it.
    pub(super) node: Name,
    /// How far it is.
    pub(super) phase: Phase,
    /// What it does and by what, which its use is learnt for.
    pub(super) work: Work,
    /// By what, one for each rendition; `None` for a copy.
    pub(super) encoders: Vec<Option<EncoderOn>>,
    /// When its use was last learnt.
    pub(super) learnt: Option<Instant>,
}

/// How far a lease is; only an offer can expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Offered { expires: Instant },
    Attached,
}

impl Phase {
    /// When nobody needs to come for it any more.
    pub(super) fn expires(self) -> Option<Instant> {
        match self {
            Self::Offered { expires } => Some(expires),
            Self::Attached => None,
        }
    }

    /// Whether that is over at `now`.
    pub(super) fn expired(self, now: Instant) -> bool {
        self.expires().is_some_and(|at| at <= now)
    }
}
