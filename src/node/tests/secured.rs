//! A node that dials by TLS: leases go on as ever, and what is wrong with a proxy's certificate is said.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use tempfile::TempDir;

use super::connection::{DialError, Proxy};
use super::tls::{Tls, Trust};
use super::*;
use crate::base::log::captured::Captured;
use crate::base::socket::tests::{Made, make};

/// A certificate that a proxy on this address may show, as a file that can be trusted.
struct Issued {
    made: Made,
    folder: TempDir,
}

impl Issued {
    fn new(names: &[&str], change: impl FnOnce(&mut rcgen::CertificateParams)) -> Self {
        let issued = Self { made: make(names, change), folder: tempfile::tempdir().unwrap() };
        issued.write(&issued.made.cert.pem());
        issued
    }

    fn ours() -> Self {
        Self::new(&["127.0.0.1", "localhost"], |_| {})
    }

    fn write(&self, pem: &str) {
        std::fs::write(self.path(), pem).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn issued_by(&self) -> Trust {
        Trust::IssuedBy(self.path())
    }
}

async fn secured_node() -> (Node, Issued) {
    let issued = Issued::ours();
    let proxy = FakeProxy::secured(&issued.made).await;
    let settings = NodeSettings { trust: Some(issued.issued_by()), ..settings(&proxy) };
    (node_of(proxy, settings).await, issued)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_runs_over_tls() {
    let (mut node, _issued) = secured_node().await;
    let mut peer = node.proxy.lease(&mut node.control, lease(1, 150)).await;
    for piece in flv().await.chunks(10_000) {
        peer.send(&LeaseInput::Media(Bytes::copy_from_slice(piece).into())).await;
    }
    peer.send(&LeaseInput::EndOfInput).await;
    let (outputs, end) = outputs(&mut peer).await;
    assert_eq!(end, AttemptEnd { reason: Reason::Completed, detail: String::new() });
    assert_eq!([0, 1, 2].map(|rendition| fragments(&outputs, rendition).len()), [6, 6, 6]);
    assert!(peer.next::<LeaseOutput>().await.is_none());
}

#[tokio::test]
async fn a_hung_ffmpeg_is_killed_when_its_tls_connection_ends() {
    let log = Captured::start();
    let (mut node, _issued) = secured_node().await;
    let mut peer = running(&mut node, 152).await;
    hang(&mut peer, 152).await;
    drop(peer);
    until("FFmpeg is gone", || processes(152).is_empty()).await;
    // Had nobody looked at the connection, it would have been found to hang, later.
    log.line(&["lease ended", "reason=connection_lost"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_over_tls_that_takes_no_output_ends_the_attempt() {
    let (mut node, _issued) = secured_node().await;
    let mut spec = lease(1, 154);
    let source = spec.attempt.ladder.renditions.remove(2);
    spec.attempt.ladder.renditions.extend(std::iter::repeat_n(source, 8));
    let mut peer = node.proxy.lease(&mut node.control, spec).await;
    let noise = "testsrc2=size=320x240:rate=30:duration=3,noise=alls=100:allf=t";
    peer.send(&LeaseInput::Media(encoded(noise, "-preset ultrafast -qp 0").await.into())).await;
    until("FFmpeg is gone", || processes(154).is_empty()).await;
    assert_eq!(outputs(&mut peer).await.1.reason, Reason::LinkSlow);
}

/// Dials a proxy with this certificate, or none, as one that has this trust. What becomes of it on either side.
async fn dial(shown: Option<&Made>, host: &str, trust: Option<Trust>) -> Result<(), DialError> {
    let proxy = match shown {
        Some(made) => FakeProxy::secured(made).await,
        None => FakeProxy::bind().await,
    };
    let address = proxy.address().replace("127.0.0.1", host);
    let tls = trust.map(|trust| Arc::new(Tls::load(trust).unwrap()));
    let dialler = Proxy { address, token: Some(Secret::new(TOKEN)), tls };
    let answer = async {
        let Ok(mut socket) = proxy.accept().await else { return };
        let answer =
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: headgate-fleet\r\n\r\n";
        let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, answer).await;
        let _ = tokio::io::AsyncWriteExt::flush(&mut socket).await;
        let mut rest = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest).await;
    };
    tokio::select! {
        dialled = dialler.dial("/fleet/v1/control", None) => dialled.map(drop),
        () = async { answer.await; std::future::pending().await } => unreachable!("it pends"),
    }
}

/// What is said of a proxy that shows `shown` to a node that trusts `trusted`.
async fn check(shown: &Made, host: &str, trusted: Trust, expected: Option<&str>) {
    let said = dial(Some(shown), host, Some(trusted)).await.map_err(|error| error.to_string());
    assert_eq!(said.err().as_deref(), expected);
}

#[tokio::test]
async fn a_proxy_is_believed_by_its_address_and_what_issued_it() {
    let ours = Issued::ours();
    check(&ours.made, "127.0.0.1", ours.issued_by(), None).await;
    check(&ours.made, "localhost", ours.issued_by(), None).await;
    let named = Issued::new(&["proxy.example", "10.0.0.1"], |_| {});
    let expected = "the proxy's certificate is not for 127.0.0.1 but for proxy.example, 10.0.0.1";
    check(&named.made, "127.0.0.1", named.issued_by(), Some(expected)).await;
    let unnamed = Issued::new(&[], |_| {});
    let expected = "the proxy's certificate is not for 127.0.0.1 but for no name";
    check(&unnamed.made, "127.0.0.1", unnamed.issued_by(), Some(expected)).await;
    let other = Issued::ours();
    let expected = "the proxy's certificate was issued by none of those in fleet.tls_ca";
    check(&ours.made, "127.0.0.1", other.issued_by(), Some(expected)).await;
}

#[tokio::test]
async fn a_certificate_of_another_time_or_use_is_not_believed() {
    let old = Issued::new(&["127.0.0.1"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    check(&old.made, "127.0.0.1", old.issued_by(), Some("the proxy's certificate has expired")).await;
    let early = Issued::new(&["127.0.0.1"], |params| params.not_before = date_time_ymd(2200, 1, 1));
    let expected = "the proxy's certificate is not valid yet; or this machine's clock is behind";
    check(&early.made, "127.0.0.1", early.issued_by(), Some(expected)).await;
    let authority =
        Issued::new(&["127.0.0.1"], |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let expected = "the proxy's certificate is that of an authority, which may not be used by a server: \
                    make it with basicConstraints=CA:FALSE";
    check(&authority.made, "127.0.0.1", authority.issued_by(), Some(expected)).await;
    let client = Issued::new(&["127.0.0.1"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let said =
        dial(Some(&client.made), "127.0.0.1", Some(client.issued_by())).await.err().unwrap().to_string();
    assert!(said.starts_with("the proxy's certificate is not trusted: "), "{said}");
}

#[tokio::test]
async fn a_node_beside_its_proxy_believes_the_very_certificate() {
    let named = Issued::new(&["proxy.example"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    check(&named.made, "127.0.0.1", Trust::Exactly(named.path()), None).await;
    let other = Issued::ours();
    let expected = "the proxy's certificate is not the one in fleet.tls_cert";
    check(&other.made, "127.0.0.1", Trust::Exactly(named.path()), Some(expected)).await;
}

#[tokio::test]
async fn who_speaks_tls_and_who_does_not_is_said() {
    let ours = Issued::ours();
    let proxy = FakeProxy::bind().await;
    let tls = Some(Arc::new(Tls::load(ours.issued_by()).unwrap()));
    let dialler = Proxy { address: proxy.address(), token: None, tls };
    let plain = async {
        let mut socket = proxy.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        socket
    };
    let (dialled, _socket) = tokio::join!(dialler.dial("/fleet/v1/control", None), plain);
    let expected = "what answers there speaks no TLS: set fleet.tls_cert and fleet.tls_key on the proxy, or remove \
                    fleet.tls_ca here";
    assert_eq!(dialled.err().unwrap().to_string(), expected);

    let dialler = Proxy { address: proxy.address(), token: None, tls: None };
    let text = "the proxy wants TLS: set fleet.tls_ca\n";
    let wanting = proxy.answer("426 Upgrade Required\r\nupgrade: TLS/1.2\r\ncontent-length: 38", text);
    let (dialled, _) = tokio::join!(dialler.dial("/fleet/v1/control", None), wanting);
    let error = dialled.err().unwrap();
    assert!(matches!(error, DialError::WantsTls(_)), "{error:?}");
    assert_eq!(error.to_string(), text.trim_end());

    // What stands before a proxy may answer in TLS: an alert, here.
    let alert = async {
        let mut socket = proxy.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(tokio::io::AsyncReadExt::read(&mut socket, &mut request).await.unwrap() > 0);
        tokio::io::AsyncWriteExt::write_all(&mut socket, &[21, 3, 3, 0, 2, 2, 70]).await.unwrap();
        socket
    };
    let (dialled, _socket) = tokio::join!(dialler.dial("/fleet/v1/control", None), alert);
    let said = dialled.err().unwrap().to_string();
    assert!(
        said.starts_with("no HTTP: ") && said.ends_with("; if the proxy wants TLS, set fleet.tls_ca"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_trusted_is_read_again_at_every_dial() {
    let (first, second) = (Issued::ours(), Issued::ours());
    let tls = Arc::new(Tls::load(first.issued_by()).unwrap());
    let dial = async |shown: &Made| {
        let proxy = FakeProxy::secured(shown).await;
        let dialler = Proxy { address: proxy.address(), token: None, tls: Some(Arc::clone(&tls)) };
        let (dialled, _) = tokio::join!(dialler.dial("/fleet/v1/control", None), async {
            drop(proxy.accept().await);
        });
        // It never gets an answer; what counts is how far it gets.
        !matches!(dialled.err(), Some(DialError::Tls(_)))
    };
    assert!(dial(&first.made).await && !dial(&second.made).await);
    first.write(&second.made.cert.pem());
    assert!(!dial(&first.made).await && dial(&second.made).await);
    first.write("half of a file");
    assert!(dial(&second.made).await, "the old ones stay in use");
}

#[test]
fn a_file_without_certificates_is_told_before_anything_is_dialled() {
    let ours = Issued::ours();
    ours.write("no certificate");
    let error = format!("{:#}", Tls::load(ours.issued_by()).unwrap_err());
    assert!(error.contains("ca.pem") && error.ends_with("holds no certificate in PEM"), "{error}");
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_logged_and_asked_slowly() {
    let log = Captured::start();
    let (shown, trusted) = (Issued::ours(), Issued::ours());
    let proxy = FakeProxy::secured(&shown.made).await;
    let settings = NodeSettings { trust: Some(trusted.issued_by()), ..settings(&proxy) };
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let running = tasks.spawn(run(settings, tasks.clone(), stop.clone()));
    assert!(tokio::time::timeout(PATIENCE, proxy.accept()).await.unwrap().is_err());
    let said = "the proxy's certificate was issued by none of those in fleet.tls_ca";
    log.line(&["WARN", "this node and the proxy do not agree", "reason=tls_failed", said, "retry_in=5s"])
        .await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_is_logged_with_the_proxy_s_reason() {
    let log = Captured::start();
    let proxy = FakeProxy::bind().await;
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let running = tasks.spawn(run(settings(&proxy), tasks.clone(), stop.clone()));
    let refusing = proxy.answer("401 Unauthorized\r\ncontent-length: 18", "wrong fleet token\n");
    tokio::time::timeout(PATIENCE, refusing).await.unwrap();
    log.line(&["WARN", "reason=wrong_token", "wrong fleet token", "retry_in=5s"]).await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

async fn check_logged(reason: Reason, detail: &str) {
    let log = Captured::start();
    let proxy = FakeProxy::bind().await;
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let running = tasks.spawn(run(settings(&proxy), tasks.clone(), stop.clone()));
    let taken = async {
        let (_, mut control) = proxy.control().await;
        control.send(&ProxyMessage::Refused { reason, detail: detail.to_owned() }).await;
        control
    };
    let _control = tokio::time::timeout(PATIENCE, taken).await.unwrap();
    log.line(&["WARN", &format!("reason={reason}"), detail, "retry_in=5s"]).await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_name_that_is_taken_and_a_flood_are_logged_with_the_proxy_s_words() {
    check_logged(Reason::NameTaken, "a node named n1 is connected already").await;
    check_logged(Reason::LimitExceeded, "more than 200 messages in a second").await;
}
