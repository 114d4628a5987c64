//! The set against a plain one, in little memory.

use std::collections::HashSet;

use super::Seen;

/// SplitMix64, twice.
fn hash(n: u64) -> u128 {
    let mix = |n: u64| {
        let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    u128::from(mix(n)) << 64 | u128::from(mix(n ^ 0x5555))
}

#[test]
fn a_set_in_little_memory_is_the_same_as_one_in_much() {
    const MEMORY: usize = 256 << 10;
    let (mut seen, mut plain) = (Seen::new(MEMORY), HashSet::new());
    let (mut most, mut runs) = (0, 0);
    for n in 0..200_000u64 {
        // Every third value was there: some just now, some long ago.
        let value = match n % 3 {
            0 => hash(n / 7 * 3),
            _ => hash(n),
        };
        assert_eq!(seen.insert(value).unwrap(), plain.insert(value), "{n}");
        most = most.max(seen.memory_bytes());
        runs = runs.max(seen.spilled.runs());
    }
    assert!(most <= MEMORY, "{most}");
    assert!(plain.len() * 16 > 4 * MEMORY, "{}", plain.len());
    assert!(runs > 8, "{runs}");
    for n in 0..1_000 {
        assert_eq!(
            seen.contains(hash(n * 300)).unwrap(),
            plain.contains(&hash(n * 300))
        );
        assert!(!seen.contains(hash(1_000_000 + n)).unwrap());
    }
}

#[test]
fn hashes_that_share_their_upper_half_are_told_apart() {
    let mut seen = Seen::new(0);
    let values: Vec<u128> = (0..10_000u128).map(|n| (n / 3_000) << 64 | n).collect();
    for value in &values {
        assert!(seen.insert(*value).unwrap());
    }
    assert!(seen.spilled.runs() > 1);
    for value in &values {
        assert!(!seen.insert(*value).unwrap(), "{value:x}");
        assert!(!seen.contains(value | 1 << 80).unwrap());
    }
}
