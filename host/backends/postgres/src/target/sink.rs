//! The target as a whole: claimed, scanned, published, retired.

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::takeover::LastLook;
use dkhost_core::{
    Claim, Claimed, Error, Partition, Result, Sink, TargetPlan, TargetState, Writer,
};

use super::shape::Shape;
use super::spare::Spare;
use super::state::{self, Memory, Whose};
use super::writer::PostgresWriter;
use super::{Target, claim, publish, scan};
use crate::catalog::Table;
use crate::session::Session;

/// An open target.
pub(super) struct PostgresSink {
    target: Arc<Target>,
    seen: LastLook,
    spare: Arc<Spare>,
}

impl PostgresSink {
    pub(super) fn new(target: Target) -> Self {
        PostgresSink {
            target: Arc::new(target),
            seen: LastLook::default(),
            spare: Arc::default(),
        }
    }

    /// Opens the target to read back what this run wrote, unless somebody took it over: then the
    /// staging table may be gone or another's. What is read is of one moment.
    fn open_ours(&self, doing: &str) -> Result<(Session, Table)> {
        let target = &self.target;
        let mut session = self.spare.take(&target.server)?;
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}",
            target.server.settings()
        );
        session.run(doing, &begin)?;
        let id = target.id();
        let whose = Whose {
            job: &target.job,
            target: &id,
        };
        if let Ok((run, epoch)) = target.claimed() {
            state::fence(&mut session, whose, &run, epoch)?;
        }
        let found = Table::find(&mut session, &target.working_table())?;
        let table = found.ok_or_else(|| {
            Error::state("state::target_gone", format!("{} is gone", target.label()))
                .help("start over with `dkhost run --no-resume`")
        })?;
        Ok((session, table))
    }
}

impl Sink for PostgresSink {
    fn plan(&self) -> &TargetPlan {
        self.target.plan()
    }

    fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        let id = self.target.id();
        let mut session = self.spare.take(&self.target.server)?;
        let memory = match Memory::read(&mut session, Whose { job, target: &id }) {
            // Somebody who finished removed the tables while we looked.
            Err(error) if error.code() == "postgres::no_table" => None,
            read => read?,
        };
        let state = memory.map(Memory::into_state);
        self.seen.note(state.as_ref());
        self.spare.leave(session);
        Ok(state)
    }

    fn claim(&self, claimed: &Claim) -> Result<Claimed> {
        claim::claim(&self.target, &self.spare, claimed, &self.seen)
    }

    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>> {
        Ok(Box::new(PostgresWriter::open(
            self.target.clone(),
            self.spare.clone(),
            partition.index,
        )?))
    }

    fn count(&self) -> Result<u64> {
        let doing = format!("count the rows of {}", self.target.label());
        let (mut session, table) = self.open_ours(&doing)?;
        let rows = session.rows(
            &doing,
            &format!("SELECT count(*) FROM {}", table.sql()?),
            &[],
        )?;
        session.run(&doing, "COMMIT")?;
        self.spare.leave(session);
        Ok(rows
            .first()
            .map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }

    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let target = &self.target;
        let doing = format!("read back {}", target.label());
        let (mut session, table) = self.open_ours(&doing)?;
        let shape = Shape::new(target, &table, &target.schema)?;
        let fields = target.schema.fields.len();
        let query = format!("SELECT {} FROM {} t", shape.reads(fields), shape.table);
        scan::read(
            &mut session,
            &doing,
            &query,
            &shape.read_columns(fields),
            each,
        )
    }

    fn publish(&self) -> Result<()> {
        publish::publish(&self.target, &self.spare)
    }

    fn retire(&self) -> Result<()> {
        publish::retire(&self.target, &self.spare)
    }
}
