//! `replace-all`: a new index and one swap of an alias; and what a load changes and puts back.

use dkhost_core::{Conflict, Schema};
use dkhost_drive::{Run, rows, schema};
use serde_json::json;

use crate::support::{Index, on_both};

fn plain() -> Schema {
    schema(&["!id utf8"])
}

fn replace(index: &Index, number: u32, id: &str) {
    let mut run = Run::start(index.open(&plain(), Conflict::ReplaceAll), number);
    run.write(&rows(&plain(), &[&[Some(id)]]));
    run.commit();
    run.finish();
}

#[test]
fn an_index_is_replaced_by_an_alias_of_its_name_and_the_plan_says_so() {
    on_both(|index| {
        index.create(json!({"properties": {"id": {"type": "keyword"}, "other": {"type": "ip"}}}));
        index.put("old", &json!({"id": "old"}));
        let name = &index.name;
        let effects = index
            .open(&plain(), Conflict::ReplaceAll)
            .plan()
            .effects
            .join("; ");
        assert!(
            effects.contains(&format!("deletes index {name} at the end")),
            "{effects}"
        );
        replace(&index, 1, "first");
        assert_eq!(index.ids(), ["first"]);
        let said = index.server.must("GET", &format!("{name}/_mapping"), "");
        let kept = &said[format!("{name}-dkhost-run-1")]["mappings"]["properties"]["other"]["type"];
        assert_eq!(kept, "ip", "the mapping is that of the old one");
        // Now it is an alias of an index of ours, which goes with the next swap.
        replace(&index, 2, "second");
        assert_eq!(index.ids(), ["second"]);
        assert_eq!(
            index
                .server
                .ask("GET", &format!("{name}-dkhost-run-1"), "")
                .0,
            404
        );
    });
}

#[test]
fn an_index_behind_an_alias_stays() {
    on_both(|index| {
        let behind = format!("{}-theirs", index.name);
        let body = json!({"aliases": {&index.name: {}}, "settings": {"number_of_replicas": 0}});
        index.server.must("PUT", &behind, &body.to_string());
        index
            .server
            .must("PUT", &format!("{behind}/_doc/1?refresh=true"), "{}");
        replace(&index, 1, "new");
        assert_eq!(index.ids(), ["new"]);
        let said = index.server.must("GET", &format!("{behind}/_count"), "");
        assert_eq!(said["count"], 1);
    });
}

#[test]
fn settings_are_put_back_and_nothing_of_the_run_is_left() {
    on_both(|index| {
        let body = json!({"settings": {"number_of_replicas": 0, "refresh_interval": "7s", "translog": {"durability": "async"}}});
        index.server.must("PUT", &index.name, &body.to_string());
        let settings = || {
            let said = index
                .server
                .must("GET", &format!("{}/_settings", index.name), "");
            let found = &said[&index.name]["settings"]["index"];
            [
                found["refresh_interval"].clone(),
                found["translog"]["durability"].clone(),
            ]
        };
        let mut run = Run::start(index.open(&plain(), Conflict::Insert), 1);
        assert_eq!(settings(), [json!("-1"), json!("request")]);
        run.write(&rows(&plain(), &[&[Some("a")]]));
        run.commit();
        let epoch = run.checkpoint.epoch;
        drop(run);
        Run::over(index.open(&plain(), Conflict::Insert), 1, epoch).finish();
        assert_eq!(settings(), [json!("7s"), json!("async")]);
        let said = index
            .server
            .must("GET", &format!("{}/_alias", index.name), "");
        assert_eq!(said[&index.name]["aliases"], json!({}));
        assert_eq!(index.ids(), ["a"]);
    });
}
