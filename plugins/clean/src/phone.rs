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
    let bare = if is_international {
        bare.replacen("(0)", "", 1)
    } else {
        bare.to_owned()
    };
    for c in bare.chars() {
        match c {
            '0'..='9' => out.push(c),
            '+' if out.is_empty() => {}
            ' ' | '\u{a0}' | '\u{202f}' | '-' | '\u{2010}'..='\u{2013}' | '.' | '(' | ')' | '/' => {
            }
            _ => return Outcome::Invalid("there are characters in it that a number cannot have"),
        }
    }
    let international = if bare.starts_with('+') {
        Some(0)
    } else {
        bare.starts_with("00").then_some(2)
    };
    match (international, country_code) {
        (Some(prefix), _) => out.replace_range(..prefix.min(out.len()), "+"),
        (None, Some(code)) => make_international(code, out),
        (None, None) => {}
    }
    let digits = out.trim_start_matches('+').len();
    if DIGITS.contains(&digits) {
        Outcome::Clean
    } else {
        Outcome::Invalid("a number has 7 to 15 digits")
    }
}

/// Puts the country code before a national number.
fn make_international(code: &str, number: &mut String) {
    // In North America eleven digits that begin with 1 have it already.
    if code == "1" && number.len() == 11 && number.starts_with('1') {
        number.insert(0, '+');
        return;
    }
    if number.starts_with('0') && !KEEP_ZERO.contains(&code) {
        number.remove(0);
    }
    number.insert_str(0, code);
    number.insert(0, '+');
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
