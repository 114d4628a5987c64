//! What the server leaves out never passes the filter.

use dkhost_core::memory::decide;
use dkhost_core::{Comparison, Literal, LogicalType, OpenSource, Predicate, Source};
use serde_json::json;

use crate::support::{Index, ids, read, servers};

fn compare(column: &str, op: Comparison, logical: LogicalType, text: &str) -> Predicate {
    Predicate::Compare {
        column: column.into(),
        op,
        value: Literal::new(&logical, text),
    }
}

/// The ids of what passes, decided here.
fn passing(source: &dyn Source, predicate: &Predicate) -> Vec<String> {
    let mut passing = Vec::new();
    for batch in dkhost_drive::all(source) {
        let decided = decide(predicate, &batch.records, source.schema()).unwrap();
        let lines = ids(&dkhost_drive::lines(&batch.records));
        passing.extend(
            lines
                .into_iter()
                .zip(decided)
                .filter(|(_, is)| *is == Some(true))
                .map(|(id, _)| id),
        );
    }
    passing
}

fn source(index: &Index, filter: &[Predicate]) -> Box<dyn Source> {
    let set = |open: &mut OpenSource| open.filter = filter.to_vec();
    index.source_with(json!({}), set).unwrap()
}

#[test]
fn a_filter_lets_the_same_documents_through_here_and_there() {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let utc = || LogicalType::Timestamp(Some("UTC".into()));
    let (text, int, float) = (LogicalType::Utf8, LogicalType::Int64, LogicalType::Float64);
    for server in servers() {
        let index = server.index(&json!({"mappings": {"properties": {
            "k": {"type": "keyword", "ignore_above": 8},
            "t": {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 8}}},
            "n": {"type": "long", "ignore_malformed": true},
            "f": {"type": "float"}, "d": {"type": "double"}, "at": {"type": "date"}, "b": {"type": "boolean"}
        }}}));
        let documents = [
            r#"{"k":"alpha","t":"the quick fox","n":1,"f":0.1,"d":0.1,"at":"2024-01-01T00:00:00Z","b":true}"#,
            r#"{"k":"beta","t":"the","n":2,"f":0.10000000001,"d":0.2,"at":"2024-01-01T00:00:00.000999Z","b":false}"#,
            r#"{"k":"a keyword that is too long","t":"a text that is too long","n":9223372036854775807,"d":-0.0}"#,
            r#"{"k":"","t":"","n":-1,"f":-0.1,"d":1e300,"at":"2024-01-01T00:00:00.001Z"}"#,
            r#"{"k":"zürich","t":"ALPHA","n":0}"#,
            r#"{}"#,
            r#"{"k":null,"n":null}"#,
        ];
        index.put(
            documents
                .iter()
                .enumerate()
                .map(|(n, text)| (n.to_string(), *text)),
        );
        let all = source(&index, &[]);
        let whole = read(all.as_ref()).len();
        let mut left_out = 0;
        let leaves = [
            compare("k", Equal, text.clone(), "alpha"),
            compare("k", NotEqual, text.clone(), "alpha"),
            compare("k", Less, text.clone(), "b"),
            compare("k", Equal, text.clone(), "a keyword that is too long"),
            compare("t", Equal, text.clone(), "the"),
            compare("t", NotEqual, text.clone(), "the quick fox"),
            compare("n", Greater, int.clone(), "1"),
            compare("n", LessOrEqual, int.clone(), "0"),
            compare("n", Equal, int.clone(), "9223372036854775807"),
            compare("f", Greater, float.clone(), "0.1"),
            compare("d", GreaterOrEqual, float.clone(), "0.2"),
            compare("d", LessOrEqual, float.clone(), "0.0"),
            compare("at", Greater, utc(), "2024-01-01T00:00:00Z"),
            compare("at", Less, utc(), "2024-01-01T00:00:00.000999Z"),
            compare("at", Equal, utc(), "2024-01-01T00:00:00.000999Z"),
            Predicate::Column("b".into()),
            Predicate::IsNull {
                column: "k".into(),
                negated: true,
            },
            Predicate::IsNull {
                column: "n".into(),
                negated: false,
            },
            Predicate::In {
                column: "n".into(),
                values: ["1", "0"].map(|n| Literal::new(&int, n)).into(),
                negated: true,
            },
        ];
        let mut predicates = leaves.to_vec();
        predicates.extend(
            leaves
                .iter()
                .map(|leaf| Predicate::Not(Box::new(leaf.clone()))),
        );
        predicates.extend(leaves.windows(2).map(|two| Predicate::And(two.to_vec())));
        predicates.extend(leaves.windows(2).map(|two| Predicate::Or(two.to_vec())));
        for predicate in predicates {
            let narrowed = source(&index, std::slice::from_ref(&predicate));
            assert_eq!(narrowed.schema(), all.schema());
            let (expected, found) = (
                passing(all.as_ref(), &predicate),
                passing(narrowed.as_ref(), &predicate),
            );
            assert_eq!(found, expected, "{} {predicate:?}", server.url());
            left_out += whole - read(narrowed.as_ref()).len();
        }
        assert!(left_out > 200, "{left_out} documents were left out");
    }
}

#[test]
fn the_plan_says_that_the_server_helps() {
    for server in servers() {
        let index = server.index(&json!({"mappings": {"properties": {"k": {"type": "keyword"}}}}));
        let narrowed = source(
            &index,
            &[compare("k", Comparison::Equal, LogicalType::Utf8, "a")],
        );
        let notes = narrowed.notes().join("\n");
        assert!(notes.contains("leaves out documents"), "{notes}");
        // What passes is for the engine to say.
        assert!(narrowed.pushed().is_empty());
    }
}
