//! What a mapping makes of columns: refused in words, shown in the plan, added where it is missing.

use dkhost_core::{Claim, Class, Conflict};
use dkhost_drive::{Run, fates, refused, rows, schema};
use serde_json::json;

use crate::support::{Index, on_both};

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
fn a_name_no_document_can_have_is_refused_in_the_plan() {
    on_both(|index| {
        index.create(json!({"properties": {"a": {"type": "long"}, "o": {"properties": {"p": {"type": "long"}}}}}));
        for (name, code) in [
            ("", "elasticsearch::bad_name"),
            (".x", "elasticsearch::bad_name"),
            ("x.", "elasticsearch::bad_name"),
            ("x..y", "elasticsearch::bad_name"),
            ("_id", "elasticsearch::bad_name"),
            // Inside of a number.
            ("a.b", "elasticsearch::bad_name"),
            ("o.q", "fine"),
            ("_own", "fine"),
        ] {
            let mut schema = schema(&["!id utf8", "n int64"]);
            schema.fields[1].name = name.to_owned();
            let opened = index.try_open(&schema, Conflict::Insert, json!({}));
            let said = opened.map_or_else(
                |error| error.code(),
                |sink| {
                    Run::start(sink, 1).finish();
                    "fine"
                },
            );
            assert_eq!(said, code, "`{name}`");
        }
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

#[test]
fn a_table_of_many_columns_gets_an_index_with_room_for_them() {
    on_both(|index| {
        // Texts are two fields each.
        let names: Vec<String> = (0..700).map(|n| format!("c{n} utf8")).collect();
        let mut fields: Vec<&str> = names.iter().map(String::as_str).collect();
        fields[0] = "!id utf8";
        let schema = schema(&fields);
        let cells: Vec<Option<&str>> = fields.iter().map(|_| Some("x")).collect();
        let mut run = Run::start(index.open(&schema, Conflict::Insert), 1);
        assert_eq!(fates(&run.write(&rows(&schema, &[&cells])), 1), "w");
        run.commit();
        run.finish();
        assert_eq!(index.ids(), ["x"]);
    });
}

#[test]
fn an_index_that_cannot_be_written_is_refused_in_the_plan() {
    on_both(|index| {
        index.create(json!({}));
        let schema = schema(&["!id utf8", "name utf8"]);
        let code = |conflict| match index.try_open(&schema, conflict, json!({})) {
            Ok(_) => "fine",
            Err(error) => error.code(),
        };
        let path = format!("{}/_settings", index.name);
        let set = |settings: serde_json::Value| {
            index.server.must("PUT", &path, &settings.to_string());
        };
        set(json!({"index.mapping.total_fields.limit": 2}));
        assert_eq!(code(Conflict::Insert), "elasticsearch::too_many_fields");
        assert_eq!(code(Conflict::ReplaceAll), "fine");
        set(json!({"index.mapping.total_fields.limit": null, "index.blocks.write": true}));
        assert_eq!(code(Conflict::Upsert), "elasticsearch::blocked");
        assert_eq!(code(Conflict::ReplaceAll), "fine");
        set(json!({"index.blocks.write": null, "index.blocks.read_only_allow_delete": true}));
        assert_eq!(code(Conflict::Insert), "elasticsearch::blocked");
        set(json!({"index.blocks.read_only_allow_delete": null}));
        assert_eq!(code(Conflict::Insert), "fine");
        index
            .server
            .must("POST", &format!("{}/_close", index.name), "");
        assert_eq!(code(Conflict::Insert), "elasticsearch::closed");
    });
}

#[test]
fn a_definition_the_server_does_not_know_is_the_jobs_fault() {
    on_both(|index| {
        let options = json!({"mapping": {"name": "keywrod"}});
        let schema = schema(&["!id utf8", "name utf8"]);
        let sink = index.try_open(&schema, Conflict::Insert, options).unwrap();
        let claim = Claim {
            job: "job".into(),
            run: "run 1".into(),
            plan_hash: "hash".into(),
            epoch_floor: 0,
        };
        let error = refused(sink.claim(&claim));
        assert_eq!(error.class(), Class::Config, "{}", error.chain());
        assert!(error.chain().contains("keywrod") && error.help_text().is_some());
    });
}

#[test]
fn what_is_several_indices_is_no_target() {
    on_both(|index| {
        let schema = schema(&["!id utf8"]);
        let said = |index: &Index| {
            let error = refused(index.try_open(&schema, Conflict::Insert, json!({})));
            assert_eq!(error.code(), "elasticsearch::not_an_index");
            error.to_string()
        };
        let names = ["one", "two"].map(|part| format!("{}-{part}", index.name));
        for name in &names {
            let body = json!({"settings": {"number_of_replicas": 0}, "aliases": {&index.name: {}}});
            index.server.must("PUT", name, &body.to_string());
        }
        assert!(said(&index).contains("an alias of 2 indices"));
        // The other distribution here has no data streams.
        if !index.server.is_opensearch {
            return;
        }
        let stream = Index {
            name: format!("{}-stream", index.name),
            server: index.server,
        };
        let template = format!("_index_template/{}", stream.name);
        let body = json!({"index_patterns": [stream.name], "data_stream": {}});
        stream.server.must("PUT", &template, &body.to_string());
        let path = format!("_data_stream/{}", stream.name);
        stream.server.must("PUT", &path, "");
        let first = said(&stream);
        let rollover = format!("{}/_rollover", stream.name);
        stream.server.must("POST", &rollover, "");
        let second = said(&stream);
        stream.server.must("DELETE", &path, "");
        stream.server.must("DELETE", &template, "");
        assert!(first.contains("a data stream"), "{first}");
        assert_eq!(first, second);
    });
}
