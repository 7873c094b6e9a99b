//! A TCP connection between proxy and node, with TLS or without, whole or as the two halves that different tasks use.
//!
//! Plain TCP is tokio's own, with nothing in between. TLS has one state for both directions, so its halves share it behind
//! a lock, which is held for one call on a socket that never waits.
//!
//! An end of the connection without TLS's own word for it (`close_notify`, RFC 8446 §6.1) is an end like any other: what
//! travels here are frames of known length that end with a message, so what an attacker cuts off is missed.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsStream;

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP, its handshake done.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What both halves of a TLS connection have in common.
type Shared = Arc<Mutex<TlsStream<TcpStream>>>;

/// The receiving half.
#[derive(Debug)]
pub enum ReadHalf {
    /// Of TCP.
    Plain(OwnedReadHalf),
    /// Of TLS.
    Tls(Shared),
}

/// The sending half. What TLS has taken and the system has not yet leaves with the next write or flush.
#[derive(Debug)]
pub enum WriteHalf {
    /// Of TCP.
    Plain(OwnedWriteHalf),
    /// Of TLS.
    Tls(Shared),
}

impl Socket {
    /// The halves.
    #[must_use]
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Plain(socket) => {
                let (reader, writer) = socket.into_split();
                (ReadHalf::Plain(reader), WriteHalf::Plain(writer))
            }
            Self::Tls(stream) => {
                let shared = Arc::new(Mutex::new(*stream));
                (ReadHalf::Tls(Arc::clone(&shared)), WriteHalf::Tls(shared))
            }
        }
    }
}

impl ReadHalf {
    /// Whether the peer has closed its side, or the connection broke, without reading what came before that. The
    /// system knows it of a TLS connection as well: it is TCP's end that counts.
    pub async fn is_closed(&self) -> bool {
        // Readiness is level-triggered: it is there at once when there are bytes, or an end. Looked at once, not waited for.
        poll_fn(|context| {
            let ready = match self {
                Self::Plain(half) => pin!(half.ready(Interest::READABLE)).poll(context),
                Self::Tls(shared) => pin!(lock(shared).get_ref().0.ready(Interest::READABLE)).poll(context),
            };
            Poll::Ready(matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed()))
        })
        .await
    }
}

/// No call within the lock can panic; should one, the connection fails by itself.
fn lock(shared: &Shared) -> MutexGuard<'_, TlsStream<TcpStream>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_tls(
    stream: &mut TlsStream<TcpStream>,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    Pin::new(stream).poll_read(context, buffer).map(|read| match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Ok(()) | Err(_) => read,
    })
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => read_tls(stream, context, buffer),
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(half) => Pin::new(half).poll_read(context, buffer),
            Self::Tls(shared) => read_tls(&mut lock(shared), context, buffer),
        }
    }
}

/// Passes every call of [`AsyncWrite`] on to what `$plain` and `$tls` make of the two kinds.
macro_rules! write_through {
    ($name:ident, $tls:ident => $reached:expr) => {
        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Plain(plain) => Pin::new(plain).poll_write(context, bytes),
                    Self::Tls($tls) => Pin::new($reached).poll_write(context, bytes),
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Plain(plain) => Pin::new(plain).poll_write_vectored(context, slices),
                    Self::Tls($tls) => Pin::new($reached).poll_write_vectored(context, slices),
                }
            }

            /// Both kinds take several pieces at once.
            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Plain(plain) => Pin::new(plain).poll_flush(context),
                    Self::Tls($tls) => Pin::new($reached).poll_flush(context),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Plain(plain) => Pin::new(plain).poll_shutdown(context),
                    Self::Tls($tls) => Pin::new($reached).poll_shutdown(context),
                }
            }
        }
    };
}

write_through!(Socket, stream => stream.as_mut());
write_through!(WriteHalf, shared => &mut *lock(shared));

#[cfg(test)]
pub(crate) mod tests;
