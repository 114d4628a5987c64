//! Each rule: the values it takes and the words with which it refuses the others.

use super::{bind, check, check_values, one, run};
use crate::steps::testing::{batch, input};

#[test]
fn a_range_includes_its_ends_and_null_passes() {
    check_values(
        "int64",
        "range = { min = 0, max = 150 }",
        &["0", "150", "null"],
        &[
            ("-1", "range `v` is -1, not in 0 to 150"),
            (
                "9223372036854775807",
                "range `v` is 9223372036854775807, not in 0 to 150",
            ),
        ],
    );
    check_values(
        "int32",
        "range = { min = 18 }",
        &["18"],
        &[("17", "range `v` is 17, less than 18")],
    );
    check_values(
        "uint64",
        "range = { max = 9 }",
        &["9"],
        &[("10", "range `v` is 10, more than 9")],
    );
}

#[test]
fn a_range_of_every_ordered_type_is_that_of_its_values() {
    check_values(
        "float64",
        "range = { min = 0.1, max = 0.3 }",
        &["0.1", "0.3", "0.2"],
        &[(
            "0.30000000000000004",
            "range `v` is 0.30000000000000004, not in 0.1 to 0.3",
        )],
    );
    check_values(
        "float32",
        "range = { max = 0.1 }",
        &["0.1"],
        &[("0.2", "range `v` is 0.2, more than 0.1")],
    );
    check_values(
        "decimal(10, 2)",
        "range = { min = \"0.05\", max = 7 }",
        &["0.05", "7.00"],
        &[
            ("0.04", "range `v` is 0.04, not in 0.05 to 7"),
            ("7.01", "range `v` is 7.01, not in 0.05 to 7"),
        ],
    );
    check_values(
        "date32",
        "range = { min = \"2026-01-31\" }",
        &["\"2026-01-31\""],
        &[(
            "\"2026-01-30\"",
            "range `v` is 2026-01-30, less than 2026-01-31",
        )],
    );
    check_values(
        "time64",
        "range = { max = \"12:00:00\" }",
        &["\"12:00:00\""],
        &[(
            "\"12:00:00.000001\"",
            "range `v` is 12:00:00.000001, more than 12:00:00",
        )],
    );
    check_values(
        "timestamp(us, UTC)",
        "range = { min = \"2026-01-31T13:30:00Z\" }",
        &["\"2026-01-31T13:30:00Z\""],
        &[(
            "\"2026-01-31T13:29:59Z\"",
            "range `v` is 2026-01-31T13:29:59Z, less than 2026-01-31T13:30:00Z",
        )],
    );
    let huge = "range = { min = \"1e400\", max = \"1.5e400\" }";
    check(
        &one("number", huge),
        true,
        &input(&[("v", "utf8")]),
        r#"{"v":"1e399"} {"v":"1.6e400"}"#,
        "",
        &[
            "0 schema::range v `v` is 1e399, not in 1e400 to 1.5e400",
            "1 schema::range v `v` is 1.6e400, not in 1e400 to 1.5e400",
        ],
    );
    let step = bind(&one("number", huge), true, &input(&[("v", "utf8")])).unwrap();
    let within = batch(
        &input(&[("v", "utf8")]),
        r#"{"v":"1e400"} {"v":"10e399"} {"v":"0.15e401"}"#,
    );
    assert_eq!(step.open(0).unwrap().apply(&within).unwrap().rejects, []);
}

#[test]
fn a_number_next_to_its_bound_is_compared_digit_by_digit() {
    check_values(
        "number",
        "range = { max = \"9007199254740992\" }",
        &["9007199254740992", "9007199254740992.0"],
        &[(
            "9007199254740993",
            "range `v` is 9007199254740993, more than 9007199254740992",
        )],
    );
}

#[test]
fn zero_has_no_sign_in_a_range_and_nan_is_in_none() {
    use arrow::array::{ArrayRef, Float64Array, RecordBatch};
    use std::sync::Arc;
    let schema = input(&[("v", "float64")]);
    let refused = |rule: &str, values: Vec<f64>| -> Vec<u32> {
        let step = bind(&one("float64", rule), false, &schema).unwrap();
        let values: ArrayRef = Arc::new(Float64Array::from(values));
        let mut batch = batch(&schema, "{}");
        batch.records = RecordBatch::try_new(schema.to_arrow(), vec![values]).unwrap();
        let changed = step.open(0).unwrap().apply(&batch).unwrap();
        changed.rejects.iter().map(|reject| reject.row).collect()
    };
    let odd = || vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0];
    assert_eq!(refused("range = { min = 0 }", odd()), [0, 2]);
    assert_eq!(refused("range = { max = 0 }", odd()), [0, 1]);
    assert_eq!(refused("range = { min = 0, max = 0 }", odd()), [0, 1, 2]);
    assert_eq!(refused("one_of = [0.0]", odd()), [0, 1, 2]);
    assert_eq!(refused("one_of = [1.5, \"NaN\"]", odd()), [1, 2, 3, 4]);
}

#[test]
fn a_length_counts_characters() {
    let bad = [
        (
            "\"a\"",
            "length `v` is \"a\", which has 1 characters, not 2 to 3",
        ),
        (
            "\"äöüß\"",
            "length `v` is \"äöüß\", which has 4 characters, not 2 to 3",
        ),
    ];
    check_values(
        "utf8",
        "length = { min = 2, max = 3 }",
        &["\"ab\"", "\"äöü\"", "null"],
        &bad,
    );
    check_values(
        "utf8",
        "length = { min = 2, max = 3 }",
        &["\"ab\"", "\"abc\""],
        &bad[..1],
    );
    check_values(
        "utf8",
        "length = { min = 1 }",
        &["\"a\""],
        &[(
            "\"\"",
            "length `v` is \"\", which has 0 characters, fewer than 1",
        )],
    );
    check_values(
        "utf8",
        "length = { max = 1 }",
        &["\"\""],
        &[(
            "\"ab\"",
            "length `v` is \"ab\", which has 2 characters, more than 1",
        )],
    );
}

#[test]
fn a_pattern_matches_anywhere_unless_it_is_bound() {
    check_values(
        "utf8",
        "pattern = 'b'",
        &["\"abc\"", "null"],
        &[("\"ac\"", "pattern `v` is \"ac\", which does not match b")],
    );
    check_values(
        "utf8",
        "pattern = '^\\d+$'",
        &["\"12\""],
        &[(
            "\"12\\n\"",
            r#"pattern `v` is "12\n", which does not match ^\d+$"#,
        )],
    );
}

#[test]
fn a_value_of_a_list_may_be_spelled_in_another_way() {
    check_values(
        "utf8",
        "one_of = [\"a\", \"b\"]",
        &["\"a\"", "\"b\"", "null"],
        &[("\"A\"", "one_of `v` is \"A\", not one of a, b")],
    );
    check_values(
        "number",
        "one_of = [\"1.50\", 2]",
        &["1.5", "2.0", "15e-1"],
        &[("3", "one_of `v` is 3, not one of 1.50, 2")],
    );
    check_values(
        "decimal(5, 1)",
        "one_of = [\"1.50\"]",
        &["1.5"],
        &[("1.6", "one_of `v` is 1.6, not one of 1.50")],
    );
    check_values(
        "boolean",
        "one_of = [true]",
        &["true", "null"],
        &[("false", "one_of `v` is false, not one of true")],
    );
    check_values(
        "uuid",
        "one_of = [\"0191f2a0-0000-7000-8000-000000000000\"]",
        &["\"0191f2a0-0000-7000-8000-000000000000\""],
        &[(
            "\"0191f2a0-0000-7000-8000-000000000001\"",
            "one_of `v` is 0191f2a0-0000-7000-8000-000000000001, not one of 0191f2a0-0000-7000-8000-000000000000",
        )],
    );
    check_values(
        "date32",
        "one_of = [\"2026-01-31\"]",
        &["\"2026-01-31\""],
        &[(
            "\"2026-02-01\"",
            "one_of `v` is 2026-02-01, not one of 2026-01-31",
        )],
    );
}

#[test]
fn a_long_list_is_looked_up_and_shown_cut() {
    check_values(
        "int64",
        "one_of = [100, 1, 50, 30, 2, 7, 5, 3, 200]",
        &["1", "2", "3", "5", "7", "30", "50", "100", "200"],
        &[(
            "4",
            "one_of `v` is 4, not one of 100, 1, 50, 30, 2, 7, 5, 3, 200",
        )],
    );
    let words: Vec<String> = (0..30).map(|n| format!("\"word{n}\"")).collect();
    check_values(
        "utf8",
        &format!("one_of = [{}]", words.join(", ")),
        &["\"word0\"", "\"word29\""],
        &[(
            "\"word30\"",
            "one_of `v` is \"word30\", not one of word0, word1, word2, word3, word4, word5, word6, word7, word…",
        )],
    );
}

#[test]
fn text_is_empty_also_when_it_is_white_space() {
    check_values(
        "utf8",
        "not_empty = true",
        &["\"a\"", "\" a\"", "\"é\"", "null"],
        &[
            ("\"\"", "not_empty `v` is \"\", which is empty"),
            (
                "\" \\t\\u00a0\\u3000\"",
                "not_empty `v` is \" \\t\\u{a0}\\u{3000}\", which is empty",
            ),
        ],
    );
}

#[test]
fn a_required_value_is_there_and_a_field_of_the_key_is_required() {
    let required = "key = [\"k\"]\n[fields.k]\ntype = \"int64\"\n[fields.v]\ntype = \"utf8\"\nrequired = true\n";
    check(
        required,
        false,
        &input(&[("v", "utf8"), ("k", "int64")]),
        r#"{"v":"","k":1} {"k":2} {"v":"x"} {}"#,
        r#"{"v":"","k":1}"#,
        &[
            "1 schema::required v `v` has no value, and user@2.0.0 requires one",
            "2 schema::required k `k` has no value, and user@2.0.0 requires one",
            "3 schema::required - 2 violations: `k` has no value, and user@2.0.0 requires one; `v` has no value, and user@2.0.0 requires one",
        ],
    );
}

#[test]
fn a_check_that_is_false_refuses_and_one_that_is_null_does_not() {
    let toml = "check = [\"age < 18 or email is not null\", \"10 / n > 1\"]\n[fields.age]\ntype = \"int64\"\n[fields.email]\ntype = \"utf8\"\n[fields.n]\ntype = \"int64\"\n";
    check(
        toml,
        false,
        &input(&[("age", "int64"), ("email", "utf8")]),
        r#"{"age":18} {"age":17} {"age":null} {"age":20,"email":"x"}"#,
        r#"{"age":17,"email":null} {"age":null,"email":null} {"age":20,"email":"x"}"#,
        &["0 schema::check - `age < 18 or email is not null` is false"],
    );
    check(
        toml,
        false,
        &input(&[("n", "int64"), ("age", "int64"), ("email", "utf8")]),
        r#"{"n":0} {"n":1} {"n":10}"#,
        r#"{"n":1,"age":null,"email":null}"#,
        &[
            "0 schema::check n `10 / n > 1` cannot be computed: division by zero",
            "2 schema::check n `10 / n > 1` is false",
        ],
    );
}

#[test]
fn a_check_sees_nulls_of_required_fields_and_optional_fields_that_are_no_columns() {
    let toml = "check = [\"a is not null\", \"b is null\"]\n[fields.a]\ntype = \"int64\"\nrequired = true\n[fields.b]\ntype = \"int64\"\n";
    check(
        toml,
        false,
        &input(&[("a", "int64")]),
        r#"{"a":1} {}"#,
        r#"{"a":1}"#,
        &[
            "1 schema::violations a 2 violations: `a` has no value, and user@2.0.0 requires one; `a is not null` is false",
        ],
    );
}

#[test]
fn all_violations_of_a_record_are_told_in_one_refusal() {
    let toml = r#"
        check = ["age > 0"]
        [fields.age]
        type = "int64"
        range = { min = 0, max = 150 }
        [fields.email]
        type = "utf8"
        pattern = '^[^@]+@[^@]+$'
        length = { max = 5 }
        [fields.name]
        type = "utf8"
        required = true
    "#;
    check(
        toml,
        false,
        &input(&[("name", "utf8"), ("age", "int64"), ("email", "utf8")]),
        &format!(
            r#"{{"name":"a","age":5,"email":"a@b"}} {{"age":-2,"email":"{}"}} {{"name":"b","age":1,"email":"x\u001b[2Jyz"}} {{"name":"c","age":2}}"#,
            "x".repeat(70)
        ),
        r#"{"name":"a","age":5,"email":"a@b"} {"name":"c","age":2,"email":null}"#,
        &[
            &format!(
                "1 schema::violations - 5 violations: `age` is -2, not in 0 to 150; `email` is \"{x}…\", which has 70 characters, more than 5; `email` is \"{x}…\", which does not match ^[^@]+@[^@]+$; `name` has no value, and user@2.0.0 requires one; `age > 0` is false",
                x = "x".repeat(60)
            ),
            r#"2 schema::violations email 2 violations: `email` is "x\u{1b}[2Jyz", which has 7 characters, more than 5; `email` is "x\u{1b}[2Jyz", which does not match ^[^@]+@[^@]+$"#,
        ],
    );
}

#[test]
fn columns_of_good_records_go_on_as_they_are() {
    let schema = input(&[("v", "utf8"), ("w", "int64")]);
    let toml = "[fields.v]\ntype = \"utf8\"\nrequired = true\nlength = { max = 9 }\n[fields.w]\ntype = \"int64\"\nrange = { min = 0 }\n";
    let step = bind(toml, false, &schema).unwrap();
    let batch = batch(&schema, r#"{"v":"a","w":1} {"v":"b"}"#);
    let changed = step.open(0).unwrap().apply(&batch).unwrap();
    assert!(changed.origin.is_none() && changed.rejects.is_empty());
    for (before, after) in batch
        .records
        .columns()
        .iter()
        .zip(changed.records.columns())
    {
        assert!(std::sync::Arc::ptr_eq(before, after));
    }
}

#[test]
fn columns_without_rows_and_without_values_break_nothing() {
    let schema = input(&[("v", "utf8")]);
    let step = bind(
        &one("utf8", "pattern = 'x'\nnot_empty = true"),
        false,
        &schema,
    )
    .unwrap();
    assert_eq!(
        run(step.as_ref(), &schema, "{} {}"),
        (vec![r#"{"v":null}"#.to_owned(); 2], vec![])
    );
    let empty = batch(&schema, "");
    assert_eq!(
        step.open(0)
            .unwrap()
            .apply(&empty)
            .unwrap()
            .records
            .num_rows(),
        0
    );
}

#[test]
fn a_slice_of_a_column_is_judged_by_its_own_rows() {
    let schema = input(&[("v", "utf8"), ("w", "int64")]);
    let toml = "[fields.v]\ntype = \"utf8\"\nlength = { max = 2 }\none_of = [\"a\", \"bb\"]\n[fields.w]\ntype = \"int64\"\nrange = { max = 5 }\n";
    let step = bind(toml, false, &schema).unwrap();
    let mut all = batch(
        &schema,
        r#"{"v":"äää","w":9} {"v":"a","w":1} {"v":"ccc"} {"v":"bb","w":7}"#,
    );
    all.records = all.records.slice(1, 3);
    let changed = step.open(0).unwrap().apply(&all).unwrap();
    let refused: Vec<_> = changed
        .rejects
        .iter()
        .map(|reject| (reject.row, reject.column.as_deref()))
        .collect();
    assert_eq!(refused, [(1, Some("v")), (2, Some("w"))]);
}
