//! What the server filters is what the engine would have.

use std::collections::BTreeMap;

use dkhost_core::memory::decide;
use dkhost_core::{Comparison, Literal, LogicalType, Predicate};
use serde_json::json;

use crate::support::*;

const TABLE: &str = "
    CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('ok', 'bad');
    CREATE COLLATION ignoring (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE t(id int PRIMARY KEY, i2 smallint, i4 int, i8 bigint, o oid, yes boolean, t text, icu text COLLATE \"en-x-icu\", nd text COLLATE ignoring,
        c char(3), ci citext, m mood, d date, ti time, ts timestamp, tz timestamptz, u uuid, n numeric(10,2), free numeric, f4 real, f8 float8, b bytea, j jsonb, w text);
    INSERT INTO t VALUES
      (1, 1, 1, 1, 1, true, 'a', 'a', 'a', 'a', 'a', 'ok', '2024-01-01', '10:00', '2024-01-01', '2024-01-01', '00000000-0000-0000-0000-000000000001', 1.00, 1, 1, 1, 'a', '1', 'a'),
      (2, -1, -1, -1, 2, false, 'A', 'A', 'A', 'A', 'A', 'bad', '1999-12-31', '00:00', '1999-12-31', '1999-12-31', 'ffffffff-0000-0000-0000-000000000001', -1.00, -1, -1, -1, 'A', '2', 'A'),
      (3, 7, 7, 9223372036854775807, 4294967295, NULL, 'ä', 'ä', 'ä', 'a b', 'ä', NULL, '0044-01-01 BC', '23:59:59.5', '0044-01-01 BC', '0044-01-01 BC', NULL, 7.5, 7.50, 7.5, 7.5, '\\x00ff', NULL, 'it''s\\'),
      (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
      (5, 0, 0, 0, 0, false, '', '', '', '', '', 'ok', '2024-01-02', '10:00:00.000001', '2024-01-01 00:00:00.000001', '2024-01-01 00:00:00.000001+00', '00000000-0000-0000-0000-000000000002', 0, 0, '-0', '-0', '', 'null', '_%'),
      (6, 2, 2, 2, 3, true, 'b', 'b', 'B', 'b', 'B', 'bad', '2024-01-01', '10:00', '2024-01-01', '2024-01-01', '00000000-0000-0000-0000-000000000001', 1.01, 1.01, 'NaN', 'NaN', 'b', '{}', 'b');";

/// Conditions on each column, made from values it has.
fn conditions(column: &str, logical: &LogicalType, values: &[&str]) -> Vec<Predicate> {
    let name = || column.to_owned();
    let literal = |text: &&str| Literal::new(logical, *text);
    let mut all = vec![
        Predicate::IsNull {
            column: name(),
            negated: false,
        },
        Predicate::IsNull {
            column: name(),
            negated: true,
        },
    ];
    for op in [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ] {
        all.extend(values.iter().map(|text| Predicate::Compare {
            column: name(),
            op,
            value: literal(text),
        }));
    }
    for negated in [false, true] {
        all.push(Predicate::In {
            column: name(),
            values: values.iter().map(literal).collect(),
            negated,
        });
    }
    if *logical == LogicalType::Boolean {
        all.push(Predicate::Column(name()));
    }
    let joined = Predicate::And(vec![
        all[1].clone(),
        Predicate::Or(vec![all[2].clone(), all[0].clone()]),
    ]);
    all.extend(
        all.clone()
            .into_iter()
            .map(|part| Predicate::Not(Box::new(part)))
            .collect::<Vec<_>>(),
    );
    all.push(joined);
    all
}

#[test]
fn every_condition_the_server_checks_selects_what_the_engine_would() {
    let database = with(TABLE);
    let plain = source(&database, json!({"table": "t"})).unwrap();
    let whole = all(plain.as_ref()).remove(0);
    assert!(whole.rejects.is_empty(), "{:?}", whole.rejects);
    let mut pushed = BTreeMap::new();
    let mut checks = Vec::new();
    for field in &plain.schema().fields {
        let values: &[&str] = match field.name.as_str() {
            "id" | "i2" | "i4" | "i8" => &["0", "1", "7", "-1"],
            "o" => &["0", "4294967295", "-1"],
            "yes" => &["true", "false"],
            "t" | "icu" | "nd" | "ci" => &["a", "A", "ä", "", "b"],
            "c" => &["a", "a  ", "a b", ""],
            "m" => &["ok", "bad", "none"],
            "d" => &["2024-01-01", "1999-12-31"],
            "ti" => &["10:00:00", "10:00:00.000001"],
            "ts" => &["2024-01-01T00:00:00", "2024-01-01T00:00:00.000001"],
            "tz" => &["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000001Z"],
            "u" => &[
                "00000000-0000-0000-0000-000000000001",
                "ffffffff-0000-0000-0000-000000000001",
            ],
            "n" => &["1.00", "-1.00", "7.50"],
            "f4" | "f8" => &["1", "7.5", "-1"],
            "b" => &["YQ==", "AP8=", ""],
            "w" => &["it's\\", "_%", "x' OR true --"],
            _ => continue,
        };
        for predicate in conditions(&field.name, &field.logical, values) {
            checks.push((field.name.clone(), predicate));
        }
    }
    // One source tells which are pushed; each of those is then read alone.
    let offered: Vec<Predicate> = checks
        .iter()
        .map(|(_, predicate)| predicate.clone())
        .collect();
    let taken = source_with(&database.url, json!({"table": "t"}), |open| {
        open.filter = offered
    })
    .unwrap()
    .pushed();
    // All ids in one query for each condition would be hundreds of sources; ask in few: each
    // condition's outcome is compared on a source of its own only per column and kind.
    for at in &taken {
        *pushed.entry(checks[*at].0.as_str()).or_insert(0) += 1;
    }
    for at in taken.iter().step_by(1 + taken.len() / 150) {
        let (_, predicate) = &checks[*at];
        let decided = decide(predicate, &whole.records, plain.schema()).unwrap();
        let expected: Vec<String> = lines(&whole.records)
            .into_iter()
            .zip(decided)
            .filter_map(|(line, decided)| (decided == Some(true)).then_some(line))
            .collect();
        let found = source_with(&database.url, json!({"table": "t"}), |open| {
            open.filter = vec![predicate.clone()]
        })
        .unwrap();
        assert_eq!(read(found.as_ref()), expected, "{predicate:?}");
    }
    // Everything has some condition that the server checks; these have no comparison.
    let columns: Vec<&str> = pushed
        .iter()
        .filter(|(_, count)| **count > 4)
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(
        columns,
        [
            "b", "ci", "d", "f4", "f8", "i2", "i4", "i8", "icu", "id", "m", "n", "nd", "o", "t",
            "ti", "ts", "tz", "u", "w", "yes"
        ]
    );
}

#[test]
fn what_the_server_compares_in_another_way_is_left_to_the_engine() {
    let database = with(TABLE);
    let compare = |column: &str, logical: LogicalType, op, text: &str| Predicate::Compare {
        column: column.into(),
        op,
        value: Literal::new(&logical, text),
    };
    let left = vec![
        compare("c", LogicalType::Utf8, Comparison::Equal, "a"),
        compare("f8", LogicalType::Float64, Comparison::Equal, "0"),
        compare("f8", LogicalType::Float64, Comparison::Equal, "NaN"),
        compare("f8", LogicalType::Float64, Comparison::Less, "1"),
        compare("free", LogicalType::Number, Comparison::Equal, "1"),
        compare("d", LogicalType::Date32, Comparison::Equal, "-0044-01-01"),
        compare("t", LogicalType::Utf8, Comparison::Equal, "a\0"),
        compare("gone", LogicalType::Utf8, Comparison::Equal, "a"),
        Predicate::Or(vec![
            compare("t", LogicalType::Utf8, Comparison::Equal, "a"),
            compare("c", LogicalType::Utf8, Comparison::Equal, "a"),
        ]),
    ];
    let source = source_with(&database.url, json!({"table": "t"}), |open| {
        open.filter = left
    })
    .unwrap();
    assert_eq!(source.pushed(), Vec::<usize>::new());
    assert_eq!(read(source.as_ref()).len(), 6);
}

#[test]
fn a_column_that_is_declared_is_compared_as_what_it_is_declared() {
    let database = with(TABLE);
    let equal = Predicate::Compare {
        column: "i4".into(),
        op: Comparison::Equal,
        value: Literal::new(&LogicalType::Utf8, "7"),
    };
    let options = json!({"table": "t", "fields": {"i4": "utf8"}});
    let source = source_with(&database.url, options, |open| {
        open.filter = vec![equal];
        open.columns = Some(key("id"));
    })
    .unwrap();
    assert_eq!(
        (source.pushed(), read(source.as_ref())),
        (vec![0], vec![r#"{"id":3}"#.to_owned()])
    );
}
