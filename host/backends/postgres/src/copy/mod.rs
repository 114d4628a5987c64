//! Binary COPY, straight into columns and straight out of them.
//!
//! ```text
//! header ─ tuple, tuple, … ─ trailer        tuple = count of fields, each with its length and bytes
//! ```
//!
//! A column's [`Wire`] is the form its values have in the stream; its logical type is what they
//! become. The driver moves the bytes, the format is taken apart here because it is the hot path.
//!
//! *Source* – PostgreSQL, "COPY", "Binary Format", and the `recv` and `send` functions of each type.

mod cells;
mod column;
mod decode;
mod encode;
mod numeric;
mod payload;
mod put;
mod split;
mod value;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use decode::{Decoded, Decoder, Refusal};
pub(crate) use encode::Encoder;
pub(crate) use split::Splitter;
pub(crate) use wire::Wire;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i32 = 10_957;

/// The same in microseconds.
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * DAY_MICROS;

/// The microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// What precedes the tuples: signature, flags, length of the extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What follows them.
const TRAILER: [u8; 2] = [0xff, 0xff];
