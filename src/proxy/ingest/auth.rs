//! Which tenant a publisher means, and whether its key opens the stream.

use std::collections::BTreeMap;

use crate::base::names::{Name, StreamName};
use crate::base::reason::Reason;
use crate::config::Tenant;
use crate::rtmp::{PublishAddress, PublishRequest};

/// Who was let in.
#[derive(Debug)]
pub struct Admitted<'a> {
    /// The stream that it may publish.
    pub stream: StreamName,
    /// Its tenant.
    pub tenant: &'a Tenant,
}

/// Why a publisher was not let in, with the text that its user is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// For log, metric and API.
    pub reason: Reason,
    /// For the encoder's user. Names no key.
    pub text: String,
}

/// Decides on a publish request.
///
/// # Errors
/// A name outside the alphabet, an unknown tenant, or a key that does not open the stream.
pub fn admit<'a>(
    tenants: &'a BTreeMap<Name, Tenant>,
    request: &PublishRequest,
) -> Result<Admitted<'a>, Denied> {
    let denied = |reason, text: String| Err(Denied { reason, text });
    let address = match request.address() {
        Ok(address) => address,
        Err(error) => return denied(Reason::BadName, error.to_string()),
    };
    let PublishAddress { tenant: tenant_name, stream, secret, .. } = address;
    let Some(tenant) = tenants.get(&tenant_name) else {
        return denied(Reason::UnknownTenant, format!("there is no tenant {tenant_name}"));
    };
    if !tenant.allows(&stream, secret.as_ref().map_or(b"", |secret| secret.expose())) {
        let text = match secret {
            Some(_) => format!("this key does not open {tenant_name}/{stream}"),
            None => format!("{tenant_name}/{stream} needs a stream key, and none was sent"),
        };
        return denied(Reason::WrongKey, text);
    }
    Ok(Admitted { stream: StreamName { tenant: tenant_name, name: stream }, tenant })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, System};
    use crate::rtmp::{Capabilities, PublishKind};

    const TENANTS: &str = r#"
        [tenants.live]
        keys = ["open sesame", { key = "cam key", stream = "cam-*" }]
        [tenants.open]
    "#;

    fn check(app: &str, stream: &str, expected: Result<&str, Reason>) {
        let config = Config::parse(TENANTS, &System).expect("valid");
        let request = PublishRequest {
            app: app.into(),
            stream: stream.into(),
            tc_url: format!("rtmp://localhost/{app}"),
            encoder: String::new(),
            kind: PublishKind::Live,
            capabilities: Capabilities::default(),
        };
        let result = admit(&config.tenants, &request);
        let got = result.map(|admitted| admitted.stream.to_string()).map_err(|denied| {
            assert!(!denied.text.contains("sesame"), "a key must not be told: {}", denied.text);
            denied.reason
        });
        assert_eq!(got, expected.map(str::to_owned), "{app} {stream}");
    }

    #[test]
    fn a_key_opens_what_it_is_for() {
        check("live", "demo?key=open%20sesame", Ok("live/demo"));
        check("live", "cam-1?token=cam%20key", Ok("live/cam-1"));
        check("open", "demo", Ok("open/demo"));
        check("live", "demo?key=cam%20key", Err(Reason::WrongKey));
        check("live", "demo?key=", Err(Reason::WrongKey));
        check("live", "demo", Err(Reason::WrongKey));
        check("nobody", "demo?key=open%20sesame", Err(Reason::UnknownTenant));
        check("live", "../etc?key=open%20sesame", Err(Reason::BadName));
    }
}
