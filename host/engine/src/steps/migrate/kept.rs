//! The values that migrations took out of a record: an object, and in it, under the object's own name,
//! those that were kept under the same names before.
//!
//! What was kept last is restored first: on the way down each migration gets back what it took.

use dkhost_core::{Error, Result};
use dkhost_schema::REMOVED;
use serde_json::value::RawValue;

use crate::steps::rest::{entries, object};

/// How often one field is removed before it is restored, at the most. Each level is read with all
/// below it, so that a record made up of levels would keep the step busy for minutes.
const DEPTH_MAX: usize = 64;

/// Values by field, those kept last first; a field without a value above older ones was null.
#[derive(Default)]
pub(super) struct Kept<'a> {
    levels: Vec<Vec<(String, &'a RawValue)>>,
}

impl<'a> Kept<'a> {
    /// Reads what a record has; `None` for what is no object of that kind, or too deep.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut kept = Kept::default();
        let mut next = Some(text);
        while let Some(text) = next {
            if kept.levels.len() == DEPTH_MAX {
                return None;
            }
            let mut level = entries(text).ok()?;
            let older = level.iter().position(|(name, _)| name == REMOVED);
            next = older.map(|at| level.remove(at).1.get());
            kept.levels.push(level);
        }
        Some(kept)
    }

    /// Keeps a field's value; older ones stay below it.
    pub(super) fn push(&mut self, name: &str, value: Option<&'a RawValue>) {
        let has = |level: &Vec<(String, _)>| level.iter().any(|(known, _)| known == name);
        if let Some(deepest) = self.levels.iter().rposition(has) {
            for depth in (0..=deepest).rev() {
                self.shift(name, depth, depth + 1);
            }
        }
        if let Some(value) = value {
            self.level(0).push((name.to_owned(), value));
        }
    }

    /// Takes out the value of a field that was kept last.
    pub(super) fn pop(&mut self, name: &str) -> Option<&'a RawValue> {
        let value = self.levels.first_mut().and_then(|level| take(level, name));
        for depth in 1..self.levels.len() {
            self.shift(name, depth, depth - 1);
        }
        value
    }

    /// The object as text; `None` if nothing is kept.
    ///
    /// *Errors* – never for what was read or is JSON.
    pub(super) fn text(&self) -> Result<Option<String>> {
        let mut older: Option<Box<RawValue>> = None;
        for level in self.levels.iter().rev() {
            let values = level.iter().map(|(name, value)| (name.as_str(), *value));
            let below = older.as_deref().map(|older| (REMOVED, older));
            let all: Vec<(&str, &RawValue)> = values.chain(below).collect();
            if !all.is_empty() {
                older = Some(raw(object(&all)?)?);
            }
        }
        Ok(older.map(|text| text.get().to_owned()))
    }

    fn shift(&mut self, name: &str, from: usize, to: usize) {
        if let Some(value) = take(&mut self.levels[from], name) {
            self.level(to).push((name.to_owned(), value));
        }
    }

    fn level(&mut self, depth: usize) -> &mut Vec<(String, &'a RawValue)> {
        if self.levels.len() <= depth {
            self.levels.resize_with(depth + 1, Vec::new);
        }
        &mut self.levels[depth]
    }
}

fn take<'a>(level: &mut Vec<(String, &'a RawValue)>, name: &str) -> Option<&'a RawValue> {
    let at = level.iter().position(|(known, _)| known == name)?;
    Some(level.remove(at).1)
}

fn raw(json: String) -> Result<Box<RawValue>> {
    RawValue::from_string(json)
        .map_err(|cause| Error::bug("kept values are no JSON").caused_by(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words are pushed as `a=1`, `a` for null; popped as `-a`, and what comes is written behind `>`.
    fn story(start: &str, words: &str) -> String {
        let values: Vec<Box<RawValue>> = (0..10)
            .map(|number: u8| RawValue::from_string(number.to_string()).unwrap())
            .collect();
        let mut kept = Kept::read(start).unwrap();
        let mut came = String::new();
        for word in words.split_whitespace() {
            match (word.strip_prefix('-'), word.split_once('=')) {
                (Some(name), _) => {
                    let value = kept.pop(name).map_or("nothing", RawValue::get);
                    came += &format!(" > {value}");
                }
                (None, Some((name, value))) => {
                    let at: usize = value.parse().unwrap();
                    kept.push(name, Some(&values[at]));
                }
                (None, None) => kept.push(word, None),
            }
        }
        format!("{}{came}", kept.text().unwrap().unwrap_or_default())
    }

    #[test]
    fn what_was_kept_last_comes_back_first() {
        assert_eq!(story("{}", "a=1 b=2"), r#"{"a":1,"b":2}"#);
        assert_eq!(story("{}", "a=1 a=2"), r#"{"a":2,"_removed":{"a":1}}"#);
        assert_eq!(
            story("{}", "a=1 a=2 b=3 -a -a -a"),
            r#"{"b":3} > 2 > 1 > nothing"#
        );
        assert_eq!(
            story(r#"{"a":2,"_removed":{"a":1}}"#, "-a"),
            r#"{"a":1} > 2"#
        );
    }

    #[test]
    fn a_null_above_an_older_value_hides_it() {
        assert_eq!(story("{}", "a"), "");
        assert_eq!(story("{}", "a=1 a"), r#"{"_removed":{"a":1}}"#);
        assert_eq!(story("{}", "a=1 a -a -a"), " > nothing > 1");
        assert_eq!(story("{}", "a=1 a a=3 -a -a -a"), " > 3 > nothing > 1");
    }

    #[test]
    fn what_is_no_object_is_not_read() {
        for text in ["5", "[]", "null", r#"{"_removed":5}"#, "{"] {
            assert!(Kept::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_no_migrations_nest_so_deep_is_not_read() {
        let nested = |levels: usize| {
            let (open, close) = (r#"{"_removed":"#.repeat(levels), "}".repeat(levels));
            format!(r#"{open}{{"a":1}}{close}"#)
        };
        assert!(Kept::read(&nested(DEPTH_MAX - 1)).is_some());
        assert!(Kept::read(&nested(DEPTH_MAX)).is_none());
    }
}
