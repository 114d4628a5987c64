//! Columns added during a run (`schema_drift = "evolve"`).

use arrow::array::RecordBatch;

use super::compare::{documents, same_documents};
use super::trial::{Open, Trial, options, refused};
use super::values::{plain, plain_schema};
use super::{Failure, Fixture, Verdict, ensure};
use crate::{Field, LogicalType, Nulls, Schema};

/// A target that a column is added to: rows before it and after it.
struct Growing<'a> {
    trial: Trial<'a>,
    extra: Field,
    wider: Schema,
    before: RecordBatch,
    after: RecordBatch,
}

impl<'a> Growing<'a> {
    fn new(fixture: &'a dyn Fixture) -> Result<Self, Failure> {
        let schema = plain_schema(fixture.traits().keyed);
        let extra = Field::new("extra", LogicalType::Utf8);
        let mut wider = schema.clone();
        wider.fields.push(extra.clone());
        Ok(Growing {
            before: plain(&schema, &[1, 2], "row")?,
            after: plain(&wider, &[3, 4], "row")?,
            trial: Trial::new(fixture, &schema),
            extra,
            wider,
        })
    }

    /// A target without this capability refuses the column; says whether this one has it.
    fn can(&self) -> Result<bool, Failure> {
        let options = options("[target]", &self.trial.place.target)?;
        let backend = self.trial.fixture.backend();
        Ok(backend.target_capabilities(&options)?.evolves)
    }

    fn add(&self, open: &mut Open) -> Verdict {
        Ok(open.writer.add_columns(std::slice::from_ref(&self.extra))?)
    }

    fn reads_as_written(&self) -> Verdict {
        let (found, rows) = self.trial.read()?;
        let before = documents(&self.trial.schema, std::slice::from_ref(&self.before))?;
        let after = documents(&self.wider, std::slice::from_ref(&self.after))?;
        let (expected, found) = ([before, after].concat(), documents(&found, &rows)?);
        same_documents("source", &expected, &found, false, Nulls::Omit)
    }
}

pub(super) fn are_added(fixture: &dyn Fixture) -> Verdict {
    let growing = Growing::new(fixture)?;
    let mut open = growing.trial.start(0, 0)?;
    open.write(&growing.before)?;
    open.commit(false)?;
    if !growing.can()? {
        let added = open
            .writer
            .add_columns(std::slice::from_ref(&growing.extra));
        let error = refused("a new column", added)?;
        return ensure(error.code() == "target::cannot_evolve", || {
            format!("refused with {error:?}")
        });
    }
    growing.add(&mut open)?;
    growing.add(&mut open)?;
    open.write(&growing.after)?;
    open.commit(false)?;
    open.finish()?;
    growing.reads_as_written()
}

pub(super) fn outlive_a_kill(fixture: &dyn Fixture) -> Verdict {
    let growing = Growing::new(fixture)?;
    // What a target does that cannot is asked by the case before.
    if !growing.can()? {
        return Ok(());
    }
    for end in [End::RolledBack, End::Staged, End::Committed] {
        Growing::new(fixture)?
            .goes_on_after(end)
            .map_err(|Failure(why)| Failure(format!("{end:?}: {why}")))?;
    }
    Ok(())
}

/// What happens to the first batch that has the new column.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// It is rolled back and written again by the same process.
    RolledBack,
    /// The process dies before its commit.
    Staged,
    /// The process dies after its commit.
    Committed,
}

impl Growing<'_> {
    /// Batches that have the column, as the engine sends them from then on, find it there.
    fn goes_on_after(&self, end: End) -> Verdict {
        let mut open = self.trial.start(0, 0)?;
        open.write(&self.before)?;
        open.commit(false)?;
        let committed = open.checkpoint.clone();
        if end != End::Committed {
            // Rows are staged already when the new field is met.
            open.write(&self.before.slice(0, 0))?;
        }
        self.add(&mut open)?;
        open.write(&self.after.slice(0, 1))?;
        match end {
            End::RolledBack => {
                open.writer.roll_back()?;
                open.checkpoint = committed;
            }
            End::Committed => open.commit(false)?,
            End::Staged => (),
        }
        if end != End::RolledBack {
            open = self.taken_over(open)?;
        }
        // What the checkpoint does not name is met, and added, anew.
        if end == End::Staged {
            self.add(&mut open)?;
        }
        let left = if open.checkpoint.seq == 2 { 1 } else { 0 };
        open.write(&self.after.slice(left, 2 - left))?;
        open.commit(false)?;
        open.finish()?;
        self.reads_as_written()
    }

    /// The next process at the same run.
    fn taken_over(&self, open: Open) -> Result<Open, Failure> {
        let epoch = open.checkpoint.epoch;
        drop(open);
        self.trial.start(epoch, 0)
    }
}
