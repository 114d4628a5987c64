//! Puts together the rows that go on: which input rows are kept, repeated or refused, and the
//! columns that were carried beside those that were computed.
//!
//! A plugin never compacts. It says which rows it means – all, a bitmap, or the input row of each
//! output row – and the host takes them out here, once, for carried and computed columns alike.

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use dkhost_core::{Changed, Role};

use super::kept::{Kept, without};
use super::promise::Promise;
use super::receive::{self, Received};
use super::refused::rejects;
use super::room::Room;
use super::text;
use crate::limits::Limits;

pub(crate) use super::kept::Rows;
pub(crate) use super::refused::Refused;

type Verified<T> = Result<T, String>;

/// A column of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// The column of the stage's input.
    Carried(u32),
    /// Buffers.
    Computed(Received),
}

/// What `transform.apply` returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) rows: Rows,
    pub(crate) columns: Vec<Given>,
    pub(crate) rejects: Vec<Refused>,
}

/// Verifies what a transform made of `input` and builds the rows that go on. `Err` says what is
/// wrong with it.
pub(crate) fn transformed(
    promise: &Promise,
    limits: &Limits,
    input: &RecordBatch,
    output: Output,
) -> Verified<Changed> {
    let rows = input.num_rows();
    if output.columns.len() != promise.output.fields.len() {
        return Err(format!(
            "{} columns instead of the {} it promised",
            output.columns.len(),
            promise.output.fields.len()
        ));
    }
    let (rejects, refused) = rejects(promise, rows, output.rejects)?;
    let kept = Kept::of(output.rows, rows, limits, refused)?;
    let mut columns = Vec::with_capacity(output.columns.len());
    let mut room = Room::of(limits);
    for (place, given) in output.columns.into_iter().enumerate() {
        let name = &promise.output.fields[place].name;
        let column = one_column(promise, place, input, given, &kept, &mut room)
            .map_err(|why| format!("column `{}`: {why}", name.escape_debug()))?;
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(kept.len(rows)));
    let records = RecordBatch::try_new_with_options(promise.arrow.clone(), columns, &options)
        .map_err(|e| e.to_string())?;
    Ok(Changed {
        records,
        origin: kept.into_origin(),
        rejects,
    })
}

/// Verifies a filter's verdict on `input` and keeps the rows it means.
pub(crate) fn filtered(
    promise: &Promise,
    input: &RecordBatch,
    keep: Vec<u8>,
    refused: Vec<Refused>,
) -> Verified<Changed> {
    let rows = input.num_rows();
    let (rejects, refused) = rejects(promise, rows, refused)?;
    let mask = receive::bitmap(keep, rows, "the verdict")?;
    let kept = Kept::masked(without(mask, refused));
    let records = match &kept {
        Kept::Masked(_, predicate) => predicate
            .filter_record_batch(input)
            .map_err(|e| e.to_string())?,
        _ => input.clone(),
    };
    Ok(Changed {
        records,
        origin: kept.into_origin(),
        rejects,
    })
}

fn one_column(
    promise: &Promise,
    place: usize,
    input: &RecordBatch,
    given: Given,
    kept: &Kept,
    room: &mut Room,
) -> Verified<ArrayRef> {
    let field = &promise.output.fields[place];
    let column = match (given, promise.carried[place]) {
        (Given::Carried(from), Some(promised)) if from as usize == promised => {
            kept.carry(input.column(promised), room)?
        }
        (_, Some(promised)) => {
            return Err(format!(
                "was promised to carry column {promised} and does not"
            ));
        }
        (Given::Carried(from), None) => {
            let source = promise
                .input
                .fields
                .get(from as usize)
                .ok_or_else(|| format!("carries column {from}, which is not there"))?;
            if source.logical != field.logical {
                return Err(format!(
                    "carries a column of type {} as {}",
                    source.logical, field.logical
                ));
            }
            kept.carry(input.column(from as usize), room)?
        }
        (Given::Computed(buffers), None) => {
            let rows = kept.computed_rows(input.num_rows());
            if buffers.is_all_null() {
                room.for_nulls(&field.logical.arrow(), rows)?;
            }
            kept.compute(receive::column(&field.logical, rows, buffers)?)?
        }
    };
    if !field.nullable && column.null_count() > 0 {
        return Err("was promised to have no nulls and has some".into());
    }
    if promise.carried[place].is_none() && matches!(field.role, Some(Role::Meta | Role::Rest)) {
        text::objects(&column)?;
    }
    Ok(column)
}

#[cfg(test)]
mod tests {
    use super::super::kept::origin;
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use dkhost_core::{Field, LogicalType, Schema};
    use std::sync::Arc;

    /// id carried, name computed; four rows.
    fn promise(nullable: bool) -> Promise {
        let id = Field::new("id", LogicalType::Int64);
        let name = Field {
            nullable,
            ..Field::new("name", LogicalType::Utf8)
        };
        let input = Schema::new(vec![id.clone(), Field::new("name", LogicalType::Utf8)]);
        let output = Schema::new(vec![id, name]);
        Promise {
            arrow: output.to_arrow(),
            input,
            output,
            reads: vec![1],
            carried: vec![Some(0), None],
        }
    }

    fn input() -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![0, 1, 2, 3])),
            Arc::new(StringArray::from(vec!["a", "b", "c", "d"])),
        ];
        RecordBatch::try_new(promise(true).input.to_arrow(), columns).unwrap()
    }

    fn letters(text: &str, validity: &[u8]) -> Given {
        let offsets = (0..=text.len() as i32).flat_map(i32::to_le_bytes).collect();
        Given::Computed(Received {
            data: text.into(),
            offsets,
            validity: validity.to_vec(),
        })
    }

    fn reject(row: u32) -> Refused {
        Refused {
            row,
            column: Some(1),
            code: "bad".into(),
            message: "m".into(),
        }
    }

    /// ids and names of the rows that go on, and where they come from.
    fn check(
        rows: Rows,
        text: &str,
        rejects: &[u32],
        ids: &[i64],
        names: &str,
        origin: Option<&[u32]>,
    ) {
        let rejects = rejects.iter().map(|row| reject(*row)).collect();
        let output = Output {
            rows,
            columns: vec![Given::Carried(0), letters(text, &[])],
            rejects,
        };
        let changed = transformed(&promise(true), &Limits::default(), &input(), output).unwrap();
        let expected: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids.to_vec())),
            Arc::new(StringArray::from_iter_values(
                names.chars().map(String::from),
            )),
        ];
        assert_eq!(
            changed.records,
            RecordBatch::try_new(promise(true).arrow, expected).unwrap()
        );
        assert_eq!(changed.origin.as_deref(), origin);
    }

    fn origins(rows: &[u32]) -> Rows {
        Rows::Origin(rows.iter().flat_map(|row| row.to_le_bytes()).collect())
    }

    #[test]
    fn carried_and_computed_columns_lose_the_same_rows() {
        check(Rows::All, "wxyz", &[], &[0, 1, 2, 3], "wxyz", None);
        check(Rows::All, "wxyz", &[1], &[0, 2, 3], "wyz", Some(&[0, 2, 3]));
        check(
            Rows::Selection(vec![0b1110]),
            "wxyz",
            &[],
            &[1, 2, 3],
            "xyz",
            Some(&[1, 2, 3]),
        );
        check(
            Rows::Selection(vec![0b1110]),
            "wxyz",
            &[2, 0],
            &[1, 3],
            "xz",
            Some(&[1, 3]),
        );
        check(
            Rows::Selection(vec![0xff]),
            "wxyz",
            &[],
            &[0, 1, 2, 3],
            "wxyz",
            None,
        );
    }

    #[test]
    fn rows_can_be_repeated_and_left_out() {
        check(
            origins(&[0, 0, 3]),
            "xyz",
            &[],
            &[0, 0, 3],
            "xyz",
            Some(&[0, 0, 3]),
        );
        check(origins(&[0, 0, 3]), "xyz", &[0], &[3], "z", Some(&[3]));
        check(origins(&[]), "", &[], &[], "", Some(&[]));
    }

    #[test]
    fn a_null_is_only_wrong_in_a_row_that_goes_on() {
        let output = |rejects: Vec<Refused>| Output {
            rows: Rows::All,
            columns: vec![Given::Carried(0), letters("wxyz", &[0b1101])],
            rejects,
        };
        let run = |output| transformed(&promise(false), &Limits::default(), &input(), output);
        assert!(
            run(output(vec![]))
                .unwrap_err()
                .contains("promised to have no nulls")
        );
        assert_eq!(run(output(vec![reject(1)])).unwrap().records.num_rows(), 3);
    }

    #[test]
    fn an_origin_may_not_grow_beyond_its_limit() {
        let limits = Limits {
            output_rows: 2,
            ..Limits::default()
        };
        let output = Output {
            rows: origins(&[0, 0, 0]),
            columns: vec![Given::Carried(0), letters("xyz", &[])],
            rejects: vec![],
        };
        assert!(
            transformed(&promise(true), &limits, &input(), output)
                .unwrap_err()
                .contains("one call may return 2")
        );
        assert!(
            origin(&[1, 2, 3], 4, &Limits::default())
                .unwrap_err()
                .contains("3 bytes")
        );
    }

    #[test]
    fn a_reject_names_its_column_and_needs_a_code() {
        let output = |reject| Output {
            rows: Rows::All,
            columns: vec![Given::Carried(0), letters("wxyz", &[])],
            rejects: vec![reject],
        };
        let run =
            |reject| transformed(&promise(true), &Limits::default(), &input(), output(reject));
        let found = &run(reject(3)).unwrap().rejects[0];
        assert_eq!(
            (found.row, found.column.as_deref(), &*found.code),
            (3, Some("name"), "bad")
        );
        assert!(
            run(Refused {
                code: String::new(),
                ..reject(3)
            })
            .unwrap_err()
            .contains("without a code")
        );
    }
}
