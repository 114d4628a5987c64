//! The plan hash: what decides the result of a run, and nothing else.

use std::fmt::Write;

use dkhost_core::Schema;
use sha2::{Digest, Sha256};

use super::PlannedStage;
use crate::job::Job;

/// SHA-256 over the canonical job (without bounds and policies that do not change the result),
/// the frozen source schema and the digests of the plugins; hexadecimal.
///
/// What the source checks itself is named only if there is something: a resumed run counts records
/// where the first process counted them.
pub fn plan_hash(job: &Job, schema: &Schema, stages: &[PlannedStage], pushed: &[String]) -> String {
    // Where records get another version one by one, the store has other columns as soon as some of
    // them have it; a run that goes on is told by each record which version that is.
    let is_mixed = job.stamps && !job.reshapes;
    let columns: Vec<String> = schema
        .fields
        .iter()
        .filter(|_| !is_mixed)
        .map(|f| format!("{}:{}", f.name, f.logical))
        .collect();
    let plugins: Vec<Option<String>> = stages
        .iter()
        .map(|stage| stage.step.note().digest)
        .collect();
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    let mut covered = serde_json::json!({ "job": job.canonical, "columns": columns, "stages": names, "plugins": plugins });
    if !pushed.is_empty() {
        covered["pushed"] = pushed.into();
    }
    let files: Vec<Option<&str>> = stages.iter().map(|stage| stage.files.as_deref()).collect();
    if files.iter().any(Option::is_some) {
        covered["files"] = serde_json::json!(files);
    }
    hexadecimal(&Sha256::digest(covered.to_string().as_bytes()))
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
