//! One spelling for every JSON value, so that texts can be compared by what they mean.
//!
//! Stores lay JSON out in their own way: other whitespace, other escapes, other order of keys,
//! `1e5` for `100000`. None of that is the value.

use super::scan::{Kind, Scanner};
use super::strings::{escape, unescape};
use super::RowError;

/// Appends `text` in its one spelling: no whitespace, keys sorted, only needed escapes, numbers by
/// their significant digits. Not for people: 1.50 is `15e-1`.
pub fn canonical(text: &str, out: &mut Vec<u8>) -> Result<(), RowError> {
    let token = Scanner::new(text).value()?;
    match token.kind {
        Kind::Object => {
            let members = members(token.raw)?;
            write_members(&members, out)
        }
        Kind::Array => {
            let mut scanner = Scanner::new(token.raw);
            let mut more = scanner.enter_array()?;
            out.push(b'[');
            let mut comma = false;
            while more {
                if std::mem::replace(&mut comma, true) {
                    out.push(b',');
                }
                canonical(scanner.value()?.raw, out)?;
                more = scanner.next_item()?;
            }
            out.push(b']');
            Ok(())
        }
        Kind::Text(inner, escaped) => {
            escape(&unescape(inner, escaped), out);
            Ok(())
        }
        Kind::Number(_) => {
            number(token.raw.trim(), out);
            Ok(())
        }
        _ => {
            out.extend_from_slice(token.raw.trim().as_bytes());
            Ok(())
        }
    }
}

/// Appends an object in its one spelling, without the members `drop` names by key and raw value.
pub fn canonical_object(
    text: &str,
    drop: impl Fn(&str, &str) -> bool,
    out: &mut Vec<u8>,
) -> Result<(), RowError> {
    let mut members = members(text)?;
    members.retain(|(name, raw)| !drop(name, raw.trim()));
    write_members(&members, out)
}

type Member<'a> = (std::borrow::Cow<'a, str>, &'a str);

fn members(object: &str) -> Result<Vec<Member<'_>>, RowError> {
    let mut scanner = Scanner::new(object);
    let mut more = scanner.enter_object()?;
    let mut members = Vec::new();
    while more {
        let (name, escaped) = scanner.key()?;
        members.push((unescape(name, escaped), scanner.value()?.raw));
        more = scanner.next_member()?;
    }
    members.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(members)
}

fn write_members(members: &[Member<'_>], out: &mut Vec<u8>) -> Result<(), RowError> {
    out.push(b'{');
    for (i, (name, raw)) in members.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        escape(name, out);
        out.push(b':');
        canonical(raw, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// A JSON number as its significant digits and a power of ten.
fn number(text: &str, out: &mut Vec<u8>) {
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let Ok(power) = power.parse::<i64>() else {
        // A power of ten beyond any number there is; its text will do.
        return out.extend_from_slice(text.as_bytes());
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit);
    let Some(last) = digits().rposition_of_nonzero() else {
        return out.push(b'0');
    };
    if text.starts_with('-') {
        out.push(b'-');
    }
    out.extend(digits().take(last + 1).skip_while(|digit| *digit == b'0'));
    let power = power
        .saturating_sub(fraction.len() as i64)
        .saturating_add((digits().count() - 1 - last) as i64);
    out.extend_from_slice(format!("e{power}").as_bytes());
}

trait LastNonzero: Iterator<Item = u8> + Sized {
    /// Index of the last digit that is not zero.
    fn rposition_of_nonzero(self) -> Option<usize> {
        self.enumerate().filter(|(_, digit)| *digit != b'0').map(|(i, _)| i).last()
    }
}

impl<I: Iterator<Item = u8>> LastNonzero for I {}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> String {
        let mut out = Vec::new();
        canonical(text, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_means_the_same_is_spelled_the_same() {
        for (a, b) in [
            (r#"{"b": [1, {"d":2,"c":3}], "a": "\u00fc\/"}"#, "{\"a\":\"ü/\",\n\"b\":[1,{\"c\":3,\"d\":2}]}"),
            ("1.50", "15e-1"),
            ("100000", "1e+5"),
            ("-0.0", "0"),
            ("0.00120", "12E-4"),
            (" true ", "true"),
        ] {
            assert_eq!(spelled(a), spelled(b));
        }
        for (a, b) in [("1", "10"), ("1", "-1"), ("\"1\"", "1"), ("[1,2]", "[2,1]"), ("0.1", "0.01"), ("12", "21")] {
            assert_ne!(spelled(a), spelled(b));
        }
    }
}
