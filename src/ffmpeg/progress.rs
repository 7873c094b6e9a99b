//! What FFmpeg says about itself while it runs: the `key=value` blocks of `-progress`, each ended by a `progress=` line.

/// Lines longer than this are dropped: FFmpeg's own have at most a few dozen bytes.
const MAX_LINE_BYTES: usize = 256;

/// One block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Pictures that the first video encoder has put out.
    pub frames: Option<u64>,
    /// Time of the last output in microseconds on FFmpeg's clock; `None` before there is any.
    pub out_time_us: Option<i64>,
    /// How many seconds of media a second of work makes; under 1 a live stream falls behind.
    pub speed: Option<f64>,
    /// Whether this is FFmpeg's last block.
    pub last: bool,
}

/// Reads the blocks out of a pipe, however its bytes are split. Unknown keys and broken lines are skipped, so that a
/// later FFmpeg may say more.
#[derive(Debug, Default)]
pub struct ProgressReader {
    line: Vec<u8>,
    block: Report,
}

impl ProgressReader {
    /// Takes what was read and returns the newest block that it completes. An older one in it is of no use to anyone.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Report> {
        let mut newest = None;
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                newest = self.read_line(&line).or(newest);
            } else if self.line.len() <= MAX_LINE_BYTES {
                self.line.push(byte);
            }
        }
        newest
    }

    fn read_line(&mut self, line: &[u8]) -> Option<Report> {
        if line.len() > MAX_LINE_BYTES {
            return None;
        }
        let (key, value) = std::str::from_utf8(line).ok()?.split_once('=')?;
        let value = value.trim();
        // A value is `N/A` as long as there is none, which no number parses.
        match key.trim() {
            "frame" => self.block.frames = value.parse().ok(),
            "out_time_us" => self.block.out_time_us = value.parse().ok(),
            "speed" => {
                self.block.speed =
                    value.trim_end_matches('x').parse().ok().filter(|speed: &f64| speed.is_finite())
            }
            "progress" => {
                self.block.last = value == "end";
                return Some(std::mem::take(&mut self.block));
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCKS: &str = "frame=0\nfps=0.00\nstream_0_0_q=0.0\nout_time_us=N/A\nspeed=N/A\nprogress=continue\n\
        frame=90\nfps=30.00\nbitrate=N/A\nout_time_us=2985900\nout_time=00:00:02.985900\nspeed=1.04x\nprogress=end\n";

    const LAST: Report =
        Report { frames: Some(90), out_time_us: Some(2_985_900), speed: Some(1.04), last: true };

    #[test]
    fn a_block_is_read_once_it_is_whole() {
        let mut reader = ProgressReader::default();
        let (first, second) = BLOCKS.split_at(BLOCKS.find("frame=90").unwrap());
        assert_eq!(reader.push(first.as_bytes()), Some(Report { frames: Some(0), ..Report::default() }));
        assert_eq!(reader.push(&second.as_bytes()[..40]), None);
        assert_eq!(reader.push(&second.as_bytes()[40..]), Some(LAST));
    }

    #[test]
    fn what_is_no_line_of_ffmpeg_is_skipped() {
        let mut reader = ProgressReader::default();
        let long = "frame=1".repeat(1000);
        let text = format!("\n=\n{long}\nframe\nspeed=infx\nspeed= 2x\nprogress=continue\n");
        assert_eq!(reader.push(text.as_bytes()), Some(Report { speed: Some(2.0), ..Report::default() }));
    }

    proptest! {
        #[test]
        fn blocks_survive_any_split(split in 1usize..200) {
            let mut reader = ProgressReader::default();
            let reports: Vec<_> = BLOCKS.as_bytes().chunks(split).filter_map(|piece| reader.push(piece)).collect();
            prop_assert_eq!(reports.last(), Some(&LAST));
        }

        #[test]
        fn any_bytes_are_bounded(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut reader = ProgressReader::default();
            reader.push(&bytes);
            prop_assert!(reader.line.len() <= MAX_LINE_BYTES + 1);
        }
    }
}
