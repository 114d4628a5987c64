//! E-mail addresses: without what people paste around them, in lower case, with one @ and a domain.
//!
//! Nearly every address is one already, but for capitals: those are told in one pass over their
//! bytes. Whatever is unusual about the others is left to the careful way.

use crate::rule::Outcome;

/// The whole address, RFC 5321.
const ADDRESS_MAX: usize = 254;
/// The part before the @.
const LOCAL_MAX: usize = 64;
/// One part of a domain between dots.
const LABEL_MAX: usize = 63;

pub(crate) fn clean(text: &str, out: &mut String) -> Outcome {
    let bare = text.trim_ascii();
    if let Some(has_capitals) = plain(bare.as_bytes()) {
        if !has_capitals && bare.len() == text.len() {
            return Outcome::Same;
        }
        let start = out.len();
        out.push_str(bare);
        out[start..].make_ascii_lowercase();
        return Outcome::Clean;
    }
    carefully(text, out)
}

/// A dot or an @. The lowest bit, so that places can be told by shifting it.
const SEPARATOR: u8 = 1;
/// A capital letter.
const CAPITAL: u8 = 2;
/// May stand before the @ only.
const LOCAL: u8 = 4;
/// A hyphen, which may not begin or end a label.
const HYPHEN: u8 = 8;
/// Needs a closer look wherever it stands; a colon, because `mailto:` ends with one.
const ODD: u8 = 16;

/// What each byte means for an address.
const CLASS: [u8; 256] = {
    let mut class = [ODD; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' => 0,
            b'-' => HYPHEN,
            b'A'..=b'Z' => CAPITAL,
            b'.' | b'@' => SEPARATOR,
            b'(' | b')' | b'<' | b'>' | b',' | b';' | b':' | b'"' => ODD,
            b'!'..=b'~' => LOCAL,
            _ => ODD,
        };
        byte += 1;
    }
    class
};

/// What one pass over an address tells: a bit for each of its at most 64 bytes.
fn look(text: &[u8]) -> (u8, u64) {
    let (mut seen, mut separators) = (0, 0);
    let (fours, rest) = text.as_chunks::<4>();
    for (place, four) in fours.iter().enumerate() {
        let [a, b, c, d] = four.map(|byte| CLASS[usize::from(byte)]);
        seen |= a | b | c | d;
        let here = (a & 1) | (b & 1) << 1 | (c & 1) << 2 | (d & 1) << 3;
        separators |= u64::from(here) << (4 * place);
    }
    for (place, byte) in rest.iter().enumerate() {
        let class = CLASS[usize::from(*byte)];
        seen |= class;
        separators |= u64::from(class & 1) << (4 * fours.len() + place);
    }
    (seen, separators)
}

/// Whether an address that is right as it stands has capitals; `None` when it is not surely one.
/// No more than 64 bytes: then neither the local part nor a label can be too long.
fn plain(text: &[u8]) -> Option<bool> {
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    let (seen, separators) = look(text);
    // One at the start, at the end or behind another leaves a part empty.
    let empty = separators & (separators << 1 | 1 | 1 << (text.len() - 1));
    if seen & ODD != 0 || empty != 0 {
        return None;
    }
    let (mut at, mut left) = (None, separators);
    while left != 0 {
        let place = left.trailing_zeros() as usize;
        left &= left - 1;
        if text[place] == b'@' && at.replace(place).is_some() {
            return None;
        }
    }
    let domain = &text[at? + 1..];
    let has_dot = separators >> (at? + 1) != 0;
    let is_simple = seen & (LOCAL | HYPHEN) == 0
        || domain
            .iter()
            .all(|byte| CLASS[usize::from(*byte)] & (LOCAL | HYPHEN) == 0);
    (has_dot && is_simple).then_some(seen & CAPITAL != 0)
}

fn carefully(text: &str, out: &mut String) -> Outcome {
    let start = out.len();
    let mut bare = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
    if let Some(start) = bare.get(..7)
        && start.eq_ignore_ascii_case("mailto:")
    {
        bare = &bare[7..];
    }
    // `Ada Lovelace <ada@example.org>` means what stands between the angles.
    if bare.ends_with('>')
        && let Some(at) = bare.rfind('<')
    {
        bare = bare[at + 1..bare.len() - 1].trim();
    }
    let bare = bare.trim_end_matches([',', ';', '.']);
    if bare.is_empty() {
        return Outcome::Empty;
    }
    let kept = bare.chars().filter(|c| !is_invisible(*c));
    if bare.is_ascii() {
        kept.for_each(|c| out.push(c.to_ascii_lowercase()));
    } else {
        kept.for_each(|c| out.extend(c.to_lowercase()));
    }
    match check(&out[start..]) {
        Ok(()) => Outcome::Clean,
        Err(why) => Outcome::Invalid(why),
    }
}

/// Zero-width characters that copying from web pages leaves behind, and soft hyphens.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}'
    )
}

fn check(address: &str) -> Result<(), &'static str> {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Err("there is no @ in it");
    };
    if address.len() > ADDRESS_MAX {
        return Err("it is longer than 254 bytes");
    }
    if local.is_empty() || local.len() > LOCAL_MAX {
        return Err("there is nothing, or too much, before the @");
    }
    if local.contains('@') {
        return Err("there is more than one @ in it");
    }
    if address.chars().any(|c| {
        c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | '"')
    }) {
        return Err("there are characters in it that an address cannot have");
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Err("its dots before the @ are in the wrong place");
    }
    if !domain.contains('.') {
        return Err("its domain has no dot");
    }
    let is_label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    if domain.split('.').all(is_label) {
        Ok(())
    } else {
        Err("its domain is not one")
    }
}

#[cfg(test)]
mod tests {
    use crate::rule::{Rule, try_rule};

    #[test]
    fn what_people_paste_around_an_address_goes() {
        for messy in [
            " Ada@Example.ORG ",
            "mailto:ada@example.org",
            "Ada Lovelace <Ada@example.org>",
            "\u{200b}ada@example.org",
            "ada@example.org;",
        ] {
            assert_eq!(
                try_rule(&Rule::Email, messy),
                Ok(Some("ada@example.org".into())),
                "{messy}"
            );
        }
        assert_eq!(try_rule(&Rule::Email, "  "), Ok(None));
    }

    #[test]
    fn what_is_no_address_is_told() {
        for wrong in [
            "ada",
            "ada@",
            "@example.org",
            "a b@example.org",
            "ada@example",
            "a@b@c.org",
            ".a@c.org",
            "a@-c.org",
        ] {
            assert!(try_rule(&Rule::Email, wrong).is_err(), "{wrong}");
        }
    }
}
