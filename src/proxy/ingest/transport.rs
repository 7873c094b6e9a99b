//! A publisher's connection as bytes, with TLS or without, and the read buffer that all connections of a thread share.
//!
//! A connection that waits has no read buffer: it is lent one while something is there to be read, and gives it back
//! before it waits again. TLS keeps buffers of its own (rustls): about 4 KiB while nothing comes, at most 16 KiB of a
//! record that is not complete, and 16 KiB of plain text between two reads. A handshake message that is not complete may
//! be longer; before a key is proved [`super::rationed`] bounds it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::rationed::Rationed;

/// Bytes read at once at most. A second of 6 Mbit/s is twelve reads; with a chunk size of 128 one read holds 500 chunks.
pub const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// How long closing takes at most, and how much is read meanwhile.
const LONGEST_DRAIN: Duration = Duration::from_millis(500);
const MOST_DRAINED_BYTES: usize = 1024 * 1024;

/// Who closes a connection first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangsUp {
    /// We do: there is nothing more to be said.
    We,
    /// The peer does, because it said that it ends.
    Peer,
}

/// A connection that was accepted.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP, its handshake done.
    Tls(Box<TlsStream<Rationed>>),
}

impl Transport {
    /// Waits until something comes, at most `most` bytes of it, and gives it to `take`, which must not wait. At the end of
    /// the connection it is given nothing.
    ///
    /// Cancel safe: nothing is read until it is given.
    ///
    /// # Errors
    /// The system's, or TLS's.
    pub async fn receive<T>(&mut self, most: usize, mut take: impl FnMut(&[u8]) -> T) -> io::Result<T> {
        poll_fn(|context| {
            BUFFER.with_borrow_mut(|buffer| {
                let most = most.min(buffer.len());
                let mut read = ReadBuf::new(&mut buffer[..most]);
                match self.poll_read(context, &mut read) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Ready(Ok(())) => Poll::Ready(Ok(take(read.filled()))),
                }
            })
        })
        .await
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// The system's, or TLS's.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Has what was read acknowledged at once. Encoders that leave Nagle's algorithm on (FFmpeg, librtmp) write C2 and
    /// `connect` in small pieces, and send the last one only when the others are acknowledged; where we have no answer to
    /// send, the system would wait 40 ms with that. It lasts until the system thinks better of it (tcp(7)), so this is for
    /// every read before a publish.
    pub fn acknowledge_now(&self) {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0.socket(),
        };
        // A connection that is broken already is found by reading.
        let _ = socket.set_quickack(true);
    }

    /// A key is proved: what comes is no longer rationed.
    pub fn lift_ration(&mut self) {
        if let Self::Tls(stream) = self {
            stream.get_mut().0.lift();
        }
    }

    /// The version of TLS, for the log.
    #[must_use]
    pub fn security(&self) -> &'static str {
        match self {
            Self::Plain(_) => "none",
            Self::Tls(stream) => match stream.get_ref().1.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
                Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
                Some(_) | None => "unknown",
            },
        }
    }

    /// Closes for writing and reads what is still under way, for a moment: closing with unread input would reset the
    /// connection, and the peer would never see why it was refused.
    ///
    /// A peer that is to hang up first has as long for it: GStreamer's `rtmp2sink` still says `deleteStream` after
    /// `FCUnpublish`, and takes a connection that is closed meanwhile for an error of ours.
    pub async fn close(mut self, first: HangsUp) {
        if first == HangsUp::Peer {
            self.drain().await;
        }
        // A TLS session says that it ends, which a peer that does not read could hold up.
        if let Ok(Ok(())) = tokio::time::timeout(LONGEST_DRAIN, self.shutdown()).await {
            self.drain().await;
        }
    }

    /// Reads to the peer's end of file. Whatever has not come within the bounds is lost on purpose.
    async fn drain(&mut self) {
        let drained = async {
            let mut left = MOST_DRAINED_BYTES;
            while let Ok(read @ 1..) = self.receive(READ_BYTES, <[u8]>::len).await {
                left = left.saturating_sub(read);
                if left == 0 {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LONGEST_DRAIN, drained).await;
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        }
    }
}
