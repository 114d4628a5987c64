//! Finds personal data in free text: e-mail addresses, payment cards, IBANs, phone numbers.
//!
//! One pass from left to right. Where a check digit exists it decides (Luhn for cards, modulo 97
//! for IBANs), so that an order number is not taken for a card. Phone numbers have none: only what
//! is written like one counts.

use std::ops::Range;

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// `ada@example.org`
    Email,
    /// `4111 1111 1111 1111`
    Card,
    /// `DE89 3704 0044 0532 0130 00`
    Iban,
    /// `+49 30 123456`
    Phone,
}

impl Kind {
    /// What stands in its place.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Kind::Email => "[email]",
            Kind::Card => "[card]",
            Kind::Iban => "[iban]",
            Kind::Phone => "[phone]",
        }
    }
}

/// The first find at or after `from`.
pub(crate) fn next(text: &str, from: usize) -> Option<(Kind, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        // Finds begin where a word begins, or at the @ of an address.
        let is_start = at == from || !bytes[at - 1].is_ascii_alphanumeric();
        let found = match bytes[at] {
            b'@' => email(bytes, from, at).map(|range| (Kind::Email, range)),
            b'0'..=b'9' | b'+' | b'(' if is_start => digits(bytes, at),
            b'A'..=b'Z' | b'a'..=b'z' if is_start => {
                iban(bytes, at).map(|range| (Kind::Iban, range))
            }
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        at += 1;
    }
    None
}

fn email(bytes: &[u8], from: usize, at: usize) -> Option<Range<usize>> {
    let is_local =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'%' | b'+' | b'-');
    let is_domain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let start = at
        - bytes[from..at]
            .iter()
            .rev()
            .take_while(|b| is_local(**b))
            .count();
    let mut end = at
        + 1
        + bytes[at + 1..]
            .iter()
            .take_while(|b| is_domain(**b))
            .count();
    while end > at + 1 && matches!(bytes[end - 1], b'.' | b'-') {
        end -= 1;
    }
    let domain = &bytes[at + 1..end];
    let dot = domain.iter().rposition(|b| *b == b'.')?;
    let top = &domain[dot + 1..];
    (start < at && dot > 0 && top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic))
        .then_some(start..end)
}

/// A run of digits in groups: where it ends, its digits, and how many groups there are.
fn run(bytes: &[u8], start: usize) -> (usize, Vec<u8>, Vec<usize>) {
    let (mut digits, mut groups, mut end) = (Vec::new(), vec![0], start);
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'0'..=b'9' if digits.len() < 20 => {
                digits.push(byte - b'0');
                if let Some(last) = groups.last_mut() {
                    *last += 1;
                }
                end = at + 1;
            }
            b'+' if at == start => {}
            b' ' | b'-' | b'.' | b'(' | b')' | b'/'
                if bytes
                    .get(at + 1)
                    .is_some_and(|next| next.is_ascii_digit() || matches!(next, b'(' | b' ')) =>
            {
                if groups.last() != Some(&0) {
                    groups.push(0);
                }
            }
            _ => break,
        }
        at += 1;
    }
    (end, digits, groups)
}

fn digits(bytes: &[u8], start: usize) -> Option<(Kind, Range<usize>)> {
    let (end, digits, groups) = run(bytes, start);
    if bytes.get(end).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    if bytes[start].is_ascii_digit() && (13..=19).contains(&digits.len()) && luhn(&digits) {
        return Some((Kind::Card, start..end));
    }
    let is_phone = match bytes[start] {
        b'+' => (8..=15).contains(&digits.len()),
        b'(' => (9..=12).contains(&digits.len()),
        b'0' => (9..=15).contains(&digits.len()) && groups.len() > 1,
        _ => groups == [3, 3, 4] || groups == [1, 3, 3, 4],
    };
    is_phone.then_some((Kind::Phone, start..end))
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}

/// Countries with the length of their IBANs. *Source* – SWIFT, "IBAN Registry".
const IBANS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 \
    DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 \
    IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 \
    MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SD18 SE24 SI19 \
    SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20";

/// A country, two check digits, then letters and digits up to the country's length, maybe in
/// groups of four.
fn iban(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let country = bytes.get(start..start + 2)?.to_ascii_uppercase();
    let length = IBANS
        .split(' ')
        .find(|known| known.as_bytes()[..2] == country)?;
    let length: usize = length[2..].parse().ok()?;
    let (mut all, mut at) = (Vec::with_capacity(length), start);
    while all.len() < length {
        match *bytes.get(at)? {
            byte if byte.is_ascii_alphanumeric() => all.push(byte),
            b' ' if all.len().is_multiple_of(4) => {}
            _ => return None,
        }
        at += 1;
    }
    let ends = !bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    let is_checked = all[2..4].iter().all(u8::is_ascii_digit) && mod97(&all);
    (ends && is_checked).then_some(start..at)
}

fn mod97(all: &[u8]) -> bool {
    let rearranged = all[4..].iter().chain(&all[..4]);
    let rest = rearranged.fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter.to_ascii_uppercase() - b'A') + 10) % 97,
    });
    rest == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, found: &[(Kind, &str)]) {
        let (mut at, mut all) = (0, Vec::new());
        while let Some((kind, range)) = next(text, at) {
            at = range.end;
            all.push((kind, &text[range]));
        }
        assert_eq!(all, found, "{text}");
    }

    #[test]
    fn personal_data_is_found_where_it_stands() {
        check(
            "write to ada@example.org.",
            &[(Kind::Email, "ada@example.org")],
        );
        check(
            "card 4111 1111 1111 1111, thanks",
            &[(Kind::Card, "4111 1111 1111 1111")],
        );
        check(
            "to DE89 3704 0044 0532 0130 00 today",
            &[(Kind::Iban, "DE89 3704 0044 0532 0130 00")],
        );
        check(
            "call +49 30 1234567 or (555) 010-0123",
            &[
                (Kind::Phone, "+49 30 1234567"),
                (Kind::Phone, "(555) 010-0123"),
            ],
        );
        check("é a@b.co é", &[(Kind::Email, "a@b.co")]);
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for text in [
            "order 4111111111111112",
            "on 2024-01-02 10:00",
            "3.14159265",
            "12345678",
            "a@b",
            "@home",
            "DE00 1234 5678 9012 3456 78",
        ] {
            check(text, &[]);
        }
    }
}
