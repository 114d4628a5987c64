//! Cuts the records out of one JSON text: an array of objects, an object keyed by id, or either
//! of them at a JSON pointer. The text is never held as a whole.
//!
//! What is around the records is checked too: a text that is cut off, has something after its end
//! or names the pointed-at field twice is an error with its place. Records are complete only when
//! the text is, so that half a file is never taken for a whole one.
//!
//! *Source* – RFC 8259 (JSON), RFC 6901 (JSON pointer).

use std::borrow::Cow;

use dkhost_core::{Error, Result};

use super::scan::ValueScan;
use crate::source::split::{Bounds, Range, Records, too_long};
use crate::source::stream::{RECORD_MAX_BYTES, Stream};

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
    fn close(self) -> u8 {
        match self {
            Container::Array => b']',
            Container::Object => b'}',
        }
    }
}

/// A JSON pointer: `/a/0/b` is `["a", "0", "b"]`.
///
/// *Errors* – text that does not start with `/`.
pub fn parse_pointer(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let unescaped = |token: &str| token.replace("~1", "/").replace("~0", "~");
    text.strip_prefix('/')
        .map(|rest| rest.split('/').map(unescaped).collect())
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
            match cursor.token()? {
                Some(close) if close == container.close() => {
                    // What follows the records is checked when they are safe.
                    if rows.is_empty() {
                        self.at = At::End;
                    }
                    break end;
                }
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
                cursor.expect_record(key)?;
            }
            let row = cursor.value()?;
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

fn pointer_text(path: &[String]) -> String {
    path.iter()
        .map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")))
        .collect()
}

/// Steps into the container that begins here.
fn enter(stream: &mut Stream, path: &[String]) -> Result<Container> {
    let container = match peek(stream)? {
        Some(b'[') => Container::Array,
        Some(b'{') => Container::Object,
        None => return Err(unexpected(stream, None, "the records")),
        Some(_) => {
            let what = if path.is_empty() {
                "the JSON text".to_owned()
            } else {
                format!("`{}`", pointer_text(path))
            };
            return Err(no_records(
                stream,
                format!("{what} is neither an array nor an object"),
            ));
        }
    };
    stream.skip(1);
    Ok(container)
}

fn no_records(stream: &Stream, what: String) -> Error {
    Error::data("file::no_records", format!("no records in `{}`: {what} (byte {})", stream.label(), stream.offset()))
        .help("`records` is a JSON pointer to the array or object that holds them: `records = \"/features\"`")
}

fn find_field(stream: &mut Stream, name: &str, path: &[String]) -> Result<()> {
    let mut known = Vec::new();
    let mut first = true;
    loop {
        match peek(stream)? {
            Some(b'}') => {
                let offers = if known.is_empty() {
                    "nothing".to_owned()
                } else {
                    format!("`{}`", known.join("`, `"))
                };
                let near = dkhost_core::error::nearest(name, known.iter().map(String::as_str));
                let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                return Err(no_records(
                    stream,
                    format!("there is no `{}`, only {offers}{near}", pointer_text(path)),
                ));
            }
            Some(b',') if !first => {
                stream.skip(1);
                peek(stream)?;
            }
            Some(b'"') if first => (),
            found => return Err(unexpected(stream, found, "a field name or `}`")),
        }
        first = false;
        let key = read_key(stream)?;
        if key == name {
            return Ok(());
        }
        if known.len() < 20 {
            known.push(key);
        }
        skip_value(stream)?;
    }
}

fn find_item(stream: &mut Stream, index: &str, path: &[String]) -> Result<()> {
    let Ok(wanted) = index.parse::<u64>() else {
        return Err(no_records(
            stream,
            format!(
                "`{}` is an array, and `{index}` is no index",
                pointer_text(&path[..path.len() - 1])
            ),
        ));
    };
    for item in 0.. {
        match peek(stream)? {
            Some(b']') => {
                return Err(no_records(
                    stream,
                    format!(
                        "`{}` is beyond the end, at {item} items",
                        pointer_text(path)
                    ),
                ));
            }
            Some(b',') if item > 0 => {
                stream.skip(1);
                peek(stream)?;
            }
            Some(_) if item == 0 => (),
            found => return Err(unexpected(stream, found, "`,` or `]`")),
        }
        if item == wanted {
            return Ok(());
        }
        skip_value(stream)?;
    }
    Ok(())
}

/// The next byte that is not white space; it stays in the stream.
fn peek(stream: &mut Stream) -> Result<Option<u8>> {
    loop {
        let bytes = stream.bytes();
        let blank = bytes.iter().take_while(|b| is_blank(**b)).count();
        let found = bytes.get(blank).copied();
        stream.skip(blank);
        if found.is_some() || !stream.fill()? {
            return Ok(found);
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Takes a field name and its colon off the stream.
fn read_key(stream: &mut Stream) -> Result<String> {
    let mut cursor = Cursor { stream, at: 0 };
    cursor.token()?;
    let range = cursor.key()?;
    let at = cursor.at;
    let key = unescape(range.of(stream.bytes())).map(Cow::into_owned);
    let key = key.ok_or_else(|| syntax(stream, "a field name is not JSON text"))?;
    stream.skip(at);
    Ok(key)
}

/// The text of a JSON string, quotes included.
pub fn unescape(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inner.contains(&b'\\') {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(quoted)
        .ok()
        .map(Cow::Owned)
}

/// Drops a value of any length.
fn skip_value(stream: &mut Stream) -> Result<()> {
    peek(stream)?;
    let mut scan = ValueScan::default();
    loop {
        let (end, length) = (scan.feed(stream.bytes()), stream.bytes().len());
        stream.skip(end.unwrap_or(length));
        if end.is_some() {
            return Ok(());
        }
        if !stream.fill()? {
            return Err(unexpected(stream, None, "the end of a value"));
        }
    }
}

/// Looks ahead in a stream without cutting anything off.
struct Cursor<'a> {
    stream: &'a mut Stream,
    at: usize,
}

impl Cursor<'_> {
    /// The next byte that is not white space.
    fn token(&mut self) -> Result<Option<u8>> {
        loop {
            let bytes = &self.stream.bytes()[self.at..];
            match bytes.iter().position(|b| !is_blank(*b)) {
                Some(blank) => {
                    self.at += blank;
                    return Ok(Some(self.stream.bytes()[self.at]));
                }
                None => {
                    self.at += bytes.len();
                    if !self.stream.fill()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The value that begins at the next byte that is not white space.
    fn value(&mut self) -> Result<Range> {
        if self.token()?.is_none() {
            return Err(self.unexpected(None, "a value"));
        }
        let start = self.at;
        if let Some(found @ (b',' | b']' | b'}' | b':')) = self.token()? {
            return Err(self.unexpected(Some(found), "a value"));
        }
        let mut scan = ValueScan::default();
        loop {
            let bytes = &self.stream.bytes()[self.at..];
            if let Some(end) = scan.feed(bytes) {
                self.at += end;
                return Ok(Range::new(start, self.at));
            }
            self.at += bytes.len();
            if self.at - start > RECORD_MAX_BYTES {
                return Err(too_long(self.stream, start));
            }
            if !self.stream.fill()? {
                return match scan.may_end() {
                    true => Ok(Range::new(start, self.at)),
                    false => Err(self.cut_off(start)),
                };
            }
        }
    }

    /// A field name and the colon after it; the JSON text of the name.
    fn key(&mut self) -> Result<Range> {
        let found = self.token()?;
        if found != Some(b'"') {
            return Err(self.unexpected(found, "a field name"));
        }
        let key = self.value()?;
        match self.token()? {
            Some(b':') => self.at += 1,
            found => return Err(self.unexpected(found, "`:`")),
        }
        Ok(key)
    }

    /// Refuses an object whose first field is no document: it is no object of records.
    fn expect_record(&mut self, key: Option<Range>) -> Result<()> {
        if matches!(self.token()?, Some(b'{') | None) {
            return Ok(());
        }
        let bytes = self.stream.bytes();
        let name = |key: Range| unescape(key.of(bytes)).unwrap_or_default().into_owned();
        let what = format!(
            "no records in `{}`: it is an object, and its field `{}` is not a record",
            self.stream.label(),
            key.map_or(String::new(), name),
        );
        let is_list = bytes.get(self.at) == Some(&b'[');
        let list = if is_list {
            key.map(name)
        } else {
            array_field(&bytes[self.at..])
        };
        let help = match list {
            Some(field) => format!(
                "if the records are in `{field}`, add `records = \"{}\"`",
                pointer_text(&[field.clone()])
            ),
            None => "if every line is a record, add `format = \"jsonl\"`; else say where they are with `records`"
                .to_owned(),
        };
        Err(Error::data("file::no_records", what).help(help))
    }

    fn unexpected(&self, found: Option<u8>, wanted: &str) -> Error {
        unexpected_at(self.stream, self.at, found, wanted)
    }

    fn cut_off(&self, start: usize) -> Error {
        let (place, offset) = (
            self.stream.place(start),
            self.stream.offset() + start as u64,
        );
        Error::data(
            "file::cut_off",
            format!("the record at {place} (byte {offset}) has no end"),
        )
        .help("the records before it were read; was the file written completely?")
    }
}

/// The first field that is an array, in the part of an object that follows a field's colon, as far
/// as it was read.
fn array_field(mut bytes: &[u8]) -> Option<String> {
    let skip = |bytes: &mut &[u8], skipped: fn(&u8) -> bool| {
        *bytes = &bytes[bytes.iter().take_while(|b| skipped(b)).count()..];
    };
    loop {
        let end = ValueScan::default().feed(bytes)?;
        bytes = &bytes[end..];
        skip(&mut bytes, |b| is_blank(*b) || *b == b',');
        let end = ValueScan::default().feed(bytes)?;
        let (key, rest) = bytes.split_at(end);
        bytes = rest;
        skip(&mut bytes, |b| is_blank(*b) || *b == b':');
        if bytes.first() == Some(&b'[') {
            return unescape(key).map(Cow::into_owned);
        }
    }
}

fn unexpected(stream: &Stream, found: Option<u8>, wanted: &str) -> Error {
    unexpected_at(stream, 0, found, wanted)
}

fn unexpected_at(stream: &Stream, at: usize, found: Option<u8>, wanted: &str) -> Error {
    let (place, offset) = (stream.place(at), stream.offset() + at as u64);
    let Some(found) = found else {
        return Error::data(
            "file::cut_off",
            format!(
                "`{}` ends at byte {offset}, where {wanted} should be",
                stream.label()
            ),
        )
        .help("was the file written completely?");
    };
    let found = if found.is_ascii_graphic() {
        format!("`{}`", found as char)
    } else {
        format!("byte 0x{found:02x}")
    };
    Error::data(
        "file::json_syntax",
        format!("{found} is at {place} (byte {offset}), where {wanted} should be"),
    )
    .help("this is not JSON; `format` says which format the file has")
}

fn syntax(stream: &Stream, what: &str) -> Error {
    Error::data(
        "file::json_syntax",
        format!("{what}: {} (byte {})", stream.place(0), stream.offset()),
    )
}
