//! Publish addresses: from the texts that encoders send to tenant, stream and secret.
//!
//! ```text
//! rtmp://HOST/TENANT/STREAM?key=SECRET       app TENANT, stream STREAM?key=SECRET   (FFmpeg, OBS, GStreamer)
//! rtmp://HOST/TENANT?key=SECRET + STREAM     the query on the app
//! rtmp://USER:PASS@HOST/TENANT + STREAM      the secret in tcUrl
//! anything + rtmp://HOST/TENANT/STREAM?...   the whole URL pasted into the field for the stream
//! rtmp://HOST/ + STREAM                      tenant `live`
//! ```

use crate::base::names::{Name, NameError};
use crate::base::secret::Secret;

#[cfg(test)]
mod tests;

/// The tenant of those who name none.
pub const DEFAULT_TENANT: &str = "live";
/// Query parameters that hold a secret, the first one counts.
const SECRET_PARAMETERS: [&str; 3] = ["key", "token", "pass"];
/// Query parameter that holds a user.
const USER_PARAMETER: &str = "user";

/// Which stream a publisher means, and what it presents to prove its right. `Debug` masks the secret.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishAddress {
    /// Whose stream it is.
    pub tenant: Name,
    /// The stream's name within the tenant.
    pub stream: Name,
    /// The stream key: `key`, else `token`, else `pass`, else the password of the URL. An empty one counts as none.
    pub secret: Option<Secret>,
    /// The user that came with it, unchecked text.
    pub user: Option<String>,
}

/// Why an address names no stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The tenant is no name.
    #[error("tenant: {0}")]
    Tenant(#[source] NameError),
    /// The stream is no name, or missing.
    #[error("stream: {0}")]
    Stream(#[source] NameError),
}

impl PublishAddress {
    /// From `app` and `tcUrl` of `connect`, and the stream's text of `publish`.
    ///
    /// Where several places hold a secret or user, the stream's query comes before the app's, and that before tcUrl's;
    /// a query comes before what stands before a host's `@`. Values are percent-decoded, names are not: no name needs it.
    pub fn parse(app: &str, stream: &str, tc_url: &str) -> Result<Self, AddressError> {
        let target = Target::of_url(stream).unwrap_or_else(|| Target::of_fields(app, stream));
        let fallback = Parts::of_url(tc_url).unwrap_or_default().credentials();
        let Credentials { secret, user } = target.credentials.or(fallback);
        Ok(Self {
            tenant: target.tenant.parse().map_err(AddressError::Tenant)?,
            stream: target.stream.parse().map_err(AddressError::Stream)?,
            secret: secret.map(Secret::new),
            user: user.map(|user| String::from_utf8_lossy(&user).into_owned()),
        })
    }
}

/// Names not yet checked, and what was presented beside them.
struct Target {
    tenant: String,
    stream: String,
    credentials: Credentials,
}

impl Target {
    /// From a whole URL. `None` if it is none.
    fn of_url(text: &str) -> Option<Self> {
        let url = Parts::of_url(text)?;
        let (tenant, stream) = match url.path.trim_matches('/').split_once('/') {
            Some((tenant, stream)) => (tenant, stream),
            None => (DEFAULT_TENANT, url.path.trim_matches('/')),
        };
        Some(Self { tenant: tenant.to_owned(), stream: stream.to_owned(), credentials: url.credentials() })
    }

    /// From an app and a stream's text.
    fn of_fields(app: &str, stream: &str) -> Self {
        let (app_path, app_query) = split_query(app);
        let app_path = app_path.trim_matches('/');
        if let Some((tenant, name)) = app_path.split_once('/') {
            return Self::of_cut_url(tenant, name, app_query, stream);
        }
        let (stream_path, stream_query) = split_query(stream);
        let stream_path = stream_path.trim_matches('/');
        let (tenant, name) = match (app_path, stream_path.split_once('/')) {
            ("", Some((tenant, name))) => (tenant, name),
            ("", None) => (DEFAULT_TENANT, stream_path),
            // A forgotten stream is an empty name, and a slash is in no name: both are refused by the name's check.
            (tenant, _) => (tenant, stream_path),
        };
        let credentials = Credentials::of_query(stream_query).or(Credentials::of_query(app_query));
        Self { tenant: tenant.to_owned(), stream: name.to_owned(), credentials }
    }

    /// From an app that holds the whole path. FFmpeg cuts a URL at its second slash where there is one, be it in the
    /// query: `rtmp://HOST/T/S?key=a/b` comes as app `T/S?key=a` and stream `b`. It is put together again.
    fn of_cut_url(tenant: &str, name: &str, app_query: &str, stream: &str) -> Self {
        let (name, query) = if app_query.is_empty() {
            let (path, query) = split_query(stream);
            let slash = if path.is_empty() { "" } else { "/" };
            (format!("{name}{slash}{path}"), query.to_owned())
        } else {
            let slash = if stream.is_empty() { "" } else { "/" };
            (name.to_owned(), format!("{app_query}{slash}{stream}"))
        };
        Self { tenant: tenant.to_owned(), stream: name, credentials: Credentials::of_query(&query) }
    }
}

fn split_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

/// What was presented, decoded. Never empty texts.
#[derive(Default)]
struct Credentials {
    secret: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
}

impl Credentials {
    fn of_query(query: &str) -> Self {
        let secret = SECRET_PARAMETERS.iter().find_map(|name| parameter(query, name));
        Self { secret, user: parameter(query, USER_PARAMETER) }
    }

    fn of_user_info(text: &str) -> Self {
        let (user, secret) = text.split_once(':').unwrap_or((text, ""));
        Self { secret: decoded(secret), user: decoded(user) }
    }

    fn or(self, other: Self) -> Self {
        Self { secret: self.secret.or(other.secret), user: self.user.or(other.user) }
    }
}

/// The parts of an RTMP URL that matter here.
#[derive(Default)]
struct Parts<'a> {
    user_info: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    /// `None` if `text` is no URL of RTMP's schemes.
    fn of_url(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !["rtmp", "rtmps"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return None;
        }
        let (before_query, query) = split_query(rest);
        let (authority, path) = before_query.split_once('/').unwrap_or((before_query, ""));
        let (user_info, _host) = authority.rsplit_once('@').unwrap_or(("", authority));
        Some(Self { user_info, path, query })
    }

    fn credentials(&self) -> Credentials {
        Credentials::of_query(self.query).or(Credentials::of_user_info(self.user_info))
    }
}

/// The first value of that name which is not empty.
fn parameter(query: &str, name: &str) -> Option<Vec<u8>> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .find_map(|(_, value)| decoded(value))
}

/// RFC 3986 §2.1. A percent sign that is none stays as it is, and so does `+`: keys are often base64.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = (byte == b'%').then(|| escape(after)).flatten();
        if escaped.is_some() {
            rest = &after[2..];
        }
        bytes.push(escaped.unwrap_or(byte));
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// The byte that two hexadecimal digits mean.
fn escape(after_percent: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*after_percent.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}
