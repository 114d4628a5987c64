//! Makes an input that breaks something as small as a few thousand tries allow.

/// Tries before it is small enough.
const TRIES_MAX: usize = 3_000;

/// The smallest input found for which `breaks` still says yes.
pub fn shrink(input: &[u8], breaks: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut small = input.to_vec();
    let (mut piece, mut tries) = (small.len().div_ceil(2), 0);
    while piece > 0 && tries < TRIES_MAX {
        let (mut at, mut shorter) = (0, false);
        while at < small.len() && tries < TRIES_MAX {
            let end = (at + piece).min(small.len());
            let without = [&small[..at], &small[end..]].concat();
            tries += 1;
            if breaks(&without) {
                small = without;
                shorter = true;
            } else {
                at = end;
            }
        }
        if !shorter || piece > small.len() {
            piece /= 2;
        }
    }
    small
}
