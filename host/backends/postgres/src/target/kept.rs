//! What `jsonb` would lose of a JSON text without a word, so that it is refused before.
//!
//! It keeps the last of several members of one name, knows no -0, and has no U+0000. What else it
//! does to a text (the order of members, the spelling of numbers) leaves its meaning. Numbers that
//! are too large for it the server refuses itself.

use dkhost_core::json::RowError;

/// Sees that `jsonb` keeps the meaning of `json`: one object, valid, each character spelled in one
/// way only, as Python does.
///
/// *Errors* – `postgres::duplicate_key`, `postgres::negative_zero`, `postgres::nul`, with the
/// object's own member to blame.
pub(super) fn check(json: &str) -> Result<(), RowError> {
    let mut walk = Walk {
        json,
        open: Vec::new(),
        names: Vec::new(),
        member: "",
    };
    walk.run()
}

struct Walk<'a> {
    json: &'a str,
    /// Objects and lists that are open: where the names of an object begin, `None` for a list.
    open: Vec<Option<usize>>,
    /// Names of the members so far, of all objects that are open.
    names: Vec<&'a str>,
    /// The member of the outermost object.
    member: &'a str,
}

impl<'a> Walk<'a> {
    fn run(&mut self) -> Result<(), RowError> {
        let bytes = self.json.as_bytes();
        let (mut at, mut is_name) = (0, false);
        while let Some(byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'{' => {
                    self.open.push(Some(self.names.len()));
                    is_name = true;
                }
                b'[' => {
                    self.open.push(None);
                    is_name = false;
                }
                b'}' | b']' => self.close()?,
                b',' => is_name = matches!(self.open.last(), Some(Some(_))),
                b'"' => {
                    let length = string(&bytes[at..]);
                    let text = self.json.get(at..at + length).unwrap_or_default();
                    at += length + 1;
                    if std::mem::take(&mut is_name) {
                        self.names.push(text);
                        if self.open.len() == 1 {
                            self.member = text;
                        }
                    }
                    if has_nul(text) {
                        return Err(self.refuse(
                            "postgres::nul",
                            "holds the character U+0000, which PostgreSQL does not",
                        ));
                    }
                }
                b'-' => {
                    let digits = bytes[at..]
                        .iter()
                        .take_while(|b| !matches!(b, b',' | b']' | b'}' | b' ' | b'\n'));
                    let mantissa = digits.take_while(|b| !matches!(b, b'e' | b'E'));
                    if mantissa.into_iter().all(|b| matches!(b, b'0' | b'.')) {
                        return Err(self.refuse(
                            "postgres::negative_zero",
                            "holds -0, whose sign jsonb does not keep",
                        ));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), RowError> {
        let Some(Some(first)) = self.open.pop() else {
            return Ok(());
        };
        let names = &mut self.names[first..];
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        if let Some(name) = twice.map(|pair| pair[0]) {
            let message =
                format!("holds an object with two members `{name}`, of which jsonb keeps one");
            return Err(self.refuse("postgres::duplicate_key", &message));
        }
        self.names.truncate(first);
        Ok(())
    }

    fn refuse(&self, code: &'static str, what: &str) -> RowError {
        let member = dkhost_core::json::unescape(self.member, self.member.contains('\\'));
        RowError::new(code, format!("`{member}` {what}")).in_column(member)
    }
}

/// Length of a string's text up to its closing quote.
fn string(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += next;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// Whether the text of a string has U+0000, which always is an escape.
fn has_nul(text: &str) -> bool {
    let (bytes, mut at) = (text.as_bytes(), 0);
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += next;
        if bytes[at..].starts_with(b"\\u0000") {
            return true;
        }
        at += 2;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jsonb_keeps_passes() {
        for json in [
            "{}",
            r#"{"a": 1, "b": {"a": 1}, "c": [{"a": 1}, {"a": 1}], "d": "a"}"#,
            r#"{"a": "\\u0000 \"-0\" {\"a\"", "b": [-1, -0.5, -1e-05, 0.0]}"#,
            r#"{"a": {}, "b": [], "c": [[], {}]}"#,
            r#"{"ab": 1, "a": {"ab": 2}, "\u00fc": 3, "u": 4}"#,
        ] {
            assert_eq!(check(json), Ok(()), "{json}");
        }
    }

    #[test]
    fn what_jsonb_loses_is_refused() {
        for (json, code, member) in [
            (
                r#"{"a": 1, "b": {"x": 1, "y": {}, "x": 2}}"#,
                "postgres::duplicate_key",
                "b",
            ),
            (
                r#"{"a": [{"\u00fc": 1, "\u00fc": 1}]}"#,
                "postgres::duplicate_key",
                "a",
            ),
            (r#"{"a": [1, -0.0]}"#, "postgres::negative_zero", "a"),
            (r#"{"a": -0}"#, "postgres::negative_zero", "a"),
            (
                r#"{"a": {"b": -0.00e+10}, "c": 1}"#,
                "postgres::negative_zero",
                "a",
            ),
            (r#"{"a": 1, "\u00fc": "x\\\u0000"}"#, "postgres::nul", "ü"),
            (r#"{"a": {"\u0000": 1}}"#, "postgres::nul", "a"),
        ] {
            let refused = check(json).unwrap_err();
            assert_eq!(
                (refused.code, refused.column.as_deref()),
                (code, Some(member)),
                "{json}"
            );
        }
    }
}
