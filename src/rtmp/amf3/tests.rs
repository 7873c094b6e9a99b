use proptest::prelude::*;

use super::*;
use crate::media::amf0::Value;

/// The AMF0 value that this AMF3 value becomes.
fn translate(amf3: &[u8]) -> Result<Value, Error> {
    let payload = [&[amf0::AVMPLUS], amf3].concat();
    let bytes = rewritten(&payload)?.expect("AMF3 was found");
    let mut values = Value::decode_all(&bytes).expect("what is written is AMF0");
    assert_eq!(values.len(), 1);
    Ok(values.remove(0))
}

fn check(amf3: &[u8], expected: Value) {
    assert_eq!(translate(amf3), Ok(expected), "{amf3:02x?}");
}

fn check_error(amf3: &[u8], expected: Error) {
    assert_eq!(translate(amf3), Err(expected), "{amf3:02x?}");
}

fn numbers<const N: usize>(numbers: [f64; N]) -> Value {
    Value::StrictArray(numbers.map(Value::Number).into())
}

#[test]
fn every_value_type_has_a_form_in_amf0() {
    check(b"\x00", Value::Undefined);
    check(b"\x01", Value::Null);
    check(b"\x02", Value::Boolean(false));
    check(b"\x03", Value::Boolean(true));
    check(b"\x05\x40\x3e\0\0\0\0\0\0", 30.0.into());
    check(b"\x06\x09live", "live".into());
    check(b"\x06\x01", "".into());
    check(b"\x07\x09<a/>", "<a/>".into());
    check(b"\x0b\x09<a/>", "<a/>".into());
    check(b"\x08\x01\x40\x3e\0\0\0\0\0\0", Value::Date(30.0));
    check(b"\x09\x05\x01\x04\x01\x03", Value::StrictArray(vec![1.0.into(), Value::Boolean(true)]));
    check(b"\x0c\x07abc", Value::Undefined);
    check(b"\x0d\x05\x00\0\0\0\x01\xff\xff\xff\xff", numbers([1.0, -1.0]));
    check(b"\x0e\x03\x00\xff\xff\xff\xff", numbers([4_294_967_295.0]));
    check(b"\x0f\x03\x01\x40\x3e\0\0\0\0\0\0", numbers([30.0]));
    check(b"\x10\x03\x00\x03C\x04\x07", numbers([7.0]));
    check(b"\x11\x03\x00\x06\x03k\x04\x07", Value::object([("k", 7.0.into())]));
}

#[test]
fn integers_have_29_bits_and_a_sign() {
    for (bytes, expected) in [
        (&b"\x04\x00"[..], 0.0),
        (b"\x04\x7f", 127.0),
        (b"\x04\x81\x00", 128.0),
        (b"\x04\xff\x7f", 16_383.0),
        (b"\x04\xff\xff\x7f", 2_097_151.0),
        (b"\x04\xbf\xff\xff\xff", 268_435_455.0),
        (b"\x04\xc0\x80\x80\x00", -268_435_456.0),
        (b"\x04\xff\xff\xff\xff", -1.0),
    ] {
        check(bytes, expected.into());
    }
}

#[test]
fn arrays_may_have_names_and_indexes() {
    let expected = Value::EcmaArray(vec![("a".into(), 1.0.into()), ("0".into(), 2.0.into())]);
    check(b"\x09\x03\x03a\x04\x01\x01\x04\x02", expected);
}

#[test]
fn objects_have_sealed_members_and_dynamic_ones() {
    // Inline class "C", two sealed members, dynamic.
    let bytes = b"\x0a\x2b\x03C\x03a\x03b\x04\x01\x04\x02\x03c\x04\x03\x01";
    let expected = Value::object([("a", 1.0.into()), ("b", 2.0.into()), ("c", 3.0.into())]);
    check(bytes, expected);
    check(b"\x0a\x0b\x01\x01", Value::object([]));
}

#[test]
fn texts_classes_and_values_are_referred_to() {
    // Two of one class, its member's name as a value, and the first object again.
    let bytes = b"\x09\x09\x01\x0a\x13\x03C\x03a\x04\x01\x0a\x01\x04\x02\x06\x02\x0a\x02";
    let object = |number: f64| Value::object([("a", number.into())]);
    check(bytes, Value::StrictArray(vec![object(1.0), object(2.0), "a".into(), object(1.0)]));
}

#[test]
fn references_lead_back_only_and_never_into_themselves() {
    check_error(b"\x06\x00", Error::Reference(3));
    check_error(b"\x09\x02", Error::Reference(3));
    check_error(b"\x0a\x05", Error::Reference(3));
    check_error(b"\x09\x03\x01\x09\x00", Error::Reference(6));
}

#[test]
fn what_cannot_be_read_is_named() {
    check_error(b"", Error::CutShort(1));
    check_error(b"\x12", Error::Marker { marker: 0x12, offset: 1 });
    check_error(b"\x04\xff\xff\xff", Error::CutShort(5));
    check_error(b"\x06\x21ab", Error::CutShort(5));
    check_error(b"\x0a\x07\x03C", Error::Externalizable(3));
    check_error(b"\x11\x03\x00\x04\x01\x04\x01", Error::Key(4));
}

#[test]
fn counts_depth_and_repetition_are_bounded() {
    assert!(matches!(translate(&b"\x09\x03\x01".repeat(30_000)), Err(Error::TooMuch(_))));
    check_error(b"\x09\xff\xff\xff\xff\x01", Error::TooMuch(7));
    check_error(b"\x0d\xff\xff\xff\xff\x00", Error::TooMuch(7));
    check_error(b"\x0a\xff\xff\xff\xf3\x01", Error::TooMuch(6));
    // A text of 1000 bytes, written again and again by two bytes each.
    let mut bytes = b"\x09\x2b\x01\x06\x8f\x51".to_vec();
    bytes.extend_from_slice(&[b'x'; 1000]);
    bytes.extend_from_slice(&b"\x06\x00".repeat(20));
    assert!(matches!(translate(&bytes), Err(Error::TooMuch(_))));
    // Each array holds the one before twice: 2^n of them.
    let mut bytes = b"\x09\x3d\x01\x09\x01\x01".to_vec();
    for before in 1u8..30 {
        bytes.extend_from_slice(&[9, 5, 1, 9, before << 1, 9, before << 1]);
    }
    assert!(matches!(translate(&bytes), Err(Error::TooMuch(_))));
    let many: Vec<u8> =
        (0..300u32).flat_map(|n| [6, 5, b'a' + (n % 26) as u8, b'a' + (n / 26) as u8]).collect();
    assert!(matches!(translate(&[&b"\x09\x84\x59\x01"[..], &many].concat()), Err(Error::TooMuch(_))));
}

#[test]
fn amf0_around_it_is_kept() {
    let payload =
        b"\x02\x00\x0aonMetaData\x08\0\0\0\x02\x00\x01a\x11\x04\x07\x00\x01b\x01\x01\x00\x00\x09\x11\x01";
    let bytes = rewritten(payload).expect("right values").expect("AMF3 was found");
    let metadata = Value::EcmaArray(vec![("a".into(), 7.0.into()), ("b".into(), Value::Boolean(true))]);
    assert_eq!(Value::decode_all(&bytes), Ok(vec!["onMetaData".into(), metadata, Value::Null]));
    assert_eq!(bytes[13..18], payload[13..18], "the count is as sent");
}

#[test]
fn a_byte_0x11_alone_changes_nothing() {
    assert_eq!(rewritten(b"\x02\x00\x11seventeen letters"), Ok(None));
    assert_eq!(rewritten(b"\x02\x00\x01a"), Ok(None));
}

proptest! {
    #[test]
    fn any_bytes_become_amf0_or_an_error(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..0x12, Just(1u8)], 0..300),
    ) {
        if let Ok(Some(output)) = rewritten(&[&[amf0::AVMPLUS][..], &bytes].concat()) {
            prop_assert!(output.len() <= MAX_BYTES);
            prop_assert!(Value::decode_all(&output).is_ok());
        }
    }
}
