//! What every room may use: names, units, reasons, secrets, and the only places that read the clock and spawn; and what
//! both ends of the fleet link need of TLS.

pub mod clock;
pub mod descriptors;
pub mod log;
pub mod names;
pub mod rate;
pub mod reason;
pub mod secret;
pub mod shutdown;
pub mod socket;
pub mod task;
pub mod trust;
pub mod units;
