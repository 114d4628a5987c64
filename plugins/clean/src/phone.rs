//! Phone numbers: `+` and digits (E.164) when the country is known, else digits alone.

use crate::rule::Outcome;

/// Digits of a number with its country code, E.164.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Countries where a number's leading 0 belongs to it.
const KEEP_ZERO: [&str; 2] = ["39", "378"];

pub(crate) fn clean(text: &str, country_code: Option<&str>, out: &mut String) -> Outcome {
    let mut bare = text.trim();
    if let Some(start) = bare.get(..4)
        && start.eq_ignore_ascii_case("tel:")
    {
        bare = bare[4..].trim_start();
    }
    if bare.is_empty() {
        return Outcome::Empty;
    }
    // A trunk zero in brackets is for callers at home: +44 (0)20 …
    let is_international = bare.starts_with('+') || bare.starts_with("00");
    let (before, behind) = match is_international {
        true => bare.split_once("(0)").unwrap_or((bare, "")),
        false => (bare, ""),
    };
    let mut digits = Digits::default();
    if !digits.take(before) || !digits.take(behind) {
        return Outcome::Invalid("there are characters in it that a number cannot have");
    }
    let mut number = digits.seen();
    let mut code = "";
    if is_international {
        // Without the 00 that stands for the +; with it, the digits are these.
        number = match before.starts_with("00") {
            true => number.get(2..).unwrap_or_default(),
            false => number,
        };
    } else if let Some(ours) = country_code {
        (code, number) = national(ours, number);
    }
    if !DIGITS.contains(&(code.len() + number.len() + digits.unseen())) {
        return Outcome::Invalid("a number has 7 to 15 digits");
    }
    if is_international || country_code.is_some() {
        out.push('+');
    }
    out.push_str(code);
    out.push_str(number);
    Outcome::Clean
}

/// More digits than a number and the 00 before it can have.
const DIGITS_KEPT: usize = 24;

/// The digits of a text, as many as matter.
#[derive(Default)]
struct Digits {
    kept: [u8; DIGITS_KEPT],
    count: usize,
}

/// What people put between digits.
const BETWEEN: &[u8] = b" -.()/";
/// Stands for any number of things, of which a few are spaces and dashes.
const OTHER: u8 = 2;

/// 0: between digits. 1: a digit.
const CLASS: [u8; 256] = {
    let mut class = [OTHER; 256];
    let mut place = 0;
    while place < BETWEEN.len() {
        class[BETWEEN[place] as usize] = 0;
        place += 1;
    }
    let mut digit = b'0';
    while digit <= b'9' {
        class[digit as usize] = 1;
        digit += 1;
    }
    class
};

impl Digits {
    /// Whether `text` holds nothing but digits and what people put between them.
    fn take(&mut self, text: &str) -> bool {
        for (place, byte) in text.bytes().enumerate() {
            let class = CLASS[usize::from(byte)];
            if class == OTHER {
                return self.take_characters(&text[place..]);
            }
            if let Some(free) = self.kept.get_mut(self.count) {
                *free = byte;
            }
            // What is no digit is written over by the next one.
            self.count += usize::from(class);
        }
        true
    }

    fn take_characters(&mut self, text: &str) -> bool {
        for c in text.chars() {
            match c {
                '0'..='9' => {
                    if let Some(free) = self.kept.get_mut(self.count) {
                        *free = c as u8;
                    }
                    self.count += 1;
                }
                '+' if self.count == 0 => {}
                '\u{a0}' | '\u{202f}' | '\u{2010}'..='\u{2013}' => {}
                c if u8::try_from(c).is_ok_and(|c| BETWEEN.contains(&c)) => {}
                _ => return false,
            }
        }
        true
    }

    fn seen(&self) -> &str {
        let kept = &self.kept[..self.count.min(DIGITS_KEPT)];
        std::str::from_utf8(kept).unwrap_or_default()
    }

    fn unseen(&self) -> usize {
        self.count.saturating_sub(DIGITS_KEPT)
    }
}

/// The country code to put before a national number, and what of the number stays.
fn national<'a>(code: &'a str, number: &'a str) -> (&'a str, &'a str) {
    // In North America eleven digits that begin with 1 have it already.
    if code == "1" && number.len() == 11 && number.starts_with('1') {
        return ("", number);
    }
    match number.strip_prefix('0') {
        Some(rest) if !KEEP_ZERO.contains(&code) => (code, rest),
        _ => (code, number),
    }
}

#[cfg(test)]
mod tests {
    use crate::rule::{Rule, try_rule};

    fn check(country_code: Option<&str>, from: &str, to: &str) {
        let rule = Rule::Phone(country_code.map(str::to_owned));
        assert_eq!(try_rule(&rule, from), Ok(Some(to.into())), "{from}");
    }

    #[test]
    fn international_numbers_need_no_country() {
        check(None, "+49 (0)30 123 456", "+4930123456");
        check(Some("1"), "0044 20 7946 0958", "+442079460958");
        check(None, "tel:+1-555-0100-123", "+15550100123");
    }

    #[test]
    fn national_numbers_get_the_country_of_the_config() {
        check(Some("1"), "(555) 010-0123", "+15550100123");
        check(Some("1"), "1 555 010 0123", "+15550100123");
        check(Some("49"), "030/123456", "+4930123456");
        check(Some("39"), "06 1234 5678", "+390612345678");
        check(None, "030/123456", "030123456");
    }

    #[test]
    fn what_is_no_number_is_told() {
        for wrong in ["call me", "555-0100 x12", "12", "+1234567890123456"] {
            assert!(try_rule(&Rule::Phone(None), wrong).is_err(), "{wrong}");
        }
    }
}
