//! What a field's values must satisfy besides their type.

use std::cmp::Ordering;
use std::fmt;

use dkhost_core::LogicalType;
use regex::Regex;

use crate::constant::Constant;

/// What the values of a field must satisfy. A null satisfies everything but `required`.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// From and to, both included.
    pub range: Option<Bounds<Constant>>,
    /// Characters of text, from and to.
    pub length: Option<Bounds<u64>>,
    /// A regular expression that must match somewhere in the text; `^` and `$` bind it to its ends.
    pub pattern: Option<Pattern>,
    /// The only values there may be; empty when any may.
    pub one_of: Vec<Constant>,
    /// No two records have the same.
    pub unique: bool,
    /// Neither empty text nor nothing but white space.
    pub not_empty: bool,
}

/// A least and a most, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds<T> {
    /// The least there may be.
    pub min: Option<T>,
    /// The most there may be.
    pub max: Option<T>,
}

/// A regular expression, compared by its text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it.
    ///
    /// *Errors* – what is wrong with it, in the words of the crate `regex`.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        Regex::new(text).map(Pattern)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Rules {
    /// Every rule in words: `range 0 to 150`.
    pub fn words(&self) -> Vec<String> {
        let one_of = (!self.one_of.is_empty()).then(|| format!("one of {}", shown(&self.one_of)));
        let words = [
            self.range.as_ref().map(|range| format!("range {range}")),
            self.length
                .as_ref()
                .map(|length| format!("length {length}")),
            self.pattern
                .as_ref()
                .map(|pattern| format!("pattern {}", pattern.text())),
            one_of,
            self.unique.then(|| "unique".to_owned()),
            self.not_empty.then(|| "not empty".to_owned()),
        ];
        words.into_iter().flatten().collect()
    }

    /// The first rule that a value breaks, in words; `None` if it satisfies all but `unique`, which
    /// one value alone cannot break.
    pub fn broken_by(&self, value: &Constant, logical: &LogicalType) -> Option<String> {
        let text = value.text();
        if let Some(range) = &self.range
            && !range.admit(|bound| value.order(bound, logical))
        {
            return Some(format!("range {range}"));
        }
        let characters = text.chars().count() as u64;
        if let Some(length) = &self.length
            && !length.admit(|bound| Some(characters.cmp(bound)))
        {
            return Some(format!("length {length}"));
        }
        if let Some(pattern) = &self.pattern
            && !pattern.0.is_match(text)
        {
            return Some(format!("pattern {}", pattern.text()));
        }
        if !self.one_of.is_empty() && !contains(&self.one_of, value, logical) {
            return Some(format!("one_of {}", shown(&self.one_of)));
        }
        (self.not_empty && text.trim().is_empty()).then(|| "not_empty".to_owned())
    }
}

/// Whether a list holds a value: numbers and times by what they are, not by their spelling.
pub fn contains(list: &[Constant], value: &Constant, logical: &LogicalType) -> bool {
    let same = |one: &Constant| match one.order(value, logical) {
        Some(order) => order == Ordering::Equal,
        None => one == value,
    };
    list.iter().any(same)
}

impl<T> Bounds<T> {
    /// Whether a value lies between them; `order` compares it with a bound. What has no order lies
    /// nowhere.
    fn admit(&self, order: impl Fn(&T) -> Option<Ordering>) -> bool {
        let above = self
            .min
            .as_ref()
            .is_none_or(|min| order(min).is_some_and(Ordering::is_ge));
        let below = self
            .max
            .as_ref()
            .is_none_or(|max| order(max).is_some_and(Ordering::is_le));
        above && below
    }
}

impl<T: fmt::Display> fmt::Display for Bounds<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => write!(f, "{min} to {max}"),
            (Some(min), None) => write!(f, "{min} and more"),
            (None, Some(max)) => write!(f, "{max} and less"),
            (None, None) => f.write_str("any"),
        }
    }
}

/// A list for people.
pub fn shown(list: &[Constant]) -> String {
    let texts: Vec<&str> = list.iter().map(Constant::text).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_in_no_range_and_infinity_beyond_every_end() {
        let bounds = |min: Option<&str>, max: Option<&str>| Rules {
            range: Some(Bounds {
                min: min.map(Constant::of_text),
                max: max.map(Constant::of_text),
            }),
            ..Rules::default()
        };
        let breaks = |rules: &Rules, value: &str| {
            let broken = rules.broken_by(&Constant::of_text(value), &LogicalType::Float64);
            broken.is_some()
        };
        for (value, min, max) in [
            ("NaN", true, true),
            ("inf", false, true),
            ("-inf", true, false),
        ] {
            assert_eq!(breaks(&bounds(Some("0"), None), value), min, "{value}");
            assert_eq!(breaks(&bounds(None, Some("0")), value), max, "{value}");
        }
    }
}
