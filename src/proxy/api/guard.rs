//! Who may ask the API. Any web page can make a browser send requests to a loopback address, and a name that it
//! controls can be made to point there (DNS rebinding). So without a token the API answers only requests that were
//! addressed to it by a name that is its own, from a page of its own or from no page.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

use crate::base::secret::Secret;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A token is configured, and the request has none or another.
    #[error("this needs `Authorization: Bearer` with the proxy's api_token")]
    WrongToken,
    /// Without a token, and `Host` is not a loopback name or an address of this server.
    #[error("without an api_token the API answers on loopback names and its own address only")]
    ForeignHost,
    /// Without a token, and `Origin` is another server's page.
    #[error("without an api_token the API answers no other server's pages")]
    ForeignOrigin,
    /// An order that another server's page gives, with or without a token.
    #[error("the API takes no orders from another server's pages")]
    ForeignOrder,
}

impl Refusal {
    /// The stable code for API answers.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Refusal::WrongToken => "wrong_token",
            Refusal::ForeignHost => "foreign_host",
            Refusal::ForeignOrigin | Refusal::ForeignOrder => "foreign_origin",
        }
    }
}

/// What the guard knows: the token, if one is configured, and the address that the server listens on.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The `api_token`; an empty one is never accepted.
    pub token: Option<Secret>,
    /// The server's own address.
    pub listen: SocketAddr,
}

impl Guard {
    /// Whether a request with these headers is answered. `reached` is the local address of its connection, where known.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, headers: &HeaderMap, reached: Option<IpAddr>) -> Result<(), Refusal> {
        if let Some(token) = &self.token {
            let presented = bearer(headers).filter(|_| !token.is_empty());
            let right = presented.is_some_and(|presented| token.matches(presented));
            return if right { Ok(()) } else { Err(Refusal::WrongToken) };
        }
        let host = authority(single(headers, header::HOST).ok_or(Refusal::ForeignHost)?);
        host.filter(|host| self.is_own(host, reached)).ok_or(Refusal::ForeignHost)?;
        if is_own_page(headers) { Ok(()) } else { Err(Refusal::ForeignOrigin) }
    }

    /// The same for a request that changes something. A token does not excuse another server's page: it may be one that the
    /// browser adds by itself.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check_order(&self, headers: &HeaderMap, reached: Option<IpAddr>) -> Result<(), Refusal> {
        self.check(headers, reached)?;
        if is_own_page(headers) { Ok(()) } else { Err(Refusal::ForeignOrder) }
    }

    /// The port is not compared: it changes on the way through a container's or a tunnel's mapping, and a page cannot
    /// gain anything by it.
    fn is_own(&self, host: &Authority, reached: Option<IpAddr>) -> bool {
        let name = host.host();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match address.map(|address| address.to_canonical()) {
            Ok(address) => {
                let own = [Some(self.listen.ip()), reached];
                address.is_loopback()
                    || own
                        .into_iter()
                        .flatten()
                        .any(|own| !own.is_unspecified() && own.to_canonical() == address)
            }
            // RFC 6761 §6.3: `localhost` and all names below it are loopback.
            Err(_) => {
                let name = name.to_ascii_lowercase();
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }
}

/// Whether the request comes from no page, or from one of the server that it is addressed to. Of a page without an address,
/// a file or a sandbox, the browser says `null` (RFC 6454 §7.3).
fn is_own_page(headers: &HeaderMap) -> bool {
    if !headers.contains_key(header::ORIGIN) {
        return true;
    }
    let host = single(headers, header::HOST).and_then(authority);
    let origin = single(headers, header::ORIGIN).and_then(origin_authority);
    // A page of another port is another server's, on loopback too.
    origin.is_some() && origin == host
}

/// The value of a header that came exactly once.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

fn authority(text: &str) -> Option<Authority> {
    // `user@localhost` is no host.
    text.parse::<Authority>().ok().filter(|authority| !authority.as_str().contains('@'))
}

fn origin_authority(origin: &str) -> Option<Authority> {
    authority(origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?)
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, lines: &[(&'static str, &'static str)], expected: Result<(), Refusal>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a header value"));
        }
        let reached = Some(IpAddr::from([192, 0, 2, 7]));
        assert_eq!(guard.check(&headers, reached), expected, "{lines:?}");
    }

    fn open(listen: &str) -> Guard {
        Guard { token: None, listen: listen.parse().expect("an address") }
    }

    #[test]
    fn without_a_token_the_host_must_be_our_own() {
        let guard = open("198.51.100.1:8080");
        for host in ["localhost", "LOCALHOST:1", "a.localhost", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"] {
            check(&guard, &[("host", host)], Ok(()));
        }
        for host in ["198.51.100.1:8080", "192.0.2.7", "[::ffff:127.0.0.1]"] {
            check(&guard, &[("host", host)], Ok(()));
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "198.51.100.2",
            "x@localhost",
        ] {
            check(&guard, &[("host", host)], Err(Refusal::ForeignHost));
        }
        check(&guard, &[], Err(Refusal::ForeignHost));
        check(&guard, &[("host", "localhost"), ("host", "evil.example")], Err(Refusal::ForeignHost));
        check(&open("0.0.0.0:8080"), &[("host", "0.0.0.0:8080")], Err(Refusal::ForeignHost));
    }

    #[test]
    fn without_a_token_the_page_must_be_our_own() {
        let guard = open("127.0.0.1:8080");
        check(&guard, &[("host", "localhost:8080"), ("origin", "http://localhost:8080")], Ok(()));
        for origin in ["http://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:8080", ""] {
            let lines = [("host", "localhost:8080"), ("origin", origin)];
            check(&guard, &lines, Err(Refusal::ForeignOrigin));
        }
    }

    #[test]
    fn with_a_token_only_the_token_counts() {
        let guard = Guard { token: Some(Secret::new("s3cret")), ..open("127.0.0.1:8080") };
        check(&guard, &[("host", "api.example"), ("authorization", "Bearer s3cret")], Ok(()));
        check(&guard, &[("authorization", "bearer s3cret")], Ok(()));
        for value in ["Bearer s3cre", "Bearer s3cret ", "Basic s3cret", "Bearer", "s3cret", "Bearer "] {
            check(&guard, &[("host", "localhost"), ("authorization", value)], Err(Refusal::WrongToken));
        }
        check(&guard, &[("host", "localhost")], Err(Refusal::WrongToken));
        let empty = Guard { token: Some(Secret::new("")), ..guard };
        check(&empty, &[("authorization", "Bearer ")], Err(Refusal::WrongToken));
    }

    fn check_order(guard: &Guard, lines: &[(&'static str, &'static str)], expected: Result<(), Refusal>) {
        let headers = lines
            .iter()
            .map(|&(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        assert_eq!(guard.check_order(&headers.collect(), None), expected, "{lines:?}");
    }

    #[test]
    fn an_order_comes_from_no_page_or_our_own() {
        let guard = open("127.0.0.1:8080");
        check_order(&guard, &[("host", "localhost:8080")], Ok(()));
        check_order(&guard, &[("host", "localhost:8080"), ("origin", "http://localhost:8080")], Ok(()));
        check_order(&guard, &[("host", "localhost:8080"), ("origin", "null")], Err(Refusal::ForeignOrigin));
        check_order(&guard, &[("host", "evil.example")], Err(Refusal::ForeignHost));
        let guard = Guard { token: Some(Secret::new("s3cret")), ..guard };
        let token = ("authorization", "Bearer s3cret");
        check_order(&guard, &[token], Ok(()));
        check_order(&guard, &[token, ("host", "api.example"), ("origin", "https://api.example")], Ok(()));
        for origin in ["null", "https://evil.example", "https://api.example:444", ""] {
            let lines = [token, ("host", "api.example"), ("origin", origin)];
            check_order(&guard, &lines, Err(Refusal::ForeignOrder));
        }
        check_order(&guard, &[token, ("origin", "https://api.example")], Err(Refusal::ForeignOrder));
        check_order(&guard, &[("host", "localhost")], Err(Refusal::WrongToken));
    }
}
