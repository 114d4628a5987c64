//! Which ids a target has: from one listing, so that a new record costs one request and not two.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_128;

/// Ids that are kept in mind; 16 bytes each.
const KNOWN_MAX: usize = 1_000_000;

/// Ids, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct Known {
    ids: HashSet<u128>,
    /// There are more than are kept in mind: any id may be there.
    is_full: bool,
}

impl Known {
    /// Takes note of an id that is in the target.
    pub(crate) fn add(&mut self, id: &str) {
        match self.ids.len() < KNOWN_MAX {
            true => drop(self.ids.insert(xxh3_128(id.as_bytes()))),
            false => self.is_full = true,
        }
    }

    /// Whether the target may have this id; false only if it has not.
    pub(crate) fn may_have(&self, id: &str) -> bool {
        self.is_full || self.ids.contains(&xxh3_128(id.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_missing_only_if_all_are_known() {
        let mut known = Known::default();
        known.add("a");
        assert!(known.may_have("a") && !known.may_have("b"));
        known.is_full = true;
        assert!(known.may_have("b"));
    }
}
