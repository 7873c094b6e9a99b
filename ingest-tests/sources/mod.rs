//! The sources, by what is unusual about them.

#![allow(clippy::print_stdout, reason = "the table is what a reader wants to see")]

mod audio;
mod change;
mod clock;
mod filters;
mod rates;
mod reconnect;
mod row;
mod source;
mod tracks;
