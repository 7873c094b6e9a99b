//! What an operator orders of nodes. A drain is of a name: it holds when the node goes and comes back, until it is taken
//! back. Moving running streams away is not part of it: they stay until they end.

use std::time::Instant;

use super::member::Member;
use super::{Command, Fleet, MAX_LOST_SHOWN, MAX_NODES};
use crate::base::names::Name;

/// The most names that are drained. Each was a node's that is shown, of which there are at most as many; so when there is
/// one more, one at least is of a node that is not shown any more, and forgotten.
pub const MAX_DRAINS: usize = MAX_NODES + MAX_LOST_SHOWN;

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// No node of this name is connected or was not long ago.
    #[error("there is no node named {0}")]
    UnknownNode(Name),
    /// The node is known and not connected.
    #[error("the node {0} is not connected")]
    NotConnected(Name),
}

impl Fleet {
    /// A node shall take nothing new. It tells when it is empty, and that may be at once. Nothing happens if it is drained
    /// already.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn drain(&mut self, node: &Name, now: Instant) -> Result<(), OrderError> {
        self.handle_deadline(now);
        if !self.members.contains_key(node) {
            return Err(OrderError::UnknownNode(node.clone()));
        }
        if self.drains.contains(node) {
            return Ok(());
        }
        self.drains.insert(node.clone());
        if self.drains.len() > MAX_DRAINS
            && let Some(gone) = self.drains.iter().find(|name| !self.members.contains_key(*name)).cloned()
        {
            self.drains.remove(&gone);
        }
        let Some(member) = self.members.get_mut(node) else { return Ok(()) };
        let was = member.state();
        member.set_draining(true);
        let (state, empty) = (member.state(), member.is_drained() && member.is_connected());
        if was != state {
            self.report(node.clone(), state, None);
        }
        if empty {
            self.commands.push_back(Command::Drained { node: node.clone() });
        }
        Ok(())
    }

    /// A node may take leases again. Of a name that was drained and is forgotten it is taken back too.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn undrain(&mut self, node: &Name, now: Instant) -> Result<(), OrderError> {
        self.handle_deadline(now);
        let drained = self.drains.remove(node);
        let Some(member) = self.members.get_mut(node) else {
            return if drained { Ok(()) } else { Err(OrderError::UnknownNode(node.clone())) };
        };
        let was = member.state();
        member.set_draining(false);
        let state = member.state();
        if was != state {
            self.report(node.clone(), state, None);
        }
        Ok(())
    }

    /// A node shall prove again what it can do; its answer is [`Fleet::handle_capabilities`].
    ///
    /// # Errors
    /// When there is no such node, or it is not connected.
    pub fn prove(&mut self, node: &Name, now: Instant) -> Result<(), OrderError> {
        self.handle_deadline(now);
        let member = self.members.get(node).ok_or_else(|| OrderError::UnknownNode(node.clone()))?;
        let connection = Member::connection(member).ok_or_else(|| OrderError::NotConnected(node.clone()))?;
        self.commands.push_back(Command::Prove { connection });
        Ok(())
    }
}
