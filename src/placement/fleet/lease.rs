//! A lease as the fleet keeps it.

use std::time::Instant;

use crate::base::names::Name;
use crate::placement::work::Work;
use crate::wire::report::EncoderOn;

/// A lease that takes up a slot.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) node: Name,
    pub(super) phase: Phase,
    /// What it does and by what, which its use is learnt for.
    pub(super) work: Work,
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
    pub(super) fn expires(self) -> Option<Instant> {
        match self {
            Self::Offered { expires } => Some(expires),
            Self::Attached => None,
        }
    }

    pub(super) fn expired(self, now: Instant) -> bool {
        self.expires().is_some_and(|at| at <= now)
    }
}
