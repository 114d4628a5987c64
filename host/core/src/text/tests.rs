use super::*;
use crate::conformance::{extremes, held_types};

/// The text of a column that was given one text; `None` if that does not fit.
fn through(logical: &LogicalType, text: &str) -> Option<String> {
    let mut column = Appender::new(logical);
    if !column.append(text) {
        assert_eq!(
            column.len(),
            0,
            "{text:?} left something in a {logical} column"
        );
        return None;
    }
    let array = column.finish().unwrap();
    let mut out = Vec::new();
    assert!(write(array.as_ref(), 0, logical, &mut out).unwrap());
    Some(String::from_utf8(out).unwrap())
}

fn logical(name: &str) -> LogicalType {
    name.parse().unwrap()
}

#[test]
fn every_extreme_comes_back_as_it_was_written() {
    for logical in held_types() {
        for text in extremes(&logical) {
            assert_eq!(
                through(&logical, &text).as_deref(),
                Some(text.as_str()),
                "{logical}"
            );
        }
    }
}

#[test]
fn what_fits_may_come_back_in_another_spelling() {
    for (name, text, expected) in [
        ("boolean", "TRUE", "true"),
        ("float64", "+.5", "0.5"),
        ("float64", "5.", "5.0"),
        ("float64", "1e2", "100.0"),
        ("float64", "Infinity", "inf"),
        ("float64", "-INF", "-inf"),
        ("float64", "nan", "NaN"),
        (
            "float64",
            "123456789012345678901234567890e-20",
            "1234567890.1234567",
        ),
        ("decimal(10, 2)", "1.5", "1.50"),
        ("decimal(10, 2)", "15e-1", "1.50"),
        ("decimal(10, 2)", "1.500000", "1.50"),
        ("decimal(10, 2)", "-0", "0.00"),
        (
            "decimal(38, 0)",
            "99999999999999999999999999999999999999",
            "99999999999999999999999999999999999999.",
        ),
        ("json", "  [1]\n", "[1]"),
        ("time64", "12:30", "12:30:00"),
        ("time64", "12:30:00.5", "12:30:00.500000"),
        ("time64", "12:30:00.123456000", "12:30:00.123456"),
        ("timestamp", "2024-02-29 12:30", "2024-02-29T12:30:00"),
        (
            "timestamp(UTC)",
            "2024-02-29T12:30:00+02:00",
            "2024-02-29T10:30:00Z",
        ),
        (
            "timestamp(UTC)",
            "2024-02-29T12:30:00-0230",
            "2024-02-29T15:00:00Z",
        ),
        (
            "timestamp(UTC)",
            "2024-02-29T12:30:00+02",
            "2024-02-29T10:30:00Z",
        ),
        (
            "uuid",
            "0191F2A0-1234-7ABC-8DEF-0123456789AB",
            "0191f2a0-1234-7abc-8def-0123456789ab",
        ),
        ("vector(2)", "[ 1 , 2.50 ]", "[1.0,2.5]"),
    ] {
        let found = through(&logical(name), text);
        // A scale of 0 has no point.
        let expected = expected.strip_suffix('.').unwrap_or(expected);
        if name == "float64" && text.len() > 30 {
            assert_eq!(found, None, "more digits than a double has");
        } else {
            assert_eq!(found.as_deref(), Some(expected), "{name} {text:?}");
        }
    }
}

#[test]
fn what_would_change_does_not_fit() {
    for (name, texts) in [
        ("boolean", &["", "1", "yes", "t", "truee"][..]),
        ("int32", &["2147483648", "-2147483649", "1.0", ""]),
        (
            "int64",
            &[
                "9223372036854775808",
                "1.0",
                "1e2",
                "-0",
                "007",
                "+5",
                " 5",
                "5 ",
                "",
                "-",
                "0x10",
                "٣",
            ],
        ),
        ("uint64", &["-1", "18446744073709551616"]),
        ("float32", &["0.123456789", "16777217", "1e39", "1e-50"]),
        (
            "float64",
            &[
                "9007199254740993",
                "0.1234567890123456789012",
                "1e400",
                "1e-400",
                "",
                ".",
                "-",
                "1e",
                "00.5",
                "0x1p3",
                "1_000",
            ],
        ),
        (
            "decimal(10, 2)",
            &[
                "0.001",
                "100000000",
                "-100000000.00",
                "1e400",
                "NaN",
                "inf",
                "",
            ],
        ),
        (
            "decimal(38, 10)",
            &["99999999999999999999999999999", "0.00000000001"],
        ),
        ("number", &["1.", ".5", "+1", "01", "NaN", "1e", "", "1 "]),
        ("json", &["", "nul", "{'a': 1}", "[1,]", "{} {}", "NaN"]),
        ("binary", &["A", "AA", "AA=", "AB==", "A A=", "_w=="]),
        (
            "date32",
            &[
                "2023-02-29",
                "2024-2-9",
                "2024-13-01",
                "2024-00-10",
                "2024-01-32",
                "20240229",
                "2024-02-29T",
                "99999-01-01",
                "-0000-01-01",
                "",
            ],
        ),
        (
            "time64",
            &[
                "24:00:00",
                "23:60:00",
                "23:59:60",
                "23:59:59.1234567",
                "1:00:00",
                "12",
                "12:00:00.",
            ],
        ),
        (
            "timestamp",
            &[
                "2024-02-29T12:00:00Z",
                "2024-02-29",
                "2024-02-29T12:00:00+00:00",
                "2024-02-29x12:00:00",
            ],
        ),
        (
            "timestamp(UTC)",
            &[
                "2024-02-29T12:00:00",
                "2024-02-29T12:00:00+24:00",
                "2024-02-29T12:00:00 Z",
                "+300000-01-01T00:00:00Z",
            ],
        ),
        (
            "uuid",
            &[
                "0191f2a0",
                "0191f2a012347abc8def0123456789ab",
                "0191f2a0-1234-7abc-8def-0123456789ag",
                "{191f2a0-1234-7abc-8def-0123456789ab}",
            ],
        ),
        (
            "vector(2)",
            &[
                "[1]",
                "[1,2,3]",
                "[]",
                "[1,null]",
                "[1,\"2\"]",
                "[1,0.123456789]",
                "1,2",
                "[1,2] ",
            ],
        ),
        ("null", &["", "null"]),
    ] {
        for text in texts {
            // Whitespace around a vector is none of its business.
            if *text != "[1,2] " {
                assert_eq!(through(&logical(name), text), None, "{name} {text:?}");
            }
        }
    }
}

#[test]
fn dates_at_the_ends_of_their_range_come_back() {
    for (days, text) in [
        (i32::MIN, "-5877641-06-23"),
        (i32::MAX, "+5881580-07-11"),
        (-719_529, "-000001-12-31"),
    ] {
        let mut out = Vec::new();
        write_date(days, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text);
        assert_eq!(parse_date(text), Some(days));
    }
    for micros in [i64::MIN, i64::MAX, -1, 0] {
        let mut out = Vec::new();
        write_timestamp(micros, true, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(parse_timestamp(&text, true), Some(micros), "{text}");
    }
}

#[test]
fn every_day_of_four_centuries_comes_back() {
    for days in -146_097..146_097 {
        let mut out = Vec::new();
        write_date(days, &mut out);
        assert_eq!(parse_date(std::str::from_utf8(&out).unwrap()), Some(days));
    }
}

/// A tiny deterministic generator (SplitMix64).
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[test]
fn every_double_comes_back_from_its_text() {
    let mut dice = Dice(1);
    for _ in 0..20_000 {
        let value = f64::from_bits(dice.next());
        if !value.is_finite() {
            continue;
        }
        let mut out = Vec::new();
        write_f64(value, &mut out);
        let text = std::str::from_utf8(&out).unwrap();
        let number = Number::scan(text).unwrap();
        assert_eq!(number.text, text);
        assert_eq!(
            number.as_f64().map(f64::to_bits),
            Some(value.to_bits()),
            "{text}"
        );
        // Without its point the same digits are an integer of any size.
        let single = value as f32;
        if single.is_finite() {
            out.clear();
            write_f32(single, &mut out);
            let number = Number::scan(std::str::from_utf8(&out).unwrap()).unwrap();
            assert_eq!(number.as_f32().map(f32::to_bits), Some(single.to_bits()));
        }
    }
}

#[test]
fn a_number_is_a_double_only_if_no_digit_is_lost() {
    let mut dice = Dice(2);
    for _ in 0..20_000 {
        let digits = 1 + dice.below(22) as usize;
        let mut text: String = (0..digits)
            .map(|_| char::from(b'0' + dice.below(10) as u8))
            .collect();
        text = text.trim_start_matches('0').to_owned();
        if text.is_empty() {
            text.push('0');
        }
        if dice.below(2) == 0 {
            text = format!("{text}e{}", dice.below(60) as i64 - 30);
        }
        let number = Number::scan(&text).unwrap();
        // The reference: exact decimal arithmetic on what Rust prints.
        let value: f64 = text.parse().unwrap();
        let mut printed = Vec::new();
        write_f64(value, &mut printed);
        let survives = exact(&text) == exact(std::str::from_utf8(&printed).unwrap());
        assert_eq!(number.as_f64().is_some(), survives, "{text}");
        if survives {
            assert_eq!(
                number.as_f64().unwrap().to_bits(),
                value.to_bits(),
                "{text}"
            );
        }
    }
}

/// Digits without surplus zeros and the power of ten of the last one, done the slow way.
fn exact(text: &str) -> (String, i64) {
    let (mantissa, power) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}");
    let mut power = power.parse::<i64>().unwrap() - fraction.len() as i64;
    while digits.len() > 1 && digits.ends_with('0') {
        digits.pop();
        power += 1;
    }
    digits = digits.trim_start_matches('0').to_owned();
    if digits.is_empty() {
        (String::new(), 0)
    } else {
        (digits, power)
    }
}

#[test]
fn rows_can_be_taken_back_in_every_type() {
    for logical in held_types() {
        let texts = extremes(&logical);
        let mut column = Appender::new(&logical);
        assert!(column.append(&texts[0]));
        column.append_null();
        for text in &texts {
            assert!(column.append(text));
        }
        column.truncate(2);
        assert_eq!(column.len(), 2);
        assert!(column.append(&texts[1]));
        let array = column.finish().unwrap();
        let cells = Cells::bind(array.as_ref(), &logical).unwrap();
        let mut out = Vec::new();
        assert!(cells.write(0, &mut out) && !cells.write(1, &mut out));
        out.push(b'|');
        assert!(cells.write(2, &mut out));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("{}|{}", texts[0], texts[1]),
            "{logical}"
        );
        assert_eq!(column.len(), 0, "finish starts anew");
    }
}

#[test]
fn native_values_fit_as_their_text_does() {
    let mut ints = Appender::new(&LogicalType::Int32);
    assert!(ints.append_i64(7) && !ints.append_i64(1 << 40) && !ints.append_f64(1.0));
    let mut floats = Appender::new(&LogicalType::Float64);
    assert!(
        floats.append_i64(3) && !floats.append_i64((1 << 53) + 1) && floats.append_f64(f64::NAN)
    );
    let mut singles = Appender::new(&LogicalType::Float32);
    assert!(singles.append_f64(0.5) && !singles.append_f64(0.1));
    let mut decimals = Appender::new(&LogicalType::Decimal(4, 1));
    assert!(decimals.append_i64(999) && !decimals.append_i64(1000) && decimals.append_f64(0.5));
    let mut numbers = Appender::new(&LogicalType::Number);
    assert!(
        numbers.append_f64(1e300) && numbers.append_i64(-1) && !numbers.append_f64(f64::INFINITY)
    );
    let mut texts = Appender::new(&LogicalType::Utf8);
    assert!(!texts.append_i64(1) && !texts.append_bytes(b"a") && !texts.append_bool(true));
    let mut uuids = Appender::new(&LogicalType::Uuid);
    assert!(uuids.append_bytes(&[1; 16]) && !uuids.append_bytes(&[1; 15]));
    assert_eq!(
        [
            ints.len(),
            floats.len(),
            decimals.len(),
            texts.len(),
            uuids.len()
        ],
        [1, 2, 2, 0, 1]
    );
}
