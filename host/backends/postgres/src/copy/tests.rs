//! Values with their bytes, random rows there and back, and streams that are broken.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use dkhost_core::text::{Appender, Cells};
use dkhost_core::{Field, LogicalType, Schema};

use super::*;

fn field(logical: &str) -> Field {
    Field::new("c", logical.parse().unwrap())
}

/// A column of texts read by core.
fn column(logical: &LogicalType, texts: &[Option<&str>]) -> ArrayRef {
    let mut appender = Appender::new(logical);
    for text in texts {
        match text {
            Some(text) => assert!(appender.append(text), "{text} is no {logical}"),
            None => appender.append_null(),
        }
    }
    appender.finish().unwrap()
}

fn batch(fields: Vec<Field>, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(Schema::new(fields).to_arrow(), columns).unwrap()
}

fn decode(fields: &[Field], wires: &[Wire], stream: &[u8]) -> dkhost_core::Result<Decoded> {
    let mut decoder = Decoder::new(fields, wires)?;
    let mut splitter = Splitter::new();
    splitter.push(stream, &mut |tuple| decoder.push(tuple))?;
    splitter.finish()?;
    decoder.finish()
}

/// The stream of one value given in hexadecimal.
fn stream(value: &str) -> Vec<u8> {
    let hex: Vec<char> = value.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    let bytes: Vec<u8> = hex.chunks(2).map(byte).collect();
    let mut stream = HEADER.to_vec();
    stream.extend([0, 1]);
    stream.extend((bytes.len() as u32).to_be_bytes());
    stream.extend(bytes);
    stream.extend(TRAILER);
    stream
}

/// Checks that a value's text has these bytes, both ways.
#[track_caller]
fn check(logical: &str, wire: Wire, text: &str, hex: &str) {
    let field = field(logical);
    let array = column(&field.logical, &[Some(text)]);
    let records = batch(vec![field.clone()], vec![array]);
    let mut out = Vec::new();
    let refused = Encoder::new(&[wire])
        .encode(&records, &[], &mut out)
        .unwrap();
    assert_eq!(
        (refused, &out),
        (Vec::new(), &stream(hex)),
        "{logical} {text}"
    );
    let decoded = decode(std::slice::from_ref(&field), &[wire], &out).unwrap();
    let mut back = Vec::new();
    Cells::bind(decoded.columns[0].as_ref(), &field.logical)
        .unwrap()
        .write(0, &mut back);
    assert_eq!(String::from_utf8(back).unwrap(), text, "{logical}");
}

#[test]
fn values_have_the_bytes_that_the_server_sends() {
    check("boolean", Wire::Bool, "true", "01");
    check("int32", Wire::Int4, "-2", "fffffffe");
    check("int32", Wire::Int2, "-2", "fffe");
    check(
        "int64",
        Wire::Int8,
        "-9223372036854775808",
        "8000000000000000",
    );
    check("int64", Wire::Oid, "4294967295", "ffffffff");
    check("float32", Wire::Float4, "-0.0", "80000000");
    check("float64", Wire::Float8, "5e-324", "0000000000000001");
    check("utf8", Wire::Text, "", "");
    check("utf8", Wire::Varchar(2), "äö", "c3a4c3b6");
    check("json", Wire::Jsonb, "{}", "01 7b7d");
    check("binary", Wire::Bytea, "AP8=", "00ff");
    check("date32", Wire::Date, "2000-01-01", "00000000");
    check("date32", Wire::Date, "1999-12-31", "ffffffff");
    check("time64", Wire::Time, "00:00:00.000001", "0000000000000001");
    check(
        "timestamp",
        Wire::Timestamp,
        "1999-12-31T23:59:59.999999",
        "ffffffffffffffff",
    );
    check(
        "uuid",
        Wire::Uuid,
        "0191f2a0-0000-7000-8000-0123456789ab",
        "0191f2a0000070008000 0123456789ab",
    );
    check(
        "vector(2)",
        Wire::Vector,
        "[1.0,-0.5]",
        "0002 0000 3f800000 bf000000",
    );
    check(
        "vector(1)",
        Wire::Floats,
        "[1.0]",
        "00000001 00000000 000002bc 00000001 00000001 00000004 3f800000",
    );
}

#[test]
fn numbers_are_digits_to_the_base_of_ten_thousand() {
    check("number", Wire::Numeric, "0", "0000 0000 0000 0000");
    check("number", Wire::Numeric, "0.00", "0000 0000 0000 0002");
    check(
        "number",
        Wire::Numeric,
        "1.50",
        "0002 0000 0000 0002 0001 1388",
    );
    check(
        "number",
        Wire::Numeric,
        "-12345",
        "0002 0001 4000 0000 0001 0929",
    );
    check(
        "number",
        Wire::Numeric,
        "100000000",
        "0001 0002 0000 0000 0001",
    );
    check(
        "number",
        Wire::Numeric,
        "0.00001230",
        "0001 fffe 0000 0008 04ce",
    );
    check(
        "decimal(10,2)",
        Wire::Numeric,
        "1.50",
        "0002 0000 0000 0002 0001 1388",
    );
    check(
        "decimal(10,2)",
        Wire::Numeric,
        "-0.01",
        "0001 ffff 4000 0002 0064",
    );
    check(
        "decimal(10,2)",
        Wire::Numeric,
        "10000.00",
        "0001 0001 0000 0002 0001",
    );
    check(
        "decimal(38,0)",
        Wire::Numeric,
        &"9".repeat(38),
        &format!("000a 0009 0000 0000 0063 {}", "270f".repeat(9)),
    );
    check(
        "uint64",
        Wire::Numeric,
        "18446744073709551615",
        "0005 0004 0000 0000 0734 1a58 02e1 03bb 064f",
    );
}

#[test]
fn a_value_that_cannot_be_said_refuses_its_row_alone() {
    let before = format!("1e{}", 131_072);
    let after = format!("1e-{}", 16_384);
    for (logical, wire, text, code) in [
        ("utf8", Wire::Text, "a\0b", "postgres::nul"),
        ("utf8", Wire::Varchar(2), "äö ", "postgres::too_long"),
        ("int64", Wire::Int4, "2147483648", "postgres::out_of_range"),
        ("int32", Wire::Int2, "-32769", "postgres::out_of_range"),
        ("int64", Wire::Oid, "-1", "postgres::out_of_range"),
        (
            "uint64",
            Wire::Int8,
            "9223372036854775808",
            "postgres::out_of_range",
        ),
        (
            "int64",
            Wire::Float8,
            "9007199254740993",
            "postgres::out_of_range",
        ),
        ("float64", Wire::Float4, "1e39", "postgres::out_of_range"),
        ("float64", Wire::Numeric, "-0.0", "postgres::minus_zero"),
        ("number", Wire::Numeric, "-0.0", "postgres::minus_zero"),
        ("number", Wire::Numeric, &before, "postgres::out_of_range"),
        ("number", Wire::Numeric, &after, "postgres::out_of_range"),
        (
            "date32",
            Wire::Date,
            "-4714-11-23",
            "postgres::out_of_range",
        ),
        (
            "timestamp",
            Wire::Timestamp,
            "-4714-11-23T23:59:59.999999",
            "postgres::out_of_range",
        ),
        (
            "timestamp",
            Wire::Timestamp,
            "294277-01-01T00:00:00",
            "postgres::out_of_range",
        ),
        ("vector(1)", Wire::Vector, "[3e38]", ""),
    ] {
        let field = field(logical);
        if !Appender::new(&field.logical).append(text) {
            continue;
        }
        let array = column(&field.logical, &[None, Some(text), None]);
        let records = batch(vec![field.clone()], vec![array]);
        let mut out = Vec::new();
        let refused = Encoder::new(&[wire])
            .encode(&records, &[], &mut out)
            .unwrap();
        let codes: Vec<(u32, &str)> = refused
            .iter()
            .map(|reject| (reject.row, reject.code.as_str()))
            .collect();
        let mut rows = 0;
        let mut count = |_: &[u8]| {
            rows += 1;
            Ok(())
        };
        Splitter::new().push(&out, &mut count).unwrap();
        match code {
            "" => assert_eq!((codes, rows), (vec![], 3), "{logical} {text}"),
            code => assert_eq!((codes, rows), (vec![(1, code)], 2), "{logical} {text}"),
        }
    }
}

#[test]
fn text_that_is_not_utf8_refuses_its_row() {
    let fields = [field("utf8"), Field::new("d", LogicalType::Int32)];
    let wires = [Wire::Text, Wire::Int4];
    let mut decoder = Decoder::new(&fields, &wires).unwrap();
    // A character that is cut between two rows is none of either.
    for text in [&b"ok"[..], b"\xc3", b"\xa4", b"fine"] {
        let mut tuple = vec![0, 2, 0, 0, 0, text.len() as u8];
        tuple.extend(text);
        tuple.extend([0, 0, 0, 4, 0, 0, 0, 7]);
        decoder.push(&tuple).unwrap();
    }
    let decoded = decoder.finish().unwrap();
    assert_eq!(
        decoded.columns[0].as_string::<i32>(),
        &StringArray::from(vec!["ok", "fine"])
    );
    assert_eq!((decoded.rows, decoded.origin), (2, Some(vec![0, 3])));
    let refused: Vec<(u32, usize, &str)> = decoded
        .refused
        .iter()
        .map(|r| (r.tuple, r.column, r.code))
        .collect();
    assert_eq!(
        refused,
        [(1, 0, "postgres::not_utf8"), (2, 0, "postgres::not_utf8")]
    );
    assert_eq!(
        decoded.refused[0].payload,
        "{\"c\":\"\u{fffd}\",\"d\":7}".as_bytes()
    );
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn digits(&mut self, n: u64) -> String {
        (0..n)
            .map(|_| char::from(b'0' + (self.next() % 10) as u8))
            .collect()
    }

    /// A text of a type.
    fn text(&mut self, logical: &LogicalType) -> String {
        let number = self.next() >> (self.next() % 64);
        let sign = if self.next().is_multiple_of(2) && number > 0 {
            "-"
        } else {
            ""
        };
        match logical {
            LogicalType::Boolean => number.is_multiple_of(2).to_string(),
            LogicalType::Int32 => (number as i32).to_string(),
            LogicalType::Int64 => (number as i64).to_string(),
            LogicalType::UInt64 => number.to_string(),
            LogicalType::Decimal(_, scale) => {
                let value = format!(
                    "{sign}{}.{}",
                    number % 1_000_000_000,
                    self.digits(*scale as u64)
                );
                value.replace("-0.", "0.")
            }
            LogicalType::Number => {
                let (whole, fraction) = (self.next() % 40, 1 + self.next() % 40);
                format!("{sign}1{}.{}1", self.digits(whole), self.digits(fraction))
            }
            LogicalType::Float64 => format!("{sign}0.{}1", self.digits(14)),
            LogicalType::Uuid => {
                format!("{:08x}-0000-7000-8000-{:012x}", number as u32, number >> 20)
            }
            LogicalType::Date32 => format!(
                "{:04}-0{}-1{}",
                number % 10_000,
                1 + number % 9,
                number % 10
            ),
            LogicalType::Timestamp(_) => format!(
                "{:04}-0{}-1{}T0{}:00:00.{}",
                number % 10_000,
                1 + number % 9,
                number % 10,
                number % 9,
                self.digits(6)
            ),
            LogicalType::Binary => "AP8A".repeat((number % 20) as usize),
            _ => "ä😀x\n".repeat((number % 40) as usize),
        }
    }
}

fn dice_batch(dice: &mut Dice, rows: usize) -> (RecordBatch, Vec<Wire>) {
    let names = [
        "boolean",
        "int32",
        "int64",
        "uint64",
        "float64",
        "decimal(20, 7)",
        "number",
        "utf8",
        "binary",
        "uuid",
        "date32",
        "timestamp",
    ];
    let (mut fields, mut columns, mut wires) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let logical: LogicalType = name.parse().unwrap();
        let texts: Vec<Option<String>> = (0..rows)
            .map(|_| (!dice.next().is_multiple_of(5)).then(|| dice.text(&logical)))
            .collect();
        let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
        columns.push(column(&logical, &texts));
        wires.push(Wire::natural(&logical));
        fields.push(Field::new(name, logical));
    }
    (batch(fields, columns), wires)
}

#[test]
fn what_is_encoded_is_decoded_as_the_same_however_the_stream_is_cut() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..20 {
        let (records, wires) = dice_batch(&mut dice, 1 + round * 10);
        let fields = Schema::from_arrow(&records.schema()).unwrap().fields;
        let skip: Vec<bool> = (0..records.num_rows()).map(|row| row % 7 == 3).collect();
        let mut out = Vec::new();
        assert_eq!(
            Encoder::new(&wires)
                .encode(&records, &[], &mut out)
                .unwrap(),
            []
        );
        let mut decoder = Decoder::new(&fields, &wires).unwrap();
        let mut splitter = Splitter::new();
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + dice.next() as usize % 300).min(rest.len()));
            splitter
                .push(piece, &mut |tuple| decoder.push(tuple))
                .unwrap();
            rest = after;
        }
        splitter.finish().unwrap();
        let decoded = decoder.finish().unwrap();
        assert_eq!(decoded.columns, records.columns());
        out.clear();
        Encoder::new(&wires)
            .encode(&records, &skip, &mut out)
            .unwrap();
        let left = skip.iter().filter(|skip| !**skip).count();
        assert_eq!(decode(&fields, &wires, &out).unwrap().rows, left);
    }
}

#[test]
fn a_broken_stream_is_an_error_or_another_row_and_never_a_panic() {
    let (records, wires) = dice_batch(&mut Dice(42), 6);
    let fields = Schema::from_arrow(&records.schema()).unwrap().fields;
    let mut out = Vec::new();
    Encoder::new(&wires)
        .encode(&records, &[], &mut out)
        .unwrap();
    for cut in 0..out.len() {
        assert!(decode(&fields, &wires, &out[..cut]).is_err(), "{cut}");
    }
    for at in 0..out.len() {
        for flip in [0x01, 0x80, 0xff] {
            out[at] ^= flip;
            if let Ok(decoded) = decode(&fields, &wires, &out) {
                assert!(
                    decoded
                        .columns
                        .iter()
                        .all(|column| column.len() == decoded.rows)
                );
                for refusal in &decoded.refused {
                    let kept = String::from_utf8_lossy(&refusal.payload);
                    serde_json::from_str::<serde::de::IgnoredAny>(&kept)
                        .unwrap_or_else(|why| panic!("{why}: {kept}"));
                }
            }
            out[at] ^= flip;
        }
    }
}
