//! One value's bytes with their length before them, or why it cannot be said.

use arrow::array::{Array, FixedSizeListArray, Float32Array};
use dkhost_core::text;

use super::Wire;
use super::numeric::{self, Unsayable};

/// A value and its length must fit what a server allocates at once.
const VALUE_MAX_BYTES: usize = 0x3fff_ffff - 64;

/// pgvector's limit.
const DIMENSIONS_MAX: usize = 16_000;

/// The oid of `real`, the element of what [`Wire::Floats`] is.
const FLOAT4_OID: u32 = 700;

/// Why a value cannot be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsaid {
    pub code: &'static str,
    pub message: String,
}

pub(super) type Stop = Box<Unsaid>;

/// A float as it is held.
#[derive(Debug, Clone, Copy)]
pub(super) enum Float {
    Single(f32),
    Double(f64),
}

#[inline]
pub(super) fn put4(value: [u8; 4], out: &mut Vec<u8>) {
    let mut cell = [0, 0, 0, 4, 0, 0, 0, 0];
    cell[4..].copy_from_slice(&value);
    out.extend_from_slice(&cell);
}

#[inline]
pub(super) fn put8(value: [u8; 8], out: &mut Vec<u8>) {
    let mut cell = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    cell[4..].copy_from_slice(&value);
    out.extend_from_slice(&cell);
}

pub(super) fn put_bytes(value: &[u8], out: &mut Vec<u8>) -> Result<(), Stop> {
    if value.len() > VALUE_MAX_BYTES {
        return Err(too_large(value.len()));
    }
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

#[inline]
pub(super) fn put_text(
    text: &str,
    has_nul: bool,
    wire: Wire,
    out: &mut Vec<u8>,
) -> Result<(), Stop> {
    if has_nul && text.contains('\0') {
        return Err(unsaid(
            "postgres::nul",
            "the text has a NUL, which no text of PostgreSQL has".to_owned(),
        ));
    }
    match wire {
        Wire::Varchar(max) if text.len() > max as usize => check_length(text, max)?,
        Wire::Jsonb if text.len() <= VALUE_MAX_BYTES => {
            out.extend_from_slice(&(text.len() as u32 + 1).to_be_bytes());
            out.push(1);
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        _ => {}
    }
    put_bytes(text.as_bytes(), out)
}

/// The server refuses longer ones too, unless what is beyond are blanks, which it cuts.
fn check_length(text: &str, max: u32) -> Result<(), Stop> {
    let length = text.chars().count();
    match length > max as usize {
        true => Err(unsaid(
            "postgres::too_long",
            format!("the text has {length} characters, and the column takes {max}"),
        )),
        false => Ok(()),
    }
}

/// An integer in any form of a number.
pub(super) fn put_integer(value: i128, wire: Wire, out: &mut Vec<u8>) -> Result<(), Stop> {
    let beyond = |what: &str| {
        unsaid(
            "postgres::out_of_range",
            format!("{value} does not fit {what}"),
        )
    };
    match wire {
        Wire::Int2 => {
            let value = i16::try_from(value).map_err(|_| beyond("smallint"))?;
            out.extend_from_slice(&2u32.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
        Wire::Int4 => put4(
            i32::try_from(value)
                .map_err(|_| beyond("integer"))?
                .to_be_bytes(),
            out,
        ),
        Wire::Oid => put4(
            u32::try_from(value)
                .map_err(|_| beyond("oid"))?
                .to_be_bytes(),
            out,
        ),
        Wire::Int8 => put8(
            i64::try_from(value)
                .map_err(|_| beyond("bigint"))?
                .to_be_bytes(),
            out,
        ),
        Wire::Float4 if (value as f32) as i128 == value => put4((value as f32).to_be_bytes(), out),
        Wire::Float8 if (value as f64) as i128 == value => put8((value as f64).to_be_bytes(), out),
        Wire::Float4 => return Err(beyond("real exactly")),
        Wire::Float8 => return Err(beyond("double precision exactly")),
        _ => numeric::put_decimal(value, 0, out).map_err(unsayable)?,
    }
    Ok(())
}

/// A float in another form than its own.
pub(super) fn put_float(value: Float, wire: Wire, out: &mut Vec<u8>) -> Result<(), Stop> {
    match (value, wire) {
        (Float::Single(v), Wire::Float8) => put8(f64::from(v).to_be_bytes(), out),
        (Float::Double(v), Wire::Float4) => {
            let single = v as f32;
            let vanished = single.is_infinite() && v.is_finite() || single == 0.0 && v != 0.0;
            if vanished {
                return Err(unsaid(
                    "postgres::out_of_range",
                    format!("{:e} does not fit real", v),
                ));
            }
            put4(single.to_be_bytes(), out);
        }
        (value, _) => {
            let mut text = Vec::new();
            match value {
                Float::Single(v) => text::write_f32(v, &mut text),
                Float::Double(v) => text::write_f64(v, &mut text),
            }
            numeric::put_text(&text, out).map_err(unsayable)?;
        }
    }
    Ok(())
}

/// A row of vectors, as pgvector's or as an array.
pub(super) fn put_vector(
    lists: &FixedSizeListArray,
    items: &Float32Array,
    row: usize,
    wire: Wire,
    out: &mut Vec<u8>,
) -> Result<(), Stop> {
    let length = lists.value_length() as usize;
    let start = lists.value_offset(row) as usize;
    let to_vector = wire == Wire::Vector;
    if to_vector && length > DIMENSIONS_MAX {
        return Err(unsaid(
            "postgres::too_large",
            format!("a vector has at most {DIMENSIONS_MAX} dimensions"),
        ));
    }
    let head = out.len();
    out.extend_from_slice(&[0; 4]);
    match to_vector {
        true => out.extend_from_slice(&((length as u32) << 16).to_be_bytes()),
        // One dimension from 1, maybe with nulls.
        false => [
            1,
            u32::from(items.null_count() > 0),
            FLOAT4_OID,
            length as u32,
            1,
        ]
        .iter()
        .for_each(|word| out.extend_from_slice(&word.to_be_bytes())),
    }
    for at in start..start + length {
        let item = items.is_valid(at).then(|| items.value(at));
        match (item, to_vector) {
            (Some(item), true) if item.is_finite() => out.extend_from_slice(&item.to_be_bytes()),
            (Some(item), false) => put4(item.to_be_bytes(), out),
            (None, false) => out.extend_from_slice(&(-1i32).to_be_bytes()),
            (_, true) => {
                let what = if item.is_some() { "not finite" } else { "null" };
                return Err(unsaid(
                    "postgres::bad_item",
                    format!("an item of the vector is {what}"),
                ));
            }
        }
    }
    let bytes = out.len() - head - 4;
    out[head..head + 4].copy_from_slice(&(bytes as u32).to_be_bytes());
    Ok(())
}

fn unsaid(code: &'static str, message: String) -> Stop {
    Box::new(Unsaid { code, message })
}

#[cold]
fn too_large(bytes: usize) -> Stop {
    unsaid(
        "postgres::too_large",
        format!("a value of {bytes} bytes is more than PostgreSQL holds"),
    )
}

#[cold]
pub(super) fn out_of_range(what: &str) -> Stop {
    unsaid(
        "postgres::out_of_range",
        format!("{what} is beyond what PostgreSQL holds"),
    )
}

#[cold]
pub(super) fn unsayable(why: Unsayable) -> Stop {
    let (code, message) = match why {
        Unsayable::MinusZero => (
            "postgres::minus_zero",
            "an exact number of PostgreSQL has no -0",
        ),
        Unsayable::TooLong => (
            "postgres::out_of_range",
            "the number has more digits than PostgreSQL holds",
        ),
        Unsayable::NoNumber => ("postgres::not_a_number", "the text is no number"),
    };
    unsaid(code, message.to_owned())
}
