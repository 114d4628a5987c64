//! Field names to column indices: first the one that came next last time, then a hash table.
//!
//! Documents of one source list their fields in nearly the same order, so that one comparison
//! finds the column of nearly every key.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use super::Stop;
use super::scan::Scanner;
use super::strings::{escape, unescape};

/// Names and where they lead.
#[derive(Debug)]
pub(crate) struct Names {
    names: Vec<Box<str>>,
    /// Each name as a key in the text, quotes included.
    quoted: Vec<Box<[u8]>>,
    /// What came after each name the last time; the last entry is for the start of an object.
    after: Vec<u32>,
    last: usize,
    /// Open addressing; a power of two, at most half full. `u32::MAX` is free.
    table: Vec<(u64, u32)>,
}

/// A key of an object.
pub(crate) enum Key<'a> {
    /// Index of its name.
    Known(usize),
    /// The name that is none of ours.
    Unknown(Cow<'a, str>),
}

impl Names {
    pub(crate) fn new() -> Self {
        Names {
            names: Vec::new(),
            quoted: Vec::new(),
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
        let mut quoted = Vec::new();
        escape(name, &mut quoted);
        self.quoted.push(quoted.into());
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

    /// The index of a name that was not the expected one.
    pub(crate) fn find(&mut self, name: &str) -> Option<usize> {
        let found = self.look_up(name)?;
        self.after[self.last] = found as u32;
        self.last = found;
        Some(found)
    }

    /// Reads a key and the colon after it: its index, or what it is.
    #[inline]
    pub(crate) fn scan<'a>(&mut self, scanner: &mut Scanner<'a>) -> Result<Key<'a>, Stop> {
        let expected = self.after[self.last] as usize;
        if let Some(quoted) = self.quoted.get(expected)
            && scanner.skip_key(quoted)?
        {
            self.last = expected;
            return Ok(Key::Known(expected));
        }
        let (raw, escaped) = scanner.scan_key()?;
        let name = unescape(raw, escaped);
        Ok(match self.find(&name) {
            Some(index) => Key::Known(index),
            None => Key::Unknown(name),
        })
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
