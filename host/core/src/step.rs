//! Steps: bound to a schema when planning, at work as stages when running.

use crate::{Batch, Changed, Result, Schema, StageKind};

/// One step of a plan: it knows its input and output schema and can be opened for each partition.
/// Whether it is built in or a plugin, the engine cannot tell (invariant 2).
pub trait Step: Send + Sync {
    /// What kind of stage its dead letters name.
    fn kind(&self) -> StageKind;

    /// The columns of its output.
    fn output(&self) -> &Schema;

    /// Names of the input columns whose values it looks at; columns it only carries, renames or
    /// drops are not among them. Values the schema could not hold matter only in these.
    fn reads(&self) -> Vec<String>;

    /// Input column → output column, for columns that are carried with their values untouched.
    /// The rest of a document follows it: a field renamed, dropped or replaced here is renamed,
    /// dropped or replaced in the rest.
    fn carries(&self) -> Vec<(String, String)>;

    /// Whether fields the schema does not know go on (`true` for all but `keep`).
    fn keeps_unknown(&self) -> bool {
        true
    }

    /// Whether what it does with a batch depends on the batches before it, of all partitions. What
    /// it remembers it keeps for all its stages, for the one run its plan is for. The engine then
    /// takes the partitions one after the other, and reads again what a resumed run had read.
    fn remembers(&self) -> bool {
        false
    }

    /// What the plan shows about this step.
    fn note(&self) -> StepNote;

    /// Opens the step for one partition.
    fn open(&self, partition: u32) -> Result<Box<dyn Stage>>;
}

/// What a plan shows about a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct StepNote {
    /// A line for people: `us_gross * 2 as gross`.
    pub summary: String,
    /// For plugins: name and version.
    pub plugin: Option<String>,
    /// For plugins: `sha256:…` of the component.
    pub digest: Option<String>,
    /// For plugins: limits and grants, a line each.
    pub limits: Vec<String>,
    /// What weakens the delivery promise, if anything does.
    pub weakens: Option<String>,
}

/// A step at work in one partition. Batches come in order.
pub trait Stage: Send {
    /// Changes a batch. The rows it refuses come back in `Changed::rejects`.
    ///
    /// *Errors* – about the stage as a whole; the batch is then untouched and can be tried again.
    fn apply(&mut self, batch: &Batch) -> Result<Changed>;

    /// Of the rows of all batches so far, those that were already what it makes of others: records
    /// of the very version that others are migrated to.
    fn kept(&self) -> u64 {
        0
    }

    /// Named counters of this stage so far, for the report.
    fn counters(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}
