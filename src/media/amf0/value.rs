//! Values that we send, built as a tree.

use bytes::{BufMut, BytesMut};

use super::{
    BOOLEAN, DATE, ECMA_ARRAY, LONG_STRING, NULL, NUMBER, OBJECT, OBJECT_END, STRICT_ARRAY, STRING, UNDEFINED,
};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// §2.2.
    Number(f64),
    /// §2.3.
    Boolean(bool),
    /// §2.4, and §2.14 when longer than 65535 bytes.
    String(String),
    /// §2.5, in the order sent.
    Object(Vec<(String, Value)>),
    /// §2.7.
    Null,
    /// §2.8.
    Undefined,
    /// §2.10, in the order sent.
    EcmaArray(Vec<(String, Value)>),
    /// §2.12.
    StrictArray(Vec<Value>),
    /// §2.13, in milliseconds since 1970; the time zone is reserved and sent as 0.
    Date(f64),
}

impl Value {
    /// An object of these properties.
    pub fn object<const N: usize>(properties: [(&str, Value); N]) -> Self {
        Self::Object(properties.map(|(key, value)| (key.to_owned(), value)).into())
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

/// The other way, for tests: what a client was told.
#[cfg(test)]
mod decoded {
    use super::super::{Error, Item, MAX_DEPTH, Reader};
    use super::Value;

    impl Value {
        /// All values in `input`.
        pub fn decode_all(input: &[u8]) -> Result<Vec<Self>, Error> {
            let mut reader = Reader::new(input);
            let mut values = Vec::new();
            while reader.offset() < input.len() {
                values.push(decode(&mut reader, 0)?);
            }
            Ok(values)
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
    }

    fn decode(reader: &mut Reader<'_>, depth: usize) -> Result<Value, Error> {
        if depth == MAX_DEPTH {
            return Err(Error::TooDeep(reader.offset()));
        }
        let end = Error::CutShort(reader.offset());
        Ok(match reader.enter()?.ok_or(end)? {
            Item::Number(number) => Value::Number(number),
            Item::Boolean(boolean) => Value::Boolean(boolean),
            Item::Text(text) => Value::String(String::from_utf8_lossy(text).into_owned()),
            Item::Null => Value::Null,
            Item::Undefined => Value::Undefined,
            Item::Date(milliseconds) => Value::Date(milliseconds),
            Item::Object => Value::Object(properties(reader, depth)?),
            Item::EcmaArray => Value::EcmaArray(properties(reader, depth)?),
            Item::StrictArray(count) => {
                Value::StrictArray((0..count).map(|_| decode(reader, depth + 1)).collect::<Result<_, _>>()?)
            }
        })
    }

    fn properties(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        while let Some(name) = reader.name()? {
            let name = String::from_utf8_lossy(name).into_owned();
            properties.push((name, decode(reader, depth + 1)?));
        }
        Ok(properties)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            prop_assert_eq!(Value::decode_all(&bytes), Ok(values));
        }

    }

    #[test]
    fn a_long_string_has_its_own_form() {
        let value = Value::String("x".repeat(70_000));
        let mut bytes = BytesMut::new();
        value.encode(&mut bytes);
        assert_eq!(bytes[0], LONG_STRING);
        assert_eq!(Value::decode_all(&bytes), Ok(vec![value]));
    }
}
