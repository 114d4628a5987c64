//! A store that dataknobs wrote, read as its records.

use dkhost_core::OpenSource;
use serde_json::{Value as Json, json};

use crate::support::{Index, Server, ids, read, refused, servers, types};

const MAPPING: &str =
    include_str!("../../../../../tests/data/dataknobs-elasticsearch/mapping.json");
const DOCUMENTS: &str =
    include_str!("../../../../../tests/data/dataknobs-elasticsearch/elasticsearch.jsonl");

fn store(server: &Server) -> Index {
    let mapping: Json = serde_json::from_str(MAPPING).unwrap();
    let index = server.index(&json!({"mappings": mapping["records"]["mappings"]}));
    // As it is: an object in between would spell its numbers anew.
    let split = |line: &'static str| {
        let (head, source) = line.split_once(", \"_source\": ").unwrap();
        let head: Json = serde_json::from_str(&format!("{head}}}")).unwrap();
        (
            head["_id"].as_str().unwrap().to_owned(),
            source.strip_suffix('}').unwrap(),
        )
    };
    index.put(DOCUMENTS.lines().map(split));
    index
}

#[test]
fn all_records_of_a_store_arrive() {
    for server in servers() {
        let index = store(&server);
        let set = |open: &mut OpenSource| open.explicit_nulls = true;
        let source = index
            .source_with(json!({"layout": "dataknobs"}), set)
            .unwrap();
        let found = types(source.schema());
        for column in [
            "_id utf8",
            "name utf8",
            "count int64",
            "price float64",
            "active boolean",
            "_meta json",
        ] {
            assert!(found.contains(&column.to_owned()), "{found:?}");
        }
        let lines = read(source.as_ref());
        assert_eq!(lines.len(), 35, "{}", server.url());
        for (line, written) in lines.iter().zip(DOCUMENTS.lines()) {
            let (line, written): (Json, Json) = (
                serde_json::from_str(line).unwrap(),
                serde_json::from_str(written).unwrap(),
            );
            assert_eq!(line["_id"], written["_id"]);
            for (name, value) in written["_source"]["data"].as_object().unwrap() {
                let found = line
                    .get(name)
                    .filter(|value| !value.is_null())
                    .unwrap_or(&line["_rest"][name]);
                assert_eq!(found, value, "{name} of {}", line["_id"]);
            }
            let vector = &line["_meta"]["$fields"]["embedding"];
            let told = &written["_source"]["metadata"]["vector_fields"]["embedding"];
            assert_eq!(vector["dimensions"], told["dimensions"]);
            assert_eq!(vector["metadata"]["source_field"], told["source_field"]);
            assert_eq!(vector["metadata"]["model"]["name"], told["model"]);
            assert_eq!(line["_meta"]["seq"], written["_source"]["metadata"]["seq"]);
            assert_eq!(line["_meta"].get("vector_fields"), None);
        }
        assert!(lines[0].contains("9007199254740993"), "{}", lines[0]);
    }
}

#[test]
fn the_same_record_comes_out_of_any_store() {
    let records = include_str!("../../../../../tests/data/dataknobs-0.11.0/records.json");
    let records: Json = serde_json::from_str(records).unwrap();
    for server in servers() {
        let index = store(&server);
        let source = index.source(json!({"layout": "dataknobs"})).unwrap();
        for line in read(source.as_ref())
            .iter()
            .filter(|line| line.contains("rec-00005") || line.contains("rec-00010"))
        {
            let line: Json = serde_json::from_str(line).unwrap();
            let written = &records[line["_id"].as_str().unwrap()]["fields"]["embedding"];
            let vector = &line["_meta"]["$fields"]["embedding"];
            for member in ["type", "metadata", "dimensions"] {
                assert_eq!(vector[member], written[member], "{member}");
            }
        }
    }
}

#[test]
fn an_index_that_is_no_store_is_refused_record_by_record() {
    for server in servers() {
        let index = server.index(&json!({}));
        index.fill(0..3);
        let source = index.source(json!({"layout": "dataknobs"})).unwrap();
        let batches = dkhost_drive::all(source.as_ref());
        let codes: Vec<&str> = batches[0]
            .rejects
            .iter()
            .map(|reject| reject.code.as_str())
            .collect();
        assert_eq!(codes, ["dataknobs::not_a_record"; 3]);
        assert!(ids(&dkhost_drive::lines(&batches[0].records)).is_empty());
        let declared = json!({"layout": "dataknobs", "fields": {"n": "int64"}});
        assert_eq!(
            refused(index.source(declared)).code(),
            "elasticsearch::not_with_layout"
        );
    }
}
