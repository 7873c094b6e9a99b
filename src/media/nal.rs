//! NAL units, as H.264 and HEVC share them: behind their lengths (ISO/IEC 14496-15 §5.2.3 and §8.3.2), with emulation
//! prevention, and with SEI messages inside.
//!
//! It does not know the two codecs' types of units. Start codes (ISO/IEC 14496-10 annex B) do not occur in FLV.

use super::bits::{Bits, Cut};

/// Why a parameter set cannot be read. Offsets count its bytes without emulation prevention, from its NAL header on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It ends too early.
    #[error("it {0}")]
    Cut(#[from] Cut),
    /// A field has a value that its standard does not know.
    #[error("{field} before byte {offset} is {value}")]
    Value {
        /// The standard's name of the field.
        field: &'static str,
        /// What it holds.
        value: u32,
        /// Byte that holds the next bit.
        offset: usize,
    },
}

/// An Exp-Golomb code that may be `largest` at most.
pub(super) fn ue_up_to(bits: &mut Bits<'_>, largest: u32, field: &'static str) -> Result<u32, Unreadable> {
    let value = bits.ue(field)?;
    if value > largest {
        return Err(Unreadable::Value { field, value, offset: bits.offset() });
    }
    Ok(value)
}

/// NAL units, each behind its length. One whose length goes beyond the access unit is cut there.
pub(super) struct NalUnits<'a> {
    rest: &'a [u8],
    length_bytes: usize,
}

impl<'a> NalUnits<'a> {
    /// A width of lengths other than 1 to 4 bytes is taken for the nearest: with 0 the walk would not end.
    pub(super) fn new(access_unit: &'a [u8], nal_length_bytes: u8) -> Self {
        Self { rest: access_unit, length_bytes: usize::from(nal_length_bytes.clamp(1, 4)) }
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_at_checked(self.length_bytes)?;
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (nal, rest) = rest.split_at(length.min(rest.len()));
        self.rest = rest;
        Some(nal)
    }
}

/// A NAL unit without its emulation prevention (ISO/IEC 14496-10 §7.4.1): the 3 of each `00 00 03` goes. The zero bytes
/// that some senders pad with stay; no reader here gets to them.
pub(super) fn unescaped(nal: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

/// The messages of an SEI unit that is [`unescaped`] and without its header, each with its `payloadType` (ISO/IEC 14496-10
/// §7.3.2.3.1, the same in HEVC). The walk ends at a message that is cut, and at the trailing bits.
pub(super) struct SeiMessages<'a> {
    bits: Bits<'a>,
}

impl<'a> SeiMessages<'a> {
    pub(super) fn new(messages: &'a [u8]) -> Self {
        Self { bits: Bits::new(messages) }
    }

    /// A type or size: a sum of bytes, of which all but the last are 255. It cannot overflow, as no access unit holds 2^56
    /// bytes.
    fn sum(&mut self) -> Option<usize> {
        let mut sum = 0;
        loop {
            let byte = self.bits.u8("last_payload_type_byte").ok()?;
            sum += usize::from(byte);
            if byte != 0xFF {
                return Some(sum);
            }
        }
    }
}

impl<'a> Iterator for SeiMessages<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<(usize, &'a [u8])> {
        let payload_type = self.sum()?;
        let payload_size = self.sum()?;
        let payload = self.bits.bytes(payload_size, "sei_payload").ok()?;
        Some((payload_type, payload))
    }
}

/// A NAL unit with emulation prevention.
#[cfg(test)]
pub(super) fn escaped(plain: &[u8]) -> Vec<u8> {
    let mut nal = Vec::new();
    for &byte in plain {
        if nal.ends_with(&[0, 0]) && byte <= 3 {
            nal.push(3);
        }
        nal.push(byte);
    }
    nal
}

/// NAL units, each behind its length.
#[cfg(test)]
pub(super) fn joined(nals: &[impl AsRef<[u8]>], nal_length_bytes: u8) -> Vec<u8> {
    let mut access_unit = Vec::new();
    for nal in nals.iter().map(AsRef::as_ref) {
        let length = u32::try_from(nal.len()).unwrap().to_be_bytes();
        access_unit.extend_from_slice(&length[4 - usize::from(nal_length_bytes)..]);
        access_unit.extend_from_slice(nal);
    }
    access_unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_unescaped(nal: &[u8], expected: &[u8]) {
        assert_eq!(unescaped(nal), expected);
    }

    #[test]
    fn emulation_prevention_goes() {
        check_unescaped(&[0x67, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3], &[0x67, 0, 0, 1, 0, 0, 0, 0]);
        check_unescaped(&[0, 3, 0, 0, 4, 3], &[0, 3, 0, 0, 4, 3]);
        check_unescaped(&[1, 0, 0, 0, 0], &[1, 0, 0, 0, 0]);
        check_unescaped(&[], &[]);
    }

    #[track_caller]
    fn check_messages(sei: &[u8], expected: &[(usize, &[u8])]) {
        assert_eq!(SeiMessages::new(sei).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn messages_come_in_order() {
        check_messages(&[6, 1, 0xC4, 5, 2, 8, 9, 0x80], &[(6, &[0xC4]), (5, &[8, 9])]);
        let long: Vec<u8> = [&[0xFF, 0xFF, 4, 0xFF, 1][..], &[7; 256]].concat();
        check_messages(&long, &[(514, &[7; 256])]);
        check_messages(&[6, 2, 0xC4], &[]);
        check_messages(&[0xFF], &[]);
        check_messages(&[], &[]);
    }

    #[test]
    fn a_cut_unit_ends_with_the_access_unit() {
        let found = |access_unit: &'static [u8], width| NalUnits::new(access_unit, width).collect::<Vec<_>>();
        assert_eq!(found(&[0, 0, 9, 9, 0x65], 4), [&[0x65]]);
        assert_eq!(found(&[0xFF, 0xFF, 0xFF, 0xFF, 0x65, 1], 4), [&[0x65, 1]]);
        assert_eq!(found(&[1, 7, 0, 2, 8], 0), [&[7][..], &[], &[8]]);
        assert!(found(&[0, 0, 0], 4).is_empty());
    }

    proptest! {
        #[test]
        fn units_come_back_as_they_were_joined(
            nals in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            nal_length_bytes in prop::sample::select(vec![1u8, 2, 4]),
        ) {
            let access_unit = joined(&nals, nal_length_bytes);
            let found: Vec<&[u8]> = NalUnits::new(&access_unit, nal_length_bytes).collect();
            prop_assert_eq!(found, nals);
        }

        #[test]
        fn arbitrary_bytes_never_panic_or_loop(bytes in prop::collection::vec(any::<u8>(), 0..300), width: u8) {
            let units: usize = NalUnits::new(&bytes, width).map(<[u8]>::len).sum();
            let payloads: usize = SeiMessages::new(&bytes).map(|(_, payload)| payload.len()).sum();
            prop_assert!(units <= bytes.len() && payloads <= bytes.len() && unescaped(&bytes).len() <= bytes.len());
        }

        #[test]
        fn what_was_escaped_comes_back(plain in prop::collection::vec(0u8..5, 0..100)) {
            prop_assert_eq!(unescaped(&escaped(&plain)), plain);
        }
    }
}
