//! Where reading stands in a file, as checkpoints keep it.

use dkhost_core::{Error, Position, Result};
use serde::{Deserialize, Serialize};

use super::json::Nesting;
use crate::identity::Identity;

/// A place in a file, tied to the file it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePosition {
    /// The file.
    #[serde(flatten)]
    pub identity: Identity,
    /// Where in it.
    pub at: Place,
}

/// A record boundary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// In decoded bytes.
    Text {
        /// Byte after the last record.
        offset: u64,
        /// The line of that byte, from 1, if lines were counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
        /// XXH3-128 of the 4 KiB before it.
        before: String,
        /// In JSON, the containers around the records.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        inside: Nesting,
    },
    /// In the row groups of Parquet or the record batches of Arrow.
    Rows {
        /// Index of the row group or record batch.
        group: u64,
        /// Rows of it that were read.
        row: u64,
        /// Rows of the file before this group.
        before: u64,
    },
}

impl FilePosition {
    /// As a checkpoint keeps it.
    pub fn to_position(&self) -> Result<Position> {
        let value = serde_json::to_value(self)
            .map_err(|cause| Error::bug("a position could not be written").caused_by(cause))?;
        Ok(Position(value))
    }

    /// Reads what a checkpoint kept.
    ///
    /// *Errors* – `file::bad_position` for a position of another kind.
    pub fn from_position(position: &Position) -> Result<Self> {
        let read: Self =
            serde_json::from_value(position.0.clone()).map_err(|cause| bad().caused_by(cause))?;
        match &read.at {
            // Lines are counted from 1, and each before this one has a byte at least.
            Place::Text {
                offset,
                line: Some(line),
                ..
            } if *line == 0 || line - 1 > *offset => Err(bad()),
            _ => Ok(read),
        }
    }
}

/// The error for a position that does not fit the source.
pub fn bad() -> Error {
    Error::state(
        "file::bad_position",
        "the checkpoint's position is not one of this file source",
    )
    .help("start anew with `dkhost run JOB --no-resume`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_the_file_cannot_have_is_refused() {
        let position = |offset: u64, line: u64| {
            Position(serde_json::json!({
                "file": "x", "device": 1, "inode": 1, "size": 9, "mtime_ns": 1, "ctime_ns": 1, "head": "",
                "at": { "offset": offset, "line": line, "before": "" },
            }))
        };
        assert!(FilePosition::from_position(&position(8, 9)).is_ok());
        for (offset, line) in [(8, 10), (8, 0), (8, u64::MAX), (0, 2)] {
            let refused = FilePosition::from_position(&position(offset, line)).unwrap_err();
            assert_eq!(refused.code(), "file::bad_position", "{offset} {line}");
        }
    }
}
