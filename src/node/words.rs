//! What FFmpeg says on its standard error: the last lines are kept, for a diagnosis when it ends.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Lines that are kept; earlier ones are dropped.
const MAX_LINES: usize = 100;
/// Bytes of a line that are kept; the rest of it is dropped.
const MAX_LINE_BYTES: usize = 1024;

/// The last lines of a text that may be endless.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    lines: VecDeque<String>,
    line: Vec<u8>,
}

impl LastWords {
    /// Reads `from` to its end, so that whoever writes never waits.
    pub(super) async fn read(mut from: impl AsyncRead + Unpin) -> Self {
        let (mut words, mut buffer) = (Self::default(), [0; 4096]);
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            words.push(&buffer[..count]);
        }
        words
    }

    /// The lines, the oldest first, the last one even if nothing ended it.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.lines.into()
    }

    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.line.len() < MAX_LINE_BYTES {
                self.line.push(byte);
            }
        }
    }

    fn end_line(&mut self) {
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(String::from_utf8_lossy(&self.line).into_owned());
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(text: &[u8], expected: &[&str]) {
        assert_eq!(LastWords::read(text).await.into_lines(), expected);
    }

    #[tokio::test]
    async fn lines_are_kept_as_they_are() {
        check(b"", &[]).await;
        check(b"one\ntwo", &["one", "two"]).await;
        check(b"\xff\n\n", &["\u{fffd}", ""]).await;
    }

    #[tokio::test]
    async fn an_endless_text_is_bounded() {
        let text = "x".repeat(5000) + "\n" + &(0..500).map(|line| format!("{line}\n")).collect::<String>();
        let lines = LastWords::read(text.as_bytes()).await.into_lines();
        assert_eq!((lines.len(), lines[0].as_str(), lines[99].as_str()), (100, "400", "499"));
        let lines = LastWords::read(&text.as_bytes()[..5000]).await.into_lines();
        assert_eq!(lines[0].len(), MAX_LINE_BYTES);
    }
}
