//! Goes to the records: along a JSON pointer, into the container it leads to.
//!
//! What lies before them is skipped without being kept, however large it is. Where nothing leads
//! on, the error names what is there.
//!
//! *Source* – RFC 6901 (JSON pointer).

use std::borrow::Cow;

use dkhost_core::{Error, Result};

use super::cursor::{Cursor, is_blank, peek, read_key, skip_value, unescape, unexpected};
use super::scan::ValueScan;
use super::split::Container;
use crate::source::split::Range;
use crate::source::stream::Stream;

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

/// A path as a JSON pointer.
pub fn pointer_text(path: &[String]) -> String {
    path.iter()
        .map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")))
        .collect()
}

/// Steps into the container that begins here.
pub fn enter(stream: &mut Stream, path: &[String]) -> Result<Container> {
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
    Error::config("file::no_records", format!("no records in `{}`: {what} (byte {})", stream.label(), stream.offset()))
        .help("`records` is a JSON pointer to the array or object that holds them: `records = \"/features\"`")
}

/// Goes to the value of a field of the object that was entered.
pub fn find_field(stream: &mut Stream, name: &str, path: &[String]) -> Result<()> {
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

/// Goes to an item of the array that was entered.
pub fn find_item(stream: &mut Stream, index: &str, path: &[String]) -> Result<()> {
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

/// Refuses an object whose first field is no document: it is no object of records.
pub fn expect_record(cursor: &mut Cursor<'_>, key: Option<Range>) -> Result<()> {
    if matches!(cursor.token()?, Some(b'{') | None) {
        return Ok(());
    }
    let bytes = cursor.stream.bytes();
    let name = |key: Range| unescape(key.of(bytes)).unwrap_or_default().into_owned();
    let what = format!(
        "no records in `{}`: it is an object, and its field `{}` is not a record",
        cursor.stream.label(),
        key.map_or(String::new(), name),
    );
    let is_list = bytes.get(cursor.at) == Some(&b'[');
    let list = if is_list {
        key.map(name)
    } else {
        array_field(&bytes[cursor.at..])
    };
    let help = match list {
        Some(field) => {
            let pointer = pointer_text(std::slice::from_ref(&field));
            format!("if the records are in `{field}`, add `records = \"{pointer}\"`")
        }
        None => "if every line is a record, add `format = \"jsonl\"`; else say where they are with `records`".to_owned(),
    };
    Err(Error::config("file::no_records", what).help(help))
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
