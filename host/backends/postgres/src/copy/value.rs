//! One value in its binary form, taken or refused with a reason: numbers, moments, vectors.

use dkhost_core::LogicalType;
use dkhost_core::text::Appender;

use super::numeric::Numeric;
use super::{DAY_MICROS, EPOCH_DAYS, EPOCH_MICROS, Wire};

/// Why a value is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// The bytes are no value of this form.
    Broken,
    /// The column holds too many bytes already.
    Full,
    /// The column cannot hold it: code and message.
    Unfit(&'static str, String),
}

/// A reason on the heap: a result stays as small as a pointer.
pub(super) type Stop = Box<Why>;

pub(super) fn unfit(code: &'static str, message: String) -> Stop {
    Box::new(Why::Unfit(code, message))
}

#[inline]
pub(super) fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Stop> {
    bytes.try_into().map_err(|_| Box::new(Why::Broken))
}

#[inline]
pub(super) fn integer(bytes: &[u8], wire: Wire) -> Result<i64, Stop> {
    Ok(match wire {
        Wire::Int2 => i16::from_be_bytes(exact(bytes)?).into(),
        Wire::Int4 => i32::from_be_bytes(exact(bytes)?).into(),
        Wire::Oid => u32::from_be_bytes(exact(bytes)?).into(),
        _ => i64::from_be_bytes(exact(bytes)?),
    })
}

#[cold]
pub(super) fn out_of(value: i64, what: &str) -> Stop {
    unfit(
        "postgres::out_of_range",
        format!(
            "{value} is no {}",
            what.trim_start_matches("an ").trim_start_matches("a ")
        ),
    )
}

#[inline]
pub(super) fn float(bytes: &[u8]) -> Result<f32, Stop> {
    Ok(f32::from_bits(u32::from_be_bytes(exact(bytes)?)))
}

/// A number that is one.
#[inline]
pub(super) fn finite(bytes: &[u8]) -> Result<Numeric<'_>, Stop> {
    let number = Numeric::read(bytes).ok_or_else(|| Box::new(Why::Broken))?;
    match number.special() {
        None => Ok(number),
        Some(name) => Err(unfit(
            "postgres::not_a_number",
            format!(
                "{name} is no exact number; declare the column as text to keep it: fields = {{ … = \"utf8\" }}"
            ),
        )),
    }
}

#[cold]
pub(super) fn unfit_number(number: &Numeric<'_>, what: &str) -> Stop {
    let mut text = Vec::new();
    number.write(&mut text);
    let text = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
    unfit(
        "postgres::out_of_range",
        format!("{text} does not fit {what}"),
    )
}

#[inline]
pub(super) fn timestamp(bytes: &[u8]) -> Result<i64, Stop> {
    let micros = i64::from_be_bytes(exact(bytes)?);
    match micros.checked_add(EPOCH_MICROS) {
        Some(since_1970) if micros != i64::MIN => Ok(since_1970),
        _ => Err(far(micros == i64::MAX || micros == i64::MIN, "timestamp")),
    }
}

#[inline]
pub(super) fn date(bytes: &[u8]) -> Result<i32, Stop> {
    let days = i32::from_be_bytes(exact(bytes)?);
    match days.checked_add(EPOCH_DAYS) {
        Some(since_1970) if days != i32::MIN => Ok(since_1970),
        _ => Err(far(days == i32::MAX || days == i32::MIN, "date")),
    }
}

#[cold]
pub(super) fn far(infinite: bool, what: &str) -> Stop {
    let (code, why) = match infinite {
        true => ("postgres::infinity", format!("infinity is no {what}")),
        false => (
            "postgres::out_of_range",
            format!("the {what} is beyond the year 294246"),
        ),
    };
    unfit(
        code,
        format!("{why}; declare the column as text to keep it: fields = {{ … = \"utf8\" }}"),
    )
}

#[inline]
pub(super) fn time(bytes: &[u8]) -> Result<i64, Stop> {
    match i64::from_be_bytes(exact(bytes)?) {
        micros @ 0..DAY_MICROS => Ok(micros),
        DAY_MICROS => Err(unfit(
            "postgres::end_of_day",
            "24:00:00 is no time of a day; declare the column as text to keep it: fields = { … = \"utf8\" }".to_owned(),
        )),
        _ => Err(Box::new(Why::Broken)),
    }
}

/// `dim:i16 unused:i16 item:f32…`
#[inline]
pub(super) fn vector(bytes: &[u8], n: usize, items: &mut Vec<f32>) -> Result<(), Stop> {
    let broken = || Box::new(Why::Broken);
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(broken)?;
    let (found, rest) = (rest.as_chunks::<4>().0, rest.as_chunks::<4>().1);
    let dimensions = usize::from(u16::from_be_bytes([head[0], head[1]]));
    if !rest.is_empty() || found.len() != dimensions {
        return Err(broken());
    }
    check_dimensions(dimensions, n)?;
    items.extend(
        found
            .iter()
            .map(|item| f32::from_bits(u32::from_be_bytes(*item))),
    );
    Ok(())
}

/// `ndim:i32 flags:i32 element:u32 (length:i32 lower:i32)… (bytes:i32 item:f32)…`
pub(super) fn floats(bytes: &[u8], n: usize, items: &mut Vec<f32>) -> Result<(), Stop> {
    let broken = || Box::new(Why::Broken);
    let word = |at: usize| {
        let word = bytes
            .get(at * 4..at * 4 + 4)
            .and_then(|word| word.try_into().ok());
        word.map(i32::from_be_bytes).ok_or_else(broken)
    };
    let length = match word(0)? {
        0 => 0,
        1 => usize::try_from(word(3)?).map_err(|_| broken())?,
        _ => {
            return Err(unfit(
                "postgres::wrong_dimensions",
                "an array of arrays is no vector".to_owned(),
            ));
        }
    };
    check_dimensions(length, n)?;
    let mut at = 5;
    for _ in 0..length {
        match word(at)? {
            4 => items.push(f32::from_bits(word(at + 1)? as u32)),
            -1 => {
                return Err(unfit(
                    "postgres::null_item",
                    "an item of the vector is null".to_owned(),
                ));
            }
            _ => return Err(broken()),
        }
        at += 2;
    }
    Ok(())
}

pub(super) fn check_dimensions(found: usize, wanted: usize) -> Result<(), Stop> {
    match found == wanted {
        true => Ok(()),
        false => Err(unfit(
            "postgres::wrong_dimensions",
            format!("the vector has {found} dimensions, and {wanted} are wanted"),
        )),
    }
}

pub(super) fn parsed(
    bytes: &[u8],
    appender: &mut Appender,
    logical: &LogicalType,
) -> Result<(), Stop> {
    if !appender.has_room(bytes.len()) {
        return Err(Box::new(Why::Full));
    }
    let text = simdutf8::basic::from_utf8(bytes);
    if text.is_ok_and(|text| appender.append(text)) {
        return Ok(());
    }
    let shown: String = String::from_utf8_lossy(bytes).chars().take(60).collect();
    Err(unfit(
        "postgres::type_mismatch",
        format!("`{shown}` is no {logical}"),
    ))
}
