//! Cuts records out of a stream of bytes: one piece per batch and a range per record.
//!
//! Where a batch ends depends only on where it begins and on the bytes that follow, never on how
//! much happened to be read, so that a batch read again holds the same records.

use dkhost_core::{BatchSize, Error, Result};

use super::stream::{Piece, RECORD_MAX_BYTES, Stream};

/// Bytes of a piece, from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

impl Range {
    /// From `start` to before `end`.
    pub fn new(start: usize, end: usize) -> Self {
        // A piece is bounded by the batch and one record, far below 4 GiB.
        Range {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The bytes of this range.
    pub fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

/// The records of one batch.
#[derive(Debug, Clone)]
pub struct Records {
    /// The bytes they were cut from, separators included.
    pub piece: Piece,
    /// Each record in the piece.
    pub rows: Vec<Range>,
    /// For records that are keyed by an id: the JSON text of each key.
    pub keys: Vec<Range>,
}

/// The bounds of a batch as a splitter keeps them.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    rows: usize,
    bytes: usize,
}

impl Bounds {
    /// Bounds that ranges of 32 bits can hold.
    pub fn of(size: BatchSize) -> Self {
        Bounds {
            rows: size.rows.clamp(1, 1 << 24),
            bytes: size.bytes.clamp(1, 1 << 29),
        }
    }

    /// How many rows a batch takes of `rows` that are `bytes` together.
    pub fn rows_of(self, rows: u64, bytes: u64) -> usize {
        let fit = (self.bytes as u64).saturating_mul(rows.max(1)) / bytes.max(1);
        usize::try_from(fit)
            .unwrap_or(usize::MAX)
            .clamp(1, self.rows)
    }

    /// Whether a batch may have so many rows and bytes.
    pub fn hold(self, rows: usize, bytes: usize) -> bool {
        rows <= self.rows && bytes <= self.bytes
    }

    /// Whether a batch of `rows` records that has come to byte `end` is complete.
    pub fn are_reached(self, rows: usize, end: usize) -> bool {
        rows >= self.rows || (rows > 0 && end >= self.bytes)
    }

    /// Whether a batch of `rows` records is complete without the next one, which would end at
    /// byte `end`.
    pub fn exclude(self, rows: usize, end: usize) -> bool {
        rows > 0 && end > self.bytes
    }
}

/// The error for a record that does not end.
pub fn too_long(stream: &Stream, start: usize) -> Error {
    let (place, offset) = (stream.place(start), stream.offset() + start as u64);
    Error::data(
        "file::record_too_long",
        format!("the record at {place} (byte {offset}) is longer than {} MiB", RECORD_MAX_BYTES >> 20),
    )
    .help("a quote or bracket that is never closed, or another format? `format` says which one this file has")
}

/// Blank lines before a batch are dropped when they are more than this.
pub const BLANK_HELD_BYTES: usize = 1 << 20;

/// Cuts the next batch of lines off the stream, blank ones left out; `None` at the end.
pub fn lines(stream: &mut Stream, bounds: Bounds) -> Result<Option<Records>> {
    let mut rows = Vec::new();
    // Where the current line starts, and how far it was searched for its end.
    let (mut start, mut searched) = (0, 0);
    loop {
        let bytes = stream.bytes();
        let (end, next) = match memchr::memchr(b'\n', &bytes[searched..]) {
            Some(at) => (searched + at, searched + at + 1),
            None => {
                if bytes.len() - start > RECORD_MAX_BYTES {
                    return Err(too_long(stream, start));
                }
                searched = bytes.len();
                if stream.fill()? {
                    continue;
                }
                (searched, searched)
            }
        };
        let line = Range::new(start, end);
        let line_bytes = line.of(stream.bytes());
        if line_bytes.len() > RECORD_MAX_BYTES {
            return Err(too_long(stream, start));
        }
        if let Some(record) = trimmed(line, line_bytes) {
            if bounds.exclude(rows.len(), end) {
                break;
            }
            rows.push(record);
        }
        let at_end = next == end;
        (start, searched) = (next, next);
        // Nothing but blank lines so far: they need not be held, however many they are.
        if rows.is_empty() && start >= BLANK_HELD_BYTES {
            stream.skip(start);
            (start, searched) = (0, 0);
        }
        if at_end || bounds.are_reached(rows.len(), start) {
            break;
        }
    }
    // Blank lines at the end of a batch go with it; at the end of the file they are nothing.
    let piece = stream.cut(start);
    Ok((!rows.is_empty()).then_some(Records {
        piece,
        rows,
        keys: Vec::new(),
    }))
}

/// A line without the carriage return at its end; `None` if it is blank.
fn trimmed(line: Range, bytes: &[u8]) -> Option<Range> {
    // A record begins with a brace: the check for blanks is one comparison for nearly every line.
    match bytes {
        [b'{', .., b'\r'] => Some(Range {
            end: line.end - 1,
            ..line
        }),
        [b'{', ..] => Some(line),
        _ => {
            let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r');
            let end = bytes.strip_suffix(b"\r").unwrap_or(bytes).len() as u32;
            (!bytes.iter().all(blank)).then_some(Range {
                start: line.start,
                end: line.start + end,
            })
        }
    }
}
