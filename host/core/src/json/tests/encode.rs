use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};

use super::*;

#[test]
fn documents_come_back_the_same() {
    let schema = schema(&[
        ("n", "int64"),
        ("f", "float64"),
        ("t", "utf8"),
        ("j", "json"),
    ]);
    for (document, expected) in [
        ("{}", "{}"),
        (" {\"n\" : 1 ,\n \"t\":\"a\" } ", r#"{"n":1,"t":"a"}"#),
        // Known fields come in the order of the columns, then the others in theirs.
        (
            r#"{"z":1,"t":"a","y":2,"n":1}"#,
            r#"{"n":1,"t":"a","z":1,"y":2}"#,
        ),
        // A misfit and an explicit null stand at the place of their column.
        (
            r#"{"t":"a","n":"x","f":null}"#,
            r#"{"n":"x","f":null,"t":"a"}"#,
        ),
        (r#"{"f":3}"#, r#"{"f":3.0}"#),
        (r#"{"f":9007199254740993}"#, r#"{"f":9007199254740993}"#),
        (r#"{"j":null}"#, r#"{"j":null}"#),
        (
            r#"{"t":"\u0001\u007f\"\\\/\b\f\n\r\tü"}"#,
            "{\"t\":\"\\u0001\u{7f}\\\"\\\\/\\b\\f\\n\\r\\tü\"}",
        ),
        (r#"{"":1,"a\"b":{"c":[]}}"#, r#"{"":1,"a\"b":{"c":[]}}"#),
        (r#"{"\u006e":7}"#, r#"{"n":7}"#),
        // One line, whatever the layout of what is inside.
        (
            "{\"j\":{\n  \"a b\": \"c\\\" d\",\r\n\t\"e\": [1,  2]\n}}",
            r#"{"j":{"a b":"c\" d","e":[1,2]}}"#,
        ),
        ("{\"new\":[\n1]}", r#"{"new":[1]}"#),
    ] {
        assert_eq!(round_trip(&schema, &[document]), [expected], "{document}");
    }
}

#[test]
fn every_type_and_extreme_comes_back() {
    use crate::conformance::{extremes, held_types, same_json};
    for logical in held_types() {
        let field = Field {
            null_is_absent: true,
            ..Field::new("v", logical.clone())
        };
        let schema = Schema::new(vec![field, Field::reserved(Role::Rest)]);
        let mut column = crate::text::Appender::new(&logical);
        let texts: Vec<String> = extremes(&logical)
            .into_iter()
            .filter(|t| {
                !["NaN", "inf", "-inf"].contains(&t.as_str()) || logical == LogicalType::Utf8
            })
            .collect();
        texts.iter().for_each(|text| assert!(column.append(text)));
        let rest: ArrayRef = Arc::new(StringArray::new_null(texts.len()));
        let records =
            RecordBatch::try_new(schema.to_arrow(), vec![column.finish().unwrap(), rest]).unwrap();
        let encoder = Encoder::new(&schema, Nulls::Keep);
        let bound = encoder.bind(&records).unwrap();
        let mut decoder = Decoder::new(&schema, EXPLICIT);
        for row in 0..texts.len() {
            let mut out = Vec::new();
            bound.row(row, &mut out).unwrap();
            let serde: Result<serde_json::Value, _> = serde_json::from_slice(&out);
            assert!(
                serde.is_ok() || logical == LogicalType::Number || logical == LogicalType::Json
            );
            assert!(same_json(
                std::str::from_utf8(&out).unwrap(),
                std::str::from_utf8(&out).unwrap()
            ));
            decoder.push(&out).unwrap();
        }
        assert_eq!(decoder.finish().unwrap(), records, "{logical}");
    }
}

#[test]
fn nulls_are_absent_or_null_as_the_column_and_the_target_say() {
    let mut schema = schema(&[("absent", "int64"), ("null", "int64")]);
    schema.fields[1].null_is_absent = false;
    let mut decoder = Decoder::new(&schema, EXPLICIT);
    decoder.push(b"{}").unwrap();
    decoder
        .push(br#"{"absent":null,"other":null,"x":1}"#)
        .unwrap();
    let records = decoder.finish().unwrap();
    for (nulls, expected) in [
        (
            Nulls::Keep,
            [
                r#"{"null":null}"#,
                r#"{"absent":null,"null":null,"other":null,"x":1}"#,
            ],
        ),
        (Nulls::Omit, ["{}", r#"{"x":1}"#]),
    ] {
        let encoder = Encoder::new(&schema, nulls);
        let bound = encoder.bind(&records).unwrap();
        for (row, expected) in expected.iter().enumerate() {
            let mut out = Vec::new();
            bound.row(row, &mut out).unwrap();
            assert_eq!(std::str::from_utf8(&out).unwrap(), *expected);
        }
    }
}

#[test]
fn what_json_cannot_say_is_refused_and_leaves_nothing() {
    let schema = schema(&[("a", "int64"), ("f", "float64")]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(arrow::array::Int64Array::from(vec![1, 2, 3])),
        Arc::new(Float64Array::from(vec![f64::NAN, f64::NEG_INFINITY, 1.0])),
        Arc::new(StringArray::from(vec![None, None, Some("[not an object]")])),
    ];
    let records = RecordBatch::try_new(schema.to_arrow(), columns).unwrap();
    let encoder = Encoder::new(&schema, Nulls::Keep);
    let bound = encoder.bind(&records).unwrap();
    let mut out = b"kept".to_vec();
    for (row, code) in [
        (0, "json::not_a_number"),
        (1, "json::not_a_number"),
        (2, "json::bad_rest"),
    ] {
        assert_eq!(bound.row(row, &mut out).unwrap_err().code, code);
        assert_eq!(out, b"kept");
    }
    // The slow way shows whatever there is.
    assert_eq!(row(&records, 0), r#"{"a":1,"f":null}"#);
    assert_eq!(row(&records, 1), r#"{"a":1,"f":null}"#.replace('1', "2"));
    assert_eq!(
        row(&records, 2),
        r#"{"a":3,"f":1.0,"_rest":"[not an object]"}"#
    );
}

#[test]
fn a_value_that_was_put_into_the_column_wins_over_the_rest() {
    let schema = schema(&[("a", "int64")]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(arrow::array::Int64Array::from(vec![1])),
        Arc::new(StringArray::from(vec![r#"{"a":"misfit","b":2}"#])),
    ];
    let records = RecordBatch::try_new(schema.to_arrow(), columns).unwrap();
    assert_eq!(row(&records, 0), r#"{"a":1,"b":2}"#);
}
