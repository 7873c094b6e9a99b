//! `[origin]`: the segments and playlists that players get.

use std::time::Duration;

use serde::Deserialize;

use super::reader::{Key, Reader};
use super::units::Quantity;

/// What players are served.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginSettings {
    /// A segment ends at the first fragment boundary after this.
    pub segment_duration: Duration,
    /// No segment is longer. It is the `EXT-X-TARGETDURATION` (RFC 8216 §4.3.3.1), so it must stay the same
    /// while a stream lives. Whole seconds, not below `segment_duration`.
    pub max_segment_duration: Duration,
    /// Segments in a media playlist.
    pub window: usize,
}

impl Default for OriginSettings {
    fn default() -> Self {
        Self {
            segment_duration: Duration::from_secs(2),
            max_segment_duration: Duration::from_secs(10),
            window: 6,
        }
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    segment_duration: Key<Duration>,
    max_segment_duration: Key<Duration>,
    window: Key<usize>,
}

impl Written {
    pub(super) fn mean(&self, reader: &mut Reader) -> OriginSettings {
        let default = OriginSettings::default();
        let minute = Duration::from_secs(60);
        let durations = Duration::from_millis(500)..=minute;
        let targets = Duration::from_secs(1)..=minute;
        let origin = OriginSettings {
            segment_duration: reader.within(&self.segment_duration, default.segment_duration, durations),
            max_segment_duration: reader.within(
                &self.max_segment_duration,
                default.max_segment_duration,
                targets,
            ),
            // Players start three segments before the live edge (RFC 8216 §6.3.3).
            window: reader.within(&self.window, default.window, 3..=1000),
        };
        self.refuse_impossible_target(&origin, reader);
        origin
    }

    fn refuse_impossible_target(&self, origin: &OriginSettings, reader: &mut Reader) {
        let (least, most) = (origin.segment_duration, origin.max_segment_duration);
        if most.subsec_nanos() != 0 {
            // The tag's value is a decimal integer.
            reader.refuse(self.max_segment_duration.place(), "must be whole seconds");
        }
        if most < least {
            let place = self.max_segment_duration.place().or_else(|| self.segment_duration.place());
            let (least, most) = (least.written(), most.written());
            let problem = format!(
                "origin.max_segment_duration ({most}) must not be below origin.segment_duration ({least})"
            );
            reader.refuse(place, problem);
        }
    }
}
