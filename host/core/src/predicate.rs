//! Conditions a source may check itself, so that records nobody wants are not sent.
//!
//! The engine offers a source the parts of the job's `filter` that have this form; the source
//! takes those it can check with exactly the same outcome and says which ([`crate::Source::pushed`]).
//! The rest is checked by the engine. SQL's three values hold: a record passes where the condition
//! is true, not where it is unknown.
//!
//! What a comparison means is what the engine's own filter does: text and bytes compare byte by
//! byte; false is less than true; a NaN in a column is greater than infinity (with its sign bit
//! set: less than -infinity), and the zeros are equal. No literal is a NaN, and none in a list is a
//! zero of floats. The memory backend is the reference ([`crate::memory::decide`]).

use serde::{Deserialize, Serialize};

use crate::LogicalType;

/// A condition on the columns of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Predicate {
    /// `column op value`.
    Compare {
        /// The column's name.
        column: String,
        /// How it is compared.
        op: Comparison,
        /// With what.
        value: Literal,
    },
    /// `column [not] in (values)`; no value is null.
    In {
        /// The column's name.
        column: String,
        /// The values.
        values: Vec<Literal>,
        /// `not in`.
        negated: bool,
    },
    /// `column is [not] null`.
    IsNull {
        /// The column's name.
        column: String,
        /// `is not null`.
        negated: bool,
    },
    /// A boolean column by itself.
    Column(String),
    /// All of them.
    And(Vec<Predicate>),
    /// Any of them.
    Or(Vec<Predicate>),
    /// Not.
    Not(Box<Predicate>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Its spelling in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

/// A value of the type its column has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Literal {
    /// The type, as [`LogicalType`] spells it.
    pub logical: String,
    /// The value in the text form of `dkhost_core::text`: `42`, `2024-01-31T10:00:00Z`, `true`.
    pub text: String,
}

impl Literal {
    /// A value of `logical` written as `text`.
    pub fn new(logical: &LogicalType, text: impl Into<String>) -> Self {
        Literal {
            logical: logical.to_string(),
            text: text.into(),
        }
    }
}

impl Predicate {
    /// The columns it looks at, each once, in order of appearance.
    pub fn columns(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Predicate::Compare { column, .. }
            | Predicate::In { column, .. }
            | Predicate::IsNull { column, .. }
            | Predicate::Column(column) => {
                if !found.contains(&column.as_str()) {
                    found.push(column);
                }
            }
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter().for_each(|part| part.collect(found));
            }
            Predicate::Not(part) => part.collect(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_once() {
        let null = |column: &str| Predicate::IsNull {
            column: column.into(),
            negated: false,
        };
        let both = Predicate::Or(vec![
            null("b"),
            Predicate::Not(Box::new(Predicate::And(vec![null("a"), null("b")]))),
        ]);
        assert_eq!(both.columns(), ["b", "a"]);
    }
}
