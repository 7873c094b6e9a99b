//! A socket below TLS that gives a stranger only so much to read.
//!
//! rustls keeps what it has read of a handshake message that is not complete, up to 64 KiB, and its texts beside that. No
//! setting makes it less, and only here, below it, can be counted what it is given. Whoever has proved a key is read without
//! a ration.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that are read from a stranger, TLS's own included. An encoder's way to an accepted publish takes 8 KiB: hello and
/// handshakes 6, commands 1, and 22 bytes for each of TLS's records.
pub const RATION_BYTES: usize = 32 * 1024;

/// The socket. An error of kind [`io::ErrorKind::QuotaExceeded`] says that the ration is used up.
#[derive(Debug)]
pub struct Rationed {
    socket: TcpStream,
    /// Bytes that may still be read; `None` for any number.
    left: Option<usize>,
}

impl Rationed {
    /// With a whole ration.
    #[must_use]
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, left: Some(RATION_BYTES) }
    }

    /// A key is proved: from now on all is read.
    pub fn lift(&mut self) {
        self.left = None;
    }

    /// The socket itself, to set its options.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

impl AsyncRead for Rationed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(left) = self.left else { return Pin::new(&mut self.socket).poll_read(context, buffer) };
        // One byte more than the ration tells who wants more from who has ended.
        let room = buffer.remaining().min(left + 1);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut part))?;
        let read = part.filled().len();
        let Some(left) = left.checked_sub(read) else {
            let text = format!("more than {RATION_BYTES} bytes before a publish");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::QuotaExceeded, text)));
        };
        self.left = Some(left);
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rationed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Sends so many bytes and expects how many are read, and why no more.
    async fn check(sent: usize, proved: bool, expected: usize, end: Option<io::ErrorKind>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let mut peer = TcpStream::connect(address).await.expect("it listens");
        let (socket, _) = listener.accept().await.expect("it has connected");
        let mut socket = Rationed::new(socket);
        if proved {
            socket.lift();
        }
        let sending = async move {
            peer.write_all(&vec![7; sent]).await.expect("it is read");
            peer
        };
        let mut bytes = vec![0; sent.max(1)];
        let mut read = 0;
        let reading = async {
            while read < expected {
                read += socket.read(&mut bytes).await.expect("within the ration");
            }
            read
        };
        let (peer, read) = tokio::join!(sending, reading);
        drop(peer);
        let last = socket.read(&mut bytes).await;
        assert_eq!((read, last.as_ref().err().map(io::Error::kind)), (expected, end));
        assert_eq!(last.unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn a_ration_is_given_and_no_byte_more() {
        check(1000, false, 1000, None).await;
        check(RATION_BYTES, false, RATION_BYTES, None).await;
        check(3 * RATION_BYTES, true, 3 * RATION_BYTES, None).await;
    }
}
