//! A value of a schema file – a default, a bound, one of several – in the type of its field.
//!
//! A constant is kept as the text that a file without types would hold, which is how the values of
//! all types are compared and shown. Its order is the type's: numbers by value and exactly, times by
//! moment, text by nothing at all, because no two stores sort it alike.

use std::cmp::Ordering;
use std::fmt;

use dkhost_core::text::{Number, fits, parse_date, parse_time, parse_timestamp, respelled};
use dkhost_core::{Error, LogicalType, Node, NodeKind, Result};

/// A value in the type of its field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constant(String);

impl Constant {
    /// Reads a value of a schema file.
    ///
    /// *Errors* – `schema::wrong_value`, at its place, if it is no value of the type.
    pub fn read(node: &Node, name: &str, logical: &LogicalType) -> Result<Self> {
        let text = text_of(node, logical);
        match text.filter(|text| fits(logical, text)) {
            Some(text) => Ok(Constant(text)),
            None => Err(Error::config(
                "schema::wrong_value",
                format!("`{name}` is no value of type {logical}"),
            )
            .at(node.span.clone(), format!("this is {}", node.what()))
            .help(spelling(logical))),
        }
    }

    /// A constant of text that is known to be of its type.
    pub(crate) fn of_text(text: &str) -> Self {
        Constant(text.to_owned())
    }

    /// As a file without types would hold it.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Which of two is less; `None` where the type has no order.
    pub fn order(&self, other: &Constant, logical: &LogicalType) -> Option<Ordering> {
        let (one, two) = (self.text(), other.text());
        match logical {
            LogicalType::Date32 => parse_date(one)?.partial_cmp(&parse_date(two)?),
            LogicalType::Time64 => parse_time(one)?.partial_cmp(&parse_time(two)?),
            LogicalType::Timestamp(zone) => {
                let moment = |text| parse_timestamp(text, zone.is_some());
                moment(one)?.partial_cmp(&moment(two)?)
            }
            logical if logical.is_numeric() => numbers(one, two),
            _ => None,
        }
    }

    /// What the value is once the field has another type that has all values of its own; `None`
    /// where its text alone does not say.
    pub(crate) fn widened(&self, from: &LogicalType, to: &LogicalType) -> Option<Constant> {
        let text = self.text();
        let is_written_so = match from {
            _ if from == to || *to != LogicalType::Utf8 => true,
            LogicalType::Boolean => true,
            LogicalType::Int32 | LogicalType::Int64 | LogicalType::UInt64 => {
                text.parse::<i128>().is_ok_and(|n| n.to_string() == text)
            }
            // Values are written in one way, and constants in many: 1.50, 1.5, 15e-1.
            _ => false,
        };
        match (from, to) {
            // The float nearest to 0.1 is not the double nearest to it.
            (LogicalType::Float32, LogicalType::Float64) => {
                let single: f32 = text.parse().ok()?;
                Some(Constant(f64::from(single).to_string()))
            }
            _ => is_written_so.then(|| self.clone()),
        }
    }

    /// As JSON: numbers, truth values and vectors as what they are, everything else as text, spelled as
    /// values of the type are.
    pub fn to_json(&self, logical: &LogicalType) -> serde_json::Value {
        use LogicalType::{Boolean, Json, Utf8, Vector};
        let text = match logical {
            logical if logical.is_numeric() => plain_number(self.text()),
            Boolean | Json | Utf8 | Vector(_) => self.text().to_owned(),
            logical => respelled(logical, self.text()).unwrap_or_else(|| self.text().to_owned()),
        };
        let is_plain = logical.is_numeric() || matches!(logical, Boolean | Json | Vector(_));
        let parsed = is_plain.then(|| serde_json::from_str(&text));
        match parsed {
            Some(Ok(value)) => value,
            Some(Err(_)) => serde_json::Value::from(self.text()),
            None => serde_json::Value::from(text),
        }
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A number as JSON spells it: no plus, no zeros in front, a digit on both sides of a point.
fn plain_number(text: &str) -> String {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = rest.trim_start_matches('0');
    let zero = match digits.starts_with(|c: char| c.is_ascii_digit()) {
        true => "",
        false => "0",
    };
    format!("{sign}{zero}{digits}")
        .replace(".e", "e")
        .trim_end_matches('.')
        .to_owned()
}

/// Whether values of the type have an order that every store agrees on.
pub fn is_ordered(logical: &LogicalType) -> bool {
    is_temporal(logical) || logical.is_numeric()
}

/// What a value of the file says in text; `None` where it cannot be of the type at all.
fn text_of(node: &Node, logical: &LogicalType) -> Option<String> {
    match &node.kind {
        NodeKind::Boolean(value) if *logical == LogicalType::Boolean => Some(value.to_string()),
        NodeKind::Integer(value) if logical.is_numeric() => Some(value.to_string()),
        NodeKind::Float(value) if logical.is_numeric() && value.is_finite() => {
            Some(value.to_string())
        }
        // TOML's own dates, and numbers of more digits than TOML has.
        NodeKind::Text(text) if *logical != LogicalType::Boolean => Some(text.clone()),
        kind if *logical == LogicalType::Json => {
            Some(Node::new(kind.clone()).to_json().to_string())
        }
        _ => None,
    }
}

fn is_temporal(logical: &LogicalType) -> bool {
    matches!(
        logical,
        LogicalType::Date32 | LogicalType::Time64 | LogicalType::Timestamp(_)
    )
}

fn spelling(logical: &LogicalType) -> &'static str {
    match logical {
        LogicalType::Boolean => "write true or false",
        LogicalType::Date32 => "write a date like 2026-01-31",
        LogicalType::Time64 => "write a time like 13:30:00",
        LogicalType::Timestamp(Some(_)) => "write a moment like 2026-01-31T13:30:00Z",
        LogicalType::Timestamp(None) => "write a moment like 2026-01-31T13:30:00",
        LogicalType::Utf8 => "text needs quotes",
        _ => "write it as the type does, or change the type of the field",
    }
}

/// By value, exactly: digits before the point first, then those behind it. Infinity is beyond all
/// numbers, and NaN is nowhere.
fn numbers(one: &str, two: &str) -> Option<Ordering> {
    let (Some(one), Some(two)) = (Digits::of(one), Digits::of(two)) else {
        let float = |text: &str| text.parse::<f64>().ok();
        return float(one)?.partial_cmp(&float(two)?);
    };
    Some(match (one.is_negative(), two.is_negative()) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => one.magnitude(&two),
        (true, true) => two.magnitude(&one),
    })
}

/// A number's digits without zeros around them, and the power of ten of the first.
struct Digits {
    negative: bool,
    digits: Vec<u8>,
    first: i64,
}

impl Digits {
    fn of(text: &str) -> Option<Self> {
        let text = text.strip_prefix('+').unwrap_or(text);
        Number::parse(text)?;
        let negative = text.starts_with('-');
        let text = text.trim_start_matches('-');
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(behind.bytes()).collect();
        let zeros = all.iter().take_while(|digit| **digit == b'0').count();
        let mut digits = all[zeros..].to_vec();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        Some(Digits {
            negative,
            first: whole.len() as i64 - zeros as i64 + exponent,
            digits,
        })
    }

    fn is_negative(&self) -> bool {
        self.negative && !self.digits.is_empty()
    }

    fn magnitude(&self, other: &Digits) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => {
                let first = self.first.cmp(&other.first);
                first.then_with(|| self.digits.cmp(&other.digits))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(logical: LogicalType, one: &str, two: &str) -> Option<Ordering> {
        Constant::of_text(one).order(&Constant::of_text(two), &logical)
    }

    #[test]
    fn numbers_are_json_however_they_are_written() {
        for (text, json) in [
            ("+7", "7"),
            ("007", "7"),
            ("-0.50", "-0.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("0", "0"),
            ("00", "0"),
            ("+1.e2", "100.0"),
            ("inf", "\"inf\""),
        ] {
            let value = Constant::of_text(text).to_json(&LogicalType::Float64);
            assert_eq!(value.to_string(), json, "{text}");
        }
    }

    #[test]
    fn numbers_are_ordered_by_value_and_exactly() {
        let int = |one, two| order(LogicalType::Int64, one, two);
        assert_eq!(
            int("9007199254740993", "9007199254740992"),
            Some(Ordering::Greater)
        );
        assert_eq!(int("-10", "-9"), Some(Ordering::Less));
        assert_eq!(int("-0", "0"), Some(Ordering::Equal));
        let float = |one, two| order(LogicalType::Float64, one, two);
        assert_eq!(float("1e3", "999.5"), Some(Ordering::Greater));
        assert_eq!(float("0.10", "0.1"), Some(Ordering::Equal));
        assert_eq!(float("0.09", "0.1"), Some(Ordering::Less));
        assert_eq!(float("inf", "1e300"), Some(Ordering::Greater));
        assert_eq!(float("-inf", "inf"), Some(Ordering::Less));
        assert_eq!(float("NaN", "0"), None);
    }

    #[test]
    fn moments_are_ordered_and_text_is_not() {
        assert_eq!(
            order(LogicalType::Date32, "2026-01-31", "2026-02-01"),
            Some(Ordering::Less)
        );
        assert_eq!(order(LogicalType::Utf8, "a", "b"), None);
    }

    #[test]
    fn a_value_of_another_type_is_refused_at_its_place() {
        let node = Node {
            span: 4..9,
            kind: NodeKind::Text("seven".into()),
        };
        let error = Constant::read(&node, "default", &LogicalType::Int64).unwrap_err();
        assert_eq!(error.code(), "schema::wrong_value");
        assert_eq!(error.place().unwrap().0, &(4..9));
        let quoted = Node::new(NodeKind::Text("7".into()));
        assert_eq!(
            Constant::read(&quoted, "default", &LogicalType::Int64)
                .unwrap()
                .text(),
            "7"
        );
    }
}
