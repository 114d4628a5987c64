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

/// Every spelling we know, folded and sorted.
pub(crate) struct Countries {
    known: Vec<(String, usize)>,
    format: Format,
}

impl Countries {
    pub(crate) fn new(format: Format) -> Self {
        let mut known = Vec::with_capacity(COUNTRIES.len() * 3 + ALIASES.len());
        for (place, (alpha2, alpha3, name)) in COUNTRIES.iter().enumerate() {
            known.extend([*alpha2, alpha3, name].map(|spelling| (fold(spelling), place)));
        }
        for (alias, alpha2) in ALIASES {
            if let Ok(place) = COUNTRIES.binary_search_by_key(&alpha2, |country| country.0) {
                known.push((alias.to_owned(), place));
            }
        }
        known.sort();
        Countries { known, format }
    }

    pub(crate) fn clean(&self, text: &str, out: &mut String) -> Outcome {
        let folded = fold(text);
        if folded.is_empty() {
            return Outcome::Empty;
        }
        let Ok(at) = self
            .known
            .binary_search_by(|(spelling, _)| spelling.as_str().cmp(&folded))
        else {
            return Outcome::Invalid("no country is spelled like that");
        };
        let (alpha2, alpha3, name) = COUNTRIES[self.known[at].1];
        out.push_str(match self.format {
            Format::Alpha2 => alpha2,
            Format::Alpha3 => alpha3,
            Format::Name => name,
        });
        Outcome::Clean
    }
}

/// Lower case, without accents, dots and doubled spaces; `&` becomes `and`.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.trim().chars().flat_map(char::to_lowercase) {
        match c {
            '.' | '\'' | '\u{2019}' => {}
            '&' => folded.push_str("and"),
            'à'..='å' | 'ā' => folded.push('a'),
            'ç' => folded.push('c'),
            'è'..='ë' => folded.push('e'),
            'ì'..='ï' => folded.push('i'),
            'ñ' => folded.push('n'),
            'ò'..='ö' | 'ø' => folded.push('o'),
            'ù'..='ü' => folded.push('u'),
            c if c.is_alphanumeric() => folded.push(c),
            // The dot that lower-casing İ leaves behind.
            '\u{307}' => {}
            _ if folded.ends_with(' ') => {}
            _ => folded.push(' '),
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
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
        let known = Countries::new(Format::Alpha2).known;
        for pair in known.windows(2) {
            assert!(
                pair[0].0 != pair[1].0 || pair[0].1 == pair[1].1,
                "{}",
                pair[0].0
            );
        }
        assert!(COUNTRIES.is_sorted_by_key(|country| country.0));
        for (alias, alpha2) in ALIASES {
            assert_eq!(fold(alias), alias);
            assert!(
                COUNTRIES.iter().any(|country| country.0 == alpha2),
                "{alias}"
            );
        }
    }
}
