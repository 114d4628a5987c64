//! Ids, values and keys that try to be more than that.

use serde_json::{Value, json};

use crate::stores::{index, prefix};
use crate::support::{job, run};
use crate::world::World;

#[test]
fn ids_and_values_cannot_say_anything_to_a_bulk_request() {
    let world = World::new();
    let lines = [
        "a\n{\"delete\":{\"_id\":\"b\"}}",
        "b",
        "{\"index\":{\"_index\":\"elsewhere\"}}",
        "quote \" and \\ back",
        "\u{0}\u{1f}\u{2028}\r\n",
        "../_all/_delete_by_query?q=*",
        "ünïcödé 🚢",
    ];
    let rows: String = lines
        .iter()
        .map(|text| json!({"id": text, "text": text}).to_string() + "\n")
        .collect();
    world.write("in.jsonl", rows);
    let indices = dkhost_servers::elasticsearch();
    let source = "backend = \"file\"\npath = \"in.jsonl\"\nid = \"id\"\n";
    let target = index(&indices, "hostile");
    assert_eq!(
        run(
            &world,
            &job(&world, "in", source, &target, "verify = \"full\"")
        ),
        0
    );
    let name = indices.name("hostile");
    indices.ask("POST", &format!("/{name}/_refresh"), "");
    let found = indices.ask("GET", &format!("/{name}/_search?size=100"), "");
    let found: Value = serde_json::from_str(&found).unwrap();
    let hits = found["hits"]["hits"].as_array().unwrap();
    let mut ids: Vec<&str> = hits
        .iter()
        .map(|hit| hit["_id"].as_str().unwrap())
        .collect();
    let mut expected = lines.to_vec();
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    for hit in hits {
        assert_eq!(hit["_source"]["text"], hit["_id"]);
    }
}

/// Objects whose keys would be other files' paths are records like all others: what is written is
/// what the job names.
#[test]
fn keys_that_try_to_leave_the_target_folder_do_not() {
    let world = World::new();
    let bucket = dkhost_servers::versitygw();
    let keys = [
        "in/a.jsonl",
        "in/%2e%2e%2fescaped.jsonl",
        "in/C:\\escaped.jsonl",
        "in/a\\..\\..\\escaped.jsonl",
    ];
    for (n, key) in keys.iter().enumerate() {
        bucket.put(key, format!("{{\"n\":{n}}}\n").as_bytes());
    }
    let target = "backend = \"file\"\npath = \"inner/out/\"\nformat = \"jsonl\"\n";
    let source = prefix(&bucket, "in/") + "format = \"jsonl\"\n";
    world.write("inner/kept", "");
    assert_eq!(run(&world, &job(&world, "copy", &source, target, "")), 0);
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(world.path("inner/out")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "jsonl") {
            let text = std::fs::read_to_string(&path).unwrap();
            rows.extend(text.lines().map(str::to_owned));
        }
    }
    rows.sort_unstable();
    assert_eq!(rows, ["{\"n\":0}", "{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]);
    let inner: Vec<_> = std::fs::read_dir(world.path("inner")).unwrap().collect();
    assert_eq!(inner.len(), 2, "{inner:?}");
    assert!(!std::path::Path::new("/escaped.jsonl").exists());
}
