//! Names of people: one space between words, and capitals where a whole name was typed in one case.

use crate::rule::Outcome;

/// Words inside a name that stay small.
const PARTICLES: [&str; 18] = [
    "al", "bin", "da", "das", "de", "del", "della", "den", "der", "di", "do", "dos", "du", "la",
    "ten", "ter", "van", "von",
];
/// Endings that are not words.
const NUMERALS: [&str; 5] = ["II", "III", "IV", "VI", "VII"];

pub(crate) fn clean(text: &str, out: &mut String) -> Outcome {
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    // A name in mixed case was written by somebody who knew: `DeShawn`, `van der Berg`.
    let is_one_case = is_one_case(text);
    for (place, word) in words.enumerate() {
        if place > 0 {
            out.push(' ');
        }
        if is_one_case {
            capitalise(word, place, out)
        } else {
            out.push_str(word)
        }
    }
    if out.is_empty() {
        Outcome::Empty
    } else {
        Outcome::Clean
    }
}

fn is_one_case(text: &str) -> bool {
    let mut letters = text.chars().filter(|c| c.is_alphabetic());
    let mut rest = letters.clone();
    (letters.all(|c| !c.is_lowercase()) || rest.all(|c| !c.is_uppercase()))
        && text.chars().filter(|c| c.is_alphabetic()).count() > 1
}

fn capitalise(word: &str, place: usize, out: &mut String) {
    let lower = word.to_lowercase();
    if place > 0 && PARTICLES.contains(&lower.as_str()) {
        return out.push_str(&lower);
    }
    if place > 0
        && NUMERALS
            .iter()
            .any(|numeral| numeral.eq_ignore_ascii_case(word))
    {
        return out.push_str(&word.to_uppercase());
    }
    let start = out.len();
    let mut is_start = true;
    for c in lower.chars() {
        if is_start {
            out.extend(c.to_uppercase())
        } else {
            out.push(c)
        }
        is_start = matches!(c, '-' | '\'' | '\u{2019}' | '.');
    }
    // McDonald, but not Mccoyish short words.
    if lower.starts_with("mc") && lower.len() > 4 && lower.is_ascii() {
        let third = out[start + 2..start + 3].to_ascii_uppercase();
        out.replace_range(start + 2..start + 3, &third);
    }
}

#[cfg(test)]
mod tests {
    use crate::rule::{Rule, try_rule};

    #[test]
    fn a_name_typed_in_one_case_gets_its_capitals() {
        for (from, to) in [
            ("ADA  LOVELACE", "Ada Lovelace"),
            ("grace hopper ", "Grace Hopper"),
            ("jean-luc o'neill", "Jean-Luc O'Neill"),
            ("LUDWIG VAN BEETHOVEN", "Ludwig van Beethoven"),
            ("RONALD MCDONALD III", "Ronald McDonald III"),
            ("ÉMILIE DU CHÂTELET", "Émilie du Châtelet"),
        ] {
            assert_eq!(try_rule(&Rule::Name, from), Ok(Some(to.into())));
        }
    }

    #[test]
    fn a_name_in_mixed_case_keeps_it() {
        assert_eq!(
            try_rule(&Rule::Name, " DeShawn   van der Berg"),
            Ok(Some("DeShawn van der Berg".into()))
        );
        assert_eq!(try_rule(&Rule::Name, "\t"), Ok(None));
        assert_eq!(try_rule(&Rule::Name, "李小龍"), Ok(Some("李小龍".into())));
    }
}
