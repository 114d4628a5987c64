//! An index whose documents are brought to another version of their schema: what it says of them,
//! and what becomes of its mapping.

use dkhost_core::{Conflict, Constraint, ConstraintRule, LogicalType, Reshape, Stamp};
use dkhost_drive::{Run, rows, schema};
use serde_json::{Value as Json, json};

use crate::support::{Index, on_both};

fn to(version: &str) -> Reshape {
    Reshape {
        schema: "user".into(),
        version: version.into(),
        ..Reshape::default()
    }
}

fn stamp(version: &str, run: u32) -> Option<Stamp> {
    Some(Stamp {
        schema: "user".into(),
        version: version.into(),
        run: format!("run {run}"),
    })
}

/// A run that brings an index with one document to a version.
fn bring(index: &Index, fields: &[&str], values: &[Option<&str>], reshape: &Reshape, number: u32) {
    let schema = schema(fields);
    let mut run = Run::start(index.reshaped(&schema, reshape), number);
    run.write(&rows(&schema, &[values]));
    run.commit();
    run.finish();
}

/// The mapping behind the name.
fn mapping(index: &Index) -> Json {
    let path = format!("{}/_mapping", index.name);
    let said = index.server.must("GET", &path, "");
    let said = said.as_object().unwrap().values().next().unwrap();
    said["mappings"].clone()
}

#[test]
fn an_index_says_the_version_it_was_brought_to_until_it_is_replaced_by_another_run() {
    on_both(|index| {
        let name = index.name.clone();
        assert_eq!(index.stamp(&name), None, "nothing is there");
        index.create(json!({"_meta": {"owner": {"team": "crm"}}}));
        index.put("a", &json!({"id": "a"}));
        assert_eq!(index.stamp(&name), None, "somebody else made it");

        let schema = schema(&["!id utf8"]);
        let sink = index.reshaped(&schema, &to("2.0.0"));
        let effects = sink.plan().effects.join("; ");
        assert!(
            effects.contains("says in its mapping that its documents are of user@2.0.0"),
            "{effects}"
        );
        let mut run = Run::start(sink, 1);
        run.write(&rows(&schema, &[&[Some("a")]]));
        run.commit();
        assert_eq!(index.stamp(&name), None, "it is not swapped in yet");
        run.finish();
        assert_eq!(index.stamp(&name), stamp("2.0.0", 1));
        let behind = format!("{name}-dkhost-run-1");
        assert_eq!(index.stamp(&behind), stamp("2.0.0", 1), "by its own name");

        bring(&index, &["!id utf8"], &[Some("b")], &to("3.0.0"), 2);
        assert_eq!(index.stamp(&name), stamp("3.0.0", 2));
        let mut run = Run::start(index.open(&schema, Conflict::ReplaceAll), 3);
        run.write(&rows(&schema, &[&[Some("c")]]));
        run.commit();
        run.finish();
        assert_eq!(index.stamp(&name), None);
        let kept = &mapping(&index)["_meta"];
        assert_eq!(kept["owner"], json!({"team": "crm"}));
        assert_eq!(index.ids(), ["c"]);
    });
}

#[test]
fn the_mapping_goes_on_under_the_names_and_types_of_the_new_version() {
    on_both(|index| {
        index.create(json!({"dynamic": false, "properties": {
            "id": {"type": "keyword"}, "title": {"type": "text", "analyzer": "simple"},
            "years": {"type": "text"}, "gone": {"type": "ip"}, "theirs": {"type": "geo_point"},
        }}));
        index.put("a", &json!({"id": "a", "title": "Ada", "years": "7"}));
        let fields = ["!id utf8", "name utf8", "age int64", "born date32"];
        let mut reshape = to("2.0.0");
        reshape.renamed = vec![
            ("title".into(), "name".into()),
            ("years".into(), "age".into()),
        ];
        reshape.removed = vec!["gone".into()];
        let sink = index.reshaped(&schema(&fields), &reshape);
        let told: Vec<&str> = sink.plan().effects[2..6]
            .iter()
            .map(String::as_str)
            .collect();
        assert_eq!(
            told,
            [
                "goes on with the definitions of: title as name, years as age",
                "leaves out of its mapping: gone",
                "indexes anew: age as long (was text)",
                "adds to its mapping: age, born",
            ]
        );
        drop(sink);
        let values = [Some("a"), Some("Ada"), Some("7"), Some("1815-12-10")];
        bring(&index, &fields, &values, &reshape, 1);
        let expected = json!({
            "id": {"type": "keyword"}, "name": {"type": "text", "analyzer": "simple"},
            "age": {"type": "long"}, "born": {"type": "date"}, "theirs": {"type": "geo_point"},
        });
        assert_eq!(mapping(&index)["properties"], expected);
    });
}

#[test]
fn other_aliases_of_an_index_go_to_its_successor() {
    on_both(|index| {
        index.create(json!({"properties": {"id": {"type": "keyword"}}}));
        index.put("a", &json!({"id": "a"}));
        let other = format!("{}-some", index.name);
        let path = format!("{}/_alias/{other}", index.name);
        let filter = json!({"filter": {"term": {"id": "b"}}});
        index.server.must("PUT", &path, &filter.to_string());
        let schema = schema(&["!id utf8"]);
        for number in [1, 2] {
            let sink = index.reshaped(&schema, &to("2.0.0"));
            let effects = sink.plan().effects.join("; ");
            let said = format!("hands its other aliases on: {other}");
            assert!(effects.contains(&said), "{effects}");
            let mut run = Run::start(sink, number);
            run.write(&rows(&schema, &[&[Some("a")], &[Some("b")]]));
            run.commit();
            run.finish();
            let path = format!("{other}/_count");
            assert_eq!(index.server.must("GET", &path, "")["count"], 1);
            let said = index.server.must("GET", &format!("_alias/{other}"), "");
            let behind = format!("{}-dkhost-run-{number}", index.name);
            assert_eq!(said, json!({behind: {"aliases": {&other: filter}}}));
        }
    });
}

#[test]
fn an_index_checks_nothing_and_the_plan_says_so() {
    on_both(|index| {
        index.create(json!({"properties": {"id": {"type": "keyword"}}}));
        let schema = schema(&["!id utf8", "age int64"]);
        let notes = |reshape: &Reshape| index.reshaped(&schema, reshape).plan().notes.join("; ");
        let said = format!(
            "an index checks nothing: what user@2.0.0 asks of its documents is checked on the way, and not by {}",
            index.name
        );
        let mut reshape = to("2.0.0");
        assert!(!notes(&reshape).contains(&said));
        reshape.constraints.push(Constraint {
            name: "user_age_unique".into(),
            column: "age".into(),
            logical: LogicalType::Int64,
            rule: ConstraintRule::Unique,
        });
        assert!(notes(&reshape).contains(&said), "{}", notes(&reshape));
    });
}
