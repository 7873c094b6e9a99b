//! Where decoding can begin: by NAL types and the recovery point SEI, up to the first slice, as for H.264.

use crate::media::bits::Bits;
use crate::media::nal::{NalUnits, SeiMessages, unescaped};
use crate::media::video::RandomAccess;

use super::{NAL_HEADER_BYTES, nal_type};

/// `payloadType` of the recovery point SEI message (ISO/IEC 23008-2 §D.2.1).
const RECOVERY_POINT: usize = 6;
/// `recovery_poc_cnt` is within half of `MaxPicOrderCntLsb`, 2^16 at most (§D.3.8).
const RECOVERY_STEPS: std::ops::RangeInclusive<i64> = -0x8000..=0x7FFF;

/// Whether decoding can begin at this access unit. A NAL unit that is cut still counts by its header; what cannot be read is
/// passed over. `nal_length_bytes` is the configuration's: 1, 2 or 4.
///
/// IDR and BLA pictures are where all begins anew: what a BLA picture's skipped leading pictures (RASL) refer to is never
/// there (§8.1.3). A CRA picture is an open GOP's I picture: whoever begins there drops its RASL pictures (FFmpeg does, and
/// they are shown before it), whoever comes from before shows them. From its own time on both give the same pictures, and
/// this is why it may be a position: measured with FFmpeg 9.0.2 at three CRA pictures of x265 (`open-gop=1:bframes=4`), all
/// pictures from there on were the same, and none came out before.
#[must_use]
pub fn random_access(access_unit: &[u8], nal_length_bytes: u8) -> RandomAccess {
    use super::nal_type::{BLA_W_LP, CRA, IDR_N_LP, PREFIX_SEI, RASL_R};
    let mut found = RandomAccess::None;
    for nal in NalUnits::new(access_unit, nal_length_bytes) {
        match nal_type(nal) {
            Some(BLA_W_LP..=IDR_N_LP) => return RandomAccess::Idr,
            Some(CRA) => return RandomAccess::RecoveryPoint { recovery_frame_count: 0 },
            Some(0..=RASL_R) => return found,
            Some(PREFIX_SEI) => {
                if let Some(recovery_frame_count) = recovery_steps(nal) {
                    found = RandomAccess::RecoveryPoint { recovery_frame_count };
                }
            }
            _ => {}
        }
    }
    RandomAccess::None
}

/// `recovery_poc_cnt` of the first recovery point message in an SEI NAL unit (§D.2.8). A negative one says that even
/// pictures shown before this one are right, so this one is.
fn recovery_steps(sei: &[u8]) -> Option<u32> {
    let plain = unescaped(sei);
    let mut messages = SeiMessages::new(plain.get(NAL_HEADER_BYTES..)?);
    let (_, payload) = messages.find(|(payload_type, _)| *payload_type == RECOVERY_POINT)?;
    let steps = Bits::new(payload).se("recovery_poc_cnt").ok()?;
    RECOVERY_STEPS.contains(&steps).then(|| u32::try_from(steps).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bits::packed;
    use crate::media::nal::joined;
    use proptest::prelude::*;

    const OPEN: RandomAccess = RandomAccess::RecoveryPoint { recovery_frame_count: 0 };
    const TRAIL: &[u8] = &[0x02, 0x01, 0xD0, 0x29];
    const IDR: &[u8] = &[0x28, 0x01, 0xAF, 0x08];
    const VPS: &[u8] = &[0x40, 0x01, 0x0C, 0x01];

    #[track_caller]
    fn check(nals: &[&[u8]], expected: RandomAccess) {
        for nal_length_bytes in [1, 2, 4] {
            assert_eq!(random_access(&joined(nals, nal_length_bytes), nal_length_bytes), expected);
        }
    }

    /// A NAL unit of a type in the base layer.
    fn unit(nal_type: u8) -> [u8; 4] {
        [nal_type << 1, 1, 0xAF, 0x08]
    }

    /// An SEI unit with a recovery point; the count as bits.
    fn recovery(count: &str) -> Vec<u8> {
        let payload = packed(&format!("{count}0 0 1"));
        [&[39 << 1, 1, 5, 1, 9, 6, u8::try_from(payload.len()).unwrap()][..], &payload, &[0x80]].concat()
    }

    #[test]
    fn a_closed_gop_of_x265() {
        // ffmpeg 9.0.2 -f lavfi -i testsrc=s=322x182:r=30000/1001 -t 1 -c:v libx265 -preset veryfast a.flv: the start of the
        // first picture and of the next one, each cut in its slice.
        let first = [0, 0, 7, 0xCB, 0x28, 0x01, 0xAF, 0x08, 0x58, 0xAA];
        assert_eq!(random_access(&first, 4), RandomAccess::Idr);
        let next = [0, 0, 0, 0xAE, 0x02, 0x01, 0xD0, 0x29, 0x4B, 0xE1];
        assert_eq!(random_access(&next, 4), RandomAccess::None);
    }

    #[test]
    fn an_open_gop_of_x265() {
        // … -preset medium -x265-params open-gop=1:keyint=25:bframes=4: the start of the second tag flagged as key.
        let start = [0, 0, 7, 0x64, 0x2A, 0x01, 0xAC, 0x64, 0x59, 0x48];
        assert_eq!(random_access(&start, 4), OPEN);
    }

    #[test]
    fn the_first_slice_decides() {
        check(&[VPS, IDR], RandomAccess::Idr);
        check(&[TRAIL, IDR], RandomAccess::None);
        check(&[VPS], RandomAccess::None);
        check(&[], RandomAccess::None);
        check(&[&[], &[0x28], IDR], RandomAccess::Idr);
    }

    #[test]
    fn each_type_of_slice_is_known() {
        for nal_type in 0..64 {
            let expected = match nal_type {
                16..=20 => RandomAccess::Idr,
                21 => OPEN,
                _ => RandomAccess::None,
            };
            check(&[&unit(nal_type)], expected);
            // Slices end the search; the reserved types do not, as a decoder ignores them.
            let goes_on = if nal_type <= 9 { expected } else { RandomAccess::Idr };
            check(&[&unit(nal_type), IDR], if nal_type == 21 { OPEN } else { goes_on });
        }
    }

    #[test]
    fn other_layers_are_ignored() {
        check(&[&[0x28, 0x09, 0xAF], TRAIL], RandomAccess::None);
        check(&[&[0x03, 0x01, 0xAF], IDR], RandomAccess::Idr);
    }

    #[test]
    fn recovery_points_count() {
        check(&[&recovery("1"), TRAIL], OPEN);
        check(&[&recovery("00100"), TRAIL], RandomAccess::RecoveryPoint { recovery_frame_count: 2 });
        check(&[&recovery("011"), TRAIL], OPEN);
        check(&[&recovery("1"), IDR], RandomAccess::Idr);
        check(&[TRAIL, &recovery("1")], RandomAccess::None);
        // 0x8000, one more than there may be: the code of 0xFFFF.
        check(&[&recovery(&format!("{}1{}", "0".repeat(16), "0".repeat(16))), TRAIL], RandomAccess::None);
        for cut in [&[0x4E, 1][..], &[0x4E, 1, 6], &[0x4E, 1, 6, 9, 0x80], &[0x4E, 1, 6, 1, 0]] {
            check(&[cut, TRAIL], RandomAccess::None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_or_loop(access_unit in prop::collection::vec(any::<u8>(), 0..300), width: u8) {
            let _ = random_access(&access_unit, width);
        }

        #[test]
        fn arbitrary_sei_never_panics(sei in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = recovery_steps(&sei);
        }
    }
}
