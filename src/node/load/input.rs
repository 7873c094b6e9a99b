//! The times in what FFmpeg is given: the headers of FLV tags are looked at as they pass (FLV 10.1 E.2 to E.4.1), nothing
//! else of them.

use crate::media::flv::TagKind;

/// Bytes before the first tag: the file's header and the first `PreviousTagSize`.
const FILE_HEADER_BYTES: usize = 13;
/// Bytes of a tag before its body.
const TAG_HEADER_BYTES: usize = 11;
/// `PreviousTagSize` after it.
const TAG_TRAILER_BYTES: usize = 4;

/// Reads the time of each tag, however the bytes are split. Of a tag no more than its header is touched.
#[derive(Debug)]
pub(super) struct TagTimes {
    /// Bytes to come that are of no interest.
    skip: usize,
    header: [u8; TAG_HEADER_BYTES],
    /// How much of `header` there is.
    filled: usize,
}

impl TagTimes {
    /// Before the file's first byte.
    pub(super) fn new() -> Self {
        Self { skip: FILE_HEADER_BYTES, header: [0; TAG_HEADER_BYTES], filled: 0 }
    }

    /// The tags whose headers end in `bytes`: what each is, and its time in milliseconds after the attempt's base. Bytes that
    /// are no FLV give times that mean nothing, at most one for every 15 of them.
    pub(super) fn read<'a>(&'a mut self, mut bytes: &'a [u8]) -> impl Iterator<Item = (TagKind, i64)> + 'a {
        std::iter::from_fn(move || {
            loop {
                let (header, rest) = self.next_header(bytes)?;
                bytes = rest;
                if let Some(time) = time_of(header) {
                    return Some(time);
                }
            }
        })
    }

    /// The next whole header, and what comes after it; `None` when more bytes are needed.
    fn next_header<'a>(&mut self, bytes: &'a [u8]) -> Option<([u8; TAG_HEADER_BYTES], &'a [u8])> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let rest = &bytes[skipped..];
        let wanted = &mut self.header[self.filled..];
        let taken = wanted.len().min(rest.len());
        wanted[..taken].copy_from_slice(&rest[..taken]);
        self.filled += taken;
        if self.filled < TAG_HEADER_BYTES {
            return None;
        }
        self.filled = 0;
        let [_, l2, l1, l0, ..] = self.header;
        let length = u32::from_be_bytes([0, l2, l1, l0]);
        self.skip = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(TAG_TRAILER_BYTES);
        Some((self.header, &rest[taken..]))
    }
}

/// The kind is in the lower five bits, the time in 24 bits with its eight upper ones after them (E.4.1).
fn time_of(header: [u8; TAG_HEADER_BYTES]) -> Option<(TagKind, i64)> {
    let [kind, _, _, _, t2, t1, t0, t3, ..] = header;
    let kinds = [TagKind::Audio, TagKind::Video, TagKind::Script];
    let kind = kinds.into_iter().find(|&known| known as u8 == kind & 0x1F)?;
    Some((kind, u32::from_be_bytes([t3, t2, t1, t0]).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::flv;
    use proptest::prelude::*;

    fn file(tags: &[(TagKind, u32, usize)]) -> Vec<u8> {
        let mut bytes = flv::file_header(true, true).to_vec();
        for &(kind, time, length) in tags {
            bytes.extend(flv::tag_header(kind, length, time).unwrap());
            bytes.extend(vec![9; length]);
            bytes.extend(flv::tag_trailer(length));
        }
        bytes
    }

    const TAGS: [(TagKind, u32, usize); 4] = [
        (TagKind::Script, 0, 200),
        (TagKind::Video, 0x0102_0304, 0),
        (TagKind::Audio, 40, 1),
        (TagKind::Video, u32::MAX, 70_000),
    ];

    #[test]
    fn bytes_that_are_no_tags_have_no_time() {
        let mut times = TagTimes::new();
        assert_eq!(times.read(&[0; 1000]).count(), 0);
    }

    proptest! {
        #[test]
        fn every_tag_has_its_time_however_it_is_split(split in 1_usize..3000) {
            let mut times = TagTimes::new();
            let bytes = file(&TAGS);
            let mut seen = Vec::new();
            bytes.chunks(split).for_each(|piece| seen.extend(times.read(piece)));
            let expected: Vec<_> = TAGS.iter().map(|&(kind, time, _)| (kind, i64::from(time))).collect();
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let few = TagTimes::new().read(&bytes).count() <= bytes.len() / 15;
            prop_assert!(few);
        }
    }
}
