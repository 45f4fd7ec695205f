//! Slots of a Redis Cluster: of a key, and of a node.

use redis::{FromRedisValue, Value, from_redis_value};

use crate::address::Node;

const SLOTS: u16 = 16_384;

/// Slots that one node serves, the first and the last included.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) node: Node,
}

/// The slot of a key: of what stands in its first braces, or of all of it.
pub(crate) fn of(key: &str) -> u16 {
    let in_braces = key.split_once('{').and_then(|(_, rest)| {
        let (tag, _) = rest.split_once('}')?;
        Some(tag).filter(|tag| !tag.is_empty())
    });
    crc16(in_braces.unwrap_or(key).as_bytes()) % SLOTS
}

/// The node that serves a slot.
pub(crate) fn find(sorted: &[Range], slot: u16) -> Option<&Node> {
    let place = sorted.partition_point(|range| range.last < slot);
    let range = sorted.get(place)?;
    (range.first <= slot).then_some(&range.node)
}

/// Understands the answer of CLUSTER SLOTS, and sorts it. A node without a name is the host asked.
pub(crate) fn ranges(reply: &Value, asked: &str) -> Option<Vec<Range>> {
    let rows: Vec<Vec<Value>> = read(reply)?;
    let mut ranges = rows
        .iter()
        .map(|row| {
            let leader: Vec<Value> = read(row.get(2)?)?;
            let host: Option<String> = read(leader.first()?)?;
            let host = host.filter(|host| !host.is_empty());
            Some(Range {
                first: read(row.first()?)?,
                last: read(row.get(1)?)?,
                node: (
                    host.unwrap_or_else(|| asked.to_owned()),
                    read(leader.get(1)?)?,
                ),
            })
        })
        .collect::<Option<Vec<Range>>>()?;
    ranges.sort_unstable_by_key(|range| range.first);
    Some(ranges)
}

fn read<T: FromRedisValue>(value: &Value) -> Option<T> {
    from_redis_value(value.clone()).ok()
}

/// CRC16 as Redis has it (XMODEM).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn row(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = |host| Value::Array(vec![host, Value::Int(port), text("id")]);
        let (leader, replica) = (node(host), node(text("replica")));
        Value::Array(vec![Value::Int(first), Value::Int(last), leader, replica])
    }

    #[test]
    fn slots_are_those_of_redis() {
        // From the specification of Redis Cluster.
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(of("123456789"), 0x31C3);
        assert_eq!(of("oms:lk:{123456789}"), 0x31C3);
        assert_eq!(of("{}x"), of("{}x"));
        assert_ne!(of("{}x"), of("{}y"), "empty braces are no tag");
        assert_eq!(of("a{b}c{d}"), of("b"), "the first braces count");
    }

    #[test]
    fn a_slot_is_found_where_it_is_served() {
        let reply = Value::Array(vec![
            row(8_192, 16_383, Value::Nil, 7_001),
            row(0, 100, text("a"), 7_000),
            row(101, 4_000, text(""), 7_002),
        ]);
        let ranges = ranges(&reply, "asked").unwrap();
        let at = |slot| find(&ranges, slot).map(|(host, port)| (host.as_str(), *port));
        assert_eq!(at(0), Some(("a", 7_000)));
        assert_eq!(at(100), Some(("a", 7_000)));
        assert_eq!(at(101), Some(("asked", 7_002)));
        assert_eq!(at(4_001), None);
        assert_eq!(at(8_192), Some(("asked", 7_001)));
        assert_eq!(at(16_383), Some(("asked", 7_001)));
    }

    #[test]
    fn a_strange_answer_is_no_map() {
        assert_eq!(ranges(&text("x"), "asked"), None);
        let short = Value::Array(vec![Value::Array(vec![Value::Int(0)])]);
        assert_eq!(ranges(&short, "asked"), None);
    }
}
