//! The event queue: what happens next. Events of one moment happen in the order in which they were put in.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::Rc;

use headgate::wire::report::Heartbeat;

/// What happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// A stream is published.
    Arrival {
        /// Which, by its index in the arrivals.
        stream: usize,
    },
    /// A stream ends.
    Departure {
        /// Which.
        stream: usize,
    },
    /// A node measures itself and sends a heartbeat to each proxy.
    Beat {
        /// Which.
        node: usize,
        /// How many it has sent.
        number: u64,
    },
    /// A heartbeat reaches a proxy.
    Delivery {
        /// Which proxy.
        proxy: usize,
        /// Which node's.
        node: usize,
        /// Which of its heartbeats: one that was overtaken is dropped.
        number: u64,
        /// What it says; the proxies share it.
        heartbeat: Rc<Heartbeat>,
    },
    /// How full the nodes are is noted down.
    Sample,
}

/// Events to come.
#[derive(Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    count: u64,
}

#[derive(Debug)]
struct Entry {
    at: f64,
    order: u64,
    event: Event,
}

impl Queue {
    /// Puts an event in, `at` so many seconds.
    pub fn push(&mut self, at: f64, event: Event) {
        self.count += 1;
        self.heap.push(Reverse(Entry { at, order: self.count, event }));
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(f64, Event)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.order.cmp(&other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
