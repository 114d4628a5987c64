//! Rules of a schema that a table checks itself, and how they are told from other people's.

use dkhost_core::{Constraint, ConstraintRule, LogicalType, Result};

use crate::name::quote;

/// Stands behind the name of every constraint of ours, so that nobody else's is ever taken away.
const OURS: &str = "/* dkhost */";

/// What a table checks: `CONSTRAINT name CHECK (…)`; `None` for what SQLite cannot compare in the
/// form in which it holds the type.
pub(super) fn check(constraint: &Constraint) -> Result<Option<String>> {
    let column = quote(&constraint.column)?;
    let value = |text: &str| literal(text, &constraint.logical);
    let condition = match &constraint.rule {
        ConstraintRule::Range { min, max } => {
            let ends = [(min, ">="), (max, "<=")];
            let mut parts = Vec::new();
            for (end, sign) in ends {
                match end.as_deref().map(value) {
                    Some(Some(end)) => parts.push(format!("{column} {sign} {end}")),
                    Some(None) => return Ok(None),
                    None => (),
                }
            }
            parts.join(" AND ")
        }
        ConstraintRule::Length { min, max } => {
            let ends = [(min, ">="), (max, "<=")];
            let bound = |(end, sign): &(&Option<u64>, &str)| {
                end.map(|end| format!("length({column}) {sign} {end}"))
            };
            ends.iter()
                .filter_map(bound)
                .collect::<Vec<_>>()
                .join(" AND ")
        }
        ConstraintRule::OneOf(values) => {
            let values: Option<Vec<String>> = values.iter().map(|text| value(text)).collect();
            match values {
                Some(values) => format!("{column} IN ({})", values.join(", ")),
                None => return Ok(None),
            }
        }
        ConstraintRule::Unique => return Ok(None),
    };
    let name = quote(&constraint.name)?;
    Ok((!condition.is_empty()).then(|| format!("CONSTRAINT {name} {OURS} CHECK ({condition})")))
}

/// The index of a unique column.
pub(super) fn index(constraint: &Constraint, table: &str) -> Result<String> {
    Ok(format!(
        "CREATE UNIQUE INDEX {} ON {} {OURS} ({})",
        quote(&constraint.name)?,
        quote(table)?,
        quote(&constraint.column)?
    ))
}

/// Whether an index was made for a version of a schema.
pub(super) fn is_ours(name: &str, sql: &str, schema: &str) -> bool {
    sql.contains(OURS) && name.starts_with(&format!("{schema}_"))
}

/// A value as SQLite compares it; `None` for types that it holds as text of another order.
fn literal(text: &str, logical: &LogicalType) -> Option<String> {
    match logical {
        LogicalType::Int32 | LogicalType::Int64 | LogicalType::Float64 => Some(text.to_owned()),
        // A value is held as the double that it is, which the same digits need not be.
        LogicalType::Float32 => {
            let single: f32 = text.parse().ok()?;
            single
                .is_finite()
                .then(|| format!("{:?}", f64::from(single)))
        }
        LogicalType::Utf8 | LogicalType::Date32 => Some(format!("'{}'", text.replace('\'', "''"))),
        _ => None,
    }
}

/// A table's definition without the checks that an earlier version of the schema brought.
pub(super) fn without(sql: &str, schema: &str) -> String {
    let mut left = sql.to_owned();
    let prefix = format!("{schema}_").replace('"', "\"\"");
    while let Some((start, end)) = find(&left, &prefix) {
        left.replace_range(start..end, "");
    }
    left
}

/// Where a check of ours stands, with the comma before it.
fn find(sql: &str, prefix: &str) -> Option<(usize, usize)> {
    let opening = format!("CONSTRAINT \"{prefix}");
    let mut from = 0;
    while let Some(at) = sql[from..].find(&opening).map(|at| from + at) {
        from = at + opening.len();
        let check = from + sql[from..].find(OURS)? + OURS.len();
        let name = &sql[at..check];
        let open = sql[check..].find('(').map(|open| check + open)?;
        let before = sql[..at].trim_end();
        if name.contains([')', ',']) || !before.ends_with(',') {
            continue;
        }
        return Some((before.len() - 1, closing(sql, open)? + 1));
    }
    None
}

/// A table's definition with further checks, behind its columns.
pub(super) fn with(sql: &str, checks: &[String]) -> Option<String> {
    if checks.is_empty() {
        return Some(sql.to_owned());
    }
    let end = closing(sql, outside(sql, |c| c == '(')?)?;
    let (columns, rest) = sql.split_at(end);
    Some(format!(
        "{}, {}{rest}",
        columns.trim_end(),
        checks.join(", ")
    ))
}

/// Where the parenthesis that opens at `open` is closed.
fn closing(sql: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    let end = outside(&sql[open..], |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => (),
        }
        depth == 0
    })?;
    Some(open + end)
}

/// The first character outside of quotes and comments for which `is` holds.
fn outside(sql: &str, mut is: impl FnMut(char) -> bool) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let skip = match c {
            '"' | '\'' | '`' => 1 + rest[1..].find(c)? + 1,
            '[' => rest.find(']')? + 1,
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/")? + 2,
            c if is(c) => return Some(at),
            c => c.len_utf8(),
        };
        at += skip;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(name: &str) -> Constraint {
        Constraint {
            name: name.into(),
            column: "age".into(),
            logical: LogicalType::Int64,
            rule: ConstraintRule::Range {
                min: Some("0".into()),
                max: Some("150".into()),
            },
        }
    }

    #[test]
    fn checks_come_behind_the_columns_and_go_again() {
        let plain = "CREATE TABLE t (age INT CHECK (age <> ')'), -- a )\n \"b)\" TEXT) STRICT";
        let checks = [check(&range("user_age_range")).unwrap().unwrap()];
        let with = with(plain, &checks).unwrap();
        assert_eq!(
            with,
            "CREATE TABLE t (age INT CHECK (age <> ')'), -- a )\n \"b)\" TEXT, \
             CONSTRAINT \"user_age_range\" /* dkhost */ CHECK (\"age\" >= 0 AND \"age\" <= 150)) STRICT"
        );
        assert_eq!(without(&with, "user"), plain);
        assert_eq!(without(&with, "use"), with, "of another schema");
        let theirs = "CREATE TABLE t (a INT, CONSTRAINT \"user_a\" CHECK (a > 0))";
        assert_eq!(without(theirs, "user"), theirs, "somebody else's");
    }

    #[test]
    fn a_bound_of_single_floats_is_the_double_that_a_value_is() {
        let float = Constraint {
            logical: LogicalType::Float32,
            rule: ConstraintRule::OneOf(vec!["-0.1".into(), "0.5".into()]),
            ..range("user_age_range")
        };
        assert!(
            check(&float)
                .unwrap()
                .unwrap()
                .ends_with("(\"age\" IN (-0.10000000149011612, 0.5))")
        );
    }

    #[test]
    fn what_sqlite_would_compare_wrongly_is_no_check() {
        let decimal = Constraint {
            logical: LogicalType::Decimal(10, 2),
            ..range("user_age_range")
        };
        assert_eq!(check(&decimal).unwrap(), None);
        let date = Constraint {
            logical: LogicalType::Date32,
            rule: ConstraintRule::OneOf(vec!["2026-01-31".into(), "o'clock".into()]),
            ..range("user_day")
        };
        assert!(
            check(&date)
                .unwrap()
                .unwrap()
                .ends_with("IN ('2026-01-31', 'o''clock'))")
        );
    }
}
