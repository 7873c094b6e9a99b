//! The certificate of `[rtmps]`: read where it is needed, and what is said of one that cannot be used.

use super::{Desk, desk, meant};
use crate::config::{Config, Rtmps};

/// A certificate for `localhost` with its key, both as PEM that lives as long as the test.
fn pair() -> (&'static str, &'static str) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("ring makes keys");
    (made.cert.pem().leak(), made.signing_key.serialize_pem().leak())
}

/// A machine with good and bad files.
pub(super) fn machine() -> Desk {
    let ((cert, key), (_, other)) = (pair(), pair());
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let mut desk = desk();
    desk.files.extend([("/c.pem", cert), ("/k.pem", key), ("/other.pem", other), ("/broken.pem", broken)]);
    desk.files.insert("/both.pem", format!("{cert}{key}").leak());
    desk
}

fn check(lines: &str, expected: &str) {
    let said = Config::parse(&format!("[rtmps]\n{lines}\n"), &machine()).map_err(|errors| errors.to_string());
    assert_eq!(said.map(|_| String::new()).unwrap_or_else(|said| said.replace("config.toml:", "")), expected);
}

#[test]
fn a_certificate_is_read_where_something_listens_with_it() {
    check("listen = '127.0.0.1:1936'\ncert = '/c.pem'\nkey = '/k.pem'", "");
    check("listen = '127.0.0.1:1936'\ncert = '/both.pem'\nkey = '/both.pem'", "");
    check("listen = 'off'\ncert = '/none.pem'\nkey = '/none.pem'", "");
    assert_eq!(meant("").rtmps, Rtmps::default());
}

#[test]
fn a_certificate_for_nothing_is_refused() {
    let expected = "2: rtmps.cert = '/c.pem': a certificate without rtmps.listen: write the address, or listen = \"off\"";
    check("cert = '/c.pem'\nkey = '/k.pem'", expected);
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_with_its_file() {
    let on = "listen = '127.0.0.1:1936'";
    check(
        on,
        "2: rtmps.listen = '127.0.0.1:1936': needs rtmps.cert, the path of a PEM file\n\
         2: rtmps.listen = '127.0.0.1:1936': needs rtmps.key, the path of a PEM file",
    );
    check(
        &format!("{on}\ncert = '/c.pem'"),
        "2: rtmps.listen = '127.0.0.1:1936': needs rtmps.key, the path of a PEM file",
    );
    check(&format!("{on}\ncert = ''\nkey = '/k.pem'"), "3: rtmps.cert = '': must be the path of a PEM file");
    check(
        &format!("{on}\ncert = '/none.pem'\nkey = '/k.pem'"),
        "3: rtmps.cert = '/none.pem': the file /none.pem cannot be read: entity not found",
    );
    check(
        &format!("{on}\ncert = '/k.pem'\nkey = '/k.pem'"),
        "3: rtmps.cert = '/k.pem': the file /k.pem holds no certificate in PEM",
    );
    check(
        &format!("{on}\ncert = '/broken.pem'\nkey = '/k.pem'"),
        "3: rtmps.cert = '/broken.pem': the file /broken.pem holds no certificate that can be used",
    );
    check(
        &format!("{on}\ncert = '/c.pem'\nkey = '/c.pem'"),
        "4: rtmps.key = '/c.pem': the file /c.pem holds no unencrypted private key in PEM",
    );
    check(
        &format!("{on}\ncert = '/c.pem'\nkey = '/other.pem'"),
        "4: rtmps.key = '/other.pem': the file /other.pem is not the key of /c.pem",
    );
}

#[test]
fn the_rules_of_doors_hold_for_rtmps() {
    let files = "cert = '/c.pem'\nkey = '/k.pem'";
    check(
        &format!("listen = '0.0.0.0:1936'\n{files}"),
        r#"2: rtmps.listen = '0.0.0.0:1936': the built-in tenant "live" has no keys, so only loopback is allowed: write a [tenants.NAME] with keys"#,
    );
    check(
        &format!("listen = '127.0.0.1:1935'\n{files}"),
        "2: rtmps.listen = '127.0.0.1:1935': rtmp.listen and rtmps.listen must not be the same address",
    );
    check(&format!("listen = '127.0.0.1:1936'\n{files}\n[rtmp]\nlisten = 'off'"), "");
    let none = Config::parse("rtmp.listen = 'off'", &machine()).expect_err("there is no door").to_string();
    let problem = "nobody could publish: rtmp.listen or rtmps.listen must be an address";
    assert_eq!(none, format!("config.toml:1: rtmp.listen = 'off': {problem}"));
}
