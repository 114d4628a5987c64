//! Which version of a schema a table's rows are of: a row of `dkhost_schema_version`, in the database
//! of the data.

use dkhost_core::{Reshape, Result, Stamp};
use rusqlite::{Connection, OptionalExtension};

use crate::fault::fault;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS dkhost_schema_version (\
    \"table\" TEXT PRIMARY KEY COLLATE NOCASE, \"schema\" TEXT NOT NULL, version TEXT NOT NULL, \
    run TEXT NOT NULL, at TEXT NOT NULL)";

/// What the database says of a table.
pub(crate) fn read(db: &Connection, table: &str) -> Result<Option<Stamp>> {
    if !is_there(db)? {
        return Ok(None);
    }
    let sql = "SELECT \"schema\", version, run FROM dkhost_schema_version WHERE \"table\" = ?1";
    let stamp = db.query_row(sql, [table], |row| {
        Ok(Stamp {
            schema: row.get(0)?,
            version: row.get(1)?,
            run: row.get(2)?,
        })
    });
    stamp
        .optional()
        .map_err(|cause| fault(format!("read the schema version of table `{table}`"), cause))
}

/// Says of a table what its rows are now of; nothing, if they are somebody's who did not say.
pub(super) fn write(db: &Connection, table: &str, to: Option<&Reshape>, run: &str) -> Result<()> {
    let failed = |cause| {
        fault(
            format!("write the schema version of table `{table}`"),
            cause,
        )
    };
    let Some(to) = to else {
        if is_there(db)? {
            let sql = "DELETE FROM dkhost_schema_version WHERE \"table\" = ?1";
            db.execute(sql, [table]).map_err(failed)?;
        }
        return Ok(());
    };
    db.execute_batch(CREATE).map_err(failed)?;
    let sql = "INSERT OR REPLACE INTO dkhost_schema_version VALUES \
               (?1, ?2, ?3, ?4, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))";
    db.execute(sql, [table, &to.schema, &to.version, run])
        .map_err(failed)?;
    Ok(())
}

fn is_there(db: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'dkhost_schema_version')";
    db.query_row(sql, [], |row| row.get(0))
        .map_err(|cause| fault("look for schema versions", cause))
}
