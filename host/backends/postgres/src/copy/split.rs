//! Cuts a COPY stream, which comes in pieces of any length, into its tuples.

use dkhost_core::{Class, Error, Result};

use super::HEADER;

/// The signature and the flags, which are the same in every stream we can read.
const FIXED: usize = 15;

/// A stream that is being cut.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// What is left of the last piece: less than a tuple.
    held: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl Splitter {
    /// At the start of a stream.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece and gives each tuple that is whole on: count of fields, then the fields.
    ///
    /// *Errors* – `postgres::bad_copy`, and what `each` says.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut joined = std::mem::take(&mut self.held);
        let bytes = match joined.is_empty() {
            true => piece,
            false => {
                joined.extend_from_slice(piece);
                &joined
            }
        };
        let mut at = 0;
        if !self.begun {
            match header(bytes)? {
                Some(length) => (at, self.begun) = (length, true),
                None => {
                    self.held = bytes.to_vec();
                    return Ok(());
                }
            }
        }
        while !self.ended {
            match tuple(&bytes[at..])? {
                Some(0) => (at, self.ended) = (at + 2, true),
                Some(length) => {
                    each(&bytes[at..at + length])?;
                    at += length;
                }
                None => break,
            }
        }
        if self.ended && at < bytes.len() {
            return Err(bad("bytes follow its end"));
        }
        self.held.extend_from_slice(&bytes[at..]);
        Ok(())
    }

    /// At the end of the stream: it must have said so itself.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.ended {
            true => Ok(()),
            false => Err(Error::new(
                Class::Transient,
                "postgres::cut_off",
                "the copy ended before its last row",
            )),
        }
    }
}

/// The length of the header; `None` if it is not all there.
fn header(bytes: &[u8]) -> Result<Option<usize>> {
    let there = bytes.len().min(FIXED);
    if bytes[..there] != HEADER[..there] {
        return Err(bad("it does not begin as one"));
    }
    let Some(extension) = bytes.get(FIXED..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Ok(None);
    };
    let length = HEADER.len() + u32::from_be_bytes(*extension) as usize;
    Ok((bytes.len() >= length).then_some(length))
}

/// The length of the tuple at the start; 0 for the trailer, `None` if it is not all there.
fn tuple(bytes: &[u8]) -> Result<Option<usize>> {
    let Some((count, _)) = bytes.split_first_chunk::<2>() else {
        return Ok(None);
    };
    let count = match i16::from_be_bytes(*count) {
        -1 => return Ok(Some(0)),
        count if count < 0 => return Err(bad("a row has less than no fields")),
        count => count,
    };
    let mut at = 2;
    for _ in 0..count {
        let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Ok(None);
        };
        at += 4 + match i32::from_be_bytes(*length) {
            -1 => 0,
            length if length < 0 => return Err(bad("a field has a length below zero")),
            length => length as usize,
        };
    }
    Ok((at <= bytes.len()).then_some(at))
}

/// The error for a stream that is none.
pub(super) fn bad(why: &str) -> Error {
    Error::infrastructure(
        "postgres::bad_copy",
        format!("the server's copy cannot be read: {why}"),
    )
    .help("is it PostgreSQL, and is there a proxy in between that changes what passes?")
}
