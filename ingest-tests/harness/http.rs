//! A plain HTTP client with a bound on everything.

use std::time::Duration;

use ureq::Agent;
use ureq::http::{HeaderMap, Response as Head};

/// The longest a request may take: the origin holds one for a stream that is about to begin.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest body that is read.
const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;

/// Keeps connections, as players do. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
}

/// What came back.
pub struct Answer {
    /// The status code.
    pub status: u16,
    headers: HeaderMap,
    /// The body; empty for HEAD.
    pub body: Vec<u8>,
}

impl Client {
    pub fn new() -> Self {
        let config =
            Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT)).http_status_as_error(false);
        Self { agent: config.build().into() }
    }

    /// GET; an error is one of the connection, never a status.
    pub fn get(&self, url: &str) -> Result<Answer, String> {
        self.get_with(url, &[])
    }

    pub fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
        let request =
            headers.iter().fold(self.agent.get(url), |request, &(name, value)| request.header(name, value));
        answer(url, request.call())
    }

    pub fn head(&self, url: &str) -> Result<Answer, String> {
        answer(url, self.agent.head(url).call())
    }

    /// The question a browser asks before a request from another site.
    pub fn preflight(&self, url: &str) -> Result<Answer, String> {
        let request = self.agent.options(url).header("origin", "https://player.example");
        answer(url, request.header("access-control-request-method", "GET").call())
    }
}

impl Answer {
    /// The header's value, if there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn answer(url: &str, result: Result<Head<ureq::Body>, ureq::Error>) -> Result<Answer, String> {
    let (head, mut body) = result.map_err(|error| format!("{url}: {error}"))?.into_parts();
    let body = body.with_config().limit(MAX_BODY_BYTES).read_to_vec();
    let body = body.map_err(|error| format!("{url}: {error}"))?;
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}
