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

/// A capital letter.
const CAPITAL: u8 = 1;
/// A dot or an @.
const SEPARATOR: u8 = 2;
/// May stand before the @ only.
const LOCAL: u8 = 4;
/// Needs a closer look wherever it stands; a colon, because `mailto:` ends with one.
const ODD: u8 = 8;

/// What each byte means for an address.
const CLASS: [u8; 256] = {
    let mut class = [ODD; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => 0,
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

/// Whether an address that is right as it stands has capitals; `None` when it is not surely one.
fn plain(text: &[u8]) -> Option<bool> {
    if text.len() > ADDRESS_MAX {
        return None;
    }
    let (mut seen, mut part, mut at, mut last) = (0, 0, None, 0);
    for (place, byte) in text.iter().enumerate() {
        let class = CLASS[usize::from(*byte)];
        seen |= class;
        if class != SEPARATOR {
            continue;
        }
        if !is_part(&text[part..place], at.is_some()) {
            return None;
        }
        (part, last) = (place + 1, *byte);
        if *byte == b'@' {
            if at.is_some() || place > LOCAL_MAX {
                return None;
            }
            at = Some(place);
            // What was right before the @ need not be right behind it.
            seen &= !LOCAL;
        }
    }
    let ends_well = last == b'.' && at.is_some() && is_part(&text[part..], true);
    (ends_well && seen & (ODD | LOCAL) == 0).then_some(seen & CAPITAL != 0)
}

/// Between two separators there is something, and in a domain no hyphen at either end of it.
fn is_part(part: &[u8], is_label: bool) -> bool {
    match part {
        [] => false,
        [first, .., last] if is_label => *first != b'-' && *last != b'-' && part.len() <= LABEL_MAX,
        [only] if is_label => *only != b'-',
        _ => true,
    }
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
