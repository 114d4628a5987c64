//! Writing to a store: a draft of the table that a commit puts in place.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};

use super::store::{Run, State, Store, Table, keys_of};
use crate::sink::{fenced, next_epoch};
use crate::{
    Batch, Checkpoint, Claim, Claimed, Column, Conflict, ContentSum, Durable, Error, Field,
    OpenTarget, Outcome, Outcomes, Partition, Result, RowReject, Schema, Sink, TargetPlan,
    TargetState, WriteReport, Writer,
};

/// An open memory target.
#[derive(Debug)]
pub(super) struct MemorySink {
    target: Arc<Target>,
}

/// What sink and writers share.
#[derive(Debug)]
struct Target {
    store: Store,
    plan: TargetPlan,
    conflict: Conflict,
    /// The columns of a batch; grows under `schema_drift = "evolve"`.
    schema: Mutex<Schema>,
    claimed: Mutex<Option<(String, u64)>>,
}

impl MemorySink {
    pub fn open(store: Store, name: &str, open: &OpenTarget) -> Result<Self> {
        let replaces = open.conflict == Conflict::ReplaceAll;
        let state = store.state();
        // A table this very job is about to go on with is not somebody else's.
        let ours = state
            .run
            .as_ref()
            .is_some_and(|run| run.job == open.job && !run.published);
        let was_fresh = ours && state.run.as_ref().is_some_and(|run| run.fresh);
        let effect = match &state.visible {
            None if !open.create => {
                return Err(Error::config(
                    "target::absent",
                    format!("there is no table `{name}` in memory"),
                )
                .help("`create = true` creates it"));
            }
            None => format!("creates table {name}"),
            Some(_) if replaces => format!("replaces table {name}"),
            Some(table) if !ours && columns(&table.schema) != columns(&open.schema) => {
                let message = format!("table `{name}` in memory has other columns than the plan");
                return Err(Error::config("target::other_columns", message));
            }
            Some(_) => format!("writes into table {name}"),
        };
        let plan = TargetPlan {
            label: format!("table {name} in memory"),
            promise: "effectively-once".to_owned(),
            mechanism: "rows and checkpoint change under one lock".to_owned(),
            effects: vec![effect],
            notes: vec!["nothing survives the process".to_owned()],
            columns: open.schema.fields.iter().map(column).collect(),
            fresh: replaces
                || was_fresh
                || state.visible.as_ref().is_none_or(|table| table.len() == 0),
            concurrent: false,
        };
        drop(state);
        let target = Target {
            store,
            plan,
            conflict: open.conflict,
            schema: Mutex::new(open.schema.clone()),
            claimed: Mutex::new(None),
        };
        Ok(MemorySink {
            target: Arc::new(target),
        })
    }
}

fn column(field: &Field) -> Column {
    let target_type = field.logical.to_string();
    Column {
        name: field.name.clone(),
        target_type,
        how: None,
        lossy: None,
    }
}

fn columns(schema: &Schema) -> Vec<(&str, String)> {
    schema
        .fields
        .iter()
        .map(|field| (field.name.as_str(), field.logical.to_string()))
        .collect()
}

impl Target {
    fn schema(&self) -> Schema {
        self.schema
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The run and epoch this process claimed.
    fn claimed(&self) -> Result<(String, u64)> {
        let claimed = self
            .claimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        claimed.ok_or_else(|| Error::bug("a memory target was used before it was claimed"))
    }

    /// The table rows go to.
    fn table<'a>(&self, state: &'a mut State) -> &'a mut Option<Table> {
        if self.conflict == Conflict::ReplaceAll {
            &mut state.staged
        } else {
            &mut state.visible
        }
    }
}

impl Sink for MemorySink {
    fn plan(&self) -> &TargetPlan {
        &self.target.plan
    }

    fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        let state = self.target.store.state();
        let run = state.run.as_ref().filter(|run| run.job == job);
        Ok(run.map(|run| TargetState {
            run: run.run.clone(),
            epoch: state.epoch,
            plan_hash: run.plan_hash.clone(),
            checkpoints: run.checkpoints.values().cloned().collect(),
            published: run.published,
        }))
    }

    fn claim(&self, claim: &Claim) -> Result<Claimed> {
        let mut state = self.target.store.state();
        state.epoch = next_epoch(state.epoch, claim)?;
        if state.run.as_ref().is_none_or(|run| run.run != claim.run) {
            state.staged = None;
            state.run = Some(Run {
                job: claim.job.clone(),
                run: claim.run.clone(),
                plan_hash: claim.plan_hash.clone(),
                checkpoints: Default::default(),
                published: false,
                fresh: self.target.plan.fresh,
            });
        }
        let published = state.run.as_ref().is_some_and(|run| run.published);
        let schema = self.target.schema();
        let key: Vec<String> = schema
            .key()
            .into_iter()
            .map(|i| schema.fields[i].name.clone())
            .collect();
        // After a replace-all was published there is nothing to stage again.
        if !(published && self.target.conflict == Conflict::ReplaceAll) {
            let table = self.target.table(&mut state);
            let before = table.take().unwrap_or_else(|| Table::new(&schema));
            *table = Some(before.keyed(&key)?);
        }
        let claimed = (claim.run.clone(), state.epoch);
        *self
            .target
            .claimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(claimed);
        let checkpoints = state
            .run
            .iter()
            .flat_map(|run| run.checkpoints.values().cloned());
        Ok(Claimed {
            epoch: state.epoch,
            checkpoints: checkpoints.collect(),
        })
    }

    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>> {
        self.target.claimed()?;
        let state = self.target.store.state();
        let run = state.run.as_ref();
        let checkpoint = run
            .and_then(|run| run.checkpoints.get(&partition.index))
            .cloned();
        Ok(Box::new(MemoryWriter {
            target: self.target.clone(),
            checkpoint,
            draft: None,
            written: Vec::new(),
        }))
    }

    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let mut state = self.target.store.state();
        let staged = self
            .target
            .table(&mut state)
            .as_ref()
            .map(Table::records)
            .transpose()?;
        let visible = state.visible.as_ref().map(Table::records).transpose()?;
        drop(state);
        match staged.or(visible) {
            Some(records) if records.num_rows() > 0 => each(records),
            _ => Ok(()),
        }
    }

    fn publish(&self) -> Result<()> {
        let (ours, epoch) = self.target.claimed()?;
        let mut state = self.target.store.state();
        if state.epoch != epoch {
            return Err(fenced(&ours, epoch, state.epoch));
        }
        if let Some(staged) = state.staged.take() {
            state.visible = Some(staged);
        }
        if let Some(run) = &mut state.run {
            run.published = true;
        }
        Ok(())
    }

    fn retire(&self) -> Result<()> {
        let ours = self.target.claimed().ok().map(|(ours, _)| ours);
        let mut state = self.target.store.state();
        state.run.take_if(|run| match &ours {
            Some(ours) => run.run == *ours,
            None => run.published,
        });
        Ok(())
    }
}

/// Writes one partition.
#[derive(Debug)]
struct MemoryWriter {
    target: Arc<Target>,
    checkpoint: Option<Checkpoint>,
    /// The table as it will be after the commit.
    draft: Option<Table>,
    /// The staged rows, as the target will hold them.
    written: Vec<RecordBatch>,
}

impl MemoryWriter {
    fn draft(&mut self) -> Result<&mut Table> {
        if self.draft.is_none() {
            let mut state = self.target.store.state();
            self.draft = self.target.table(&mut state).clone();
        }
        self.draft
            .as_mut()
            .ok_or_else(|| Error::bug("a memory target without a table"))
    }

    /// Which rows of a batch are folded into a later one with the same key.
    fn folded(&self, keys: &[Option<arrow::row::OwnedRow>]) -> Vec<bool> {
        if self.target.conflict != Conflict::Upsert {
            return vec![false; keys.len()];
        }
        let mut later = std::collections::HashSet::new();
        let mut folded: Vec<bool> = keys
            .iter()
            .rev()
            .map(|key| key.as_ref().is_some_and(|key| !later.insert(key)))
            .collect();
        folded.reverse();
        folded
    }
}

impl Writer for MemoryWriter {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    fn write(&mut self, batch: &Batch) -> Result<WriteReport> {
        let keys = keys_of(&self.target.schema(), &batch.records)?;
        let folded = self.folded(&keys);
        let conflict = self.target.conflict;
        let mut report = WriteReport::all_written();
        let mut outcomes = Vec::with_capacity(keys.len());
        let schema = Schema::from_arrow(&batch.records.schema())?;
        let draft = self.draft()?;
        // Columns added with a batch that was rolled back went with it.
        if schema.fields.len() > draft.schema.fields.len() {
            draft.add_columns(&schema.fields)?;
        }
        for (row, key) in keys.into_iter().enumerate() {
            let record = batch.records.slice(row, 1);
            let outcome = match (draft.find(key.as_ref()).cloned(), conflict, key) {
                _ if folded[row] => Outcome::Deduplicated,
                (None, _, key) => {
                    draft.append(key, record);
                    Outcome::Written
                }
                (Some(_), Conflict::Skip, _) => Outcome::Unchanged,
                (Some(there), Conflict::Upsert, _) if there == record => Outcome::Unchanged,
                (Some(there), Conflict::Upsert, Some(key)) => {
                    report.replaced += ContentSum::of(&there)?;
                    report.replaced_rows += 1;
                    draft.replace(&key, record);
                    Outcome::Written
                }
                _ => {
                    report.rejects.push(RowReject {
                        row: row as u32,
                        column: None,
                        code: "target::duplicate_key".to_owned(),
                        message: "a row with this key is in the target already".to_owned(),
                    });
                    Outcome::Rejected
                }
            };
            outcomes.push(outcome);
        }
        let written: BooleanArray = outcomes
            .iter()
            .map(|o| Some(*o == Outcome::Written))
            .collect();
        self.written
            .push(filter_record_batch(&batch.records, &written)?);
        if outcomes.iter().any(|outcome| *outcome != Outcome::Written) {
            report.outcomes = Outcomes::Each(outcomes);
        }
        Ok(report)
    }

    fn read_back(&mut self) -> Result<RecordBatch> {
        Ok(concat_batches(
            &self.target.schema().to_arrow(),
            &self.written,
        )?)
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable> {
        let mut state = self.target.store.state();
        if state.epoch != checkpoint.epoch {
            return Err(fenced(&checkpoint.run, checkpoint.epoch, state.epoch));
        }
        let Some(run) = &mut state.run else {
            return Err(Error::bug("a commit after the run was retired"));
        };
        let last = run.checkpoints.get(&checkpoint.partition);
        if last.is_some_and(|last| (last.epoch, last.seq) == (checkpoint.epoch, checkpoint.seq)) {
            return Ok(Durable::Now);
        }
        run.checkpoints
            .insert(checkpoint.partition, checkpoint.clone());
        if let Some(draft) = self.draft.take() {
            *self.target.table(&mut state) = Some(draft);
        }
        self.written.clear();
        self.checkpoint = Some(checkpoint.clone());
        Ok(Durable::Now)
    }

    fn roll_back(&mut self) -> Result<()> {
        self.draft = None;
        self.written.clear();
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn add_columns(&mut self, columns: &[Field]) -> Result<()> {
        self.draft()?.add_columns(columns)?;
        let schema = self.draft()?.schema.clone();
        *self
            .target
            .schema
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = schema;
        Ok(())
    }
}
