//! Names of people: one space between words, and capitals where a whole name was typed in one case.
//!
//! Names in ASCII, most of them, are worked on as bytes; the others a character at a time.

use crate::rule::Outcome;

/// Words inside a name that stay small.
const PARTICLES: [&str; 18] = [
    "al", "bin", "da", "das", "de", "del", "della", "den", "der", "di", "do", "dos", "du", "la",
    "ten", "ter", "van", "von",
];
/// Endings that are not words.
const NUMERALS: [&str; 5] = ["II", "III", "IV", "VI", "VII"];
/// The longest of both.
const SPECIAL_MAX: usize = 5;

pub(crate) fn clean(text: &str, out: &mut String) -> Outcome {
    let looks = Looks::of(text.as_bytes());
    if looks.seen & FOREIGN != 0 {
        return by_characters(text, out);
    }
    // A name in mixed case was written by somebody who knew: `DeShawn`, `van der Berg`.
    let is_one_case = looks.is_one_case(text);
    if looks.is_tidy && !is_one_case {
        return Outcome::Same;
    }
    let start = out.len();
    let words = text
        .split(|c: char| c == ' ' || c.is_ascii_control())
        .filter(|word| !word.is_empty());
    for (place, word) in words.enumerate() {
        if place > 0 {
            out.push(' ');
        }
        let word_start = out.len();
        out.push_str(word);
        if is_one_case {
            capitalise_ascii(&mut out[word_start..], place);
        }
    }
    if out.len() == start {
        Outcome::Empty
    } else {
        Outcome::Clean
    }
}

/// A small letter.
const LOWER: u8 = 1;
/// A capital letter.
const UPPER: u8 = 2;
/// What stands between words.
const GAP: u8 = 4;
/// A gap that is no space and has to become one.
const CONTROL: u8 = 8;
/// Not ASCII.
const FOREIGN: u8 = 16;

/// What each byte means for a name.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'a'..=b'z' => LOWER,
            b'A'..=b'Z' => UPPER,
            b' ' => GAP,
            0..b' ' | 0x7f => GAP | CONTROL,
            0x80.. => FOREIGN,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// What one pass over a name's bytes tells.
struct Looks {
    seen: u8,
    /// There is one space between words and none around them.
    is_tidy: bool,
}

impl Looks {
    fn of(text: &[u8]) -> Looks {
        let (mut seen, mut doubled, mut before) = (0, 0, GAP);
        let (fours, rest) = text.as_chunks::<4>();
        for four in fours {
            let [a, b, c, d] = four.map(|byte| CLASS[usize::from(byte)]);
            seen |= a | b | c | d;
            doubled |= (before & a) | (a & b) | (b & c) | (c & d);
            before = d;
        }
        for byte in rest {
            let class = CLASS[usize::from(*byte)];
            seen |= class;
            doubled |= class & before;
            before = class;
        }
        Looks {
            seen,
            is_tidy: (doubled | before) & GAP == 0 && seen & CONTROL == 0,
        }
    }

    fn is_one_case(&self, text: &str) -> bool {
        self.seen & (LOWER | UPPER) != LOWER | UPPER
            && text
                .bytes()
                .filter(u8::is_ascii_alphabetic)
                .nth(1)
                .is_some()
    }
}

/// `word` is one of a name in one case, in ASCII; `place` counts the words before it.
fn capitalise_ascii(word: &mut str, place: usize) {
    if place > 0 && word.len() <= SPECIAL_MAX {
        if NUMERALS.iter().any(|it| it.eq_ignore_ascii_case(word)) {
            return word.make_ascii_uppercase();
        }
        if PARTICLES.iter().any(|it| it.eq_ignore_ascii_case(word)) {
            return word.make_ascii_lowercase();
        }
    }
    word.make_ascii_lowercase();
    let is_mc = word.len() > 4 && word.starts_with("mc");
    let mut is_start = true;
    for place in 0..word.len() {
        if is_start || (is_mc && place == 2) {
            word[place..=place].make_ascii_uppercase();
        }
        is_start = matches!(word.as_bytes()[place], b'-' | b'\'' | b'.');
    }
}

fn by_characters(text: &str, out: &mut String) -> Outcome {
    let start = out.len();
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
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
    if out.len() == start {
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
