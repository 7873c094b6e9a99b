//! The streams of a proxy: a task each, and the registry that finds or starts one for a publisher.
//!
//! * [`registry`]: who publishes what; tenants' limits; the directory that players and the API read.
//! * [`task`]: the loop around [`crate::stream::Stream`]: carries its commands out, brings its inputs in.
//! * [`leases`]: the commands that go to nodes.
//! * [`snapshot`]: what the API tells about a stream.

mod leases;
pub mod registry;
mod snapshot;
pub mod task;
