//! The last file of a folder of parts: which run wrote it, and which parts belong to it.
//!
//! A folder is replaced only when every file in it is named by such a manifest: `replace-all` on a
//! folder with somebody's photographs in it is a mistake, not a wish.

use std::fs;
use std::path::Path;

use dkhost_core::{Error, Result, Stamp};
use serde::{Deserialize, Serialize};

/// The manifest's name in its folder. Readers of folders, our own included, pass over files that begin
/// with an underscore.
pub const NAME: &str = "_manifest.json";

/// What is in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this file's shape: 1.
    pub dkhost_manifest: u32,
    /// The job's name.
    pub job: String,
    /// The run that wrote it.
    pub run: String,
    /// The parts' format.
    pub format: String,
    /// The parts' compression.
    pub compression: String,
    /// Rows in all parts.
    pub rows: u64,
    /// Which version of a schema the records are of, where a migration wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Stamp>,
    /// The parts, by partition.
    pub parts: Vec<Part>,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name in the folder.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// XXH3-128 of all its bytes, where `schema` is a statement about them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// The name of the part of a partition.
pub fn part_name(partition: u32, extension: &str) -> String {
    format!("part-{partition:05}-00000.{extension}")
}

/// The manifest of a folder, if it has one that is ours.
pub fn read(folder: &Path) -> Option<Manifest> {
    serde_json::from_slice(&fs::read(folder.join(NAME)).ok()?).ok()
}

/// Whether a folder is the published result of a run.
pub fn is_of_run(folder: &Path, run: &str) -> bool {
    read(folder).is_some_and(|manifest| manifest.run == run)
}

/// Refuses a folder with a file that no manifest names.
pub fn owns_all_of(folder: &Path, label: &str) -> Result<()> {
    let manifest = read(folder);
    let is_ours = |name: &str| {
        manifest
            .as_ref()
            .is_some_and(|m| name == NAME || m.parts.iter().any(|part| part.name == name))
    };
    let entries = fs::read_dir(folder).map_err(|cause| Error::io("list", label, cause))?;
    for entry in entries {
        let entry = entry.map_err(|cause| Error::io("list", label, cause))?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(is_ours) {
            let name = name.to_string_lossy();
            return Err(Error::config(
                "target::foreign_files",
                format!("the folder `{label}` holds `{name}`, which no run of dkhost wrote there"),
            )
            .help("`replace-all` swaps the whole folder: choose a folder of its own, or empty this one"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_ours_only_with_all_its_files() {
        let dir = tempfile::tempdir().unwrap();
        assert!(owns_all_of(dir.path(), "out/").is_ok());
        let manifest = Manifest {
            dkhost_manifest: 1,
            job: "j".into(),
            run: "r".into(),
            format: "jsonl".into(),
            compression: "none".into(),
            rows: 1,
            schema: None,
            parts: vec![Part {
                name: part_name(0, "jsonl"),
                rows: 1,
                bytes: 3,
                content: None,
            }],
        };
        fs::write(
            dir.path().join(NAME),
            serde_json::to_vec(&manifest).unwrap(),
        )
        .unwrap();
        fs::write(dir.path().join("part-00000-00000.jsonl"), "{}\n").unwrap();
        assert!(owns_all_of(dir.path(), "out/").is_ok());
        assert!(is_of_run(dir.path(), "r") && !is_of_run(dir.path(), "s"));
        fs::write(dir.path().join("holiday.jpg"), "").unwrap();
        let error = owns_all_of(dir.path(), "out/").unwrap_err();
        assert_eq!(error.code(), "target::foreign_files");
        assert!(error.to_string().contains("holiday.jpg"));
    }
}
