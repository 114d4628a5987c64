//! The table of conversions, a row each.

use super::{bind, check, one, run};
use crate::steps::testing::{input, with_reserved};

/// Values that are converted and what they become, then values that are not.
fn converts(from: &str, to: &str, good: &[(&str, &str)], bad: &[&str]) {
    let schema = input(&[("v", from)]);
    let step = bind(&one(to, ""), true, &schema).unwrap();
    for (value, becomes) in good {
        let (good, refused) = run(step.as_ref(), &schema, &format!("{{\"v\":{value}}}"));
        assert_eq!(
            (good, refused),
            (vec![format!("{{\"v\":{becomes}}}")], vec![]),
            "{value} to {to}"
        );
    }
    for value in bad {
        let (good, refused) = run(step.as_ref(), &schema, &format!("{{\"v\":{value}}}"));
        assert_eq!(good, [""; 0], "{value} to {to}");
        assert!(
            refused[0].starts_with("0 schema::wrong_type v `v` is ")
                && refused[0].ends_with(&format!(
                    ", which is no {}",
                    to.parse::<dkhost_core::LogicalType>().unwrap()
                )),
            "{refused:?}"
        );
    }
    let nothing = run(step.as_ref(), &schema, "{}");
    assert_eq!(
        nothing,
        (vec![r#"{"v":null}"#.to_owned()], vec![]),
        "null to {to}"
    );
}

#[test]
fn text_becomes_whole_numbers_however_they_are_spelled() {
    for to in ["int32", "int64", "uint64"] {
        let good = [
            (r#"" 5 ""#, "5"),
            (r#""+5""#, "5"),
            (r#""007""#, "7"),
            (r#""5.0""#, "5"),
            (r#""1e3""#, "1000"),
            ("\"0\"", "0"),
        ];
        converts(
            "utf8",
            to,
            &good,
            &[
                r#""5.5""#,
                r#""1,000""#,
                r#""""#,
                r#"" ""#,
                r#""x""#,
                r#""1e30""#,
            ],
        );
    }
    converts(
        "utf8",
        "int32",
        &[(r#""-2147483648""#, "-2147483648")],
        &[r#""2147483648""#],
    );
    converts(
        "utf8",
        "uint64",
        &[(r#""18446744073709551615""#, "18446744073709551615")],
        &[r#""-1""#],
    );
}

#[test]
fn text_becomes_fractions_with_every_digit() {
    converts(
        "utf8",
        "float64",
        &[
            (r#"" 0.5""#, "0.5"),
            (r#"".5""#, "0.5"),
            (r#""1e3""#, "1000.0"),
        ],
        &[r#""9007199254740993""#, r#""1/2""#, r#""""#],
    );
    converts(
        "utf8",
        "decimal(5, 2)",
        &[(r#""1.5 ""#, "1.5"), (r#""1.500""#, "1.5")],
        &[r#""1.505""#, r#""1000""#],
    );
    converts("utf8", "number", &[(r#"" 1.5""#, "1.5")], &[r#""one""#]);
}

#[test]
fn text_becomes_truth_times_and_identifiers() {
    converts(
        "utf8",
        "boolean",
        &[
            (r#"" TRUE ""#, "true"),
            (r#""t""#, "true"),
            (r#""yes""#, "true"),
            (r#""y""#, "true"),
            (r#""on""#, "true"),
            (r#""1""#, "true"),
            (r#""false""#, "false"),
            (r#""F""#, "false"),
            (r#""no""#, "false"),
            (r#""n""#, "false"),
            (r#""off""#, "false"),
            (r#""0""#, "false"),
        ],
        &[r#""2""#, r#""wahr""#, r#""""#],
    );
    converts(
        "utf8",
        "date32",
        &[(r#""2026-01-31 ""#, r#""2026-01-31""#)],
        &[
            r#""31.01.2026""#,
            r#""2026-02-30""#,
            r#""2026-01-31T10:00:00""#,
        ],
    );
    converts(
        "utf8",
        "time64",
        &[(r#""13:30:00""#, r#""13:30:00""#)],
        &[r#""13h30""#, r#""13:30:00.1234567""#],
    );
    converts(
        "utf8",
        "timestamp",
        &[(r#""2026-01-31T13:30:00""#, r#""2026-01-31T13:30:00""#)],
        &[r#""2026-01-31T13:30:00Z""#, r#""yesterday""#],
    );
    converts(
        "utf8",
        "timestamp(us, UTC)",
        &[(
            r#""2026-01-31T13:30:00+01:00""#,
            r#""2026-01-31T12:30:00Z""#,
        )],
        &[r#""2026-01-31T13:30:00.1234567Z""#],
    );
    converts(
        "utf8",
        "uuid",
        &[(
            r#"" 0191F2A0-0000-7000-8000-000000000000""#,
            r#""0191f2a0-0000-7000-8000-000000000000""#,
        )],
        &[r#""0191f2a0""#],
    );
    converts("utf8", "json", &[(r#""[1, 2]""#, "[1,2]")], &[r#""hello""#]);
}

#[test]
fn numbers_become_other_numbers_only_where_they_stay_the_same() {
    converts(
        "float64",
        "int64",
        &[("5.0", "5"), ("-0.0", "0")],
        &["2.5", "1e19"],
    );
    converts(
        "int64",
        "float64",
        &[("9007199254740992", "9007199254740992.0")],
        &["9007199254740993"],
    );
    converts(
        "int64",
        "int32",
        &[("2147483647", "2147483647")],
        &["2147483648"],
    );
    converts("int64", "uint64", &[("1", "1")], &["-1"]);
    converts("float64", "decimal(5, 2)", &[("0.1", "0.1")], &["0.125"]);
    converts("decimal(5, 2)", "int64", &[("7.00", "7")], &["7.01"]);
    converts("number", "int64", &[("7", "7")], &["1e300"]);
    converts("float64", "float32", &[("0.1", "0.1")], &["0.123456789"]);
    converts("int64", "boolean", &[("0", "false"), ("1", "true")], &["2"]);
    converts("boolean", "int64", &[("true", "1")], &[]);
    converts("int64", "utf8", &[("7", "\"7\"")], &[]);
}

#[test]
fn json_is_taken_for_what_it_holds() {
    converts(
        "json",
        "utf8",
        &[("\" a \"", "\" a \""), ("5", "\"5\""), ("[1]", "\"[1]\"")],
        &[],
    );
    converts(
        "json",
        "int64",
        &[("5", "5"), ("5.0", "5"), ("\" 5 \"", "5")],
        &["\"x\"", "5.5", "{}", "true"],
    );
    converts(
        "json",
        "boolean",
        &[("true", "true"), ("\"no\"", "false")],
        &["[]"],
    );
    converts(
        "json",
        "date32",
        &[("\"2026-01-31\"", "\"2026-01-31\"")],
        &["20260132"],
    );
    converts("int64", "json", &[("5", "5")], &[]);
}

#[test]
fn dates_and_timestamps_keep_their_moment() {
    converts(
        "timestamp",
        "date32",
        &[("\"2026-01-31T00:00:00\"", "\"2026-01-31\"")],
        &["\"2026-01-31T00:00:01\""],
    );
    converts(
        "date32",
        "timestamp",
        &[("\"2026-01-31\"", "\"2026-01-31T00:00:00\"")],
        &[],
    );
    converts(
        "timestamp(us, UTC)",
        "timestamp",
        &[("\"2026-01-31T10:00:00Z\"", "\"2026-01-31T10:00:00\"")],
        &[],
    );
}

#[test]
fn text_and_json_are_not_trimmed_where_they_stay_so() {
    converts("utf8", "utf8", &[("\" a \"", "\" a \"")], &[]);
}

#[test]
fn what_cannot_be_converted_is_told_beside_the_other_violations() {
    let toml = "[fields.a]\ntype = \"int64\"\nrequired = true\nrange = { max = 9 }\n[fields.b]\ntype = \"utf8\"\nlength = { max = 1 }\n";
    check(
        toml,
        true,
        &input(&[("a", "utf8"), ("b", "int64")]),
        r#"{"a":"x","b":12} {"a":"9","b":1} {"a":"10"} {"a":""} {}"#,
        r#"{"a":9,"b":"1"}"#,
        &[
            r#"0 schema::violations - 2 violations: `a` is "x", which is no int64; `b` is "12", which has 2 characters, more than 1"#,
            "2 schema::range a `a` is 10, more than 9",
            r#"3 schema::wrong_type a `a` is "", which is no int64"#,
            "4 schema::required a `a` has no value, and user@2.0.0 requires one",
        ],
    );
}

#[test]
fn defaults_take_the_place_of_nulls_and_of_columns() {
    let toml = "[fields.a]\ntype = \"int64\"\nrequired = true\ndefault = 7\n[fields.b]\ntype = \"utf8\"\nrequired = true\ndefault = \"none\"\n[fields.c]\ntype = \"date32\"\n";
    check(
        toml,
        true,
        &input(&[("a", "utf8")]),
        r#"{"a":"1"} {} {"a":"x"}"#,
        r#"{"a":1,"b":"none"} {"a":7,"b":"none"}"#,
        &[r#"2 schema::wrong_type a `a` is "x", which is no int64"#],
    );
    check(
        &one("int64", "default = 7"),
        false,
        &input(&[("v", "int64")]),
        "{}",
        r#"{"v":null}"#,
        &[],
    );
}

#[test]
fn the_word_null_is_a_default_for_text() {
    let toml = one("utf8", "default = 'null'");
    let schema = input(&[("v", "utf8")]);
    check(&toml, true, &schema, "{}", r#"{"v":"null"}"#, &[]);
}

#[test]
fn a_default_fills_what_documents_leave_out_or_set_to_null() {
    let mut schema = with_reserved(input(&[("v", "int64")]));
    schema.fields[1].null_is_absent = true;
    check(
        &one("int64", "default = 7\nrange = { max = 9 }"),
        true,
        &schema,
        r#"{} {"_rest":{"v":null}} {"_rest":{"v":"8"}} {"_rest":{"v":"10"}} {"_rest":{"v":"x"}} {"v":1}"#,
        r#"{"_id":null,"v":7,"_meta":null,"_rest":null} {"_id":null,"v":7,"_meta":null,"_rest":null}
           {"_id":null,"v":8,"_meta":null,"_rest":null} {"_id":null,"v":1,"_meta":null,"_rest":null}"#,
        &[
            "3 schema::range v `v` is 10, more than 9",
            r#"4 schema::wrong_type v `v` is "x", which is no int64"#,
        ],
    );
}
