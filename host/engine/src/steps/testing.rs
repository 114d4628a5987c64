//! Steps by example: records in, records out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use dkhost_core::{
    Batch, Error, Field, LogicalType, Node, Position, Role, Schema, StageKind, Step,
};
use serde_json::{Map, Value};

use crate::expr::Scope;
use crate::expr::convert::convert;
use crate::trial::MadeUp;

/// A schema of nullable columns.
pub(crate) fn input(columns: &[(&str, &str)]) -> Schema {
    let fields = columns
        .iter()
        .map(|(name, logical)| Field::new(*name, logical.parse().unwrap()));
    Schema::new(fields.collect())
}

/// The schema with `name` as its key.
pub(crate) fn key(mut schema: Schema, name: &str) -> Schema {
    let index = schema.index_of(name).unwrap();
    schema.fields[index].key = Some(0);
    schema
}

/// The schema with id, meta and rest.
pub(crate) fn with_reserved(mut schema: Schema) -> Schema {
    schema.fields.insert(0, Field::reserved(Role::Id));
    schema.fields.push(Field::reserved(Role::Meta));
    schema.fields.push(Field::reserved(Role::Rest));
    schema
}

/// Binds a step called `here`; now is 2024-05-06 07:08:09.123456.
pub(crate) fn build(verb: &str, node: Value, schema: &Schema) -> Result<Box<dyn Step>, Error> {
    let now = chrono::DateTime::from_timestamp(1_714_979_289, 123_456_789).unwrap();
    super::build(
        verb,
        &Node::from_json(&node),
        &Scope::stage("here", schema).at(now),
    )
}

/// The refusal of a step.
pub(crate) fn refused(verb: &str, node: Value, schema: &Schema) -> Error {
    match build(verb, node, schema) {
        Ok(step) => panic!("not refused: {}", step.note().summary),
        Err(error) => error,
    }
}

/// Records in, records out; nothing refused.
pub(crate) fn check(step: (&str, Value), schema: &Schema, records: &str, expected: &str) {
    check_rejects(step, schema, records, expected, &[]);
}

/// Records in, records out, and refusals as `row code column message`.
pub(crate) fn check_rejects(
    step: (&str, Value),
    schema: &Schema,
    records: &str,
    expected: &str,
    rejects: &[&str],
) {
    let step = build(step.0, step.1, schema).unwrap();
    let input = batch(schema, records);
    let changed = step.open(0).unwrap().apply(&input).unwrap();
    let output = input.advance(changed, StageKind::Step, "here").unwrap();
    assert_eq!(output.records.schema(), step.output().to_arrow());
    let refused: Vec<String> = output
        .rejects
        .iter()
        .map(|r| {
            format!(
                "{} {} {} {}",
                r.source_row,
                r.code,
                r.column.as_deref().unwrap_or("-"),
                r.message
            )
        })
        .collect();
    assert_eq!(refused, rejects);
    assert_eq!(
        lines(&records_of(&output.records, step.output())),
        lines(&parse(expected))
    );
}

fn lines(records: &[Map<String, Value>]) -> String {
    records
        .iter()
        .map(|r| serde_json::to_string(r).unwrap() + "\n")
        .collect()
}

/// Records separated by white space.
pub(crate) fn parse(records: &str) -> Vec<Map<String, Value>> {
    serde_json::Deserializer::from_str(records)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// A batch of records; a field that is left out is null.
pub(crate) fn batch(schema: &Schema, records: &str) -> Batch {
    let rows = parse(records);
    let columns: Vec<ArrayRef> = schema
        .fields
        .iter()
        .map(|field| column(field, &rows))
        .collect();
    Batch {
        records: RecordBatch::try_new(schema.to_arrow(), columns).unwrap(),
        origin: None,
        source: Arc::new(MadeUp(rows.len())),
        rejects: Vec::new(),
        until: Position::default(),
        source_bytes: 0,
    }
}

fn column(field: &Field, rows: &[Map<String, Value>]) -> ArrayRef {
    let json = rows.iter().map(|row| {
        row.get(&field.name)
            .map(Value::to_string)
            .filter(|json| json != "null")
    });
    if rows
        .iter()
        .all(|row| row.get(&field.name).is_none_or(Value::is_null))
    {
        return arrow::array::new_null_array(&field.logical.arrow(), rows.len());
    }
    let json: ArrayRef = Arc::new(json.collect::<StringArray>());
    let converted = convert(&json, &LogicalType::Json, &field.logical).unwrap();
    assert_eq!(converted.failed, [0; 0], "{}", field.name);
    converted.values
}

/// The records of a batch.
pub(crate) fn records_of(records: &RecordBatch, schema: &Schema) -> Vec<Map<String, Value>> {
    let columns: Vec<ArrayRef> = schema
        .fields
        .iter()
        .zip(records.columns())
        .map(|(field, column)| match field.logical {
            LogicalType::Utf8 => quoted(column),
            ref logical => convert(column, logical, &LogicalType::Json).unwrap().values,
        })
        .collect();
    (0..records.num_rows())
        .map(|row| {
            let value = |column: &ArrayRef| match column.is_null(row) {
                true => Value::Null,
                false => serde_json::from_str(column.as_string::<i32>().value(row)).unwrap(),
            };
            schema
                .names()
                .map(str::to_owned)
                .zip(columns.iter().map(value))
                .collect()
        })
        .collect()
}

fn quoted(texts: &ArrayRef) -> ArrayRef {
    let texts = texts
        .as_string::<i32>()
        .iter()
        .map(|text| text.map(|text| serde_json::to_string(text).unwrap()));
    Arc::new(texts.collect::<StringArray>())
}
