//! A cursor over the bits of a codec's header, the most significant first, with the variable-length codes of H.264 and HEVC.
//!
//! Every read is checked: what is not there is a [`Cut`], never a panic. It does not know what the fields mean.

/// The bytes end inside a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ends inside {field}, which begins at byte {offset}")]
pub struct Cut {
    /// Byte at which the field begins.
    pub offset: usize,
    /// The standard's name of the field.
    pub field: &'static str,
}

/// A position in a header that a stranger sent.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits from the start; never beyond the end.
    position: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `count` bits, at most 32, as a number. `field` names them in the error.
    pub(super) fn read(&mut self, count: usize, field: &'static str) -> Result<u32, Cut> {
        let start = self.position;
        self.skip(count, field)?;
        let bit = |at: usize| u32::from(self.bytes[at / 8] >> (7 - at % 8) & 1);
        Ok((start..self.position).fold(0, |value, at| value << 1 | bit(at)))
    }

    /// The next eight bits.
    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, Cut> {
        Ok(self.read(8, field)?.to_le_bytes()[0])
    }

    /// The next sixteen bits.
    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, Cut> {
        Ok(u16::from_be_bytes([self.u8(field)?, self.u8(field)?]))
    }

    /// The next bit.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, Cut> {
        Ok(self.read(1, field)? == 1)
    }

    /// The next `count` bytes, from the next byte's start on.
    pub(super) fn bytes(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], Cut> {
        self.align();
        let start = self.offset();
        self.skip(count.saturating_mul(8), field)?;
        Ok(&self.bytes[start..self.offset()])
    }

    /// Passes over `count` bits, which must be there.
    pub(super) fn skip(&mut self, count: usize, field: &'static str) -> Result<(), Cut> {
        let end = self.position.saturating_add(count);
        if end > self.bytes.len() * 8 {
            return Err(Cut { offset: self.offset(), field });
        }
        self.position = end;
        Ok(())
    }

    /// An unsigned Exp-Golomb code (ISO/IEC 14496-10 §9.1). One of more than 63 bits, larger than any field may be, reads
    /// as the largest number.
    pub(super) fn ue(&mut self, field: &'static str) -> Result<u32, Cut> {
        let cut = Cut { offset: self.offset(), field };
        let mut zeros = 0;
        while !self.flag(field).map_err(|_| cut)? {
            zeros += 1;
        }
        if zeros > 31 {
            self.skip(zeros, field).map_err(|_| cut)?;
            return Ok(u32::MAX);
        }
        Ok((1 << zeros) - 1 + self.read(zeros, field).map_err(|_| cut)?)
    }

    /// A signed Exp-Golomb code (ISO/IEC 14496-10 §9.1.1): 0, 1, -1, 2, -2 ...
    pub(super) fn se(&mut self, field: &'static str) -> Result<i64, Cut> {
        let code = i64::from(self.ue(field)?);
        Ok(if code % 2 == 1 { code / 2 + 1 } else { -(code / 2) })
    }

    /// Goes on to the next byte's start.
    pub(super) fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }

    /// The byte that holds the next bit.
    pub(super) fn offset(&self) -> usize {
        self.position / 8
    }

    /// What comes from the next byte's start on.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position.div_ceil(8)..).unwrap_or_default()
    }
}

/// Bits for tests: a string of `0`, `1` and spaces as bytes, the last one filled up with zeros.
#[cfg(test)]
pub(super) fn packed(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|digit| *digit != b' ').map(|digit| digit - b'0').collect();
    digits
        .chunks(8)
        .map(|byte| byte.iter().enumerate().fold(0, |value, (at, digit)| value | digit << (7 - at)))
        .collect()
}

/// Exp-Golomb codes for tests, as [`packed`] takes them.
#[cfg(test)]
pub(super) fn golomb(value: u32) -> String {
    let code = format!("{:b}", u64::from(value) + 1);
    format!("{}{code}", "0".repeat(code.len() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_come_one_after_the_other() {
        let bytes = packed("101 00001 11111111 00000001 0 1010101");
        let mut bits = Bits::new(&bytes);
        assert_eq!((bits.read(3, "a"), bits.read(5, "b"), bits.u16("c")), (Ok(5), Ok(1), Ok(0xFF01)));
        assert_eq!((bits.flag("d"), bits.offset(), bits.rest()), (Ok(false), 3, &[][..]));
        bits.align();
        assert_eq!(bits.u8("e"), Err(Cut { offset: 4, field: "e" }));
        assert_eq!(Bits::new(&bytes).bytes(2, "f"), Ok(&bytes[..2]));
        assert_eq!(Bits::new(&bytes).bytes(usize::MAX, "f"), Err(Cut { offset: 0, field: "f" }));
    }

    #[test]
    fn signs_alternate() {
        let bytes = packed("1 010 011 00100 00101");
        let mut bits = Bits::new(&bytes);
        assert_eq!([(); 5].map(|()| bits.se("delta").unwrap()), [0, 1, -1, 2, -2]);
    }

    #[test]
    fn codes_beyond_32_bits_are_the_largest_number() {
        let bytes = [&[0; 4][..], &[0x80; 5], &[0x80]].concat();
        let mut bits = Bits::new(&bytes);
        assert_eq!(bits.ue("long"), Ok(u32::MAX));
        assert_eq!(bits.position, 65);
        assert_eq!(Bits::new(&[0; 9]).ue("zeros"), Err(Cut { offset: 0, field: "zeros" }));
        assert_eq!(Bits::new(&[0x00, 0x80]).ue("cut"), Err(Cut { offset: 0, field: "cut" }));
    }

    proptest! {
        #[test]
        fn codes_come_back(values in prop::collection::vec(0..u32::MAX, 1..20)) {
            let bytes = packed(&values.iter().copied().map(golomb).collect::<String>());
            let mut bits = Bits::new(&bytes);
            for value in values {
                prop_assert_eq!(bits.ue("value"), Ok(value));
            }
        }

        #[test]
        fn any_reads_stay_within(bytes in prop::collection::vec(any::<u8>(), 0..40), reads in prop::collection::vec(0usize..40, 0..60)) {
            let mut bits = Bits::new(&bytes);
            for read in reads {
                let before = bits.offset();
                let cut = match read {
                    0..=32 => bits.read(read, "bits").err(),
                    33 | 34 => bits.ue("code").err(),
                    35 | 36 => bits.se("code").err(),
                    more => bits.bytes(more - 36, "bytes").err(),
                };
                prop_assert!(cut.is_none_or(|cut| cut.offset >= before && cut.offset <= bytes.len()));
                prop_assert!(bits.offset() <= bytes.len() && bits.rest().len() <= bytes.len());
            }
        }
    }
}
