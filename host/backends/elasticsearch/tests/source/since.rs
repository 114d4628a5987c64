//! Only what changed since the last run.

use dkhost_core::{Incremental, Source};
use serde_json::json;

use crate::support::{Index, ids, read, refused, servers};

fn since(
    index: &Index,
    column: &str,
    cursor: Option<&str>,
    lookback: Option<&str>,
) -> Box<dyn Source> {
    index
        .source_with(json!({}), |open| {
            open.incremental = Some(Incremental {
                column: column.into(),
                lookback: lookback.map(str::to_owned),
                cursor: cursor.map(str::to_owned),
                until: None,
            });
        })
        .unwrap()
}

#[test]
fn a_run_reads_from_the_cursor_to_the_end() {
    for server in servers() {
        let index = server.index(
            &json!({"mappings": {"properties": {"at": {"type": "date"}, "n": {"type": "long"}}}}),
        );
        let documents: Vec<(String, String)> = (0..10)
            .map(|n| {
                (
                    n.to_string(),
                    format!(r#"{{"at":"2024-01-01T00:00:0{n}Z","n":{n}}}"#),
                )
            })
            .chain([("none".to_owned(), "{}".to_owned())])
            .collect();
        index.put(documents.iter().map(|(id, text)| (id, text.as_str())));
        let first = since(&index, "at", None, None);
        assert_eq!(first.cursor().as_deref(), Some("2024-01-01T00:00:09Z"));
        assert_eq!(read(first.as_ref()).len(), 11);
        let later = since(&index, "at", Some("2024-01-01T00:00:07Z"), None);
        assert_eq!(ids(&read(later.as_ref())), ["7", "8", "9"]);
        let back = since(&index, "at", Some("2024-01-01T00:00:07Z"), Some("2s"));
        assert_eq!(ids(&read(back.as_ref())), ["5", "6", "7", "8", "9"]);
        let numbers = since(&index, "n", Some("8"), Some("1"));
        assert_eq!(ids(&read(numbers.as_ref())), ["7", "8", "9"]);
        assert_eq!(numbers.cursor().as_deref(), Some("9"));
    }
}

#[test]
fn a_field_without_an_order_is_refused() {
    for server in servers() {
        let index = server.index(&json!({"mappings": {"properties": {"k": {"type": "keyword"}}}}));
        let asked = |column: &str| {
            let column = column.to_owned();
            index.source_with(json!({}), |open| {
                open.incremental = Some(Incremental {
                    column,
                    ..Incremental::default()
                });
            })
        };
        assert_eq!(refused(asked("k")).code(), "source::cursor_type");
        assert_eq!(refused(asked("nope")).code(), "source::unknown_column");
    }
}
