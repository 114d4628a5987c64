//! Which file may hold a hash: a Bloom filter that can be folded when memory is short.
//!
//! *Source* – B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors". The hashes
//! are uniform, so four parts of one are four hash functions.

/// A set that may say yes where it is no, never the other way round.
pub(super) struct Filter {
    /// A power of two of them.
    words: Vec<u64>,
}

/// Bits for each hash: less than one wrong yes in fifty.
const BITS: usize = 10;

impl Filter {
    /// An empty filter for this many hashes, in about this much memory at the most.
    pub(super) fn for_hashes(count: usize, bytes_max: usize) -> Self {
        let words = (count * BITS).div_ceil(64).min(bytes_max / 16);
        let words = words.next_power_of_two();
        Filter {
            words: vec![0; words],
        }
    }

    pub(super) fn add(&mut self, hash: u128) {
        for (word, bit) in places(hash, self.words.len()) {
            self.words[word] |= bit;
        }
    }

    pub(super) fn may_hold(&self, hash: u128) -> bool {
        places(hash, self.words.len()).all(|(word, bit)| self.words[word] & bit != 0)
    }

    /// Halves its memory: it says yes more often.
    pub(super) fn fold(&mut self) {
        let half = self.words.len() / 2;
        if half > 0 {
            let upper = self.words.split_off(half);
            let pairs = self.words.iter_mut().zip(upper);
            pairs.for_each(|(lower, upper)| *lower |= upper);
            self.words.shrink_to_fit();
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.words.capacity() * 8
    }
}

/// Where a hash has its bits: the low bits of each part choose, so that a folded filter has them
/// where the whole one had.
fn places(hash: u128, words: usize) -> impl Iterator<Item = (usize, u64)> {
    (0..4).map(move |part| {
        let part = (hash >> (32 * part)) as u32;
        let word = (part >> 6) as usize & (words - 1);
        (word, 1 << (part & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use dkhost_core::content::row_hashes;

    #[test]
    fn what_was_added_is_held_also_after_folding() {
        let hashes = hashes(2_000);
        let (added, others) = hashes.split_at(1_000);
        let mut filter = Filter::for_hashes(added.len(), usize::MAX);
        added.iter().for_each(|hash| filter.add(*hash));
        for folds in 0..3 {
            assert!(added.iter().all(|hash| filter.may_hold(*hash)));
            let wrong = others.iter().filter(|hash| filter.may_hold(**hash)).count();
            assert!(wrong < [20, 150, 600][folds], "{folds} {wrong}");
            filter.fold();
        }
    }

    fn hashes(count: i64) -> Vec<u128> {
        use arrow::array::{ArrayRef, Int64Array, RecordBatch};
        let numbers: ArrayRef = std::sync::Arc::new(Int64Array::from_iter_values(0..count));
        row_hashes(&RecordBatch::try_from_iter([("n", numbers)]).unwrap()).unwrap()
    }
}
