//! `[gop_log]`: how much of each stream is kept in memory for a node that fails. Memory for all streams together is
//! at most `max_bytes` times the tenants' `max_streams`.

use std::time::Duration;

use serde::Deserialize;

use super::reader::{Key, Reader};
use crate::base::units::ByteSize;

/// Bounds of each stream's GOP log. Over either one the oldest GOP is dropped and counted as lost.
#[derive(Clone, Debug, PartialEq)]
pub struct GopLogLimits {
    /// Longest stretch of the timeline.
    pub max_duration: Duration,
    /// Most memory.
    pub max_bytes: ByteSize,
}

impl Default for GopLogLimits {
    fn default() -> Self {
        Self { max_duration: Duration::from_secs(30), max_bytes: ByteSize::mebibytes(64) }
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    max_duration: Key<Duration>,
    max_bytes: Key<ByteSize>,
}

impl Written {
    pub(super) fn mean(&self, reader: &mut Reader) -> GopLogLimits {
        let default = GopLogLimits::default();
        let durations = Duration::from_secs(1)..=Duration::from_secs(600);
        // One GOP of a high bitrate must fit; a warm-up GOP stays behind it.
        let sizes = ByteSize::mebibytes(1)..=ByteSize::mebibytes(64 * 1024);
        GopLogLimits {
            max_duration: reader.within(&self.max_duration, default.max_duration, durations),
            max_bytes: reader.within(&self.max_bytes, default.max_bytes, sizes),
        }
    }
}
