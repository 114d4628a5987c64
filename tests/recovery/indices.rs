//! What a cluster holds of a target: documents, checkpoints, and what should not be left.

use dkhost_servers::Indices;
use serde_json::{Value, json};

use super::oracle::Content;
use super::places::of_any_run;

/// Where the product keeps the checkpoints of all jobs.
const CHECKPOINTS: &str = "dkhost-checkpoints";

/// The index or alias that a job names.
pub fn name(on: &Indices) -> String {
    on.name("t")
}

/// An answer as JSON; `null` where there is no such index.
fn asked(on: &Indices, method: &str, path: &str, body: &str) -> Value {
    let answer = on.access.ask(method, path, body).unwrap();
    if answer.status == 404 {
        return Value::Null;
    }
    let text = answer.text();
    assert!(answer.is_fine(), "{method} {path}: {text}");
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// An index that somebody made, with these documents by their ids: a number out of the range of a
/// byte is refused as a `share`.
pub fn fill(on: &Indices, documents: &[(&str, &str)]) {
    let (name, byte) = (name(on), json!({"type": "byte"}));
    let settings =
        json!({"number_of_shards": 2, "number_of_replicas": 0, "refresh_interval": "7s"});
    let properties = json!({"id": {"type": "long"}, "name": {"type": "keyword"}, "price": {"type": "double"},
        "even": {"type": "boolean"}, "mail": {"type": "text"}, "share": byte});
    let index = json!({"settings": settings, "mappings": {"properties": properties}});
    on.ask("PUT", &format!("/{name}"), &index.to_string());
    let lines = documents
        .iter()
        .map(|(id, document)| format!("{}\n{document}\n", json!({"index": {"_id": id}})));
    bulk(on, &lines.collect::<String>());
}

/// Writes lines of a bulk, all of which must do.
pub fn bulk(on: &Indices, lines: &str) {
    if lines.is_empty() {
        return;
    }
    let path = format!("/{}/_bulk?refresh=true", name(on));
    let said = on.ask("POST", &path, lines);
    assert!(said.contains("\"errors\":false"), "{said}");
}

/// The documents that a search finds, with their ids where these come from the records.
pub fn content(on: &Indices, has_key: bool) -> Content {
    let path = format!(
        "/{}/_search?size=10000&allow_partial_search_results=false",
        name(on)
    );
    let found = asked(on, "POST", &path, "{\"sort\": [\"_doc\"]}");
    assert_ne!(found["timed_out"], true, "{found}");
    let hits = found["hits"]["hits"].as_array();
    let mut documents: Content = hits
        .into_iter()
        .flatten()
        .map(|hit| {
            let id = hit["_id"].as_str().filter(|_| has_key).unwrap_or_default();
            (id.to_owned(), hit["_source"].to_string().into_bytes())
        })
        .collect();
    documents.sort();
    documents
}

/// Makes everything that was written findable, which the product owes only to a run that is done.
pub fn refresh(on: &Indices) {
    asked(on, "POST", &format!("/{}/_refresh", name(on)), "");
}

/// The documents that say who owns the target and how far it is.
fn kept(on: &Indices) -> Vec<Value> {
    asked(on, "POST", &format!("/{CHECKPOINTS}/_refresh"), "");
    let path =
        format!("/{CHECKPOINTS}/_search?size=10000&_source_includes=owner,name,run,checkpoint");
    let found = asked(on, "GET", &path, "");
    let all = found["hits"]["hits"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let of = |hit: &Value| hit["_source"].clone();
    let Some(owner) = all.iter().map(of).find(|one| one["name"] == name(on)) else {
        return Vec::new();
    };
    all.iter()
        .map(of)
        .filter(|one| one["owner"] == owner["owner"])
        .collect()
}

/// The checkpoints; `None` when nobody owns the target.
pub fn checkpoints(on: &Indices) -> Option<Vec<Value>> {
    let kept = kept(on);
    let checkpoints = kept.iter().map(|one| one["checkpoint"].clone());
    (!kept.is_empty()).then(|| checkpoints.filter(|body| !body.is_null()).collect())
}

/// Indices with their aliases, mappings and settings, and what is kept of runs.
pub fn leftovers(on: &Indices) -> Vec<String> {
    let path = format!("/{}*?expand_wildcards=all", on.prefix);
    let indices = asked(on, "GET", &path, "");
    let mut found: Vec<String> = indices
        .as_object()
        .into_iter()
        .flatten()
        .map(|(index, it)| {
            let settings = &it["settings"]["index"];
            let kept =
                ["refresh_interval", "translog", "number_of_shards"].map(|name| &settings[name]);
            let said = format!("{index} {} {} {kept:?}", it["aliases"], it["mappings"]);
            of_any_run(&said.replace(&on.prefix, "test-"))
        })
        .collect();
    found.extend(kept(on).iter().map(|one| format!("kept {one}")));
    found.sort();
    found
}

/// Removes every document.
pub fn empty(on: &Indices) {
    let path = format!("/{}/_search?size=10000&_source=false", name(on));
    let found = asked(on, "GET", &path, "");
    let hits = found["hits"]["hits"].as_array().unwrap().iter();
    let lines = hits.map(|hit| format!("{}\n", json!({"delete": {"_id": hit["_id"]}})));
    bulk(on, &lines.collect::<String>());
}

/// Waits until the shards of a cluster that was started again are there.
pub fn settle(on: &Indices) {
    let path = "/_cluster/health?wait_for_status=yellow&timeout=60s";
    let health = on.ask("GET", path, "");
    assert!(health.contains("\"timed_out\":false"), "{health}");
}

/// How many moments (points in time, searches) the cluster holds open for anybody.
pub fn moments(on: &Indices) -> u64 {
    let path = "/_nodes/stats/indices/search";
    let stats = asked(on, "GET", path, "");
    let nodes = stats["nodes"].as_object().into_iter().flatten();
    let open = nodes.map(|(_, node)| node["indices"]["search"]["open_contexts"].as_u64().unwrap());
    open.sum()
}
