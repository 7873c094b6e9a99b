//! What slots, the measuring and the heartbeats share of each lease.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::flow::Flow;
use super::input::TagTimes;
use super::process::{Processes, Seen};
use super::rate::{Rate, Width};
use crate::ffmpeg::ladder::Output;
use crate::ffmpeg::progress::Report;
use crate::media::time::Ticks;
use crate::wire::message::LeaseId;
use crate::wire::report::LeaseLoad;

/// The gauges of all leases that there are. Clones are the same list. A gauge that nobody holds any more leaves it, so it is
/// as long as the node has slots.
#[derive(Clone, Debug, Default)]
pub(in crate::node) struct Gauges {
    list: Arc<Mutex<Vec<Weak<Gauge>>>>,
}

/// One lease's gauge: its slot says what passes, and reads nothing of it. The lock is held for a few instructions.
#[derive(Debug)]
pub(in crate::node) struct Gauge {
    /// FFmpeg's time zero on the stream's timeline.
    base: Ticks,
    state: Mutex<State>,
}

/// What is known of a lease; held for a moment by whoever adds to it or reads it.
#[derive(Debug)]
struct State {
    /// FFmpeg's process identifier; `None` once it has ended.
    process: Option<u32>,
    times: TagTimes,
    flow: Flow,
    /// Milliseconds of CPU time.
    cpu_ms: Rate,
    memory: u64,
}

impl Gauges {
    /// Adds the gauge of a lease: of an attempt with this base and these outputs, run by this process.
    pub(in crate::node) fn open(&self, base: Ticks, outputs: &[Output], process: Option<u32>) -> Arc<Gauge> {
        let state = State {
            process,
            times: TagTimes::new(),
            flow: Flow::new(outputs),
            cpu_ms: Rate::new(Width::Bits64),
            memory: 0,
        };
        let gauge = Arc::new(Gauge { base, state: Mutex::new(state) });
        let mut list = locked(&self.list);
        list.retain(|gauge| gauge.strong_count() > 0);
        list.push(Arc::downgrade(&gauge));
        gauge
    }

    /// Looks at the processes of all leases.
    pub(super) fn measure(&self, processes: &mut Processes, now: Instant) {
        let process = |gauge: Arc<Gauge>| {
            let id = gauge.state().process?;
            Some((id, gauge))
        };
        let leases: Vec<(u32, Arc<Gauge>)> = self.all().into_iter().filter_map(process).collect();
        let ids: Vec<u32> = leases.iter().map(|&(id, _)| id).collect();
        let seen = processes.look(&ids);
        for (id, gauge) in leases {
            gauge.state().handle_process(seen.get(&id), now);
        }
    }

    /// Leases whose output waits.
    pub(super) fn queue_length(&self, now: Instant) -> u32 {
        let behind = self.all().iter().filter(|gauge| gauge.state().flow.is_behind(now)).count();
        u32::try_from(behind).unwrap_or(u32::MAX)
    }

    /// The gauges of leases that are not gone.
    fn all(&self) -> Vec<Arc<Gauge>> {
        locked(&self.list).iter().filter_map(Weak::upgrade).collect()
    }
}

impl Gauge {
    /// The link is empty: FFmpeg has all that there is.
    pub(in crate::node) fn waiting(&self, now: Instant) {
        self.state().flow.handle_waiting(now);
    }

    /// Input has come.
    pub(in crate::node) fn input(&self, now: Instant) {
        self.state().flow.handle_input(now);
    }

    /// FFmpeg has taken these bytes.
    pub(in crate::node) fn given(&self, bytes: &[u8]) {
        let State { times, flow, .. } = &mut *self.state();
        times.read(bytes).for_each(|(kind, time)| flow.handle_given(kind, time));
    }

    /// An output has come as far as this, on the stream's timeline.
    pub(in crate::node) fn made(&self, output: Output, position: Ticks) {
        let end = position.0.saturating_sub(self.base.0) / 90;
        self.state().flow.handle_made(output, end);
    }

    /// FFmpeg has said how far it is.
    pub(in crate::node) fn report(&self, report: &Report, now: Instant) {
        if let Some(time) = report.out_time_us {
            self.state().flow.handle_report(time, now);
        }
    }

    /// FFmpeg has ended. Its identifier may be another process's from now on.
    pub(in crate::node) fn ended(&self) {
        let mut state = self.state();
        (state.process, state.memory, state.cpu_ms) = (None, 0, Rate::new(Width::Bits64));
    }

    /// What a heartbeat says of the lease.
    pub(in crate::node) fn load(&self, lease: LeaseId, now: Instant) -> LeaseLoad {
        let state = self.state();
        LeaseLoad {
            lease,
            cpu: state.cpu_ms.per_second().map(|rate| rate / 1000.0),
            memory: state.memory,
            speed: state.flow.speed(now),
            lag_ms: state.flow.lag_ms(now),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl State {
    /// Its process was looked at; `None` if it was not there any more.
    fn handle_process(&mut self, seen: Option<&Seen>, now: Instant) {
        // It may have ended since it was looked at.
        if let (Some(seen), Some(_)) = (seen, self.process) {
            self.cpu_ms.push(seen.cpu_ms, now);
            self.memory = seen.memory;
        }
    }
}

/// What a thread that panicked left behind is a gauge all the same.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
