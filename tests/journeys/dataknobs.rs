//! Stores of dataknobs over Elasticsearch and S3 and back, and what dataknobs itself finds there.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::stores::{index, prefix};
use crate::support::{job, run};
use crate::world::{World, data, json_of, root};

const LAYOUT: &str = "layout = \"dataknobs\"\n";

fn file(path: &Path) -> String {
    format!(
        "backend = \"file\"\npath = \"{}\"\n{LAYOUT}",
        path.display()
    )
}

fn records() -> Value {
    json_of(&data("dataknobs-0.11.0/records.json"))
}

/// Values and metadata of a record; field types are the store's to keep.
fn values(record: &Value) -> Value {
    let fields = record["fields"].as_object().unwrap().iter();
    let values = fields.map(|(name, field)| (name.clone(), field["value"].clone()));
    json!({ "fields": Value::Object(values.collect()), "metadata": record["metadata"] })
}

/// Out of the JSON store into another, and back into a JSON store: the same ids, values and metadata.
fn there_and_back(store: &str) {
    let world = World::new();
    let from = file(&data("dataknobs-0.11.0/records.json"));
    assert_eq!(
        run(
            &world,
            &job(&world, "out", &from, store, "verify = \"full\"")
        ),
        0
    );
    let back = file(&world.path("back.json"));
    assert_eq!(
        run(
            &world,
            &job(&world, "back", store, &back, "verify = \"full\"")
        ),
        0
    );
    let (had, has) = (records(), json_of(&world.path("back.json")));
    let (had, has) = (had.as_object().unwrap(), has.as_object().unwrap());
    assert_eq!(had.len(), has.len());
    for (id, record) in had {
        assert_eq!(values(record), values(&has[id]), "{id}");
    }
}

/// What dataknobs says of a store: how many, and the records it reads by id.
fn asked(kind: &str, place: &[&str]) -> Value {
    let ids: Vec<String> = records().as_object().unwrap().keys().cloned().collect();
    let ids = json!(ids).to_string();
    let arguments: Vec<&str> = [kind, &ids]
        .into_iter()
        .chain(place.iter().copied())
        .collect();
    let script = root().join("tests/journeys/dataknobs.py");
    serde_json::from_str(&dkhost_servers::dataknobs(&script, &arguments)).unwrap()
}

/// The records that dataknobs reads otherwise than they are in the JSON store, and how.
fn differing(found: &Value) -> BTreeMap<String, String> {
    let records = records();
    let all = records.as_object().unwrap().iter();
    let differ = all.filter_map(|(id, record)| {
        let (had, mut has) = (values(record), found["read"][id].clone());
        // How its Elasticsearch backend knows vectors again.
        if let Some(metadata) = has["metadata"].as_object_mut() {
            metadata.remove("vector_fields");
        }
        (had != has).then(|| (id.clone(), format!("{had} -> {has}")))
    });
    differ.collect()
}

#[test]
fn a_store_goes_to_elasticsearch_and_dataknobs_reads_it_there() {
    let indices = dkhost_servers::elasticsearch();
    there_and_back(&format!("{}{LAYOUT}", index(&indices, "records")));
    let url = indices.access.url.strip_prefix("http://").unwrap();
    let (host, port) = url.rsplit_once(':').unwrap();
    let found = asked("elasticsearch", &[host, port, &indices.name("records")]);
    assert_eq!(found["count"], 50);
    // Elasticsearch's own limit, which dataknobs does not raise.
    assert_eq!(found["searched"], 10);
    assert_eq!(differing(&found), BTreeMap::new());
}

#[test]
fn a_store_goes_to_a_bucket_and_dataknobs_reads_it_there() {
    let bucket = dkhost_servers::minio();
    there_and_back(&format!(
        "{}object = \"record\"\n{LAYOUT}",
        prefix(&bucket, "store/")
    ));
    let s3 = &bucket.s3;
    let place = [
        s3.endpoint.as_str(),
        &s3.region,
        &bucket.name,
        "store/",
        &s3.access_key,
        &s3.secret_key,
    ];
    let found = asked("s3", &place);
    assert_eq!(found["count"], 50);
    assert_eq!(found["searched"], 50);
    assert_eq!(differing(&found), BTreeMap::new());
}
