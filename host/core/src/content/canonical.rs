//! One text for every JSON text of one meaning: stores keep the members of an object in an order of
//! their own (PostgreSQL's `jsonb`) and spell numbers in their own way.

use super::without_exponent;

/// Deeper than any value that is read here; what is deeper is left as it is.
const DEPTH_MAX: u32 = 256;

/// The text with the members of every object in the order of their names, and numbers without
/// exponents. `json` is as [`crate::dataknobs::Style::Ascii`] lays it out: each character is spelled
/// in one way. Members of one name stay in their order. What is no JSON is left as it is.
pub(super) fn arranged(json: &str) -> String {
    let mut reading = Reading { rest: json };
    let mut out = String::with_capacity(json.len());
    match reading.value(&mut out, 0) {
        Some(()) if reading.rest.is_empty() => out,
        _ => json.to_owned(),
    }
}

struct Reading<'a> {
    rest: &'a str,
}

impl<'a> Reading<'a> {
    fn value(&mut self, out: &mut String, depth: u32) -> Option<()> {
        match self.rest.as_bytes().first()? {
            _ if depth > DEPTH_MAX => None,
            b'{' => self.object(out, depth),
            b'[' => self.list(out, depth),
            b'"' => {
                out.push_str(self.string()?);
                Some(())
            }
            first => {
                let end = self.rest.find([',', ']', '}']).unwrap_or(self.rest.len());
                let scalar = self.take(end)?;
                match first {
                    b'-' | b'0'..=b'9' => out.push_str(&without_exponent(scalar)),
                    _ => out.push_str(scalar),
                }
                Some(())
            }
        }
    }

    fn object(&mut self, out: &mut String, depth: u32) -> Option<()> {
        let mut members: Vec<(&str, String)> = Vec::new();
        self.take(1)?;
        while !self.ends('}') {
            if !members.is_empty() {
                self.skip(", ")?;
            }
            let name = self.string()?;
            self.skip(": ")?;
            let mut value = String::new();
            self.value(&mut value, depth + 1)?;
            members.push((name, value));
        }
        members.sort_by_key(|(name, _)| *name);
        out.push('{');
        for (place, (name, value)) in members.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            out.extend([comma, name, ":", value]);
        }
        out.push('}');
        Some(())
    }

    fn list(&mut self, out: &mut String, depth: u32) -> Option<()> {
        self.take(1)?;
        out.push('[');
        let mut is_first = true;
        while !self.ends(']') {
            if !std::mem::take(&mut is_first) {
                self.skip(", ")?;
                out.push(',');
            }
            self.value(out, depth + 1)?;
        }
        out.push(']');
        Some(())
    }

    /// Whether the object or list ends here; its bracket is taken then.
    fn ends(&mut self, bracket: char) -> bool {
        let rest = self.rest.strip_prefix(bracket);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn string(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let mut at = 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if bytes[at] == b'"' {
                return self.take(at + 1);
            }
            at += 2;
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn skip(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_ordered_and_numbers_written_out() {
        for (json, arranged_) in [
            (
                r#"{"b": 1, "aa": {"z": [], "y": {}}, "a": "x"}"#,
                r#"{"a":"x","aa":{"y":{},"z":[]},"b":1}"#,
            ),
            (
                r#"[1e2, -0.0, -1.5, true, null, "1e2, \"}"]"#,
                r#"[100,0.0,-1.5,true,null,"1e2, \"}"]"#,
            ),
            (r#"{"a": 2, "a": 1}"#, r#"{"a":2,"a":1}"#),
            ("1e3", "1000"),
            ("", ""),
            (r#"{"a": 1"#, r#"{"a": 1"#),
        ] {
            assert_eq!(arranged(json), arranged_, "{json}");
        }
    }

    #[test]
    fn what_is_too_deep_is_left_as_it_is() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(arranged(&deep), deep);
    }
}
