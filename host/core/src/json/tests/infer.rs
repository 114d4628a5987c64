use super::*;

fn inferred(documents: &[&str]) -> Vec<String> {
    let mut inference = Inference::new();
    for document in documents {
        inference.observe(document.as_bytes()).unwrap();
    }
    let fields = inference.finish();
    assert!(
        fields
            .iter()
            .all(|field| field.null_is_absent && field.nullable)
    );
    fields
        .iter()
        .map(|field| format!("{}: {}", field.name, field.logical))
        .collect()
}

#[test]
fn the_narrowest_type_that_holds_every_value() {
    for (values, expected) in [
        (&["1", "-1", "9223372036854775807"][..], "int64"),
        (
            &["1", "9223372036854775808", "18446744073709551615"],
            "uint64",
        ),
        (&["-1", "9223372036854775808"], "number"),
        (&["1", "18446744073709551616"], "number"),
        (&["1", "0.5"], "float64"),
        (&["1", "-0"], "float64"),
        (&["0.5", "9007199254740993"], "number"),
        (&["0.1234567890123456789012"], "number"),
        (&["1e400"], "number"),
        (&["0.5", "100000000000000000000"], "float64"),
        (&["true", "null"], "boolean"),
        (&["\"2024-02-29\"", "\"1\""], "utf8"),
        (&["\"a\"", "1"], "json"),
        (&["true", "0"], "json"),
        (&["{}"], "json"),
        (&["[1,2]", "null"], "json"),
        (&["null", "null"], "json"),
        (&["null", "1"], "int64"),
    ] {
        let documents: Vec<String> = values
            .iter()
            .map(|value| format!("{{\"v\":{value}}}"))
            .collect();
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        assert_eq!(
            inferred(&documents),
            [format!("v: {expected}")],
            "{values:?}"
        );
        // Every value of the sample goes into the column that was found.
        let schema = schema(&[("v", expected)]);
        let mut decoder = Decoder::new(&schema, DecodeOptions::default());
        documents
            .iter()
            .for_each(|document| decoder.push(document.as_bytes()).unwrap());
        let records = decoder.finish().unwrap();
        assert_eq!(
            records.column(1).null_count(),
            records.num_rows(),
            "{values:?} leave a rest"
        );
    }
}

#[test]
fn fields_come_in_the_order_in_which_they_were_first_seen() {
    let documents = [
        r#"{"b":1,"a":2}"#,
        r#"{"c":3,"a":1}"#,
        "{}",
        r#"{"\u0061":1,"d":"x","":0}"#,
    ];
    assert_eq!(
        inferred(&documents),
        ["b: int64", "a: int64", "c: int64", "d: utf8", ": int64"]
    );
    assert_eq!(inferred(&[]), [""; 0]);
}

#[test]
fn a_malformed_document_is_as_if_it_had_not_been_there() {
    let mut inference = Inference::new();
    inference.observe(br#"{"a":1}"#).unwrap();
    for document in [
        r#"{"a":"x","new":1"#,
        r#"{"a":"x","a":"y"}"#,
        r#"{"new":1,"new":2}"#,
        "[]",
    ] {
        assert!(
            inference.observe(document.as_bytes()).is_err(),
            "{document}"
        );
    }
    inference.observe(br#"{"a":2}"#).unwrap();
    let fields = inference.finish();
    assert_eq!(fields.len(), 1);
    assert_eq!(fields[0].logical, LogicalType::Int64);
}

#[test]
fn pythons_nan_makes_a_float() {
    let mut inference = Inference::new().bare_nan(true);
    inference.observe(br#"{"a":NaN,"b":1}"#).unwrap();
    inference
        .observe(br#"{"a":9007199254740993,"b":2}"#)
        .unwrap();
    let kinds: Vec<_> = inference
        .finish()
        .into_iter()
        .map(|field| field.logical)
        .collect();
    assert_eq!(kinds, [LogicalType::Float64, LogicalType::Int64]);
}
