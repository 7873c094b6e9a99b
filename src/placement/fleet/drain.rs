//! Draining: a node by its name gets no new lease, and keeps those it has until they end. That holds when the node goes and
//! comes back, until it is undrained or the proxy starts anew.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Fleet, MAX_LOST_SHOWN, MAX_NODES};
use crate::base::names::Name;

/// The most names that are drained. Each was a node's that is shown, of which there are at most as many; so when there is
/// one more, one at least is of a node that is not shown any more, and forgotten.
const MAX_DRAINS: usize = MAX_NODES + MAX_LOST_SHOWN;

/// There is no node of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no node named {0}")]
pub struct UnknownNode(pub Name);

impl From<Name> for UnknownNode {
    fn from(name: Name) -> Self {
        Self(name)
    }
}

/// The names that are drained.
#[derive(Debug, Default)]
pub(super) struct Drains(BTreeSet<Name>);

impl Drains {
    pub(super) fn contains(&self, node: &Name) -> bool {
        self.0.contains(node)
    }
}

impl Fleet {
    /// Gives a node no new lease from now on. Nothing happens if it is drained already.
    ///
    /// # Errors
    /// When no such node is connected, or was not long ago.
    pub fn drain(&mut self, node: &Name, now: Instant) -> Result<(), UnknownNode> {
        self.handle_deadline(now);
        let Some(member) = self.members.get_mut(node) else { return Err(UnknownNode(node.clone())) };
        let was = member.state();
        member.drain(true);
        let state = member.state();
        self.drains.0.insert(node.clone());
        if self.drains.0.len() > MAX_DRAINS
            && let Some(gone) = self.drains.0.iter().find(|name| !self.members.contains_key(*name)).cloned()
        {
            self.drains.0.remove(&gone);
        }
        if was != state {
            self.report(node.clone(), state, None);
        }
        Ok(())
    }

    /// Gives it leases again. Nothing happens if it is not drained.
    ///
    /// # Errors
    /// When the name is neither drained nor that of a node.
    pub fn undrain(&mut self, node: &Name, now: Instant) -> Result<(), UnknownNode> {
        self.handle_deadline(now);
        let drained = self.drains.0.remove(node);
        let Some(member) = self.members.get_mut(node) else {
            return if drained { Ok(()) } else { Err(UnknownNode(node.clone())) };
        };
        let was = member.state();
        member.drain(false);
        let state = member.state();
        if was != state {
            self.report(node.clone(), state, None);
        }
        Ok(())
    }
}
