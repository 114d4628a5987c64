//! The scanner: bytes to tokens, strictly by RFC 8259, each error with its byte position.
//! Strings are in `string`, arrays and objects that are kept as text in `nested`.
//!
//! A scalar token carries what the scan has learnt about it (a number's digits, whether a string
//! has escapes), an array or object only its extent: nested text is checked once and kept.

mod nested;
mod string;

use super::{RowError, Stop};
use crate::text::Number;

pub(crate) use self::string::{hex4, skip_plain};

/// One value and its text.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// Its text without the whitespace around it.
    pub raw: &'a str,
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(Number<'a>),
    /// A string: the text between its quotes and whether that has escapes.
    Text(&'a str, bool),
    /// An array.
    Array,
    /// An object.
    Object,
    /// Python's bare `NaN`, `Infinity` or `-Infinity`, where the scanner was told to take it.
    NotFinite(f64),
}

impl Kind<'_> {
    /// In words, for messages: `text`, `a number`.
    pub fn what(&self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Boolean(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(..) => "text",
            Kind::Array => "a list",
            Kind::Object => "an object",
            Kind::NotFinite(_) => "NaN or infinity",
        }
    }
}

/// Walks over JSON text.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    bare_nan: bool,
}

impl<'a> Scanner<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Scanner {
            text,
            at: 0,
            bare_nan: false,
        }
    }

    /// At the start of bytes that must be UTF-8.
    pub fn of(bytes: &'a [u8]) -> Result<Self, RowError> {
        match simdutf8::basic::from_utf8(bytes) {
            Ok(text) => Ok(Scanner::new(text)),
            Err(_) => {
                let at = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), |_| 0);
                Err(RowError::new(
                    "json::not_utf8",
                    format!("not UTF-8 at byte {at}"),
                ))
            }
        }
    }

    /// Takes Python's `NaN`, `Infinity` and `-Infinity` for values.
    #[must_use]
    pub fn bare_nan(mut self, yes: bool) -> Self {
        self.bare_nan = yes;
        self
    }

    /// Bytes scanned so far.
    pub fn position(&self) -> usize {
        self.at
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Whether an object is next; goes to its brace if so.
    pub(crate) fn is_at_object(&mut self) -> bool {
        self.skip_space();
        self.peek() == Some(b'{')
    }

    /// The text that was scanned since position `start`.
    pub(crate) fn text_from(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    #[inline]
    pub(crate) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[cold]
    pub(crate) fn stop(&self, code: &'static str, what: &str) -> Stop {
        Box::new(RowError::new(code, format!("{what} at byte {}", self.at)))
    }

    #[cold]
    fn unexpected(&self, wanted: &str) -> Stop {
        match self.text[self.at..].chars().next() {
            None => self.stop(
                "json::unexpected_end",
                &format!("the text ends where {wanted} is due,"),
            ),
            Some(c) => self.stop(
                "json::unexpected_character",
                &format!("{c:?} where {wanted} is due,"),
            ),
        }
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8, wanted: &str) -> Result<(), Stop> {
        self.skip_space();
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected(wanted))
    }

    /// Goes into an object: `false` if it is empty, else the first key is next.
    #[inline]
    pub fn enter_object(&mut self) -> Result<bool, RowError> {
        self.skip_space();
        if self.peek() != Some(b'{') {
            return Err(*match self.peek() {
                Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => self.stop(
                    "json::not_an_object",
                    "a record must be an object; another value",
                ),
                _ => self.unexpected("an object"),
            });
        }
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// A key and the colon after it: the text between its quotes and whether that has escapes.
    #[inline]
    pub fn key(&mut self) -> Result<(&'a str, bool), RowError> {
        Ok(self.scan_key()?)
    }

    /// Goes past this key and its colon, if it is the one that is next. `quoted` is the key as it
    /// stands in the text, quotes included.
    #[inline]
    pub(crate) fn skip_key(&mut self, quoted: &[u8]) -> Result<bool, Stop> {
        self.skip_space();
        if !self.text.as_bytes()[self.at..].starts_with(quoted) {
            return Ok(false);
        }
        self.at += quoted.len();
        self.expect(b':', "a colon").map(|()| true)
    }

    #[inline]
    pub(crate) fn scan_key(&mut self) -> Result<(&'a str, bool), Stop> {
        self.expect(b'"', "a key")?;
        let key = self.string()?;
        self.expect(b':', "a colon")?;
        Ok(key)
    }

    /// After a member's value: `true` if another key is next, `false` after the closing brace.
    #[inline]
    pub fn next_member(&mut self) -> Result<bool, RowError> {
        Ok(self.scan_comma()?)
    }

    #[inline]
    pub(crate) fn scan_comma(&mut self) -> Result<bool, Stop> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(b'}') => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.unexpected("a comma or the end of the object")),
        }
    }

    /// Goes into an array: `false` if it is empty, else the first item is next.
    pub fn enter_array(&mut self) -> Result<bool, RowError> {
        self.expect(b'[', "a list")?;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// After an item: `true` if another is next, `false` after the closing bracket.
    pub fn next_item(&mut self) -> Result<bool, RowError> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(b']') => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(*self.unexpected("a comma or the end of the list")),
        }
    }

    /// Nothing but whitespace is left.
    pub fn end(&mut self) -> Result<(), RowError> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(*self.stop("json::trailing_characters", "more text after the value")),
        }
    }

    /// The next value, whole.
    #[inline]
    pub fn value(&mut self) -> Result<Token<'a>, RowError> {
        Ok(self.scan_value()?)
    }

    /// The text of the next value, whose inside is looked at later: it may hold bare NaN where the
    /// scanner takes it.
    pub fn outline(&mut self) -> Result<&'a str, RowError> {
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some(b'{' | b'[') => self.nested(false)?,
            _ => drop(self.scan_value()?),
        }
        Ok(self.text_from(start))
    }

    /// The first byte of the next value; 0 at the end of the text.
    #[inline(always)]
    pub(crate) fn ahead(&mut self) -> u8 {
        self.skip_space();
        self.peek().unwrap_or(0)
    }

    /// The string that is next: the text between its quotes and whether that has escapes.
    #[inline(always)]
    pub(crate) fn scan_text(&mut self) -> Result<(&'a str, bool), Stop> {
        self.at += 1;
        self.string()
    }

    /// The number that is next; nothing is scanned if it is none.
    #[inline(always)]
    pub(crate) fn scan_number(&mut self) -> Option<Number<'a>> {
        let number = Number::scan(&self.text[self.at..]).ok()?;
        self.at += number.text.len();
        Some(number)
    }

    #[inline]
    pub(crate) fn scan_value(&mut self) -> Result<Token<'a>, Stop> {
        self.skip_space();
        let start = self.at;
        let kind = match self.peek() {
            Some(b'"') => {
                self.at += 1;
                let (inner, escaped) = self.string()?;
                Kind::Text(inner, escaped)
            }
            Some(b'{') => {
                self.nested(true)?;
                Kind::Object
            }
            Some(b'[') => {
                self.nested(true)?;
                Kind::Array
            }
            _ => self.scalar()?,
        };
        Ok(Token {
            kind,
            raw: &self.text[start..self.at],
        })
    }

    /// A number or a word.
    fn scalar(&mut self) -> Result<Kind<'a>, Stop> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.word("null", Kind::Null),
            Some(b't') => self.word("true", Kind::Boolean(true)),
            Some(b'f') => self.word("false", Kind::Boolean(false)),
            Some(b'N') if self.bare_nan => self.word("NaN", Kind::NotFinite(f64::NAN)),
            Some(b'I') if self.bare_nan => self.word("Infinity", Kind::NotFinite(f64::INFINITY)),
            Some(b'N' | b'I') if self.is_not_finite() => {
                Err(self.stop("json::not_a_number", "NaN and infinity are not JSON;"))
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    fn is_not_finite(&self) -> bool {
        let rest = &self.text[self.at..];
        rest.starts_with("NaN") || rest.starts_with("Infinity") || rest.starts_with("-Infinity")
    }

    fn word(&mut self, word: &str, kind: Kind<'a>) -> Result<Kind<'a>, Stop> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<Kind<'a>, Stop> {
        match Number::scan(&self.text[self.at..]) {
            Ok(number) => {
                self.at += number.text.len();
                Ok(Kind::Number(number))
            }
            Err(_) if self.is_not_finite() && self.bare_nan => {
                self.word("-Infinity", Kind::NotFinite(f64::NEG_INFINITY))
            }
            Err(_) if self.is_not_finite() => {
                Err(self.stop("json::not_a_number", "NaN and infinity are not JSON;"))
            }
            Err(length) => {
                self.at += length;
                Err(match self.peek() {
                    None => self.unexpected("a digit"),
                    Some(_) => {
                        self.stop("json::invalid_number", "not a number as JSON writes them")
                    }
                })
            }
        }
    }
}

/// The value that `text` is, without the whitespace around it; `None` if it is not JSON.
pub(crate) fn valid(text: &str) -> Option<&str> {
    let mut scanner = Scanner::new(text);
    let token = scanner.value().ok()?;
    scanner.end().ok()?;
    Some(token.raw)
}
