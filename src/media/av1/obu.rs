//! OBUs, the units that AV1 is made of (AV1 §5.3), in the low-overhead format.

/// `obu_type` (AV1 §6.2.2), as far as it matters here.
pub(super) mod obu_type {
    /// Sequence header.
    pub(in crate::media::av1) const SEQUENCE_HEADER: u8 = 1;
    /// A frame's header on its own; tile groups follow.
    pub(in crate::media::av1) const FRAME_HEADER: u8 = 3;
    /// A frame's header with its tiles.
    pub(in crate::media::av1) const FRAME: u8 = 6;
}

/// The most bytes of a size (AV1 §4.10.5, `leb128`).
const MAX_SIZE_BYTES: usize = 8;

/// One OBU without its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Obu<'a> {
    pub(super) obu_type: u8,
    pub(super) payload: &'a [u8],
}

/// The OBUs of a temporal unit or a record. One whose size goes beyond the end is cut there, and one without a size lasts to
/// the end, as the last one may (AV1-ISOBMFF §2.4). The walk ends where no header can be read.
pub(super) struct Obus<'a> {
    rest: &'a [u8],
}

impl<'a> Obus<'a> {
    pub(super) fn new(obus: &'a [u8]) -> Self {
        Self { rest: obus }
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Obu<'a>;

    fn next(&mut self) -> Option<Obu<'a>> {
        // AV1 §5.3.2: a forbidden bit, 4 bits of type, whether an extension byte follows, whether a size does.
        let (&header, mut rest) = self.rest.split_first()?;
        if header & 0x80 != 0 {
            return None;
        }
        if header & 0x04 != 0 {
            rest = rest.split_first()?.1;
        }
        let size = if header & 0x02 == 0 { rest.len() } else { read_size(&mut rest)? };
        let (payload, rest) = rest.split_at(size.min(rest.len()));
        self.rest = rest;
        Some(Obu { obu_type: header >> 3 & 0x0F, payload })
    }
}

/// A `leb128`: seven bits a byte, the lowest first. More than 32 bits may not be (AV1 §4.10.5), and mean "to the end" here.
fn read_size(rest: &mut &[u8]) -> Option<usize> {
    let mut size = 0u64;
    for at in 0..MAX_SIZE_BYTES {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        size |= u64::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(usize::try_from(size).unwrap_or(usize::MAX));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(obus: &[u8], expected: &[(u8, &[u8])]) {
        let found: Vec<_> = Obus::new(obus).map(|obu| (obu.obu_type, obu.payload)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn units_come_in_order() {
        // A temporal delimiter, a sequence header, and a frame without a size.
        check(&[0x12, 0, 0x0A, 2, 8, 9, 0x30, 7, 7], &[(2, &[]), (1, &[8, 9]), (6, &[7, 7])]);
        // With an extension byte, and a size of two bytes.
        let long = [&[0x36, 0x08, 0x80, 0x01][..], &[5; 128], &[0x12, 0]].concat();
        check(&long, &[(6, &[5; 128]), (2, &[])]);
    }

    #[test]
    fn damage_ends_the_walk() {
        check(&[0x32, 9, 1, 2], &[(6, &[1, 2])]);
        check(&[0x12, 0, 0x92, 0, 0x32, 0], &[(2, &[])]);
        check(&[0x12, 0, 0x36], &[(2, &[])]);
        check(&[0x32, 0x80], &[]);
        check(&[0x32, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0], &[]);
        check(&[0x32, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 4], &[(6, &[4])]);
        check(&[], &[]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_or_loop(obus in prop::collection::vec(any::<u8>(), 0..300)) {
            let payloads: usize = Obus::new(&obus).map(|obu| obu.payload.len() + 1).sum();
            prop_assert!(payloads <= obus.len());
        }
    }
}
