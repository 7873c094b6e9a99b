//! The proxy's side of what touches the world.

pub mod fleet;
