//! Countries: names, codes and common spellings become one code.

use crate::countries::{ALIASES, COUNTRIES};
use crate::rule::Outcome;

/// What a country is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// `DE`
    #[default]
    Alpha2,
    /// `DEU`
    Alpha3,
    /// `Germany`
    Name,
}

/// Every spelling we know, folded, found by its hash: 810 texts of which nearly all differ in their
/// first letters would cost ten comparisons each in a sorted list.
pub(crate) struct Countries {
    /// Places in `known` plus one; 0 is free. A text lies at its hash or behind it.
    slots: Vec<u16>,
    known: Vec<(String, u8)>,
    format: Format,
}

/// A power of two with room to spare, so that a look that fails ends soon.
const SLOTS: usize = 4096;

impl Countries {
    pub(crate) fn new(format: Format) -> Self {
        let mut countries = Countries {
            slots: vec![0; SLOTS],
            known: Vec::with_capacity(COUNTRIES.len() * 3 + ALIASES.len()),
            format,
        };
        for (place, (alpha2, alpha3, name)) in COUNTRIES.iter().enumerate() {
            for spelling in [*alpha2, alpha3, name] {
                let mut folded = String::new();
                fold(spelling, &mut folded);
                countries.learn(folded, place);
            }
        }
        for (alias, alpha2) in ALIASES {
            if let Ok(place) = COUNTRIES.binary_search_by_key(&alpha2, |country| country.0) {
                countries.learn(alias.to_owned(), place);
            }
        }
        countries
    }

    /// What was learned first stays.
    fn learn(&mut self, folded: String, place: usize) {
        if let Err(slot) = self.find(&folded) {
            self.known.push((folded, place as u8));
            self.slots[slot] = self.known.len() as u16;
        }
    }

    /// The country, or the slot where it would stand.
    fn find(&self, folded: &str) -> Result<usize, usize> {
        let mut slot = hash(folded.as_bytes()) as usize % SLOTS;
        while let Some(known) = usize::from(self.slots[slot]).checked_sub(1) {
            let (spelling, place) = &self.known[known];
            if spelling == folded {
                return Ok(usize::from(*place));
            }
            slot = (slot + 1) % SLOTS;
        }
        Err(slot)
    }

    pub(crate) fn clean(&self, text: &str, out: &mut String) -> Outcome {
        // Folded where the answer will stand: it takes no memory of its own.
        let start = out.len();
        fold(text, out);
        if out.len() == start {
            return Outcome::Empty;
        }
        let Ok(place) = self.find(&out[start..]) else {
            return Outcome::Invalid("no country is spelled like that");
        };
        out.truncate(start);
        let (alpha2, alpha3, name) = COUNTRIES[place];
        out.push_str(match self.format {
            Format::Alpha2 => alpha2,
            Format::Alpha3 => alpha3,
            Format::Name => name,
        });
        Outcome::Clean
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Appends `text` in lower case, without accents, dots and doubled spaces; `&` becomes `and`.
pub(crate) fn fold(text: &str, out: &mut String) {
    let start = out.len();
    let text = text.trim();
    if is_plain(text.as_bytes()) {
        out.push_str(text);
        return out[start..].make_ascii_lowercase();
    }
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            '.' | '\'' | '\u{2019}' => {}
            '&' => out.push_str("and"),
            'à'..='å' | 'ā' => out.push('a'),
            'ç' => out.push('c'),
            'è'..='ë' => out.push('e'),
            'ì'..='ï' => out.push('i'),
            'ñ' => out.push('n'),
            'ò'..='ö' | 'ø' => out.push('o'),
            'ù'..='ü' => out.push('u'),
            c if c.is_alphanumeric() => out.push(c),
            // The dot that lower-casing İ leaves behind.
            '\u{307}' => {}
            _ if out[start..].ends_with(' ') => {}
            _ => out.push(' '),
        }
    }
    out.truncate(start + out[start..].trim_end().len());
}

/// Codes, and names of ASCII letters with one space between words.
fn is_plain(text: &[u8]) -> bool {
    let (mut odd, mut before) = (false, 0);
    for byte in text {
        odd |= !byte.is_ascii_alphanumeric() && (*byte != b' ' || before == b' ');
        before = *byte;
    }
    !odd
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Rule, try_rule};

    #[test]
    fn every_spelling_becomes_one_code() {
        let rule = Rule::Country(Countries::new(Format::Alpha2));
        for (from, to) in [
            ("Germany", "DE"),
            (" deutschland", "DE"),
            ("deu", "DE"),
            ("U.S.A.", "US"),
            ("United States of America", "US"),
            ("CÔTE D'IVOIRE", "CI"),
            ("Bosnia & Herzegovina", "BA"),
            ("Türkiye", "TR"),
        ] {
            assert_eq!(try_rule(&rule, from), Ok(Some(to.into())), "{from}");
        }
        assert!(try_rule(&rule, "Atlantis").is_err());
        let rule = Rule::Country(Countries::new(Format::Name));
        assert_eq!(try_rule(&rule, "gb"), Ok(Some("United Kingdom".into())));
    }

    #[test]
    fn no_two_countries_share_a_spelling_and_codes_are_sorted() {
        let countries = Countries::new(Format::Alpha2);
        let folded = |spelling: &str| {
            let mut folded = String::new();
            fold(spelling, &mut folded);
            folded
        };
        for (place, (alpha2, alpha3, name)) in COUNTRIES.iter().enumerate() {
            for spelling in [alpha2, alpha3, name] {
                assert_eq!(countries.find(&folded(spelling)), Ok(place), "{spelling}");
            }
        }
        assert!(COUNTRIES.is_sorted_by_key(|country| country.0));
        for (alias, alpha2) in ALIASES {
            assert_eq!(folded(alias), alias);
            let place = COUNTRIES.iter().position(|country| country.0 == alpha2);
            assert_eq!(countries.find(alias).ok(), place, "{alias}");
        }
    }
}
