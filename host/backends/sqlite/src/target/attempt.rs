//! One row at a time in tables with triggers: what a refused row left behind is undone.
//!
//! A statement that a constraint aborts undoes itself. A trigger may end it otherwise: `RAISE(FAIL)`
//! keeps what was done so far, the row included, and `RAISE(IGNORE)` what other triggers did.

use rusqlite::{Connection, Statement};

use super::bind::Refusal;
use super::statements::Statements;

/// Writes rows each in a savepoint of its own, where the table needs it.
pub(super) struct Attempt<'c> {
    db: &'c Connection,
    savepoint: Option<Savepoint<'c>>,
}

struct Savepoint<'c> {
    open: Statement<'c>,
    undo: Statement<'c>,
    close: Statement<'c>,
}

impl<'c> Attempt<'c> {
    pub(super) fn new(db: &'c Connection, statements: &Statements) -> rusqlite::Result<Self> {
        let savepoint = match statements.has_triggers {
            true => Some(Savepoint {
                open: db.prepare("SAVEPOINT one_row")?,
                undo: db.prepare("ROLLBACK TO one_row")?,
                close: db.prepare("RELEASE one_row")?,
            }),
            false => None,
        };
        Ok(Attempt { db, savepoint })
    }

    /// Writes a row; one that is refused leaves nothing.
    #[inline]
    pub(super) fn row<T>(
        &mut self,
        write: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let Some(savepoint) = &mut self.savepoint else {
            return write();
        };
        savepoint.open.raw_execute().map_err(Refusal::Failed)?;
        let written = write();
        // Gone already when SQLite or a trigger rolled the whole transaction back.
        if self.db.is_autocommit() {
            return written;
        }
        if written.is_err() {
            savepoint.undo.raw_execute().map_err(Refusal::Failed)?;
        }
        savepoint.close.raw_execute().map_err(Refusal::Failed)?;
        written
    }
}
