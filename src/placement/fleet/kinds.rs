//! Nodes of one kind share one list of what they can do: in a fleet of thousands there are a few, and a decision knows a list
//! that it has read by its address.

use std::sync::Arc;

use crate::wire::report::Capabilities;

/// The most lists that are looked through. Where there are more, those that no node has any more are forgotten, or else the
/// oldest is: who has it keeps it.
const MAX_KINDS: usize = 64;

/// The lists that were told last.
#[derive(Debug, Default)]
pub(super) struct Kinds(Vec<Arc<Capabilities>>);

impl Kinds {
    /// The list that says the same, or this one.
    pub(super) fn share(&mut self, capabilities: Capabilities) -> Arc<Capabilities> {
        if let Some(known) = self.0.iter().find(|known| ***known == capabilities) {
            return Arc::clone(known);
        }
        if self.0.len() >= MAX_KINDS {
            self.0.retain(|known| Arc::strong_count(known) > 1);
        }
        if self.0.len() >= MAX_KINDS {
            self.0.remove(0);
        }
        let told = Arc::new(capabilities);
        self.0.push(Arc::clone(&told));
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: usize) -> Capabilities {
        Capabilities { ffmpeg_version: version.to_string(), ..Capabilities::default() }
    }

    #[test]
    fn nodes_that_can_do_the_same_share_a_list() {
        let mut kinds = Kinds::default();
        let [one, other, same] = [1, 2, 1].map(|version| kinds.share(of(version)));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        assert_eq!((&*one, &*other), (&of(1), &of(2)));
    }

    #[test]
    fn lists_that_no_node_has_are_forgotten_first() {
        let mut kinds = Kinds::default();
        let first = kinds.share(of(0));
        (1..=MAX_KINDS).for_each(|version| drop(kinds.share(of(version))));
        assert!(Arc::ptr_eq(&first, &kinds.share(of(0))));
        let held: Vec<_> = (0..=MAX_KINDS).map(|version| kinds.share(of(version))).collect();
        assert_eq!((kinds.0.len(), held.len()), (MAX_KINDS, MAX_KINDS + 1));
        assert!(!Arc::ptr_eq(&first, &kinds.share(of(0))), "there are too many");
    }
}
