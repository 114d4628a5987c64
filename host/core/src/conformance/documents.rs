//! Documents: nothing of a record is lost that its columns do not hold.

use super::compare::{documents, same_documents};
use super::trial::{Trial, options, refused};
use super::{Fixture, Verdict, ensure};
use crate::json::{DecodeOptions, Decoder};
use crate::{Field, LogicalType, Nulls, Role, Schema};

/// Records that fit their columns, and some that do not.
const DOCUMENTS: &[&str] = &[
    r#"{"id":"1","n":1,"f":0.5,"t":"a","b":true,"j":{"x":[1,2]}}"#,
    r#"{"id":"2","n":null,"f":null,"t":null,"b":null,"j":null}"#,
    r#"{"id":"3"}"#,
    r#"{"id":"4","n":"text where numbers are","f":9007199254740993,"t":7,"b":"yes","j":1}"#,
    r#"{"id":"5","n":99999999999999999999,"f":1e400,"t":["list"],"b":0}"#,
    r#"{"id":"6","new":1,"also new":{"deep":[null,true,"ü\n"]},"":"an empty name"}"#,
    r#"{"id":"7","new":null,"n":1.0,"f":0.1234567890123456789012}"#,
    r#"{"id":"8","quote\"d":"\\","n":-0,"f":-0.0}"#,
];

pub(super) fn documents_come_back(fixture: &dyn Fixture) -> Verdict {
    let fields = [
        ("id", LogicalType::Utf8),
        ("n", LogicalType::Int64),
        ("f", LogicalType::Float64),
        ("t", LogicalType::Utf8),
        ("b", LogicalType::Boolean),
        ("j", LogicalType::Json),
    ];
    let mut fields: Vec<Field> = fields
        .into_iter()
        .map(|(name, logical)| Field {
            null_is_absent: true,
            ..Field::new(name, logical)
        })
        .collect();
    fields.push(Field::reserved(Role::Rest));
    let schema = Schema::new(fields);
    let trial = Trial::new(fixture, &schema);
    let capabilities = fixture
        .backend()
        .target_capabilities(&options("[target]", &trial.place.target)?)?;
    if !capabilities.documents {
        // A table has no place for the rest: the engine never sends one, and the target says so.
        return refused("a rest no column holds", trial.open_target()).map(drop);
    }
    let mut decoder = Decoder::new(
        &schema,
        DecodeOptions {
            explicit_nulls: true,
            ..DecodeOptions::default()
        },
    );
    // A store that has no -0 is not given any here.
    let rejects = fixture.traits().rejects;
    let zero = |document: &&str| match rejects.contains(&("float64", "-0.0")) {
        true => document.replace("-0", "0"),
        false => (*document).to_owned(),
    };
    let expected: Vec<String> = DOCUMENTS.iter().map(zero).collect();
    for document in &expected {
        decoder.push(document.as_bytes())?;
    }
    let records = decoder.finish()?;
    let mut open = trial.start(0, 0)?;
    let report = open.write(&records)?;
    ensure(report.rejects.is_empty(), || {
        format!("documents are rejected: {:?}", report.rejects)
    })?;
    open.commit(false)?;
    let ordered = fixture.traits().ordered;
    let scanned = documents(&schema, &open.scan()?)?;
    same_documents("scan", &expected, &scanned, false, Nulls::Keep)?;
    open.finish()?;

    let (found, batches) = trial.read_as(|open| open.explicit_nulls = true)?;
    let found = documents(&found, &batches)?;
    same_documents("source", &expected, &found, ordered, Nulls::Keep)
}
