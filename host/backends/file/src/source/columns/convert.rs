//! Foreign Arrow layouts to those of dkhost, without loss.
//!
//! Most are Arrow's own casts, checked for values that became null; nanoseconds become
//! microseconds where nothing is lost, nested values JSON text, and a declared type goes through
//! its text form. A value that has no place refuses its row, and its text is kept for the dead
//! letter.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    self, DataType, SchemaRef, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use dkhost_core::json::RowError;
use dkhost_core::text::{Appender, Cells};
use dkhost_core::{Error, Field, LogicalType, Result, Role, Schema};

use super::layouts::natural;
use super::verify::verified;
use crate::source::decoded::Decoded;
use crate::source::nested;

/// How the columns of a file become those of a schema.
#[derive(Debug)]
pub struct Conversion {
    schema: Schema,
    arrow: SchemaRef,
    columns: Vec<Column>,
    /// Columns of the file that are read, ascending.
    pub indices: Vec<usize>,
}

#[derive(Debug)]
struct Column {
    /// Which of the columns that are read.
    place: usize,
    /// What the file's layout becomes by itself.
    natural: LogicalType,
}

impl Conversion {
    /// Plans the conversion of a file's columns to those of `schema`.
    pub fn plan(file: &SchemaRef, schema: &Schema, label: &str) -> Result<Self> {
        let find = |field: &Field| {
            let index = file
                .fields()
                .iter()
                .position(|other| *other.name() == field.name)?;
            Some((index, natural(file.field(index))?.logical))
        };
        let mut found = Vec::with_capacity(schema.fields.len());
        for field in &schema.fields {
            found.push(find(field).ok_or_else(|| {
                Error::data(
                    "columns::others",
                    format!("`{label}` has no column `{}`", field.name),
                )
                .help("files of one source have the same columns")
            })?);
        }
        let mut indices: Vec<usize> = found.iter().map(|(index, _)| *index).collect();
        indices.sort_unstable();
        let place = |index: usize| indices.binary_search(&index).unwrap_or_default();
        let columns = found
            .into_iter()
            .map(|(index, natural)| Column {
                place: place(index),
                natural,
            })
            .collect();
        Ok(Conversion {
            schema: schema.clone(),
            arrow: schema.to_arrow(),
            columns,
            indices,
        })
    }

    /// Index of the id column.
    pub fn id(&self) -> Option<usize> {
        self.schema.role(Role::Id)
    }

    /// Converts some rows.
    ///
    /// *Shape* – also the rows as a dead letter shows them: values that did not fit as text.
    pub fn apply(&self, records: &RecordBatch) -> Result<(Decoded, RecordBatch)> {
        let rows = records.num_rows();
        let mut columns = Vec::with_capacity(self.columns.len());
        let mut misfits: Vec<(u32, usize)> = Vec::new();
        let mut shown: Vec<(usize, ArrayRef)> = Vec::new();
        for (i, (column, field)) in self.columns.iter().zip(&self.schema.fields).enumerate() {
            let foreign = records.column(column.place);
            let converted = convert(foreign, &column.natural, field)?;
            let bad = lost(foreign, &converted);
            if !bad.is_empty() {
                shown.push((i, shown_as(field, foreign, &converted, &bad)?));
                misfits.extend(bad.into_iter().map(|row| (row, i)));
            }
            columns.push(converted);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let all = RecordBatch::try_new_with_options(self.nullable(), columns, &options)?;
        let decoded = self.without(all.clone(), misfits)?;
        Ok((decoded, show(all, shown)?))
    }

    /// The schema while rows that do not fit are still there as nulls.
    fn nullable(&self) -> SchemaRef {
        let fields: Vec<_> = self
            .arrow
            .fields()
            .iter()
            .map(|f| f.as_ref().clone().with_nullable(true))
            .collect();
        Arc::new(datatypes::Schema::new(fields))
    }

    fn without(&self, records: RecordBatch, mut misfits: Vec<(u32, usize)>) -> Result<Decoded> {
        misfits.sort_unstable();
        misfits.dedup_by_key(|(row, _)| *row);
        let is_misfit = |row: u32| misfits.binary_search_by_key(&row, |m| m.0).is_ok();
        let origin: Vec<u32> = (0..records.num_rows() as u32)
            .filter(|row| !is_misfit(*row))
            .collect();
        let kept = match misfits.is_empty() {
            true => records,
            false => {
                let keep = (0..records.num_rows() as u32)
                    .map(|row| Some(!is_misfit(row)))
                    .collect();
                arrow::compute::filter_record_batch(&records, &keep)?
            }
        };
        let options = RecordBatchOptions::new().with_row_count(Some(kept.num_rows()));
        let records = RecordBatch::try_new_with_options(
            self.arrow.clone(),
            kept.columns().to_vec(),
            &options,
        )?;
        let refused = misfits
            .iter()
            .map(|(row, column)| (*row, self.misfit(*column)))
            .collect();
        Ok(Decoded {
            records,
            origin,
            refused,
        })
    }

    fn misfit(&self, column: usize) -> RowError {
        let Field { name, logical, .. } = &self.schema.fields[column];
        RowError::new(
            "columns::type_mismatch",
            format!("the value of `{name}` is not exactly one of type {logical}"),
        )
        .in_column(name)
    }
}

/// A column as JSON: values that did not fit as text, and the others as what they became, so that
/// a retry reads them again.
fn shown_as(
    field: &Field,
    foreign: &ArrayRef,
    converted: &ArrayRef,
    bad: &[u32],
) -> Result<ArrayRef> {
    let texts = as_text(foreign)?;
    let texts = texts.as_string::<i32>();
    let name = Field {
        nullable: true,
        ..Field::new("v", field.logical.clone())
    };
    let schema = Schema::new(vec![name]).to_arrow();
    let converted = RecordBatch::try_new(schema, vec![converted.clone()])?;
    let shown: StringArray = (0..texts.len())
        .map(|row| match bad.contains(&(row as u32)) {
            true => Some(serde_json::Value::from(texts.value(row)).to_string()),
            // The row is an object of this one field.
            false => dkhost_core::json::row(&converted, row)
                .strip_prefix("{\"v\":")
                .and_then(|value| value.strip_suffix('}'))
                .map(str::to_owned),
        })
        .collect();
    Ok(Arc::new(shown))
}

fn show(mut records: RecordBatch, shown: Vec<(usize, ArrayRef)>) -> Result<RecordBatch> {
    for (column, text) in shown {
        let mut fields: Vec<datatypes::Field> = records
            .schema()
            .fields()
            .iter()
            .map(|f| f.as_ref().clone())
            .collect();
        fields[column] = Field::new(fields[column].name(), LogicalType::Json).to_arrow();
        let mut columns = records.columns().to_vec();
        columns[column] = text;
        records = RecordBatch::try_new(Arc::new(datatypes::Schema::new(fields)), columns)?;
    }
    Ok(records)
}

/// Rows that had a value and have none any more.
fn lost(before: &ArrayRef, after: &ArrayRef) -> Vec<u32> {
    let nulls = after.logical_nulls();
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else {
        return Vec::new();
    };
    let before: Option<NullBuffer> = before.logical_nulls();
    let was_null = |row: usize| before.as_ref().is_some_and(|nulls| nulls.is_null(row));
    (0..after.len())
        .filter(|row| nulls.is_null(*row) && !was_null(*row))
        .map(|row| row as u32)
        .collect()
}

/// A column with null where a value does not fit.
fn convert(column: &ArrayRef, natural: &LogicalType, wanted: &Field) -> Result<ArrayRef> {
    let array = to_natural(column, natural)?;
    if *natural == wanted.logical {
        return verified(array, wanted);
    }
    let cells = Cells::bind(array.as_ref(), natural)?;
    let mut appender = Appender::new(&wanted.logical);
    let mut text = Vec::new();
    for row in 0..array.len() {
        text.clear();
        let there = cells.write(row, &mut text);
        let fits = there && std::str::from_utf8(&text).is_ok_and(|text| appender.append(text));
        if !fits {
            appender.append_null();
        }
    }
    appender.finish()
}

fn to_natural(column: &ArrayRef, natural: &LogicalType) -> Result<ArrayRef> {
    let layout = natural.arrow();
    Ok(match column.data_type() {
        same if *same == layout => column.clone(),
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            let micros = thousandths::<TimestampNanosecondType, TimestampMicrosecondType>(column);
            Arc::new(micros.with_timezone_opt(zone.clone()))
        }
        DataType::Time64(TimeUnit::Nanosecond) => Arc::new(thousandths::<
            Time64NanosecondType,
            Time64MicrosecondType,
        >(column)),
        other if other.is_nested() && *natural == LogicalType::Json => {
            nested::to_json_array(column)?
        }
        DataType::Dictionary(_, values) if values.is_nested() => {
            to_natural(&arrow::compute::cast(column, values)?, natural)?
        }
        _ => cast_with_options(
            column,
            &layout,
            &CastOptions {
                safe: true,
                ..CastOptions::default()
            },
        )?,
    })
}

fn thousandths<From, To>(column: &ArrayRef) -> PrimitiveArray<To>
where
    From: ArrowPrimitiveType<Native = i64>,
    To: ArrowPrimitiveType<Native = i64>,
{
    column
        .as_primitive::<From>()
        .unary_opt(|nanos| (nanos % 1000 == 0).then_some(nanos / 1000))
}

/// A column as Arrow spells it.
fn as_text(column: &ArrayRef) -> Result<ArrayRef> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let text = |row| {
        column
            .is_valid(row)
            .then(|| formatter.value(row).try_to_string().unwrap_or_default())
    };
    Ok(Arc::new(
        (0..column.len()).map(text).collect::<StringArray>(),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::layouts;
    use super::*;
    use arrow::array::{Int8Array, TimestampNanosecondArray, TimestampSecondArray};

    fn check(
        column: impl Array + 'static,
        logical: LogicalType,
        fields_of: impl Fn(&Field) -> bool,
    ) -> (Decoded, RecordBatch) {
        let column: ArrayRef = Arc::new(column);
        let schema = Arc::new(datatypes::Schema::new(vec![datatypes::Field::new(
            "x",
            column.data_type().clone(),
            true,
        )]));
        let mut found = layouts::fields(&schema, "file", None, false).unwrap();
        assert!(fields_of(&found[0]), "{found:?}");
        found[0].logical = logical;
        let conversion = Conversion::plan(&schema, &Schema::new(found), "file").unwrap();
        conversion
            .apply(&RecordBatch::try_new(schema, vec![column]).unwrap())
            .unwrap()
    }

    #[test]
    fn small_integers_are_widened() {
        let (decoded, _) = check(
            Int8Array::from(vec![Some(-1), None]),
            LogicalType::Int32,
            |f| f.logical == LogicalType::Int32,
        );
        assert_eq!(
            decoded
                .records
                .column(0)
                .as_primitive::<datatypes::Int32Type>()
                .value(0),
            -1
        );
        assert!(decoded.records.column(0).is_null(1));
        assert!(decoded.refused.is_empty());
    }

    #[test]
    fn nanoseconds_that_would_be_lost_refuse_their_row() {
        let column = TimestampNanosecondArray::from(vec![Some(1_000), Some(1_001), None]);
        let (decoded, shown) = check(column, LogicalType::Timestamp(None), |f| {
            f.logical == LogicalType::Timestamp(None)
        });
        assert_eq!(decoded.origin, [0, 2]);
        assert_eq!(decoded.refused[0].0, 1);
        assert_eq!(
            dkhost_core::json::row(&shown, 1),
            r#"{"x":"1970-01-01T00:00:00.000001001"}"#
        );
    }

    #[test]
    fn seconds_beyond_microseconds_refuse_their_row() {
        let column = TimestampSecondArray::from(vec![1, i64::MAX]);
        let (decoded, _) = check(column, LogicalType::Timestamp(None), |_| true);
        assert_eq!(decoded.origin, [0]);
    }

    #[test]
    fn a_declared_type_takes_what_fits_exactly() {
        let column = StringArray::from(vec!["1.50", "x", "2"]);
        let (decoded, _) = check(column, LogicalType::Decimal(5, 1), |f| {
            f.logical == LogicalType::Utf8
        });
        assert_eq!(decoded.origin, [0, 2]);
        assert_eq!(decoded.refused[0].1.column.as_deref(), Some("x"));
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        let field = datatypes::Field::new("x", DataType::Int64, true);
        let schema = Arc::new(datatypes::Schema::new(vec![field.clone(), field]));
        assert_eq!(
            layouts::fields(&schema, "file", None, false)
                .unwrap_err()
                .code(),
            "columns::twice"
        );
    }

    #[test]
    fn a_layout_without_a_type_can_be_left_out() {
        let interval = datatypes::Field::new(
            "i",
            DataType::Interval(datatypes::IntervalUnit::DayTime),
            true,
        );
        let schema = Arc::new(datatypes::Schema::new(vec![
            interval,
            datatypes::Field::new("x", DataType::Int64, true),
        ]));
        assert_eq!(
            layouts::fields(&schema, "file", None, false)
                .unwrap_err()
                .code(),
            "columns::unsupported"
        );
        assert_eq!(
            layouts::fields(&schema, "file", Some(&["x".to_owned()]), false)
                .unwrap()
                .len(),
            1
        );
    }
}
