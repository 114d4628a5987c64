//! A step with something to do behind it: to the plan and the report it is the step it was.

use std::sync::Arc;

use dkhost_core::{Batch, Changed, Result, Schema, Stage, StageKind, Step, StepNote};

/// What is done with a batch that a step has changed.
pub(super) trait Behind: Send + Sync + 'static {
    /// Changes it further, in place; columns stay those of the step.
    fn then(&self, changed: &mut Changed) -> Result<()>;

    /// Whether it remembers records of the run, as [`Step::remembers`].
    fn remembers(&self) -> bool {
        false
    }

    /// What the plan says of it behind what it says of the step.
    fn summary(&self) -> String {
        String::new()
    }
}

/// `step`, with something done behind it in each partition.
pub(super) fn behind(step: Box<dyn Step>, then: impl Behind) -> Box<dyn Step> {
    let then = Arc::new(then);
    Box::new(Both { step, then })
}

struct Both<T> {
    step: Box<dyn Step>,
    then: Arc<T>,
}

impl<T: Behind> Step for Both<T> {
    fn kind(&self) -> StageKind {
        self.step.kind()
    }

    fn output(&self) -> &Schema {
        self.step.output()
    }

    fn reads(&self) -> Vec<String> {
        self.step.reads()
    }

    fn carries(&self) -> Vec<(String, String)> {
        self.step.carries()
    }

    fn keeps_unknown(&self) -> bool {
        self.step.keeps_unknown()
    }

    fn remembers(&self) -> bool {
        self.step.remembers() || self.then.remembers()
    }

    fn note(&self) -> StepNote {
        let note = self.step.note();
        StepNote {
            summary: note.summary + &self.then.summary(),
            ..note
        }
    }

    fn open(&self, partition: u32) -> Result<Box<dyn Stage>> {
        Ok(Box::new(AtWork {
            stage: self.step.open(partition)?,
            then: self.then.clone(),
        }))
    }
}

struct AtWork<T> {
    stage: Box<dyn Stage>,
    then: Arc<T>,
}

impl<T: Behind> Stage for AtWork<T> {
    fn apply(&mut self, batch: &Batch) -> Result<Changed> {
        let mut changed = self.stage.apply(batch)?;
        self.then.then(&mut changed)?;
        Ok(changed)
    }

    fn kept(&self) -> u64 {
        self.stage.kept()
    }

    fn counters(&self) -> Vec<(String, u64)> {
        self.stage.counters()
    }
}
