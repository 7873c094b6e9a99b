//! Both kinds of connection over loopback; and certificates for the tests of others.

use std::time::Duration;

use proptest::prelude::*;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it happens within the test's patience")
}

/// A certificate and its key.
pub(crate) struct Made {
    pub(crate) cert: rcgen::Certificate,
    pub(crate) key: rcgen::KeyPair,
}

/// Signs itself, for these names or addresses, with `change` made to it.
pub(crate) fn make(names: &[&str], change: impl FnOnce(&mut rcgen::CertificateParams)) -> Made {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).expect("they are names");
    change(&mut params);
    let key = rcgen::KeyPair::generate().expect("ring makes keys");
    Made { cert: params.self_signed(&key).expect("it signs itself"), key }
}

impl Made {
    /// What a server shows it with.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![self.cert.der().clone()], key);
        let mut config = config.expect("they belong together");
        // As ours do; a ticket that nobody reads would make an end a reset (RFC 1122 §4.2.2.13).
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }
}

/// A client that trusts one certificate, and speaks these versions.
pub(crate) fn client(
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn plain() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (dialled, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (Socket::Plain(dialled.expect("it listens")), Socket::Plain(accepted.expect("it was dialled").0))
}

async fn tls(version: &'static SupportedProtocolVersion) -> (Socket, Socket) {
    let made = make(&["localhost"], |_| {});
    let (Socket::Plain(dialled), Socket::Plain(accepted)) = plain().await else { panic!("no TLS yet") };
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = client(made.cert.der(), &[version]);
    let acceptor = TlsAcceptor::from(made.server());
    let (client, server) = tokio::join!(connector.connect(name, dialled), acceptor.accept(accepted));
    let (client, server) = (client.expect("it is trusted"), server.expect("it is spoken"));
    (Socket::Tls(Box::new(client.into())), Socket::Tls(Box::new(server.into())))
}

async fn each() -> Vec<(Socket, Socket)> {
    vec![plain().await, tls(&rustls::version::TLS12).await, tls(&rustls::version::TLS13).await]
}

/// Writes all of it in several pieces at once, and ends.
async fn write(mut half: WriteHalf, bytes: &[u8]) -> WriteHalf {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (first, second) = rest.split_at(rest.len().min(1000));
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        let written = half.write_vectored(&slices).await.expect("the peer reads");
        rest = &rest[written..];
    }
    half.flush().await.expect("the peer reads");
    half.shutdown().await.expect("the peer reads");
    half
}

async fn read(mut half: ReadHalf) -> Vec<u8> {
    let mut bytes = Vec::new();
    half.read_to_end(&mut bytes).await.expect("an end, with its word or without");
    bytes
}

#[tokio::test]
async fn both_directions_carry_more_than_any_buffer_holds_at_once() {
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    for (one, other) in each().await {
        let ((one_in, one_out), (other_in, other_out)) = (one.into_split(), other.into_split());
        let all = async {
            tokio::join!(write(one_out, &bytes), write(other_out, &bytes), read(one_in), read(other_in))
        };
        let (_, _, down, up) = soon(all).await;
        assert!(down == bytes && up == bytes);
    }
}

#[tokio::test]
async fn a_connection_that_just_ends_has_ended() {
    for (one, other) in each().await {
        drop(one);
        assert_eq!(soon(read(other.into_split().0)).await, b"");
    }
}

#[tokio::test]
async fn an_end_is_seen_behind_bytes_that_nobody_reads() {
    for (one, other) in each().await {
        let (reader, _writer) = other.into_split();
        assert!(!reader.is_closed().await);
        let (_, mut out) = one.into_split();
        out.write_all(&[7; 10_000]).await.expect("there is room");
        out.flush().await.expect("there is room");
        assert!(!reader.is_closed().await, "bytes alone are no end");
        out.shutdown().await.expect("it is open");
        soon(async {
            while !reader.is_closed().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        assert_eq!(soon(read(reader)).await, [7; 10_000], "and the bytes are still there");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whole sockets and halves of them, with pieces of any size.
    #[test]
    fn what_is_written_is_read(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40_000), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            for (mut one, other) in each().await {
                let writing = async {
                    for piece in &pieces {
                        one.write_all(piece).await.expect("the peer reads");
                        one.flush().await.expect("the peer reads");
                    }
                    one.shutdown().await.expect("the peer reads");
                };
                let (_, got) = soon(async { tokio::join!(writing, read(other.into_split().0)) }).await;
                assert_eq!(got, pieces.concat());
            }
        });
    }
}
