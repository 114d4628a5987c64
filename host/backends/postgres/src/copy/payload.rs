//! A tuple that was refused, as a JSON object: what its dead letter keeps.
//!
//! Values look as they do in every other payload, so that a retry reads them back; those that no
//! column of ours holds, which is why the row is here, are told in the server's spelling.

use arrow::array::RecordBatch;
use dkhost_core::text::{write_date, write_f32, write_time};
use dkhost_core::{Field, LogicalType, Schema, json};

use super::column::Column;
use super::numeric::Numeric;
use super::{DAY_MICROS, EPOCH_DAYS, Wire};

/// The object of a tuple whose fields have these types and come in these forms.
pub(super) fn of(fields: &[Field], wires: &[Wire], tuple: &[u8]) -> Vec<u8> {
    let mut out = vec![b'{'];
    let mut rest = tuple.get(2..).unwrap_or_default();
    for (field, wire) in fields.iter().zip(wires) {
        if out.len() > 1 {
            out.push(b',');
        }
        json::escape(&field.name, &mut out);
        out.push(b':');
        match take(&mut rest) {
            Some(bytes) => value(&field.logical, *wire, bytes, &mut out),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    out
}

/// The next field's bytes; `None` for null, and where there is no more.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = i32::from_be_bytes(*length);
    let Ok(length) = usize::try_from(length) else {
        *rest = after;
        return None;
    };
    let (value, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(value)
}

fn value(logical: &LogicalType, wire: Wire, bytes: &[u8], out: &mut Vec<u8>) {
    if let Some(text) = as_ours(logical, wire, bytes) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let int = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    match (wire, bytes.len()) {
        (Wire::Int2, 2) => number(int(bytes) as i16, out),
        (Wire::Int4, 4) => number(int(bytes) as i32, out),
        (Wire::Int8, 8) => number(int(bytes) as i64, out),
        (Wire::Oid, 4) => number(int(bytes) as u32, out),
        (Wire::Numeric, _) => numeric(bytes, out),
        (Wire::Date, 4) => quoted(out, |out| date(int(bytes) as i32, out)),
        (Wire::Timestamp, 8) => quoted(out, |out| timestamp(int(bytes) as i64, out)),
        (Wire::Timestamptz, 8) => quoted(out, |out| {
            timestamp(int(bytes) as i64, out);
            if !matches!(int(bytes) as i64, i64::MAX | i64::MIN) {
                out.push(b'Z');
            }
        }),
        (Wire::Time, 8) => quoted(out, |out| write_time(int(bytes) as i64, out)),
        (Wire::Vector, 4..) => items(bytes[4..].as_chunks::<4>().0.iter().copied(), out),
        (Wire::Floats, 20..) => {
            let each = bytes[20..].as_chunks::<8>().0.iter();
            items(each.map(|item| [item[4], item[5], item[6], item[7]]), out);
        }
        (Wire::Jsonb, 1..) => json::escape(&String::from_utf8_lossy(&bytes[1..]), out),
        _ => json::escape(&String::from_utf8_lossy(bytes), out),
    }
}

/// What a value looks like that is none of those that are refused.
fn as_ours(logical: &LogicalType, wire: Wire, bytes: &[u8]) -> Option<String> {
    let mut column = Column::new(logical, wire).ok()?;
    column.push(bytes).ok()?;
    let (array, broken) = column.finish().ok()?;
    let schema = Schema::new(vec![Field::new("c", logical.clone())]);
    let records = RecordBatch::try_new(schema.to_arrow(), vec![array]).ok()?;
    let object = json::row(&records, 0);
    let value = object.strip_prefix("{\"c\":")?.strip_suffix('}')?;
    match wire {
        // What is not finite is null there.
        Wire::Float4 | Wire::Float8 if value == "null" => Some(not_finite(wire, bytes).to_owned()),
        _ if broken.is_empty() || *logical == LogicalType::Utf8 => Some(value.to_owned()),
        _ => None,
    }
}

fn not_finite(wire: Wire, bytes: &[u8]) -> &'static str {
    let fraction = match wire {
        Wire::Float4 => bytes[1] & 0x7f,
        _ => bytes[1] & 0x0f,
    };
    match (fraction | bytes[2] | bytes[3], bytes[0] >> 7) {
        (0, 0) => "\"Infinity\"",
        (0, _) => "\"-Infinity\"",
        _ => "\"NaN\"",
    }
}

fn number(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn numeric(bytes: &[u8], out: &mut Vec<u8>) {
    match Numeric::read(bytes) {
        Some(number) => match number.special() {
            Some(name) => json::escape(name, out),
            None => number.write(out),
        },
        None => out.extend_from_slice(b"null"),
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn infinity(negative: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if negative { b"-infinity" } else { b"infinity" });
}

fn date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX | i32::MIN => infinity(days < 0, out),
        _ => write_date(days.saturating_add(EPOCH_DAYS), out),
    }
}

fn timestamp(micros: i64, out: &mut Vec<u8>) {
    match micros {
        i64::MAX | i64::MIN => infinity(micros < 0, out),
        _ => {
            date(micros.div_euclid(DAY_MICROS) as i32, out);
            out.push(b'T');
            write_time(micros.rem_euclid(DAY_MICROS), out);
        }
    }
}

fn items(each: impl Iterator<Item = [u8; 4]>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, item) in each.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let item = f32::from_bits(u32::from_be_bytes(item));
        match item.is_finite() {
            true => write_f32(item, out),
            false => out.extend_from_slice(b"null"),
        }
    }
    out.push(b']');
}
