//! AMF0, the values of commands (Adobe, Action Message Format AMF 0, 2007).
//!
//! Decoding is bounded in depth and count, because a few bytes can nest or repeat without end: 80 KB of nested
//! objects overflow a naive decoder's stack, and a one-byte null costs 32 bytes as a [`Value`].

use bytes::{BufMut, BytesMut};

/// How deep values may nest. Encoders nest two levels (connect's `fourCcList`).
pub const MAX_DEPTH: usize = 16;
/// How many values one decoder gives, nested ones and keys' values included. A connect command has about 25.
pub const MAX_VALUES: usize = 512;

// Markers, §2.1.
const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0A;
const DATE: u8 = 0x0B;
const LONG_STRING: u8 = 0x0C;
const UNSUPPORTED: u8 = 0x0D;
const XML: u8 = 0x0F;
const TYPED_OBJECT: u8 = 0x10;

/// A value. Text that is no UTF-8 is taken with replacement characters: encoders put names in other encodings there.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// §2.2.
    Number(f64),
    /// §2.3.
    Boolean(bool),
    /// §2.4, and §2.14 when longer than 65535 bytes. Documents (§2.17) are read as text.
    String(String),
    /// §2.5, in the order sent. Typed objects (§2.18) lose their class.
    Object(Vec<(String, Value)>),
    /// §2.7.
    Null,
    /// §2.8; also what references (§2.9) and unsupported values (§2.15) are read as.
    Undefined,
    /// §2.10, in the order sent.
    EcmaArray(Vec<(String, Value)>),
    /// §2.12.
    StrictArray(Vec<Value>),
    /// §2.13, in milliseconds since 1970; the time zone is reserved and dropped.
    Date(f64),
}

/// Why bytes are no AMF0, with the offset of the byte in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input ends within a value.
    #[error("AMF0 value cut short at byte {0}")]
    CutShort(usize),
    /// No marker, or one that may not come here.
    #[error("AMF0 marker {marker:#04x} at byte {offset} is not understood")]
    Marker {
        /// The byte.
        marker: u8,
        /// Where it is.
        offset: usize,
    },
    /// More than [`MAX_DEPTH`].
    #[error("AMF0 values nest deeper than {MAX_DEPTH} at byte {0}")]
    TooDeep(usize),
    /// More than [`MAX_VALUES`].
    #[error("more than {MAX_VALUES} AMF0 values at byte {0}")]
    TooMany(usize),
}

impl Value {
    /// An object of these properties.
    pub fn object<const N: usize>(properties: [(&str, Value); N]) -> Self {
        Self::Object(properties.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// The text, if it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one. May be NaN or infinite: it is the peer's.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The first property of that name, if it is an object or an ECMA array.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) => {
                properties.iter().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            Self::Number(_)
            | Self::Boolean(_)
            | Self::String(_)
            | Self::Null
            | Self::Undefined
            | Self::StrictArray(_)
            | Self::Date(_) => None,
        }
    }

    /// Appends the value to `output`.
    pub fn encode(&self, output: &mut BytesMut) {
        match self {
            Self::Number(number) => {
                output.put_u8(NUMBER);
                output.put_f64(*number);
            }
            Self::Boolean(boolean) => output.put_slice(&[BOOLEAN, u8::from(*boolean)]),
            Self::String(text) => encode_string(text, output),
            Self::Object(properties) => {
                output.put_u8(OBJECT);
                encode_properties(properties, output);
            }
            Self::Null => output.put_u8(NULL),
            Self::Undefined => output.put_u8(UNDEFINED),
            Self::EcmaArray(properties) => {
                output.put_u8(ECMA_ARRAY);
                output.put_u32(saturate(properties.len()));
                encode_properties(properties, output);
            }
            Self::StrictArray(values) => {
                output.put_u8(STRICT_ARRAY);
                output.put_u32(saturate(values.len()));
                values.iter().for_each(|value| value.encode(output));
            }
            Self::Date(milliseconds) => {
                output.put_u8(DATE);
                output.put_f64(*milliseconds);
                output.put_i16(0);
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn encode_string(text: &str, output: &mut BytesMut) {
    if let Ok(length) = u16::try_from(text.len()) {
        output.put_u8(STRING);
        output.put_u16(length);
    } else {
        output.put_u8(LONG_STRING);
        output.put_u32(saturate(text.len()));
    }
    output.put_slice(text.as_bytes());
}

fn encode_properties(properties: &[(String, Value)], output: &mut BytesMut) {
    for (key, value) in properties {
        // A key has no long form; none of ours comes near the end of the short one.
        let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
        output.put_u16(length);
        output.put_slice(&key.as_bytes()[..usize::from(length)]);
        value.encode(output);
    }
    output.put_slice(&[0, 0, OBJECT_END]);
}

/// Reads one value after the other.
#[derive(Debug)]
pub struct Decoder<'a> {
    input: &'a [u8],
    offset: usize,
    values_left: usize,
}

impl<'a> Decoder<'a> {
    /// Over these bytes, which hold nothing but values.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, offset: 0, values_left: MAX_VALUES }
    }

    /// How many bytes are read.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The next value; `None` at the end.
    pub fn next_value(&mut self) -> Result<Option<Value>, Error> {
        if self.offset == self.input.len() {
            return Ok(None);
        }
        self.value(0).map(Some)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        let offset = self.offset;
        if depth == MAX_DEPTH {
            return Err(Error::TooDeep(offset));
        }
        self.values_left = self.values_left.checked_sub(1).ok_or(Error::TooMany(offset))?;
        Ok(match self.u8()? {
            NUMBER => Value::Number(self.f64()?),
            BOOLEAN => Value::Boolean(self.u8()? != 0),
            STRING => Value::String(self.short_string()?),
            OBJECT => Value::Object(self.properties(depth)?),
            NULL => Value::Null,
            UNDEFINED | UNSUPPORTED => Value::Undefined,
            REFERENCE => self.take(2).map(|_| Value::Undefined)?,
            ECMA_ARRAY => {
                // The count is a hint: FFmpeg counts one too few, others write 0. The end marker ends it.
                self.take(4)?;
                Value::EcmaArray(self.properties(depth)?)
            }
            STRICT_ARRAY => Value::StrictArray(self.elements(depth)?),
            DATE => {
                let milliseconds = self.f64()?;
                self.take(2)?;
                Value::Date(milliseconds)
            }
            LONG_STRING | XML => Value::String(self.long_string()?),
            TYPED_OBJECT => {
                self.short_string()?;
                Value::Object(self.properties(depth)?)
            }
            marker => return Err(Error::Marker { marker, offset }),
        })
    }

    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        loop {
            let key = self.short_string()?;
            if key.is_empty() && self.input.get(self.offset) == Some(&OBJECT_END) {
                self.offset += 1;
                return Ok(properties);
            }
            properties.push((key, self.value(depth + 1)?));
        }
    }

    /// The count is not trusted with memory: elements are pushed as they come.
    fn elements(&mut self, depth: usize) -> Result<Vec<Value>, Error> {
        let count = self.u32()?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value(depth + 1)?);
        }
        Ok(elements)
    }

    fn short_string(&mut self) -> Result<String, Error> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(usize::from(length))
    }

    fn long_string(&mut self) -> Result<String, Error> {
        let length = self.u32()?;
        self.text(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn text(&mut self, length: usize) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    fn f64(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, _) =
            self.input[self.offset..].split_first_chunk().ok_or(Error::CutShort(self.input.len()))?;
        self.offset += N;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let rest = &self.input[self.offset..];
        let taken = rest.get(..length).ok_or(Error::CutShort(self.input.len()))?;
        self.offset += length;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_all(input: &[u8]) -> Result<Vec<Value>, Error> {
        let mut decoder = Decoder::new(input);
        std::iter::from_fn(|| decoder.next_value().transpose()).collect()
    }

    fn check(input: &[u8], expected: Result<Value, Error>) {
        assert_eq!(decode_all(input), expected.map(|value| vec![value]), "{input:02x?}");
    }

    #[test]
    fn reads_what_encoders_send() {
        check(b"\x02\x00\x04live", Ok("live".into()));
        check(b"\x0c\x00\x00\x00\x04live", Ok("live".into()));
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
    fn says_where_bytes_are_wrong() {
        check(b"\x00\x00", Err(Error::CutShort(2)));
        check(b"\x02\xff\xffa", Err(Error::CutShort(4)));
        check(b"\x0c\xff\xff\xff\xff", Err(Error::CutShort(5)));
        check(b"\x03\x00\x01a\x11", Err(Error::Marker { marker: 0x11, offset: 4 }));
    }

    #[test]
    fn depth_and_count_are_bounded() {
        let nested = b"\x03\x00\x00".repeat(30_000);
        check(&nested, Err(Error::TooDeep(3 * MAX_DEPTH)));
        let arrays = b"\x0a\xff\xff\xff\xff".repeat(30_000);
        check(&arrays, Err(Error::TooDeep(5 * MAX_DEPTH)));
        check(&[NULL; MAX_VALUES + 1], Err(Error::TooMany(MAX_VALUES)));
        let mut wide = vec![STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff];
        wide.resize(5 + 60_000, NULL);
        check(&wide, Err(Error::TooMany(5 + MAX_VALUES - 1)));
    }

    #[test]
    fn a_property_is_found_by_name() {
        let object = Value::object([("app", "demo".into()), ("n", 1.0.into())]);
        assert_eq!(object.get("app").and_then(Value::as_str), Some("demo"));
        assert_eq!(object.get("n").and_then(Value::as_number), Some(1.0));
        assert_eq!(object.get("no"), None);
        assert_eq!(Value::Null.get("app"), None);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(|number| Value::Number(f64::from(number))),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,20}".prop_map(Value::String),
            Just(Value::Null),
            Just(Value::Undefined),
            any::<i32>().prop_map(|number| Value::Date(f64::from(number))),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let properties = prop::collection::vec((".{1,8}", inner.clone()), 0..5);
            prop_oneof![
                properties.clone().prop_map(Value::Object),
                properties.prop_map(Value::EcmaArray),
                prop::collection::vec(inner, 0..5).prop_map(Value::StrictArray),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(values in prop::collection::vec(any_value(), 0..5)) {
            let mut bytes = BytesMut::new();
            values.iter().for_each(|value| value.encode(&mut bytes));
            prop_assert_eq!(decode_all(&bytes), Ok(values));
        }

        #[test]
        fn any_bytes_are_harmless(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..0x12], 0..300)) {
            let _ = decode_all(&bytes);
        }
    }

    #[test]
    fn a_long_string_has_its_own_form() {
        let value = Value::String("x".repeat(70_000));
        let mut bytes = BytesMut::new();
        value.encode(&mut bytes);
        assert_eq!(bytes[0], LONG_STRING);
        check(&bytes, Ok(value));
    }
}
