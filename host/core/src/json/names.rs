//! Field names to column indices: first the one that came next last time, then a hash table.
//!
//! Documents of one source list their fields in nearly the same order, so that one comparison
//! finds the column of nearly every key.

use xxhash_rust::xxh3::xxh3_64;

/// Names and where they lead.
#[derive(Debug)]
pub(crate) struct Names {
    names: Vec<Box<str>>,
    /// What came after each name the last time; the last entry is for the start of an object.
    after: Vec<u32>,
    last: usize,
    /// Open addressing; a power of two, at most half full. `u32::MAX` is free.
    table: Vec<(u64, u32)>,
}

impl Names {
    pub(crate) fn new() -> Self {
        Names {
            names: Vec::new(),
            after: vec![0],
            last: 0,
            table: vec![(0, u32::MAX); 16],
        }
    }

    /// Adds a name that is not there yet.
    pub(crate) fn push(&mut self, name: &str) -> usize {
        let index = self.names.len();
        // The entry for the start of an object stays the last one.
        let start = self.after[index];
        self.after[index] = index as u32 + 1;
        self.after.push(start);
        self.names.push(name.into());
        if self.names.len() * 2 > self.table.len() {
            self.table = vec![(0, u32::MAX); self.table.len() * 2];
            for index in 0..self.names.len() {
                self.place(index);
            }
        } else {
            self.place(index);
        }
        index
    }

    fn place(&mut self, index: usize) {
        let hash = xxh3_64(self.names[index].as_bytes());
        let mut slot = hash as usize & (self.table.len() - 1);
        while self.table[slot].1 != u32::MAX {
            slot = (slot + 1) & (self.table.len() - 1);
        }
        self.table[slot] = (hash, index as u32);
    }

    /// An object begins.
    #[inline]
    pub(crate) fn restart(&mut self) {
        self.last = self.names.len();
    }

    /// The index of a name, in the order in which an object has them.
    #[inline]
    pub(crate) fn find(&mut self, name: &str) -> Option<usize> {
        let expected = self.after[self.last] as usize;
        if self.names.get(expected).is_some_and(|next| **next == *name) {
            self.last = expected;
            return Some(expected);
        }
        let found = self.look_up(name)?;
        self.after[self.last] = found as u32;
        self.last = found;
        Some(found)
    }

    fn look_up(&self, name: &str) -> Option<usize> {
        let hash = xxh3_64(name.as_bytes());
        let mut slot = hash as usize & (self.table.len() - 1);
        loop {
            match self.table[slot] {
                (_, u32::MAX) => return None,
                (other, index) if other == hash && *self.names[index as usize] == *name => {
                    return Some(index as usize);
                }
                _ => slot = (slot + 1) & (self.table.len() - 1),
            }
        }
    }
}
