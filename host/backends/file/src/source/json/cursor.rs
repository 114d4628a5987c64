//! Looks at a JSON text from byte to byte, asking for more where it ends.

use std::borrow::Cow;

use dkhost_core::{Error, Result};

use super::scan::ValueScan;
use crate::source::split::{Range, too_long};
use crate::source::stream::{RECORD_MAX_BYTES, Stream};

/// The next byte that is not white space; it stays in the stream.
pub fn peek(stream: &mut Stream) -> Result<Option<u8>> {
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

/// White space of JSON.
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Takes a field name and its colon off the stream.
pub fn read_key(stream: &mut Stream) -> Result<String> {
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
pub fn skip_value(stream: &mut Stream) -> Result<()> {
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
pub struct Cursor<'a> {
    /// What is looked at.
    pub stream: &'a mut Stream,
    /// Bytes from its start.
    pub at: usize,
}

impl Cursor<'_> {
    /// The next byte that is not white space.
    ///
    /// *Errors* – `file::json_syntax` for more white space than a record may be long: it is held.
    pub fn token(&mut self) -> Result<Option<u8>> {
        let start = self.at;
        loop {
            if self.at - start > RECORD_MAX_BYTES {
                let (mib, place) = (RECORD_MAX_BYTES >> 20, self.stream.place(start));
                let what = format!("more than {mib} MiB of white space follow {place}");
                return Err(Error::data("file::json_syntax", what)
                    .help("was the file written completely? write it again without them"));
            }
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
    pub fn value(&mut self) -> Result<Range> {
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
    pub fn key(&mut self) -> Result<Range> {
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

    /// The error for what stands here.
    pub fn unexpected(&self, found: Option<u8>, wanted: &str) -> Error {
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
        .help("was the file written completely? a quote or bracket may be open since that place")
    }
}

/// The error for what stands at the start of the stream.
pub fn unexpected(stream: &Stream, found: Option<u8>, wanted: &str) -> Error {
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
    .help("correct the file at that place; if it is not JSON, `format` says which format it has")
}

/// The error for a text that is no JSON, at the start of the stream.
pub fn syntax(stream: &Stream, what: &str) -> Error {
    Error::data(
        "file::json_syntax",
        format!("{what}: {} (byte {})", stream.place(0), stream.offset()),
    )
}
