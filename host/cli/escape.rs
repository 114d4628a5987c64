//! The one border between text from outside and a terminal.
//!
//! Records, plugins, files and servers can hold anything, also sequences that move the cursor,
//! retitle the window, turn the reading direction around or cannot be seen at all. Whatever comes
//! from them passes [`escape`] before it is printed: control characters, ESC, the C1 range, the
//! bidirectional controls and everything Unicode calls ignorable come out as `\u{…}`, everything
//! else stays as it is. JSON output needs none of this: its writer escapes what JSON escapes, and
//! [`escape_json`] the rest.
//!
//! Joiners and variation selectors make emoji and several scripts; they stay where they do, which
//! is behind a character that is not ASCII, and are shown anywhere else.

use std::borrow::Cow;

/// Whether a terminal might obey this character instead of showing it, or show nothing at all.
/// `before` is the character in front of it.
fn is_hostile(before: Option<char>, c: char) -> bool {
    match c {
        ' '..='~' => false,
        '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' => {
            before.is_none_or(|before| before.is_ascii() || is_joiner(before))
        }
        _ => c.is_control() || is_ignorable(c),
    }
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Default_Ignorable_Code_Point of Unicode, the line and paragraph separators and the characters
/// that stand for others.
///
/// *Source* – Unicode 16, `DerivedCoreProperties.txt`.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{fffe}'..='\u{ffff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// The characters of a text, each with whether it is hostile where it stands.
fn judged(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut before = None;
    text.chars().map(move |c| {
        let hostile = is_hostile(before, c);
        before = Some(c);
        (c, hostile)
    })
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
    if !judged(text).any(|(_, hostile)| hostile) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for (c, hostile) in judged(text) {
        if !hostile {
            safe.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            safe.push_str(&format!("\\u{unit:04x}"));
        }
    }
    Cow::Owned(safe)
}

/// Text of the same length in bytes in which hostile characters are replaced: for source snippets,
/// whose places are byte offsets. Line breaks and tabs stay.
pub fn mask(text: &str) -> String {
    let replaced = |(c, hostile): (char, bool)| match c {
        '\n' | '\t' => c,
        _ if !hostile => c,
        _ => match c.len_utf8() {
            1 => '?',
            2 => '¿',
            3 => '\u{fffd}',
            _ => '🞨',
        },
    };
    judged(text).map(replaced).collect()
}

fn escape_but(text: &str, fine: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !judged(text).any(|(c, hostile)| hostile && !fine(c)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for (c, hostile) in judged(text) {
        match c {
            _ if !hostile || fine(c) => safe.push(c),
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
        for text in [
            "",
            "Müller",
            "日本語",
            "a \\ b",
            "naïve 🎬",
            "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}",
            "می\u{200c}خواهم",
        ] {
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
            ("\x1b]52;c;eA==\x07", "\\u{1b}]52;c;eA==\\u{7}"),
        ];
        for (hostile, shown) in cases {
            assert_eq!(escape(hostile), shown);
        }
    }

    #[test]
    fn what_nobody_can_see_is_shown() {
        let cases = [
            ("pass\u{200b}word", "pass\\u{200b}word"),
            ("i\u{200d}d", "i\\u{200d}d"),
            ("é\u{200d}\u{200d}", "é\u{200d}\\u{200d}"),
            ("\u{ad}\u{2060}\u{3164}", "\\u{ad}\\u{2060}\\u{3164}"),
            ("a\u{e0041}\u{e007f}", "a\\u{e0041}\\u{e007f}"),
            ("a\u{fe0f}", "a\\u{fe0f}"),
        ];
        for (hidden, shown) in cases {
            assert_eq!(escape(hidden), shown);
        }
    }

    #[test]
    fn a_compilers_lines_stay_lines() {
        assert_eq!(escape_lines("one\ntwo\x1b"), "one\ntwo\\u{1b}");
    }

    #[test]
    fn json_stays_json() {
        let hostile = "\u{9b}\u{202e}\x1b\u{feff}\u{e0041}";
        let json = serde_json::to_string(hostile).unwrap();
        let safe = escape_json(&json);
        assert!(!judged(&safe).any(|(_, hostile)| hostile));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), hostile);
    }

    #[test]
    fn a_masked_text_keeps_its_length() {
        let text = "a\x1b\u{9b}\u{202e}\u{e0041}\nö";
        let masked = mask(text);
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked, "a?¿\u{fffd}🞨\nö");
    }
}
