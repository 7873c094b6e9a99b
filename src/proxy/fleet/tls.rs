//! The first bytes at the fleet port: TLS where the port has a certificate, and plain HTTP where it has none. Who comes with
//! the other one is told so in HTTP, which a node logs, and the reason is logged here too.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::{AlertDescription, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::base::reason::Reason;
use crate::base::socket::Socket;

/// The first byte of TLS: a record of type `handshake` (RFC 8446 §5.1). No HTTP request begins with it (RFC 9110 §5.6.2).
const HANDSHAKE_RECORD: u8 = 22;
/// How long whoever came the wrong way may take to read that, and how many of its bytes are read meanwhile: closing with
/// unread bytes would make the kernel reset the connection (RFC 1122 §4.2.2.13), and the text might never arrive.
const LONGEST_DRAIN: Duration = Duration::from_millis(500);
const MOST_DRAINED_BYTES: usize = 64 * 1024;

/// What is said to a node that dials without TLS.
const WANTS_TLS: &str = "the proxy wants TLS: set fleet.tls_ca";
/// What is logged of a node that dials with TLS where there is none.
const SPEAKS_TLS: &str = "the node speaks TLS and this port does not: set fleet.tls_cert and fleet.tls_key";

/// Makes a connection that was accepted into one that requests can be read from.
///
/// # Errors
/// Why it is none, for the log; the peer has been told as far as it can be.
pub(super) async fn open(
    socket: TcpStream,
    tls: Option<Arc<ServerConfig>>,
) -> Result<Socket, (Reason, String)> {
    let mut first = [0];
    let seen = socket.peek(&mut first).await.map_err(|error| (Reason::ConnectionLost, error.to_string()))?;
    if seen == 0 {
        return Err((Reason::ConnectionLost, "closed before a request".to_owned()));
    }
    match (tls, first[0] == HANDSHAKE_RECORD) {
        (None, false) => Ok(Socket::Plain(socket)),
        (Some(config), true) => match TlsAcceptor::from(config).accept(socket).await {
            Ok(stream) => Ok(Socket::Tls(Box::new(stream.into()))),
            Err(error) => Err((Reason::TlsFailed, explain(&error))),
        },
        (Some(_), false) => {
            turn_away(socket, "426 Upgrade Required\r\nupgrade: TLS/1.2", WANTS_TLS).await;
            Err((Reason::TlsFailed, "the node speaks no TLS, which this port wants".to_owned()))
        }
        (None, true) => {
            // To a client of TLS this is no TLS; what it makes of it is its own affair.
            turn_away(socket, "400 Bad Request", SPEAKS_TLS).await;
            Err((Reason::TlsFailed, SPEAKS_TLS.to_owned()))
        }
    }
}

/// Says in plain HTTP why not. For TLS that is wanted, RFC 2817 §4.2 has a status and a header.
async fn turn_away(mut socket: TcpStream, status: &str, text: &str) {
    let length = text.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status}\r\nconnection: close, upgrade\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {length}\r\n\r\n{text}\n"
    );
    let telling = async {
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await?;
        let mut drained = BytesMut::with_capacity(4096);
        let mut left = MOST_DRAINED_BYTES;
        while left > 0 {
            drained.clear();
            match socket.read_buf(&mut drained).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        Ok::<_, io::Error>(())
    };
    // Whoever does not want to hear it need not.
    let _ = tokio::time::timeout(LONGEST_DRAIN, telling).await;
}

/// Why a handshake failed. What the node thinks of our certificate comes as an alert (RFC 8446 §6.2).
fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::AlertReceived(alert)) = tls else { return format!("no TLS: {error}") };
    // Of an issuer that has the name of one that is trusted, and another key, the signature is wrong.
    let what = if [AlertDescription::UnknownCA, AlertDescription::DecryptError].contains(alert) {
        "the node does not trust the certificate: its fleet.tls_ca must hold what issued it"
    } else if *alert == AlertDescription::CertificateExpired {
        "to the node the certificate is not valid now"
    } else if *alert == AlertDescription::BadCertificate {
        "the node does not take the certificate, for another name than it dialled for example; its log says why"
    } else {
        return format!("the node ended TLS: {alert:?}");
    };
    what.to_owned()
}
