//! Writes one partition: batches staged in a transaction that ends with their checkpoint.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use dkhost_core::sink::staged_lost;
use dkhost_core::{
    Batch, Checkpoint, Class, Durable, Error, Field, Outcome, Outcomes, Result, Schema,
    WriteReport, Writer, fail,
};

use super::shape::Shape;
use super::spare::Spare;
use super::stage::{self, Way};
use super::state::{self, Whose};
use super::{Target, ddl, scan};
use crate::catalog::Table;
use crate::session::Session;

/// Where a writer stands between two commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No transaction is open.
    Idle,
    /// A transaction is open.
    Open,
    /// The transaction ended without us, or nobody knows; what was staged may be gone.
    Lost,
}

/// Writes one partition.
pub(super) struct PostgresWriter {
    target: Arc<Target>,
    spare: Arc<Spare>,
    /// `None` while there is no connection that can be used.
    session: Option<Session>,
    run: String,
    epoch: u64,
    partition: u32,
    checkpoint: Option<Checkpoint>,
    state: State,
    /// Whether the transaction stands at its first savepoint, which came with its beginning.
    is_marked: bool,
    shape: Option<Arc<Shape>>,
    way: Way,
    /// The rows written since the last commit, as they were sent.
    staged: Vec<RecordBatch>,
}

impl PostgresWriter {
    pub(super) fn open(target: Arc<Target>, spare: Arc<Spare>, partition: u32) -> Result<Self> {
        let (run, epoch) = target.claimed()?;
        let mut writer = PostgresWriter {
            target,
            spare,
            session: None,
            run,
            epoch,
            partition,
            checkpoint: None,
            state: State::Idle,
            is_marked: false,
            shape: None,
            way: Way::default(),
            staged: Vec::new(),
        };
        writer.begin()?;
        writer.checkpoint = writer.look_up()?;
        writer.roll_back()?;
        Ok(writer)
    }

    fn doing(&self) -> String {
        format!("write to {}", self.target.label())
    }

    /// The partition's checkpoint, if it is of this run.
    fn look_up(&mut self) -> Result<Option<Checkpoint>> {
        let (target, partition, run) = (self.target.clone(), self.partition, self.run.clone());
        let id = target.id();
        let found =
            self.asking(|session| state::checkpoint(session, whose(&target, &id), partition))?;
        Ok(found.filter(|checkpoint| checkpoint.run == run))
    }

    /// Asks the server something in the open transaction, and notes when that ends it.
    fn asking<T>(&mut self, ask: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let Some(session) = self.session.as_mut() else {
            return Err(lost());
        };
        let answer = ask(session);
        if let Err(error) = &answer {
            self.note(error);
        }
        answer
    }

    /// An error that is not rolled back to a savepoint ends the transaction; some end the session.
    fn note(&mut self, error: &Error) {
        if self.state == State::Open {
            self.state = State::Lost;
        }
        let is_silent = error.code() == "postgres::silent";
        if is_silent || self.session.as_ref().is_some_and(Session::is_closed) {
            self.session = None;
        }
    }

    /// Opens a transaction, unless one is open; connects where that is needed.
    fn begin(&mut self) -> Result<()> {
        match self.state {
            State::Open => return Ok(()),
            State::Lost => return Err(lost()),
            State::Idle => {}
        }
        let idle = self
            .session
            .as_ref()
            .is_some_and(|session| !session.is_closed());
        match self.open_transaction() {
            // The connection ended while it was not used: nothing is lost with it.
            Err(error) if idle && error.class() == Class::Transient && self.session.is_none() => {
                self.open_transaction()
            }
            begun => begun,
        }
    }

    fn open_transaction(&mut self) -> Result<()> {
        if self.session.as_ref().is_none_or(Session::is_closed) {
            self.session = Some(self.spare.take(&self.target.server)?);
            self.shape = None;
            self.owned()?;
            self.end_own()?;
        }
        let id = self.target.id();
        // Deferred constraints are checked as rows are written: their refusal is to be a record's
        // and not the commit's.
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; {}; {}; SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT batch",
            self.target.server.settings(),
            state::show(whose(&self.target, &id), self.epoch, self.partition)
        );
        let doing = self.doing();
        let begun = self.asking(|session| session.run(&doing, &begin));
        match begun {
            Ok(()) => self.state = State::Open,
            Err(_) => self.abandon(),
        }
        self.is_marked = true;
        begun
    }

    /// Whether the target is ours still.
    ///
    /// *Errors* – `run::fenced`.
    fn owned(&mut self) -> Result<()> {
        let (target, run, epoch) = (self.target.clone(), self.run.clone(), self.epoch);
        let id = target.id();
        self.asking(|session| state::fence(session, whose(&target, &id), &run, epoch))
            .map(drop)
    }

    /// Ends what a lost connection of ours still has open.
    fn end_own(&mut self) -> Result<()> {
        let (target, epoch, partition) = (self.target.clone(), self.epoch, self.partition);
        let id = target.id();
        self.asking(|session| state::end_own(session, whose(&target, &id), epoch, partition))
    }

    /// An error as it is; `run::fenced` if it came of somebody taking the target over.
    fn unless_fenced(&mut self, error: Error) -> Error {
        if matches!(error.class(), Class::Locked | Class::Bug) {
            return error;
        }
        let fenced = Session::open(&self.target.server).and_then(|mut session| {
            let id = self.target.id();
            state::fence(
                &mut session,
                whose(&self.target, &id),
                &self.run,
                self.epoch,
            )
        });
        match fenced {
            Err(fenced) if fenced.code() == "run::fenced" => fenced,
            _ => error,
        }
    }

    /// Ends the transaction, by the end of the connection if need be.
    fn abandon(&mut self) {
        self.staged.clear();
        let ended = match &mut self.session {
            Some(session) => session.run("roll back", "ROLLBACK").is_ok(),
            None => true,
        };
        if !ended {
            self.session = None;
        }
        self.state = State::Idle;
    }

    /// The statements for batches of this schema; columns added in a transaction that was rolled
    /// back are added again.
    fn shape(&mut self, schema: &Schema) -> Result<Arc<Shape>> {
        if let Some(shape) = self.shape.as_ref().filter(|shape| shape.schema == *schema) {
            return Ok(shape.clone());
        }
        let mut table = self.table()?;
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
        let shape = Arc::new(Shape::new(&self.target, &table, schema)?);
        self.shape = Some(shape.clone());
        Ok(shape)
    }

    fn table(&mut self) -> Result<Table> {
        let target = self.target.clone();
        let name = target.working_table();
        let found = self.asking(|session| Table::find(session, &name))?;
        found.ok_or_else(|| {
            Error::state("state::target_gone", format!("{} is gone", target.label())).help(
                "somebody dropped it during the run; start over with `dkhost run --no-resume`",
            )
        })
    }

    fn alter(&mut self, table: &Table, columns: &[Field]) -> Result<()> {
        let (doing, sql) = (self.doing(), ddl::add_columns(table, columns)?);
        // A batch that goes back to its savepoint keeps them.
        self.is_marked = false;
        match sql {
            Some(sql) => self.asking(|session| session.run(&doing, &sql)),
            None => Ok(()),
        }
    }

    /// Stages a batch behind a savepoint, which stays: it goes with the transaction.
    fn stage(&mut self, records: &RecordBatch) -> Result<WriteReport> {
        let shape = self.shape(&Schema::from_arrow(&records.schema())?)?;
        let (target, doing, mut way) = (self.target.clone(), self.doing(), self.way);
        let is_marked = std::mem::take(&mut self.is_marked);
        let report = self.asking(|session| {
            if !is_marked {
                session.run(&doing, "SAVEPOINT batch")?;
            }
            let report = stage::write(session, &target, &shape, records, &mut way)?;
            fail::point("postgres.write.staged")?;
            Ok(report)
        })?;
        self.way = way;
        self.staged.push(written(records, &report)?);
        Ok(report)
    }

    /// Writes the checkpoint and ends the transaction.
    fn finish(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.begin()?;
        let (target, doing) = (
            self.target.clone(),
            format!("commit to {}", self.target.label()),
        );
        let id = target.id();
        let advanced =
            self.asking(|session| state::advance(session, whose(&target, &id), checkpoint))?;
        if !advanced {
            let standing = self.owned().and_then(|()| self.look_up());
            self.abandon();
            let standing = standing?;
            if standing
                .as_ref()
                .is_some_and(|there| same_place(there, checkpoint))
            {
                return Ok(());
            }
            return Err(Error::state(
                "state::target_ahead",
                format!(
                    "the target's checkpoint is ahead of what {} commits",
                    self.run
                ),
            )
            .help("two processes wrote as one; run the same command again"));
        }
        // From here on the transaction holds the checkpoint: it is committed now or never.
        let ended = fail::point("postgres.commit.prepared")
            .and_then(|()| self.asking(|session| session.run(&doing, "COMMIT")));
        if ended.is_err() {
            self.session = None;
            self.state = State::Lost;
            return ended;
        }
        self.state = State::Idle;
        fail::point("postgres.commit.sent")
    }
}

impl Drop for PostgresWriter {
    fn drop(&mut self) {
        if self.state == State::Idle
            && let Some(session) = self.session.take()
        {
            self.spare.leave(session);
        }
    }
}

fn whose<'a>(target: &'a Target, id: &'a str) -> Whose<'a> {
    Whose {
        job: &target.job,
        target: id,
    }
}

fn same_place(one: &Checkpoint, other: &Checkpoint) -> bool {
    (&one.run, one.epoch, one.seq) == (&other.run, other.epoch, other.seq)
}

/// The rows of a batch that were written.
fn written(records: &RecordBatch, report: &WriteReport) -> Result<RecordBatch> {
    let Outcomes::Each(each) = &report.outcomes else {
        return Ok(records.clone());
    };
    let rows = each.iter().enumerate();
    let kept = rows.filter(|(_, outcome)| **outcome == Outcome::Written);
    let kept = UInt32Array::from_iter_values(kept.map(|(row, _)| row as u32));
    Ok(take_record_batch(records, &kept)?)
}

fn lost() -> Error {
    Error::new(
        Class::Transient,
        "postgres::connection_lost",
        "the connection was lost, and what was staged with it",
    )
}

impl Writer for PostgresWriter {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    fn write(&mut self, batch: &Batch) -> Result<WriteReport> {
        if let Err(error) = self.begin() {
            return Err(self.unless_fenced(error));
        }
        fail::point("postgres.write.begun")?;
        if batch.records.num_rows() == 0 {
            return Ok(WriteReport::all_written());
        }
        self.stage(&batch.records).map_err(|error| {
            self.shape = None;
            self.unless_fenced(error)
        })
    }

    fn read_back(&mut self) -> Result<RecordBatch> {
        let schema = self.target.schema.clone();
        let arrow = schema.to_arrow();
        let plan: Vec<usize> = (0..schema.fields.len()).collect();
        let staged = self
            .staged
            .iter()
            .map(|records| Ok(records.project(&plan)?.with_schema(arrow.clone())?))
            .collect::<Result<Vec<_>>>()?;
        let sent = concat_batches(&arrow, &staged)?;
        if sent.num_rows() == 0 {
            return Ok(sent);
        }
        let table = self.table()?;
        let shape = Shape::new(&self.target, &table, &schema)?;
        let target = self.target.clone();
        self.asking(|session| scan::read_back(session, &target, &shape, &sent))
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable> {
        let again = self
            .checkpoint
            .as_ref()
            .is_some_and(|last| same_place(last, checkpoint));
        if again {
            // Committed already: what is staged is the same batch again.
            self.abandon();
            self.owned_again()?;
            return Ok(Durable::Now);
        }
        if self.state == State::Lost {
            self.resolve(checkpoint)?;
        } else if let Err(error) = self.finish(checkpoint) {
            return Err(self.unless_fenced(error));
        }
        self.state = State::Idle;
        self.staged.clear();
        self.checkpoint = Some(checkpoint.clone());
        fail::point("postgres.commit.committed")?;
        Ok(Durable::Now)
    }

    fn roll_back(&mut self) -> Result<()> {
        self.shape = None;
        self.abandon();
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        // Every commit is durable.
        Ok(())
    }

    fn add_columns(&mut self, columns: &[Field]) -> Result<()> {
        let was_idle = self.state == State::Idle;
        self.begin()?;
        let table = self.table()?;
        let new = columns
            .iter()
            .filter(|column| table.column(&column.name).is_none());
        let new: Vec<Field> = new.cloned().collect();
        self.shape = None;
        let altered = self.alter(&table, &new);
        if !was_idle {
            return altered;
        }
        // On their own, so that a batch that is rolled back does not take them along.
        let doing = self.doing();
        let kept = altered.and_then(|()| self.asking(|session| session.run(&doing, "COMMIT")));
        match &kept {
            Ok(()) => self.state = State::Idle,
            Err(_) => self.abandon(),
        }
        kept
    }
}

impl PostgresWriter {
    /// Whether the target is ours still, on a connection that works.
    fn owned_again(&mut self) -> Result<()> {
        self.begin()?;
        let owned = self.owned();
        self.abandon();
        owned
    }

    /// After a transaction whose end nobody told: whether it was committed.
    ///
    /// *Errors* – [`staged_lost`] if it was not.
    fn resolve(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        // A session that was not closed is of no use, and must be gone before we look.
        self.session = None;
        self.state = State::Idle;
        let found = self.begin().and_then(|()| self.look_up());
        self.abandon();
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let error = self.unless_fenced(error);
                self.state = State::Lost;
                return Err(error);
            }
        };
        match found {
            Some(there) if same_place(&there, checkpoint) => Ok(()),
            _ => Err(staged_lost("the server knows nothing of it")),
        }
    }
}
