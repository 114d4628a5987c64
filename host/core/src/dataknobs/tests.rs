use arrow::array::RecordBatch;

use super::*;
use crate::json::{DecodeOptions, Decoder, RowError, Scanner};
use crate::{Field, Nulls, Role, Schema};

const FILE: &str = include_str!("../../../../tests/data/dataknobs-0.11.0/records.json");
const OBJECTS: &str = include_str!("../../../../tests/data/dataknobs-0.11.0/s3.jsonl");
const ROWS: &str = include_str!("../../../../tests/data/dataknobs-0.11.0/sqlite.jsonl");

/// The records of a store file: key and text.
fn file_records(file: &str) -> Vec<(String, String)> {
    let mut records = Vec::new();
    let mut scanner = Scanner::new(file);
    let mut more = scanner.enter_object().unwrap();
    while more {
        let (key, escaped) = scanner.key().unwrap();
        let key = crate::json::unescape(key, escaped).into_owned();
        records.push((key, scanner.value().unwrap().raw.to_owned()));
        more = scanner.next_member().unwrap();
    }
    records
}

/// A member of a line of a fixture.
fn text_of(line: &str, name: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line[name].as_str().map(str::to_owned)
}

/// The columns of what an inference found.
fn schema(inference: Inference) -> Schema {
    let mut fields = vec![Field::reserved(Role::Id)];
    fields.extend(inference.finish());
    fields.extend([Field::reserved(Role::Meta), Field::reserved(Role::Rest)]);
    Schema::new(fields)
}

fn decoder(schema: &Schema) -> Decoder {
    let options = DecodeOptions {
        explicit_nulls: true,
        bare_nan: true,
        ..DecodeOptions::default()
    };
    Decoder::new(schema, options)
}

/// Records of the record form as columns.
fn columns(records: &[(String, String)]) -> Result<(Schema, RecordBatch), RowError> {
    let mut inference = Inference::new(Form::File);
    for (_, record) in records {
        inference.record(record.as_bytes())?;
    }
    let schema = schema(inference);
    let (mut reader, mut decoder) = (Reader::new(&schema), decoder(&schema));
    for (key, record) in records {
        let plain = reader.record(Some(key), record.as_bytes())?;
        decoder.push_document(plain.fields, plain.id, plain.meta)?;
    }
    Ok((schema, decoder.finish().unwrap()))
}

fn write_all(schema: &Schema, records: &RecordBatch, form: Form) -> Vec<(String, String)> {
    let writer = Writer::new(schema, form, Nulls::Keep);
    let mut bound = writer.bind(records).unwrap();
    (0..records.num_rows())
        .map(|row| {
            let (id, mut out) = (bound.id(row).unwrap(), Vec::new());
            bound.record(row, &id, &mut out).unwrap();
            (id, String::from_utf8(out).unwrap())
        })
        .collect()
}

/// One record in, one record out, in the compact form.
fn through(record: &str) -> Result<String, RowError> {
    let (schema, records) = columns(&[("k".to_owned(), record.to_owned())])?;
    Ok(write_all(&schema, &records, Form::Object).remove(0).1)
}

#[test]
fn a_store_file_comes_back_byte_for_byte() {
    let records = file_records(FILE);
    assert_eq!(records.len(), 50);
    let (schema, batch) = columns(&records).unwrap();
    let written = write_all(&schema, &batch, Form::File);
    let members: Vec<String> = written
        .iter()
        .map(|(id, record)| format!("  {}: {record}", serde_json::to_string(id).unwrap()))
        .collect();
    assert_eq!(format!("{{\n{}\n}}", members.join(",\n")), FILE);
}

#[test]
fn columns_declare_the_type_most_of_their_fields_do() {
    let (schema, batch) = columns(&file_records(FILE)).unwrap();
    let described: Vec<String> = schema
        .data_fields()
        .map(|(_, f)| {
            format!(
                "{} {} {}",
                f.name,
                f.logical,
                f.source_type.as_deref().unwrap_or("-")
            )
        })
        .collect();
    assert_eq!(
        described,
        [
            "name utf8 dataknobs:string",
            "raw utf8 dataknobs:string",
            "body utf8 dataknobs:text",
            "count int64 dataknobs:integer",
            "price float64 dataknobs:float",
            "active boolean dataknobs:boolean",
            "created utf8 dataknobs:datetime",
            "tags json dataknobs:json",
            "profile json dataknobs:json",
            "blob utf8 dataknobs:binary",
            "nothing json -",
            "maybe int64 dataknobs:integer",
            "sparse_only_here utf8 dataknobs:string",
            "embedding json dataknobs:vector",
        ]
    );
    let meta = crate::json::row(&batch, 0);
    let meta: serde_json::Value = serde_json::from_str(&meta).unwrap();
    assert_eq!(meta["_meta"]["$fields"]["embedding"]["dimensions"], 3);
    assert_eq!(
        meta["_meta"]["$fields"].as_object().unwrap().len(),
        2,
        "maybe has metadata of its own"
    );
    let lost = lost_when_flat(&schema);
    assert_eq!(
        lost[0],
        "`body` is read back as a string or json, not as text"
    );
    assert_eq!(lost.len(), 4);
}

#[test]
fn s3_objects_come_back_byte_for_byte() {
    let lines = OBJECTS.lines();
    let bodies: Vec<(String, String)> = lines
        .map(|line| {
            let key = text_of(line, "key").unwrap();
            let id = key
                .strip_prefix("records/")
                .and_then(|key| key.strip_suffix(".json"));
            (id.unwrap().to_owned(), text_of(line, "body").unwrap())
        })
        .collect();
    let (schema, batch) = columns(&bodies).unwrap();
    for ((_, before), (_, after)) in bodies.iter().zip(write_all(&schema, &batch, Form::Object)) {
        assert_eq!(*before, after);
    }
}

#[test]
fn table_rows_come_back_byte_for_byte() {
    let mut inference = Inference::new(Form::Flat);
    for line in ROWS.lines() {
        inference
            .flat(text_of(line, "data").unwrap().as_bytes())
            .unwrap();
    }
    let schema = schema(inference);
    let (mut reader, mut decoder) = (Reader::new(&schema), decoder(&schema));
    for line in ROWS.lines() {
        let (data, metadata) = (text_of(line, "data").unwrap(), text_of(line, "metadata"));
        let plain = reader.flat(data.as_bytes(), metadata.as_deref()).unwrap();
        decoder
            .push_document(plain.fields, text_of(line, "id").as_deref(), plain.meta)
            .unwrap();
    }
    rows_are(&schema, &decoder.finish().unwrap());
}

#[test]
fn a_store_file_becomes_the_rows_dataknobs_would_write() {
    let (schema, batch) = columns(&file_records(FILE)).unwrap();
    rows_are(&schema, &batch);
}

fn rows_are(schema: &Schema, batch: &RecordBatch) {
    let writer = Writer::new(schema, Form::Flat, Nulls::Keep);
    let mut bound = writer.bind(batch).unwrap();
    for (row, line) in ROWS.lines().enumerate() {
        let (mut data, mut metadata) = (Vec::new(), Vec::new());
        let has_metadata = bound.flat(row, &mut data, &mut metadata).unwrap();
        assert_eq!(bound.id(row), text_of(line, "id"));
        assert_eq!(
            String::from_utf8(data).unwrap(),
            text_of(line, "data").unwrap()
        );
        let metadata = has_metadata.then(|| String::from_utf8(metadata).unwrap());
        assert_eq!(metadata, text_of(line, "metadata"));
    }
}

#[test]
fn table_rows_become_a_file_with_the_types_dataknobs_detects() {
    let line = r#"{"a": "x", "n": 1, "f": 1.5, "b": true, "z": null, "j": [1], "v": {"name": "v", "value": [0.5, 1.0], "type": "vector", "metadata": {"dimensions": 2, "model": null}, "dimensions": 2}}"#;
    let mut inference = Inference::new(Form::Flat);
    inference.flat(line.as_bytes()).unwrap();
    let schema = schema(inference);
    let mut decoder = decoder(&schema);
    let mut reader = Reader::new(&schema);
    let plain = reader.flat(line.as_bytes(), Some("null")).unwrap();
    decoder
        .push_document(plain.fields, Some("1"), plain.meta)
        .unwrap();
    let (_, record) = write_all(&schema, &decoder.finish().unwrap(), Form::Object).remove(0);
    assert_eq!(
        record,
        [
            r#"{"fields": {"a": {"name": "a", "value": "x", "type": "string", "metadata": {}}, "#,
            r#""n": {"name": "n", "value": 1, "type": "integer", "metadata": {}}, "#,
            r#""f": {"name": "f", "value": 1.5, "type": "float", "metadata": {}}, "#,
            r#""b": {"name": "b", "value": true, "type": "boolean", "metadata": {}}, "#,
            r#""z": {"name": "z", "value": null, "type": "string", "metadata": {}}, "#,
            r#""j": {"name": "j", "value": [1], "type": "json", "metadata": {}}, "#,
            r#""v": {"name": "v", "value": [0.5, 1.0], "type": "vector", "metadata": {"dimensions": 2, "model": null}, "dimensions": 2}}, "#,
            r#""id": "1", "metadata": {}}"#,
        ]
        .concat()
    );
}

#[test]
fn what_is_not_as_usual_survives() {
    for record in [
        // Another type than detected, metadata of a field, members dataknobs does not know.
        r#"{"fields": {"a": {"name": "a", "value": 1, "type": "float", "metadata": {"unit": "m"}, "more": [1]}}, "id": "k", "metadata": {}}"#,
        r#"{"fields": {"a": {"name": "other", "value": null, "type": "datetime", "metadata": {}}}, "id": "k", "metadata": {"x": 1}}"#,
        // An id inside that differs from the key, and unknown members of the record.
        r#"{"fields": {}, "id": "inner", "metadata": {}, "version": 7, "vectors": {"a": []}}"#,
        r#"{"fields": {}, "id": 7, "metadata": {}}"#,
        // Names and types that need escapes.
        r#"{"fields": {"a\"\u00fc": {"name": "a\"\u00fc", "value": "\ud83e\udd80\u007f\n", "type": "t\"", "metadata": {}}}, "id": "k", "metadata": {}}"#,
        // Bare NaN, as Python writes it.
        r#"{"fields": {"a": {"name": "a", "value": NaN, "type": "float", "metadata": {}}, "b": {"name": "b", "value": -Infinity, "type": "float", "metadata": {}}}, "id": "k", "metadata": {}}"#,
        // Numbers as Python writes them.
        r#"{"fields": {"a": {"name": "a", "value": 1e-07, "type": "float", "metadata": {}}, "b": {"name": "b", "value": [1e+16, 1.5e-05, 123456789012345680000], "type": "json", "metadata": {}}}, "id": "k", "metadata": {}}"#,
        // Values that their type does not fit.
        r#"{"fields": {"a": {"name": "a", "value": 1.0, "type": "integer", "metadata": {"u": 1}}}, "id": "k", "metadata": {}}"#,
        r#"{"fields": {"a": {"name": "a", "value": "12", "type": "integer", "metadata": {}}, "b": {"name": "b", "value": 1, "type": "boolean", "metadata": {}}, "c": {"name": "c", "value": 5, "type": "string", "metadata": {}}}, "id": "k", "metadata": {}}"#,
        r#"{"fields": {"a": {"name": "a", "value": {"x": 1}, "type": "string", "metadata": {}}, "b": {"name": "b", "value": 1, "type": "geo", "metadata": {}}}, "id": "k", "metadata": {}}"#,
        // A user's dict that looks like a vector of a table row.
        r#"{"fields": {"a": {"name": "a", "value": {"type": "vector", "value": "speed"}, "type": "json", "metadata": {}}}, "id": "k", "metadata": {}}"#,
    ] {
        assert_eq!(through(record).unwrap(), record);
    }
}

#[test]
fn a_value_that_never_fit_its_type_survives_among_values_that_do() {
    let field = |value: &str| {
        format!(
            r#"{{"fields": {{"a": {{"name": "a", "value": {value}, "type": "integer", "metadata": {{"u": 1}}}}}}, "id": "k", "metadata": {{}}}}"#
        )
    };
    let values = ["1", "2", "\"12\"", "1.0", "true", "[1]", "null"];
    let records: Vec<_> = values.map(|v| (v.to_owned(), field(v))).into();
    let (schema, batch) = columns(&records).unwrap();
    for ((key, before), (_, after)) in records.iter().zip(write_all(&schema, &batch, Form::Object))
    {
        assert_eq!(*before, after, "{key}");
    }
}

#[test]
fn bare_values_and_other_spellings_are_understood() {
    for (record, fields) in [
        (
            r#"{"fields": {"a": 1, "b": {"x": 1}, "c": null}, "_id": "k"}"#,
            r#"{"a":1,"b":{"x": 1},"c":null}"#,
        ),
        (
            r#"{"metadata": null, "id": null, "fields": {"a": {"value": [1]}}}"#,
            r#"{"a":[1]}"#,
        ),
        (
            r#"{"fields": {"a": {"type": "string", "value": "x", "name": "a"}}}"#,
            r#"{"a":"x"}"#,
        ),
    ] {
        let mut reader = Reader::new(&Schema::default());
        let plain = reader.record(None, record.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(plain.fields).unwrap(), fields);
        assert_eq!(
            (plain.id, plain.meta),
            (record.contains("_id").then_some("k"), None)
        );
    }
}

#[test]
fn what_cannot_be_held_is_refused_with_its_reason() {
    for (record, code) in [
        ("{}", "dataknobs::not_a_record"),
        (r#"{"a": 1}"#, "dataknobs::not_a_record"),
        (r#"{"fields": []}"#, "json::not_an_object"),
        (r#"{"fields": {}, "fields": {}}"#, "json::duplicate_key"),
        (r#"{"fields": {"a": 1, "a": 2}}"#, "json::duplicate_key"),
        (r#"{"fields": {}, "id": {}}"#, "dataknobs::bad_id"),
        (
            r#"{"fields": {}, "metadata": [1]}"#,
            "dataknobs::bad_metadata",
        ),
        (
            r#"{"fields": {}, "metadata": {"$fields": {}}}"#,
            "dataknobs::reserved_key",
        ),
        (
            r#"{"fields": {}, "metadata": {"\u0024record": 1}}"#,
            "dataknobs::reserved_key",
        ),
        (
            r#"{"fields": {"a": {"value": [NaN]}}}"#,
            "json::not_a_number",
        ),
        (r#"{"fields": {"a": {"x": NaN}}}"#, "json::not_a_number"),
        (
            r#"{"fields": {"a": {"value": 1, "x": NaN}}}"#,
            "json::not_a_number",
        ),
        (r#"{"fields": {}, "x": Infinity}"#, "json::not_a_number"),
        (
            r#"{"fields": {"a": {"value": 1, "value": 2}}}"#,
            "json::duplicate_key",
        ),
        (
            r#"{"fields": {"a": {"value": 1, "$kind": "text"}}}"#,
            "dataknobs::reserved_key",
        ),
        (r#"{"fields": {"a": {"value": 1}"#, "json::unexpected_end"),
    ] {
        assert_eq!(through(record).unwrap_err().code, code, "{record}");
    }
}

#[test]
fn a_row_with_nan_is_refused_by_a_table() {
    let record =
        r#"{"fields": {"a": {"name": "a", "value": NaN, "type": "float", "metadata": {}}}}"#;
    let (schema, records) = columns(&[("k".to_owned(), record.to_owned())]).unwrap();
    let writer = Writer::new(&schema, Form::Flat, Nulls::Keep);
    let (mut data, mut metadata) = (b"kept".to_vec(), Vec::new());
    let refused = writer
        .bind(&records)
        .unwrap()
        .flat(0, &mut data, &mut metadata)
        .unwrap_err();
    assert_eq!(refused.code, "json::not_a_number");
    assert_eq!(
        (data.as_slice(), metadata.as_slice()),
        (&b"kept"[..], &b""[..])
    );
}

#[test]
fn a_value_a_step_has_changed_is_not_called_what_it_was() {
    use std::sync::Arc;
    let record = r#"{"fields": {"a": {"name": "a", "value": [1.0], "type": "vector", "metadata": {"dimensions": 1}}}}"#;
    let (mut schema, records) = columns(&[("k".to_owned(), record.to_owned())]).unwrap();
    // The step made text of the vector; what the record says about it is still in the metadata.
    schema.fields[1].logical = crate::LogicalType::Utf8;
    let mut columns = records.columns().to_vec();
    columns[1] = Arc::new(arrow::array::StringArray::from(vec!["gone"]));
    let records = RecordBatch::try_new(schema.to_arrow(), columns).unwrap();
    assert_eq!(
        write_all(&schema, &records, Form::Object)[0].1,
        r#"{"fields": {"a": {"name": "a", "value": "gone", "type": "string", "metadata": {}}}, "id": "k", "metadata": {}}"#
    );
}

#[test]
fn an_id_is_found_where_the_schema_has_one() {
    use std::sync::Arc;
    let texts = |values: Vec<Option<&str>>| {
        Arc::new(arrow::array::StringArray::from(values)) as arrow::array::ArrayRef
    };
    let key = |name: &str, key: Option<u32>| Field {
        key,
        ..Field::new(name, crate::LogicalType::Utf8)
    };
    for (fields, expected) in [
        (vec![key("id", None), key("b", None)], [Some("x"), None]),
        (
            vec![key("a", Some(1)), key("b", Some(0))],
            [Some("y/x"), None],
        ),
        (vec![key("a", None), key("b", None)], [None, None]),
    ] {
        let schema = Schema::new(fields);
        let columns = vec![
            texts(vec![Some("x"), None]),
            texts(vec![Some("y"), Some("z")]),
        ];
        let records = RecordBatch::try_new(schema.to_arrow(), columns).unwrap();
        let writer = Writer::new(&schema, Form::File, Nulls::Keep);
        let bound = writer.bind(&records).unwrap();
        assert_eq!([bound.id(0).as_deref(), bound.id(1).as_deref()], expected);
    }
}
