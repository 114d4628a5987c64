//! What is wrong with the records of a batch: marked by column, told by record.

use arrow::buffer::BooleanBuffer;
use dkhost_core::{LogicalType, RowReject};

use super::coerce::or;
use crate::expr::fault::shown;

/// The violations found in a batch so far.
#[derive(Default)]
pub(super) struct Violations<'a> {
    found: Vec<Found<'a>>,
}

/// Rows that are wrong in one way, and what to say of each.
struct Found<'a> {
    rows: BooleanBuffer,
    tell: Box<Tell<'a>>,
}

/// Tells what is wrong with a row.
type Tell<'a> = dyn Fn(usize, &mut Vec<Violation>) + 'a;

/// One thing that is wrong with a record.
pub(super) struct Violation {
    /// Stable: `schema::range`.
    pub(super) code: &'static str,
    /// The columns to blame.
    pub(super) columns: Vec<String>,
    /// What is wrong, for people.
    pub(super) text: String,
}

impl<'a> Violations<'a> {
    /// Adds rows and what `tell` will say of them, if anybody asks.
    pub(super) fn add(
        &mut self,
        rows: Option<BooleanBuffer>,
        tell: impl Fn(usize, &mut Vec<Violation>) + 'a,
    ) {
        if let Some(rows) = rows {
            self.found.push(Found {
                rows,
                tell: Box::new(tell),
            });
        }
    }

    /// Adds violations of one column.
    pub(super) fn of_column(
        &mut self,
        rows: Option<BooleanBuffer>,
        code: &'static str,
        column: &'a str,
        text: impl Fn(usize) -> String + 'a,
    ) {
        self.add(rows, move |row, told| {
            told.push(Violation {
                code,
                columns: vec![column.to_owned()],
                text: text(row),
            });
        });
    }

    /// The rows that are wrong in any way; `None` when there are none.
    pub(super) fn rows(&self) -> Option<BooleanBuffer> {
        let rows = self.found.iter().map(|found| found.rows.clone());
        rows.fold(None, |all, rows| or(all, Some(rows)))
    }

    /// A refusal for each row that is wrong, rows ascending.
    pub(super) fn rejects(&self) -> Vec<RowReject> {
        let Some(rows) = self.rows() else {
            return Vec::new();
        };
        let refused = rows.set_indices().map(|row| {
            let mut told = Vec::new();
            for found in self.found.iter().filter(|found| found.rows.value(row)) {
                (found.tell)(row, &mut told);
            }
            reject(row, &told)
        });
        refused.collect()
    }
}

fn reject(row: usize, told: &[Violation]) -> RowReject {
    let texts: Vec<&str> = told.iter().map(|one| one.text.as_str()).collect();
    let codes = || told.iter().map(|one| one.code);
    let code = codes().next().unwrap_or("schema::violations");
    let mut columns: Vec<&String> = told.iter().flat_map(|one| &one.columns).collect();
    columns.sort_unstable();
    columns.dedup();
    RowReject {
        row: row as u32,
        column: match columns.as_slice() {
            [one] => Some((*one).clone()),
            _ => None,
        },
        code: match codes().all(|other| other == code) {
            true => code.to_owned(),
            false => "schema::violations".to_owned(),
        },
        message: match texts.as_slice() {
            [one] => (*one).to_owned(),
            all => format!("{} violations: {}", all.len(), all.join("; ")),
        },
    }
}

/// A text of a schema file, cut where it is long.
pub(super) fn cut(text: &str) -> String {
    // Not to be quoted, nor escaped: it is shown as it was written.
    shown(text, &LogicalType::Json)
}
