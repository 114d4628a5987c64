//! Inputs kept in the repository, one file each, and those that broke something.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the inputs of a target are kept: they are part of the repository.
pub fn kept(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

/// Where an input that broke something is put: beside the corpus, ignored by git.
pub fn found(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("found")
        .join(target)
}

/// The inputs of a folder, by name.
pub fn read(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut inputs: Vec<_> = entries
        .filter_map(|entry| {
            let bytes = fs::read(entry.path()).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), bytes))
        })
        .collect();
    inputs.sort();
    inputs
}

/// Writes an input down; where, if that was possible.
pub fn keep(folder: &Path, input: &[u8]) -> Option<PathBuf> {
    let path = folder.join(format!("{:016x}", hash(input)));
    fs::create_dir_all(folder).ok()?;
    fs::write(&path, input).ok()?;
    Some(path)
}

/// FNV-1a: enough to give a file a name, the same everywhere.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
