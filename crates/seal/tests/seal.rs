//! Master keys, data keys, and what they do not open.

#![allow(clippy::unwrap_used, reason = "helpers of a test may panic")]

use oms_seal::{MasterKeys, MasterKeysError, Plain, SealError};
use uuid::Uuid;

const OLD: &str = "2026-01:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NEW: &str = "2026-02:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

fn ring(lines: &[&str]) -> MasterKeys {
    MasterKeys::parse(&lines.join("\n")).unwrap()
}

fn plain(text: &str) -> Plain {
    Plain::new(text.as_bytes().to_vec())
}

#[test]
fn what_is_sealed_opens_under_the_same_key_at_the_same_place_only() {
    let masters = ring(&[OLD]);
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let wrapped = masters.make(one).unwrap();
    let key = masters.unwrap_key(one, &wrapped).unwrap();
    let sealed = key.seal("a/1", plain("1 Main St")).unwrap();
    assert_eq!(*key.open("a/1", &sealed).unwrap(), b"1 Main St");
    assert_ne!(sealed, key.seal("a/1", plain("1 Main St")).unwrap());
    assert!(!sealed.windows(4).any(|bytes| bytes == b"Main"));

    assert_eq!(key.open("a/2", &sealed), Err(SealError::Broken));
    let foreign = masters.unwrap_key(other, &masters.make(other).unwrap());
    assert_eq!(
        foreign.unwrap().open("a/1", &sealed),
        Err(SealError::Broken)
    );
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(key.open("a/1", &changed), Err(SealError::Broken), "{place}");
    }
    assert_eq!(key.open("a/1", &sealed[..5]), Err(SealError::Broken));
    assert_eq!(key.open("a/1", &[]), Err(SealError::Broken));
    // A wrapped key is bound to its id as well.
    let moved = masters.unwrap_key(other, &wrapped);
    assert_eq!(moved.unwrap_err(), SealError::Broken);
}

#[test]
fn a_new_master_key_takes_over_and_the_old_one_can_go() {
    let id = Uuid::from_u128(1);
    let old = ring(&[OLD]);
    let wrapped = old.make(id).unwrap();
    let sealed = old.unwrap_key(id, &wrapped).unwrap();
    let sealed = sealed.seal("a", plain("text")).unwrap();

    let both = ring(&[NEW, OLD]);
    assert_eq!(both.newest(), "2026-02");
    let rewrapped = both.rewrap(id, &wrapped).unwrap().unwrap();
    assert_eq!(rewrapped.master_key_id, "2026-02");
    assert_eq!(both.rewrap(id, &rewrapped).unwrap(), None);

    let new = ring(&[NEW]);
    let key = new.unwrap_key(id, &rewrapped).unwrap();
    assert_eq!(*key.open("a", &sealed).unwrap(), b"text");
    let gone = new.unwrap_key(id, &wrapped).unwrap_err();
    assert_eq!(gone, SealError::MasterKeyUnknown("2026-01".to_owned()));
}

#[test]
fn what_is_wrong_with_a_ring_is_told_without_its_text() {
    let error = |text: &str| MasterKeys::parse(text).unwrap_err();
    assert_eq!(error("# only a comment\n"), MasterKeysError::Empty);
    assert_eq!(error("no-colon"), MasterKeysError::Form(1));
    assert_eq!(error(&format!("{OLD} s/ash:x")), MasterKeysError::Form(2));
    assert_eq!(error("a:c2hvcnQ="), MasterKeysError::Bytes(1));
    assert_eq!(error("a:not-base64"), MasterKeysError::Bytes(1));
    assert_eq!(
        error(&format!("{OLD}\n\n{OLD}")),
        MasterKeysError::Duplicate(2)
    );
}

#[test]
fn keys_do_not_show_in_debug_output() {
    let masters = ring(&[OLD]);
    let wrapped = masters.make(Uuid::nil()).unwrap();
    let key = masters.unwrap_key(Uuid::nil(), &wrapped).unwrap();
    let shown = format!("{masters:?} {wrapped:?} {key:?}");
    assert_eq!(
        shown,
        "MasterKeys { ids: [\"2026-01\"] } WrappedKey { master_key_id: \"2026-01\", .. } \
         DataKey { id: 00000000-0000-0000-0000-000000000000, .. }"
    );
}
