//! The rules that a table checks itself: as constraints, known again by a comment that says what
//! they say, so that nobody else's constraint is ever dropped.

use dkhost_core::text::Number;
use dkhost_core::{Constraint, ConstraintRule, Error, LogicalType, OpenTarget, Reshape, Result};
use tokio_postgres::types::Type;

use super::super::mark;
use super::super::plan::LOOKING;
use super::changes::{Columns, plain};
use crate::catalog::Table;
use crate::name::{NAME_BYTES, literal, quote};
use crate::session::Session;

/// How the comment of each of our constraints begins; what it says follows.
const OURS: &str = "dkhost: ";

/// A constraint that comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub name: String,
    /// The column it is about.
    pub column: String,
    /// What stands behind the name: `CHECK (…)` or `UNIQUE (…)`.
    pub definition: String,
    /// The same for people.
    shown: String,
}

impl Rule {
    pub(super) fn is_unique(&self) -> bool {
        self.definition.starts_with("UNIQUE")
    }

    /// For the plan, after `ALTER TABLE t`.
    pub(super) fn told(&self) -> String {
        format!("ADD CONSTRAINT {} {}", plain(&self.name), self.shown)
    }
}

/// A constraint that is there and whose name is one of the schema's.
#[derive(Debug)]
pub(super) struct Known {
    pub name: String,
    /// Of a unique constraint its columns.
    pub columns: Option<Vec<String>>,
    pub is_ours: bool,
    /// What our comment says it is.
    pub definition: String,
}

/// What the comment of a constraint of ours says.
pub(super) fn comment(definition: &str) -> String {
    format!("{OURS}{definition}")
}

/// The constraints of a table whose names begin as those of the schema do, or that we made.
pub(super) fn known(session: &mut Session, table: &Table, schema: &str) -> Result<Vec<Known>> {
    let sql = "SELECT c.conname::text, c.contype = 'u', coalesce(obj_description(c.oid, 'pg_constraint'), ''), \
                 (SELECT array_agg(a.attname::text ORDER BY k.at) FROM unnest(c.conkey) WITH ORDINALITY AS k(num, at) \
                    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num), \
                 starts_with(c.conname::text, $2) \
               FROM pg_catalog.pg_constraint c WHERE c.conrelid = $1::oid AND c.contype IN ('c', 'u', 'f', 'x', 'p') \
               ORDER BY c.conname";
    let (oid, prefix) = (i64::from(table.oid), format!("{schema}_"));
    let rows = session.rows(LOOKING, sql, &[(&oid, Type::INT8), (&prefix, Type::TEXT)])?;
    let known = rows.iter().map(|row| {
        let (unique, said, ours): (bool, &str, bool) = (row.get(1), row.get(2), row.get(4));
        let definition = said.strip_prefix(OURS).filter(|_| ours);
        Known {
            name: row.get(0),
            columns: row.get::<_, Option<Vec<String>>>(3).filter(|_| unique),
            is_ours: definition.is_some(),
            definition: definition.unwrap_or_default().to_owned(),
        }
    });
    Ok(known.collect())
}

/// The name of a unique constraint over exactly these columns.
pub(super) fn unique_on(
    session: &mut Session,
    table: &str,
    columns: &[String],
) -> Result<Option<String>> {
    let sql = "SELECT c.conname::text FROM pg_catalog.pg_constraint c \
               WHERE c.conrelid = $1::text::regclass AND c.contype = 'u' AND $2 = \
                 (SELECT array_agg(a.attname::text ORDER BY k.at) FROM unnest(c.conkey) WITH ORDINALITY AS k(num, at) \
                    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num) \
               ORDER BY c.oid DESC";
    let columns = columns.to_vec();
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&table, Type::TEXT), (&columns, Type::TEXT_ARRAY)];
    let rows = session.rows(LOOKING, sql, &parameters)?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Constraints of ours that the server has not checked the rows for.
pub(super) fn unchecked(session: &mut Session, table: &str) -> Result<Vec<String>> {
    let sql = "SELECT c.conname::text FROM pg_catalog.pg_constraint c \
               WHERE c.conrelid = $1::text::regclass AND c.contype = 'c' AND NOT c.convalidated \
                 AND starts_with(coalesce(obj_description(c.oid, 'pg_constraint'), ''), $2) ORDER BY 1";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&table, Type::TEXT), (&OURS, Type::TEXT)];
    let rows = session.rows(LOOKING, sql, &parameters)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The error where a name is another's.
pub(super) fn taken(table: &Table, name: &str) -> Error {
    Error::config(
        "postgres::name_taken",
        format!(
            "{} has a constraint `{name}` that dkhost did not make, and the schema's rule would have its name",
            table.label()
        ),
    )
    .help(format!(
        "rename it: ALTER TABLE {} RENAME CONSTRAINT {} TO …",
        table.sql().unwrap_or_default(),
        plain(name)
    ))
}

/// The rules for a table that is there.
pub(super) fn wanted(
    table: &Table,
    columns: &Columns,
    reshape: &Reshape,
    open: &OpenTarget,
    notes: &mut Vec<String>,
) -> Result<Vec<Rule>> {
    let is_key = |constraint: &Constraint| {
        let before = columns.before.get(&constraint.column);
        before.is_some_and(|before| {
            !columns.dropped.contains(before) && table.primary_key() == [before.as_str()]
        })
    };
    let type_of = |name: &str| columns.types.get(name).cloned();
    rules(reshape, open, &is_key, &type_of, notes)
}

/// The rules for a table that is created from the plan.
pub(super) fn for_new(
    reshape: &Reshape,
    open: &OpenTarget,
    notes: &mut Vec<String>,
) -> Result<Vec<Rule>> {
    let is_key = |constraint: &Constraint| {
        let key = open.key();
        key.len() == 1 && key[0].name == constraint.column
    };
    rules(reshape, open, &is_key, &|_| Some(String::new()), notes)
}

/// `type_of` says which type a column will have; none for one that will not be there.
fn rules(
    reshape: &Reshape,
    open: &OpenTarget,
    is_key: &dyn Fn(&Constraint) -> bool,
    type_of: &dyn Fn(&str) -> Option<String>,
    notes: &mut Vec<String>,
) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for constraint in &reshape.constraints {
        // The primary key says so already.
        if constraint.rule == ConstraintRule::Unique && is_key(constraint) {
            continue;
        }
        let there = type_of(&constraint.column)
            .filter(|_| open.schema.index_of(&constraint.column).is_some());
        let Some(ty) = there else {
            return Err(Error::bug(format!(
                "a rule is about the column `{}`, which the plan does not have",
                constraint.column
            )));
        };
        match rule(constraint, &ty)? {
            Some(rule) => rules.push(rule),
            None => notes.push(format!(
                "the table does not check {} itself: a column of {} has no such rule",
                plain(&constraint.name),
                constraint.logical
            )),
        }
    }
    Ok(rules)
}

/// A rule as a constraint; `None` where the server has no word for it.
fn rule(constraint: &Constraint, ty: &str) -> Result<Option<Rule>> {
    let quoted = quote(&constraint.column)?;
    let Some(definition) = definition(constraint, ty, &quoted) else {
        return Ok(None);
    };
    Ok(Some(Rule {
        name: shortened(&constraint.name),
        column: constraint.column.clone(),
        shown: definition.replace(&quoted, &plain(&constraint.column)),
        definition,
    }))
}

/// A name that the server keeps whole, told apart from others by what was cut off.
fn shortened(name: &str) -> String {
    if name.len() <= NAME_BYTES {
        return name.to_owned();
    }
    let tail = format!("_{:016x}", mark(name));
    let mut cut = NAME_BYTES - tail.len();
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{tail}", &name[..cut])
}

fn definition(constraint: &Constraint, ty: &str, quoted: &str) -> Option<String> {
    if constraint.rule == ConstraintRule::Unique {
        return (!matches!(
            constraint.logical,
            LogicalType::Json | LogicalType::Vector(_)
        ))
        .then(|| format!("UNIQUE ({quoted})"));
    }
    let logical = &constraint.logical;
    let text = match is_text(ty) {
        true => quoted.to_owned(),
        false => format!("{quoted}::text"),
    };
    let all: Vec<String> = match &constraint.rule {
        ConstraintRule::Range { min, max } => {
            let column = match logical {
                // By code points, as everywhere else here.
                LogicalType::Utf8 => format!("{text} COLLATE \"C\""),
                LogicalType::Json | LogicalType::Vector(_) => return None,
                _ => quoted.to_owned(),
            };
            let bound = |sign: &str, value: &String| {
                format!("{column} {sign} {}", value_of(logical, value))
            };
            let min = min.iter().map(|value| bound(">=", value));
            min.chain(max.iter().map(|value| bound("<=", value)))
                .collect()
        }
        ConstraintRule::Length { min, max } => {
            let length = match logical {
                LogicalType::Utf8 => format!("char_length({text})"),
                LogicalType::Binary => format!("octet_length({quoted})"),
                _ => return None,
            };
            let min = min.iter().map(|count| format!("{length} >= {count}"));
            min.chain(max.iter().map(|count| format!("{length} <= {count}")))
                .collect()
        }
        ConstraintRule::OneOf(values) => {
            let column = match logical {
                LogicalType::Vector(_) => return None,
                LogicalType::Json => format!("{quoted}::jsonb"),
                LogicalType::Utf8 => text,
                _ => quoted.to_owned(),
            };
            let values = values.iter().map(|value| value_of(logical, value));
            let values: Vec<String> = values.collect();
            match values.is_empty() {
                true => vec![format!("{quoted} IS NULL")],
                false => vec![format!("{column} IN ({})", values.join(", "))],
            }
        }
        ConstraintRule::Unique => return None,
    };
    (!all.is_empty()).then(|| format!("CHECK ({})", all.join(" AND ")))
}

/// Whether values of this type are texts to the server; a new table's texts are.
fn is_text(ty: &str) -> bool {
    ty.is_empty() || ty == "text" || ty.starts_with("character varying")
}

/// A value as it stands in SQL.
fn value_of(logical: &LogicalType, value: &str) -> String {
    let text = literal(value);
    let text = text.trim_start();
    let cast = match logical {
        LogicalType::Int32
        | LogicalType::Int64
        | LogicalType::UInt64
        | LogicalType::Decimal(..)
        | LogicalType::Number => match Number::parse(value) {
            Some(_) => return value.trim().to_owned(),
            None => "numeric",
        },
        LogicalType::Null | LogicalType::Utf8 | LogicalType::Vector(_) => return text.to_owned(),
        LogicalType::Binary => return format!("decode({text}, 'base64')"),
        LogicalType::Boolean => "boolean",
        LogicalType::Float32 => "real",
        LogicalType::Float64 => "double precision",
        LogicalType::Json => "jsonb",
        LogicalType::Date32 => "date",
        LogicalType::Time64 => "time",
        LogicalType::Timestamp(None) => "timestamp",
        LogicalType::Timestamp(Some(_)) => "timestamptz",
        LogicalType::Uuid => "uuid",
    };
    format!("{text}::{cast}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(logical: &str, rule_: ConstraintRule) -> Option<String> {
        let constraint = Constraint {
            name: "user_v".to_owned(),
            column: "v".to_owned(),
            logical: logical.parse().unwrap(),
            rule: rule_,
        };
        Some(rule(&constraint, "").unwrap()?.shown)
    }

    fn range(min: Option<&str>, max: Option<&str>) -> ConstraintRule {
        ConstraintRule::Range {
            min: min.map(str::to_owned),
            max: max.map(str::to_owned),
        }
    }

    #[test]
    fn each_rule_is_a_check_in_the_columns_type() {
        let one_of = |values: &[&str]| {
            ConstraintRule::OneOf(values.iter().map(|value| (*value).to_owned()).collect())
        };
        for (logical, rule, told_) in [
            (
                "int64",
                range(Some("0"), Some("150")),
                "CHECK (v >= 0 AND v <= 150)",
            ),
            (
                "decimal(10,2)",
                range(Some("-0.5"), None),
                "CHECK (v >= -0.5)",
            ),
            (
                "float32",
                range(None, Some("0.1")),
                "CHECK (v <= '0.1'::real)",
            ),
            (
                "utf8",
                range(Some("a"), None),
                "CHECK (v COLLATE \"C\" >= 'a')",
            ),
            (
                "date32",
                range(Some("2020-01-01"), None),
                "CHECK (v >= '2020-01-01'::date)",
            ),
            (
                "utf8",
                ConstraintRule::Length {
                    min: Some(1),
                    max: Some(3),
                },
                "CHECK (char_length(v) >= 1 AND char_length(v) <= 3)",
            ),
            (
                "binary",
                ConstraintRule::Length {
                    min: None,
                    max: Some(3),
                },
                "CHECK (octet_length(v) <= 3)",
            ),
            (
                "utf8",
                one_of(&["it's", "b"]),
                "CHECK (v IN ('it''s', 'b'))",
            ),
            ("json", one_of(&["1"]), "CHECK (v::jsonb IN ('1'::jsonb))"),
            (
                "boolean",
                one_of(&["true"]),
                "CHECK (v IN ('true'::boolean))",
            ),
            ("utf8", one_of(&[]), "CHECK (v IS NULL)"),
            ("utf8", ConstraintRule::Unique, "UNIQUE (v)"),
        ] {
            assert_eq!(told(logical, rule).as_deref(), Some(told_));
        }
    }

    #[test]
    fn what_the_server_cannot_check_is_left_to_others() {
        assert_eq!(told("json", range(Some("1"), None)), None);
        assert_eq!(told("json", ConstraintRule::Unique), None);
        assert_eq!(
            told(
                "int64",
                ConstraintRule::Length {
                    min: Some(1),
                    max: None
                }
            ),
            None
        );
        assert_eq!(told("int64", range(None, None)), None);
    }

    #[test]
    fn a_name_that_the_server_would_cut_is_told_apart() {
        let long = format!("user_{}", "ä".repeat(40));
        let (one, other) = (
            shortened(&format!("{long}_range")),
            shortened(&format!("{long}_length")),
        );
        assert!(
            one.len() <= NAME_BYTES && one.starts_with("user_ää"),
            "{one}"
        );
        assert_ne!(one, other);
        assert_eq!(shortened("user_age_range"), "user_age_range");
    }
}
