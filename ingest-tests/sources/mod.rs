//! The sources, by what is unusual about them.

mod audio;
mod change;
mod clock;
mod filters;
mod rates;
mod reconnect;
mod row;
mod source;
mod tracks;
