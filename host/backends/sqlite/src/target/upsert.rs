//! Rows that meet others under `upsert`: read what is there, keep what is equal, replace the rest.
//!
//! Rows of one batch with the same key are folded into the last of them, and "the same key" is
//! what the table's index says, collation included: two rows are the same when they meet the same
//! row of the table.

use std::collections::HashMap;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use dkhost_core::content::row_hashes;
use dkhost_core::{ContentSum, Error, Outcome, Result, WriteReport};
use rusqlite::{Connection, Statement};

use super::Target;
use super::attempt::Attempt;
use super::bind::{Binder, Refusal, refusal};
use super::layout::Encoded;
use super::statements::{RowId, Statements};
use super::writer::{Fates, ignored, rolled_back_by_table};
use crate::fault::fault;

/// A batch that was inserted as far as it met nothing.
pub(super) struct Batch<'a> {
    pub target: &'a Target,
    pub db: &'a Connection,
    pub statements: &'a Statements,
    pub encoded: &'a Encoded,
    /// The batch in the job's columns.
    pub records: &'a RecordBatch,
}

/// A row of the target that rows of the batch meet.
struct Met {
    id: RowId,
    /// The rows of the batch, in order.
    rows: Vec<usize>,
    /// Hash of what is there: in the batch's columns, and in the plan's.
    there: (u128, u128),
    /// Whether all of what is there could be read; else it is equal to nothing.
    is_read: bool,
}

impl Batch<'_> {
    fn failed(&self, cause: rusqlite::Error) -> Error {
        fault(format!("write to {}", self.target.label()), cause)
    }

    /// The rows that the conflicting ones meet, each once.
    fn met(&self, fates: &mut Fates) -> Result<Vec<Met>> {
        let mut statement = self
            .db
            .prepare(&self.statements.lookup)
            .map_err(|cause| self.failed(cause))?;
        let mut binder = Binder::new(&self.statements.columns, &self.encoded.records)?;
        let mut back = self.target.layout.read_back(&self.statements.schema);
        let mut places: HashMap<RowId, usize> = HashMap::new();
        let mut met: Vec<Met> = Vec::new();
        for row in 0..fates.outcomes.len() {
            if fates.outcomes[row] != Outcome::Unchanged {
                continue;
            }
            if let Err(Refusal::Failed(cause)) =
                binder.some(&mut statement, &self.statements.key, 1, row)
            {
                return Err(self.failed(cause));
            }
            let mut rows = statement.raw_query();
            let Some(there) = rows.next().map_err(|cause| self.failed(cause))? else {
                fates.outcomes[row] = Outcome::Rejected;
                fates.rejects.push(ignored(row));
                continue;
            };
            let id = RowId::of(there, self.statements).map_err(|cause| self.failed(cause))?;
            let place = *places.entry(id.clone()).or_insert_with(|| {
                let is_read = back.push(there, self.statements.identity_width());
                met.push(Met {
                    id,
                    rows: Vec::new(),
                    there: (0, 0),
                    is_read,
                });
                met.len() - 1
            });
            met[place].rows.push(row);
        }
        let there = back.finish()?;
        let plan: Vec<usize> =
            (0..self.target.schema.fields.len().min(there.num_columns())).collect();
        let hashes = row_hashes(&there)?
            .into_iter()
            .zip(row_hashes(&there.project(&plan)?)?);
        met.iter_mut()
            .zip(hashes)
            .for_each(|(met, there)| met.there = there);
        Ok(met)
    }

    /// The hash of every conflicting row, in the batch's columns.
    fn sent(&self, met: &[Met]) -> Result<HashMap<usize, u128>> {
        let rows: Vec<usize> = met
            .iter()
            .flat_map(|met| met.rows.iter().copied())
            .collect();
        let in_batch = |row: &usize| {
            self.encoded
                .rows
                .as_ref()
                .map_or(*row as u32, |rows| rows[*row])
        };
        let indices = UInt32Array::from_iter_values(rows.iter().map(in_batch));
        let hashes = row_hashes(&take_record_batch(self.records, &indices)?)?;
        Ok(rows.into_iter().zip(hashes).collect())
    }

    fn update(
        &self,
        statement: &mut Statement<'_>,
        binder: &mut Binder<'_>,
        row: usize,
        id: &RowId,
    ) -> Result<(), Refusal> {
        binder.row(statement, row)?;
        let first = self.statements.columns.len() + 1;
        for (i, value) in id.values().into_iter().enumerate() {
            statement
                .raw_bind_parameter(first + i, value)
                .map_err(Refusal::Failed)?;
        }
        match statement.raw_execute() {
            Ok(0) => Err(Refusal::Row(ignored(row))),
            Ok(_) => Ok(()),
            Err(cause) => Err(refusal(cause, row, &self.statements.columns)),
        }
    }
}

/// Settles what becomes of the rows that met others, `Unchanged` until now.
pub(super) fn settle(batch: &Batch<'_>, fates: &mut Fates, report: &mut WriteReport) -> Result<()> {
    let met = batch.met(fates)?;
    let sent = batch.sent(&met)?;
    let inserted: HashMap<RowId, usize> = fates
        .ids
        .iter()
        .enumerate()
        .filter_map(|(row, id)| Some((id.clone()?, row)))
        .collect();
    let mut statement = batch
        .db
        .prepare(&batch.statements.update)
        .map_err(|cause| batch.failed(cause))?;
    let mut binder = Binder::new(&batch.statements.columns, &batch.encoded.records)?;
    let mut attempt =
        Attempt::new(batch.db, batch.statements).map_err(|cause| batch.failed(cause))?;
    for met in met {
        let Met {
            id,
            rows,
            there,
            is_read,
        } = met;
        // A row of this batch that was inserted before; its place is taken, not a stranger's.
        let own = inserted.get(&id).copied();
        let mut settled = false;
        for row in rows.into_iter().rev() {
            fates.outcomes[row] = Outcome::Deduplicated;
            if settled {
                continue;
            }
            if own.is_none() && is_read && sent.get(&row) == Some(&there.0) {
                (fates.outcomes[row], settled) = (Outcome::Unchanged, true);
                continue;
            }
            match attempt.row(|| batch.update(&mut statement, &mut binder, row, &id)) {
                Ok(()) => {
                    settled = true;
                    fates.outcomes[row] = Outcome::Written;
                    fates.ids[row] = Some(id.clone());
                    match own {
                        Some(own) => {
                            (fates.outcomes[own], fates.ids[own]) = (Outcome::Deduplicated, None)
                        }
                        None => {
                            report.replaced += ContentSum(there.1);
                            report.replaced_rows += 1;
                        }
                    }
                }
                Err(Refusal::Failed(cause)) => return Err(batch.failed(cause)),
                // The one before it, if there is one, is the last that can be held.
                Err(Refusal::Row(reject)) => {
                    if batch.db.is_autocommit() {
                        return Err(rolled_back_by_table(&reject.message));
                    }
                    fates.outcomes[row] = Outcome::Rejected;
                    fates.rejects.push(reject);
                }
            }
        }
    }
    Ok(())
}
