//! What a bucket holds of a target: parts that a manifest names or an object for each record,
//! checkpoints, and what should not be left.

use std::collections::BTreeMap;
use std::io::Write;

use dkhost_servers::Bucket;
use serde_json::Value;

use super::oracle::{Content, parquet_rows};
use super::places::of_any_run;

/// What the keys of a target begin with.
pub const PREFIX: &str = "t/";

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The manifest of the run that counts.
fn manifest(bucket: &Bucket) -> Option<Value> {
    let latest = key("_LATEST");
    let latest = bucket.has(&latest).then(|| json(&bucket.get(&latest)))?;
    Some(json(
        &bucket.get(&key(latest["manifest"].as_str().unwrap())),
    ))
}

/// The keys of parts that count, and what the manifest says of each.
fn parts(bucket: &Bucket) -> Vec<(String, Value)> {
    let parts = manifest(bucket).map(|manifest| manifest["parts"].as_array().unwrap().clone());
    let named = |part: Value| (key(part["name"].as_str().unwrap()), part);
    parts.into_iter().flatten().map(named).collect()
}

/// Keys that are records.
fn records(bucket: &Bucket) -> Vec<String> {
    let mut keys = bucket.keys(PREFIX);
    keys.retain(|key| key.ends_with(".json") && !key.contains(".dkhost/"));
    keys.sort();
    keys
}

/// The records: of each key, or of each partition, whose parts are cut where a run was stopped.
pub fn content(bucket: &Bucket, of_records: bool) -> Content {
    if of_records {
        let read = |key: String| (key.clone(), bucket.get(&key));
        return records(bucket).into_iter().map(read).collect();
    }
    let mut partitions: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (key, part) in parts(bucket) {
        let bytes = bucket.get(&key);
        assert_eq!(part["bytes"], bytes.len(), "{key}");
        let rows = rows(&key, bytes);
        let count = rows.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(part["rows"], count, "{key}");
        let name = key.rsplit('/').next().unwrap();
        let partition = name.split('-').take(2).collect::<Vec<_>>().join("-");
        partitions.entry(partition).or_default().extend(rows);
    }
    partitions.into_iter().collect()
}

/// A line for each row of a part.
fn rows(key: &str, bytes: Vec<u8>) -> Vec<u8> {
    if !key.ends_with(".parquet") {
        return bytes;
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    parquet_rows(file)
}

/// The checkpoints; `None` when nobody owns the target.
pub fn checkpoints(bucket: &Bucket) -> Option<Vec<Value>> {
    let state = key(".dkhost/state");
    let state = bucket.has(&state).then(|| json(&bucket.get(&state)))?;
    let checkpoints = state["checkpoints"].as_object().unwrap();
    Some(checkpoints.values().cloned().collect())
}

/// Every key but those of the content, and uploads that nobody completed.
pub fn leftovers(bucket: &Bucket, of_records: bool) -> Vec<String> {
    let counted = match of_records {
        true => records(bucket),
        false => parts(bucket).into_iter().map(|(key, _)| key).collect(),
    };
    let keys = bucket.keys("").into_iter();
    let keys = keys.filter(|key| !counted.contains(key));
    let uploads = bucket.uploads().into_iter();
    let uploads = uploads.map(|(key, _)| format!("upload of {key}"));
    let mut found: Vec<String> = keys
        .chain(uploads)
        .map(|found| of_any_run(&found))
        .collect();
    found.sort();
    found
}

/// Removes every record, or everything that counts.
pub fn empty(bucket: &Bucket, of_records: bool) {
    let keys = match of_records {
        true => records(bucket),
        false => bucket.keys(PREFIX),
    };
    keys.iter().for_each(|key| bucket.delete(key));
}
