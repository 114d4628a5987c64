//! Ids and values that try to be more than that, and many of them.

use dkhost_core::Conflict;
use dkhost_drive::{Run, fates, rows, schema, whys};
use serde_json::json;

use crate::support::on_both;

#[test]
fn an_id_or_a_value_never_becomes_an_action() {
    on_both(|index| {
        let schema = schema(&["!id utf8", "text utf8", "more json"]);
        let action = "{\"delete\":{\"_index\":\"*\",\"_id\":\"1\"}}";
        let ids = [
            "1",
            "\"}}\n{\"delete\":{\"_id\":\"1\"}}\n",
            "a\r\nb",
            "../_all",
            "\u{2028}",
            "ü/🦀?x=1#y",
            "{\"index\":{}}",
            "_id",
            " ",
        ];
        let text = format!("x\n{action}\n{{}}\r\n\u{2029}\0");
        let more = format!("{{\"a\":\n\"b\",\r\n\"c\":{action}}}");
        let cells: Vec<Vec<Option<&str>>> = ids
            .iter()
            .map(|id| vec![Some(*id), Some(text.as_str()), Some(more.as_str())])
            .collect();
        let cells: Vec<&[Option<&str>]> = cells.iter().map(Vec::as_slice).collect();
        let mut run = Run::start(index.open(&schema, Conflict::Insert), 1);
        let report = run.write(&rows(&schema, &cells));
        assert_eq!(
            (fates(&report, ids.len()), whys(&report)),
            ("w".repeat(ids.len()), vec![])
        );
        run.commit();
        run.finish();
        let mut expected = ids.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(index.ids(), expected);
        for (id, document) in index.found() {
            assert_eq!(
                (document["id"].as_str(), document["text"].as_str()),
                (Some(id.as_str()), Some(text.as_str()))
            );
        }
    });
}

#[test]
fn an_id_the_server_cannot_have_is_refused_alone() {
    on_both(|index| {
        let schema = schema(&["!id utf8"]);
        let long = "x".repeat(600);
        let longest = "y".repeat(512);
        let mut run = Run::start(index.open(&schema, Conflict::Insert), 1);
        let report = run.write(&rows(
            &schema,
            &[&[Some("")], &[Some(&long)], &[Some(&longest)], &[None]],
        ));
        assert_eq!(fates(&report, 4), "xxwx");
        run.commit();
    });
}

#[test]
fn ten_thousand_and_one_are_written_and_read_back() {
    on_both(|index| {
        let schema = schema(&["!id int64", "name utf8"]);
        let ids: Vec<String> = (0..10_001).map(|id| id.to_string()).collect();
        let cells: Vec<Vec<Option<&str>>> = ids
            .iter()
            .map(|id| vec![Some(id.as_str()), Some("a name")])
            .collect();
        let cells: Vec<&[Option<&str>]> = cells.iter().map(Vec::as_slice).collect();
        let small = json!({"bulk_bytes": 65_536, "gzip": true});
        let mut run = Run::start(index.try_open(&schema, Conflict::Insert, small).unwrap(), 1);
        let report = run.write(&rows(&schema, &cells));
        assert!(report.rejects.is_empty());
        run.commit();
        assert_eq!(run.sink.count().unwrap(), 10_001);
        assert_eq!(dkhost_drive::scan(run.sink.as_ref()).len(), 10_001);
        run.finish();
        let said = index
            .server
            .must("GET", &format!("{}/_count", index.name), "");
        assert_eq!(said["count"], 10_001);
    });
}
