//! Whether a source is still what it was when a run began.

use std::os::unix::fs::MetadataExt;

use dkhost_core::{Error, Result};
use rusqlite::Connection;
use serde_json::{Value as Json, json};

use super::relation::Relation;
use crate::place::Place;

/// What makes this the same source in a later process. The schema version is not in it: it also
/// changes when another table does, our own checkpoints among them.
pub(super) fn fingerprint(place: &Place, relation: &Relation) -> Result<Json> {
    let file =
        std::fs::metadata(&place.path).map_err(|cause| Error::io("look at", &place.name, cause))?;
    Ok(
        json!({ "path": place.name, "device": file.dev(), "inode": file.ino(), "relation": relation.definition }),
    )
}

/// The definition as it is now; `None` for a query, which brings its own.
pub(super) fn definition(
    db: &Connection,
    place: &Place,
    relation: &Relation,
) -> Result<Option<Json>> {
    if relation.definition.get("table").is_none() {
        return Ok(None);
    }
    let now = crate::catalog::Table::find(db, place, &relation.name)?;
    Ok(Some(now.map_or(
        Json::Null,
        |table| json!({ "table": table.name, "sql": table.sql }),
    )))
}

/// What changes when somebody writes to the database: the file's change counter and the log.
pub(super) fn file_state(place: &Place) -> Result<Json> {
    use std::io::Read;
    let failed = |cause| Error::io("look at", &place.name, cause);
    let mut header = [0; 28];
    let mut file = std::fs::File::open(&place.path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let counter = match file.read_exact(&mut header) {
        Ok(()) => u32::from_be_bytes([header[24], header[25], header[26], header[27]]),
        Err(_) => 0,
    };
    let mut log = place.path.clone().into_os_string();
    log.push("-wal");
    let log = std::fs::metadata(log).map_or(0, |log| log.len());
    Ok(json!([length, counter, log]))
}
