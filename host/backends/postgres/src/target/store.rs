//! A sink and its writers whose rows are records of a dataknobs store: what goes in is laid out as
//! its table wants it, what comes out is in the plan's schema. All else is the table's.

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::{
    Batch, Checkpoint, Claim, Claimed, Durable, Error, Field, Outcome, Outcomes, Partition, Result,
    Sink, TargetPlan, TargetState, WriteReport, Writer,
};

use super::knobs::{Encoded, Store};
use super::sink::PostgresSink;

/// A store over its table.
pub(super) struct StoreSink {
    pub table: PostgresSink,
    pub store: Arc<Store>,
}

impl Sink for StoreSink {
    fn plan(&self) -> &TargetPlan {
        self.table.plan()
    }

    fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        self.table.inspect(job)
    }

    fn claim(&self, claim: &Claim) -> Result<Claimed> {
        self.table.claim(claim)
    }

    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>> {
        Ok(Box::new(StoreWriter {
            table: self.table.writer(partition)?,
            store: self.store.clone(),
        }))
    }

    fn count(&self) -> Result<u64> {
        self.table.count()
    }

    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        self.table.scan(&mut |rows| each(self.store.read(&rows)?))
    }

    fn publish(&self) -> Result<()> {
        self.table.publish()
    }

    fn retire(&self) -> Result<()> {
        self.table.retire()
    }
}

/// Writes one partition of records.
struct StoreWriter {
    table: Box<dyn Writer>,
    store: Arc<Store>,
}

impl Writer for StoreWriter {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.table.checkpoint()
    }

    fn write(&mut self, batch: &Batch) -> Result<WriteReport> {
        let Encoded {
            records,
            rows,
            rejects,
        } = self.store.encode(&batch.records)?;
        let mut report = self.table.write(&Batch {
            records,
            origin: None,
            rejects: Vec::new(),
            source: batch.source.clone(),
            until: batch.until.clone(),
            source_bytes: batch.source_bytes,
        })?;
        if rejects.is_empty() {
            return Ok(report);
        }
        let mut outcomes = vec![Outcome::Rejected; batch.records.num_rows()];
        for (at, row) in rows.iter().enumerate() {
            outcomes[*row as usize] = match &report.outcomes {
                Outcomes::AllWritten => Outcome::Written,
                Outcomes::Each(each) => each[at],
            };
        }
        for reject in &mut report.rejects {
            reject.row = rows[reject.row as usize];
        }
        report.rejects.extend(rejects);
        report.rejects.sort_by_key(|reject| reject.row);
        report.outcomes = Outcomes::Each(outcomes);
        Ok(report)
    }

    fn read_back(&mut self) -> Result<RecordBatch> {
        self.store.read(&self.table.read_back()?)
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable> {
        self.table.commit(checkpoint)
    }

    fn roll_back(&mut self) -> Result<()> {
        self.table.roll_back()
    }

    fn flush(&mut self) -> Result<()> {
        self.table.flush()
    }

    fn add_columns(&mut self, columns: &[Field]) -> Result<()> {
        let name = columns.first().map_or("", |column| &column.name);
        Err(Error::data(
            "target::cannot_evolve",
            format!(
                "a dataknobs store keeps new fields in its records; it has no column `{name}` to add"
            ),
        ))
    }
}
