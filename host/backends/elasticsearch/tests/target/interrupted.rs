//! Runs interrupted at every fail point, on real servers of both products.

use std::path::Path;

use arrow::array::RecordBatch;
use dkhost_core::Conflict;
use dkhost_drive::{Points, interrupted_anywhere, points_in, rows, schema};
use serde_json::{Value as Json, json};

use crate::server::Server;
use crate::support::Index;

/// Rows of a schema with these ids and this name.
fn batch(fields: &[&str], ids: &[&str], name: &str) -> RecordBatch {
    let cells: Vec<[Option<&str>; 2]> = ids.iter().map(|id| [Some(*id), Some(name)]).collect();
    let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| &row[..]).collect();
    rows(&schema(fields), &cells)
}

/// An index of its own with documents of somebody else.
fn index(server: fn() -> Server) -> Index {
    let server = server();
    let name = server.name("interrupted");
    let index = Index { server, name };
    index.create(json!({"properties": {"id": {"type": "long"}, "name": {"type": "keyword"}}}));
    for id in ["2", "4"] {
        index.put(
            id,
            &json!({"id": id.parse::<i64>().unwrap(), "name": "old"}),
        );
    }
    index
}

/// Documents, without ids that were made up; how many aliases each index has.
fn held(index: &Index, has_key: bool) -> (Vec<(String, Json)>, Vec<usize>) {
    let path = format!("{}/_alias", index.name);
    let said = index.server.must("GET", &path, "");
    let indices = said.as_object().unwrap().values();
    let aliases = indices.map(|of| of["aliases"].as_object().unwrap().len());
    let mut found = index.found();
    if !has_key {
        found.iter_mut().for_each(|(id, _)| id.clear());
        found.sort_by_key(|(_, document)| document.to_string());
    }
    (found, aliases.collect())
}

fn interrupted(server: fn() -> Server, fields: &[&str], conflict: Conflict) -> Points {
    let batches = [
        batch(fields, &["1", "2", "3"], "a"),
        batch(fields, &["3", "4", "5", "5"], "b"),
    ];
    let has_key = fields[0].starts_with('!');
    interrupted_anywhere(
        &batches,
        || index(server),
        |index| index.try_open(&schema(fields), conflict, json!({})),
        |index| held(index, has_key),
    )
}

#[test]
fn documents_interrupted_anywhere_end_as_undisturbed() {
    const KEY: &[&str] = &["!id int64", "name utf8"];
    const NO_KEY: &[&str] = &["id int64", "name utf8"];
    let passed = std::thread::scope(|scope| {
        let all = [
            scope.spawn(|| interrupted(Server::elasticsearch, KEY, Conflict::Upsert)),
            scope.spawn(|| interrupted(Server::opensearch, KEY, Conflict::Insert)),
            scope.spawn(|| interrupted(Server::elasticsearch, NO_KEY, Conflict::Insert)),
            scope.spawn(|| interrupted(Server::opensearch, KEY, Conflict::ReplaceAll)),
        ];
        all.map(|one| one.join().unwrap())
    });
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let passed: Points = passed.into_iter().flatten().collect();
    assert_eq!(passed, points_in(&source));
}
