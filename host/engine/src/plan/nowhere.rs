//! The target of a plan that is only looked at (`preview`, `validate`): there is none.

use arrow::array::RecordBatch;
use dkhost_core::{
    Claim, Claimed, Error, Partition, Result, Sink, TargetPlan, TargetState, Writer,
};

/// A target that was not opened. Planning with it never touches the real one; running is a bug.
pub struct Nowhere {
    plan: TargetPlan,
}

impl Default for Nowhere {
    fn default() -> Self {
        let plan = TargetPlan {
            label: "no target".into(),
            promise: "nothing is written".into(),
            mechanism: "the target is not opened".into(),
            effects: Vec::new(),
            notes: Vec::new(),
            columns: Vec::new(),
            fresh: true,
            concurrent: false,
        };
        Nowhere { plan }
    }
}

fn not_opened() -> Error {
    Error::bug("a plan that was made for looking was run")
}

impl Sink for Nowhere {
    fn plan(&self) -> &TargetPlan {
        &self.plan
    }

    fn inspect(&self, _job: &str) -> Result<Option<TargetState>> {
        Err(not_opened())
    }

    fn claim(&self, _claim: &Claim) -> Result<Claimed> {
        Err(not_opened())
    }

    fn writer(&self, _partition: &Partition) -> Result<Box<dyn Writer>> {
        Err(not_opened())
    }

    fn scan(&self, _each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        Err(not_opened())
    }

    fn publish(&self) -> Result<()> {
        Err(not_opened())
    }

    fn retire(&self) -> Result<()> {
        Err(not_opened())
    }
}
