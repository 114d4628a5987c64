//! Cuts the records out of one JSON text: an array of objects, an object keyed by id, or either
//! of them at a JSON pointer. The text is never held as a whole.
//!
//! What is around the records is checked too: a text that is cut off, has something after its end
//! or names the pointed-at field twice is an error with its place. Records are complete only when
//! the text is, so that half a file is never taken for a whole one.
//!
//! *Source* – RFC 8259 (JSON), RFC 6901 (JSON pointer).

use dkhost_core::{Error, Result};

use super::cursor::{Cursor, peek, read_key, skip_value, syntax, unexpected};
use super::pointer::{enter, expect_record, find_field, find_item, pointer_text};
use crate::source::split::{Bounds, Range, Records};
use crate::source::stream::Stream;

/// The containers around the records, from the outermost to the one that holds them.
pub type Nesting = Vec<Container>;

/// A JSON container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

impl Container {
    /// The bracket that closes it.
    pub fn close(self) -> u8 {
        match self {
            Container::Array => b']',
            Container::Object => b'}',
        }
    }
}

/// Where a splitter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the first record.
    First,
    /// After a record.
    Next,
    /// After the container of the records and everything around it.
    End,
}

/// Cuts records out of the container that holds them.
#[derive(Debug)]
pub struct JsonSplitter {
    pointer: Vec<String>,
    nesting: Nesting,
    at: At,
}

impl JsonSplitter {
    /// Goes to the records at `pointer`, in a stream at its start.
    ///
    /// *Errors* – `file::no_records` when nothing is there or it is no container;
    /// `file::json_syntax`.
    pub fn open(stream: &mut Stream, pointer: &[String]) -> Result<Self> {
        let mut nesting = Nesting::new();
        if peek(stream)?.is_none() {
            return Err(Error::data(
                "file::empty",
                format!("`{}` is empty, which is not JSON", stream.label()),
            )
            .help("a JSON file without records is `[]`; was this one written completely?"));
        }
        for (depth, token) in pointer.iter().enumerate() {
            let container = enter(stream, &pointer[..depth])?;
            nesting.push(container);
            match container {
                Container::Object => find_field(stream, token, &pointer[..=depth])?,
                Container::Array => find_item(stream, token, &pointer[..=depth])?,
            }
        }
        nesting.push(enter(stream, pointer)?);
        Ok(JsonSplitter {
            pointer: pointer.to_vec(),
            nesting,
            at: At::First,
        })
    }

    /// Goes on after a record.
    pub fn resume(pointer: &[String], nesting: Nesting) -> Self {
        JsonSplitter {
            pointer: pointer.to_vec(),
            nesting,
            at: At::Next,
        }
    }

    /// The containers around the records.
    pub fn nesting(&self) -> &Nesting {
        &self.nesting
    }

    /// What holds the records: an array, or an object keyed by id.
    pub fn container(&self) -> Container {
        // `open` pushes one, and a position without any is refused.
        self.nesting.last().copied().unwrap_or(Container::Array)
    }

    /// Cuts the next batch off the stream; `None` after the last record, when everything that
    /// follows has been checked.
    pub fn next(&mut self, stream: &mut Stream, bounds: Bounds) -> Result<Option<Records>> {
        if self.at == At::End {
            return Ok(None);
        }
        let container = self.container();
        let (mut rows, mut keys) = (Vec::new(), Vec::new());
        let mut cursor = Cursor { stream, at: 0 };
        let end = loop {
            let end = cursor.at;
            let (key, row) = match self.record(&mut cursor, container) {
                Ok(Some(record)) => record,
                Ok(None) => {
                    // What follows the records is checked when they are safe.
                    if rows.is_empty() {
                        self.at = At::End;
                    }
                    break end;
                }
                // The records before go first; the next call meets the same trouble.
                Err(_) if !rows.is_empty() => break end,
                Err(error) => return Err(error),
            };
            if bounds.exclude(rows.len(), row.end as usize) {
                break end;
            }
            self.at = At::Next;
            rows.push(row);
            keys.extend(key);
            if bounds.are_reached(rows.len(), cursor.at) {
                break cursor.at;
            }
        };
        let piece = stream.cut(end);
        if self.at == At::End {
            self.finish(stream)?;
        }
        Ok((!rows.is_empty()).then_some(Records { piece, rows, keys }))
    }

    /// The next record and, in an object, its key; `None` at the end of the records.
    fn record(
        &self,
        cursor: &mut Cursor<'_>,
        container: Container,
    ) -> Result<Option<(Option<Range>, Range)>> {
        match cursor.token()? {
            Some(close) if close == container.close() => return Ok(None),
            Some(b',') if self.at == At::Next => {
                cursor.at += 1;
                cursor.token()?;
            }
            Some(_) if self.at == At::First => (),
            found => return Err(cursor.unexpected(found, "`,` or the end of the records")),
        }
        let key = match container {
            Container::Object => Some(cursor.key()?),
            Container::Array => None,
        };
        if self.at == At::First && key.is_some() {
            expect_record(cursor, key)?;
        }
        Ok(Some((key, cursor.value()?)))
    }

    /// Checks what follows the records: the rest of every container around them, then nothing.
    fn finish(&self, stream: &mut Stream) -> Result<()> {
        peek(stream)?;
        stream.skip(1);
        for (depth, container) in self.nesting.iter().enumerate().rev().skip(1) {
            finish_container(stream, *container, &self.pointer[..=depth])?;
        }
        match peek(stream)? {
            None => Ok(()),
            Some(b'{' | b'[') => Err(syntax(
                stream,
                "another value follows the end of the JSON text",
            )
            .help("one JSON value per line is JSON Lines: add `format = \"jsonl\"`")),
            Some(_) => Err(syntax(stream, "something follows the end of the JSON text")),
        }
    }
}

/// Reads the rest of a container around the records, up to and with its closing bracket.
fn finish_container(stream: &mut Stream, container: Container, path: &[String]) -> Result<()> {
    loop {
        match peek(stream)? {
            Some(close) if close == container.close() => {
                stream.skip(1);
                return Ok(());
            }
            Some(b',') => {
                stream.skip(1);
                peek(stream)?;
            }
            found => return Err(unexpected(stream, found, "`,` or a closing bracket")),
        }
        if container == Container::Object {
            let key = read_key(stream)?;
            if path.last() == Some(&key) {
                return Err(syntax(
                    stream,
                    &format!("`{}` is there twice", pointer_text(path)),
                ));
            }
        }
        skip_value(stream)?;
    }
}
