//! `[http]`: the server for the API, the statistics and the players.

use std::net::SocketAddr;

use serde::Deserialize;

use super::reader::{Key, Reader};
use super::surroundings::SecretSource;
use crate::base::secret::Secret;

/// The HTTP server.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// What the API wants as a bearer token. Without one it answers only its own pages.
    pub api_token: Option<Secret>,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 8080).into(), api_token: None }
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    pub(super) listen: Key<SocketAddr>,
    api_token: Key<SecretSource>,
}

impl Written {
    pub(super) fn mean(&self, reader: &mut Reader) -> Http {
        let default = Http::default();
        Http { listen: reader.get(&self.listen, default.listen), api_token: reader.secret(&self.api_token) }
    }
}
