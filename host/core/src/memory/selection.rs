//! Which records of a memory source are read, and in which order: what a filter, a cursor and
//! values to slice by ask of a source.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use serde_json::value::RawValue;

use super::decide::{column_of, compare, decide, one_value};
use crate::json::{DecodeOptions, Decoder};
use crate::text::{self, Number};
use crate::{Error, Incremental, LogicalType, Lookback, OpenSource, Result, Role, Schema};

/// What is read.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The numbers of the records, in the order in which they are read.
    pub order: Vec<usize>,
    /// Slices of `order` by values: label and range.
    pub slices: Option<Vec<(String, Range<usize>)>>,
    /// Which parts of the filter were checked.
    pub pushed: Vec<usize>,
    /// The greatest value of the incremental column.
    pub cursor: Option<String>,
    /// For the plan.
    pub notes: Vec<String>,
}

/// Selects among `records`, which have the columns of `schema` (the rest included).
pub(super) fn select(schema: &Schema, records: &[Vec<u8>], open: &OpenSource) -> Result<Selection> {
    let mut selection = Selection {
        order: (0..records.len()).collect(),
        ..Selection::default()
    };
    if open.filter.is_empty() && open.incremental.is_none() && open.partition_by.is_none() {
        return Ok(selection);
    }
    let readable = Readable::decode(schema, records)?;
    for (index, predicate) in open.filter.iter().enumerate() {
        // A value that does not fit its column is not the null it looks like here.
        let exact = !predicate
            .columns()
            .iter()
            .any(|column| readable.misfits.contains(*column));
        if let (true, Ok(decided)) = (exact, decide(predicate, &readable.records, schema)) {
            selection.pushed.push(index);
            selection.order.retain(|record| {
                readable.rows[*record].is_none_or(|row| decided[row] == Some(true))
            });
        }
    }
    if let Some(incremental) = &open.incremental {
        readable.since(schema, incremental, &mut selection)?;
    }
    if let Some((column, values)) = &open.partition_by {
        readable.slice(schema, column, values, &mut selection)?;
    }
    Ok(selection)
}

/// The records that can be read, as columns.
struct Readable {
    records: RecordBatch,
    /// The row of each record; one that cannot be read is refused later, whatever is asked of it.
    rows: Vec<Option<usize>>,
    /// Columns for which some record has a value that does not fit.
    misfits: BTreeSet<String>,
}

impl Readable {
    fn decode(schema: &Schema, records: &[Vec<u8>]) -> Result<Self> {
        let options = DecodeOptions {
            explicit_nulls: false,
            bare_nan: true,
            skip_unknown: false,
        };
        let mut decoder = Decoder::new(schema, options);
        let row = |record: &Vec<u8>| {
            let row = decoder.rows();
            decoder.push(record).is_ok().then_some(row)
        };
        let rows = records.iter().map(row).collect();
        let records = decoder.finish()?;
        let rest = schema.role(Role::Rest).map(|rest| records.column(rest));
        let rest = rest.and_then(|rest| rest.as_string_opt::<i32>());
        let misfits = rest
            .into_iter()
            .flat_map(|rest| rest.iter().flatten())
            .flat_map(|text| {
                serde_json::from_str::<BTreeMap<String, &RawValue>>(text).unwrap_or_default()
            })
            .map(|(name, _)| name)
            .collect();
        Ok(Readable {
            records,
            rows,
            misfits,
        })
    }

    /// Only records from the cursor to the greatest value there is.
    fn since(
        &self,
        schema: &Schema,
        incremental: &Incremental,
        selection: &mut Selection,
    ) -> Result<()> {
        let (values, logical) = column_of(&incremental.column, &self.records, schema)?;
        if matches!(
            logical,
            LogicalType::Number | LogicalType::Json | LogicalType::Vector(_)
        ) {
            return Err(Error::config(
                "source::cursor_type",
                format!(
                    "memory cannot tell which {logical} in `{}` is the greater",
                    incremental.column
                ),
            ));
        }
        let bound = |text: &String| one_value(logical, text).ok_or_else(|| no_cursor(text));
        let from = match &incremental.cursor {
            Some(cursor) => Some(looking_back(logical, cursor, incremental)?),
            None => None,
        };
        let until = match &incremental.until {
            Some(until) => Some(bound(until)?),
            None => greatest(&values)?,
        };
        let above = from
            .flatten()
            .map(|from| compare(&values, &from))
            .transpose()?;
        let below = until
            .as_ref()
            .map(|until| compare(&values, until))
            .transpose()?;
        let reads_all = incremental.cursor.is_none();
        let mut without = 0;
        selection.order.retain(|record| match self.rows[*record] {
            None => true,
            Some(row) if values.is_null(row) => {
                without += usize::from(!reads_all);
                reads_all
            }
            Some(row) => {
                above.as_ref().is_none_or(|order| order(row, 0).is_ge())
                    && below.as_ref().is_none_or(|order| order(row, 0).is_le())
            }
        });
        if without > 0 {
            selection.notes.push(format!(
                "{without} records have no `{}` and are not read",
                incremental.column
            ));
        }
        selection.cursor = match &until {
            Some(until) => Some(written(until, logical)?),
            None => None,
        };
        Ok(())
    }

    /// A slice for each value, and one for all other records.
    fn slice(
        &self,
        schema: &Schema,
        column: &str,
        values: &[String],
        selection: &mut Selection,
    ) -> Result<()> {
        let (held, logical) = column_of(column, &self.records, schema)?;
        let (mut left, mut order, mut slices) =
            (std::mem::take(&mut selection.order), Vec::new(), Vec::new());
        for value in values {
            let one = one_value(logical, value).ok_or_else(|| {
                Error::config(
                    "source::partition_value",
                    format!("`{value}` is no {logical}, which `{column}` is"),
                )
            })?;
            let equal = compare(&held, &one)?;
            let from = order.len();
            left.retain(|record| {
                let is_in = self.rows[*record]
                    .is_some_and(|row| held.is_valid(row) && equal(row, 0).is_eq());
                if is_in {
                    order.push(*record);
                }
                !is_in
            });
            slices.push((format!("{column} = {value}"), from..order.len()));
        }
        let from = order.len();
        order.extend(left);
        slices.push((format!("{column} of any other value"), from..order.len()));
        (selection.order, selection.slices) = (order, Some(slices));
        Ok(())
    }
}

/// The row with the greatest value, as a column of its own.
fn greatest(values: &ArrayRef) -> Result<Option<ArrayRef>> {
    let order = compare(values, values)?;
    let row = (0..values.len())
        .filter(|row| values.is_valid(*row))
        .max_by(|a, b| order(*a, *b));
    Ok(row.map(|row| values.slice(row, 1)))
}

fn written(one: &ArrayRef, logical: &LogicalType) -> Result<String> {
    let mut out = Vec::new();
    text::write(one, 0, logical, &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The cursor minus the lookback; `None` where that is before every value of the type.
fn looking_back(
    logical: &LogicalType,
    cursor: &str,
    incremental: &Incremental,
) -> Result<Option<ArrayRef>> {
    let Some(text) = &incremental.lookback else {
        return match one_value(logical, cursor) {
            Some(from) => Ok(Some(from)),
            None => Err(no_cursor(cursor)),
        };
    };
    let lookback = Lookback::parse(text);
    let mut out = Vec::new();
    match (logical, lookback) {
        (LogicalType::Date32, Some(Lookback::Time(back))) => {
            let days = text::parse_date(cursor).ok_or_else(|| no_cursor(cursor))?;
            let back = back.as_secs().div_ceil(86_400) as i64;
            let days = i32::try_from(i64::from(days) - back).unwrap_or(i32::MIN);
            text::write_date(days, &mut out);
        }
        (LogicalType::Timestamp(zone), Some(Lookback::Time(back))) => {
            let zoned = zone.is_some();
            let micros = text::parse_timestamp(cursor, zoned).ok_or_else(|| no_cursor(cursor))?;
            let micros = micros.saturating_sub(back.as_micros() as i64);
            text::write_timestamp(micros, zoned, &mut out);
        }
        (LogicalType::Float32 | LogicalType::Float64, Some(Lookback::Number(back))) => {
            let float = |text: &str| text.parse::<f64>().map_err(|_| no_cursor(text));
            text::write_f64(float(cursor)? - float(&back)?, &mut out);
        }
        (logical, Some(Lookback::Number(back))) if logical.is_numeric() => {
            let scale = match logical {
                LogicalType::Decimal(_, scale) => *scale,
                _ => 0,
            };
            let exact = |text: &str| {
                let number = Number::parse(text).and_then(|n| n.as_decimal(38, scale));
                number.ok_or_else(|| no_cursor(text))
            };
            let from = exact(cursor)?.saturating_sub(exact(&back)?);
            text::write_decimal(from, scale, &mut out);
        }
        _ => {
            return Err(Error::config(
                "source::lookback",
                format!("a lookback of `{text}` says nothing about a column of {logical}"),
            ));
        }
    }
    Ok(one_value(logical, &String::from_utf8_lossy(&out)))
}

fn no_cursor(text: &str) -> Error {
    Error::state(
        "source::changed",
        format!("the cursor `{text}` is no value of the incremental column"),
    )
    .help("was the column changed? `dkhost run --full` reads everything again")
}
