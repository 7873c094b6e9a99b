//! TLS and the token of the fleet link: what proxy and node must say of themselves off loopback.

use std::path::Path;

use super::certificate::machine;
use super::meant;
use crate::config::Config;

/// What is said of the lines of a file, without the file's name; nothing where they are taken.
fn said(lines: &str) -> String {
    let said = Config::parse(lines, &machine()).map_err(|errors| errors.to_string());
    said.map(|_| String::new()).unwrap_or_else(|said| said.replace("config.toml:", ""))
}

fn check(lines: &str, expected: &str) {
    assert_eq!(said(lines), expected, "{lines}");
}

const SHOWN: &str = "tls_cert = '/c.pem'\ntls_key = '/k.pem'";

#[test]
fn tls_is_what_the_files_say() {
    let text = format!("[fleet]\n{SHOWN}\ntls_ca = '/c.pem'");
    let fleet = Config::parse(&text, &machine()).expect("it is legal").fleet;
    let files = fleet.certificate.expect("it was written");
    assert_eq!((files.cert.as_path(), files.key.as_path()), (Path::new("/c.pem"), Path::new("/k.pem")));
    assert_eq!((fleet.tls_ca.as_deref(), fleet.allow_plaintext), (Some(Path::new("/c.pem")), false));
    let fleet = meant("[node]\nname = 'n1'").fleet;
    assert_eq!((fleet.certificate, fleet.tls_ca), (None, None));
}

#[test]
fn a_port_off_loopback_wants_a_token_and_tls_or_the_word() {
    let open = "[fleet]\nlisten = '0.0.0.0:7070'\n";
    let clear = "2: fleet.listen = '0.0.0.0:7070': must be loopback, or fleet.tls_cert and fleet.tls_key must be set so that \
                 nodes dial it by TLS (in a network that you trust, fleet.allow_plaintext = true)";
    let token = "2: fleet.listen = '0.0.0.0:7070': must be loopback, or fleet.token must be set";
    check(open, &format!("{token}\n{clear}"));
    check(&format!("{open}token = 'x'"), clear);
    check(&format!("{open}{SHOWN}"), token);
    check(&format!("{open}allow_plaintext = true"), token);
    check(&format!("{open}token = 'x'\n{SHOWN}"), "");
    check(&format!("{open}token = 'x'\nallow_plaintext = true"), "");
    check("[fleet]\nlisten = '[::1]:7070'", "");
    check("[fleet]\nlisten = '[::ffff:127.0.0.1]:7070'", "");
}

#[test]
fn a_node_off_loopback_wants_tls_or_the_word() {
    let refused = |at: u8, proxy: &str| {
        format!(
            "{at}: node.proxy = '{proxy}': must be loopback, or fleet.tls_ca must be set so that it is dialled by TLS (in a \
             network that you trust, fleet.allow_plaintext = true)"
        )
    };
    for proxy in ["10.0.0.1:7070", "proxy.example:7070", "[fd00::1]:7070"] {
        let node = format!("[node]\nproxy = '{proxy}'\n[fleet]\n");
        check(&format!("{node}token = 'x'"), &refused(2, proxy));
        check(&format!("{node}token = 'x'\ntls_ca = '/c.pem'"), "");
        check(&format!("{node}token = 'x'\nallow_plaintext = true"), "");
        // What a port shows says nothing of whom a node trusts.
        check(&format!("{node}token = 'x'\n{SHOWN}"), &refused(2, proxy));
    }
    check("[node]\nproxy = 'localhost:7070'\n[fleet]\ntoken = 'x'", "");
}

#[test]
fn the_command_line_is_held_to_the_same_rule() {
    let dial = |config: &str, proxy: &str| {
        let config = Config::parse(config, &machine()).expect("it is legal");
        config.fleet.check_dial(&proxy.parse().expect("an address")).is_ok()
    };
    assert!(dial("", "127.0.0.1:7070"));
    assert!(!dial("", "10.0.0.1:7070"));
    assert!(dial("fleet.tls_ca = '/c.pem'", "10.0.0.1:7070"));
    assert!(dial("fleet.allow_plaintext = true", "10.0.0.1:7070"));
}

#[test]
fn files_that_cannot_be_used_are_told_and_nothing_else() {
    let check = |lines: &str, expected: &str| check(&format!("[fleet]\n{lines}"), expected);
    check("tls_cert = '/c.pem'", "2: fleet.tls_cert = '/c.pem': needs fleet.tls_key, the path of a PEM file");
    check("tls_key = '/k.pem'", "2: fleet.tls_key = '/k.pem': needs fleet.tls_cert, the path of a PEM file");
    check(
        "tls_cert = '/c.pem'\ntls_key = '/other.pem'\ntoken = 'x'\nlisten = '0.0.0.0:1'",
        "3: fleet.tls_key = '/other.pem': the file /other.pem is not the key of /c.pem",
    );
    let proxy = "[node]\nproxy = 'p:1'";
    check(
        &format!("tls_ca = '/none.pem'\n{proxy}"),
        "2: fleet.tls_ca = '/none.pem': the file /none.pem cannot be read: entity not found",
    );
    check("tls_ca = '/k.pem'", "2: fleet.tls_ca = '/k.pem': the file /k.pem holds no certificate in PEM");
    check(
        &format!("tls_ca = '/broken.pem'\n{proxy}"),
        "2: fleet.tls_ca = '/broken.pem': the file /broken.pem holds a certificate that cannot be used",
    );
    check("tls_ca = ''", "2: fleet.tls_ca = '': must be the path of a PEM file");
    check("allow_plaintext = 'yes'", "2: fleet.allow_plaintext = 'yes': must be true or false");
}
