//! Rows to write: every type with its extremes, and plain numbered rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::Failure;
use crate::text::Appender;
use crate::{Field, LogicalType, Schema};

/// Every type the suite writes, parameters by example.
pub fn held_types() -> Vec<LogicalType> {
    let zone = |zone: &str| LogicalType::Timestamp(Some(Arc::from(zone)));
    vec![
        LogicalType::Boolean,
        LogicalType::Int32,
        LogicalType::Int64,
        LogicalType::UInt64,
        LogicalType::Float32,
        LogicalType::Float64,
        LogicalType::Utf8,
        LogicalType::Binary,
        LogicalType::Json,
        LogicalType::Date32,
        LogicalType::Time64,
        LogicalType::Timestamp(None),
        zone("UTC"),
        zone("Europe/Berlin"),
        LogicalType::Uuid,
        LogicalType::Decimal(10, 2),
        LogicalType::Decimal(38, 10),
        LogicalType::Number,
        LogicalType::Vector(3),
    ]
}

/// The extremes of a type, as [`crate::text`] spells them.
pub fn extremes(logical: &LogicalType) -> Vec<String> {
    let texts: &[&str] = match logical {
        LogicalType::Null => &[],
        LogicalType::Boolean => &["true", "false"],
        LogicalType::Int32 => &["0", "-1", "2147483647", "-2147483648"],
        LogicalType::Int64 => INT64,
        LogicalType::UInt64 => UINT64,
        LogicalType::Float32 => FLOAT32,
        LogicalType::Float64 => FLOAT64,
        LogicalType::Utf8 => UTF8,
        LogicalType::Binary => &["", "AA==", "AQD/", "AAECAwQFBgcICQoLDA0ODw=="],
        LogicalType::Json => JSON,
        LogicalType::Date32 => DATE32,
        LogicalType::Time64 => &["00:00:00", "23:59:59.999999", "00:00:00.000001", "12:30:00"],
        LogicalType::Timestamp(None) => TIMESTAMP,
        LogicalType::Timestamp(Some(_)) => TIMESTAMP_ZONED,
        LogicalType::Uuid => UUID,
        LogicalType::Decimal(10, 2) => DECIMAL_10_2,
        LogicalType::Decimal(..) => DECIMAL_38_10,
        LogicalType::Number => NUMBER,
        LogicalType::Vector(_) => VECTOR,
    };
    let mut texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    if *logical == LogicalType::Utf8 {
        texts.push("long ü".repeat(20_000));
    }
    texts
}

const INT64: &[&str] = &[
    "0",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "9007199254740993",
];

const UINT64: &[&str] = &[
    "0",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
];

const FLOAT32: &[&str] = &[
    "0.0",
    "0.1",
    "-0.0",
    "3.4028235e+38",
    "-3.4028235e+38",
    "1e-45",
    "16777216.0",
    "NaN",
    "inf",
    "-inf",
];

const FLOAT64: &[&str] = &[
    "0.0",
    "0.1",
    "-0.0",
    "0.30000000000000004",
    "1.7976931348623157e+308",
    "-1.7976931348623157e+308",
    "5e-324",
    "9007199254740992.0",
    "1e+300",
    "NaN",
    "inf",
    "-inf",
];

const UTF8: &[&str] = &[
    "",
    " ",
    "a",
    "  before and after  ",
    "a,b;c\td",
    "say \"hi\"",
    "it's",
    "a\nb",
    "a\r\nb",
    "\\N",
    "\\",
    "null",
    "NULL",
    "NA",
    "NaN",
    "true",
    "1",
    "-0",
    "007",
    "1e5",
    "2024-02-29",
    "{\"a\": 1}",
    "[1, 2]",
    "=1+1",
    "#",
    "--",
    "\u{feff}bom",
    "Ünïcödé",
    "日本語",
    "🦀🐍",
    "e\u{301}",
    "\u{202e}right to left",
    "a\0b",
    "\u{1}\u{7f}",
    "\u{10ffff}",
];

const JSON: &[&str] = &[
    "{}",
    "[]",
    "{\"a\":{\"b\":[1,null,{\"c\":\"d\"}]}}",
    "\"text\"",
    "\"a\\nb \\\"c\\\" ü\"",
    "true",
    "0",
    "1.50",
    "1e400",
    "123456789012345678901234567890",
    "[1,2,3]",
    "{\"z\":1,\"a\":2}",
    "\"2024-02-29\"",
];

const DATE32: &[&str] = &[
    "1970-01-01",
    "1969-12-31",
    "0001-01-01",
    "9999-12-31",
    "2024-02-29",
    "1900-02-28",
    "1582-10-15",
];

const TIMESTAMP: &[&str] = &[
    "1970-01-01T00:00:00",
    "1969-12-31T23:59:59.999999",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59.999999",
    "2024-02-29T12:00:00.000001",
    "2024-03-31T02:30:00",
];

const TIMESTAMP_ZONED: &[&str] = &[
    "1970-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2024-02-29T12:00:00.000001Z",
    "2024-10-27T00:30:00Z",
];

const UUID: &[&str] = &[
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "0191f2a0-1234-7abc-8def-0123456789ab",
];

const DECIMAL_10_2: &[&str] = &[
    "0.00",
    "0.01",
    "-0.01",
    "99999999.99",
    "-99999999.99",
    "1.50",
];

const DECIMAL_38_10: &[&str] = &[
    "0.0000000000",
    "0.0000000001",
    "9999999999999999999999999999.9999999999",
    "-9999999999999999999999999999.9999999999",
    "1.5000000000",
];

const NUMBER: &[&str] = &[
    "0",
    "-1",
    "1.50",
    "100",
    "9007199254740993",
    "18446744073709551616",
    "0.1",
    "3.14159265358979323846264338327950288419716939937510",
    "1e400",
    "-1.5e-400",
    "123456789012345678901234567890123456789012345678901234567890",
];

const VECTOR: &[&str] = &[
    "[0.25,-1.0,0.5]",
    "[1.5,0.0,-0.1]",
    "[0.0,-0.0,1e-45]",
    "[3.4028235e+38,0.1,16777216.0]",
];

/// A numbered row per text with `value` of type `logical`, and a null at the end.
pub(super) fn typed(
    logical: &LogicalType,
    texts: &[String],
) -> Result<(Schema, RecordBatch), Failure> {
    let schema = Schema::new(vec![
        Field {
            key: Some(0),
            nullable: false,
            ..Field::new("id", LogicalType::Int64)
        },
        Field::new("value", logical.clone()),
    ]);
    let mut values = Appender::new(logical);
    for text in texts {
        if !values.append(text) {
            return Err(Failure(format!("{text:?} is no {logical}")));
        }
    }
    values.append_null();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..=texts.len() as i64));
    let records = RecordBatch::try_new(schema.to_arrow(), vec![ids, values.finish()?])?;
    Ok((schema, records))
}

/// The columns of [`plain`].
pub(super) fn plain_schema(keyed: bool) -> Schema {
    let key = keyed.then_some(0);
    Schema::new(vec![
        Field {
            key,
            nullable: !keyed,
            ..Field::new("id", LogicalType::Int64)
        },
        Field::new("name", LogicalType::Utf8),
        Field::new("score", LogicalType::Float64),
    ])
}

/// Rows of these ids; `word` makes rows of the same id differ.
pub(super) fn plain(schema: &Schema, ids: &[i64], word: &str) -> Result<RecordBatch, Failure> {
    let columns = schema.fields.iter().map(|field| {
        let mut column = Appender::new(&field.logical);
        for id in ids {
            let text = match field.name.as_str() {
                "id" => Some(id.to_string()),
                "name" => Some(format!("{word} {id}")),
                // Every third score is null.
                "score" => (id % 3 != 0).then(|| format!("{id}.5")),
                _ => Some(format!("{word} {}", field.name)),
            };
            match text {
                Some(text) if column.append(&text) => (),
                Some(text) => {
                    return Err(Failure(format!("{text:?} does not fit `{}`", field.name)));
                }
                None => column.append_null(),
            }
        }
        Ok(column.finish()?)
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, Failure>>()?;
    Ok(RecordBatch::try_new(schema.to_arrow(), columns)?)
}

/// `count` batches of five rows each, ids ascending from 0.
pub(super) fn batches(schema: &Schema, count: i64) -> Result<Vec<RecordBatch>, Failure> {
    (0..count)
        .map(|k| plain(schema, &(k * 5..k * 5 + 5).collect::<Vec<_>>(), "row"))
        .collect()
}
