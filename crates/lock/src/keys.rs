//! What stands in Redis for one name. The braces are a hash tag: in a Cluster the keys of a name
//! are on one node, so that one script may touch them.

/// The keys of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Who holds the lease; expires.
    pub(crate) lease: String,
    /// Counts acquisitions.
    pub(crate) counter: String,
    /// Which life of the counter it is.
    pub(crate) generation: String,
    /// The last holder who was refused the lease; expires.
    pub(crate) waiter: String,
}

impl Keys {
    pub(crate) fn of(prefix: &str, name: &str) -> Self {
        let key = |kind: &str| format!("{prefix}{kind}:{{{name}}}");
        Self {
            lease: key("lk"),
            counter: key("fc"),
            generation: key("gen"),
            waiter: key("wt"),
        }
    }
}

/// Sorted and each once, so that everybody takes names in the same order.
pub(crate) fn in_order(names: &[&str]) -> Vec<String> {
    let mut sorted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_name_share_its_hash_tag() {
        let keys = Keys::of("oms:", "A-1");
        assert_eq!(keys.lease, "oms:lk:{A-1}");
        assert_eq!(keys.counter, "oms:fc:{A-1}");
        assert_eq!(keys.generation, "oms:gen:{A-1}");
        assert_eq!(keys.waiter, "oms:wt:{A-1}");
    }

    #[test]
    fn names_come_sorted_and_once() {
        assert_eq!(in_order(&["b", "a", "b"]), ["a", "b"]);
    }
}
