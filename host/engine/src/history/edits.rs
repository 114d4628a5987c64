//! Migration files that were edited after they had been applied.
//!
//! Two stores at one version are alike only if the same text brought them there: a file that says
//! something else now would bring the next store elsewhere, and the way back that it describes is
//! no longer that of the store that went up.

use std::collections::HashSet;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{ApplicationRecord, Author, Hop, Status};
use crate::plan::hash::hexadecimal;

/// A migration file that is not what it was when it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edited {
    /// The schema.
    pub schema: String,
    /// The file in the schema's folder: `1.0.0--2.0.0.toml`.
    pub file: String,
    /// When that text was last applied: RFC 3339.
    pub applied_at: String,
    /// The store it was last applied to.
    pub store: String,
    /// Of the text that was applied.
    pub digest: String,
    /// Of its text now; `None` when the file is gone.
    pub now: Option<String>,
}

/// The files of finished applications whose text has another digest now, or which are gone.
///
/// *Shape* – `records` latest first, as [`super::History::applications`] gives them; one answer for
/// each text that was applied, in their order. `now` gives the digest that the file of a schema's
/// hop has now, `None` when there is no file.
pub fn edited(
    records: &[ApplicationRecord],
    now: &dyn Fn(&str, &Hop) -> Option<String>,
) -> Vec<Edited> {
    let mut found = Vec::new();
    // Each text is looked for once, however often it was applied.
    let mut known = HashSet::new();
    let done = records
        .iter()
        .filter(|record| record.status == Status::Done);
    for record in done {
        let application = &record.application;
        for hop in &application.hops {
            let Author::File(file) = &hop.by else {
                continue;
            };
            if !known.insert((&application.schema, file, &hop.digest)) {
                continue;
            }
            let now = now(&application.schema, hop);
            if now.as_ref() != Some(&hop.digest) {
                let ended_at = record.ended_at.as_ref();
                found.push(Edited {
                    schema: application.schema.clone(),
                    file: file.clone(),
                    applied_at: ended_at.unwrap_or(&record.started_at).clone(),
                    store: application.store.clone(),
                    digest: hop.digest.clone(),
                    now,
                });
            }
        }
    }
    found
}

/// `sha256:…` of a file's bytes, as plugins have it of their components.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)))
}
