//! The scanner: bytes to tokens, strictly by RFC 8259, each error with its byte position.
//!
//! A scalar token carries what the scan has learnt about it (a number's digits, whether a string
//! has escapes), an array or object only its extent: nested text is checked once and kept.

use super::{MAX_DEPTH, RowError, Stop};
use crate::text::Number;

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
                self.nested()?;
                Kind::Object
            }
            Some(b'[') => {
                self.nested()?;
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

    /// The string after its opening quote.
    #[inline(always)]
    fn string(&mut self) -> Result<(&'a str, bool), Stop> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let mut escaped = false;
        loop {
            self.at = skip_plain(bytes, self.at);
            match bytes.get(self.at) {
                Some(b'"') => {
                    let inner = &self.text[start..self.at];
                    self.at += 1;
                    return Ok((inner, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => {
                    return Err(self.stop(
                        "json::control_character",
                        "a bare control character in a string",
                    ));
                }
                None => return Err(self.unexpected("the end of a string")),
            }
        }
    }

    /// Checks one escape; surrogates must come in pairs.
    fn escape(&mut self) -> Result<(), Stop> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = hex4(bytes, self.at + 2)
                    .ok_or_else(|| self.stop("json::invalid_escape", "\\u without four digits"))?;
                let low = bytes.get(self.at + 6..self.at + 8) == Some(b"\\u");
                match unit {
                    0xD800..=0xDBFF
                        if low && matches!(hex4(bytes, self.at + 8), Some(0xDC00..=0xDFFF)) =>
                    {
                        self.at += 12;
                    }
                    0xD800..=0xDFFF => {
                        return Err(self.stop("json::lone_surrogate", "half a surrogate pair"));
                    }
                    _ => self.at += 6,
                }
            }
            None => {
                self.at = bytes.len();
                return Err(self.unexpected("an escape"));
            }
            Some(_) => return Err(self.stop("json::invalid_escape", "not an escape of JSON")),
        }
        Ok(())
    }

    /// Checks an array or object to its end.
    fn nested(&mut self) -> Result<(), Stop> {
        // One bit per open bracket, 1 for an object.
        let (mut open, mut depth) = (0u128, 0u32);
        loop {
            let empty = match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    depth += 1;
                    // The document around this value is the first level.
                    if depth >= MAX_DEPTH {
                        return Err(self.stop("json::too_deep", "nested too deep"));
                    }
                    open = open << 1 | u128::from(bracket == b'{');
                    self.open(bracket)?
                }
                Some(b'"') => {
                    self.at += 1;
                    self.string()?;
                    true
                }
                _ => {
                    if let Kind::NotFinite(_) = self.scalar()? {
                        return Err(self.stop(
                            "json::not_a_number",
                            "NaN or infinity inside a value; before",
                        ));
                    }
                    true
                }
            };
            if empty && !self.close(&mut open, &mut depth)? {
                return Ok(());
            }
        }
    }

    /// Goes into an array or object, past a first key: `true` if it was empty and is closed by the
    /// next byte.
    fn open(&mut self, bracket: u8) -> Result<bool, Stop> {
        self.at += 1;
        self.skip_space();
        match (bracket, self.peek()) {
            (b'{', Some(b'}')) | (b'[', Some(b']')) => Ok(true),
            (b'{', _) => self.scan_key().map(|_| self.skip_space()).map(|()| false),
            _ => Ok(false),
        }
    }

    /// After a value: `true` if another is next, past its key; `false` if the outermost bracket
    /// was closed.
    fn close(&mut self, open: &mut u128, depth: &mut u32) -> Result<bool, Stop> {
        while *depth > 0 {
            self.skip_space();
            let object = *open & 1 == 1;
            match (object, self.peek()) {
                (_, Some(b',')) => {
                    self.at += 1;
                    if object {
                        self.key()?;
                    }
                    self.skip_space();
                    return Ok(true);
                }
                (true, Some(b'}')) | (false, Some(b']')) => {
                    self.at += 1;
                    *open >>= 1;
                    *depth -= 1;
                }
                (true, _) => return Err(self.unexpected("a comma or the end of the object")),
                (false, _) => return Err(self.unexpected("a comma or the end of the list")),
            }
        }
        Ok(false)
    }
}

/// The value that `text` is, without the whitespace around it; `None` if it is not JSON.
pub(crate) fn valid(text: &str) -> Option<&str> {
    let mut scanner = Scanner::new(text);
    let token = scanner.value().ok()?;
    scanner.end().ok()?;
    Some(token.raw)
}

/// Skips to the next quote, backslash or control character: eight bytes at a time.
///
/// *Source* – S. E. Anderson, "Bit Twiddling Hacks", "determine if a word has a byte less than n".
/// The lowest flag is exact; flags above it may be false.
#[inline]
pub(crate) fn skip_plain(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let below = |word: u64, n: u8| word.wrapping_sub(ONES * u64::from(n)) & !word;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = (quote | backslash | below(word, 0x20)) & TOPS;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..=0x1F) {
            break;
        }
        at += 1;
    }
    at
}

pub(crate) fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .iter()
        .try_fold(0, |unit, b| Some(unit << 4 | (*b as char).to_digit(16)?))
}
