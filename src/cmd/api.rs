//! A small client of a proxy's API: one request a connection, one answer, and what is wrong in words for a person.

use std::io;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::base::secret::Secret;
use crate::cli::api_url::{ApiUrl, NoApiUrl};
use crate::config::Config;

/// The environment variable with the token.
const TOKEN_VARIABLE: &str = "HEADGATE_API_TOKEN";
/// How long a request may take, from the dial to the answer's end.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes: a node with a thousand leases stays far below.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// A proxy's API.
#[derive(Clone, Debug)]
pub(super) struct Api {
    url: ApiUrl,
    token: Option<Secret>,
}

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// Nobody is there.
    #[error("no proxy answers at {url}: {cause}")]
    Unreachable { url: ApiUrl, cause: io::Error },
    /// It took longer than ten seconds.
    #[error("the proxy at {0} does not answer")]
    Timeout(ApiUrl),
    /// What answers is no proxy's API.
    #[error("what answers at {url} is no headgate: {cause}")]
    Foreign { url: ApiUrl, cause: anyhow::Error },
    /// It answers that it will not; its own text.
    #[error("the proxy at {url} refuses: {message}{}", advice(*status))]
    Refused { url: ApiUrl, status: StatusCode, message: String },
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => ". Give it with [http] api_token of --config FILE, or HEADGATE_API_TOKEN",
        _ => "",
    }
}

/// The body of an answer that is no success.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Api {
    /// The one at `url`, or the one of this configuration. The environment's token goes before the configuration's.
    ///
    /// # Errors
    /// When the configuration does not tell its address.
    pub(super) fn new(url: Option<ApiUrl>, config: &Config) -> Result<Self, NoApiUrl> {
        let given = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()).map(Secret::new);
        let url = url.map_or_else(|| ApiUrl::of(config.http.listen), Ok)?;
        Ok(Self { url, token: given.or_else(|| config.http.api_token.clone()) })
    }

    /// Asks, and gives the body of a success.
    pub(super) async fn ask(&self, method: Method, path: &str) -> Result<Bytes, ApiError> {
        let asked = tokio::time::timeout(TIMEOUT, self.exchange(method, path)).await;
        let (status, body) = asked.map_err(|_| ApiError::Timeout(self.url.clone()))??;
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice(&body) {
            Ok(Refusal { message }) => Err(ApiError::Refused { url: self.url.clone(), status, message }),
            Err(_) => Err(self.foreign(anyhow::anyhow!("status {status}"))),
        }
    }

    /// The same, where the answer is JSON.
    pub(super) async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, ApiError> {
        let body = self.ask(Method::GET, path).await?;
        serde_json::from_slice(&body).map_err(|error| self.foreign(error.into()))
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<(StatusCode, Bytes), ApiError> {
        let request = self.request(method, path).map_err(|error| self.foreign(error))?;
        let socket = TcpStream::connect(self.url.authority()).await;
        let socket = socket.map_err(|cause| ApiError::Unreachable { url: self.url.clone(), cause })?;
        self.send(socket, request).await.map_err(|error| self.foreign(error))
    }

    fn request(&self, method: Method, path: &str) -> anyhow::Result<Request<Empty<Bytes>>> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.url.authority());
        if let Some(token) = &self.token {
            let mut bearer = HeaderValue::from_bytes(&[b"Bearer ", token.expose()].concat())
                .context("the token cannot be sent")?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        Ok(request.body(Empty::new())?)
    }

    async fn send(
        &self,
        socket: TcpStream,
        request: Request<Empty<Bytes>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
            Ok((status, body.map_err(anyhow::Error::from_boxed)?.to_bytes()))
        };
        let mut exchange = std::pin::pin!(exchange);
        // The connection's future moves the bytes; an error of it is the exchange's as well.
        tokio::select! {
            biased;
            result = &mut exchange => result,
            _ = connection => exchange.await,
        }
    }

    fn foreign(&self, cause: anyhow::Error) -> ApiError {
        ApiError::Foreign { url: self.url.clone(), cause }
    }
}

#[cfg(test)]
impl Api {
    /// The one that listens here.
    pub(super) fn at(address: std::net::SocketAddr, token: Option<&str>) -> Self {
        Self { url: ApiUrl::of(address).expect("it has a port"), token: token.map(Secret::new) }
    }
}
