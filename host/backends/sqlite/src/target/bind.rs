//! Arrow columns to bound parameters, cell by cell, without a copy of ours in between.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float32Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow::buffer::NullBuffer;
use dkhost_core::text::Cells;
use dkhost_core::{Error, LogicalType, Result, RowReject};
use rusqlite::Statement;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::columns::{Form, Guard, TargetColumn};
use super::ddl::staging_name;
use crate::fault::{is_about_the_row, words};

/// The columns of a batch, ready to be bound row by row.
pub(crate) struct Binder<'a> {
    cells: Vec<Cell<'a>>,
    scratch: Vec<u8>,
}

struct Cell<'a> {
    column: &'a TargetColumn,
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    UInt64(&'a UInt64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Spelled(Cells<'a>),
}

/// Why a cell was not bound.
enum Refused {
    /// Its column would change it.
    Changed(&'static str),
    Failed(rusqlite::Error),
}

impl<'a> Binder<'a> {
    /// Binds `columns` to the arrays of a batch, which has them in the same order.
    pub(crate) fn new(columns: &'a [TargetColumn], records: &'a RecordBatch) -> Result<Self> {
        let cells = columns
            .iter()
            .zip(records.columns())
            .map(|(column, array)| {
                let values = values(column, array).ok_or_else(|| {
                    Error::bug(format!(
                        "column `{}` of type {} has the layout {}",
                        column.field.name,
                        column.field.logical,
                        array.data_type()
                    ))
                })?;
                Ok(Cell {
                    column,
                    nulls: array.nulls(),
                    values,
                })
            });
        Ok(Binder {
            cells: cells.collect::<Result<_>>()?,
            scratch: Vec::new(),
        })
    }

    /// Binds all columns of a row, from parameter 1 on.
    ///
    /// *Errors* – the row cannot be held; about anything else, a failure of SQLite.
    #[inline]
    pub(crate) fn row(&mut self, statement: &mut Statement<'_>, row: usize) -> Result<(), Refusal> {
        for index in 0..self.cells.len() {
            self.cell(statement, index, index + 1, row)?;
        }
        Ok(())
    }

    /// Binds some columns of a row, from parameter `first` on.
    pub(crate) fn some(
        &mut self,
        statement: &mut Statement<'_>,
        columns: &[usize],
        first: usize,
        row: usize,
    ) -> Result<(), Refusal> {
        for (place, index) in columns.iter().enumerate() {
            self.cell(statement, *index, first + place, row)?;
        }
        Ok(())
    }

    #[inline]
    fn cell(
        &mut self,
        statement: &mut Statement<'_>,
        index: usize,
        parameter: usize,
        row: usize,
    ) -> Result<(), Refusal> {
        let cell = &self.cells[index];
        match cell.bind(statement, parameter, row, &mut self.scratch) {
            Ok(()) => Ok(()),
            Err(Refused::Changed(why)) => Err(Refusal::Row(RowReject {
                row: row as u32,
                column: Some(cell.column.field.name.clone()),
                code: "sqlite::not_representable".to_owned(),
                message: format!("{why} in `{}`", cell.column.field.name),
            })),
            Err(Refused::Failed(cause)) => Err(refusal(cause, row, &[])),
        }
    }
}

/// Why a row was not written.
pub(crate) enum Refusal {
    /// The row is refused; the others are as they were.
    Row(RowReject),
    /// SQLite failed.
    Failed(rusqlite::Error),
}

/// What a failed statement means for its row. `columns` are the plan's, to find the one to blame.
#[cold]
pub(crate) fn refusal(cause: rusqlite::Error, row: usize, columns: &[TargetColumn]) -> Refusal {
    if !is_about_the_row(&cause) {
        return Refusal::Failed(cause);
    }
    // Under `replace-all` rows go to a table beside the target; whoever reads this knows the target.
    let message = words(&cause).replace(&staging_name(""), "");
    // "UNIQUE constraint failed: t.email"; of several columns none is to blame alone.
    let blamed = message
        .rsplit_once(": ")
        .filter(|(_, names)| !names.contains(", "))
        .and_then(|(_, name)| {
            let name = name.split_once('.').map_or(name, |(_, column)| column);
            columns
                .iter()
                .find(|column| crate::name::same(&column.field.name, name))
        });
    Refusal::Row(RowReject {
        row: row as u32,
        column: blamed.map(|column| column.field.name.clone()),
        code: "sqlite::constraint".to_owned(),
        message,
    })
}

impl Cell<'_> {
    #[inline]
    fn bind(
        &self,
        statement: &mut Statement<'_>,
        parameter: usize,
        row: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let value = if self.nulls.is_some_and(|nulls| nulls.is_null(row))
            || matches!(self.values, Values::Null)
        {
            if self.column.is_rowid {
                return Err(Refused::Changed(
                    "SQLite would put a number of its own for the null",
                ));
            }
            ValueRef::Null
        } else {
            self.value(row, scratch)?
        };
        statement
            .raw_bind_parameter(parameter, ToSqlOutput::Borrowed(value))
            .map_err(Refused::Failed)
    }

    #[inline]
    fn value<'v>(&'v self, row: usize, scratch: &'v mut Vec<u8>) -> Result<ValueRef<'v>, Refused> {
        Ok(match &self.values {
            Values::Null => ValueRef::Null,
            Values::Boolean(v) => ValueRef::Integer(i64::from(v.value(row))),
            Values::Int32(v) => ValueRef::Integer(i64::from(v.value(row))),
            Values::Int64(v) => ValueRef::Integer(v.value(row)),
            Values::UInt64(v) => match i64::try_from(v.value(row)) {
                Ok(value) => ValueRef::Integer(value),
                Err(_) => {
                    return Err(Refused::Changed(
                        "an integer column holds nothing above 9223372036854775807",
                    ));
                }
            },
            Values::Float32(v) => self.real(f64::from(v.value(row)))?,
            Values::Float64(v) => self.real(v.value(row))?,
            Values::Text(v) => self.text(v.value(row))?,
            Values::Bytes(v) => ValueRef::Blob(v.value(row)),
            Values::Spelled(cells) => {
                scratch.clear();
                cells.write(row, scratch);
                ValueRef::Text(scratch)
            }
        })
    }

    #[inline]
    fn real(&self, value: f64) -> Result<ValueRef<'static>, Refused> {
        if value.is_nan() {
            return Err(Refused::Changed("SQLite has no NaN"));
        }
        if value == 0.0
            && value.is_sign_negative()
            && self.column.guard == Guard::NotNanNorMinusZero
        {
            return Err(Refused::Changed(
                "SQLite keeps -0.0 as 0 (adding 0.0 in a step makes it 0.0)",
            ));
        }
        Ok(ValueRef::Real(value))
    }

    #[inline]
    fn text<'v>(&self, text: &'v str) -> Result<ValueRef<'v>, Refused> {
        if self.column.guard == Guard::NoJsonNumber && is_rewritten(text) {
            return Err(Refused::Changed(
                "the column's affinity would rewrite the number",
            ));
        }
        Ok(ValueRef::Text(text.as_bytes()))
    }
}

/// Whether a numeric column would give this JSON back in other characters.
fn is_rewritten(json: &str) -> bool {
    let json = json.trim_matches([' ', '\t', '\n', '\r']);
    let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    is_number
        && json
            .parse::<i64>()
            .map_or(true, |value| value.to_string() != json)
}

fn values<'a>(column: &TargetColumn, array: &'a ArrayRef) -> Option<Values<'a>> {
    if column.form == Form::Text {
        return Cells::bind(array.as_ref(), &column.field.logical)
            .ok()
            .map(Values::Spelled);
    }
    Some(match column.field.logical {
        LogicalType::Null => Values::Null,
        LogicalType::Boolean => Values::Boolean(array.as_boolean_opt()?),
        LogicalType::Int32 => Values::Int32(array.as_primitive_opt()?),
        LogicalType::Int64 => Values::Int64(array.as_primitive_opt()?),
        LogicalType::UInt64 => Values::UInt64(array.as_primitive_opt()?),
        LogicalType::Float32 => Values::Float32(array.as_primitive_opt()?),
        LogicalType::Float64 => Values::Float64(array.as_primitive_opt()?),
        LogicalType::Utf8 | LogicalType::Json | LogicalType::Number => {
            Values::Text(array.as_string_opt()?)
        }
        LogicalType::Binary => Values::Bytes(array.as_binary_opt()?),
        _ => Values::Spelled(Cells::bind(array.as_ref(), &column.field.logical).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_integers_survive_a_numeric_column() {
        for kept in ["5", "-5", "{}", "\"1.10\"", "true", "null", "[1.10]"] {
            assert!(!is_rewritten(kept), "{kept}");
        }
        for rewritten in ["1.10", "1e5", "-0", "9223372036854775808", " 5.0"] {
            assert!(is_rewritten(rewritten), "{rewritten}");
        }
    }

    #[test]
    fn a_refused_row_names_the_target_and_not_the_table_beside_it() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE dkhost_staging_people (id, email UNIQUE); INSERT INTO dkhost_staging_people VALUES (1, 'a')",
        )
        .unwrap();
        let twice = db.execute("INSERT INTO dkhost_staging_people VALUES (2, 'a')", []);
        let Refusal::Row(reject) = refusal(twice.unwrap_err(), 1, &[]) else {
            panic!("a constraint refuses the row alone");
        };
        assert_eq!(reject.message, "UNIQUE constraint failed: people.email");
    }
}
