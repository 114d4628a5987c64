//! The rules of a field, compiled for columns: each is one pass that marks the rows breaking it.
//!
//! Bounds and lists are brought to the column's own type once; a pass allocates nothing but its
//! marks, one bit a row, and those only stay where a row is marked.

mod among;
mod range;
mod text;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use dkhost_core::text::Appender;
use dkhost_core::{Error, LogicalType, Result};
use dkhost_schema::constant::Constant;
use dkhost_schema::rule::{Bounds, Rules, shown as listed};
use regex::Regex;

use self::among::among;
use self::range::between;
use self::text::{Length, Matches, NotEmpty};
use super::violations::cut;
use crate::expr::convert::value_text;

/// One rule of a field.
pub(super) struct Rule {
    /// The code of its violations.
    pub(super) code: &'static str,
    test: Box<dyn Test>,
    says: Says,
}

/// Marks the rows of a column that break a rule.
trait Test: Send + Sync {
    /// `None` when no row does. Nulls never do.
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer>;
}

/// What a violation says besides the value.
enum Says {
    Range(Bounds<Constant>),
    Length(Bounds<u64>),
    Pattern(String),
    OneOf(String),
    NotEmpty,
}

impl Rule {
    /// The rules of a field but `required` and `unique`, in the order they are told.
    ///
    /// *Errors* – none for what the schema file was checked for.
    pub(super) fn compile(rules: &Rules, logical: &LogicalType) -> Result<Vec<Rule>> {
        let mut compiled = Vec::new();
        let mut add = |code, test, says| compiled.push(Rule { code, test, says });
        if let Some(range) = &rules.range {
            add(
                "schema::range",
                between(range, logical)?,
                Says::Range(range.clone()),
            );
        }
        if let Some(length) = &rules.length {
            let test = Length {
                min: length.min.unwrap_or(0),
                max: length.max.unwrap_or(u64::MAX),
            };
            add(
                "schema::length",
                Box::new(test),
                Says::Length(length.clone()),
            );
        }
        if let Some(pattern) = &rules.pattern {
            let regex = Regex::new(pattern.text())
                .map_err(|cause| Error::bug("a pattern was none after all").caused_by(cause))?;
            let says = Says::Pattern(pattern.text().to_owned());
            add("schema::pattern", Box::new(Matches(regex)), says);
        }
        if !rules.one_of.is_empty() {
            let says = Says::OneOf(listed(&rules.one_of));
            add("schema::one_of", among(&rules.one_of, logical)?, says);
        }
        if rules.not_empty {
            add("schema::not_empty", Box::new(NotEmpty), Says::NotEmpty);
        }
        Ok(compiled)
    }

    /// Marks the rows that break it; `None` when no row does.
    pub(super) fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        if column.null_count() == column.len() {
            return None;
        }
        self.test.broken(column)
    }

    /// What is wrong with a row that breaks it.
    pub(super) fn text(
        &self,
        name: &str,
        column: &ArrayRef,
        row: usize,
        of: &LogicalType,
    ) -> String {
        let value = value_text(column, row, of);
        match &self.says {
            Says::Range(Bounds {
                min: Some(min),
                max: None,
            }) => {
                format!("`{name}` is {value}, less than {min}")
            }
            Says::Range(Bounds {
                min: None,
                max: Some(max),
            }) => {
                format!("`{name}` is {value}, more than {max}")
            }
            Says::Range(range) => format!("`{name}` is {value}, not in {range}"),
            Says::Length(length) => {
                let characters = column.as_string::<i32>().value(row).chars().count();
                let wanted = match length {
                    Bounds {
                        min: Some(min),
                        max: None,
                    } => format!("fewer than {min}"),
                    Bounds {
                        min: None,
                        max: Some(max),
                    } => format!("more than {max}"),
                    both => format!("not {both}"),
                };
                format!("`{name}` is {value}, which has {characters} characters, {wanted}")
            }
            Says::Pattern(pattern) => {
                format!("`{name}` is {value}, which does not match {}", cut(pattern))
            }
            Says::OneOf(list) => format!("`{name}` is {value}, not one of {}", cut(list)),
            Says::NotEmpty => format!("`{name}` is {value}, which is empty"),
        }
    }
}

/// Marks of the rows that have a value and are `bad`; `None` when there are none.
fn marks(column: &dyn Array, mut bad: impl FnMut(usize) -> bool) -> Option<BooleanBuffer> {
    let marks = match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => BooleanBuffer::collect_bool(column.len(), bad),
        Some(nulls) => {
            BooleanBuffer::collect_bool(column.len(), |row| nulls.is_valid(row) && bad(row))
        }
    };
    (marks.count_set_bits() > 0).then_some(marks)
}

/// The constants as a column of their type.
pub(super) fn native<'a>(
    constants: impl IntoIterator<Item = &'a Constant>,
    logical: &LogicalType,
) -> Result<ArrayRef> {
    let mut column = Appender::new(logical);
    for constant in constants {
        if !column.append(constant.text()) {
            return Err(Error::bug(format!(
                "`{constant}` is no {logical} after all"
            )));
        }
    }
    column.finish()
}
