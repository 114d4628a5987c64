use super::*;
use crate::text;

/// A value in a column of a type: the cell's text, or what the rest says.
fn cell(logical: &str, value: &str) -> Result<String, String> {
    let schema = schema(&[("v", logical)]);
    let mut decoder = Decoder::new(&schema, DecodeOptions::default());
    decoder
        .push(format!("{{\"v\": {value} }}").as_bytes())
        .unwrap();
    let records = decoder.finish().unwrap();
    let mut out = Vec::new();
    let rest = text::write(records.column(1).as_ref(), 0, &LogicalType::Json, &mut out).unwrap();
    let in_rest = String::from_utf8(std::mem::take(&mut out)).unwrap();
    let there = text::write(records.column(0).as_ref(), 0, &kind(logical), &mut out).unwrap();
    assert_ne!(there, rest, "{value} must be in one place");
    if there {
        Ok(String::from_utf8(out).unwrap())
    } else {
        Err(in_rest)
    }
}

#[test]
fn what_a_column_holds_exactly_goes_there() {
    for (logical, value, expected) in [
        ("boolean", "true", "true"),
        ("int32", "-2147483648", "-2147483648"),
        ("int64", "9223372036854775807", "9223372036854775807"),
        ("uint64", "18446744073709551615", "18446744073709551615"),
        ("float64", "0.1", "0.1"),
        ("float64", "3", "3.0"),
        ("float64", "-0", "-0.0"),
        ("float64", "1e2", "100.0"),
        ("float64", "9007199254740992", "9007199254740992.0"),
        ("float64", "0.10000000000000000000000000", "0.1"),
        ("float64", "100000000000000000000", "1e+20"),
        ("float32", "0.1", "0.1"),
        ("number", "1.50", "1.50"),
        ("number", "1E400", "1E400"),
        ("decimal(10, 2)", "1.5", "1.50"),
        ("utf8", r#""""#, ""),
        ("utf8", r#""a\u00fc\ud83e\udd80\n\/\"\\""#, "aü🦀\n/\"\\"),
        ("json", "[ 1, {\"a\" : null} ]", "[ 1, {\"a\" : null} ]"),
        ("json", "\"text\"", "\"text\""),
        ("json", "1.0", "1.0"),
        ("binary", "\"AQD/\"", "AQD/"),
        ("date32", "\"2024-02-29\"", "2024-02-29"),
        ("date32", r#""2024-02\u002d29""#, "2024-02-29"),
        ("time64", "\"12:30:00.5\"", "12:30:00.500000"),
        (
            "timestamp",
            "\"2024-02-29T12:30:00\"",
            "2024-02-29T12:30:00",
        ),
        (
            "timestamp(UTC)",
            "\"2024-02-29T12:30:00+01:00\"",
            "2024-02-29T11:30:00Z",
        ),
        (
            "uuid",
            "\"0191f2a0-1234-7abc-8def-0123456789ab\"",
            "0191f2a0-1234-7abc-8def-0123456789ab",
        ),
        ("vector(3)", "[ 1, -0.5 , 1e3 ]", "[1.0,-0.5,1000.0]"),
    ] {
        assert_eq!(
            cell(logical, value),
            Ok(expected.to_owned()),
            "{logical} {value}"
        );
    }
}

#[test]
fn what_a_column_does_not_hold_exactly_stays_as_it_was_in_the_rest() {
    for (logical, values) in [
        ("boolean", &["1", "\"true\"", "[]"][..]),
        ("int32", &["2147483648", "1.0", "\"1\""]),
        (
            "int64",
            &["9223372036854775808", "1.0", "1e2", "-0", "true", "\"1\""],
        ),
        ("uint64", &["-1", "18446744073709551616", "0.5"]),
        (
            "float64",
            &[
                "9007199254740993",
                "0.1234567890123456789012",
                "1e400",
                "1e-400",
                "\"0.5\"",
            ],
        ),
        ("float32", &["0.123456789", "16777217", "1e39"]),
        ("number", &["\"1\"", "true"]),
        ("decimal(10, 2)", &["0.001", "100000000", "\"1.50\""]),
        ("utf8", &["1", "true", "[\"a\"]", "{}"]),
        ("binary", &["\"A\"", "\"AB==\"", "1"]),
        (
            "date32",
            &["\"2023-02-29\"", "20240229", "\"2024-02-29T00:00:00\""],
        ),
        ("timestamp", &["\"2024-02-29T12:30:00Z\"", "0"]),
        (
            "timestamp(UTC)",
            &[
                "\"2024-02-29T12:30:00\"",
                "\"2024-02-29T12:30:00.1234567Z\"",
            ],
        ),
        ("uuid", &["\"\"", "7"]),
        (
            "vector(2)",
            &[
                "[1]",
                "[1,2,3]",
                "[1,null]",
                "[1,0.123456789]",
                "\"[1,2]\"",
                "[]",
            ],
        ),
        ("null", &["1", "\"\""]),
    ] {
        for value in values {
            assert_eq!(
                cell(logical, value),
                Err(format!("{{\"v\":{value}}}")),
                "{logical}"
            );
        }
    }
}

#[test]
fn without_a_rest_a_misfit_and_an_unknown_field_are_refused_and_name_their_column() {
    let schema = table(&[("n", "int64"), ("t", "utf8")]);
    let mut decoder = Decoder::new(&schema, DecodeOptions::default());
    let refused = decoder.push(br#"{"n": "x"}"#).unwrap_err();
    assert_eq!(
        (refused.code, refused.column.as_deref()),
        ("json::type_mismatch", Some("n"))
    );
    assert_eq!(
        refused.message,
        "`n` holds text at byte 1, which is not exactly a value of type int64"
    );
    let refused = decoder.push(br#"{"n": 1, "m": 2}"#).unwrap_err();
    assert_eq!(
        (refused.code, refused.column.as_deref()),
        ("json::unknown_field", Some("m"))
    );
    // The row before the refused field was taken back.
    decoder.push(br#"{"n": 2, "t": "b"}"#).unwrap();
    let refused = decoder.push(br#"{"t": "c", "n": 3, "n": 4}"#).unwrap_err();
    assert_eq!(refused.code, "json::duplicate_key");
    decoder.push(br#"{"t": null}"#).unwrap();
    let records = decoder.finish().unwrap();
    assert_eq!(row(&records, 0), r#"{"n":2,"t":"b"}"#);
    assert_eq!(row(&records, 1), r#"{"n":null,"t":null}"#);
    assert_eq!(records.num_rows(), 2);
}

#[test]
fn a_column_that_must_have_a_value_refuses_a_row_without() {
    let mut schema = schema(&[("n", "int64")]);
    schema.fields[0].nullable = false;
    let mut decoder = Decoder::new(&schema, EXPLICIT);
    for document in ["{}", "{\"n\":null}", "{\"n\":\"misfit\"}"] {
        assert_eq!(
            decoder.push(document.as_bytes()).unwrap_err().code,
            "json::missing_value"
        );
    }
    decoder.push(b"{\"n\":1}").unwrap();
    assert_eq!(decoder.finish().unwrap().num_rows(), 1);
}

#[test]
fn explicit_nulls_are_kept_only_on_request() {
    for (explicit_nulls, expected) in [
        (true, r#"{"n":null,"new":null}"#),
        (false, r#"{"new":null}"#),
    ] {
        let schema = schema(&[("n", "int64")]);
        let mut decoder = Decoder::new(
            &schema,
            DecodeOptions {
                explicit_nulls,
                ..EXPLICIT
            },
        );
        decoder.push(br#"{"n": null, "new": null}"#).unwrap();
        assert_eq!(row(&decoder.finish().unwrap(), 0), expected);
    }
}

#[test]
fn id_and_metadata_come_beside_the_fields_and_hide_no_field_of_their_name() {
    let mut schema = schema(&[("n", "int64")]);
    schema.fields.insert(0, Field::reserved(Role::Id));
    schema.fields.push(Field::reserved(Role::Meta));
    let mut decoder = Decoder::new(&schema, EXPLICIT);
    decoder
        .push_document(
            br#"{"n":1,"_id":"a field"}"#,
            Some("ü/1"),
            Some(r#"{"k":[1]}"#),
        )
        .unwrap();
    decoder.push_document(b"{}", None, None).unwrap();
    let refused = decoder.push_document(b"{}", None, Some("[]")).unwrap_err();
    assert_eq!(
        (refused.code, refused.column.as_deref()),
        ("json::type_mismatch", Some("_meta"))
    );
    // Where nothing comes beside it, the id is a field like any other.
    decoder.push(br#"{"_id":"x","_meta":{}}"#).unwrap();
    let records = decoder.finish().unwrap();
    let encoder = Encoder::new(&schema, Nulls::Keep)
        .id_as(Some("key"))
        .meta_as(None);
    let bound = encoder.bind(&records).unwrap();
    let mut out = Vec::new();
    for row in 0..3 {
        bound.row(row, &mut out).unwrap();
    }
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"key":"ü/1","n":1,"_id":"a field"}{"key":null}{"key":"x"}"#
    );
    assert_eq!(row(&records, 2), r#"{"_id":"x","_meta":{}}"#);
    // Under its own name the id would hide the field.
    let encoder = Encoder::new(&schema, Nulls::Keep);
    let refused = encoder
        .bind(&records)
        .unwrap()
        .row(0, &mut Vec::new())
        .unwrap_err();
    assert_eq!(
        (refused.code, refused.column.as_deref()),
        ("json::name_taken", Some("_id"))
    );
}

#[test]
fn fields_nobody_asked_for_are_skipped_on_request() {
    let options = DecodeOptions {
        skip_unknown: true,
        ..EXPLICIT
    };
    let mut decoder = Decoder::new(&schema(&[("n", "int64")]), options);
    decoder
        .push(br#"{"other":[1,{"x":2}],"n":"misfit","more":1}"#)
        .unwrap();
    assert_eq!(row(&decoder.finish().unwrap(), 0), r#"{"n":"misfit"}"#);
}

#[test]
fn pythons_nan_is_a_float_on_request_and_refused_elsewhere() {
    let schema = schema(&[("f", "float64"), ("n", "int64"), ("j", "json")]);
    let mut strict = Decoder::new(&schema, EXPLICIT);
    for document in ["{\"f\":NaN}", "{\"f\":-Infinity}", "{\"f\":Infinity}"] {
        assert_eq!(
            strict.push(document.as_bytes()).unwrap_err().code,
            "json::not_a_number"
        );
    }
    let mut lenient = Decoder::new(
        &schema,
        DecodeOptions {
            bare_nan: true,
            ..EXPLICIT
        },
    );
    for document in [
        "{\"n\":NaN}",
        "{\"j\":NaN}",
        "{\"j\":[NaN]}",
        "{\"new\":NaN}",
        "{\"new\":{\"a\":-Infinity}}",
    ] {
        assert_eq!(
            lenient.push(document.as_bytes()).unwrap_err().code,
            "json::not_a_number",
            "{document}"
        );
    }
    lenient.push(b"{\"f\":-Infinity}").unwrap();
    let records = lenient.finish().unwrap();
    let mut out = Vec::new();
    let encoder = Encoder::new(&schema, Nulls::Keep).bare_nan(true);
    encoder.bind(&records).unwrap().row(0, &mut out).unwrap();
    assert_eq!(out, b"{\"f\":-Infinity}");
}

#[test]
fn a_decoder_starts_anew_after_each_batch() {
    let mut decoder = Decoder::new(&schema(&[("t", "utf8")]), EXPLICIT);
    for batch in 0..3 {
        for _ in 0..=batch {
            decoder.push(br#"{"t":"abc","x":1}"#).unwrap();
        }
        assert!(decoder.bytes() > 0);
        assert_eq!(decoder.finish().unwrap().num_rows(), batch + 1);
        assert_eq!(decoder.rows(), 0);
    }
}
