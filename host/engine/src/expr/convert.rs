//! Conversions between dkhost's types that never change a value silently.
//!
//! The casts are Arrow's kernels. On top of them: json, uuid and number, which Arrow does not
//! know, and exactness. A float with a fraction does not become an integer, an integer beyond 2^53
//! does not become a float, a decimal keeps its digits. Between decimal digits and floats a float
//! counts as its shortest decimal text: text that is not the same number as that of its float is
//! refused, and so is a float whose digits a decimal or a float32 has no place for. Text with
//! digits beyond the microsecond, with a zone for a type without one, or with a time of day for a
//! date is refused as well, and so is a timestamp with a time of day that should become a date, or
//! one that should become a time: which part to drop is for `set` with SQL's `cast` to say.
//!
//! `type_cast` uses all of this; SQL's `cast` only where one side is json, uuid or number, and is
//! DataFusion's otherwise.

mod exact;
mod json;
mod text;

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, new_null_array};
use arrow::compute::kernels::{cmp, numeric};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{FormatOptions, array_value_to_string};
use dkhost_core::LogicalType;
use dkhost_core::LogicalType::*;
use dkhost_core::text::fits;

use super::fault::{Fault, shown};

/// What became of an array.
#[derive(Debug)]
pub(crate) struct Converted {
    /// The converted values; null where there was none and where the conversion failed.
    pub(crate) values: ArrayRef,
    /// Rows whose value cannot be of the type, ascending.
    pub(crate) failed: Vec<u32>,
}

impl Converted {
    /// Values that all could be converted.
    fn whole(values: ArrayRef) -> Self {
        Converted {
            values,
            failed: Vec::new(),
        }
    }

    /// Rows that had a value in `before` and have none now have failed.
    fn from_nulls(before: &dyn Array, values: ArrayRef) -> Self {
        let mut failed = Vec::new();
        if values.null_count() > before.logical_null_count() {
            let is_failed = |row: &usize| before.is_valid(*row) && values.is_null(*row);
            failed = (0..values.len())
                .filter(is_failed)
                .map(|row| row as u32)
                .collect();
        }
        Converted { values, failed }
    }

    /// Why `row` of `input` has failed, in a sentence.
    pub(crate) fn reason(
        &self,
        input: &dyn Array,
        row: usize,
        from: &LogicalType,
        to: &LogicalType,
    ) -> String {
        let value = value_text(input, row, from);
        let lossy = from.is_numeric() && (to.is_numeric() || *to == Boolean);
        let without = if lossy { " without changing it" } else { "" };
        let help = match (from, to) {
            (Utf8, Timestamp(None)) if is_zoned(input, row) => {
                ": it has a zone; use type_cast to \"timestamp(us, UTC)\""
            }
            (Timestamp(_), Date32) => {
                ": it has a time of day; use `set` with cast(… as date) to drop it"
            }
            _ => "",
        };
        format!("{value} cannot be cast to {to}{without}{help}")
    }
}

/// Whether a text is a time, but for its zone.
fn is_zoned(input: &dyn Array, row: usize) -> bool {
    let text = input.as_string_opt::<i32>().map(|texts| texts.value(row));
    text.is_some_and(|text| exact::has_zone(text) && fits(&Timestamp(Some(Arc::from("UTC"))), text))
}

/// A value as a message shows it.
pub(crate) fn value_text(array: &dyn Array, row: usize, logical: &LogicalType) -> String {
    let text = match logical {
        Uuid => text::uuid_text(array, row),
        _ => array_value_to_string(array, row).unwrap_or_else(|_| "a value".to_owned()),
    };
    shown(&text, logical)
}

/// Why there is no conversion between two types; `None` if there is one.
pub(crate) fn refusal(from: &LogicalType, to: &LogicalType) -> Option<String> {
    if let Some(zone) = unknown_zone(from, to) {
        return Some(format!(
            "there is no time zone `{zone}`; say UTC, an offset (+05:30) or a name (Europe/Berlin)"
        ));
    }
    let reason = match (from, to) {
        _ if is_supported(from, to) => return None,
        (
            Int32 | Int64 | UInt64 | Float32 | Float64 | Decimal(..) | Number,
            Timestamp(_) | Date32 | Time64,
        ) => {
            "; a number does not say its unit: use `set` with to_timestamp_seconds, to_timestamp_millis or to_timestamp_micros"
        }
        (Timestamp(_) | Date32, Int32 | Int64 | UInt64 | Float32 | Float64) => {
            "; say which unit you want: use `set` with date_part('epoch', …)"
        }
        (Timestamp(zone), Time64) if is_plain_clock(zone) => {
            "; it would lose the date: use `set` with cast(… as time) to drop it"
        }
        (Timestamp(_) | Date32, Timestamp(_) | Date32 | Time64) => {
            "; it does not say whose clock is meant: cast to timestamp(us, UTC) before or instead"
        }
        _ => "",
    };
    Some(format!("there is no cast from {from} to {to}{reason}"))
}

/// The zone that a conversion asks the clock of, if there is none of that name. A column from
/// elsewhere may have such a zone, and keeps it, or gets another.
fn unknown_zone<'a>(from: &'a LogicalType, to: &'a LogicalType) -> Option<&'a str> {
    let zone = match (from, to) {
        _ if from == to => return None,
        (_, Timestamp(Some(zone))) => zone,
        (Timestamp(_), Timestamp(_)) => return None,
        (Timestamp(Some(zone)), _) => zone,
        _ => return None,
    };
    zone.parse::<Tz>().is_err().then_some(zone.as_ref())
}

/// Whether the clock of a zone needs no choice: without one and in UTC, it shows what is stored.
fn is_plain_clock(zone: &Option<Arc<str>>) -> bool {
    zone.as_deref()
        .is_none_or(|zone| matches!(zone, "UTC" | "Z" | "+00:00"))
}

fn is_plain_number(logical: &LogicalType) -> bool {
    matches!(
        logical,
        Boolean | Int32 | Int64 | UInt64 | Float32 | Float64 | Decimal(..)
    )
}

fn is_supported(from: &LogicalType, to: &LogicalType) -> bool {
    match (from, to) {
        _ if from == to => true,
        (Null, _) => true,
        (_, Null) | (Vector(_), _) | (_, Vector(_)) => false,
        (Json, to) => is_supported(&Utf8, to),
        (from, Json) => *from != Binary,
        (Utf8, _) | (_, Utf8) => true,
        (Number, to) => to.is_numeric(),
        (from, Number) => from.is_numeric(),
        (Uuid, Binary) | (Binary, Uuid) => true,
        (Timestamp(_), Timestamp(Some(_))) => true,
        (Timestamp(zone), Timestamp(None) | Date32) | (Date32, Timestamp(zone)) => {
            is_plain_clock(zone)
        }
        (Boolean, Decimal(..)) | (Decimal(..), Boolean) => false,
        _ => is_plain_number(from) && is_plain_number(to),
    }
}

/// Converts an array. Ask [`refusal`] first.
///
/// *Errors* – by no value: only if there is no conversion between the types.
pub(crate) fn convert(
    input: &ArrayRef,
    from: &LogicalType,
    to: &LogicalType,
) -> Result<Converted, Fault> {
    Ok(match (from, to) {
        _ if from == to => Converted::whole(input.clone()),
        (Null, _) => Converted::whole(new_null_array(&to.arrow(), input.len())),
        (Json, _) => json::from_json(input, to)?,
        (Utf8, Json) => json::parsed(input)?,
        (Date32 | Time64 | Timestamp(_) | Uuid, Json) => {
            let text = convert(input, from, &Utf8)?.values;
            Converted::whole(json::quoted(&text))
        }
        (Number, Json | Utf8) => Converted::whole(input.clone()),
        (_, Json | Number) if *from != Utf8 => {
            let finite = finite_or_null(input)?;
            Converted::from_nulls(input, arrow_cast(&finite, &DataType::Utf8)?)
        }
        (Utf8, Number) => text::numbers(input),
        (Number, _) => convert(input, &Utf8, to)?,
        (Utf8, Decimal(precision, scale)) => text::decimals(input, *precision, *scale)?,
        (Float32 | Float64, Decimal(precision, scale)) => {
            exact::float_decimals(input, *precision, *scale)?
        }
        (Decimal(..), Float32 | Float64) => {
            let digits = arrow_cast(input, &DataType::Utf8)?;
            convert(&digits, &Utf8, to)?
        }
        (Utf8, Uuid) => text::uuids(input)?,
        (Uuid, Utf8) => Converted::whole(text::uuid_texts(input)),
        _ => Converted::from_nulls(
            input,
            exact(input, arrow_cast(input, &to.arrow())?, from, to)?,
        ),
    })
}

/// Arrow's cast, null where a value has none of the type.
fn arrow_cast(input: &ArrayRef, layout: &DataType) -> Result<ArrayRef, Fault> {
    const NULL_ON_FAILURE: CastOptions<'static> = CastOptions {
        safe: true,
        format_options: FormatOptions::new(),
    };
    cast_with_options(input, layout, &NULL_ON_FAILURE).map_err(Fault::from)
}

/// `output` with null where the cast has changed the value of `input`.
fn exact(
    input: &ArrayRef,
    output: ArrayRef,
    from: &LogicalType,
    to: &LogicalType,
) -> Result<ArrayRef, Fault> {
    let keep = match (from, to) {
        (Utf8, to) => match exact::texts(input, to) {
            Some(keep) => keep,
            None => return Ok(output),
        },
        (Float64, Float32) => exact::narrow_floats(input),
        (Timestamp(_), Date32) => {
            let midnights = arrow_cast(&output, input.data_type())?;
            cmp::not_distinct(&midnights, input)?
        }
        (Float32, Float64) => return Ok(output),
        (from, to) if is_plain_number(from) && is_plain_number(to) => {
            let back = arrow_cast(&output, input.data_type())?;
            cmp::not_distinct(
                &without_negative_zero(&back)?,
                &without_negative_zero(input)?,
            )?
        }
        _ => return Ok(output),
    };
    if keep.false_count() == 0 {
        return Ok(output);
    }
    Ok(arrow::compute::nullif(
        &output,
        &arrow::compute::not(&keep)?,
    )?)
}

/// -0.0 is 0 in every integer, and Arrow compares their bits.
fn without_negative_zero(values: &ArrayRef) -> Result<ArrayRef, Fault> {
    match values.data_type() {
        DataType::Float64 => Ok(numeric::add(
            values,
            &arrow::array::Float64Array::new_scalar(0.0),
        )?),
        DataType::Float32 => Ok(numeric::add(
            values,
            &arrow::array::Float32Array::new_scalar(0.0),
        )?),
        _ => Ok(values.clone()),
    }
}

/// Floats without NaN and infinity, which neither JSON nor a number has.
fn finite_or_null(input: &ArrayRef) -> Result<ArrayRef, Fault> {
    if !input.data_type().is_floating() {
        return Ok(input.clone());
    }
    let wide = arrow_cast(input, &DataType::Float64)?;
    let odd: BooleanArray = wide
        .as_primitive::<Float64Type>()
        .iter()
        .map(|v| v.map(|v| !v.is_finite()))
        .collect();
    if odd.true_count() == 0 {
        return Ok(input.clone());
    }
    Ok(arrow::compute::nullif(input, &odd)?)
}

#[cfg(test)]
mod tests;
