//! Composition offsets of fragmented MP4 (ISO/IEC 14496-12 §8.8.8), for what FFmpeg as a player makes of them.

use std::path::Path;

/// By how much FFmpeg (5.1 and 9.0) shows all pictures of a file too late, in microseconds: it adds the largest negative
/// composition offset to every presentation time, in its own files too. Browsers do not. Without B-frames it is 0.
pub fn added_by_ffmpeg(media: &Path) -> i64 {
    let bytes = std::fs::read(media).unwrap_or_default();
    let mut reading = Reading { timescale: 0, smallest: 0 };
    reading.walk(&bytes);
    match reading.timescale {
        0 => 0,
        timescale => -reading.smallest * 1_000_000 / timescale,
    }
}

struct Reading {
    timescale: i64,
    smallest: i64,
}

impl Reading {
    fn walk(&mut self, mut boxes: &[u8]) {
        while let Some((head, _)) = boxes.split_first_chunk::<8>() {
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let Some(body) = boxes.get(8..length) else { return };
            match &head[4..] {
                b"moov" | b"trak" | b"mdia" | b"moof" | b"traf" => self.walk(body),
                // Version and flags, two times, the timescale: of 32 bits in version 0, of 64 in version 1. Pictures come
                // first where there is sound beside them.
                b"mdhd" if self.timescale == 0 => {
                    let at = if body.first() == Some(&1) { 20 } else { 12 };
                    self.timescale = number(body, at).unwrap_or(0).into();
                }
                b"trun" => self.run(body).unwrap_or_default(),
                _ => {}
            }
            boxes = &boxes[length..];
        }
    }

    fn run(&mut self, body: &[u8]) -> Option<()> {
        let flags = number(body, 0)? & 0xFF_FFFF;
        let optional = |bits: &[u32]| 4 * bits.iter().filter(|&&bit| flags & bit != 0).count();
        let first = 8 + optional(&[0x1, 0x4]);
        let (before, each) = (optional(&[0x100, 0x200, 0x400]), optional(&[0x100, 0x200, 0x400, 0x800]));
        if flags & 0x800 != 0 {
            for sample in 0..number(body, 4)? as usize {
                let offset = number(body, first + sample * each + before)?.cast_signed();
                self.smallest = self.smallest.min(offset.into());
            }
        }
        Some(())
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_be_bytes(*field))
}
