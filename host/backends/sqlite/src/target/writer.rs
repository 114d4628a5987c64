//! Writes one partition: batches staged in a transaction that ends with their checkpoint.

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::{
    Batch, Checkpoint, Conflict, Durable, Error, Field, Outcome, Outcomes, Result, RowReject,
    Schema, WriteReport, Writer, fail,
};
use rusqlite::{Connection, Statement};

use super::attempt::Attempt;
use super::bind::{Binder, Refusal, refusal};
use super::layout::Layout;
use super::state;
use super::statements::{RowId, Statements};
use super::{Target, upsert};
use crate::affinity::declare;
use crate::catalog::Table;
use crate::fault::fault;
use crate::name::quote;

/// Where a writer stands between two commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No transaction is open, so nobody is kept waiting.
    Idle,
    /// A transaction is open.
    Open,
    /// SQLite ended the transaction itself; what was staged is gone until somebody rolls back.
    Lost,
}

/// Writes one partition.
pub(super) struct SqliteWriter {
    target: Arc<Target>,
    db: Connection,
    run: String,
    epoch: u64,
    checkpoint: Option<Checkpoint>,
    state: State,
    statements: Option<Arc<Statements>>,
    /// The rows written since the last commit, in order.
    staged: Vec<RowId>,
}

/// What became of the rows of a batch, row by row.
pub(super) struct Fates {
    /// Every row's outcome.
    pub outcomes: Vec<Outcome>,
    /// Where the written ones are.
    pub ids: Vec<Option<RowId>>,
    pub rejects: Vec<RowReject>,
}

impl SqliteWriter {
    pub(super) fn open(target: Arc<Target>, partition: u32) -> Result<Self> {
        let (run, epoch) = target.claimed()?;
        let db = target.place.open_to_write(false)?;
        let checkpoint = state::checkpoint(&db, &target.job, partition)?
            .filter(|checkpoint| checkpoint.run == run);
        Ok(SqliteWriter {
            target,
            db,
            run,
            epoch,
            checkpoint,
            state: State::Idle,
            statements: None,
            staged: Vec::new(),
        })
    }

    fn failed(&self, doing: &str, cause: rusqlite::Error) -> Error {
        fault(format!("{doing} {}", self.target.label()), cause)
    }

    fn sql(&self, sql: &str) -> Result<()> {
        self.db
            .execute_batch(sql)
            .map_err(|cause| self.failed("write to", cause))
    }

    /// Opens a transaction that may write, unless one is open.
    ///
    /// IMMEDIATE: one that begins by reading is refused at once when another process writes.
    fn begin(&mut self) -> Result<()> {
        match self.state {
            State::Open => return Ok(()),
            State::Lost => return Err(lost()),
            State::Idle => self.sql("BEGIN IMMEDIATE")?,
        }
        self.state = State::Open;
        let owner = state::fence(&self.db, &self.target.job, &self.run, self.epoch);
        if owner.is_err() {
            self.roll_back()?;
        }
        owner.map(drop)
    }

    /// The statements for batches of this schema; columns added in a transaction that was rolled
    /// back are added again.
    fn statements(&mut self, schema: &Schema) -> Result<Arc<Statements>> {
        if let Some(statements) = self
            .statements
            .as_ref()
            .filter(|statements| statements.schema == *schema)
        {
            return Ok(statements.clone());
        }
        let mut table = self.table()?;
        if self.target.layout == Layout::Table {
            let new = schema
                .fields
                .iter()
                .skip(self.target.schema.fields.len())
                .filter(|field| table.column(&field.name).is_none());
            let new: Vec<Field> = new.cloned().collect();
            if !new.is_empty() {
                self.alter(&table, &new)?;
                table = self.table()?;
            }
        }
        let statements = Arc::new(Statements::new(&self.target, &table, schema)?);
        self.statements = Some(statements.clone());
        Ok(statements)
    }

    fn table(&self) -> Result<Table> {
        let name = self.target.working_table();
        Table::find(&self.db, &self.target.place, &name)?.ok_or_else(|| {
            Error::state(
                "state::target_gone",
                format!("table `{name}` in {} is gone", self.target.place.name),
            )
            .help("somebody dropped it during the run; start over with `dkhost run --no-resume`")
        })
    }

    fn alter(&self, table: &Table, columns: &[Field]) -> Result<()> {
        for column in columns {
            let declared = declare(&column.logical, false);
            self.sql(&format!(
                "ALTER TABLE {} ADD COLUMN {} {declared}",
                quote(&table.name)?,
                quote(&column.name)?
            ))?;
        }
        Ok(())
    }

    /// Writes a batch in the open transaction.
    fn stage(&mut self, records: &RecordBatch) -> Result<WriteReport> {
        let schema = Schema::from_arrow(&records.schema())?;
        let statements = self.statements(&schema)?;
        let target = self.target.clone();
        let encoded = target.layout.encode(&schema, records)?;
        let mut fates = self.insert(&statements, &encoded.records)?;
        let mut report = WriteReport::all_written();
        if target.conflict == Conflict::Upsert && fates.outcomes.contains(&Outcome::Unchanged) {
            let batch = upsert::Batch {
                target: &target,
                db: &self.db,
                statements: &statements,
                encoded: &encoded,
                records,
            };
            upsert::settle(&batch, &mut fates, &mut report)?;
        }
        let Fates {
            outcomes,
            ids,
            mut rejects,
        } = fates;
        self.staged.extend(ids.into_iter().flatten());
        let outcomes = match &encoded.rows {
            None => outcomes,
            Some(rows) => {
                rejects
                    .iter_mut()
                    .for_each(|reject| reject.row = rows[reject.row as usize]);
                let mut all = vec![Outcome::Rejected; records.num_rows()];
                rows.iter()
                    .zip(outcomes)
                    .for_each(|(row, outcome)| all[*row as usize] = outcome);
                all
            }
        };
        rejects.extend(encoded.rejects);
        rejects.sort_by_key(|reject| reject.row);
        report.rejects = rejects;
        if outcomes.iter().any(|outcome| *outcome != Outcome::Written) {
            report.outcomes = Outcomes::Each(outcomes);
        }
        Ok(report)
    }

    /// Inserts every row that meets no other; under `upsert` and `skip` those that do are
    /// `Unchanged` for now.
    fn insert(&self, statements: &Statements, records: &RecordBatch) -> Result<Fates> {
        let rows = records.num_rows();
        let mut fates = Fates {
            outcomes: Vec::with_capacity(rows),
            ids: Vec::with_capacity(rows),
            rejects: Vec::new(),
        };
        let mut binder = Binder::new(&statements.columns, records)?;
        let meets = matches!(self.target.conflict, Conflict::Upsert | Conflict::Skip);
        let mut statement = self
            .db
            .prepare(&statements.insert)
            .map_err(|cause| self.failed("write to", cause))?;
        // Only a trigger can keep a row out that meets no other.
        let mut lookup = (meets && statements.has_triggers)
            .then(|| self.db.prepare(&statements.lookup))
            .transpose()
            .map_err(|cause| self.failed("write to", cause))?;
        let mut attempt =
            Attempt::new(&self.db, statements).map_err(|cause| self.failed("write to", cause))?;
        for row in 0..rows {
            let inserted = attempt.row(|| {
                binder.row(&mut statement, row)?;
                let id = self
                    .execute(&mut statement, statements)
                    .map_err(|cause| refusal(cause, row, &statements.columns))?;
                let met = match &mut lookup {
                    Some(lookup) if id.is_none() => is_there(lookup, &mut binder, statements, row)?,
                    _ => meets,
                };
                match id {
                    None if !met => Err(Refusal::Row(ignored(row))),
                    id => Ok(id),
                }
            });
            let (outcome, id) = match inserted {
                Ok(Some(id)) => (Outcome::Written, Some(id)),
                Ok(None) => (Outcome::Unchanged, None),
                Err(Refusal::Failed(cause)) => return Err(self.failed("write to", cause)),
                Err(Refusal::Row(reject)) => {
                    if self.db.is_autocommit() {
                        return Err(rolled_back_by_table(&reject.message));
                    }
                    fates.rejects.push(reject);
                    (Outcome::Rejected, None)
                }
            };
            fates.outcomes.push(outcome);
            fates.ids.push(id);
        }
        Ok(fates)
    }

    /// Runs the insert; where the row is, if it was inserted.
    #[inline]
    fn execute(
        &self,
        statement: &mut Statement<'_>,
        statements: &Statements,
    ) -> rusqlite::Result<Option<RowId>> {
        if statements.without_rowid.is_empty() {
            let inserted = statement.raw_execute()? > 0;
            return Ok(inserted.then(|| RowId::Rowid(self.db.last_insert_rowid())));
        }
        let mut rows = statement.raw_query();
        let id = rows
            .next()?
            .map(|row| RowId::of(row, statements))
            .transpose()?;
        // The statement is complete, and its row inserted, when it has no more rows to give.
        while rows.next()?.is_some() {}
        Ok(id)
    }

    /// Notes when SQLite ended the transaction on its own (disk full, I/O error).
    fn look(&mut self) {
        if self.state == State::Open && self.db.is_autocommit() {
            self.state = State::Lost;
            self.staged.clear();
        }
    }
}

/// Whether the table has a row with the key of this one.
fn is_there(
    lookup: &mut Statement<'_>,
    binder: &mut Binder<'_>,
    statements: &Statements,
    row: usize,
) -> Result<bool, Refusal> {
    binder.some(lookup, &statements.key, 1, row)?;
    let mut rows = lookup.raw_query();
    let there = rows.next().map_err(Refusal::Failed)?;
    Ok(there.is_some())
}

/// The reject of a row that a trigger of the table would not have (`RAISE(IGNORE)`).
pub(super) fn ignored(row: usize) -> RowReject {
    RowReject {
        row: row as u32,
        column: None,
        code: "sqlite::ignored".to_owned(),
        message: "a trigger of the table ignored the row".to_owned(),
    }
}

/// A constraint that SQLite checks at the commit only.
fn deferred(cause: Error) -> Error {
    Error::data(
        "sqlite::deferred_constraint",
        "a batch breaks a foreign key of the table that is checked when it is committed",
    )
    .caused_by(cause)
    .help("which row does is not known; write the rows it refers to first, or make the key not DEFERRED")
}

fn lost() -> Error {
    Error::infrastructure(
        "sqlite::rolled_back",
        "SQLite rolled the batch back after an error, so it cannot be committed",
    )
    .help("run the same command again: it goes on with this batch")
}

pub(super) fn rolled_back_by_table(message: &str) -> Error {
    Error::data("sqlite::rolled_back", format!("the table rolled the whole batch back because of one row: {message}"))
        .help("a trigger or constraint of the table says ON CONFLICT ROLLBACK or RAISE(ROLLBACK); make it ABORT")
}

impl Writer for SqliteWriter {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    fn write(&mut self, batch: &Batch) -> Result<WriteReport> {
        self.begin()?;
        if batch.records.num_rows() == 0 {
            return Ok(WriteReport::all_written());
        }
        let staged = self.staged.len();
        self.sql("SAVEPOINT batch")?;
        let report = self.stage(&batch.records);
        self.look();
        match (&report, self.state) {
            (Ok(_), _) => {
                self.sql("RELEASE batch")?;
                fail::point("sqlite.write.staged")?;
            }
            (Err(_), State::Open) => {
                self.staged.truncate(staged);
                self.statements = None;
                self.sql("ROLLBACK TO batch; RELEASE batch")?;
            }
            (Err(_), _) => (),
        }
        report
    }

    fn read_back(&mut self) -> Result<RecordBatch> {
        let schema = self.target.schema.clone();
        let mut back = self.target.layout.read_back(&schema);
        if self.staged.is_empty() {
            return back.finish();
        }
        let statements = Arc::new(Statements::new(&self.target, &self.table()?, &schema)?);
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self.db.prepare(&statements.read_back)?;
            for id in &self.staged {
                let mut rows = statement.query(rusqlite::params_from_iter(id.values()))?;
                if let Some(row) = rows.next()? {
                    back.push(row, statements.identity_width());
                }
            }
            Ok(())
        };
        read().map_err(|cause| self.failed("read back", cause))?;
        back.finish()
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable> {
        self.begin()?;
        if let Err(fenced) = state::fence(
            &self.db,
            &self.target.job,
            &checkpoint.run,
            checkpoint.epoch,
        ) {
            self.roll_back()?;
            return Err(fenced);
        }
        let last = state::checkpoint(&self.db, &self.target.job, checkpoint.partition)?;
        let place =
            |checkpoint: &Checkpoint| (checkpoint.run.clone(), checkpoint.epoch, checkpoint.seq);
        if last
            .as_ref()
            .is_some_and(|last| place(last) == place(checkpoint))
        {
            // Committed already, and the reply was lost: what is staged is the same batch again.
            self.roll_back()?;
            return Ok(Durable::Now);
        }
        self.sql("SAVEPOINT checkpoint")?;
        let committed = state::write_checkpoint(&self.db, checkpoint)
            .and_then(|()| fail::point("sqlite.commit.prepared"))
            .and_then(|()| self.sql("COMMIT"));
        if let Err(error) = committed {
            self.look();
            if self.state == State::Open {
                // The rows stay staged, so that a commit that failed for a lock can be repeated.
                self.sql("ROLLBACK TO checkpoint; RELEASE checkpoint")?;
            }
            return Err(match error.code() {
                "sqlite::constraint" => deferred(error),
                _ => error,
            });
        }
        self.state = State::Idle;
        self.staged.clear();
        self.checkpoint = Some(checkpoint.clone());
        fail::point("sqlite.commit.committed")?;
        Ok(Durable::Now)
    }

    fn roll_back(&mut self) -> Result<()> {
        self.staged.clear();
        self.statements = None;
        self.state = State::Idle;
        match self.db.is_autocommit() {
            true => Ok(()),
            false => self.sql("ROLLBACK"),
        }
    }

    fn flush(&mut self) -> Result<()> {
        // Every commit is synced.
        Ok(())
    }

    fn add_columns(&mut self, columns: &[Field]) -> Result<()> {
        if self.target.layout != Layout::Table {
            let name = columns.first().map_or("", |column| &column.name);
            return Err(Error::data(
                "target::cannot_evolve",
                format!(
                    "a dataknobs store keeps new fields in its records; it has no column `{name}` to add"
                ),
            ));
        }
        let was_idle = self.state == State::Idle;
        self.begin()?;
        let table = self.table()?;
        let new: Vec<Field> = columns
            .iter()
            .filter(|column| table.column(&column.name).is_none())
            .cloned()
            .collect();
        self.statements = None;
        let altered = self.alter(&table, &new);
        match (altered, was_idle) {
            // On their own, so that a batch that is rolled back does not take them along.
            (Ok(()), true) => {
                self.sql("COMMIT")?;
                self.state = State::Idle;
                Ok(())
            }
            (Err(error), true) => {
                self.roll_back()?;
                Err(error)
            }
            (altered, false) => altered,
        }
    }
}
