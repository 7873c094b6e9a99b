//! Where decoding can begin: at a temporal unit whose first frame is a key frame that is shown (AV1 §7.6.2).

use crate::media::bits::Bits;
use crate::media::video::{MAX_SIDE, RandomAccess};

use super::obu::{Obus, obu_type};
use super::sequence::{self, Sequence};

/// `frame_type` of a key frame (AV1 §6.8.2).
const KEY_FRAME: u32 = 0;

/// Whether decoding can begin at this temporal unit.
///
/// The first frame decides. A key frame that is not shown yet ("delayed random access point", §7.6.3) is none: what its
/// temporal unit shows refers to before. Nor is an intra-only frame, which leaves old references standing. The sequence header
/// that should come with a key frame may be left out, as the configuration record has it too.
#[must_use]
pub fn random_access(temporal_unit: &[u8]) -> RandomAccess {
    let mut is_reduced = false;
    for obu in Obus::new(temporal_unit) {
        match obu.obu_type {
            obu_type::SEQUENCE_HEADER => {
                is_reduced = sequence::read(obu.payload).is_ok_and(|sequence| sequence.is_reduced);
            }
            obu_type::FRAME_HEADER | obu_type::FRAME => {
                let is_start = is_reduced || is_shown_key_frame(obu.payload) == Some(true);
                return if is_start { RandomAccess::Idr } else { RandomAccess::None };
            }
            _ => {}
        }
    }
    RandomAccess::None
}

/// The size that the temporal unit's first sequence header gives; `None` without one that can be read and believed.
#[must_use]
pub fn size(temporal_unit: &[u8]) -> Option<(u32, u32)> {
    let header = Obus::new(temporal_unit).find(|obu| obu.obu_type == obu_type::SEQUENCE_HEADER)?;
    let Sequence { width, height, .. } = sequence::read(header.payload).ok()?;
    (width <= MAX_SIDE && height <= MAX_SIDE).then_some((width, height))
}

/// The first bits of `uncompressed_header` (§5.9.2), where the header is not reduced; `None` if there are none.
fn is_shown_key_frame(frame_header: &[u8]) -> Option<bool> {
    let mut bits = Bits::new(frame_header);
    let shows_existing = bits.flag("show_existing_frame").ok()?;
    let frame_type = bits.read(2, "frame_type").ok()?;
    let is_shown = bits.flag("show_frame").ok()?;
    Some(!shows_existing && frame_type == KEY_FRAME && is_shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEQUENCE: &[u8] = b"\x0a\x0b\x02\x00\x00\x05\x21\xe8\x36\xa2\x57\xc8\x02";
    const KEY: &[u8] = &[0x32, 1, 0b0001_0000];

    #[track_caller]
    fn check(obus: &[&[u8]], expected: RandomAccess) {
        assert_eq!(random_access(&obus.concat()), expected);
    }

    #[test]
    fn temporal_units_of_svt_av1() {
        // ffmpeg 9.0.2 -f lavfi -i testsrc=s=322x182:r=30000/1001 -t 1 -c:v libsvtav1 -preset 12 a.flv: the start of the
        // first temporal unit, the second one, which hides a frame, and the third, which shows one that was hidden.
        let first =
            b"\x12\x00\x0a\x0b\x02\x00\x00\x05\x21\xe8\x36\xa2\x57\xc8\x02\x32\xeb\x25\x10\x00\x83\x00";
        check(&[first], RandomAccess::Idr);
        assert_eq!(size(first), Some((322, 182)));
        check(&[b"\x12\x00\x32\xf8\x07\x28\x10\x00\x40\x00\x00\x39\x0b\xc1\x02\x08"], RandomAccess::None);
        check(&[b"\x12\x00\x1a\x01\xe8"], RandomAccess::None);
        assert_eq!(size(b"\x12\x00\x1a\x01\xe8"), None);
    }

    #[test]
    fn the_first_frame_decides() {
        check(&[SEQUENCE, KEY], RandomAccess::Idr);
        check(&[KEY], RandomAccess::Idr);
        check(&[&[0x1A, 1, 0b0001_0000], &[0x22, 1, 0]], RandomAccess::Idr);
        check(&[SEQUENCE], RandomAccess::None);
        check(&[SEQUENCE, &[0x32, 0]], RandomAccess::None);
        check(&[], RandomAccess::None);
        // Hidden, existing, inter, intra-only, switch.
        for header in [0b0000_0000, 0b1000_0000, 0b1001_0000, 0b0011_0000, 0b0101_0000, 0b0111_0000] {
            check(&[SEQUENCE, &[0x32, 1, header], KEY], RandomAccess::None);
        }
    }

    #[test]
    fn a_still_pictures_frame_needs_no_type() {
        check(&[&[0x0A, 4, 0b0001_1000, 0, 0, 0], &[0x32, 1, 0xFF]], RandomAccess::Idr);
    }

    #[test]
    fn a_size_that_cannot_be_is_not_believed() {
        let header = crate::media::bits::packed(&format!("000 1 1 00000 1111 0000 {} 0", "1".repeat(16)));
        assert_eq!(size(&[&[0x0A, 5][..], &header].concat()), None);
        assert_eq!(size(&SEQUENCE[..9]), None);
        assert_eq!(size(SEQUENCE), Some((322, 182)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_or_loop(unit in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (random_access(&unit), size(&unit));
        }
    }
}
