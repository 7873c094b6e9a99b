//! What waits for a lease's link: a queue of frames with a bound in bytes, many writers and one reader.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::wire::codec::Frame;

/// The most bytes that may wait: 8 s of 16 Mbit/s. When they are there the attempt ends with `link_slow`, because nothing
/// may hold FFmpeg back.
const MAX_BYTES: usize = 16 << 20;

/// The link has not taken what waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_BYTES} bytes wait for the link")]
pub(super) struct Full;

/// What happens to the frames that wait when an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// They are sent first.
    Deliver,
    /// The link is too slow for them.
    Discard,
}

/// The queue. Invariant: `bytes` is the sum of the frames' lengths.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    finished: bool,
}

impl Outbox {
    /// Appends a frame. A single one over the bound is taken when nothing else waits. After [`Self::finish`] it is dropped.
    pub(super) fn push(&self, frame: Frame) -> Result<(), Full> {
        let mut queue = self.lock();
        if queue.finished {
            return Ok(());
        }
        if queue.bytes > 0 && queue.bytes.saturating_add(frame.len()) > MAX_BYTES {
            return Err(Full);
        }
        queue.append(frame);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Appends the last frame, whatever the bound says.
    pub(super) fn finish(&self, last: Option<Frame>, waiting: Waiting) {
        let mut queue = self.lock();
        if waiting == Waiting::Discard {
            *queue = Queue::default();
        }
        if let Some(frame) = last {
            queue.append(frame);
        }
        queue.finished = true;
        drop(queue);
        self.changed.notify_one();
    }

    /// The next frame, or `None` when the last one has been given. For one reader; cancel-safe.
    pub(super) async fn next(&self) -> Option<Frame> {
        loop {
            {
                let mut queue = self.lock();
                if let Some(frame) = queue.frames.pop_front() {
                    queue.bytes -= frame.len();
                    return Some(frame);
                }
                if queue.finished {
                    return None;
                }
            }
            // A change between the look above and here is kept by `Notify` as a permit.
            self.changed.notified().await;
        }
    }

    /// No call within the lock can panic; should one, the queue is still whole.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn append(&mut self, frame: Frame) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn frame(bytes: usize) -> Frame {
        Frame { head: Bytes::new(), body: vec![0; bytes].into(), tail: None }
    }

    async fn drained(outbox: &Outbox) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(frame) = outbox.next().await {
            lengths.push(frame.len());
        }
        lengths
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_until_there_is_room() {
        let outbox = Outbox::default();
        outbox.push(frame(MAX_BYTES + 1)).unwrap();
        assert_eq!(outbox.push(frame(1)), Err(Full));
        outbox.next().await.unwrap();
        outbox.push(frame(MAX_BYTES - 1)).unwrap();
        outbox.push(frame(1)).unwrap();
        assert_eq!(outbox.push(frame(1)), Err(Full));
    }

    #[tokio::test]
    async fn the_last_frame_is_always_taken() {
        for (waiting, expected) in [(Waiting::Deliver, vec![MAX_BYTES, 7]), (Waiting::Discard, vec![7])] {
            let outbox = Outbox::default();
            outbox.push(frame(MAX_BYTES)).unwrap();
            outbox.finish(Some(frame(7)), waiting);
            assert_eq!(outbox.push(frame(1)), Ok(()), "dropped");
            assert_eq!(drained(&outbox).await, expected);
        }
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let outbox = Outbox::default();
        let (lengths, ()) = tokio::join!(drained(&outbox), async {
            outbox.push(frame(3)).unwrap();
            tokio::task::yield_now().await;
            outbox.finish(None, Waiting::Deliver);
        });
        assert_eq!(lengths, [3]);
    }
}
