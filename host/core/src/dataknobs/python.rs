//! JSON text as Python's `json.dumps` lays it out, so that a store dkhost wrote looks like one
//! dataknobs wrote.

use crate::json::unescape;

/// How Python was asked to lay JSON out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `indent=2, ensure_ascii=False`, beginning at this depth.
    Indented(usize),
    /// The defaults: on one line, `", "` and `": "`, non-ASCII escaped.
    Ascii,
}

/// Lays out `json`, which must be JSON (Python's bare NaN included), in Python's style.
pub fn restyle(json: &str, style: Style, out: &mut Vec<u8>) {
    let bytes = json.as_bytes();
    let mut depth = match style {
        Style::Indented(depth) => depth,
        Style::Ascii => 0,
    };
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => (),
            b'{' | b'[' => {
                out.push(*byte);
                let next = at + space(&bytes[at..]);
                if let Some(close @ (b'}' | b']')) = bytes.get(next) {
                    out.push(*close);
                    at = next + 1;
                } else {
                    depth += 1;
                    new_line(style, depth, out);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(style, depth, out);
                out.push(*byte);
            }
            b',' => {
                out.push(b',');
                match style {
                    Style::Ascii => out.push(b' '),
                    Style::Indented(_) => new_line(style, depth, out),
                }
            }
            b':' => out.extend_from_slice(b": "),
            b'"' => {
                let (length, escaped) = string_length(&bytes[at..]);
                string(&json[at..at + length], escaped, style, out);
                at += length + 1;
            }
            _ => {
                let start = at - 1;
                at += bytes[at..]
                    .iter()
                    .position(|b| !is_scalar(*b))
                    .unwrap_or(bytes.len() - at);
                scalar(&bytes[start..at], out);
            }
        }
    }
}

fn space(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'))
        .unwrap_or(bytes.len())
}

fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

fn new_line(style: Style, depth: usize, out: &mut Vec<u8>) {
    if let Style::Indented(_) = style {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * depth));
    }
}

/// Python writes the exponent with its sign and two digits at least: `1.5e+300`, `1e-05`.
fn scalar(text: &[u8], out: &mut Vec<u8>) {
    let exponent = match text.first() {
        Some(b'-' | b'0'..=b'9') => memchr::memchr2(b'e', b'E', text),
        _ => None,
    };
    let Some(at) = exponent else {
        return out.extend_from_slice(text);
    };
    out.extend_from_slice(&text[..at]);
    let (sign, digits) = match text.get(at + 1) {
        Some(sign @ (b'+' | b'-')) => (*sign, &text[at + 2..]),
        _ => (b'+', &text[at + 1..]),
    };
    out.extend([b'e', sign]);
    if digits.len() < 2 {
        out.push(b'0');
    }
    out.extend_from_slice(digits);
}

/// Length of a string's text up to its closing quote, and whether it has escapes.
fn string_length(bytes: &[u8]) -> (usize, bool) {
    let (mut at, mut escaped) = (0, false);
    while let Some(next) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += next;
        if bytes[at] == b'"' {
            return (at, escaped);
        }
        escaped = true;
        at += 2;
    }
    (bytes.len(), escaped)
}

fn string(inner: &str, escaped: bool, style: Style, out: &mut Vec<u8>) {
    let as_it_is = match style {
        Style::Indented(_) => !escaped,
        Style::Ascii => !escaped && inner.bytes().all(|b| b.is_ascii() && b != 0x7f),
    };
    out.push(b'"');
    if as_it_is {
        out.extend_from_slice(inner.as_bytes());
    } else if style == Style::Ascii {
        unescape(inner, escaped).chars().for_each(|c| ascii(c, out));
    } else {
        crate::json::escape_inner(&unescape(inner, escaped), out);
    }
    out.push(b'"');
}

fn ascii(c: char, out: &mut Vec<u8>) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        ' '..='~' => out.push(c as u8),
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        }
    }
}
