//! A cursor over the bits of an `AudioSpecificConfig`, the most significant first.

use super::AacError;

pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits from the start.
    position: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `count` bits, at most 32, as a number. `field` names them in the error.
    pub(super) fn read(&mut self, count: usize, field: &'static str) -> Result<u32, AacError> {
        let start = self.position;
        self.skip(count, field)?;
        let bit = |at: usize| u32::from(self.bytes[at / 8] >> (7 - at % 8) & 1);
        Ok((start..self.position).fold(0, |value, at| value << 1 | bit(at)))
    }

    /// The next bit.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, AacError> {
        Ok(self.read(1, field)? == 1)
    }

    /// Passes over `count` bits, which must be there.
    pub(super) fn skip(&mut self, count: usize, field: &'static str) -> Result<(), AacError> {
        let end = self.position + count;
        if end > self.bytes.len() * 8 {
            return Err(AacError::Truncated { offset: self.offset(), field });
        }
        self.position = end;
        Ok(())
    }

    /// Goes on to the next byte's start.
    pub(super) fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }

    /// The byte that holds the next bit.
    pub(super) fn offset(&self) -> usize {
        self.position / 8
    }
}
