//! The type of each column, from its declared type and a sample of what it really holds.
//!
//! A candidate survives as long as every value of the sample goes into a column of its type, by
//! the same code that reads the table later; so the sample itself never has a misfit.

use dkhost_core::text::Appender;
use dkhost_core::{LogicalType, Position, Result};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::Value as Json;

use super::decode::Values;
use super::relation::{Column, Order, Relation};
use crate::affinity::{Affinity, meant};
use crate::column::{Fit, Reading, append};
use crate::fault::fault;
use crate::value::class;

/// Rows whose values decide about types.
const SAMPLE_ROWS: usize = 10_000;

/// Bytes of values after which the sample ends: a table of films should not be read for its types.
const SAMPLE_BYTES: usize = 64 << 20;

/// The type of every column, from a sample.
pub(super) fn infer(db: &Connection, relation: &Relation, columns: &[usize]) -> Result<Vec<Typed>> {
    let mut candidates: Vec<Candidates> = columns
        .iter()
        .map(|column| Candidates::new(&relation.columns[*column]))
        .collect();
    sample(db, relation, columns, &mut |value| {
        candidates
            .iter_mut()
            .enumerate()
            .for_each(|(i, candidates)| candidates.observe(value(i)));
    })?;
    let named = columns.iter().zip(candidates);
    Ok(named
        .map(|(column, candidates)| candidates.decide(&relation.columns[*column].name))
        .collect())
}

/// Shows the sample's rows to `each`.
pub(super) fn sample(
    db: &Connection,
    relation: &Relation,
    columns: &[usize],
    each: &mut dyn FnMut(Values<'_, '_>),
) -> Result<()> {
    // A query by key would be sorted for its sample; any rows of it will do.
    let order = if relation.is_table {
        relation.order.clone()
    } else {
        Order::None
    };
    let (sql, _) = relation.select(columns, &order, &Json::Null, &Position::start())?;
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = db.prepare(&format!("{sql} LIMIT {SAMPLE_ROWS}"))?;
        let mut rows = statement.query([])?;
        let mut bytes = 0;
        while let Some(row) = rows.next()?.filter(|_| bytes < SAMPLE_BYTES) {
            each(&|column| {
                row.get_ref(order.width() + column)
                    .unwrap_or(ValueRef::Null)
            });
            bytes += (0..columns.len())
                .map(|column| match row.get_ref(order.width() + column) {
                    Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => bytes.len(),
                    _ => 8,
                })
                .sum::<usize>();
        }
        Ok(())
    };
    read().map_err(|cause| fault(format!("read the sample of {}", relation.label), cause))
}

/// What is known about a column while the sample is read.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// Types that still hold every value seen, best first.
    left: Vec<(LogicalType, Appender)>,
    reading: Reading,
    affinity: Affinity,
    /// What the declared type stands for.
    wanted: Option<LogicalType>,
    is_blob: bool,
    seen: u64,
    classes: Vec<&'static str>,
}

/// The type of a column and how its values are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Typed {
    pub logical: LogicalType,
    pub reading: Reading,
    /// A line for the plan, where the declared type says something else.
    pub note: Option<String>,
}

impl Candidates {
    /// Everything a column might be.
    pub(crate) fn new(column: &Column) -> Self {
        let meant = meant(&column.declared);
        let wanted = meant.first().cloned();
        let generic = [
            LogicalType::Int64,
            LogicalType::Float64,
            LogicalType::Utf8,
            LogicalType::Binary,
        ];
        let left = meant.into_iter().chain(generic).map(|logical| {
            let column = Appender::new(&logical);
            (logical, column)
        });
        Candidates {
            left: left.collect(),
            reading: Reading::of(column.affinity),
            affinity: column.affinity,
            wanted,
            is_blob: !column.declared.is_empty(),
            seen: 0,
            classes: Vec::new(),
        }
    }

    /// Takes one value into account.
    pub(crate) fn observe(&mut self, value: ValueRef<'_>) {
        // Text that is not UTF-8 is refused wherever it stands: it decides about no type.
        if value == ValueRef::Null
            || matches!(value, ValueRef::Text(t) if std::str::from_utf8(t).is_err())
        {
            return;
        }
        self.seen += 1;
        let class = class(value);
        if !self.classes.contains(&class) {
            self.classes.push(class);
        }
        let reading = self.reading;
        self.left.retain_mut(|(logical, column)| {
            let fit = append(column, logical, reading, value);
            column.truncate(0);
            fit == Fit::Exact
        });
    }

    /// The type to read the column as.
    pub(crate) fn decide(self, name: &str) -> Typed {
        let Candidates {
            mut left,
            reading,
            affinity,
            wanted,
            is_blob,
            seen,
            classes,
        } = self;
        if seen == 0 {
            return of_nothing(wanted, affinity, is_blob, reading);
        }
        let logical = (!left.is_empty()).then(|| left.remove(0).0);
        let note = |text: String| Some(format!("`{name}` {text}"));
        match logical {
            Some(logical) => {
                let note = match wanted {
                    Some(wanted) if !same_kind(&wanted, &logical) => note(format!(
                        "is read as {logical}: not everything in the sample is {wanted}"
                    )),
                    _ => None,
                };
                Typed {
                    logical,
                    reading,
                    note,
                }
            }
            None => Typed {
                logical: LogicalType::Json,
                reading: Reading::Mixed,
                note: note(format!(
                    "is read as json, because it holds {}",
                    classes.join(" and ")
                )),
            },
        }
    }
}

/// Both are timestamps, say.
fn same_kind(a: &LogicalType, b: &LogicalType) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// The type of a column of which no value is known.
fn of_nothing(
    wanted: Option<LogicalType>,
    affinity: Affinity,
    is_blob: bool,
    reading: Reading,
) -> Typed {
    let generic = match affinity {
        Affinity::Integer => LogicalType::Int64,
        Affinity::Real | Affinity::Numeric => LogicalType::Float64,
        Affinity::Text => LogicalType::Utf8,
        Affinity::Blob if is_blob => LogicalType::Binary,
        // Nothing is known, and json holds whatever comes.
        Affinity::Blob => {
            return Typed {
                logical: LogicalType::Json,
                reading: Reading::Mixed,
                note: None,
            };
        }
    };
    Typed {
        logical: wanted.unwrap_or(generic),
        reading,
        note: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(declared: &str, values: &[ValueRef<'_>]) -> (String, Reading) {
        let affinity = Affinity::of(declared, false);
        let column = Column {
            name: "c".into(),
            declared: declared.into(),
            affinity,
            is_rowid: false,
        };
        let mut candidates = Candidates::new(&column);
        values.iter().for_each(|value| candidates.observe(*value));
        let typed = candidates.decide("c");
        (typed.logical.to_string(), typed.reading)
    }

    #[test]
    fn the_declared_type_is_believed_as_far_as_the_values_bear_it_out() {
        use ValueRef::{Blob, Integer, Null, Real, Text};
        for (declared, values, logical) in [
            ("INTEGER", vec![Integer(1), Null], "int64"),
            ("INTEGER", vec![], "int64"),
            ("BOOLEAN", vec![Integer(0), Integer(1)], "boolean"),
            ("BOOLEAN", vec![Integer(0), Integer(2)], "int64"),
            (
                "TIMESTAMP",
                vec![Text(b"2024-01-01 10:00:00")],
                "timestamp(us)",
            ),
            (
                "TIMESTAMP",
                vec![Text(b"2024-01-01T10:00:00+02:00")],
                "timestamp(us, UTC)",
            ),
            ("TIMESTAMP", vec![Integer(1_700_000_000)], "int64"),
            ("DATE", vec![Text(b"yesterday")], "utf8"),
            (
                "DECIMAL(10,2)",
                vec![Integer(5), Real(1.25)],
                "decimal(10, 2)",
            ),
            ("NUMERIC", vec![Integer(5), Real(1.25)], "float64"),
            ("VARCHAR(3)", vec![Text(b"long enough")], "utf8"),
            ("JSON", vec![Text(b"{}"), Integer(5)], "json"),
            (
                "UUID",
                vec![Text(b"0191f2a0-0000-7000-8000-000000000000")],
                "uuid",
            ),
            ("", vec![Integer(1)], "int64"),
            ("", vec![Null], "json"),
            ("BLOB", vec![Blob(b"x")], "binary"),
            ("TEXT", vec![], "utf8"),
        ] {
            assert_eq!(typed(declared, &values).0, logical, "{declared} {values:?}");
        }
    }

    #[test]
    fn a_mix_of_classes_is_json_that_keeps_them_apart() {
        use ValueRef::{Blob, Integer, Real, Text};
        for values in [
            [Integer(1), Text(b"1")],
            [Text(b"a"), Blob(b"a")],
            [Integer(1), Real(1.5)],
        ] {
            assert_eq!(typed("", &values), ("json".to_owned(), Reading::Mixed));
        }
    }
}
