//! Who may upgrade: an HTTP request's head against version, path and token. Pure; the lease secret is checked against
//! the leases on offer by [`super::dispatch`].

use hyper::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, UPGRADE as UPGRADE_HEADER};
use hyper::{Method, StatusCode};

use super::secret::LeaseSecret;
use crate::base::reason::Reason;
use crate::base::secret::Secret;
use crate::wire::message::{
    CONTROL_PATH, LEASE_PATH, LEASE_SECRET_HEADER, UPGRADE, VERSION_HEADER, WIRE_VERSION,
};

/// What a request wants, and may have as far as its head tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A node's control connection.
    Control,
    /// The connection of the lease that has this secret.
    Lease(LeaseSecret),
}

/// Why a request is turned away. `detail` is the answer's text and goes into both sides' logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    /// Of the answer. A node tells by it whether to ask again soon.
    pub(super) status: StatusCode,
    /// Of the closed set, for the log.
    pub(super) reason: Reason,
    /// For people; holds nothing that a stranger chose, but for an escaped version.
    pub(super) detail: String,
}

impl Denial {
    pub(super) fn new(status: StatusCode, reason: Reason, detail: impl Into<String>) -> Self {
        Self { status, reason, detail: detail.into() }
    }

    /// What is no request of a node at all.
    fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Reason::ProtocolViolation, detail)
    }
}

/// What the request wants, if it may have it. The version comes first: with another one, nothing else need mean what it
/// means here. Then the form, and only then the token, so that a typing error is not taken for a wrong token.
pub(super) fn admit(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    token: Option<&Secret>,
) -> Result<Wanted, Denial> {
    check_version(headers)?;
    let wanted = match path {
        CONTROL_PATH => Wanted::Control,
        LEASE_PATH => Wanted::Lease(lease_secret(headers)?),
        _ => {
            let detail = "the fleet port has no such path";
            return Err(Denial::new(StatusCode::NOT_FOUND, Reason::ProtocolViolation, detail));
        }
    };
    check_upgrade(method, headers)?;
    check_token(headers, token)?;
    Ok(wanted)
}

/// Exactly our version: the protocol has no older or newer dialects.
fn check_version(headers: &HeaderMap) -> Result<(), Denial> {
    let version = only(headers, &HeaderName::from_static(VERSION_HEADER))?.ok_or_else(|| {
        Denial::malformed(format!("no {VERSION_HEADER} header: this is headgate's fleet port"))
    })?;
    if std::str::from_utf8(version).ok().and_then(|text| text.parse().ok()) == Some(WIRE_VERSION) {
        return Ok(());
    }
    // What a stranger sends is repeated only as far as a version can be long.
    let theirs = version.get(..version.len().min(16)).unwrap_or_default().escape_ascii();
    let detail = format!(
        "the node speaks version {theirs} of the fleet protocol and the proxy version {WIRE_VERSION}: \
         run the same headgate on both"
    );
    Err(Denial::new(StatusCode::UPGRADE_REQUIRED, Reason::WrongVersion, detail))
}

/// The request must be an upgrade to our protocol (RFC 9110 §7.8).
fn check_upgrade(method: &Method, headers: &HeaderMap) -> Result<(), Denial> {
    if method != Method::GET {
        return Err(Denial::malformed("an upgrade to the fleet protocol is a GET"));
    }
    let upgrade = only(headers, &UPGRADE_HEADER)?;
    let connection = only(headers, &CONNECTION)?;
    let asks = |value: Option<&[u8]>, token: &str| {
        let mut tokens = value.unwrap_or_default().split(|&byte| byte == b',');
        tokens.any(|one| one.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    };
    if asks(upgrade, UPGRADE) && asks(connection, "upgrade") {
        return Ok(());
    }
    Err(Denial::malformed(format!("the request does not ask for an upgrade to {UPGRADE}")))
}

/// RFC 6750 §2.1; the scheme's case does not matter (RFC 9110 §11.1).
fn check_token(headers: &HeaderMap, token: Option<&Secret>) -> Result<(), Denial> {
    let Some(token) = token else { return Ok(()) };
    let presented = only(headers, &AUTHORIZATION)?.and_then(|value| value.split_at_checked(b"Bearer ".len()));
    let matches = presented
        .is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case(b"Bearer ") && token.matches(given));
    // An empty token would be one that everybody has.
    if matches && !token.is_empty() {
        return Ok(());
    }
    let detail = if presented.is_some() { "wrong fleet token" } else { "no fleet token" };
    Err(Denial::new(StatusCode::UNAUTHORIZED, Reason::WrongToken, detail))
}

/// The secret that the head of a lease's request holds.
fn lease_secret(headers: &HeaderMap) -> Result<LeaseSecret, Denial> {
    only(headers, &HeaderName::from_static(LEASE_SECRET_HEADER))?.and_then(LeaseSecret::parse).ok_or_else(
        || Denial::malformed(format!("{LEASE_SECRET_HEADER} is not there, or not 32 hexadecimal digits")),
    )
}

/// The value of a header that may come once at most.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Denial> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.as_bytes());
    match values.next() {
        Some(_) => Err(Denial::malformed(format!("more than one {name} header"))),
        None => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const SECRET: &str = "000102030405060708090a0b0c0d0e0f";

    /// A sound request for `path` with `changes`: a header set to a value, or taken away.
    fn check(path: &str, changes: &[(&'static str, Option<&str>)], expected: Result<Wanted, (u16, &str)>) {
        let mut headers = HeaderMap::new();
        let sound = [
            (VERSION_HEADER, Some("4")),
            ("connection", Some("keep-alive, Upgrade")),
            ("upgrade", Some(UPGRADE)),
            ("authorization", Some("Bearer hunter2")),
            (LEASE_SECRET_HEADER, Some(SECRET)),
        ];
        for &(name, value) in sound.iter().chain(changes) {
            match value {
                Some(value) => {
                    headers.insert(name, HeaderValue::from_str(value).expect("test header"));
                }
                None => drop(headers.remove(name)),
            }
        }
        let admitted = admit(&Method::GET, path, &headers, Some(&Secret::new("hunter2")));
        let got = admitted.as_ref().map_err(|denial| (denial.status.as_u16(), denial.detail.as_str()));
        assert_eq!(got.copied(), expected);
    }

    #[test]
    fn a_sound_request_is_admitted() {
        let secret = LeaseSecret::parse(SECRET.as_bytes()).expect("test secret");
        check(CONTROL_PATH, &[], Ok(Wanted::Control));
        check(CONTROL_PATH, &[(LEASE_SECRET_HEADER, None)], Ok(Wanted::Control));
        check(CONTROL_PATH, &[("authorization", Some("bearer hunter2"))], Ok(Wanted::Control));
        check(LEASE_PATH, &[], Ok(Wanted::Lease(secret)));
    }

    #[test]
    fn the_version_is_looked_at_first() {
        let changes = [(VERSION_HEADER, Some("5")), ("authorization", None)];
        let detail = "the node speaks version 5 of the fleet protocol and the proxy version 4: \
                      run the same headgate on both";
        check("/fleet/v2/control", &changes, Err((426, detail)));
        let detail = "no headgate-wire-version header: this is headgate's fleet port";
        check("/", &[(VERSION_HEADER, None)], Err((400, detail)));
    }

    #[test]
    fn a_long_version_is_not_repeated_in_full() {
        let detail = "the node speaks version 9999999999999999 of the fleet protocol and the proxy version 4: \
                      run the same headgate on both";
        check(CONTROL_PATH, &[(VERSION_HEADER, Some(&"9".repeat(5000)))], Err((426, detail)));
    }

    #[test]
    fn a_malformed_request_is_refused_before_its_token_counts() {
        let wrong = ("authorization", Some("Bearer wrong"));
        check("/fleet/v1/other", &[wrong], Err((404, "the fleet port has no such path")));
        let detail = "the request does not ask for an upgrade to headgate-fleet";
        check(CONTROL_PATH, &[wrong, ("upgrade", Some("websocket"))], Err((400, detail)));
        check(CONTROL_PATH, &[wrong, ("connection", Some("close"))], Err((400, detail)));
        let detail = "headgate-lease-secret is not there, or not 32 hexadecimal digits";
        check(LEASE_PATH, &[wrong, (LEASE_SECRET_HEADER, Some("00"))], Err((400, detail)));
        check(LEASE_PATH, &[wrong, (LEASE_SECRET_HEADER, None)], Err((400, detail)));
    }

    #[test]
    fn only_the_token_itself_is_good_enough() {
        for wrong in ["Bearer hunter", "Bearer hunter22", "Bearer ", "Basic hunter2", "hunter2-as-it-is"] {
            check(CONTROL_PATH, &[("authorization", Some(wrong))], Err((401, "wrong fleet token")));
        }
        check(CONTROL_PATH, &[("authorization", None)], Err((401, "no fleet token")));
        check(LEASE_PATH, &[("authorization", None)], Err((401, "no fleet token")));
    }

    #[test]
    fn an_empty_token_admits_nobody_and_no_token_everybody() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer "));
        assert!(check_token(&headers, Some(&Secret::new(""))).is_err());
        assert!(check_token(&headers, None).is_ok());
    }

    #[test]
    fn a_header_given_twice_is_malformed() {
        let mut headers = HeaderMap::new();
        headers.append(VERSION_HEADER, HeaderValue::from_static("3"));
        headers.append(VERSION_HEADER, HeaderValue::from_static("3"));
        let denial = admit(&Method::GET, CONTROL_PATH, &headers, None).expect_err("two versions");
        assert_eq!(denial.detail, "more than one headgate-wire-version header");
    }
}
