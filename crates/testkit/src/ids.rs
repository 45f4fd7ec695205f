use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oms_core::IdSource;
use uuid::Uuid;

/// Ids that are the same in every run: 00000000-0000-7000-8000-000000000001, ..002 and so on.
/// They are UUIDs of version 7 by form, and sort in the order they were made.
#[derive(Debug, Clone, Default)]
pub struct SeqIds {
    made: Arc<AtomicU64>,
}

impl SeqIds {
    /// Starts at 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts behind `made`: for tests in which two sources must not make the same ids.
    pub fn after(made: u64) -> Self {
        Self {
            made: Arc::new(AtomicU64::new(made)),
        }
    }

    /// The id that the source makes as its `number`th.
    pub fn nth(number: u64) -> Uuid {
        const VERSION: u64 = 0x7000;
        const VARIANT: u64 = 1 << 63;
        const REST: u64 = (1 << 62) - 1;
        Uuid::from_u64_pair(VERSION, VARIANT | (number & REST))
    }
}

impl IdSource for SeqIds {
    fn next(&self) -> Uuid {
        Self::nth(self.made.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_and_sorted() {
        let ids = SeqIds::new();
        let (first, second) = (ids.next(), ids.clone().next());
        assert_eq!(first.to_string(), "00000000-0000-7000-8000-000000000001");
        assert_eq!(second, SeqIds::nth(2));
        assert!(first < second);
        assert_eq!(first.get_version_num(), 7);
    }
}
