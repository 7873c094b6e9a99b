//! Where decoding can begin: by NAL types and the recovery point SEI, since the carriage's own flag errs.
//!
//! It runs on each access unit of each stream, so it looks at no more than NAL headers and SEI, and only up to the first slice:
//! what comes before the first slice is all that can say (ISO/IEC 14496-10 §7.4.1.2.3, SEI precedes the primary coded picture).

use crate::media::bits::Bits;
use crate::media::nal::{NalUnits, SeiMessages, unescaped};
use crate::media::video::RandomAccess;

use super::nal_type;

/// `payloadType` of the recovery point SEI message (§D.1.1).
const RECOVERY_POINT: usize = 6;
/// `recovery_frame_cnt` is below `MaxFrameNum`, which is 2^16 at most (§D.2.8, §7.4.2.1.1).
const MAX_RECOVERY_FRAME_COUNT: u32 = 0xFFFF;

/// Whether decoding can begin at this access unit. A NAL unit that is cut still counts by its header; what cannot be read is
/// passed over.
///
/// `nal_length_bytes` is the configuration's: 1, 2 or 4.
#[must_use]
pub fn random_access(access_unit: &[u8], nal_length_bytes: u8) -> RandomAccess {
    use super::nal_type::{IDR_SLICE, SEI, SLICE, SLICE_PARTITION_C};
    let mut found = RandomAccess::None;
    for nal in NalUnits::new(access_unit, nal_length_bytes) {
        match nal_type(nal) {
            Some(IDR_SLICE) => return RandomAccess::Idr,
            Some(SLICE..=SLICE_PARTITION_C) => return found,
            Some(SEI) => {
                if let Some(recovery_frame_count) = recovery_frame_count(nal) {
                    // The last one counts, as for FFmpeg.
                    found = RandomAccess::RecoveryPoint { recovery_frame_count };
                }
            }
            _ => {}
        }
    }
    RandomAccess::None
}

/// Whether there is a coded slice (NAL types 1 to 5), so a picture. An access unit without one holds parameter sets, SEI or
/// filler only.
#[must_use]
pub fn contains_slice(access_unit: &[u8], nal_length_bytes: u8) -> bool {
    use super::nal_type::{IDR_SLICE, SLICE};
    NalUnits::new(access_unit, nal_length_bytes)
        .any(|nal| nal_type(nal).is_some_and(|nal_type| (SLICE..=IDR_SLICE).contains(&nal_type)))
}

/// `recovery_frame_cnt` of the first recovery point message in an SEI NAL unit (§7.3.2.3.1, §D.1.8).
fn recovery_frame_count(sei: &[u8]) -> Option<u32> {
    let plain = unescaped(sei);
    let mut messages = SeiMessages::new(plain.get(1..)?);
    let (_, payload) = messages.find(|(payload_type, _)| *payload_type == RECOVERY_POINT)?;
    let count = Bits::new(payload).ue("recovery_frame_cnt").ok()?;
    (count <= MAX_RECOVERY_FRAME_COUNT).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::nal::joined;
    use proptest::prelude::*;

    const RECOVERY_AT_ONCE: RandomAccess = RandomAccess::RecoveryPoint { recovery_frame_count: 0 };
    /// SEI with a recovery point at once, as x264 writes it.
    const SEI: &[u8] = &[0x06, 0x06, 0x01, 0xC4, 0x80];
    const SLICE: &[u8] = &[0x41, 0x9A];
    const IDR: &[u8] = &[0x65, 0x88];
    const SPS: &[u8] = &[0x67, 0x42];

    #[track_caller]
    fn check(nals: &[&[u8]], expected: RandomAccess) {
        for nal_length_bytes in [1, 2, 4] {
            assert_eq!(random_access(&joined(nals, nal_length_bytes), nal_length_bytes), expected);
        }
    }

    #[test]
    fn a_closed_gop_of_x264() {
        // ffmpeg 5.1 -f lavfi -i testsrc -t 1 -c:v libx264 a.flv: the first picture has x264's own SEI before it. The same
        // tag, with 4 of the SEI's 682 bytes, and the next one.
        check(&[&[0x06, 0x05, 0x02, 0xDC, 0x45, 0x80], IDR], RandomAccess::Idr);
        let next = [0, 0, 4, 0xE6, 0x41, 0x9A, 0x24, 0x18, 0x84, 0xFF, 0xFD, 0xF1];
        assert_eq!(random_access(&next, 4), RandomAccess::None);
    }

    #[test]
    fn an_open_gop_of_x264() {
        // ffmpeg 5.1 … -x264-params open-gop=1:keyint=8:bframes=2 a.flv: the eighth tag's start. Its slice is cut here.
        let start = [0, 0, 0, 5, 6, 6, 1, 0xC4, 0x80, 0, 0, 0x0C, 0x1B, 0x41, 0x88, 0xAA, 0x00, 0xFF, 0xFE];
        assert_eq!(random_access(&start, 4), RECOVERY_AT_ONCE);
    }

    #[test]
    fn an_intra_refresh_of_x264() {
        // ffmpeg 5.1 … -x264-params intra-refresh=1:keyint=5:bframes=0 a.flv: the sixth tag, flagged as a key frame.
        let start = [0, 0, 0, 6, 6, 6, 2, 0x2C, 0x40, 0x80, 0, 0, 0x13, 0xAE, 0x41, 0x9A, 0xA0, 0x7A];
        assert_eq!(random_access(&start, 4), RandomAccess::RecoveryPoint { recovery_frame_count: 4 });
    }

    #[test]
    fn the_first_slice_decides() {
        check(&[SPS, IDR], RandomAccess::Idr);
        check(&[SEI, IDR], RandomAccess::Idr);
        check(&[SLICE, IDR], RandomAccess::None);
        check(&[SLICE, SEI], RandomAccess::None);
        check(&[&[0x42, 0x9A]], RandomAccess::None);
        check(&[SEI, &[0x0C, 0xFF], &[], &[0x42, 0x9A]], RECOVERY_AT_ONCE);
        check(&[SPS, SEI], RandomAccess::None);
        check(&[], RandomAccess::None);
    }

    #[test]
    fn a_recovery_point_behind_other_messages_is_found() {
        let captions: Vec<u8> = [&[6, 4, 0xFF, 0x2D][..], &[0x5A; 300], &[6, 1, 0xC4, 0x80]].concat();
        let access_unit = joined(&[&captions[..], SLICE], 4);
        assert_eq!(random_access(&access_unit, 4), RECOVERY_AT_ONCE);
        // Emulation prevention inside the message before it, and padding behind.
        check(&[&[6, 5, 4, 0, 0, 3, 1, 9, 6, 1, 0xC4, 0x80, 0, 0, 0], SLICE], RECOVERY_AT_ONCE);
        check(&[&[6, 5, 1, 9, 0x80], SEI, SLICE], RECOVERY_AT_ONCE);
    }

    #[test]
    fn damaged_sei_is_passed_over() {
        let damaged: [&[u8]; 8] = [
            &[6],
            &[6, 6],
            &[6, 6, 1],
            &[6, 0xFF, 0xFF],
            &[6, 5, 200, 1],
            &[6, 6, 1, 0],
            &[6, 0, 0, 1, 9],
            &[6, 6, 5, 0, 0, 3, 0, 8],
        ];
        for sei in damaged {
            check(&[sei, SLICE], RandomAccess::None);
            check(&[sei, IDR], RandomAccess::Idr);
        }
        // A count of 65,536, one more than there may be.
        check(&[&[6, 6, 5, 0, 0, 0x80, 0, 0xC0, 0x80], SLICE], RandomAccess::None);
    }

    #[test]
    fn a_cut_unit_counts_by_its_header() {
        assert_eq!(random_access(&[0, 0, 9, 9, 0x65], 4), RandomAccess::Idr);
        assert_eq!(random_access(&[0, 0, 9, 9], 4), RandomAccess::None);
        assert_eq!(random_access(&[0xFF, 0xFF, 0xFF, 0xFF, 0x65], 4), RandomAccess::Idr);
        assert_eq!(random_access(&[0, 0, 0], 4), RandomAccess::None);
    }

    #[test]
    fn a_picture_is_told_from_none() {
        for (nals, expected) in
            [(&[SPS, SEI][..], false), (&[SEI, SLICE], true), (&[IDR], true), (&[], false)]
        {
            assert_eq!(contains_slice(&joined(nals, 4), 4), expected);
        }
        assert!(!contains_slice(&[0, 0, 0, 1], 4));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_or_loop(access_unit in prop::collection::vec(any::<u8>(), 0..300), width: u8) {
            let found = random_access(&access_unit, width);
            prop_assert!(contains_slice(&access_unit, width) || found == RandomAccess::None);
        }

        #[test]
        fn arbitrary_sei_never_panics(sei in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = recovery_frame_count(&[&[6], &sei[..]].concat());
        }
    }
}
