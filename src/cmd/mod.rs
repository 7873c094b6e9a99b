//! A file for each subcommand, and what those that run until a signal share.

mod api;
pub mod check;
pub mod drain;
pub mod node;
pub mod proxy;
mod role;
pub mod up;
