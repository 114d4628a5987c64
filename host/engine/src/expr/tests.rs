use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::util::display::array_value_to_string;
use dkhost_core::{Error, LogicalType, Role, Schema};

use super::{Expression, Scope};
use crate::steps::testing::{batch, input, with_reserved};

fn scope(schema: &Schema) -> Scope<'_> {
    let now = chrono::DateTime::from_timestamp(1_714_979_289, 123_456_789).unwrap();
    Scope::stage("here", schema).at(now)
}

/// The value of an expression on one record, and its type; the reason where it has none.
fn value(text: &str, columns: &[(&str, &str)], record: &str) -> String {
    let schema = input(columns);
    let expression = match Expression::parse(text, &(0..text.len()), &scope(&schema)) {
        Ok(expression) => expression,
        Err(error) => panic!("{text}: {}", error.chain()),
    };
    let evaluated = expression
        .evaluate_rows(&batch(&schema, record).records)
        .unwrap();
    assert_eq!(*evaluated.values.data_type(), expression.logical().arrow());
    match evaluated.faults.first() {
        Some(fault) => format!("fault: {}", fault.message),
        None if evaluated.values.is_null(0) || *expression.logical() == LogicalType::Null => {
            format!("null {}", expression.logical())
        }
        None => format!(
            "{} {}",
            array_value_to_string(&evaluated.values, 0).unwrap(),
            expression.logical()
        ),
    }
}

fn constant(text: &str) -> String {
    value(text, &[("a", "int64")], r#"{"a":1}"#)
}

fn refused(text: &str, columns: &[(&str, &str)]) -> Error {
    let schema = input(columns);
    // As a quoted value at byte 100 of the job file.
    match Expression::parse(text, &(100..102 + text.len()), &scope(&schema)) {
        Ok(expression) => panic!("{text} is {}", expression.logical()),
        Err(error) => error,
    }
}

/// What of the text an error points at, and its label.
fn pointed<'a>(error: &Error, text: &'a str) -> (&'a str, String) {
    let (span, label) = error.place().unwrap();
    let part = if span.start == 100 {
        "all"
    } else {
        &text[span.start - 101..span.end - 101]
    };
    (part, label.to_owned())
}

#[test]
fn columns_are_matched_as_the_data_spells_them() {
    let columns = [
        ("Title", "int64"),
        ("title", "int64"),
        ("US Gross", "int64"),
        ("Größe", "int64"),
        ("a\"b", "int64"),
        ("Only", "int64"),
        ("@x", "int64"),
        ("a.b", "int64"),
    ];
    let record = r#"{"Title":1,"title":2,"US Gross":3,"Größe":4,"a\"b":5,"Only":6,"@x":7,"a.b":8}"#;
    for (text, expected) in [
        ("Title", 1),
        ("title", 2),
        ("\"Title\"", 1),
        ("\"US Gross\"", 3),
        ("\"us gross\"", 0),
        ("Größe", 4),
        ("\"a\"\"b\"", 5),
        ("only", 6),
        ("ONLY", 6),
        ("\"@x\"", 7),
        ("\"a.b\"", 8),
    ] {
        if expected == 0 {
            assert_eq!(refused(text, &columns).code(), "plan::unknown_field");
        } else {
            assert_eq!(
                value(text, &columns, record),
                format!("{expected} int64"),
                "{text}"
            );
        }
    }
    let ambiguous = refused("TITLE + 1", &columns);
    assert_eq!(
        ambiguous.to_string(),
        "stage `here` reads field `TITLE`, which could be `Title` or `title`"
    );
    let dotted = refused("a.b > 1", &columns);
    assert_eq!(
        pointed(&dotted, "a.b > 1"),
        ("a.b", "write \"a.b\", in double quotes".to_owned())
    );
}

#[test]
fn an_unknown_column_names_the_nearest_and_lists_the_fields_as_they_are_written() {
    let text = "length(emial) > 3";
    let error = refused(
        text,
        &[("email", "utf8"), ("US Gross", "int64"), ("order", "utf8")],
    );
    assert_eq!(error.code(), "plan::unknown_field");
    assert_eq!(
        error.to_string(),
        "stage `here` reads field `emial`, which is not there"
    );
    assert_eq!(
        pointed(&error, text),
        ("emial", "not there; did you mean `email`?".to_owned())
    );
    assert_eq!(
        error.help_text().unwrap(),
        "the fields at this step: email, \"US Gross\", \"order\""
    );
    let text = "email = \"active\"";
    let quoted = refused(text, &[("email", "utf8")]);
    assert_eq!(
        pointed(&quoted, text),
        (
            "\"active\"",
            "no such field; a text stands in single quotes: 'active'".to_owned()
        )
    );
}

#[test]
fn an_unknown_function_names_the_nearest() {
    let text = "a > 1 and lowr(b) = 'x'";
    let error = refused(text, &[("a", "int64"), ("b", "utf8")]);
    assert_eq!(error.to_string(), "there is no function `lowr`");
    assert_eq!(
        pointed(&error, text),
        ("lowr", "did you mean `lower`?".to_owned())
    );
}

#[test]
fn what_is_no_value_of_one_record_is_refused() {
    for text in [
        "sum(a)",
        "count(*)",
        "row_number() over (order by a)",
        "avg(a) filter (where a > 1)",
        "(select 1)",
        "a in (select 1)",
        "exists (select 1)",
        "a = $1",
        "min(a) + 1",
    ] {
        assert_eq!(
            refused(text, &[("a", "int64")]).code(),
            "expr::not_a_value",
            "{text}"
        );
    }
    assert_eq!(
        refused("random() > 0.5", &[("a", "int64")]).code(),
        "expr::volatile"
    );
    assert_eq!(
        refused("uuid()", &[("a", "int64")]).code(),
        "expr::volatile"
    );
}

#[test]
fn a_mistake_in_the_syntax_points_at_its_place() {
    for (text, at, message) in [
        (
            "a > ",
            "all",
            "stage `here` cannot be read: expected an expression, found the end",
        ),
        ("a > 1; b", ";", "stage `here` cannot be read beyond `;`"),
        ("a > 1 b", "b", "stage `here` cannot be read beyond `b`"),
        (
            "a +* 1",
            "*",
            "stage `here` cannot be read: expected an expression, found *",
        ),
        (
            "lower('x",
            "'",
            "stage `here` cannot be read: unterminated string literal",
        ),
    ] {
        let error = refused(text, &[("a", "int64"), ("b", "int64")]);
        assert_eq!(error.code(), "expr::syntax", "{text}");
        assert_eq!(error.to_string(), message);
        if at != "all" {
            assert_eq!(pointed(&error, text).0, at, "{text}");
        }
    }
    let deep = format!("{}1{}", "(".repeat(500), ")".repeat(500));
    assert_eq!(
        refused(&deep, &[("a", "int64")]).to_string(),
        "stage `here` cannot be read: nested too deeply"
    );
}

#[test]
fn an_escaped_value_is_pointed_at_as_a_whole() {
    let schema = input(&[("a", "int64")]);
    let error = Expression::parse("\"b\" > 1", &(10..21), &scope(&schema)).unwrap_err();
    assert_eq!(error.place().unwrap().0, &(10..21));
}

#[test]
fn a_mistake_in_the_types_is_said_in_our_words() {
    for (text, message) in [
        (
            "abs(t)",
            "stage `here` cannot compute `abs(t)`: `abs` does not take (utf8)",
        ),
        (
            "t + true",
            "stage `here` cannot compute `t + true`: `utf8 + boolean` has no meaning",
        ),
        (
            "d = 1.5",
            "stage `here` cannot compute `d = 1.5`: `date32 = float64` cannot be compared or combined",
        ),
        (
            "not t",
            "stage `here` cannot compute `not t`: unary operator 'NOT' requires a boolean expression, got utf8",
        ),
        (
            "string_to_array(t, ',')",
            "stage `here` cannot compute `string_to_array(t, ',')`: the result is a list; take one element of it, or join it with array_to_string",
        ),
        (
            "interval '1 day'",
            "stage `here` cannot compute `interval '1 day'`: the result is a length of time, which no column holds; add it to a date or timestamp",
        ),
        (
            "lower(t, t)",
            "stage `here` cannot compute `lower(t, t)`: `lower` does not take (utf8, utf8)",
        ),
    ] {
        let error = refused(text, &[("t", "utf8"), ("d", "date32")]);
        assert_eq!(error.code(), "expr::type", "{text}: {error}");
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_constant_that_cannot_be_computed_is_refused_when_planning() {
    for text in [
        "cast('x' as int) + a",
        "1 / 0",
        "9223372036854775807 + 1",
        "b ~ '('",
        "regexp_replace(b, '[', '')",
        "c > 'yesterday'",
        "regexp_like(b, 'a', 'g')",
    ] {
        let error = refused(text, &[("a", "int64"), ("b", "utf8"), ("c", "date32")]);
        assert_eq!(error.code(), "expr::constant", "{text}: {error}");
    }
    let schema = input(&[("a", "int64")]);
    for text in ["now() > now()", "current_date", "current_timestamp"] {
        let scope = Scope::stage("here", &schema);
        let timeless = Expression::parse(text, &(0..text.len()), &scope).unwrap_err();
        assert_eq!(timeless.code(), "expr::no_time", "{text}");
    }
}

#[test]
fn whole_numbers_never_wrap_around() {
    let columns = [("a", "int64"), ("b", "int32"), ("u", "uint64")];
    let extremes = r#"{"a":9223372036854775807,"b":-2147483648,"u":0}"#;
    for (text, expected) in [
        ("a + 1", "fault: 9223372036854775807 + 1 is out of range"),
        ("a * 2", "fault: 9223372036854775807 * 2 is out of range"),
        ("-a - 2", "fault: -9223372036854775807 - 2 is out of range"),
        ("-b", "fault: 0 - -2147483648 is out of range"),
        (
            "b - cast(1 as int)",
            "fault: -2147483648 - 1 is out of range",
        ),
        ("b - 1", "-2147483649 int64"),
        ("abs(b)", ""),
        (
            "u - cast(1 as bigint unsigned)",
            "fault: 0 - 1 is out of range",
        ),
        ("a + 0", "9223372036854775807 int64"),
        ("a / 0", "fault: division by zero"),
        ("a % 0", "fault: division by zero"),
        ("(a - 1) / 2", "4611686018427387903 int64"),
    ] {
        let got = value(text, &columns, extremes);
        if expected.is_empty() {
            assert!(got.starts_with("fault"), "{text}: {got}");
        } else {
            assert_eq!(got, expected, "{text}");
        }
    }
    assert_eq!(
        value("a / b", &columns, r#"{"a":-9223372036854775808,"b":-1}"#).get(..5),
        Some("fault")
    );
}

#[test]
fn decimals_are_exact_and_bounded() {
    let d = [("d", "decimal(38, 2)")];
    assert_eq!(value("d + d", &d, r#"{"d":"0.10"}"#), "0.20 decimal(38, 2)");
    assert_eq!(
        value("d * 3", &[("d", "decimal(5, 2)")], r#"{"d":"999.99"}"#),
        "2999.97 decimal(26, 2)"
    );
    let large = batch(
        &input(&d),
        r#"{"d":"999999999999999999999999999999999999.99"}"#,
    );
    let schema = input(&d);
    let sum = Expression::parse("d + d", &(0..5), &scope(&schema)).unwrap();
    assert_eq!(sum.evaluate_rows(&large.records).unwrap().faults.len(), 1);
    assert_eq!(
        sum.evaluate(&large.records).unwrap_err().code(),
        "step::expression"
    );
}

#[test]
fn casts_refuse_and_try_casts_give_null() {
    let columns = [("t", "utf8"), ("f", "float64"), ("d", "date32")];
    let record = r#"{"t":"abc","f":-1.9,"d":"2020-02-29"}"#;
    for (text, expected) in [
        (
            "cast(t as bigint)",
            "fault: cannot cast string 'abc' to value of int64 type",
        ),
        ("try_cast(t as bigint)", "null int64"),
        ("cast(f as int)", "-1 int32"),
        ("f::int64", "-1 int64"),
        (
            "cast(f * 1e10 as int)",
            "fault: can't cast value -19000000000.0 to type int32",
        ),
        ("cast(f as text)", "-1.9 utf8"),
        ("cast(f as decimal(5, 2))", "-1.90 decimal(5, 2)"),
        ("cast(d as timestamp)", "2020-02-29T00:00:00 timestamp(us)"),
        (
            "cast('2020-01-01T00:00:00Z' as timestamp with time zone)",
            "2020-01-01T00:00:00Z timestamp(us, UTC)",
        ),
        (
            "cast('9999-12-31' as timestamp)",
            "9999-12-31T00:00:00 timestamp(us)",
        ),
        ("cast('07:08:09' as time)", "07:08:09 time64(us)"),
        ("cast(1 as smallint)", "1 int32"),
        ("cast(1 as float32)", "1.0 float32"),
        ("cast('x' as utf8)", "x utf8"),
    ] {
        assert_eq!(value(text, &columns, record), expected, "{text}");
    }
}

#[test]
fn times_come_in_microseconds_and_now_is_what_the_caller_says() {
    assert_eq!(
        constant("now()"),
        "2024-05-06T07:08:09.123456Z timestamp(us, UTC)"
    );
    assert_eq!(constant("current_timestamp = now()"), "true boolean");
    assert_eq!(constant("current_date"), "2024-05-06 date32");
    assert_eq!(
        constant("to_timestamp('2020-01-01 00:00:00.000001')"),
        "2020-01-01T00:00:00.000001 timestamp(us)"
    );
    assert_eq!(
        constant("date_trunc('month', now())"),
        "2024-05-01T00:00:00Z timestamp(us, UTC)"
    );
    assert_eq!(
        constant("extract(year from date '2020-02-29') + 1"),
        "2021 int64"
    );
    assert_eq!(
        constant("date '2020-02-28' + interval '1 day'"),
        "2020-02-29 date32"
    );
    let nanos = value(
        "to_timestamp(t)",
        &[("t", "utf8")],
        r#"{"t":"2020-01-01T00:00:00.000000001"}"#,
    );
    assert!(
        nanos.starts_with("fault: a time has nanoseconds"),
        "{nanos}"
    );
}

#[test]
fn functions_of_every_kind_work() {
    for (text, expected) in [
        ("upper('straße')", "STRASSE utf8"),
        ("initcap('o''neill é')", "O'Neill É utf8"),
        ("trim(both 'x' from 'xax')", "a utf8"),
        ("substring('héllo' from 2 for 2)", "él utf8"),
        ("position('l' in 'héllo')", "3 int32"),
        ("'a' || 'b'", "ab utf8"),
        ("concat_ws('-', 'a', null, 'b')", "a-b utf8"),
        ("coalesce(null, 'x')", "x utf8"),
        ("nullif(1, 1)", "null int64"),
        ("split_part('a,b', ',', 2)", "b utf8"),
        ("string_to_array('a,b', ',')[2]", "b utf8"),
        ("array_to_string(make_array(1, 2), '+')", "1+2 utf8"),
        ("array_length([1, 2, 3])", "3 uint64"),
        ("regexp_replace('a1b2', '[0-9]', '', 'g')", "ab utf8"),
        ("case a when 1 then 'one' else 'more' end", "one utf8"),
        (
            "a between 0 and 2 and a in (1, 3) and not a is null",
            "true boolean",
        ),
        ("'abc' like 'a%' and 'abc' ~ '^a.c$'", "true boolean"),
        ("round(2.345, 2)", "2.35 float64"),
        ("null", "null null"),
        ("1.5", "1.5 float64"),
        ("greatest(1, 3, 2)", "3 int64"),
        ("encode('a', 'hex')", "61 utf8"),
        ("a = '1'", "true boolean"),
    ] {
        assert_eq!(constant(text), expected, "{text}");
    }
}

#[test]
fn json_uuid_and_number_need_a_cast_before_anything_is_done_with_them() {
    let columns = [
        ("j", "json"),
        ("u", "uuid"),
        ("n", "number"),
        ("J K", "json"),
        ("k", "json"),
        ("m", "number"),
        ("null_u", "uuid"),
    ];
    for text in [
        "coalesce(j, u)",
        "coalesce(n, 1)",
        "lower(coalesce(j, k))",
        "lower(j)",
        "j = 'x'",
        "u = '00000000-0000-0000-0000-000000000001'",
        "n > 1",
        "coalesce(j, '1')",
        "case when j is null then j else j end",
        "j in ('a')",
    ] {
        let error = refused(text, &columns);
        assert_eq!(error.code(), "expr::type", "{text}");
        assert!(
            error.to_string().contains("it needs a cast before"),
            "{error}"
        );
    }
    assert_eq!(
        refused("trim(\"J K\")", &columns).help_text().unwrap(),
        "write cast(\"J K\" as text), or another type, in its place"
    );
    let record = r#"{"j":"a \"b\"","u":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","n":"12.50"}"#;
    for (text, expected) in [
        ("j", r#""a \"b\"" json"#),
        ("u", "6ba7b8109dad11d180b400c04fd430c8 uuid"),
        ("j is null", "false boolean"),
        ("cast(j as text)", r#"a "b" utf8"#),
        ("upper(cast(j as text))", r#"A "B" utf8"#),
        (
            "cast(j as int)",
            r#"fault: "a \"b\"" cannot be cast to int32"#,
        ),
        ("try_cast(j as int)", "null int32"),
        (
            "cast(u as text) = '6ba7b810-9dad-11d1-80b4-00c04fd430c8'",
            "true boolean",
        ),
        ("cast(n as decimal(5, 2)) * 2", "25.00 decimal(26, 2)"),
        ("cast('{\"a\":1}' as json)", r#"{"a":1} json"#),
        ("coalesce(j, cast('[]' as json))", r#""a \"b\"" json"#),
        ("coalesce(k, cast('\"x\"' as json), j)", r#""x" json"#),
        ("coalesce(k, k)", "null json"),
        ("coalesce(m, cast('1e1' as number))", "1e1 number"),
        (
            "coalesce(null_u, u)",
            "6ba7b8109dad11d180b400c04fd430c8 uuid",
        ),
        (
            "cast('6BA7B8109DAD11D180B400C04FD430C8' as uuid)",
            "6ba7b8109dad11d180b400c04fd430c8 uuid",
        ),
    ] {
        assert_eq!(value(text, &columns, record), expected, "{text}");
    }
}

#[test]
fn only_the_rows_at_fault_lose_their_value() {
    let schema = input(&[("t", "utf8")]);
    let records: String = (0..1000)
        .map(|i| {
            if i % 97 == 5 {
                "{\"t\":\"x\"}".into()
            } else {
                format!("{{\"t\":\"{i}\"}}")
            }
        })
        .collect();
    let number = Expression::parse("cast(t as bigint)", &(0..17), &scope(&schema)).unwrap();
    let evaluated = number
        .evaluate_rows(&batch(&schema, &records).records)
        .unwrap();
    assert_eq!(evaluated.values.len(), 1000);
    let faults: Vec<u32> = evaluated.faults.iter().map(|fault| fault.row).collect();
    assert_eq!(
        faults,
        (0..1000).filter(|i| i % 97 == 5).collect::<Vec<u32>>()
    );
    for row in 0..1000 {
        assert_eq!(evaluated.values.is_null(row), row % 97 == 5);
        if row % 97 != 5 {
            assert_eq!(
                array_value_to_string(&evaluated.values, row).unwrap(),
                row.to_string()
            );
        }
    }
}

#[test]
fn no_rows_are_no_rows() {
    let schema = input(&[("t", "utf8")]);
    let number = Expression::parse("cast(t as bigint) + 1", &(0..21), &scope(&schema)).unwrap();
    let empty = RecordBatch::new_empty(schema.to_arrow());
    let none: ArrayRef = number.evaluate(&empty).unwrap();
    assert_eq!(
        (none.len(), none.data_type()),
        (0, &LogicalType::Int64.arrow())
    );
}

#[test]
fn an_expression_says_what_it_reads_and_whether_it_can_be_null() {
    let mut schema = with_reserved(input(&[("a", "int64"), ("b", "utf8")]));
    schema.fields[1].nullable = false;
    let parse = |text: &str| Expression::parse(text, &(0..text.len()), &scope(&schema)).unwrap();
    assert_eq!(parse("length(b) + a > a").columns(), ["a", "b"]);
    assert!(!parse("a + 1").nullable() && parse("a + length(b)").nullable());
    assert!(!parse("coalesce(b, 'x')").nullable());
    assert!(!parse("b is null").nullable());
    assert_eq!(
        parse("_id").columns(),
        [schema.fields[schema.role(Role::Id).unwrap()].name.as_str()]
    );
    assert_eq!(parse("a + 1").expr().to_string(), "a + Int64(1)");
    assert_eq!(parse("a + 1").text(), "a + 1");
    let _: Arc<str> = parse("a").text().into();
}

#[test]
fn values_of_different_types_meet_without_loss_or_not_at_all() {
    let columns = [
        ("a", "int64"),
        ("u", "uint64"),
        ("t", "utf8"),
        ("d", "date32"),
        ("ts", "timestamp"),
        ("tz", "timestamp(us, UTC)"),
        ("z", "null"),
        ("f", "float64"),
    ];
    let record = r#"{"a":-1,"u":18446744073709551615,"t":"05","d":"2020-01-01","ts":"2020-01-01T00:00:00","tz":"2020-01-01T00:00:00Z","f":0.1}"#;
    for (text, expected) in [
        ("u > a", "true boolean"),
        ("u + a", "18446744073709551614 decimal(21, 0)"),
        ("greatest(a, u)", "18446744073709551615 decimal(20, 0)"),
        ("t = 5", "true boolean"),
        ("cast(t as bigint) = 5", "true boolean"),
        ("t > 4", "true boolean"),
        ("d = ts and ts = tz and d = '2020-01-01'", "true boolean"),
        ("'a' || a", "a-1 utf8"),
        ("t || null", "null utf8"),
        ("z + 1", "null int64"),
        ("a = null", "null boolean"),
        ("f / 0", "inf float64"),
        (
            "sqrt(a)",
            "fault: cannot take square root of a negative number",
        ),
        ("t is not null and cast(t as int) > 1", "true boolean"),
    ] {
        assert_eq!(value(text, &columns, record), expected, "{text}");
    }
    assert_eq!(
        value("t = 5", &columns, r#"{"t":"x"}"#),
        "fault: cannot cast string 'x' to value of int64 type"
    );
}

#[test]
fn a_condition_that_guards_another_is_respected_row_by_row() {
    let schema = input(&[("t", "utf8")]);
    let text = "t <> 'x' and cast(t as int) > 1";
    let guarded = Expression::parse(text, &(0..text.len()), &scope(&schema)).unwrap();
    let records = batch(
        &schema,
        r#"{"t":"x"} {"t":"2"} {"t":"1"} {"t":"y"} {"t":"3"}"#,
    )
    .records;
    let (decided, faults) = guarded.decide(&records).unwrap();
    assert_eq!(
        decided.iter().map(|d| d == Some(true)).collect::<Vec<_>>(),
        [false, true, false, false, true]
    );
    assert_eq!(
        faults.iter().map(|fault| fault.row).collect::<Vec<_>>(),
        [3]
    );
}

#[test]
fn a_number_that_would_be_rounded_while_it_is_read_is_refused() {
    for text in [
        "a = 99999999999999999999",
        "a > 1e400",
        "-36893488147419103232",
    ] {
        let error = refused(text, &[("a", "int64")]);
        assert_eq!(error.code(), "expr::number", "{text}");
    }
    assert_eq!(
        constant("-9223372036854775808"),
        "-9223372036854775808 int64"
    );
    assert_eq!(
        constant("18446744073709551615"),
        "18446744073709551615 uint64"
    );
}
