//! JSON strings: escapes in and out.

use std::borrow::Cow;

use super::scan::{hex4, skip_plain};

/// Writes `text` as a JSON string, quotes included; non-ASCII stays as it is.
#[inline]
pub fn escape(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape_inner(text, out);
    out.push(b'"');
}

/// Writes what stands between the quotes.
#[inline]
pub(crate) fn escape_inner(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut start = 0;
    loop {
        let at = skip_plain(bytes, start);
        out.extend_from_slice(&bytes[start..at]);
        match bytes.get(at) {
            None => return,
            Some(byte) => escape_byte(*byte, out),
        }
        start = at + 1;
    }
}

#[cold]
fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0C => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.extend([HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
            return;
        }
    };
    out.extend([b'\\', short]);
}

/// What the text between a string's quotes means. The scanner has checked its escapes.
pub fn unescape<'a>(inner: &'a str, escaped: bool) -> Cow<'a, str> {
    if !escaped {
        return Cow::Borrowed(inner);
    }
    let mut bytes = Vec::with_capacity(inner.len());
    unescape_to(inner, &mut bytes);
    match String::from_utf8(bytes) {
        Ok(text) => Cow::Owned(text),
        Err(broken) => Cow::Owned(String::from_utf8_lossy(broken.as_bytes()).into_owned()),
    }
}

/// Appends what the text between a string's quotes means: UTF-8, and never longer than `inner`.
pub(crate) fn unescape_to(inner: &str, out: &mut Vec<u8>) {
    let bytes = inner.as_bytes();
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'\\', &bytes[at..]) {
        out.extend_from_slice(&bytes[at..at + next]);
        at += next;
        let (character, length) = escaped_character(&bytes[at..]);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        at += length;
    }
    out.extend_from_slice(&bytes[at..]);
}

/// The character of the escape at the start of `bytes` and the escape's length.
fn escaped_character(bytes: &[u8]) -> (char, usize) {
    let short = match bytes.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let unit = hex4(bytes, 2).unwrap_or(0xFFFD);
            let low = hex4(bytes, 8).unwrap_or(0);
            return match unit {
                0xD800..=0xDBFF => {
                    let code = 0x10000 + ((unit - 0xD800) << 10) + low.wrapping_sub(0xDC00) % 0x400;
                    (
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                        12.min(bytes.len()),
                    )
                }
                _ => (
                    char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                    6.min(bytes.len()),
                ),
            };
        }
        Some(other) => *other as char,
        None => char::REPLACEMENT_CHARACTER,
    };
    (short, 2.min(bytes.len()))
}
