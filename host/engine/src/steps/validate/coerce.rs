//! What `coerce = true` converts: values that are the same in the field's type, however they are
//! spelled. What would have to be changed to fit is a violation.
//!
//! White space around text is taken off first, unless the field is text or json itself.
//!
//! | from | to | converts | does not |
//! |---|---|---|---|
//! | utf8 | int32, int64, uint64 | `5`, `+5`, `007`, `5.0`, `1e3` | `5.5`, `1,000`, the empty text |
//! | utf8 | float32, float64 | `0.5`, `.5`, `1e3`, `NaN`, `inf` | digits beyond the type's |
//! | utf8 | decimal, number | every digit is kept | digits beyond the scale |
//! | utf8 | boolean | `true`, `t`, `yes`, `y`, `on`, `1` and their opposites, in any case | anything else |
//! | utf8 | date32, time64, timestamp | ISO 8601; microseconds | another form, more digits, a zone too many |
//! | utf8 | uuid, json | its usual form; text that is JSON | |
//! | numbers | numbers | a value the type holds exactly | `2.5` as int64, 2^53+1 as float64 |
//! | int, float | boolean | 0 and 1 | other numbers |
//! | boolean | int, float | true is 1 | |
//! | any but vector | utf8 | its text, as a file would hold it | |
//! | json | any | a string as its text, anything else as its JSON text | json's null is a null |
//! | timestamp | date32 | midnight | a time of day |
//! | date32 | timestamp | its midnight | |
//! | null | any | nulls | |
//!
//! *Source* – but for the white space and `5.0`, the rules are those of `apply`'s `type_cast`
//! ([`crate::expr::convert`]).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, StringBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use dkhost_core::LogicalType;
use dkhost_core::LogicalType::{Decimal, Int32, Int64, Json, UInt64, Utf8};
use dkhost_core::{Error, Result};

use crate::expr::convert::convert;
use crate::expr::fault::Fault;

/// An array in another type.
pub(super) struct Coerced {
    /// Null where there was no value, and where it could not be converted.
    pub(super) values: ArrayRef,
    /// Rows whose value could not be converted; `None` when there are none.
    pub(super) failed: Option<BooleanBuffer>,
}

/// Converts an array. There must be a conversion ([`crate::expr::convert::refusal`]).
pub(super) fn coerce(input: &ArrayRef, from: &LogicalType, to: &LogicalType) -> Result<Coerced> {
    if *from == Json && *to != Json {
        // A string of JSON is text, and is treated as such.
        let texts = convert(input, &Json, &Utf8).map_err(no_conversion)?;
        let mut coerced = coerce(&texts.values, &Utf8, to)?;
        coerced.failed = or(coerced.failed, marked(&texts.failed, input.len()));
        return Ok(coerced);
    }
    let input = match (from, to) {
        (Utf8, Utf8 | Json) => input.clone(),
        (Utf8, _) => trimmed(input),
        _ => input.clone(),
    };
    let converted = convert(&input, from, to).map_err(no_conversion)?;
    let mut coerced = Coerced {
        failed: marked(&converted.failed, input.len()),
        values: converted.values,
    };
    if *from == Utf8 && matches!(to, Int32 | Int64 | UInt64) {
        whole_numbers(&input, to, &mut coerced)?;
    }
    Ok(coerced)
}

/// Either, where there is one.
pub(super) fn or(one: Option<BooleanBuffer>, two: Option<BooleanBuffer>) -> Option<BooleanBuffer> {
    match (one, two) {
        (Some(one), Some(two)) => Some(&one | &two),
        (one, two) => one.or(two),
    }
}

fn marked(rows: &[u32], length: usize) -> Option<BooleanBuffer> {
    if rows.is_empty() {
        return None;
    }
    let mut marks = vec![false; length];
    rows.iter().for_each(|row| marks[*row as usize] = true);
    Some(marks.into())
}

fn trimmed(input: &ArrayRef) -> ArrayRef {
    let texts = input.as_string::<i32>();
    let is_trim = |text: &str| text.trim().len() == text.len();
    if texts.iter().flatten().all(is_trim) {
        return input.clone();
    }
    let mut trimmed = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
    texts
        .iter()
        .for_each(|text| trimmed.append_option(text.map(str::trim)));
    Arc::new(trimmed.finish())
}

/// Text that spells a whole number as `5.0` or `1e3`: whatever writes columns of floats does.
fn whole_numbers(input: &ArrayRef, to: &LogicalType, coerced: &mut Coerced) -> Result<()> {
    let Some(failed) = coerced.failed.take() else {
        return Ok(());
    };
    let rows = failed.set_indices();
    let texts = input.as_string::<i32>();
    let mut wrong: Vec<Option<&str>> = vec![None; texts.len()];
    rows.for_each(|row| wrong[row] = Some(texts.value(row)));
    let wrong: ArrayRef = Arc::new(StringArray::from(wrong));
    let wide = Decimal(38, 0);
    let whole = convert(&wrong, &Utf8, &wide).map_err(no_conversion)?;
    let whole = convert(&whole.values, &wide, to).map_err(no_conversion)?;
    let solved = whole.values.nulls().map_or_else(
        || BooleanBuffer::new_set(texts.len()),
        |nulls| nulls.inner().clone(),
    );
    let left = &failed & &!&solved;
    coerced.values = zip(
        &BooleanArray::new(solved, None),
        &whole.values,
        &coerced.values,
    )?;
    coerced.failed = (left.count_set_bits() > 0).then_some(left);
    Ok(())
}

fn no_conversion(fault: Fault) -> Error {
    Error::bug(format!("a planned conversion is none: {}", fault.message))
}
