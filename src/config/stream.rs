//! `[stream]`: what happens when a publisher goes, and when a second one comes.

use std::time::Duration;

use serde::Deserialize;
use toml::Value;

use super::reader::{Key, Reader, Setting};

/// The life of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamSettings {
    /// How long a stream waits for its publisher to come back; zero ends it at once.
    pub reconnect_grace: Duration,
    /// What a second publisher of the same stream does.
    pub takeover: Takeover,
}

/// What happens when a second publisher comes for a stream that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// It replaces the first.
    Replace,
    /// It is refused.
    Refuse,
}

impl Setting for Takeover {
    const ALLOWED: &'static str = r#""replace" or "refuse""#;

    fn read(written: &Value) -> Option<Self> {
        match written.as_str()? {
            "replace" => Some(Self::Replace),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self { reconnect_grace: Duration::from_secs(15), takeover: Takeover::Replace }
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    reconnect_grace: Key<Duration>,
    takeover: Key<Takeover>,
}

impl Written {
    pub(super) fn mean(&self, reader: &mut Reader) -> StreamSettings {
        let default = StreamSettings::default();
        // A stream that waits holds its GOP log, its name and its playlist; 10 minutes is a long walk to the encoder.
        let graces = Duration::ZERO..=Duration::from_secs(600);
        StreamSettings {
            reconnect_grace: reader.within(&self.reconnect_grace, default.reconnect_grace, graces),
            takeover: reader.get(&self.takeover, default.takeover),
        }
    }
}
