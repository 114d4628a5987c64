//! The rows of one `COPY … TO STDOUT (FORMAT binary)`, taken apart but not decoded.
//!
//! The bytes of a batch stay where they are until the batch is finished, so that a record which is
//! refused can be told with what it was; beyond that there is never more than one chunk.
//!
//! *Source* – PostgreSQL, "COPY", "Binary Format".

use std::ops::Range;

use dkhost_core::{Error, Result};

use crate::session::{CopyOut, Session};

/// What is taken from the connection at a time.
const CHUNK_BYTES: usize = 256 << 10;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// The rows that come.
pub(crate) struct Stream {
    copy: CopyOut,
    doing: String,
    bytes: Vec<u8>,
    /// Up to where rows were taken.
    at: usize,
    /// The header was read.
    begun: bool,
    /// Nothing more comes.
    ended: bool,
    /// The trailer was read.
    done: bool,
}

impl Stream {
    /// Begins to read, inside the session's transaction.
    pub(crate) fn open(session: &mut Session, doing: &str, select: &str) -> Result<Self> {
        let sql = format!("COPY (\n{select}\n) TO STDOUT (FORMAT binary)");
        Ok(Stream {
            copy: session.copy_out(doing, &sql)?,
            doing: doing.to_owned(),
            bytes: Vec::new(),
            at: 0,
            begun: false,
            ended: false,
            done: false,
        })
    }

    /// The next row: where it lies in [`Stream::bytes`], count of fields first. `None` after the
    /// last.
    pub(crate) fn next(&mut self, session: &mut Session) -> Result<Option<Range<usize>>> {
        loop {
            if self.done {
                return Ok(None);
            }
            match self.split()? {
                Some(row) if row.is_empty() => self.finish(session)?,
                Some(row) => return Ok(Some(row)),
                None if self.ended => return Err(cut_off(&self.doing)),
                None => {
                    let wanted = self.bytes.len() + CHUNK_BYTES;
                    let more =
                        session.next_chunk(&self.doing, &mut self.copy, &mut self.bytes, wanted)?;
                    self.ended = !more;
                }
            }
        }
    }

    /// Hears the server out: an error may follow the last row.
    fn finish(&mut self, session: &mut Session) -> Result<()> {
        while !self.ended {
            let wanted = self.bytes.len() + CHUNK_BYTES;
            let more = session.next_chunk(&self.doing, &mut self.copy, &mut self.bytes, wanted)?;
            self.ended = !more;
        }
        self.done = true;
        Ok(())
    }

    /// Gives a row back: it will come again.
    pub(crate) fn put_back(&mut self, row: &Range<usize>) {
        self.at = row.start;
    }

    pub(crate) fn row(&self, row: &Range<usize>) -> &[u8] {
        &self.bytes[row.clone()]
    }

    /// Forgets the rows that were taken.
    pub(crate) fn forget(&mut self) {
        self.bytes.drain(..self.at);
        self.at = 0;
    }

    /// Takes one row apart from the rest; an empty one is the trailer, `None` if it is not there
    /// yet.
    fn split(&mut self) -> Result<Option<Range<usize>>> {
        if !self.begun && !self.header()? {
            return Ok(None);
        }
        let bytes = &self.bytes[self.at..];
        let Some(count) = bytes.first_chunk::<2>() else {
            return Ok(None);
        };
        let count = i16::from_be_bytes(*count);
        if count == -1 {
            return Ok(Some(self.at..self.at));
        }
        let mut end = 2;
        for _ in 0..count {
            let Some(length) = bytes.get(end..end + 4).and_then(|b| b.first_chunk::<4>()) else {
                return Ok(None);
            };
            end += 4 + i32::from_be_bytes(*length).max(0) as usize;
        }
        if end > bytes.len() {
            return Ok(None);
        }
        let row = self.at..self.at + end;
        self.at = row.end;
        Ok(Some(row))
    }

    fn header(&mut self) -> Result<bool> {
        let Some(header) = self.bytes.get(..19) else {
            return Ok(false);
        };
        if !header.starts_with(SIGNATURE) || header[11..13] != [0, 0] {
            return Err(Error::infrastructure(
                "postgres::bad_copy",
                "the server sends a copy in a form that dkhost does not know",
            ));
        }
        let extension = header[15..19]
            .first_chunk::<4>()
            .copied()
            .unwrap_or_default();
        let end = 19 + u32::from_be_bytes(extension) as usize;
        if self.bytes.len() < end {
            return Ok(false);
        }
        (self.at, self.begun) = (end, true);
        Ok(true)
    }
}

fn cut_off(doing: &str) -> Error {
    Error::new(
        dkhost_core::Class::Transient,
        "postgres::cut_off",
        format!("cannot {doing}: the copy ended before its last row"),
    )
}

/// Field `at` of a row; `None` if it is null.
pub(crate) fn field(row: &[u8], at: usize) -> Option<&[u8]> {
    let mut start = 2;
    for _ in 0..at {
        start += 4 + length(row, start).max(0) as usize;
    }
    let length = length(row, start);
    row.get(start + 4..start + 4 + usize::try_from(length).ok()?)
}

fn length(row: &[u8], at: usize) -> i32 {
    let bytes = row
        .get(at..at + 4)
        .and_then(|bytes| bytes.first_chunk::<4>());
    bytes.map_or(-1, |bytes| i32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_row_are_found_nulls_included() {
        let row = [
            &[0, 3][..],
            &[0, 0, 0, 1, 7],
            &[0xff; 4],
            &[0, 0, 0, 2, 8, 9],
        ]
        .concat();
        assert_eq!(field(&row, 0), Some(&[7][..]));
        assert_eq!(field(&row, 1), None);
        assert_eq!(field(&row, 2), Some(&[8, 9][..]));
        assert_eq!(field(&row, 3), None);
    }
}
