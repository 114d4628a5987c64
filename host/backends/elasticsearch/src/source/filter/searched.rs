//! A field as a server searches it, and a comparison with its values as a query that leaves out
//! nothing it should not.

use dkhost_core::text::{parse_date, parse_timestamp};
use dkhost_core::{Comparison, Literal, LogicalType};
use serde_json::{Value as Json, json};

use super::super::mapping::Mapped;
use crate::client::Kind;

/// How a server compares the values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// By its bytes.
    Keyword,
    /// Exactly.
    Whole,
    /// Exactly, but for the zeros.
    Double,
    /// Rounded.
    Float,
    /// By the millisecond.
    Time,
    Boolean,
}

/// A field as it is searched for.
#[derive(Debug, Clone)]
pub(super) struct Searched {
    pub path: String,
    how: How,
    logical: LogicalType,
    /// Whether values that differ are different terms.
    distinct: bool,
    /// Longer values are not in the index.
    longest: usize,
    /// Whether the server remembers of a document that it left a value out for its length.
    remembers: bool,
}

impl Searched {
    pub fn of(mapped: &Mapped, logical: &LogicalType, kind: Kind) -> Option<Self> {
        use LogicalType::*;
        let definition = &mapped.definition;
        let is_text = mapped.kind == "text";
        if !is_text && definition["index"] == false {
            return None;
        }
        let how = match (mapped.kind.as_str(), logical) {
            ("keyword" | "text", Utf8) => How::Keyword,
            ("byte" | "short" | "integer" | "long", Int32 | Int64) => How::Whole,
            ("unsigned_long", UInt64) => How::Whole,
            ("double", Float64) => How::Double,
            ("float", Float64) => How::Float,
            ("date", Timestamp(_) | Date32) => How::Time,
            ("boolean", Boolean) => How::Boolean,
            _ => return None,
        };
        let (path, definition) = match is_text {
            true => keywords(mapped)?,
            false => (mapped.name.clone(), definition),
        };
        let distinct = definition["normalizer"].is_null()
            && matches!(how, How::Keyword | How::Whole | How::Boolean);
        let longest = definition["ignore_above"]
            .as_u64()
            .and_then(|most| usize::try_from(most).ok());
        Some(Searched {
            path,
            how,
            logical: logical.clone(),
            distinct,
            longest: longest.unwrap_or(usize::MAX),
            remembers: kind == Kind::Elasticsearch,
        })
    }

    /// The condition, and what the server could not put into its index.
    pub fn or_ignored(&self, condition: Json) -> Json {
        let ignored = match self.remembers || self.longest == usize::MAX {
            true => json!({"term": {"_ignored": self.path}}),
            false => json!({"bool": {"must_not": [{"exists": {"field": self.path}}]}}),
        };
        any(vec![condition, ignored])
    }

    /// A value as the server takes it.
    fn value(&self, literal: &Literal) -> Option<Json> {
        let text = literal.text.as_str();
        match self.how {
            // In bytes it is at least as long as however the server counts.
            How::Keyword => (text.len() <= self.longest).then(|| text.into()),
            How::Whole => match text.parse::<i64>() {
                Ok(number) => Some(number.into()),
                Err(_) => text.parse::<u64>().ok().map(Json::from),
            },
            How::Double | How::Float => {
                let number = text.parse::<f64>().ok();
                // A zero of the index has a sign.
                number
                    .filter(|number| number.is_finite() && *number != 0.0)
                    .map(Json::from)
            }
            How::Time => {
                let millis = match &self.logical {
                    LogicalType::Date32 => i64::from(parse_date(text)?).checked_mul(86_400_000)?,
                    LogicalType::Timestamp(zone) => {
                        parse_timestamp(text, zone.is_some())?.div_euclid(1_000)
                    }
                    _ => return None,
                };
                // Of times before 1970 not every version understands the number.
                (millis >= 0).then(|| millis.into())
            }
            How::Boolean => text.parse::<bool>().ok().map(Json::from),
        }
    }

    fn range(&self, bounds: &[(&str, &Json)]) -> Json {
        let mut range: serde_json::Map<String, Json> = bounds
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).clone()))
            .collect();
        if self.how == How::Time {
            range.insert("format".to_owned(), "epoch_millis".into());
        }
        json!({"range": {&self.path: range}})
    }

    pub fn compare(&self, op: Comparison, literal: &Literal) -> Option<Json> {
        let value = &self.value(literal)?;
        // Rounding keeps order, but makes equal what was not.
        let rounds = matches!(self.how, How::Float | How::Time);
        let condition = match op {
            Comparison::Equal if rounds => self.range(&[("gte", value), ("lte", value)]),
            Comparison::Equal => json!({"term": {&self.path: value}}),
            Comparison::NotEqual if !self.distinct => return None,
            Comparison::NotEqual => json!({"bool": {"must_not": [{"term": {&self.path: value}}]}}),
            _ if self.how == How::Boolean || (self.how == How::Keyword && !self.distinct) => {
                return None;
            }
            Comparison::Less if !rounds => self.range(&[("lt", value)]),
            Comparison::Less | Comparison::LessOrEqual => self.range(&[("lte", value)]),
            Comparison::Greater if !rounds => self.range(&[("gt", value)]),
            Comparison::Greater | Comparison::GreaterOrEqual => self.range(&[("gte", value)]),
        };
        Some(self.or_ignored(condition))
    }

    pub fn among(&self, values: &[Literal], negated: bool) -> Option<Json> {
        if negated && !self.distinct {
            return None;
        }
        if matches!(self.how, How::Float | How::Time) {
            let each = values
                .iter()
                .map(|value| self.compare(Comparison::Equal, value));
            return Some(any(each.collect::<Option<_>>()?));
        }
        let values: Vec<Json> = values
            .iter()
            .map(|value| self.value(value))
            .collect::<Option<_>>()?;
        let terms = json!({"terms": {&self.path: values}});
        Some(self.or_ignored(match negated {
            true => json!({"bool": {"must_not": [terms]}}),
            false => terms,
        }))
    }
}

/// The sub-field of a text that has it whole.
fn keywords(mapped: &Mapped) -> Option<(String, &Json)> {
    let mut subs = mapped.definition["fields"].as_object()?.iter();
    let (name, definition) =
        subs.find(|(_, sub)| sub["type"] == "keyword" && sub["index"] != false)?;
    Some((format!("{}.{name}", mapped.name), definition))
}

/// At least one of them.
pub(super) fn any(conditions: Vec<Json>) -> Json {
    json!({"bool": {"should": conditions, "minimum_should_match": 1}})
}
