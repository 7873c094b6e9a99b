//! A cursor over AMF0 bytes.
//!
//! ```text
//! value()                  a whole value: what is nested is stepped over
//! enter()                  a value's head: its properties or elements come next
//! name() then value()      a property of the object that was entered; property() is both
//! ```
//!
//! Recursion ends at [`MAX_DEPTH`], and each value takes at least its marker: a count that lies ends with the bytes.

use super::{
    BOOLEAN, DATE, ECMA_ARRAY, Error, LONG_STRING, MAX_DEPTH, NULL, NUMBER, OBJECT, OBJECT_END, REFERENCE,
    STRICT_ARRAY, STRING, TYPED_OBJECT, UNDEFINED, UNSUPPORTED, XML,
};

/// A value, or the head of one that holds others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// §2.2. May be NaN or infinite: it is the peer's.
    Number(f64),
    /// §2.3.
    Boolean(bool),
    /// §2.4 and §2.14; documents (§2.17) are read as text. Encoders put other encodings than UTF-8 there.
    Text(&'a [u8]),
    /// §2.7.
    Null,
    /// §2.8; also what references (§2.9) and unsupported values (§2.15) are read as.
    Undefined,
    /// §2.13, in milliseconds since 1970; the time zone is reserved and dropped.
    Date(f64),
    /// §2.5, and typed objects (§2.18) without their class.
    Object,
    /// §2.10. Its count is a hint (FFmpeg counts one too few, others write 0) and is dropped: the end marker counts.
    EcmaArray,
    /// §2.12, with its count.
    StrictArray(u32),
}

/// Reads one value after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Over these bytes, which hold nothing but values.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, offset: 0 }
    }

    /// How many bytes are read.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The next value whole: of one that holds others only its head is given. `None` at the end.
    pub fn value(&mut self) -> Result<Option<Item<'a>>, Error> {
        if self.offset == self.input.len() {
            return Ok(None);
        }
        self.whole(0).map(Some)
    }

    /// The head of the next value, and into it. `None` at the end.
    pub fn enter(&mut self) -> Result<Option<Item<'a>>, Error> {
        if self.offset == self.input.len() {
            return Ok(None);
        }
        self.head().map(Some)
    }

    /// The name of the next property of an object or ECMA array that was entered; its value comes next. `None` at the
    /// end: an empty name and its marker (§2.11).
    pub fn name(&mut self) -> Result<Option<&'a [u8]>, Error> {
        let name = self.short_text()?;
        if name.is_empty() && self.input.get(self.offset) == Some(&OBJECT_END) {
            self.offset += 1;
            return Ok(None);
        }
        Ok(Some(name))
    }

    /// The next property of an object or ECMA array that was entered, whole. `None` at its end.
    pub fn property(&mut self) -> Result<Option<(&'a [u8], Item<'a>)>, Error> {
        let Some(name) = self.name()? else { return Ok(None) };
        Ok(Some((name, self.whole(1)?)))
    }

    fn whole(&mut self, depth: usize) -> Result<Item<'a>, Error> {
        if depth == MAX_DEPTH {
            return Err(Error::TooDeep(self.offset));
        }
        let item = self.head()?;
        match item {
            Item::Object | Item::EcmaArray => {
                while self.name()?.is_some() {
                    self.whole(depth + 1)?;
                }
            }
            Item::StrictArray(count) => {
                for _ in 0..count {
                    self.whole(depth + 1)?;
                }
            }
            Item::Number(_)
            | Item::Boolean(_)
            | Item::Text(_)
            | Item::Null
            | Item::Undefined
            | Item::Date(_) => {}
        }
        Ok(item)
    }

    fn head(&mut self) -> Result<Item<'a>, Error> {
        let offset = self.offset;
        let [marker] = self.array()?;
        Ok(match marker {
            NUMBER => Item::Number(self.f64()?),
            BOOLEAN => Item::Boolean(self.array::<1>()? != [0]),
            STRING => Item::Text(self.short_text()?),
            OBJECT => Item::Object,
            NULL => Item::Null,
            UNDEFINED | UNSUPPORTED => Item::Undefined,
            REFERENCE => self.take(2).map(|_| Item::Undefined)?,
            ECMA_ARRAY => self.take(4).map(|_| Item::EcmaArray)?,
            STRICT_ARRAY => Item::StrictArray(self.u32()?),
            DATE => {
                let milliseconds = self.f64()?;
                self.take(2)?;
                Item::Date(milliseconds)
            }
            LONG_STRING | XML => Item::Text(self.long_text()?),
            TYPED_OBJECT => self.short_text().map(|_| Item::Object)?,
            marker => return Err(Error::Marker { marker, offset }),
        })
    }

    fn short_text(&mut self) -> Result<&'a [u8], Error> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn long_text(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u32()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    fn f64(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let cut_short = Error::CutShort(self.input.len());
        self.take(N)?.try_into().map_err(|_| cut_short)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let rest = self.input.get(self.offset..).unwrap_or_default();
        let taken = rest.get(..length).ok_or(Error::CutShort(self.input.len()))?;
        self.offset += length;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::amf0::Value;

    /// The values in `input`, each whole.
    fn read(input: &[u8]) -> Result<Vec<Value>, Error> {
        let whole = Value::decode_all(input);
        let mut reader = Reader::new(input);
        let steps = std::iter::from_fn(|| reader.value().transpose()).collect::<Result<Vec<_>, _>>();
        assert_eq!(steps.as_ref().map(Vec::len), whole.as_ref().map(Vec::len), "stepping over reads as much");
        whole
    }

    fn check(input: &[u8], expected: Result<Value, Error>) {
        assert_eq!(read(input), expected.map(|value| vec![value]), "{input:02x?}");
    }

    #[test]
    fn what_encoders_send_is_read() {
        check(b"\x02\x00\x04live", Ok("live".into()));
        check(b"\x0c\x00\x00\x00\x04live", Ok("live".into()));
        check(b"\x0f\x00\x00\x00\x04<a/>", Ok("<a/>".into()));
        check(b"\x02\x00\x02\xe4\xff", Ok("\u{fffd}\u{fffd}".into()));
        check(b"\x01\x02", Ok(Value::Boolean(true)));
        check(b"\x0d", Ok(Value::Undefined));
        check(b"\x07\x00\x01", Ok(Value::Undefined));
        check(b"\x10\x00\x01C\x00\x01a\x05\x00\x00\x09", Ok(Value::object([("a", Value::Null)])));
        let array = Value::EcmaArray(vec![("a".to_owned(), Value::Null)]);
        check(b"\x08\x00\x00\x00\x00\x00\x01a\x05\x00\x00\x09", Ok(array));
        check(b"\x03\x00\x00\x05\x00\x00\x09", Ok(Value::object([("", Value::Null)])));
    }

    #[test]
    fn where_bytes_are_wrong_is_said() {
        check(b"\x00\x00", Err(Error::CutShort(2)));
        check(b"\x02\xff\xffa", Err(Error::CutShort(4)));
        check(b"\x0c\xff\xff\xff\xff", Err(Error::CutShort(5)));
        check(b"\x03\x00\x01a", Err(Error::CutShort(4)));
    }

    #[test]
    fn movie_clips_record_sets_and_amf3_have_no_form_here() {
        for marker in [0x04, 0x0E, 0x11, 0x12, 0xFF] {
            check(&[3, 0, 1, b'a', marker], Err(Error::Marker { marker, offset: 4 }));
        }
    }

    #[test]
    fn nesting_and_counts_that_lie_end() {
        for nest in [&b"\x03\x00\x00"[..], b"\x0a\xff\xff\xff\xff", b"\x08\0\0\0\0\0\x01a", b"\x10\0\0\0\0"] {
            let nested = nest.repeat(80_000 / nest.len());
            check(&nested, Err(Error::TooDeep(nest.len() * MAX_DEPTH)));
        }
        let mut wide = vec![STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff];
        wide.resize(60_000, NULL);
        check(&wide, Err(Error::CutShort(60_000)));
    }

    #[test]
    fn properties_come_one_by_one() {
        let input = b"\x03\x00\x01a\x03\x00\x01x\x05\x00\x00\x09\x00\x01b\x01\x01\x00\x00\x09\x05";
        let mut reader = Reader::new(input);
        assert_eq!(reader.enter(), Ok(Some(Item::Object)));
        assert_eq!(reader.property(), Ok(Some((&b"a"[..], Item::Object))));
        assert_eq!(reader.property(), Ok(Some((&b"b"[..], Item::Boolean(true)))));
        assert_eq!(reader.property(), Ok(None));
        assert_eq!((reader.value(), reader.offset()), (Ok(Some(Item::Null)), input.len()));
        assert_eq!(reader.enter(), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_harmless(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..0x12], 0..300)) {
            let _ = read(&bytes);
        }
    }
}
