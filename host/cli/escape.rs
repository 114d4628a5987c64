//! The one border between text from outside and a terminal.
//!
//! Records, plugins, files and servers can hold anything, also sequences that move the cursor,
//! retitle the window or turn the reading direction around. Whatever comes from them passes
//! [`escape`] before it is printed: control characters, ESC, the C1 range and the bidirectional
//! controls come out as `\u{…}`, everything else stays as it is. JSON output needs none of this:
//! its writer escapes what JSON escapes, and [`escape_json`] the rest.

use std::borrow::Cow;

/// Whether a terminal might obey this character instead of showing it.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text as one line that is safe to print.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_but(text, |_| false)
}

/// Text that may have lines (a compiler's words), each safe to print.
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_but(text, |c| c == '\n')
}

/// JSON text as it may stand on a terminal: what is hostile can only be inside strings there.
pub fn escape_json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hostile(c) {
            safe.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Text of the same length in bytes in which hostile characters are replaced: for source snippets,
/// whose places are byte offsets. Line breaks and tabs stay.
pub fn mask(text: &str) -> String {
    let replaced = |c: char| match c {
        '\n' | '\t' => c,
        _ if !is_hostile(c) => c,
        _ => match c.len_utf8() {
            1 => '?',
            2 => '¿',
            _ => '\u{fffd}',
        },
    };
    text.chars().map(replaced).collect()
}

fn escape_but(text: &str, fine: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(|c| is_hostile(c) && !fine(c)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            _ if !is_hostile(c) || fine(c) => safe.push(c),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            _ => safe.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_left_alone() {
        for text in ["", "Müller", "日本語", "a \\ b", "naïve 🎬"] {
            assert!(
                matches!(escape(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_shown_instead() {
        let cases = [
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("user\u{202e}txt.exe", "user\\u{202e}txt.exe"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("one\r\ntwo\t\x07\x7f", "one\\r\\ntwo\\t\\u{7}\\u{7f}"),
        ];
        for (hostile, shown) in cases {
            assert_eq!(escape(hostile), shown);
        }
    }

    #[test]
    fn a_compilers_lines_stay_lines() {
        assert_eq!(escape_lines("one\ntwo\x1b"), "one\ntwo\\u{1b}");
    }

    #[test]
    fn json_stays_json() {
        let json = serde_json::to_string("\u{9b}\u{202e}\x1b\u{feff}").unwrap();
        let safe = escape_json(&json);
        assert!(!safe.contains(is_hostile));
        assert_eq!(
            serde_json::from_str::<String>(&safe).unwrap(),
            "\u{9b}\u{202e}\x1b\u{feff}"
        );
    }

    #[test]
    fn a_masked_text_keeps_its_length() {
        let text = "a\x1b\u{9b}\u{202e}\nö";
        let masked = mask(text);
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked, "a?¿\u{fffd}\nö");
    }
}
