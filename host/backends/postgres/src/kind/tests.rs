//! Every type on a real server: read, encoded, written beside, and compared there.

use arrow::array::RecordBatch;
use dkhost_core::{Field, LogicalType, Schema};
use serde_json::json;

use super::*;
use crate::catalog::{Name, Table, TypeDef};
use crate::copy::{Decoded, Decoder, Encoder, Splitter};
use crate::server::tests::open;
use crate::session::Session;

/// A database with a session, and settings as every transaction has them.
struct Lab {
    session: Session,
    tables: u32,
    _database: dkhost_servers::Database,
}

const SETTINGS: &str = "BEGIN; SET LOCAL DateStyle = ISO; SET LOCAL IntervalStyle = iso_8601; \
    SET LOCAL TimeZone = 'UTC'; SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = hex";

impl Lab {
    fn new() -> Self {
        let database = dkhost_servers::postgres();
        let session = open(json!({ "url": database.url })).unwrap();
        Lab {
            session,
            tables: 0,
            _database: database,
        }
    }

    fn run(&mut self, sql: &str) {
        self.session.run("test", sql).unwrap();
    }

    /// A table with a column `c "x"` of these values, given as SQL; and one like it without.
    fn tables(&mut self, ty: &str, values: &[&str]) -> (String, String) {
        self.tables += 1;
        let (a, b) = (format!("a{}", self.tables), format!("b{}", self.tables));
        self.run(&format!("CREATE TABLE {a} (n serial, \"c \"\"x\" {ty}); CREATE TABLE {b} (n serial, \"c \"\"x\" {ty})"));
        for value in values {
            self.run(&format!(
                "INSERT INTO {a} (\"c \"\"x\") VALUES ({value}::{ty})"
            ));
        }
        self.run(&format!("INSERT INTO {a} (\"c \"\"x\") VALUES (NULL)"));
        (a, b)
    }

    fn column(&mut self, table: &str) -> TypeDef {
        let table = Table::find(&mut self.session, &Name::of("public", table))
            .unwrap()
            .unwrap();
        table.column("c \"x").unwrap().ty.clone()
    }

    fn read(&mut self, table: &str, reading: &Reading, field: &Field) -> Decoded {
        self.run(SETTINGS);
        let sql = format!(
            "COPY (SELECT {} FROM {table} ORDER BY n) TO STDOUT (FORMAT binary)",
            reading.sql("\"c \"\"x\"")
        );
        let mut copy = self.session.copy_out("read", &sql).unwrap();
        let mut chunk = Vec::new();
        while self
            .session
            .next_chunk("read", &mut copy, &mut chunk, 1 << 20)
            .unwrap()
        {}
        drop(copy);
        self.run("COMMIT");
        let mut decoder = Decoder::new(std::slice::from_ref(field), &[reading.wire]).unwrap();
        let mut splitter = Splitter::new();
        splitter
            .push(&chunk, &mut |tuple| decoder.push(tuple))
            .unwrap();
        splitter.finish().unwrap();
        decoder.finish().unwrap()
    }

    /// Writes a column as the target does; `straight` or by a temporary table.
    fn write(&mut self, table: &str, writing: &Writing, records: &RecordBatch, straight: bool) {
        let mut data = Vec::new();
        let refused = Encoder::new(&[writing.wire])
            .encode(records, &[], &mut data)
            .unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        self.run(SETTINGS);
        let quoted = "\"c \"\"x\"";
        if straight {
            let sql = format!("COPY {table} ({quoted}) FROM STDIN (FORMAT binary)");
            self.session.copy_in("write", &sql, data.into()).unwrap();
        } else {
            self.run(&format!(
                "CREATE TEMPORARY TABLE s (n serial, c0 {}) ON COMMIT DROP",
                writing.stage
            ));
            self.session
                .copy_in(
                    "write",
                    "COPY s (c0) FROM STDIN (FORMAT binary)",
                    data.into(),
                )
                .unwrap();
            let table_sql = format!("\"public\".\"{table}\"");
            let value = writing.value("s.c0", &table_sql, quoted);
            self.run(&format!(
                "INSERT INTO {table} ({quoted}) SELECT {value} FROM s ORDER BY s.n"
            ));
            if let Some(keeps) = writing.keeps("s.c0", &table_sql, quoted) {
                let changed = self.text(&format!(
                    "SELECT count(*) FILTER (WHERE ({keeps}) IS FALSE)::text FROM s"
                ));
                assert_eq!(changed, ["0"], "{keeps}");
            }
        }
        self.run("COMMIT");
    }

    fn text(&mut self, sql: &str) -> Vec<String> {
        let rows = self.session.rows("test", sql, &[]).unwrap();
        rows.iter()
            .map(|row| row.get::<_, Option<String>>(0).unwrap_or("NULL".to_owned()))
            .collect()
    }
}

/// Checks that values of `ty` are read as `logical`, and written back the same in every way.
#[track_caller]
fn check(lab: &mut Lab, ty: &str, logical: &str, values: &[&str]) {
    let (a, b) = lab.tables(ty, values);
    let def = lab.column(&a);
    let reading = Reading::of(&def).unwrap();
    assert_eq!(reading.logical.to_string(), logical, "{ty}");
    let mut field = Field::new("c \"x", reading.logical.clone());
    field.source_type = Some(def.spelled.clone());
    let decoded = lab.read(&a, &reading, &field);
    assert_eq!(decoded.refused, [], "{ty}");
    assert_eq!(decoded.rows, values.len() + 1, "{ty}");
    let records =
        RecordBatch::try_new(Schema::new(vec![field.clone()]).to_arrow(), decoded.columns).unwrap();
    for source_type in [Some(def.spelled.clone()), None] {
        field.source_type = source_type;
        let writing = Writing::of(&field, &def).unwrap();
        let back = Reading::declared(&def, &field.logical).unwrap();
        for straight in [true, false] {
            if straight && !writing.direct {
                continue;
            }
            lab.run(&format!("TRUNCATE {b} RESTART IDENTITY"));
            lab.write(&b, &writing, &records, straight);
            let text = |table: &str| {
                format!(
                    "SELECT \"c \"\"x\"::text || pg_column_size(\"c \"\"x\") FROM {table} ORDER BY n"
                )
            };
            assert_eq!(lab.text(&text(&a)), lab.text(&text(&b)), "{ty} {straight}");
            assert_eq!(
                &lab.read(&b, &back, &field).columns[0],
                records.column(0),
                "{ty}"
            );
        }
    }
}

#[test]
fn every_type_goes_there_and_back() {
    let mut lab = Lab::new();
    lab.run("CREATE TYPE mood AS ENUM ('sad', 'so ''so'); CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE >= 0); \
             CREATE TYPE pair AS (a int, \"b b\" text); CREATE DOMAIN list AS int[]");
    let far = format!("'{}'", "1".repeat(900) + "." + &"7".repeat(90));
    let long = format!("'{}'", "9".repeat(700));
    let cases: &[(&str, &str, &[&str])] = &[
        ("boolean", "boolean", &["true", "false"]),
        ("smallint", "int32", &["'-32768'", "32767"]),
        ("integer", "int32", &["'-2147483648'", "0", "2147483647"]),
        (
            "bigint",
            "int64",
            &["'-9223372036854775808'", "9223372036854775807"],
        ),
        ("oid", "int64", &["4294967295", "0"]),
        (
            "real",
            "float32",
            &["'-0'", "'1e-45'", "'NaN'", "'-Infinity'", "3.4028235e38"],
        ),
        (
            "float8",
            "float64",
            &["'-0'", "'5e-324'", "'NaN'", "'Infinity'", "0.1"],
        ),
        ("text", "utf8", &["''", "'ä😀'", "repeat('x', 1000000)"]),
        ("varchar(3)", "utf8", &["'abc'", "'ä ö'"]),
        ("char(5)", "utf8", &["'ab'", "'12345'"]),
        ("\"char\"", "utf8", &["'x'"]),
        ("name", "utf8", &["'n'", "repeat('n', 63)"]),
        ("mood", "utf8", &["'sad'", "'so ''so'"]),
        ("bytea", "binary", &["'\\x'", "'\\x00ff0a'"]),
        ("uuid", "uuid", &["'0191f2a0-0000-7000-8000-0123456789ab'"]),
        (
            "date",
            "date32",
            &[
                "'4713-01-01 BC'",
                "'0001-12-31 BC'",
                "'1970-01-01'",
                "'5874897-12-31'",
            ],
        ),
        ("time", "time64(us)", &["'00:00'", "'23:59:59.999999'"]),
        (
            "timestamp",
            "timestamp(us)",
            &["'4713-01-01 00:00 BC'", "'294246-12-31 23:59:59.999999'"],
        ),
        (
            "timestamptz",
            "timestamp(us, UTC)",
            &["'2024-02-29 12:00+05:30'", "'1969-12-31 23:59:59.999999Z'"],
        ),
        (
            "timestamp(3)",
            "timestamp(us)",
            &["'2024-01-01 00:00:00.123'"],
        ),
        (
            "numeric(10,2)",
            "decimal(10, 2)",
            &["12.50", "-0.01", "0", "99999999.99", "100"],
        ),
        (
            "numeric(38,10)",
            "decimal(38, 10)",
            &[
                "'9999999999999999999999999999.9999999999'",
                "0.0000000001",
                "1e20",
            ],
        ),
        (
            "numeric(38,38)",
            "decimal(38, 38)",
            &["'-0.99999999999999999999999999999999999999'", "1e-38"],
        ),
        ("numeric(5)", "decimal(5, 0)", &["99999", "10000"]),
        (
            "numeric",
            "number",
            &[
                "1.50",
                "'0.00'",
                "-0.00001230",
                "10000",
                "100000000",
                &far,
                "'1e-1000'",
                "0.000000010",
            ],
        ),
        ("numeric(1000,3)", "number", &[&long, "0.001"]),
        ("numeric(5,-3)", "number", &["12345678"]),
        ("price", "decimal(10, 2)", &["1.5"]),
        (
            "json",
            "json",
            &["'{ \"b\":1, \"a\": [1.0, null] }'", "'null'", "'\"x\"'"],
        ),
        ("jsonb", "json", &["'{\"a\": 1.50}'", "'null'"]),
        (
            "int[]",
            "json",
            &["'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'"],
        ),
        ("text[]", "json", &["'{\"a,b\",NULL,\"NULL\",\"\"}'"]),
        ("timestamptz[]", "json", &["'{2024-01-01 00:00:00.5Z}'"]),
        ("numeric[]", "json", &["'{1.50,1e50}'"]),
        ("list", "json", &["'{7}'"]),
        ("pair", "json", &["'(1,\"a \"\"b\")'", "'(,)'"]),
        ("money", "number", &["12.5", "'-1'"]),
        (
            "interval",
            "utf8",
            &["'1 year -2 days 03:04:05.6'", "'-1 month'", "'0'"],
        ),
        ("timetz", "utf8", &["'12:00:00+05:30'"]),
        ("bit(4)", "utf8", &["'1010'"]),
        ("varbit", "utf8", &["'101'"]),
        ("inet", "utf8", &["'::1/64'", "'10.0.0.1'"]),
        ("cidr", "utf8", &["'10.0.0.0/8'"]),
        ("macaddr", "utf8", &["'08:00:2b:01:02:03'"]),
        ("int4range", "utf8", &["'[1,5)'", "'empty'"]),
        ("datemultirange", "utf8", &["'{[2024-01-01,2024-02-01)}'"]),
        ("xml", "utf8", &["'<a>1</a>'"]),
        ("tsvector", "utf8", &["'a:1 b'"]),
        ("point", "utf8", &["'(1,2.5)'"]),
        ("pg_lsn", "utf8", &["'16/B374D848'"]),
        ("regclass", "utf8", &["'pg_class'"]),
        ("int2vector", "utf8", &["'1 2'"]),
    ];
    for (ty, logical, values) in cases {
        check(&mut lab, ty, logical, values);
    }
}

#[test]
fn a_value_that_no_column_of_ours_holds_refuses_its_row_and_is_kept_as_text() {
    let mut lab = Lab::new();
    for (ty, value, code, payload) in [
        ("date", "'infinity'", "postgres::infinity", "\"infinity\""),
        (
            "timestamp",
            "'-infinity'",
            "postgres::infinity",
            "\"-infinity\"",
        ),
        (
            "timestamptz",
            "'294276-12-31 23:59:59Z'",
            "postgres::out_of_range",
            "\"+294276-12-31T23:59:59Z\"",
        ),
        ("time", "'24:00'", "postgres::end_of_day", "\"24:00:00\""),
        ("numeric", "'NaN'", "postgres::not_a_number", "\"NaN\""),
        (
            "numeric",
            "'-Infinity'",
            "postgres::not_a_number",
            "\"-Infinity\"",
        ),
        ("numeric(5,2)", "'NaN'", "postgres::not_a_number", "\"NaN\""),
    ] {
        let (a, _) = lab.tables(ty, &[value, value]);
        let def = lab.column(&a);
        let reading = Reading::of(&def).unwrap();
        let field = Field::new("c \"x", reading.logical.clone());
        let decoded = lab.read(&a, &reading, &field);
        assert_eq!(
            (decoded.rows, decoded.columns[0].len(), decoded.origin),
            (1, 1, Some(vec![2])),
            "{ty}"
        );
        let codes: Vec<(u32, &str)> = decoded.refused.iter().map(|r| (r.tuple, r.code)).collect();
        assert_eq!(codes, [(0, code), (1, code)], "{ty}");
        let kept = String::from_utf8(decoded.refused[0].payload.clone()).unwrap();
        assert_eq!(kept, format!("{{\"c \\\"x\":{payload}}}"), "{ty}");
        let text = Reading::declared(&def, &LogicalType::Utf8).unwrap();
        let field = Field::new("c \"x", LogicalType::Utf8);
        let decoded = lab.read(&a, &text, &field);
        assert_eq!((decoded.rows, decoded.refused.len()), (3, 0), "{ty}");
    }
}
