//! Where decoding can begin: by NAL types, up to the first slice.

use crate::media::nal::NalUnits;
use crate::media::video::RandomAccess;

use super::nal_type;

/// Whether decoding can begin at this access unit. A NAL unit that is cut still counts by its header; what cannot be read is
/// passed over. `nal_length_bytes` is the configuration's: 1, 2 or 4.
///
/// IDR and BLA pictures are where all begins anew: what a BLA picture's skipped leading pictures (RASL) refer to is never
/// there (§8.1.3). A CRA picture is an open GOP's I picture: whoever begins there drops its RASL pictures (FFmpeg does, and
/// they are shown before it), whoever comes from before shows them. From its own time on both give the same pictures, and
/// this is why it may be a position: measured with FFmpeg 9.0.2 at three CRA pictures of x265 (`open-gop=1:bframes=4`), all
/// pictures from there on were the same, and none came out before.
///
/// A recovery point's SEI message (ISO/IEC 23008-2 §D.2.8) at any other picture is passed over: FFmpeg flags only the pictures
/// above as key frames, whatever the message says, so no output could be cut there. An encoder with intra refresh sends one
/// IDR picture at its start (x265 does, and no message later), and its whole stream is one long GOP.
#[must_use]
pub fn random_access(access_unit: &[u8], nal_length_bytes: u8) -> RandomAccess {
    use super::nal_type::{BLA_W_LP, CRA, IDR_N_LP, RASL_R};
    for nal in NalUnits::new(access_unit, nal_length_bytes) {
        match nal_type(nal) {
            Some(BLA_W_LP..=IDR_N_LP) => return RandomAccess::Idr,
            Some(CRA) => return RandomAccess::RecoveryPoint { recovery_frame_count: 0 },
            Some(0..=RASL_R) => return RandomAccess::None,
            _ => {}
        }
    }
    RandomAccess::None
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn a_recovery_point_elsewhere_is_none() {
        // A message with the count 0, and one with 2.
        for sei in [&[0x4E, 1, 6, 1, 0x90, 0x80][..], &[0x4E, 1, 6, 1, 0x22, 0x80]] {
            check(&[sei, TRAIL], RandomAccess::None);
            check(&[sei, IDR], RandomAccess::Idr);
            check(&[sei, &unit(21)], OPEN);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_or_loop(access_unit in prop::collection::vec(any::<u8>(), 0..300), width: u8) {
            let _ = random_access(&access_unit, width);
        }
    }
}
