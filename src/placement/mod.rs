//! Placement: which node gets a lease, and who is in the fleet. Pure: no I/O, no clock; `now` is an argument.
//!
//! [`work`] and [`demand`] say what a stream needs, [`cost`] how much that is, [`load`] brings what nodes report within
//! bounds, [`room`] keeps what is in use and reserved on each, [`place`] chooses among them by the [`policy`] and explains
//! itself, and [`fleet`] keeps membership and leases and asks [`place`] for each new lease. [`tenancy`] keeps account of what
//! each tenant has of the fleet, and says whose turn it is where room is short.

pub mod cost;
pub mod demand;
pub mod fleet;
pub mod load;
pub mod place;
pub mod policy;
pub mod room;
pub mod tenancy;
mod text_hash;
pub mod work;
