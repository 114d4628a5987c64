//! What a batch met in the target, noted before its objects are written.
//!
//! Objects have no transaction. A batch that was interrupted is written again, and meets objects of
//! its own; this note says which were there before, so that it is counted as if it had not been
//! interrupted.

use std::collections::HashMap;

use bytes::Bytes;
use dkhost_core::{ContentSum, Error, Result};
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::put::{self, If};

/// The note of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// The run.
    pub run: String,
    /// The batch, as its checkpoint counts.
    pub seq: u64,
    /// A digest of the ids of the batch: it is the same batch if they are the same.
    pub ids: String,
    /// Objects that were there before, by the hash of their ids: their content.
    pub met: HashMap<String, ContentSum>,
}

impl Intent {
    /// Reads a note, if there is one.
    pub(crate) fn read(client: &Client, key: &str) -> Result<Option<Intent>> {
        let found = put::get(client, key)?;
        // One that cannot be read was not written to its end: then no object was, either.
        Ok(found.and_then(|found| serde_json::from_slice(&found.bytes).ok()))
    }

    /// Writes the note.
    pub(crate) fn write(&self, client: &Client, key: &str) -> Result<()> {
        let text = serde_json::to_vec(self)
            .map_err(|cause| Error::bug("a note has no JSON").caused_by(cause))?;
        put::put(client, key, Bytes::from(text), "application/json", &If::Any).map(drop)
    }
}
