use dkhost_core::{LogicalType, Role};
use serde_json::{Value, json};

use super::super::testing::{build, check, check_rejects, input, key, refused, with_reserved};

/// One column `v` of type `before` under `change`: values in, values out.
fn change(change: Value, before: &str, values: Value, expected: Value) {
    let records = |values: &Value| {
        values
            .as_array()
            .unwrap()
            .iter()
            .map(|v| json!({"v": v}).to_string())
            .collect::<String>()
    };
    check(
        ("apply", json!({"v": change})),
        &input(&[("v", before)]),
        &records(&values),
        &records(&expected),
    );
}

fn type_after(change: Value, before: &str) -> String {
    let step = build("apply", json!({"v": change}), &input(&[("v", before)])).unwrap();
    step.output().fields[0].logical.to_string()
}

#[test]
fn text_changes() {
    change(
        json!("lowercase"),
        "utf8",
        json!(["ÄB", null, ""]),
        json!(["äb", null, ""]),
    );
    change(
        json!("uppercase"),
        "utf8",
        json!(["straße", null]),
        json!(["STRASSE", null]),
    );
    change(
        json!("title"),
        "utf8",
        json!(["BARKSDALE AIR FORCE BASE ARPT", "o'hare ÉCOLE", null]),
        json!(["Barksdale Air Force Base Arpt", "O'Hare École", null]),
    );
    change(
        json!("trim"),
        "utf8",
        json!(["  a b\t\n", "\u{a0}x\u{3000}", "   ", null]),
        json!(["a b", "x", "", null]),
    );
    change(
        json!({"truncate": 2}),
        "utf8",
        json!(["héllo", "é", null]),
        json!(["hé", "é", null]),
    );
    change(
        json!({"truncate": {"length": 0}}),
        "utf8",
        json!(["a"]),
        json!([""]),
    );
    change(
        json!(["trim", "lowercase", {"default": "unknown"}]),
        "utf8",
        json!([" A ", null]),
        json!(["a", "unknown"]),
    );
    change(
        json!({"trim": true, "uppercase": {}}),
        "utf8",
        json!([" a "]),
        json!(["A"]),
    );
}

#[test]
fn default_fills_only_what_is_null() {
    change(
        json!({"default": 7}),
        "int64",
        json!([1, null]),
        json!([1, 7]),
    );
    change(
        json!({"default": 7}),
        "float64",
        json!([1.5, null]),
        json!([1.5, 7.0]),
    );
    change(
        json!({"default": "2020-01-01"}),
        "date32",
        json!(["2021-01-01", null]),
        json!(["2021-01-01", "2020-01-01"]),
    );
    change(
        json!({"default": {"a": [1]}}),
        "json",
        json!([1, null]),
        json!([1, {"a": [1]}]),
    );
    change(
        json!({"default": "x"}),
        "json",
        json!([1, null]),
        json!([1, "x"]),
    );
    change(
        json!({"default": "x"}),
        "null",
        json!([null, null]),
        json!(["x", "x"]),
    );
    let step = build(
        "apply",
        json!({"v": {"default": 1}}),
        &input(&[("v", "int64")]),
    )
    .unwrap();
    assert!(!step.output().fields[0].nullable);
    assert_eq!(
        refused(
            "apply",
            json!({"v": {"default": "x"}}),
            &input(&[("v", "int64")])
        )
        .to_string(),
        "\"x\" is no int64"
    );
}

#[test]
fn a_title_that_is_a_number_becomes_its_text() {
    change(
        json!({"type_cast": {"to": "utf8"}}),
        "json",
        json!(["The Land Girls", 300, null, 1.5, [1]]),
        json!(["The Land Girls", "300", null, "1.5", "[1]"]),
    );
    change(
        json!([{"type_cast": "utf8"}, "lowercase"]),
        "json",
        json!(["A", 9]),
        json!(["a", "9"]),
    );
}

#[test]
fn a_value_that_cannot_be_cast_is_refused_by_name_or_becomes_the_default() {
    let schema = input(&[("id", "int64"), ("age", "utf8")]);
    check_rejects(
        ("apply", json!({"age": {"type_cast": {"to": "int64"}}})),
        &schema,
        r#"{"id":1,"age":"12"} {"id":2,"age":"twelve"} {"id":3,"age":null} {"id":4,"age":"1\u00002"}"#,
        r#"{"id":1,"age":12} {"id":3,"age":null}"#,
        &[
            "1 step::cast age \"twelve\" cannot be cast to int64",
            "3 step::cast age \"1\\02\" cannot be cast to int64",
        ],
    );
    check(
        (
            "apply",
            json!({"age": {"type_cast": {"to": "int64", "default": 0}}}),
        ),
        &schema,
        r#"{"id":1,"age":"12"} {"id":2,"age":"twelve"} {"id":3,"age":null}"#,
        r#"{"id":1,"age":12} {"id":2,"age":0} {"id":3,"age":null}"#,
    );
    check_rejects(
        (
            "apply",
            json!({"age": ["trim", {"type_cast": "int64"}, {"default": 5}], "id": {"type_cast": "utf8"}}),
        ),
        &schema,
        r#"{"id":1,"age":" 12 "} {"id":2,"age":"x"} {"id":3,"age":null}"#,
        r#"{"id":"1","age":12} {"id":"3","age":5}"#,
        &["1 step::cast age \"x\" cannot be cast to int64"],
    );
}

#[test]
fn a_column_without_nulls_stays_one_also_when_a_record_is_refused() {
    let mut schema = input(&[("v", "utf8")]);
    schema.fields[0].nullable = false;
    let step = build(
        "apply",
        json!({"v": [{"type_cast": "int64"}, {"multiply": 2}]}),
        &schema,
    )
    .unwrap();
    assert!(!step.output().fields[0].nullable);
    check_rejects(
        (
            "apply",
            json!({"v": [{"type_cast": "int64"}, {"multiply": 2}]}),
        ),
        &schema,
        r#"{"v":"1"} {"v":"x"} {"v":"3"}"#,
        r#"{"v":2} {"v":6}"#,
        &["1 step::cast v \"x\" cannot be cast to int64"],
    );
}

#[test]
fn a_record_is_refused_once_for_the_first_column_that_fails() {
    check_rejects(
        (
            "apply",
            json!({"b": {"type_cast": "int64"}, "a": {"type_cast": "int64"}}),
        ),
        &input(&[("a", "utf8"), ("b", "utf8")]),
        r#"{"a":"x","b":"y"} {"a":"1","b":"2"}"#,
        r#"{"a":1,"b":2}"#,
        &["0 step::cast b \"y\" cannot be cast to int64"],
    );
}

#[test]
fn regular_expressions_replace_and_extract() {
    change(
        json!({"regex_replace": {"pattern": "[^0-9]", "with": ""}}),
        "utf8",
        json!(["+1 (555) 01", null]),
        json!(["155501", null]),
    );
    change(
        json!({"regex_replace": {"pattern": "a", "with": "b", "all": false}}),
        "utf8",
        json!(["aa"]),
        json!(["ba"]),
    );
    change(
        json!({"regex_replace": {"pattern": "(?<y>\\d{4})-(\\d\\d)", "with": "${2}/${y} $$1"}}),
        "utf8",
        json!(["2020-01"]),
        json!(["01/2020 $1"]),
    );
    change(
        json!({"regex_extract": "@(.+)$"}),
        "utf8",
        json!(["a@b.c", "none", null]),
        json!(["b.c", null, null]),
    );
    change(
        json!({"regex_extract": {"pattern": "\\d+"}}),
        "utf8",
        json!(["a12b3"]),
        json!(["12"]),
    );
    change(
        json!({"regex_extract": {"pattern": "(a)?(b)", "group": 2}}),
        "utf8",
        json!(["b", "ab", "a"]),
        json!(["b", "b", null]),
    );
    change(
        json!({"regex_extract": {"pattern": "(?<user>.+)@", "group": "user"}}),
        "utf8",
        json!(["ü@b"]),
        json!(["ü"]),
    );
    let schema = input(&[("v", "utf8")]);
    for arguments in [
        json!({"regex_replace": {"pattern": "(", "with": ""}}),
        json!({"regex_replace": {"pattern": "a", "with": "$1"}}),
        json!({"regex_replace": {"pattern": "(a)", "with": "$1x"}}),
        json!({"regex_extract": {"pattern": "(a)", "group": 2}}),
        json!({"regex_extract": {"pattern": "(a)", "group": "b"}}),
    ] {
        assert_eq!(
            refused("apply", json!({"v": arguments}), &schema).code(),
            "plan::wrong_argument"
        );
    }
}

#[test]
fn values_are_mapped() {
    let map = json!({"M": "male", "F": "female"});
    change(
        json!({"map_values": {"map": map}}),
        "utf8",
        json!(["M", "F", "x", null]),
        json!(["male", "female", "x", null]),
    );
    change(
        json!({"map_values": {"map": map, "default": "?"}}),
        "utf8",
        json!(["M", "x", null]),
        json!(["male", "?", null]),
    );
    change(
        json!({"map_values": {"map": {"1": "one", "2": "two"}, "default": "many"}}),
        "int64",
        json!([1, 3]),
        json!(["one", "many"]),
    );
    change(
        json!({"map_values": {"map": {"yes": true}, "default": false}}),
        "utf8",
        json!(["yes", "no"]),
        json!([true, false]),
    );
    change(
        json!({"map_values": {"map": {"1": 10}}}),
        "int32",
        json!([1, 2, null]),
        json!([10, 2, null]),
    );
    let schema = input(&[("v", "int64")]);
    assert_eq!(
        refused(
            "apply",
            json!({"v": {"map_values": {"map": {"one": 1}}}}),
            &schema
        )
        .to_string(),
        "\"one\" is no int64"
    );
    assert_eq!(
        refused(
            "apply",
            json!({"v": {"map_values": {"map": {"1": "x"}}}}),
            &schema
        )
        .to_string(),
        "\"x\" is no int64"
    );
    assert_eq!(
        refused(
            "apply",
            json!({"v": {"map_values": {"map": {"1": "x", "2": 2}, "default": 1}}}),
            &schema
        )
        .code(),
        "plan::wrong_argument"
    );
}

#[test]
fn arithmetic_is_exact_or_refused() {
    change(
        json!({"multiply": 100}),
        "int64",
        json!([3, null]),
        json!([300, null]),
    );
    change(
        json!({"multiply": {"by": 1.5}}),
        "int64",
        json!([3]),
        json!([4.5]),
    );
    change(
        json!({"multiply": 1.1}),
        "decimal(10, 2)",
        json!(["2.50"]),
        json!(2.75.to_string().parse::<f64>().map(|v| json!([v])).unwrap()),
    );
    change(
        json!({"multiply": 3}),
        "uint64",
        json!([18446744073709551615_u64 / 3]),
        json!([18446744073709551615_u64]),
    );
    change(
        json!({"divide": 4}),
        "int64",
        json!([10, null]),
        json!([2.5, null]),
    );
    change(
        json!({"round": 1}),
        "float64",
        json!([2.25, -2.25, null]),
        json!([2.3, -2.3, null]),
    );
    change(
        json!("round"),
        "float64",
        json!([2.5, -2.5]),
        json!([3.0, -3.0]),
    );
    change(
        json!({"round": 1}),
        "decimal(10, 2)",
        json!(["2.25"]),
        json!([2.3]),
    );
    change(json!({"round": 2}), "int64", json!([7]), json!([7]));
    check_rejects(
        ("apply", json!({"v": {"multiply": 2}})),
        &input(&[("v", "int64")]),
        r#"{"v":1} {"v":9223372036854775807}"#,
        r#"{"v":2}"#,
        &["1 step::expression v 9223372036854775807 * 2 is out of range"],
    );
    assert_eq!(
        refused(
            "apply",
            json!({"v": {"divide": 0}}),
            &input(&[("v", "int64")])
        )
        .code(),
        "plan::wrong_argument"
    );
    for (change, before, after) in [
        (json!({"multiply": 2}), "int64", "int64"),
        (json!({"multiply": 2}), "uint64", "uint64"),
        (json!({"multiply": 2.0}), "int64", "float64"),
        (json!({"multiply": 1.1}), "decimal(10, 2)", "decimal(13, 3)"),
        (json!({"divide": 2}), "decimal(10, 2)", "float64"),
        (json!({"round": 1}), "decimal(10, 2)", "decimal(10, 1)"),
        (json!({"round": 1}), "float32", "float32"),
    ] {
        assert_eq!(
            type_after(change.clone(), before),
            after,
            "{change} on {before}"
        );
    }
}

#[test]
fn a_whole_number_that_is_no_float_is_refused_before_it_is_divided() {
    for (change, half) in [(json!({"divide": 2}), 0.5), (json!({"multiply": 0.5}), 0.5)] {
        check_rejects(
            ("apply", json!({"v": change})),
            &input(&[("v", "int64")]),
            r#"{"v":1} {"v":9007199254740993} {"v":null}"#,
            &format!(r#"{{"v":{half}}} {{"v":null}}"#),
            &["1 step::cast v 9007199254740993 cannot be cast to float64 without changing it"],
        );
    }
    change(
        json!({"type_cast": {"to": "decimal(5, 0)", "default": 7}}),
        "float64",
        json!([0.1, 3.0, null]),
        json!([7, 3, null]),
    );
}

#[test]
fn the_first_format_that_fits_makes_a_timestamp() {
    let formats = json!({"to_timestamp": {"formats": ["%b %d %Y", "%Y-%m-%d"]}});
    assert_eq!(type_after(formats.clone(), "utf8"), "timestamp(us)");
    assert_eq!(
        type_after(json!({"to_timestamp": "%+"}), "utf8"),
        "timestamp(us, UTC)"
    );
    check_rejects(
        ("apply", json!({"v": formats})),
        &input(&[("v", "utf8")]),
        r#"{"v":"Jun 12 1998"} {"v":"1998-06-13"} {"v":null} {"v":"soon"} {"v":"Jun 31 1998"}"#,
        r#"{"v":"1998-06-12T00:00:00"} {"v":"1998-06-13T00:00:00"} {"v":null}"#,
        &[
            "3 step::cast v \"soon\" is not written as `%b %d %Y` or `%Y-%m-%d`",
            "4 step::cast v \"Jun 31 1998\" is not written as `%b %d %Y` or `%Y-%m-%d`",
        ],
    );
    let error = refused(
        "apply",
        json!({"v": {"to_timestamp": ["%Y-%m-%d", "%Q"]}}),
        &input(&[("v", "utf8")]),
    );
    assert_eq!(error.to_string(), "`%Q` is no strftime format");
}

#[test]
fn a_verb_on_the_wrong_type_says_which_cast_comes_first() {
    let error = refused("apply", json!({"v": "trim"}), &input(&[("v", "json")]));
    assert_eq!(
        error.to_string(),
        "stage `here` applies `trim` to `v`, which is json (values of several kinds) and not text"
    );
    assert_eq!(
        error.help_text().unwrap(),
        "put a cast before it: [{ type_cast = { to = \"utf8\" } }, \"trim\"]"
    );
    assert_eq!(
        refused(
            "apply",
            json!({"v": "lowercase"}),
            &input(&[("v", "int64")])
        )
        .code(),
        "plan::wrong_type"
    );
    assert_eq!(
        refused(
            "apply",
            json!({"v": {"multiply": 2}}),
            &input(&[("v", "utf8")])
        )
        .code(),
        "plan::wrong_type"
    );
    assert_eq!(
        refused(
            "apply",
            json!({"v": {"to_timestamp": "%Y"}}),
            &input(&[("v", "date32")])
        )
        .code(),
        "plan::wrong_type"
    );
    assert_eq!(
        refused(
            "apply",
            json!({"v": {"type_cast": "timestamp"}}),
            &input(&[("v", "int64")])
        )
        .code(),
        "plan::no_cast"
    );
}

#[test]
fn unknown_verbs_columns_and_arguments_name_the_nearest() {
    let schema = input(&[("email", "utf8")]);
    let label = |node: Value| {
        refused("apply", node, &schema)
            .place()
            .unwrap()
            .1
            .to_owned()
    };
    assert_eq!(
        label(json!({"email": "lowercas"})),
        "did you mean `lowercase`?"
    );
    assert_eq!(
        label(json!({"email": {"type_cast": {"too": "utf8"}}})),
        "did you mean `to`?"
    );
    assert_eq!(
        label(json!({"emal": "trim"})),
        "not there; did you mean `email`?"
    );
    assert!(
        refused("apply", json!({"email": {"type_cast": "string"}}), &schema)
            .to_string()
            .contains("did you mean `utf8`?")
    );
    for node in [
        json!({"email": []}),
        json!({"email": 3}),
        json!({"email": {"trim": "x"}}),
        json!({"email": {"regex_replace": "x"}}),
        json!({"email": [["trim"]]}),
    ] {
        assert!(refused("apply", node, &schema).place().is_some());
    }
}

#[test]
fn a_changed_column_keeps_its_place_role_and_key() {
    let mut schema = key(with_reserved(input(&[("a", "int64"), ("b", "utf8")])), "a");
    schema.fields[1].source_type = Some("bigint".into());
    schema.fields[1].null_is_absent = true;
    let step = build(
        "apply",
        json!({"a": {"multiply": 2}, "_id": "lowercase"}),
        &schema,
    )
    .unwrap();
    let fields = &step.output().fields;
    assert_eq!(
        (fields[0].role, fields[1].key, fields[1].null_is_absent),
        (Some(Role::Id), Some(0), true)
    );
    assert_eq!(fields[1].source_type.as_deref(), Some("bigint"));
    assert_eq!(step.reads(), ["a", "_id"]);
    assert_eq!(step.note().summary, "a: multiply; _id: lowercase");
    let cast = build("apply", json!({"a": {"type_cast": "utf8"}}), &schema).unwrap();
    assert_eq!(
        (
            cast.output().fields[1].logical.clone(),
            cast.output().fields[1].source_type.clone()
        ),
        (LogicalType::Utf8, None)
    );
    assert_eq!(
        refused("apply", json!({"_rest": {"type_cast": "utf8"}}), &schema).code(),
        "plan::reserved_column"
    );
    assert_eq!(
        refused("apply", json!({"_id": {"type_cast": "json"}}), &schema).code(),
        "plan::reserved_column"
    );
}
