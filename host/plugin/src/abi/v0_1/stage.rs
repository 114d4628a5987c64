//! A plugin at work in one partition: one instance for all its batches, replaced when it fails.
//!
//! A failed call leaves the batch untouched and no instance behind, so the engine may try again or
//! take the batch apart. Hidden state would break resume and replay: the second batch and one in 64
//! afterwards run again on a fresh instance, and a difference stops the run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dkhost_core::{Batch, Changed, Error, Result, Stage};

use arrow::array::RecordBatch;

use super::guest::{Applied, Guest, Speaker};
use super::imports::Voice;
use super::step::Bound;
use super::{rows, send};
use crate::log::Budget;

/// One batch in this many is run twice; the second batch always is.
const CHECK_EVERY: u64 = 64;
/// Different counters a stage may have.
const COUNTERS_MAX: usize = 64;

/// A plugin in one partition.
pub(super) struct PluginStage {
    bound: Arc<Bound>,
    partition: u32,
    guest: Option<Guest>,
    /// The lines it may still log.
    budget: Arc<Mutex<Budget>>,
    /// Batches done.
    done: u64,
    /// Set once it was caught with two answers: a fresh instance would begin to lie anew.
    caught: Option<String>,
    counters: BTreeMap<String, u64>,
}

impl PluginStage {
    pub(super) fn open(bound: Arc<Bound>, partition: u32) -> Result<PluginStage> {
        let mut stage = PluginStage {
            bound,
            partition,
            guest: None,
            budget: Arc::default(),
            done: 0,
            caught: None,
            counters: BTreeMap::new(),
        };
        stage.guest = Some(stage.fresh(true)?);
        Ok(stage)
    }

    /// A fresh instance, opened for this partition and held to what the plan was promised.
    fn fresh(&self, speaks: bool) -> Result<Guest> {
        let bound = &self.bound;
        let voice = speaks.then(|| Voice {
            plugin: bound.descriptor.name.clone(),
            stage: bound.stage.clone(),
            partition: Some(self.partition),
            sink: bound.log.clone(),
            budget: self.budget.clone(),
        });
        let partition = self.partition.to_string();
        let speaker = bound.speaker(format!("when it was opened for partition {partition}"));
        let extra = [
            ("stage", bound.stage.as_str()),
            ("partition", partition.as_str()),
        ];
        let (guest, promise) = Guest::open(
            &bound.loaded,
            &bound.limits,
            voice,
            &speaker,
            &bound.opening(&extra),
        )?;
        if promise != bound.promise {
            return Err(speaker.bad_promise("one schema to the plan and another to the run"));
        }
        Ok(guest)
    }

    fn run(&self, guest: &mut Guest, speaker: &Speaker, records: &RecordBatch) -> Result<Changed> {
        let Bound {
            promise, limits, ..
        } = &*self.bound;
        let sent = promise
            .reads
            .iter()
            .map(|read| send::column(records.column(*read)))
            .collect::<Result<Vec<_>>>()?;
        let changed = match guest.apply(limits, speaker, records.num_rows(), &sent)? {
            Applied::Transform(output) => rows::transformed(promise, limits, records, output),
            Applied::Filter { keep, rejects } => rows::filtered(promise, records, keep, rejects),
        };
        changed.map_err(|why| speaker.bad_output(&why))
    }

    /// Runs the batch again on an instance that has seen nothing and compares.
    fn check(&mut self, speaker: &Speaker, records: &RecordBatch, first: &Changed) -> Result<()> {
        let second = self.run(&mut self.fresh(false)?, speaker, records)?;
        if let Some(difference) = difference(first, &second) {
            self.caught = Some(format!(
                "plugin `{}` gave two answers for the same rows {}: {difference}",
                speaker.plugin, speaker.place
            ));
        }
        self.trusted()
    }

    fn trusted(&self) -> Result<()> {
        let Some(what) = &self.caught else {
            return Ok(());
        };
        Err(Error::plugin("plugin::nondeterministic", what.clone()).help(
            "a plugin that keeps state between batches makes a resumed run differ from an undisturbed one; \
             `allow_nondeterminism = true` for the plugin in the job allows it and weakens the delivery promise",
        ))
    }

    fn is_due(&self) -> bool {
        !self.bound.allow_nondeterministic
            && (self.done == 1 || (self.done > 0 && self.done.is_multiple_of(CHECK_EVERY)))
    }

    fn count(&mut self, counted: impl Iterator<Item = (String, u64)>) {
        for (name, by) in counted {
            if self.counters.len() < COUNTERS_MAX || self.counters.contains_key(&name) {
                let sum = self.counters.entry(name).or_default();
                *sum = sum.saturating_add(by);
            }
        }
    }
}

impl Stage for PluginStage {
    fn apply(&mut self, batch: &Batch) -> Result<Changed> {
        let records = &batch.records;
        self.bound.fits(records)?;
        self.trusted()?;
        if records.num_rows() == 0 {
            return Ok(Changed::columns(RecordBatch::new_empty(
                self.bound.promise.arrow.clone(),
            )));
        }
        let speaker = self.bound.speaker(format!(
            "in batch {} of partition {}",
            self.done + 1,
            self.partition
        ));
        // Taken out: if anything fails below, the instance is dropped with it.
        let mut guest = match self.guest.take() {
            Some(guest) => guest,
            None => self.fresh(true)?,
        };
        let changed = self.run(&mut guest, &speaker, records)?;
        if self.is_due() {
            self.check(&speaker, records, &changed)?;
        }
        self.count(guest.take_counted());
        self.done += 1;
        self.guest = (!guest.is_worn_out()).then_some(guest);
        Ok(changed)
    }

    fn counters(&self) -> Vec<(String, u64)> {
        self.counters
            .iter()
            .map(|(name, sum)| (name.clone(), *sum))
            .collect()
    }
}

/// The first thing that differs.
fn difference(first: &Changed, second: &Changed) -> Option<String> {
    if first.origin != second.origin {
        return Some("other rows go on".into());
    }
    if first.rejects != second.rejects {
        return Some("other rows are refused".into());
    }
    let schema = first.records.schema();
    let differing =
        (0..schema.fields().len()).find(|i| first.records.column(*i) != second.records.column(*i));
    differing.map(|i| format!("column `{}` differs", schema.field(i).name()))
}
