//! Documents: values and fields that are in no column.

use dkhost_core::Schema;

use super::{bind, check, one, run};
use crate::steps::testing::{input, with_reserved};

/// Documents with a column `v` of int64.
fn documents() -> Schema {
    let mut schema = with_reserved(input(&[("v", "int64")]));
    schema.fields[1].null_is_absent = true;
    schema
}

const NOTHING: &str = r#"{"_id":null,"v":null,"_meta":null,"_rest":null}"#;

#[test]
fn a_field_the_version_does_not_know_refuses_its_record() {
    check(
        &one("int64", ""),
        false,
        &documents(),
        r#"{"_rest":{"x":1,"y\u001b":null}} {} {"_rest":{"_removed":{"a":1},"_schema_version":"1.0.0"}} {"_rest":{"x":1}}"#,
        &format!(
            r#"{NOTHING} {{"_id":null,"v":null,"_meta":null,"_rest":{{"_removed":{{"a":1}},"_schema_version":"1.0.0"}}}}"#
        ),
        &[
            "0 schema::unknown_field - 2 violations: `x` is no field of user@2.0.0; `y\\u{1b}` is no field of user@2.0.0",
            "3 schema::unknown_field x `x` is no field of user@2.0.0",
        ],
    );
}

/// What one document has, and the sample showed, is that document's fault.
#[test]
fn a_column_the_version_does_not_know_refuses_the_documents_that_have_it_and_is_left_out() {
    let mut schema = documents();
    let stray = dkhost_core::Field::new("stray", "utf8".parse().unwrap());
    schema.fields.insert(2, stray);
    schema.fields[2].null_is_absent = true;
    check(
        &one("int64", "range = { max = 9 }"),
        false,
        &schema,
        r#"{"v":1} {"v":10,"stray":"red"} {"v":2,"stray":"blue","_rest":{"x":1}}"#,
        r#"{"_id":null,"v":1,"_meta":null,"_rest":null}"#,
        &[
            "1 schema::violations - 2 violations: `v` is 10, more than 9; `stray` is no field of user@2.0.0",
            "2 schema::unknown_field - 2 violations: `x` is no field of user@2.0.0; `stray` is no field of user@2.0.0",
        ],
    );
}

#[test]
fn an_open_version_keeps_fields_it_does_not_know() {
    check(
        &format!("open = true\n{}", one("int64", "")),
        false,
        &documents(),
        r#"{"_rest":{"x":1}}"#,
        r#"{"_id":null,"v":null,"_meta":null,"_rest":{"x":1}}"#,
        &[],
    );
}

#[test]
fn a_value_that_did_not_fit_its_column_is_of_a_wrong_type() {
    check(
        &one("int64", "required = true"),
        false,
        &documents(),
        r#"{"_rest":{"v":"old","x":2}} {"v":1} {"_rest":{"v":null}} {"_rest":{"v":1.5}}"#,
        r#"{"_id":null,"v":1,"_meta":null,"_rest":null}"#,
        &[
            r#"0 schema::violations - 2 violations: `v` is "old", which is no int64; `x` is no field of user@2.0.0"#,
            "2 schema::required v `v` has no value, and user@2.0.0 requires one",
            "3 schema::wrong_type v `v` is 1.5, which is no int64",
        ],
    );
}

/// An optional field `w` that the sample of the source did not have.
fn late(logical: &str, rule: &str) -> String {
    format!("[fields.v]\ntype = \"int64\"\n[fields.w]\ntype = \"{logical}\"\n{rule}\n")
}

#[test]
fn a_field_that_is_no_column_is_judged_where_it_is() {
    for (logical, good, bad) in [
        ("int64", "3", vec!["\"3\"", "3.0", "true", "{}", "99"]),
        ("utf8", "\"3\"", vec!["3", "[]", "\"1234567890\""]),
        ("date32", "\"2026-01-31\"", vec!["\"31.1.26\"", "20260131"]),
        ("boolean", "true", vec!["1", "\"true\""]),
        ("vector(2)", "[1.0,2.0]", vec!["[1.0]", "\"[1.0,2.0]\""]),
        ("json", "{\"a\":1}", vec![]),
    ] {
        let rule = match logical {
            "int64" => "range = { max = 9 }",
            "utf8" => "length = { max = 9 }",
            _ => "",
        };
        let schema = documents();
        let step = bind(&late(logical, rule), false, &schema).unwrap();
        let record = |value: &str| format!(r#"{{"_rest":{{"w":{value}}}}}"#);
        let (went_on, refused) = run(step.as_ref(), &schema, &record(good));
        assert_eq!(refused, [""; 0]);
        assert!(
            went_on[0].ends_with(&format!(r#""_rest":{{"w":{good}}}}}"#)),
            "{went_on:?}"
        );
        for value in bad {
            let (went_on, refused) = run(step.as_ref(), &schema, &record(value));
            assert!(
                went_on.is_empty() && refused.len() == 1,
                "{logical} {value} {went_on:?}"
            );
            assert!(refused[0].contains(" w `w` is "), "{refused:?}");
        }
    }
}

#[test]
fn a_field_that_is_no_column_becomes_one_where_values_are_converted() {
    check(
        &late("int64", "range = { max = 9 }"),
        true,
        &documents(),
        r#"{"_rest":{"w":" 3 "}} {"_rest":{"w":10}} {"_rest":{"w":"x"}} {"v":1}"#,
        r#"{"_id":null,"v":null,"_meta":null,"_rest":null,"w":3} {"_id":null,"v":1,"_meta":null,"_rest":null,"w":null}"#,
        &[
            "1 schema::range w `w` is 10, more than 9",
            r#"2 schema::wrong_type w `w` is "x", which is no int64"#,
        ],
    );
    let step = bind(&late("int64", ""), true, &documents()).unwrap();
    assert!(step.output().field("w").unwrap().null_is_absent);
}

#[test]
fn a_check_sees_values_that_are_no_columns() {
    check(
        &format!("check = [\"w > 0\"]\n{}", late("int64", "")),
        false,
        &documents(),
        r#"{"_rest":{"w":1}} {"_rest":{"w":-1}} {}"#,
        &format!(r#"{{"_id":null,"v":null,"_meta":null,"_rest":{{"w":1}}}} {NOTHING}"#),
        &["1 schema::check w `w > 0` is false"],
    );
}
