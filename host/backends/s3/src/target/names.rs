//! What the objects under a target's prefix are called.
//!
//! ```text
//! PREFIX/RUN/part-00000-00000.jsonl   the records         PREFIX/RUN/_manifest.json   which parts count
//! PREFIX/_LATEST                      which run counts    PREFIX/.dkhost/…            what a resume needs
//! ```
//!
//! Readers of folders, our own included, pass over names that begin with a dot or an underscore; and
//! those of `.dkhost` have no extension that a pattern could match.

use dkhost_core::Stamp;
use serde::{Deserialize, Serialize};

/// The keys of a target.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// What all keys begin with: empty, or ending in a slash.
    pub prefix: String,
}

impl Names {
    /// Those under a prefix, with or without its last slash.
    pub(crate) fn under(prefix: &str) -> Self {
        let slash = if prefix.is_empty() || prefix.ends_with('/') {
            ""
        } else {
            "/"
        };
        Names {
            prefix: format!("{prefix}{slash}"),
        }
    }

    /// Where what a resume needs is kept.
    pub(crate) fn own_folder(&self) -> String {
        format!("{}.dkhost/", self.prefix)
    }

    /// Owner, epoch and checkpoints of an unfinished run.
    pub(crate) fn state(&self) -> String {
        format!("{}.dkhost/state", self.prefix)
    }

    /// Written twice to see whether the server honours a condition.
    pub(crate) fn probe(&self, run: &str) -> String {
        format!("{}.dkhost/probe-{run}", self.prefix)
    }

    /// Which run's manifest counts.
    pub(crate) fn latest(&self) -> String {
        format!("{}_LATEST", self.prefix)
    }

    /// Where a run's objects lie.
    pub(crate) fn run(&self, run: &str) -> String {
        format!("{}{run}/", self.prefix)
    }

    /// Which of a run's parts count.
    pub(crate) fn manifest(&self, run: &str) -> String {
        format!("{}_manifest.json", self.run(run))
    }

    /// The part of a partition that begins after `seq` batches.
    pub(crate) fn part(run: &str, partition: u32, seq: u64, extension: &str) -> String {
        format!("{run}/part-{partition:05}-{seq:05}.{extension}")
    }
}

/// What `_LATEST` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Latest {
    /// The version of this object's shape: 1.
    pub dkhost_latest: u32,
    /// The run.
    pub run: String,
    /// Its manifest, below the prefix.
    pub manifest: String,
}

/// The last object of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The version of this object's shape: 1.
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
    /// The parts, by partition and place in it.
    pub parts: Vec<Piece>,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// Its key below the prefix.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// What the server says instead of a hash, quotes included.
    pub etag: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_folder_with_or_without_its_slash() {
        assert_eq!(Names::under("out").state(), "out/.dkhost/state");
        assert_eq!(Names::under("out/").latest(), "out/_LATEST");
        assert_eq!(Names::under("").manifest("r"), "r/_manifest.json");
        assert_eq!(
            Names::part("r", 3, 12, "jsonl.gz"),
            "r/part-00003-00012.jsonl.gz"
        );
    }
}
