//! A fleet in simulated time: nodes of different sizes, streams that come and go, heartbeats that come late or never, and one
//! or several proxies that place. The benchmark and a test share it.
//!
//! # What is simulated
//!
//! * **Nodes** ([`hardware`], [`machine`]): nine classes of 4 to 128 cores, some with GPUs whose encoder sessions are limited;
//!   some run other programs beside. Each refuses what does not fit by its own [`headgate::placement::room::Room`].
//! * **Streams** ([`ladders`], [`arrivals`]): Poisson arrivals, lognormal lifetimes, mixed ladders.
//! * **What they really use** ([`truth`]): unlike the estimate by node class, by encoder and by content; it ramps up over
//!   FFmpeg's warm-up and goes up and down with the pictures.
//! * **Proxies** ([`proxy`]): each knows what heartbeats told it and what it placed itself.
//! * **Policies**: [`ours`], its [`rivals`], and a [`clairvoyant`] best fit that knows the truth; and, as the measure of what could
//!   be had, an [`offline`] one that may move everything.
//!
//! FFmpeg itself, failures of nodes, and moving what runs are not simulated.
//!
//! # What is equal
//!
//! Everything that chance decides is drawn before the run or from a hash of what it is about: all policies meet the same nodes,
//! arrivals, lifetimes, contents, and the same lost heartbeats. One seed gives one outcome, to the last digit.

#![allow(dead_code, reason = "benchmark and test each use their part of it")]

pub mod arrivals;
pub mod clairvoyant;
pub mod hardware;
pub mod ladders;
pub mod machine;
pub mod offline;
pub mod ours;
pub mod outcome;
pub mod proxy;
pub mod queue;
pub mod random;
pub mod rivals;
pub mod scenario;
pub mod time;
pub mod truth;
pub mod world;
