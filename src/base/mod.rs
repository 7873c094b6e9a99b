//! What every room may use: names, units, reasons, secrets, and the only places that read the clock and spawn.

pub mod clock;
pub mod descriptors;
pub mod log;
pub mod names;
pub mod rate;
pub mod reason;
pub mod secret;
pub mod shutdown;
pub mod task;
pub mod units;
