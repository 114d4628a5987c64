//! Documents in, documents out.

mod decode;
mod encode;
mod infer;
mod malformed;
mod random;

use super::*;
use crate::{Field, LogicalType, Nulls, Role, Schema};

/// `name: type` columns in which null means absent, and a rest.
fn schema(columns: &[(&str, &str)]) -> Schema {
    let mut schema = table(columns);
    schema
        .fields
        .iter_mut()
        .for_each(|field| field.null_is_absent = true);
    schema.fields.push(Field::reserved(Role::Rest));
    schema
}

/// The same without a rest.
fn table(columns: &[(&str, &str)]) -> Schema {
    Schema::new(
        columns
            .iter()
            .map(|(name, logical)| Field::new(*name, kind(logical)))
            .collect(),
    )
}

fn kind(logical: &str) -> LogicalType {
    logical.parse().unwrap()
}

const EXPLICIT: DecodeOptions = DecodeOptions {
    explicit_nulls: true,
    bare_nan: false,
    skip_unknown: false,
};

/// Through columns and back.
fn round_trip(schema: &Schema, documents: &[&str]) -> Vec<String> {
    let mut decoder = Decoder::new(schema, EXPLICIT);
    for document in documents {
        decoder
            .push(document.as_bytes())
            .unwrap_or_else(|e| panic!("{document}: {e}"));
    }
    assert_eq!(decoder.rows(), documents.len());
    let records = decoder.finish().unwrap();
    let encoder = Encoder::new(schema, Nulls::Keep);
    let bound = encoder.bind(&records).unwrap();
    (0..documents.len())
        .map(|row| {
            let mut out = b"before".to_vec();
            bound.row(row, &mut out).unwrap();
            String::from_utf8(out.split_off(6)).unwrap()
        })
        .collect()
}
