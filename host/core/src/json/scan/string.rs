//! Strings: where they end, and whether their escapes are sound. What they mean is not looked at
//! here (see `strings`).

use super::Scanner;
use crate::json::Stop;

impl<'a> Scanner<'a> {
    /// The string after its opening quote.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<(&'a str, bool), Stop> {
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
