//! Cuts an object that grows into parts of one size, as they are sent, and holds little twice.
//!
//! What comes in large pieces is sent out of them; only what does not fill a part yet is copied. A
//! part keeps its own bytes, and not the room in which they grew.

use bytes::Bytes;

/// Bytes of a part: the least a server takes, because two are on their way while a third fills. At
/// most 10,000 are taken, which is far more than an object of ours has.
///
/// *Source* – S3 user guide, "Multipart upload limits".
pub(crate) const PART_BYTES: usize = 5 << 20;

/// The end of an object that grows: less than two parts while it is small, so that it can be sent
/// whole, and less than one when some were cut off.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    open: Vec<u8>,
    is_cut: bool,
}

impl Pieces {
    /// Takes the bytes that follow; the parts that are full now, in order.
    pub(crate) fn push(&mut self, bytes: Vec<u8>) -> Vec<Bytes> {
        let mut bytes = Bytes::from(bytes);
        let mut full = Vec::new();
        while self.open.len() + bytes.len() >= self.limit() {
            full.push(self.part(&mut bytes));
            self.is_cut = true;
        }
        self.open.extend_from_slice(&bytes);
        full
    }

    fn limit(&self) -> usize {
        match self.is_cut {
            true => PART_BYTES,
            false => 2 * PART_BYTES,
        }
    }

    /// The first part, of what is open and of the bytes that follow.
    fn part(&mut self, bytes: &mut Bytes) -> Bytes {
        if self.open.is_empty() {
            return bytes.split_to(PART_BYTES);
        }
        let mut part = std::mem::take(&mut self.open);
        match PART_BYTES.checked_sub(part.len()) {
            Some(missing) => {
                part.reserve_exact(missing);
                part.extend_from_slice(&bytes.split_to(missing));
            }
            None => self.open = part[PART_BYTES..].to_vec(),
        }
        part.truncate(PART_BYTES);
        part.shrink_to_fit();
        part.into()
    }

    /// What does not fill a part.
    pub(crate) fn open(&self) -> &[u8] {
        &self.open
    }

    /// Takes it out, as the last part.
    pub(crate) fn last(&mut self) -> Option<Bytes> {
        (!self.open.is_empty()).then(|| std::mem::take(&mut self.open).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    const STEP: usize = MIB / 2;

    /// Bytes that tell where they stood, by the half MiB.
    fn bytes(from: usize, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for step in from / STEP..(from + length) / STEP {
            bytes.resize(bytes.len() + STEP, step as u8);
        }
        bytes
    }

    #[test]
    fn parts_are_of_one_size_and_follow_each_other_however_they_came() {
        for each in [MIB / 2, 4 * MIB, 5 * MIB, 7 * MIB, 40 * MIB] {
            let (mut pieces, mut parts, mut length) = (Pieces::default(), Vec::new(), 0);
            while length < 40 * MIB {
                parts.extend(pieces.push(bytes(length, each)));
                length += each;
            }
            assert!(parts.iter().all(|part| part.len() == PART_BYTES), "{each}");
            assert!(pieces.open().len() < PART_BYTES, "{each}");
            parts.extend(pieces.last());
            assert!(parts.concat() == bytes(0, length), "{each}");
            assert_eq!(pieces.last(), None);
        }
    }

    #[test]
    fn what_is_small_stays_whole() {
        let mut pieces = Pieces::default();
        assert!(pieces.push(bytes(0, 9 * MIB)).is_empty());
        assert_eq!(pieces.open().len(), 9 * MIB);
    }

    #[test]
    fn parts_of_a_large_piece_are_no_copies() {
        let large = bytes(0, 12 * MIB);
        let place = large.as_ptr();
        let parts = Pieces::default().push(large);
        let places: Vec<_> = parts.iter().map(|part| part.as_ptr()).collect();
        assert_eq!(places, [place, place.wrapping_add(PART_BYTES)]);
    }

    #[test]
    fn a_part_of_many_small_pieces_keeps_no_room_it_does_not_need() {
        let mut pieces = Pieces::default();
        let mut parts = Vec::new();
        for at in 0..11 {
            parts.extend(pieces.push(bytes(at * MIB, MIB)));
        }
        assert_eq!(parts.len(), 2);
        for part in parts {
            let part = part.try_into_mut().unwrap();
            assert_eq!(part.capacity(), PART_BYTES);
        }
    }
}
