//! What a source may check, and that it means there what it means here.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use dkhost_core::memory::decide;
use dkhost_core::text::Appender;
use dkhost_core::{LogicalType, Node, NodeKind, Schema};

use crate::expr::{Expression, Scope};
use crate::steps::testing::{input, with_reserved};

fn parts(condition: &str, schema: &Schema) -> Vec<Expression> {
    let node = Node::new(NodeKind::Text(condition.to_owned()));
    let now = chrono::DateTime::from_timestamp(1_714_979_289, 0).unwrap();
    Expression::parse_parts(&node, &Scope::stage("source.filter", schema).at(now))
        .unwrap_or_else(|error| panic!("{condition}: {error}"))
}

fn columns() -> Schema {
    input(&[
        ("i", "int32"),
        ("l", "int64"),
        ("u", "uint64"),
        ("f", "float64"),
        ("s", "float32"),
        ("t", "utf8"),
        ("b", "boolean"),
        ("d", "date32"),
        ("at", "timestamp(us, UTC)"),
        ("local", "timestamp(us)"),
        ("price", "decimal(10, 2)"),
        ("raw", "binary"),
        ("j", "json"),
    ])
}

/// Each part with `>` where a source may check it, and `-` where it stays here.
fn offered(condition: &str) -> Vec<String> {
    let schema = with_reserved(columns());
    let mark = |part: &Expression| match part.predicate(&schema) {
        Some(_) => format!("> {}", part.text()),
        None => format!("- {}", part.text()),
    };
    parts(condition, &schema).iter().map(mark).collect()
}

#[test]
fn a_condition_is_split_at_its_ands_and_nowhere_else() {
    assert_eq!(
        offered("i > 1 and (lower(t) = 'a' and (b or l = 2)) and not (i = 3 and l = 4)"),
        [
            "> i > 1",
            "- lower(t) = 'a'",
            "> (b OR l = 2)",
            "> NOT (i = 3 AND l = 4)"
        ]
    );
    assert_eq!(offered("i between 1 and 3"), ["> i between 1 and 3"]);
    assert_eq!(offered("i > 1 or l > 1 and b"), ["> i > 1 or l > 1 and b"]);
    assert_eq!(offered("true"), ["- true"]);
}

#[test]
fn a_value_is_offered_only_in_the_type_of_its_column() {
    for taken in [
        "i = 5",
        "5 < i",
        "l in (1, 2, 3, 4, 5)",
        "l not in (1, 2, 3, 4)",
        "u >= 18446744073709551615",
        "f > 5",
        "f <> 0.1",
        "t = 'it''s'",
        "t in ('a', 'b')",
        "T is null",
        "b",
        "not b",
        "b = false",
        "d >= '2024-01-31'",
        "at > '2024-01-31T10:00:00Z'",
        "local <= '2024-01-31 10:00:00.5'",
        "price = 1.5",
        "price > 3",
        "j is not null",
        "at > now() - interval '1 day'",
        "i > 1 + 1",
        "t like 'abc'",
    ] {
        assert!(offered(taken)[0].starts_with('>'), "{taken}");
    }
    for kept in [
        "l > 5.5",
        "i = l",
        "i + 1 > 2",
        "t like 'a%'",
        "lower(t) = 'a'",
        "cast(t as int) = 5",
        "t = null",
        "b is true",
        "price > 1.005",
        "_rest is null",
        "_id = 'a'",
        "cast(j as text) = 'a'",
        "case when b then true else false end",
    ] {
        assert!(offered(kept)[0].starts_with('-'), "{kept}");
    }
}

/// A small generator; the same numbers every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

/// Columns with the values they hold, and how an expression writes those that it can.
const HELD: [(&str, &[&str], &[&str]); 11] = [
    (
        "i",
        &["-2147483648", "-1", "0", "1", "2147483647"],
        &["-1", "0", "1", "2147483647"],
    ),
    (
        "l",
        &[
            "-9223372036854775808",
            "0",
            "1",
            "9007199254740993",
            "9223372036854775807",
        ],
        &["0", "1", "9007199254740993"],
    ),
    (
        "u",
        &["0", "1", "18446744073709551615"],
        &["0", "1", "18446744073709551615"],
    ),
    (
        "f",
        &[
            "NaN", "-inf", "inf", "-0.0", "0.0", "0.1", "1e300", "5e-324",
        ],
        &[
            "0",
            "0.0",
            "-0.0",
            "0.1",
            "1e300",
            "cast('NaN' as double)",
            "cast('inf' as double)",
        ],
    ),
    (
        "s",
        &["NaN", "-inf", "inf", "-0.0", "0.0", "0.1"],
        &["0", "0.5", "cast(0.1 as real)", "cast('NaN' as real)"],
    ),
    (
        "t",
        &["", "a", "B", "ä", "a\u{301}", "a ", "it's"],
        &["''", "'a'", "'B'", "'ä'", "'it''s'", "'a '"],
    ),
    ("b", &["true", "false"], &["true", "false"]),
    (
        "d",
        &["1969-12-31", "2024-02-29", "0001-01-01"],
        &["'2024-02-29'", "'1970-01-01'"],
    ),
    (
        "at",
        &[
            "2024-02-29T10:00:00Z",
            "2024-02-29T10:00:00.000001Z",
            "1969-12-31T23:59:59Z",
        ],
        &["'2024-02-29T10:00:00Z'", "'1970-01-01T00:00:00+01:00'"],
    ),
    (
        "price",
        &["-1.50", "0.00", "1.50", "99999999.99"],
        &["1.5", "0", "-1.50", "99999999.99"],
    ),
    (
        "local",
        &["2024-02-29T10:00:00", "1969-12-31T23:59:59.999999"],
        &["'2024-02-29 10:00:00'", "'1969-12-31T23:59:59.999999'"],
    ),
];

fn records(dice: &mut Dice, schema: &Schema, rows: usize) -> RecordBatch {
    let column = |name: &str, logical: &LogicalType| -> ArrayRef {
        let held = HELD.iter().find(|held| held.0 == name);
        let mut values = Appender::new(logical);
        for _ in 0..rows {
            match held {
                Some((_, texts, _)) if dice.below(5) > 0 => {
                    let text = dice.of(texts);
                    assert!(values.append(text), "{text} is a {logical}");
                }
                _ => values.append_null(),
            }
        }
        values.finish().unwrap()
    };
    let mut column = column;
    let columns = schema
        .fields
        .iter()
        .map(|field| column(&field.name, &field.logical))
        .collect();
    RecordBatch::try_new(schema.to_arrow(), columns).unwrap()
}

fn condition(dice: &mut Dice, depth: usize) -> String {
    let (column, _, literals) = HELD[dice.below(HELD.len())];
    let not = |dice: &mut Dice| ["", "not "][dice.below(2)];
    match dice.below(if depth == 0 { 5 } else { 8 }) {
        0 | 1 => {
            let op = dice.of(&["=", "<>", "<", "<=", ">", ">="]);
            format!("{column} {op} {}", dice.of(literals))
        }
        2 => {
            let list: Vec<&str> = (0..1 + dice.below(5)).map(|_| dice.of(literals)).collect();
            format!("{column} {}in ({})", not(dice), list.join(", "))
        }
        3 => format!("{column} is {}null", not(dice)),
        4 => format!("{}b", not(dice)),
        5 => format!("not ({})", condition(dice, depth - 1)),
        _ => {
            let op = dice.of(&["and", "or"]);
            format!(
                "({}) {op} ({})",
                condition(dice, depth - 1),
                condition(dice, depth - 1)
            )
        }
    }
}

#[test]
fn every_condition_means_the_same_at_the_source_and_here() {
    let schema = columns();
    let mut dice = Dice(7);
    let (mut offered, mut decided) = (0, [0; 3]);
    for round in 0..1_500 {
        let records = records(&mut dice, &schema, 40);
        let written = condition(&mut dice, 3);
        let whole = parts(&written, &schema);
        for part in whole {
            let Some(predicate) = part.predicate(&schema) else {
                continue;
            };
            offered += 1;
            let there = decide(&predicate, &records, &schema).unwrap();
            let here = part.evaluate(&records).unwrap();
            let here: Vec<Option<bool>> = match here.data_type() {
                arrow::datatypes::DataType::Null => vec![None; here.len()],
                _ => here.as_boolean().iter().collect(),
            };
            for (row, (there, here)) in there.iter().zip(&here).enumerate() {
                let row = || dkhost_core::json::row(&records, row);
                assert_eq!(
                    there,
                    here,
                    "round {round}: {} as {predicate:?} on {}",
                    part.text(),
                    row()
                );
                decided[here.map_or(2, usize::from)] += 1;
            }
        }
    }
    assert!(offered > 800, "{offered} parts were offered");
    assert!(
        decided.iter().all(|rows| *rows > 3_000),
        "{decided:?} false, true, unknown"
    );
}

#[test]
fn the_parts_hold_where_the_whole_does() {
    let schema = columns();
    let mut dice = Dice(11);
    for _ in 0..300 {
        let records = records(&mut dice, &schema, 40);
        let written = (0..3)
            .map(|_| condition(&mut dice, 1))
            .collect::<Vec<_>>()
            .join(" and ");
        let node = Node::new(NodeKind::Text(written.clone()));
        let scope = Scope::stage("source.filter", &schema);
        let whole = Expression::parse_condition(&node, &scope).unwrap();
        let joined = Expression::all_of(&parts(&written, &schema), &scope)
            .unwrap()
            .unwrap();
        let passes = |condition: &Expression| condition.decide(&records).unwrap().0;
        assert_eq!(passes(&whole), passes(&joined), "{written}");
    }
}

#[test]
fn nothing_is_left_of_no_parts() {
    let schema = columns();
    assert!(
        Expression::all_of(&[], &Scope::stage("here", &schema))
            .unwrap()
            .is_none()
    );
}
