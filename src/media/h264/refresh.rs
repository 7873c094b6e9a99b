//! Intra refresh, made visible to FFmpeg: a mark that says "here all is whole" at the start of each refresh.
//!
//! An intra refresh renews a picture by parts, over as many pictures as its recovery point's count says (ISO/IEC 14496-10
//! §D.2.8). FFmpeg's decoder (5.1 and 9.0) hides what it decodes until the refresh is complete, which is right for whoever
//! begins there, but it flags no key frame at a recovery point with a count, so `-force_key_frames source` makes no IDR picture
//! there: outputs of different attempts would be cut at different places. An attempt that began before is whole where a new
//! refresh begins. For it a second recovery point, with the count 0, is put behind the encoder's: the last one counts.
//! Measured with x264 (`intra-refresh=1`, with and without B-frames): an IDR picture at each recovery point, in every attempt,
//! and no damaged picture.
//!
//! A copied rendition has the mark taken out again.

use bytes::{Bytes, BytesMut};

use crate::media::nal::NalUnits;
use crate::media::video::RandomAccess;

use super::nal_type::{IDR_SLICE, SLICE};
use super::{nal_type, random_access};

/// A SEI unit: a recovery point with count 0, not exact (§D.1.8); then unregistered user data (§D.1.7) with an identifier of
/// ours, so that it cannot be an encoder's.
const MARK: &[u8; 23] = b"\x06\x06\x01\x84\x05\x10headgate-refresh\x80";

/// The picture with the mark before its first slice; `None` where none belongs, at anything but the start of a refresh.
#[must_use]
pub fn mark(access_unit: &[u8], nal_length_bytes: u8) -> Option<BytesMut> {
    match random_access(access_unit, nal_length_bytes) {
        RandomAccess::RecoveryPoint { recovery_frame_count: 1.. } => {}
        RandomAccess::Idr | RandomAccess::RecoveryPoint { .. } | RandomAccess::None => return None,
    }
    let is_slice = |nal: &&[u8]| nal_type(nal).is_some_and(|found| (SLICE..=IDR_SLICE).contains(&found));
    let before = NalUnits::new(access_unit, nal_length_bytes).take_while(|nal| !is_slice(nal));
    let width = usize::from(nal_length_bytes.clamp(1, 4));
    let (head, slices) = access_unit.split_at_checked(before.map(|nal| width + nal.len()).sum())?;
    let length = u32::try_from(MARK.len()).ok()?.to_be_bytes();
    let mut marked = BytesMut::with_capacity(access_unit.len() + width + MARK.len());
    [head, length.get(4usize.checked_sub(width)?..)?, MARK, slices]
        .into_iter()
        .for_each(|part| marked.extend_from_slice(part));
    Some(marked)
}

/// The picture as its encoder made it: without the mark, if it has one.
#[must_use]
pub fn unmark(access_unit: Bytes, nal_length_bytes: u8) -> Bytes {
    let width = usize::from(nal_length_bytes.clamp(1, 4));
    let mut at = 0;
    for nal in NalUnits::new(&access_unit, nal_length_bytes) {
        let end = at + width + nal.len();
        if nal == MARK {
            return [&access_unit[..at], &access_unit[end..]].concat().into();
        }
        if nal_type(nal).is_some_and(|found| (SLICE..=IDR_SLICE).contains(&found)) {
            break;
        }
        at = end;
    }
    access_unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::nal::joined;
    use proptest::prelude::*;

    /// A recovery point that counts 4, as x264 writes it, and one at once.
    const REFRESH: &[u8] = &[6, 6, 2, 0x2C, 0x40, 0x80];
    const AT_ONCE: &[u8] = &[6, 6, 1, 0xC4, 0x80];
    const SLICE: &[u8] = &[0x41, 0x9A, 0xA0];
    const IDR: &[u8] = &[0x65, 0x88];

    #[track_caller]
    fn check(nals: &[&[u8]], expected: Option<&[&[u8]]>) {
        for width in [1, 2, 4] {
            let picture = joined(nals, width);
            let marked = mark(&picture, width).map(BytesMut::freeze);
            assert_eq!(marked, expected.map(|nals| joined(nals, width).into()));
            if let Some(marked) = marked {
                let expected = RandomAccess::RecoveryPoint { recovery_frame_count: 0 };
                assert_eq!(random_access(&marked, width), expected, "the last one counts");
                assert_eq!(unmark(marked, width), picture);
            }
        }
    }

    #[test]
    fn the_start_of_a_refresh_gets_the_mark_before_its_first_slice() {
        check(&[REFRESH, SLICE], Some(&[REFRESH, MARK, SLICE]));
        check(&[&[9, 0x30], REFRESH, SLICE, SLICE], Some(&[&[9, 0x30], REFRESH, MARK, SLICE, SLICE]));
    }

    #[test]
    fn nothing_else_does() {
        let others: [&[&[u8]]; 6] = [&[AT_ONCE, SLICE], &[IDR], &[REFRESH, IDR], &[SLICE], &[REFRESH], &[]];
        others.into_iter().for_each(|nals| check(nals, None));
    }

    #[test]
    fn only_the_mark_is_taken_out() {
        for nals in [&[AT_ONCE, SLICE][..], &[SLICE, MARK], &[&MARK[..22], SLICE], &[]] {
            let picture = Bytes::from(joined(nals, 4));
            assert_eq!(unmark(picture.clone(), 4), picture);
        }
    }

    proptest! {
        #[test]
        fn what_is_marked_comes_back(rest in prop::collection::vec(any::<u8>(), 0..200), count in 0u8..16, width in prop::sample::select(vec![1u8, 2, 4])) {
            // Counts 3 and 4, and whatever flags; then whatever slices.
            let sei = [6, 6, 2, 0x20 | count, 0x40, 0x80];
            let picture = [joined(&[&sei[..], SLICE], width), rest].concat();
            let marked = mark(&picture, width).expect("the start of a refresh");
            prop_assert_eq!(unmark(marked.freeze(), width), picture);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), width: u8) {
            let _ = mark(&bytes, width);
            let _ = unmark(bytes.into(), width);
        }
    }
}
