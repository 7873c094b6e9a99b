//! FFmpeg, decided without running it: which outputs are wanted, the arguments that make them, and what its progress,
//! its capability lists and its last words mean.

pub mod args;
pub mod attempt;
pub mod bounds;
pub mod capability;
pub mod diagnosis;
pub mod encoder;
mod filters;
pub mod frame_rate;
pub mod ladder;
pub mod progress;
pub mod proof;
