//! Bytes of all kinds for every request of the contract: a decoder answers or refuses, and never panics.

use proptest::collection::vec;
use proptest::prelude::*;
use prost::DecodeError;

type Decode = fn(&[u8]) -> Result<(), DecodeError>;

const DECODERS: &[(&str, Decode)] = include!(concat!(env!("OUT_DIR"), "/decoders.rs"));

/// Numbers of fields: messages have hardly more. From 16 on a key takes two bytes.
const NUMBERS: std::ops::RangeInclusive<u8> = 1..=40;

/// A field as it stands on the wire, mostly well formed and often nested, with numbers that messages have.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let scalar = (NUMBERS, any::<u64>()).prop_map(|(number, value)| {
        let mut bytes = key(number, 0);
        prost::encoding::encode_varint(value, &mut bytes);
        bytes
    });
    let fixed = (NUMBERS, any::<[u8; 8]>(), any::<bool>()).prop_map(|(number, value, is_long)| {
        let (kind, length) = if is_long { (1, 8) } else { (5, 4) };
        [key(number, kind).as_slice(), &value[..length]].concat()
    });
    let text =
        (NUMBERS, vec(any::<u8>(), 0..12)).prop_map(|(number, bytes)| delimited(number, &bytes));
    let group = (NUMBERS, any::<bool>())
        .prop_map(|(number, is_end)| key(number, if is_end { 4 } else { 3 }));
    let leaf = prop_oneof![4 => scalar, 2 => fixed, 6 => text, 1 => group];
    leaf.prop_recursive(6, 48, 6, |inner| {
        (NUMBERS, vec(inner, 1..6)).prop_map(|(number, fields)| delimited(number, &fields.concat()))
    })
}

/// What stands before a field: its number and how it is written.
fn key(number: u8, kind: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint((u64::from(number) << 3) | u64::from(kind), &mut bytes);
    bytes
}

fn delimited(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = key(number, 2);
    prost::encoding::encode_varint(payload.len() as u64, &mut bytes);
    bytes.extend(payload);
    bytes
}

fn decode_all(bytes: &[u8]) {
    for (_, decode) in DECODERS {
        // Either is right; a panic is not.
        let _ = decode(bytes);
    }
}

proptest! {
    #[test]
    fn noise(bytes in vec(any::<u8>(), 0..256)) {
        decode_all(&bytes);
    }

    #[test]
    fn messages_of_the_right_form(fields in vec(field(), 0..12)) {
        decode_all(&fields.concat());
    }

    #[test]
    fn messages_that_end_early(fields in vec(field(), 1..12), cut in any::<prop::sample::Index>()) {
        let bytes = fields.concat();
        decode_all(&bytes[..cut.index(bytes.len())]);
    }
}

#[test]
fn the_last_field_of_a_message_is_reached() {
    use prost::Message;

    let order = crate::order::v1::NewOrder {
        instructions: "ring twice".to_owned(),
        ..Default::default()
    };
    assert_eq!(order.encode_to_vec(), delimited(16, b"ring twice"));
}

#[test]
fn nesting_without_end_is_refused() {
    let mut bytes = Vec::new();
    for _ in 0..2_000 {
        bytes = delimited(1, &bytes);
    }
    decode_all(&bytes);
    // A length that no message has.
    decode_all(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    let is_there = |name: &str| DECODERS.iter().any(|(known, _)| *known == name);
    assert!(
        is_there("oms.order.v1.PlaceOrderRequest") && is_there("oms.events.v1.SubscribeRequest")
    );
}
