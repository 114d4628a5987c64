//! A refused record with everything needed to see why, and to try again.

use serde::{Deserialize, Serialize};

use crate::batch::Locator;

/// What kind of stage refused a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StageKind {
    /// The bytes could not be told apart into records or fields.
    Read,
    /// A value does not fit its column, or a field is not in the frozen schema.
    Decode,
    /// A built-in step.
    Step,
    /// A plugin.
    Plugin,
    /// A schema version.
    Validate,
    /// The target.
    Write,
}

impl StageKind {
    /// The word used in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            StageKind::Read => "read",
            StageKind::Decode => "decode",
            StageKind::Step => "step",
            StageKind::Plugin => "plugin",
            StageKind::Validate => "validate",
            StageKind::Write => "write",
        }
    }
}

/// Original bytes kept per dead letter; longer payloads keep their length and hash.
pub const PAYLOAD_MAX_BYTES: usize = 256 * 1024;

/// Bytes of a message that are kept.
pub const MESSAGE_MAX_BYTES: usize = 1024;

/// A refused record as the history keeps it. Written before the checkpoint moves past it; a
/// repeat of the same batch overwrites it with itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The job's name.
    pub job: String,
    /// The run that refused it.
    pub run: String,
    /// The partition and the batch in it.
    pub partition: u32,
    /// Sequence number of the batch in its partition, from 0.
    pub batch: u64,
    /// Index of the record in its batch.
    pub row: u32,
    /// The record's id in stores that have one.
    pub source_id: Option<String>,
    /// Where the record lies in its source.
    pub locator: Locator,
    /// What kind of stage refused it.
    pub kind: StageKind,
    /// The stage's name in the plan.
    pub stage: String,
    /// The column to blame, if it is one.
    pub column: Option<String>,
    /// Stable, machine-readable reason.
    pub code: String,
    /// For people; at most [`MESSAGE_MAX_BYTES`].
    pub message: String,
    /// Digest of the plugin that refused it.
    pub plugin_digest: Option<String>,
    /// How often the record was taken through the job, this time included: 1, and 1 more with
    /// every retry that refused it again.
    pub attempts: u32,
    /// Number of the letter this one repeats: the one a retry read the record from.
    pub repeats: Option<i64>,
    /// The record as it was read; at most [`PAYLOAD_MAX_BYTES`] of it.
    pub payload: Vec<u8>,
    /// What the payload is: `json`, `csv`, `text`.
    pub media: String,
    /// Length of the whole payload in bytes.
    pub payload_length: u64,
    /// SHA-256 of the whole payload, hexadecimal.
    pub payload_sha256: String,
}
