//! dataknobs records: any that is read is written again as the same record, in both forms.

use arrow::array::RecordBatch;
use dkhost_core::dataknobs::{Form, Inference, Reader, Writer};
use dkhost_core::json::{DecodeOptions, Decoder, RowError};
use dkhost_core::{Field, Nulls, Role, Schema};
use dkhost_fuzz::Fuzz;

const WORDS: &[&str] = &[
    "\"fields\":",
    "\"metadata\":",
    "\"id\":",
    "\"_id\":",
    "\"value\":",
    "\"type\":",
    "\"name\":",
    "\"$fields\":",
    "\"$record\":",
    "\"$kind\":",
    "\"vector\"",
    "\"sparse_vector\"",
    "\"datetime\"",
    "\"text\"",
    "\"integer\"",
    "\"float\"",
    "\"json\"",
    "\"boolean\"",
    "\"binary\"",
    "\"dimensions\":3",
    "NaN",
    "Infinity",
    "-Infinity",
    "null",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\u0066ields",
    "\\u0024fields",
    "\"\\ud83e\\udd80\"",
    "1e400",
    "-0.0",
    "1E5",
];

fn schema(inference: Inference) -> Schema {
    let mut fields = vec![Field::reserved(Role::Id)];
    fields.extend(inference.finish());
    fields.extend([Field::reserved(Role::Meta), Field::reserved(Role::Rest)]);
    Schema::new(fields)
}

fn decoder(schema: &Schema, bare_nan: bool) -> Decoder {
    let options = DecodeOptions {
        explicit_nulls: true,
        bare_nan,
        ..DecodeOptions::default()
    };
    Decoder::new(schema, options)
}

/// A record as columns.
fn columns(record: &[u8], schema: Option<Schema>) -> Result<(Schema, RecordBatch), RowError> {
    let mut inference = Inference::new(Form::Object);
    let seen = inference.record(record);
    let schema = schema.unwrap_or_else(|| self::schema(inference));
    let (mut reader, mut decoder) = (Reader::new(&schema), decoder(&schema, true));
    let plain = reader.record(None, record)?;
    seen?;
    decoder.push_document(plain.fields, plain.id.or(Some("k")), plain.meta)?;
    Ok((schema, decoder.finish().unwrap()))
}

fn written(schema: &Schema, records: &RecordBatch, form: Form) -> Result<Vec<u8>, RowError> {
    let writer = Writer::new(schema, form, Nulls::Keep);
    let mut bound = writer.bind(records).unwrap();
    let mut out = Vec::new();
    let id = bound.id(0).unwrap();
    bound.record(0, &id, &mut out)?;
    Ok(out)
}

#[test]
fn a_dataknobs_record_is_written_as_it_was_read() {
    let records = include_str!("../../../data/dataknobs-0.11.0/s3.jsonl").lines();
    let bodies = records.map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["body"].as_str().unwrap_or_default().to_owned()
    });
    let seeds: Vec<String> = bodies.filter(|body| !body.is_empty()).take(8).collect();
    assert!(!seeds.is_empty(), "s3.jsonl has bodies");
    let fuzz = seeds
        .into_iter()
        .fold(Fuzz::target("dataknobs"), Fuzz::seed);
    fuzz.words(WORDS).rounds(6_000).run(|input| {
        let (schema, batch) = match columns(input, None) {
            Ok(read) => read,
            Err(error) => {
                return error
                    .to_string()
                    .chars()
                    .filter(|c| !c.is_ascii_digit())
                    .take(60)
                    .collect();
            }
        };
        // The first writing settles what a reading may settle (a bare value becomes a field, an
        // escape its character); from then on nothing may change.
        let once = written(&schema, &batch, Form::Object).expect("what was read can be written");
        let (_, again) =
            columns(&once, Some(schema.clone())).expect("what was written can be read");
        let twice = written(&schema, &again, Form::Object).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&once),
            String::from_utf8_lossy(&twice),
            "written, read, written"
        );
        same(&batch, &again, "read, written, read");
        let (_, third) = columns(&twice, Some(schema.clone())).unwrap();
        assert_eq!(again, third, "read, written, read once more");
        let file = written(&schema, &batch, Form::File).unwrap();
        let (_, from_file) =
            columns(&file, Some(schema.clone())).expect("a store file can be read");
        same(&batch, &from_file, "through a store file");
        flat(&schema, &batch);
        let fields: Vec<String> = schema
            .fields
            .iter()
            .map(|f| format!("{}{:?}", f.logical, f.source_type))
            .collect();
        format!("{fields:?}")
    });
}

/// The same record: nested values may be laid out anew.
#[track_caller]
fn same(before: &RecordBatch, after: &RecordBatch, how: &str) {
    let parsed = |batch: &RecordBatch| {
        let row = dkhost_core::json::row(batch, 0);
        let mut value = serde_json::from_str::<serde_json::Value>(&row).ok()?;
        // A field that declares no type has one once it was written.
        let fields = value
            .pointer_mut("/_meta/$fields")
            .and_then(|fields| fields.as_object_mut());
        for field in fields.into_iter().flat_map(|fields| fields.values_mut()) {
            field.as_object_mut().and_then(|field| field.remove("type"));
        }
        Some(value)
    };
    // Numbers that no double holds are left to the second writing, which is compared as it stands.
    if let (Some(before), Some(after)) = (parsed(before), parsed(after)) {
        assert_eq!(before, after, "{how}");
    }
}

/// The flat form keeps values and metadata, and once flat nothing changes any more.
fn flat(schema: &Schema, batch: &RecordBatch) {
    let write = |batch: &RecordBatch| {
        let writer = Writer::new(schema, Form::Flat, Nulls::Keep);
        let mut bound = writer.bind(batch).unwrap();
        let (mut data, mut meta) = (Vec::new(), Vec::new());
        let has_meta = bound.flat(0, &mut data, &mut meta).ok()?;
        Some((data, has_meta.then(|| String::from_utf8(meta).unwrap())))
    };
    // NaN has no place in a flat store.
    let Some((data, meta)) = write(batch) else {
        return;
    };
    let mut reader = Reader::new(schema);
    let mut decoder = decoder(schema, false);
    let plain = reader
        .flat(&data, meta.as_deref())
        .expect("what was written flat can be read");
    decoder
        .push_document(plain.fields, Some("k"), plain.meta)
        .expect("flat fields are a document");
    let again = decoder.finish().unwrap();
    let (data_again, meta_again) = write(&again).expect("flat is written twice");
    assert_eq!(
        String::from_utf8_lossy(&data),
        String::from_utf8_lossy(&data_again),
        "flat twice"
    );
    assert_eq!(meta, meta_again, "flat metadata twice");
}
