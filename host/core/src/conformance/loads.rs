//! Whole loads: nothing, one row, exactly *k* batches.

use arrow::array::RecordBatch;

use super::trial::Trial;
use super::values::{batches, plain, plain_schema};
use super::{Fixture, Verdict, ensure};
use crate::Schema;

fn schema(fixture: &dyn Fixture) -> Schema {
    plain_schema(fixture.traits().keyed)
}

fn round_trip(fixture: &dyn Fixture, written: &[RecordBatch]) -> Verdict {
    let trial = Trial::new(fixture, &schema(fixture));
    for report in trial.load(written)? {
        ensure(report.rejects.is_empty(), || {
            format!("rejects: {:?}", report.rejects)
        })?;
    }
    trial.reads_as("source", written, true)
}

pub(super) fn an_empty_source(fixture: &dyn Fixture) -> Verdict {
    round_trip(fixture, &[])?;
    // A batch whose rows were all filtered is as good as none.
    round_trip(fixture, &[plain(&schema(fixture), &[], "row")?])
}

pub(super) fn one_row(fixture: &dyn Fixture) -> Verdict {
    round_trip(fixture, &[plain(&schema(fixture), &[1], "row")?])
}

pub(super) fn exactly_k_batches(fixture: &dyn Fixture) -> Verdict {
    for k in [1, 2, 7] {
        round_trip(fixture, &batches(&schema(fixture), k)?)?;
    }
    Ok(())
}
