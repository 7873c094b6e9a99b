//! Certificates made here, in files that change, and encoders that trust one of them.

use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::config::RtmpsListen;
use crate::proxy::api::stats::RtmpStats;
use crate::proxy::tests::encoder::Encoder;
use crate::proxy::tests::house::{DEMO, House, stats, until};

/// A folder with a certificate for `localhost` and its key.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> (Self, CertificateDer<'static>) {
        let files = Self { folder: tempfile::tempdir().expect("a folder") };
        let trusted = files.renew();
        (files, trusted)
    }

    /// Puts another certificate in place of what is there.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("ring makes keys");
        self.write("cert.pem", &made.cert.pem());
        self.write("key.pem", &made.signing_key.serialize_pem());
        made.cert.der().clone()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file can be written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn named(&self) -> CertificateFiles {
        CertificateFiles { cert: self.path("cert.pem"), key: self.path("key.pem") }
    }

    async fn house(&self) -> House {
        let certificate = self.named();
        let address = ([127, 0, 0, 1], 0).into();
        House::open(|config| config.rtmps.listen = Some(RtmpsListen { address, certificate })).await
    }
}

fn rtmp(house: &House) -> RtmpStats {
    house.meter.stats(0).rtmp
}

async fn check_version(version: &'static rustls::SupportedProtocolVersion) {
    let (files, trusted) = Files::new();
    let house = files.house().await;
    let door = house.rtmps.expect("it is configured");
    let mut encoder = Encoder::connect_tls(door, &trusted, &[version]).await.expect("it is trusted");
    encoder.start(DEMO).await;
    encoder.pictures(30).await;
    let mut shown = house.shown("demo").await;
    stats(&mut shown, |stats| stats.source.frames == 30).await;
    encoder.unpublish().await;
    encoder.told("NetStream.Unpublish.Success").await;
}

#[tokio::test]
async fn an_encoder_publishes_over_both_versions_of_tls() {
    check_version(&rustls::version::TLS13).await;
    check_version(&rustls::version::TLS12).await;
}

#[tokio::test]
async fn both_doors_lead_to_the_same_streams_and_share_their_limits() {
    let (files, trusted) = Files::new();
    let house = files.house().await;
    let door = house.rtmps.expect("it is configured");
    let mut first = Encoder::publish(house.rtmp, DEMO).await;
    let mut second = Encoder::connect_tls(door, &trusted, rustls::ALL_VERSIONS).await.expect("it is trusted");
    second.start(DEMO).await;
    assert_eq!(first.told("NetStream.Publish.Rejected").await, "another encoder has taken over this stream");
    first.closed().await;
    until(|| rtmp(&house).connections == 1).await;
    assert_eq!(rtmp(&house).limits.max_connections.highest, 2);
}

#[tokio::test]
async fn what_is_no_tls_is_a_stranger() {
    let (files, _) = Files::new();
    let house = files.house().await;
    let door = house.rtmps.expect("it is configured");
    let mut noisy = Encoder::connect(door).await;
    noisy.say_publish("live", DEMO);
    noisy.flush().await;
    until(|| rtmp(&house).connections == 0).await;
    assert!(house.registry.directory().borrow().is_empty());
}

#[tokio::test]
async fn a_tls_handshake_has_as_long_as_any_other() {
    let (files, _) = Files::new();
    let (certificate, address) = (files.named(), ([127, 0, 0, 1], 0).into());
    let house = House::open(|config| {
        config.rtmp.handshake_timeout = Duration::from_millis(100);
        config.rtmps.listen = Some(RtmpsListen { address, certificate });
    })
    .await;
    let mut silent = TcpStream::connect(house.rtmps.expect("it is configured")).await.expect("it is open");
    // A record of TLS that announces more than comes.
    silent.write_all(&[22, 3, 1, 1, 0, 1]).await.expect("it reads");
    until(|| rtmp(&house).limits.handshake_timeout.hits == 1).await;
    until(|| rtmp(&house).connections == 0).await;
}

#[tokio::test]
async fn a_hello_in_many_records_is_memory_of_a_stranger() {
    let (files, _) = Files::new();
    let house = files.house().await;
    let mut hostile = TcpStream::connect(house.rtmps.expect("it is configured")).await.expect("it is open");
    // A client's hello of 64 KiB begins, which rustls would keep until it is whole.
    let mut hello = vec![0; 48 * 1024];
    hello[..6].copy_from_slice(&[1, 0, 0xff, 0xf0, 3, 3]);
    for part in hello.chunks(16 * 1024) {
        hostile.write_all(&[22, 3, 1, 0x40, 0]).await.expect("it reads");
        hostile.write_all(part).await.expect("it reads");
    }
    until(|| rtmp(&house).limits.max_unproved_memory.hits == 1).await;
    until(|| rtmp(&house).connections == 0).await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_while_the_port_is_open() {
    let (files, old) = Files::new();
    let house = files.house().await;
    let door = house.rtmps.expect("it is configured");
    let new = files.renew();
    let began = clock::now();
    while Encoder::connect_tls(door, &new, rustls::ALL_VERSIONS).await.is_err() {
        assert!(clock::now() < began + 5 * LOOK_INTERVAL, "the new one is never shown");
        clock::until(Some(clock::now() + Duration::from_millis(50))).await;
    }
    let refused = Encoder::connect_tls(door, &old, rustls::ALL_VERSIONS).await;
    assert!(refused.is_err(), "the old one is shown no more");
}

#[test]
fn broken_files_change_nothing_and_are_looked_at_once() {
    let (files, _) = Files::new();
    let (certificate, mut watch) = Certificate::load(files.named()).expect("they are good");
    let shown = || Arc::clone(&certificate.shown.0.lock().expect("nobody panicked")).cert[0].clone();
    let first = shown();
    let check = |watch: &mut Watch, expected: &CertificateDer<'static>| {
        watch.look();
        assert_eq!((&shown(), watch.seen), (expected, Stamp::of(&files.named())));
    };
    files.write("cert.pem", "no certificate");
    check(&mut watch, &first);
    std::fs::remove_file(files.path("key.pem")).expect("it is there");
    check(&mut watch, &first);
    let new = files.renew();
    check(&mut watch, &new);
    // Half of a renewal: the certificate is there, its key is not yet.
    let key = std::fs::read_to_string(files.path("key.pem")).expect("it is there");
    let next = files.renew();
    let next_key = std::fs::read_to_string(files.path("key.pem")).expect("it is there");
    files.write("key.pem", &key);
    check(&mut watch, &new);
    files.write("key.pem", &next_key);
    check(&mut watch, &next);
}

#[test]
fn files_that_cannot_be_used_are_no_certificate() {
    let (files, _) = Files::new();
    files.write("key.pem", "no key");
    let error = Certificate::load(files.named()).expect_err("there is no key");
    assert!(matches!(error, CertificateError::Key(_)), "{error}");
}
