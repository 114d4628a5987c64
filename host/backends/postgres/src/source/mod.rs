//! PostgreSQL as a source: a table, a view or a query, read by COPY in one snapshot.
//!
//! | part | what it decides |
//! |---|---|
//! | [`open`] | what the job asks for, put together |
//! | [`relation`], [`columns`] | what is read, and how each column is |
//! | [`order`], [`keys`] | the order of rows, and whether they can be found again |
//! | [`slices`], [`since`], [`filter`] | which rows, in how many partitions |
//! | [`snapshot`] | the moment they are of |
//! | [`read`], [`stream`], [`rows`], [`letters`] | rows to batches, and back to what they were |
//! | [`knobs`] | rows of a dataknobs store to documents |

mod columns;
mod filter;
mod keys;
mod knobs;
mod letters;
mod open;
mod order;
mod read;
mod relation;
mod rows;
mod since;
mod slices;
mod snapshot;
mod stream;

use std::collections::VecDeque;
use std::sync::Arc;

use dkhost_core::source::Estimate;
use dkhost_core::{
    Batch, BatchReader, BatchSize, DeadLetter, Error, Field, Partition, Position, Result, Schema,
    Source,
};
use serde_json::{Value as Json, json};

use crate::session::Session;
use columns::Selection;
use keys::Known;
use knobs::Store;
use order::Order;
use read::{Phase, Plan, Reader};
use relation::Relation;
use since::one;
use snapshot::{Moment, Snapshots};

/// A source that is open.
pub(crate) struct PostgresSource {
    relation: Arc<Relation>,
    selection: Selection,
    /// What rows become, where they are a store's.
    store: Option<Store>,
    schema: Schema,
    order: Order,
    snapshots: Snapshots,
    /// Conditions that every row passes.
    conditions: Vec<String>,
    pushed: Vec<usize>,
    known: Known,
    partitions: Vec<Partition>,
    cursor: Option<String>,
    estimate: Estimate,
    notes: Vec<String>,
    batch: BatchSize,
    repeatable: bool,
    /// Whether the server knows no encoding, so that any bytes may be text.
    any_bytes: bool,
}

impl PostgresSource {
    /// The SELECT of the rows that pass `conditions` and everything that all rows must.
    fn select(&self, mut conditions: Vec<String>) -> String {
        conditions.extend(self.conditions.iter().cloned());
        let filter = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        format!(
            "SELECT {} FROM {}{filter}{}",
            self.selection.expressions.join(", "),
            self.relation.from,
            self.order.by()
        )
    }

    /// What is read in this moment, for a position or a slice that was made in another.
    fn phases(
        &self,
        session: &mut Session,
        moment: &Moment,
        slice: &Json,
        from: &Position,
    ) -> Result<VecDeque<Phase>> {
        let rest = Phase {
            select: self.select(self.order.rest(slice, from)?),
            catches_up: false,
        };
        let made = if from.is_start() {
            &slice["moment"]
        } else {
            &from.0["moment"]
        };
        let is_whole = from.is_start() && slice["whole"] == true;
        let by_key = matches!(self.order, Order::Key(_));
        // A partition that begins anew by its key sees every row of its own moment.
        if moment.is(made) || is_whole || (by_key && from.is_start()) || !self.relation.has_xmin() {
            return Ok(VecDeque::from([rest]));
        }
        let mut passed = self.order.passed(slice, from)?;
        passed.push(moment.since(made)?);
        let (select, repeats) = (self.select(passed.clone()), by_key && self.repeatable);
        if repeats {
            let catch_up = Phase {
                select,
                catches_up: true,
            };
            return Ok(VecDeque::from([catch_up, rest]));
        }
        let sql = format!(
            "SELECT '' FROM {} WHERE {} LIMIT 1",
            self.relation.from,
            [passed, self.conditions.clone()].concat().join(" AND ")
        );
        match one(session, &sql, "look for rows that were written since")? {
            None => Ok(VecDeque::from([rest])),
            Some(_) => Err(self.written_since(by_key)),
        }
    }

    fn written_since(&self, by_key: bool) -> Error {
        let error = Error::data(
            "source::changed",
            format!(
                "{} was written to since the run began, in places that were read already",
                self.relation.label
            ),
        );
        error.help(match by_key {
            true => "start anew with `dkhost run --no-resume`; with a target that takes records again (on_conflict = \"upsert\") the run would go on",
            false => "start anew with `dkhost run --no-resume`, or give the source a `key`",
        })
    }
}

impl Source for PostgresSource {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        Ok(self.partitions.clone())
    }

    fn fingerprint(&self, _partitions: &[Partition]) -> Result<Json> {
        Ok(self.relation.definition.clone())
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn pushed(&self) -> Vec<usize> {
        self.pushed.clone()
    }

    fn cursors(&self) -> Vec<Field> {
        match self.store {
            Some(_) => knobs::cursors(&self.relation),
            None => Vec::new(),
        }
    }

    fn cursor(&self) -> Option<String> {
        self.cursor.clone()
    }

    fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn read(&self, partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>> {
        let slice = &partition.slice;
        let filenode = self
            .relation
            .table
            .as_ref()
            .map_or(0, |table| table.filenode);
        let kept = if from.is_start() {
            &slice["filenode"]
        } else {
            &from.0["filenode"]
        };
        if self.order == Order::Ctid && *kept != json!(filenode) {
            return Err(self.written_since(false));
        }
        let (mut session, moment) = self.snapshots.join()?;
        let doing = format!("read {}", self.relation.label);
        if let Some(settings) = self.order.settings() {
            session.run(&doing, settings)?;
        }
        if self.any_bytes {
            // Else the server would check the text and end the whole COPY at the first that is not
            // UTF-8.
            session.run(&doing, "SET LOCAL client_encoding = 'SQL_ASCII'")?;
        }
        let phases = self.phases(&mut session, &moment, slice, from)?;
        let plan = Plan {
            phases,
            layout: self.selection.layout.clone(),
            documents: self.store.as_ref().map(Store::documents),
            arrow: self.schema.to_arrow(),
            limits: self.batch,
            doing,
            from: from.clone(),
            checks_key: self.known == Known::Unproven,
            filenode,
            moment,
        };
        Ok(Box::new(Reader::open(
            session,
            plan,
            self.selection.decoder()?,
        )?))
    }

    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        match &self.store {
            Some(store) => store.decode(letters),
            None => letters::decode(&self.schema, letters),
        }
    }

    fn release(&self) {
        self.snapshots.release();
    }
}
