//! A statement that stays open between batches, so that a partition is one query in one read
//! transaction: no seek per batch for a table, no second sort for a query.
//!
//! rusqlite ties a statement to its connection by a lifetime; here the two live and move together,
//! which is the only use of `unsafe` in this crate.

use std::fmt;
use std::mem::ManuallyDrop;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Statement, params_from_iter};

/// A running query and the connection it runs on.
pub(crate) struct Cursor {
    /// Borrows from `connection`; dropped before it.
    statement: ManuallyDrop<Statement<'static>>,
    /// From `Box::into_raw`; owned.
    connection: *mut Connection,
    ended: bool,
}

// SAFETY: a `Connection` may move to another thread (rusqlite says so), and the statement, the only
// thing that refers to it, moves with it: neither can be reached but through this cursor.
#[allow(unsafe_code)]
unsafe impl Send for Cursor {}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Cursor {
    /// Starts a query.
    pub(crate) fn open(
        connection: Connection,
        sql: &str,
        values: &[Value],
    ) -> rusqlite::Result<Self> {
        let connection = Box::into_raw(Box::new(connection));
        // SAFETY: the pointer comes from a box that is freed only by `Drop`, after the statement;
        // the connection is reached through shared references alone until then.
        #[allow(unsafe_code)]
        let prepared = unsafe { &*connection }.prepare(sql);
        match prepared {
            Ok(statement) => {
                let statement = ManuallyDrop::new(statement);
                let mut cursor = Cursor {
                    statement,
                    connection,
                    ended: false,
                };
                // Binds; the rows dropped here were not stepped yet.
                drop(cursor.statement.query(params_from_iter(values))?);
                Ok(cursor)
            }
            Err(cause) => {
                // SAFETY: the box is ours and nothing borrows from it: preparing failed.
                #[allow(unsafe_code)]
                drop(unsafe { Box::from_raw(connection) });
                Err(cause)
            }
        }
    }

    /// Shows rows to `each`, from where the last call stopped, until it says `false` or there are
    /// no more.
    pub(crate) fn advance(
        &mut self,
        each: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> rusqlite::Result<()> {
        if self.ended {
            return Ok(());
        }
        let mut rows = self.statement.raw_query();
        loop {
            match rows.next() {
                Ok(Some(row)) if each(row) => (),
                Ok(Some(_)) => {
                    // Dropping the rows would start the query anew.
                    std::mem::forget(rows);
                    return Ok(());
                }
                Ok(None) => {
                    self.ended = true;
                    return Ok(());
                }
                Err(cause) => {
                    self.ended = true;
                    return Err(cause);
                }
            }
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        // SAFETY: both are dropped once, here, and the statement before what it borrows from.
        #[allow(unsafe_code)]
        unsafe {
            ManuallyDrop::drop(&mut self.statement);
            drop(Box::from_raw(self.connection));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_goes_on_where_it_stopped_and_ends_once() {
        let db = Connection::open_in_memory().unwrap();
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) SELECT i FROM n";
        let mut cursor = Cursor::open(db, sql, &[Value::Integer(5)]).unwrap();
        let mut seen = Vec::new();
        for _ in 0..4 {
            let mut left = 2;
            cursor
                .advance(&mut |row| {
                    seen.push(row.get::<_, i64>(0).unwrap());
                    left -= 1;
                    left > 0
                })
                .unwrap();
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    }
}
