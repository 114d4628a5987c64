use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::util::display::array_value_to_string;
use dkhost_core::LogicalType;

use super::{convert, refusal};

fn logical(name: &str) -> LogicalType {
    name.parse().unwrap()
}

/// `texts` to `from` and on to `to`: the values, `null`, or the reason of a failure.
fn cast(from: &str, to: &str, texts: &[&str]) -> Vec<String> {
    let (from, to) = (logical(from), logical(to));
    assert_eq!(refusal(&from, &to), None);
    let texts: ArrayRef = Arc::new(
        texts
            .iter()
            .map(|t| (*t != "∅").then_some(*t))
            .collect::<StringArray>(),
    );
    let input = match from {
        LogicalType::Json => texts,
        _ => {
            let input = convert(&texts, &LogicalType::Utf8, &from).unwrap();
            assert!(input.failed.is_empty());
            input.values
        }
    };
    let converted = convert(&input, &from, &to).unwrap();
    assert_eq!(*converted.values.data_type(), to.arrow());
    (0..input.len())
        .map(|row| match converted.failed.contains(&(row as u32)) {
            true => converted.reason(&input, row, &from, &to),
            false if converted.values.is_null(row) => "null".to_owned(),
            false => array_value_to_string(&converted.values, row).unwrap(),
        })
        .collect()
}

#[test]
fn json_gives_its_text_and_a_string_its_own() {
    let json = [
        r#""The Land Girls""#,
        "300",
        r#""a\"b\u00e9""#,
        "null",
        "∅",
        "[1, {}]",
        "1.50",
        "true",
        r#""\ud800""#,
        " \"x\" ",
    ];
    assert_eq!(
        cast("json", "utf8", &json),
        [
            "The Land Girls",
            "300",
            "a\"bé",
            "null",
            "null",
            "[1, {}]",
            "1.50",
            "true",
            r#""\ud800" cannot be cast to utf8"#,
            "x"
        ]
    );
}

#[test]
fn json_gives_numbers_and_truth_values_and_refuses_what_is_none() {
    assert_eq!(
        cast(
            "json",
            "int64",
            &[
                "12",
                "12.0",
                "1e3",
                "\"12\"",
                "1.5",
                "null",
                "\"x\"",
                "[1]",
                "9223372036854775807",
                "1e30"
            ]
        ),
        [
            "12",
            "12",
            "1000",
            "12",
            "1.5 cannot be cast to int64",
            "null",
            r#""x" cannot be cast to int64"#,
            "[1] cannot be cast to int64",
            "9223372036854775807",
            "1e30 cannot be cast to int64"
        ]
    );
    assert_eq!(
        cast("json", "float64", &["1", "1.5", "\"2.5\"", "true"]),
        ["1.0", "1.5", "2.5", "true cannot be cast to float64"]
    );
    assert_eq!(
        cast("json", "boolean", &["true", "\"false\"", "{}"]),
        ["true", "false", "{} cannot be cast to boolean"]
    );
    assert_eq!(
        cast("json", "date32", &["\"2020-02-29\"", "1"])[0],
        "2020-02-29"
    );
    assert_eq!(
        cast("json", "decimal(5, 2)", &["1.50", "1.505"]),
        ["1.50", "1.505 cannot be cast to decimal(5, 2)"]
    );
    assert_eq!(
        cast("json", "number", &["1.505e3", "\"a\""]),
        ["1.505e3", "\"a\" cannot be cast to number"]
    );
}

#[test]
fn a_number_that_would_change_is_refused() {
    for (from, to, texts, expected) in [
        (
            "float64",
            "int64",
            ["1.0", "1.5", "-0.0"],
            ["1", "1.5 cannot be cast to int64 without changing it", "0"],
        ),
        (
            "int64",
            "float64",
            [
                "9007199254740992",
                "9007199254740993",
                "9223372036854775807",
            ],
            [
                "9007199254740992.0",
                "9007199254740993 cannot be cast to float64 without changing it",
                "9223372036854775807 cannot be cast to float64 without changing it",
            ],
        ),
        (
            "int64",
            "int32",
            ["1", "2147483648", "-2147483648"],
            [
                "1",
                "2147483648 cannot be cast to int32 without changing it",
                "-2147483648",
            ],
        ),
        (
            "int64",
            "uint64",
            ["1", "-1", "0"],
            ["1", "-1 cannot be cast to uint64 without changing it", "0"],
        ),
        (
            "int64",
            "boolean",
            ["1", "2", "0"],
            [
                "true",
                "2 cannot be cast to boolean without changing it",
                "false",
            ],
        ),
        (
            "decimal(6, 2)",
            "int64",
            ["1.00", "1.50", "-3.00"],
            [
                "1",
                "1.50 cannot be cast to int64 without changing it",
                "-3",
            ],
        ),
        (
            "decimal(6, 2)",
            "decimal(5, 1)",
            ["1.50", "1.55", "9999.90"],
            [
                "1.5",
                "1.55 cannot be cast to decimal(5, 1) without changing it",
                "9999.9",
            ],
        ),
        (
            "int64",
            "decimal(4, 2)",
            ["99", "100", "-99"],
            [
                "99.00",
                "100 cannot be cast to decimal(4, 2) without changing it",
                "-99.00",
            ],
        ),
        (
            "float64",
            "float32",
            ["0.1", "1e300", "inf"],
            [
                "0.1",
                "1e300 cannot be cast to float32 without changing it",
                "inf",
            ],
        ),
        (
            "float64",
            "json",
            ["1.5", "NaN", "inf"],
            [
                "1.5",
                "NaN cannot be cast to json",
                "inf cannot be cast to json",
            ],
        ),
    ] {
        assert_eq!(cast(from, to, &texts), expected, "{from} to {to}");
    }
    assert_eq!(cast("boolean", "int64", &["true", "∅"]), ["1", "null"]);
}

#[test]
fn text_is_parsed_or_refused_with_the_value_in_the_message() {
    assert_eq!(
        cast("utf8", "int64", &["12", "-1", " 12", "", "x\n", "∅"]),
        [
            "12",
            "-1",
            "12",
            "\"\" cannot be cast to int64",
            "\"x\\n\" cannot be cast to int64",
            "null"
        ]
    );
    assert_eq!(
        cast("utf8", "float64", &["1e400", "inf", "1e3"]),
        ["\"1e400\" cannot be cast to float64", "inf", "1000.0"]
    );
    assert_eq!(
        cast("utf8", "json", &["{\"a\":1.0}", "a", " null"]),
        ["{\"a\":1.0}", "\"a\" cannot be cast to json", "null"]
    );
    assert_eq!(
        cast(
            "utf8",
            "number",
            &["123456789012345678901234567890.1", "01", "+1"]
        )[0],
        "123456789012345678901234567890.1"
    );
    assert_eq!(
        cast("utf8", "number", &["01", "+1"]),
        [
            "\"01\" cannot be cast to number",
            "\"+1\" cannot be cast to number"
        ]
    );
    assert_eq!(
        cast("utf8", "timestamp(us, UTC)", &["2020-01-01T00:00:00+02:00"]),
        ["2019-12-31T22:00:00Z"]
    );
    let long = "ü".repeat(100);
    assert!(cast("utf8", "int64", &[&long])[0].starts_with(&format!("\"{}…\"", "ü".repeat(60))));
}

#[test]
fn dates_uuids_and_numbers_have_a_text() {
    assert_eq!(cast("date32", "utf8", &["2020-02-29"]), ["2020-02-29"]);
    assert_eq!(cast("date32", "json", &["2020-02-29"]), ["\"2020-02-29\""]);
    for (from, zone) in [("timestamp", ""), ("timestamp(us, UTC)", "Z")] {
        let midnight = format!("2020-02-29T00:00:00{zone}");
        let later = format!("1969-12-31T23:59:59{zone}");
        let cast = cast(from, "date32", &[&midnight, &later, "∅"]);
        assert_eq!((&*cast[0], &*cast[2]), ("2020-02-29", "null"));
        assert!(cast[1].contains("has a time of day"), "{}", cast[1]);
    }
    assert_eq!(
        cast("timestamp(us, UTC)", "utf8", &["2020-02-29T23:59:59Z"]),
        ["2020-02-29T23:59:59Z"]
    );
    assert_eq!(
        cast("uuid", "utf8", &["6BA7B8109DAD11D180B400C04FD430C8", "∅"]),
        ["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "null"]
    );
    assert_eq!(cast("number", "float64", &["1.50"]), ["1.5"]);
    assert_eq!(cast("number", "utf8", &["1.50"]), ["1.50"]);
    assert_eq!(cast("decimal(10, 2)", "number", &["1.50"]), ["1.50"]);
    assert_eq!(cast("binary", "utf8", &["abc"]), ["abc"]);
}

#[test]
fn a_zone_that_there_is_not_is_refused_before_a_value_is_read() {
    for zone in ["ns", "Z", "Mars/X"] {
        let odd = logical(&format!("timestamp(us, {zone})"));
        let why = format!(
            "there is no time zone `{zone}`; say UTC, an offset (+05:30) or a name (Europe/Berlin)"
        );
        for other in ["utf8", "json", "date32"] {
            assert_eq!(refusal(&logical(other), &odd), Some(why.clone()));
            assert_eq!(refusal(&odd, &logical(other)), Some(why.clone()));
        }
        assert_eq!(refusal(&odd, &odd), None);
        assert_eq!(refusal(&odd, &logical("timestamp(us, UTC)")), None);
    }
}

#[test]
fn a_clock_without_a_zone_is_read_in_the_zone_it_is_cast_to() {
    let berlin = "timestamp(us, Europe/Berlin)";
    assert_eq!(
        cast("timestamp", berlin, &["2020-01-01T00:00:00"]),
        ["2020-01-01T00:00:00+01:00"]
    );
    // This hour was skipped when the clocks went forward.
    assert_eq!(
        cast("timestamp", berlin, &["2020-03-29T02:30:00"]),
        ["2020-03-29T02:30:00 cannot be cast to timestamp(us, Europe/Berlin)"]
    );
    assert_eq!(
        cast(berlin, "timestamp(us, UTC)", &["2020-01-01T00:00:00+01:00"]),
        ["2019-12-31T23:00:00Z"]
    );
    assert_eq!(
        cast("timestamp(us, UTC)", "timestamp", &["2020-01-01T00:00:00Z"]),
        ["2020-01-01T00:00:00"]
    );
    for to in ["timestamp", "date32", "time64"] {
        assert!(
            refusal(&logical(berlin), &logical(to))
                .unwrap()
                .contains("whose clock"),
            "{to}"
        );
    }
}

#[test]
fn casts_that_would_guess_are_refused() {
    for (from, to) in [
        ("int64", "timestamp"),
        ("float64", "date32"),
        ("timestamp", "int64"),
        ("boolean", "date32"),
        ("vector(3)", "utf8"),
        ("binary", "json"),
        ("timestamp", "time64"),
    ] {
        assert!(
            refusal(&logical(from), &logical(to)).is_some(),
            "{from} to {to}"
        );
    }
    assert!(
        refusal(&logical("int64"), &logical("timestamp"))
            .unwrap()
            .contains("to_timestamp_seconds")
    );
}

/// Every supported pair converts at least nulls and gives the right layout.
#[test]
fn every_supported_pair_has_a_conversion() {
    for from in LogicalType::NAMES.map(logical) {
        for to in LogicalType::NAMES
            .map(logical)
            .iter()
            .filter(|to| refusal(&from, to).is_none())
        {
            let nulls = arrow::array::new_null_array(&from.arrow(), 3);
            let converted = convert(&nulls, &from, to).unwrap();
            assert_eq!(*converted.values.data_type(), to.arrow(), "{from} to {to}");
            assert!(converted.failed.is_empty() && converted.values.len() == 3);
        }
    }
}

/// Each of these once came out rounded, cut or on another day.
#[test]
fn a_value_that_the_type_does_not_hold_exactly_is_refused() {
    for (from, to, held, not_held) in [
        (
            "float64",
            "decimal(5, 0)",
            &["3.0", "-0.0"][..],
            &["0.1", "2.5", "1e300", "NaN"][..],
        ),
        (
            "float64",
            "decimal(5, 2)",
            &["0.1", "2.25"],
            &["0.125", "1000"],
        ),
        ("float32", "decimal(5, 1)", &["0.1"], &["0.25"]),
        (
            "float64",
            "float32",
            &["0.1", "0.25", "0.10000000149011612", "-inf"],
            &["0.12345678901", "16777217", "1e-300"],
        ),
        (
            "utf8",
            "float64",
            &[
                "9007199254740992",
                "0.1",
                "1e22",
                "+1.5e3",
                "007",
                ".5",
                "-0",
                "1.50",
                "nan",
            ],
            &[
                "9007199254740993",
                "0.1234567890123456789",
                "1e-400",
                "1e400",
            ],
        ),
        (
            "utf8",
            "float32",
            &["0.1", "16777216"],
            &["16777217", "3.14159265358979"],
        ),
        (
            "json",
            "float64",
            &["0.1"],
            &["9007199254740993", "\"9007199254740993\""],
        ),
        (
            "json",
            "int64",
            &["12.0", "1e18"],
            &["9007199254740993.5", "1e19"],
        ),
        ("number", "float64", &["1.50"], &["9007199254740993"]),
        (
            "decimal(20, 0)",
            "float64",
            &["9007199254740992"],
            &["9007199254740993"],
        ),
        (
            "utf8",
            "timestamp",
            &[
                "2020-01-01",
                "2020-01-01 01:02:03.123456",
                "2020-01-01T01:02:03.123456000",
            ],
            &[
                "2020-01-01T01:02:03.123456789",
                "2020-01-01T00:00:00Z",
                "2020-01-01T00:00:00+02:00",
                "2020-01-01T00:00:00-02:00",
                "2020-01-01 00:00:00 Europe/Berlin",
                "2016-12-31T23:59:60",
            ],
        ),
        (
            "utf8",
            "timestamp(us, UTC)",
            &["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.5+02:00"],
            &["2020-01-01T00:00:00.123456789Z", "2016-12-31T23:59:60Z"],
        ),
        (
            "utf8",
            "date32",
            &[
                "2020-01-01",
                "2020-01-01T00:00:00",
                "2020-01-01 00:00:00.000",
            ],
            &[
                "2020-01-01T10:00:00",
                "2020-01-01 00:00:00.1",
                "2020-01-01T00:00:00+02:00",
                "2020-01-01T00:00:00Z",
            ],
        ),
        (
            "utf8",
            "time64",
            &["01:02:03.123456"],
            &["01:02:03.123456789"],
        ),
    ] {
        for text in cast(from, to, held) {
            assert!(
                !text.contains("cannot") && text != "null",
                "{from} to {to}: {text}"
            );
        }
        for text in cast(from, to, not_held) {
            assert!(text.contains("cannot be cast"), "{from} to {to}: {text}");
        }
    }
    assert_eq!(
        cast("json", "int64", &["9007199254740993.0"]),
        ["9007199254740993"]
    );
    assert_eq!(cast("float64", "decimal(5, 2)", &["-0.1"]), ["-0.10"]);
    assert_eq!(
        cast("utf8", "timestamp", &["2020-01-01T00:00:00+02:00"]),
        [
            "\"2020-01-01T00:00:00+02:00\" cannot be cast to timestamp(us): it has a zone; use type_cast to \"timestamp(us, UTC)\""
        ]
    );
}

/// A migration is generated with a cast wherever a schema does not call the change incompatible.
#[test]
fn what_a_schema_calls_a_change_of_type_there_is_a_cast_for() {
    use dkhost_schema::TypeChange::{self, Incompatible, Widening};
    let types = "null boolean int32 int64 uint64 float32 float64 decimal(38,4) decimal(9,0) number \
                 utf8 binary json date32 time64 timestamp timestamp(UTC) timestamp(Europe/Berlin) uuid \
                 vector(2)";
    let types: Vec<LogicalType> = types.split_whitespace().map(logical).collect();
    for (from, to) in types
        .iter()
        .flat_map(|from| types.iter().map(move |to| (from, to)))
    {
        let change = TypeChange::between(from, to);
        if change.is_some_and(|change| change != Incompatible) {
            assert_eq!(refusal(from, to), None, "{from} to {to}");
        }
        if change == Some(Widening) && *from != LogicalType::Null {
            assert_eq!(refusal(to, from), None, "{to} back to {from}");
        }
    }
}
