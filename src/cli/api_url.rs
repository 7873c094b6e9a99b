//! Where a proxy's API is: `http://HOST:PORT`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use hyper::Uri;

/// The base of an API's addresses; plain HTTP, as the proxy serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl(Box<str>);

/// Why a text is no [`ApiUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoApiUrl {
    /// It is of another form.
    #[error("must be the address of a proxy's API, such as \"http://127.0.0.1:8080\"")]
    Form,
    /// The proxy serves no TLS, and what stands before it is not known.
    #[error("must begin with http://: the proxy's HTTP port speaks no TLS")]
    Https,
    /// Port 0 can be listened on but not dialled.
    #[error("http.listen takes any port: say where the API is with --api")]
    AnyPort,
}

impl ApiUrl {
    /// Of the proxy on this machine that listens on this address.
    ///
    /// # Errors
    /// When its port is only known to it.
    pub fn of(listen: SocketAddr) -> Result<Self, NoApiUrl> {
        if listen.port() == 0 {
            return Err(NoApiUrl::AnyPort);
        }
        // A port on all addresses is on loopback, too.
        let host = match listen.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V4(_) | IpAddr::V6(_) => listen.ip(),
        };
        Ok(Self(SocketAddr::new(host, listen.port()).to_string().into()))
    }

    /// `HOST:PORT`, as sockets and the `Host` header take it.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl FromStr for ApiUrl {
    type Err = NoApiUrl;

    fn from_str(text: &str) -> Result<Self, NoApiUrl> {
        let url: Uri = text.parse().map_err(|_| NoApiUrl::Form)?;
        match url.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(NoApiUrl::Https),
            Some(_) | None => return Err(NoApiUrl::Form),
        }
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority =
            authority.filter(|_| url.path() == "/" && url.query().is_none()).ok_or(NoApiUrl::Form)?;
        match (authority.host(), authority.port_u16()) {
            ("", _) | (_, Some(0)) => Err(NoApiUrl::Form),
            (host, None) if authority.as_str() == host => Ok(Self(format!("{host}:80").into())),
            (host, Some(port)) => Ok(Self(format!("{host}:{port}").into())),
            (_, None) => Err(NoApiUrl::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, NoApiUrl>) {
        let url = text.parse::<ApiUrl>();
        assert_eq!(url.as_ref().map(ApiUrl::authority).map_err(|error| *error), expected, "{text:?}");
    }

    #[test]
    fn an_api_is_a_host_and_a_port() {
        check("http://127.0.0.1:8080", Ok("127.0.0.1:8080"));
        check("http://proxy.example:8080/", Ok("proxy.example:8080"));
        check("http://proxy.example", Ok("proxy.example:80"));
        check("http://[::1]:8080", Ok("[::1]:8080"));
        check("https://proxy.example", Err(NoApiUrl::Https));
        for wrong in [
            "",
            "127.0.0.1:8080",
            "proxy",
            "ftp://proxy",
            "http://",
            "http://:80",
            "http://a:0",
            "http://a:99999",
        ] {
            check(wrong, Err(NoApiUrl::Form));
        }
        for wrong in ["http://user@a", "http://a/api", "http://a/?x=1", "http://a b"] {
            check(wrong, Err(NoApiUrl::Form));
        }
    }

    #[test]
    fn a_proxy_of_this_machine_is_reached_where_it_listens() {
        let check = |listen: &str, expected: Result<&str, NoApiUrl>| {
            let url = ApiUrl::of(listen.parse().expect("an address"));
            assert_eq!(url.map(|url| url.to_string()), expected.map(str::to_owned), "{listen}");
        };
        check("127.0.0.1:8080", Ok("http://127.0.0.1:8080"));
        check("10.0.0.1:80", Ok("http://10.0.0.1:80"));
        check("0.0.0.0:8080", Ok("http://127.0.0.1:8080"));
        check("[::]:8080", Ok("http://[::1]:8080"));
        check("127.0.0.1:0", Err(NoApiUrl::AnyPort));
    }
}
