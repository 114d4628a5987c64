//! What a mapping makes of columns: refused in words, shown in the plan, added where it is missing.

use dkhost_core::Conflict;
use dkhost_drive::{Run, fates, refused, rows, schema};
use serde_json::json;

use crate::support::on_both;

#[test]
fn a_value_the_mapping_refuses_is_refused_alone_with_the_servers_reason() {
    on_both(|index| {
        index.create(json!({"properties": {"n": {"type": "byte"}}}));
        let schema = schema(&["!id utf8", "n int64"]);
        let mut run = Run::start(index.open(&schema, Conflict::Insert), 1);
        let report = run.write(&rows(
            &schema,
            &[
                &[Some("a"), Some("1")],
                &[Some("b"), Some("1000")],
                &[Some("c"), None],
            ],
        ));
        assert_eq!(fates(&report, 3), "wxw");
        let reject = &report.rejects[0];
        assert_eq!(
            (reject.code.as_str(), reject.column.as_deref()),
            ("elasticsearch::refused", Some("n"))
        );
        assert!(
            reject.message.contains("out of range") || reject.message.contains("parsing_exception"),
            "{}",
            reject.message
        );
        run.commit();
        run.finish();
        assert_eq!(index.ids(), ["a", "c"]);
    });
}

#[test]
fn a_new_index_has_a_type_for_every_column_and_the_plan_shows_it() {
    on_both(|index| {
        let schema = schema(&[
            "!id utf8",
            "price float64",
            "big uint64",
            "exact number",
            "at timestamp(us, UTC)",
            "tags json",
            "name utf8",
        ]);
        let sink = index
            .try_open(
                &schema,
                Conflict::Insert,
                json!({"mapping": {"name": "keyword"}}),
            )
            .unwrap();
        let plan = sink.plan().clone();
        let types: Vec<String> = plan
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.target_type))
            .collect();
        let big = match index.server.is_opensearch {
            true => "big unsigned_long",
            // The distribution here has no such type.
            false => "big keyword",
        };
        assert_eq!(
            types,
            [
                "id keyword",
                "price double",
                big,
                "exact keyword",
                "at date",
                "tags object",
                "name keyword"
            ]
        );
        assert!(plan.columns.iter().all(|column| column.lossy.is_none()) && plan.fresh);
        assert_eq!(
            plan.effects[0],
            format!("creates index {} (7 fields)", index.name)
        );
        Run::start(sink, 1).finish();
        let said = index
            .server
            .must("GET", &format!("{}/_mapping", index.name), "");
        let properties = &said[&index.name]["mappings"]["properties"];
        assert_eq!(
            (&properties["price"]["type"], &properties["name"]["type"]),
            (&json!("double"), &json!("keyword"))
        );
    });
}

#[test]
fn a_mapping_that_is_there_is_compared_and_added_to() {
    on_both(|index| {
        index.create(json!({"properties": {"price": {"type": "float"}, "n": {"type": "integer"}}}));
        let schema = schema(&["!id utf8", "price float64", "n int64", "more float64"]);
        let sink = index.open(&schema, Conflict::Upsert);
        let plan = sink.plan();
        let column = |name: &str| {
            plan.columns
                .iter()
                .find(|column| column.name == name)
                .unwrap()
                .clone()
        };
        assert_eq!(
            column("price").lossy.unwrap(),
            "searched and summed as a float of 32 bits; the document keeps the value"
        );
        assert_eq!(
            column("n").how.unwrap(),
            "refuses numbers outside its range"
        );
        assert!(
            plan.effects
                .contains(&"adds to its mapping: id, more".to_owned()),
            "{:?}",
            plan.effects
        );
        Run::start(sink, 1).finish();
        let said = index
            .server
            .must("GET", &format!("{}/_mapping", index.name), "");
        assert_eq!(
            said[&index.name]["mappings"]["properties"]["more"]["type"],
            "double"
        );
    });
}

#[test]
fn an_index_without_its_documents_is_refused() {
    on_both(|index| {
        index.create(json!({"_source": {"enabled": false}}));
        let error = refused(index.try_open(&schema(&["!id utf8"]), Conflict::Insert, json!({})));
        assert_eq!(error.code(), "elasticsearch::no_source");
    });
}
