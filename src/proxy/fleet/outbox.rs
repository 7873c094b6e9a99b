//! Frames on their way to a socket: written vectored, many at a time, and never copied.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::wire::codec::Frame;

/// Slices in one system call. Three a frame that holds an FLV tag: the 32 frames are about half a second of a stream with
/// audio, more than is ever queued while the socket takes them.
const MAX_SLICES: usize = 96;

/// Frames that were not written to the end yet. Its owner bounds it by [`Outbox::has_room`].
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Frame>,
    /// Bytes of the first frame that are written.
    written: usize,
    bytes: usize,
    /// Whether the socket has taken bytes that it has not passed on to the system: TLS may hold back what it encrypted.
    held_back: bool,
}

impl Outbox {
    /// Frames that may be queued.
    pub(super) const MAX_FRAMES: usize = 64;
    /// Bytes that may be queued before no more frames are taken; the last one taken may go over it.
    const MAX_BYTES: usize = 4 << 20;

    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Whether there is nothing left to do for [`Outbox::write_to`].
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.held_back
    }

    /// Bytes of the frames that were not written to the end yet.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many more frames may be queued now.
    pub(super) fn room(&self) -> usize {
        if self.bytes >= Self::MAX_BYTES { 0 } else { Self::MAX_FRAMES.saturating_sub(self.frames.len()) }
    }

    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Forgets what is queued.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes once, as much as `socket` takes, and says how many frames were completed by it. Cancel-safe: what was
    /// written is accounted for before this returns, and nothing is written otherwise.
    ///
    /// # Errors
    /// When the socket fails, or takes nothing at all.
    pub(super) async fn write_to(&mut self, socket: &mut (impl AsyncWrite + Unpin)) -> io::Result<usize> {
        if self.frames.is_empty() {
            socket.flush().await?;
            self.held_back = false;
            return Ok(0);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let filled = self.fill(&mut slices);
        let written = socket.write_vectored(&slices[..filled]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.held_back = true;
        let completed = self.advance(written);
        // Asked once, not waited for: the next call goes on with it. TCP holds nothing back.
        let flushed = poll_fn(|context| Poll::Ready(Pin::new(&mut *socket).poll_flush(context))).await;
        if let Poll::Ready(flushed) = flushed {
            flushed?;
            self.held_back = false;
        }
        Ok(completed)
    }

    /// Fills `slices` from the front with what is left to write, and says how many were filled.
    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.written;
        let mut filled = 0;
        for piece in self.frames.iter().flat_map(Frame::pieces) {
            let rest = &piece[skip.min(piece.len())..];
            skip = skip.saturating_sub(piece.len());
            if rest.is_empty() {
                continue;
            }
            let Some(slice) = slices.get_mut(filled) else { break };
            *slice = IoSlice::new(rest);
            filled += 1;
        }
        filled
    }

    /// Takes `bytes` off the front, and says how many frames that completed.
    fn advance(&mut self, bytes: usize) -> usize {
        let before = self.frames.len();
        self.written += bytes;
        while let Some(length) = self.frames.front().map(Frame::len).filter(|&length| length <= self.written)
        {
            self.written -= length;
            self.bytes -= length;
            self.frames.pop_front();
        }
        before - self.frames.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::task::Context;

    fn frame(head: &[u8], body: &[u8]) -> Frame {
        let tail = (body.len() % 2 == 1).then_some(*b"tail");
        Frame { head: Bytes::copy_from_slice(head), body: Bytes::copy_from_slice(body), tail }
    }

    #[test]
    fn room_ends_with_frames_or_with_bytes() {
        let mut outbox = Outbox::default();
        for queued in 0..Outbox::MAX_FRAMES {
            assert_eq!(outbox.room(), Outbox::MAX_FRAMES - queued);
            outbox.push(frame(b"head", b""));
        }
        assert!(!outbox.has_room());
        outbox.clear();
        outbox.push(frame(b"head", &vec![0; Outbox::MAX_BYTES]));
        assert!(!outbox.has_room());
    }

    proptest! {
        /// Whatever the socket takes at a time, the bytes come in order and each frame is completed once.
        #[test]
        fn any_split_of_the_writes_gives_the_same_bytes(
            frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..8), prop::collection::vec(any::<u8>(), 0..20)), 0..50),
            takes in prop::collection::vec(1usize..40, 1..10),
        ) {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for (head, body) in &frames {
                let frame = frame(head, body);
                expected.extend(frame.pieces().concat());
                outbox.push(frame);
            }
            let (mut got, mut completed) = (Vec::new(), 0);
            for take in takes.iter().cycle() {
                let mut slices = [IoSlice::new(&[]); 5];
                let filled = outbox.fill(&mut slices);
                let offered: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                if offered.is_empty() {
                    break;
                }
                let take = (*take).min(offered.len());
                got.extend_from_slice(&offered[..take]);
                completed += outbox.advance(take);
            }
            prop_assert_eq!(got, expected);
            prop_assert_eq!(completed, frames.len());
            prop_assert!(outbox.is_empty() && outbox.bytes == 0 && outbox.written == 0);
        }
    }

    /// Takes all, and passes nothing on until it is told to.
    struct HoldsBack {
        ready: bool,
    }

    impl AsyncWrite for HoldsBack {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.ready { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_the_socket_holds_back_is_still_to_be_written() {
        let (mut outbox, mut socket) = (Outbox::default(), HoldsBack { ready: false });
        outbox.push(frame(b"head", b""));
        assert_eq!(outbox.write_to(&mut socket).await.expect("it takes all"), 1);
        assert!(!outbox.is_empty() && outbox.bytes() == 0);
        {
            let mut flushing = std::pin::pin!(outbox.write_to(&mut socket));
            assert!(poll_fn(|context| Poll::Ready(flushing.as_mut().poll(context))).await.is_pending());
        }
        assert!(!outbox.is_empty(), "given up, it is no more done than before");
        socket.ready = true;
        assert_eq!(outbox.write_to(&mut socket).await.expect("it passes all on"), 0);
        assert!(outbox.is_empty());
        outbox.push(frame(b"head", b""));
        assert_eq!(outbox.write_to(&mut socket).await.expect("it takes all"), 1);
        assert!(outbox.is_empty(), "nothing was held back");
    }
}
