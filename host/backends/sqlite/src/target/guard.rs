//! Sees that nobody wrote to a table whose rows are read and brought back under another version.
//!
//! The swap would undo such a write without a word. What the table holds is summed when the run claims
//! it, kept with the claim, and summed again in the transaction that swaps, in which nobody writes.

use dkhost_core::{Error, Result};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use xxhash_rust::xxh3::Xxh3;

use super::Target;
use crate::fault::fault;
use crate::name::quote;

/// What the table holds when a run claims it: `before`, if the run has claimed it before.
///
/// *Errors* – `target::changed`.
pub(super) fn content(
    target: &Target,
    db: &Connection,
    before: Option<String>,
) -> Result<Option<String>> {
    if target.reshape.is_none() || target.found.is_none() {
        return Ok(None);
    }
    match before {
        Some(before) => {
            ensure_same(target, db, &before)?;
            Ok(Some(before))
        }
        None => sum(target, db).map(Some),
    }
}

/// Sees that nobody wrote to the table since.
///
/// *Errors* – `target::changed`.
pub(super) fn ensure_same(target: &Target, db: &Connection, before: &str) -> Result<()> {
    if sum(target, db)? == before {
        return Ok(());
    }
    Err(Error::state(
        "target::changed",
        format!(
            "{} was written to since the run began to read it, and replacing its rows would lose that",
            target.label()
        ),
    )
    .help("run the same command again with --no-resume: it begins anew with what is there now"))
}

/// How many rows there are, and the sum of a hash of each.
fn sum(target: &Target, db: &Connection) -> Result<String> {
    let sql = format!("SELECT * FROM {}", quote(&target.table)?);
    let summed = || -> rusqlite::Result<String> {
        let mut statement = db.prepare(&sql)?;
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        let (mut count, mut sum) = (0_u64, 0_u128);
        while let Some(row) = rows.next()? {
            let mut hash = Xxh3::new();
            for column in 0..width {
                add(&mut hash, row.get_ref(column)?);
            }
            count += 1;
            sum = sum.wrapping_add(hash.digest128());
        }
        Ok(format!("{count} {sum:032x}"))
    };
    summed().map_err(|cause| fault(format!("look at what {} holds", target.label()), cause))
}

/// A value with its class and its length, so that no two rows of values look alike.
fn add(hash: &mut Xxh3, value: ValueRef<'_>) {
    let (class, integer, real);
    let bytes: &[u8] = match value {
        ValueRef::Null => {
            class = 0;
            &[]
        }
        ValueRef::Integer(value) => {
            (class, integer) = (1, value.to_le_bytes());
            &integer
        }
        ValueRef::Real(value) => {
            (class, real) = (2, value.to_bits().to_le_bytes());
            &real
        }
        ValueRef::Text(text) => {
            class = 3;
            text
        }
        ValueRef::Blob(blob) => {
            class = 4;
            blob
        }
    };
    hash.update(&[class]);
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}
