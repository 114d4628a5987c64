//! Reads a slice: pages of hits, cut into batches.
//!
//! Batches are cut by rows and bytes from the position on, so that one read again holds the same
//! documents. A moment that the server loses on the way is replaced by another, in which reading
//! goes on with what was not given yet ([`super::slices::phases`]).

use std::collections::VecDeque;
use std::sync::Arc;

use dkhost_core::{Batch, BatchReader, BatchSize, Error, Position, Result};
use serde_json::Value as Json;

use super::documents::{Documents, reject};
use super::moment::{Counted, Moments, Shard, between, is_lost};
use super::page::{Hit, Pages};
use super::rows::Rows;
use super::slices::{Found, Phase, Reached, Slice, phases};

/// How often a moment may be lost before anything came out of it.
const MOMENTS_MAX: u32 = 5;

/// What a reader is made of.
pub(super) struct Plan {
    pub moments: Arc<Moments>,
    pub shard: Arc<Shard>,
    pub slice: Slice,
    /// What every document fulfils.
    pub conditions: Arc<[Json]>,
    pub wanted: Arc<Json>,
    pub limits: BatchSize,
    /// Whether the target takes a record twice.
    pub repeatable: bool,
}

/// Reads the documents of a slice.
pub(super) struct Reader {
    plan: Plan,
    documents: Documents,
    reached: Reached,
    /// The position while what changed is caught up with.
    held: Position,
    phases: VecDeque<Phase>,
    pages: Option<Pages>,
    hits: VecDeque<Hit>,
    /// Whether a moment was found.
    begun: bool,
    losses: u32,
}

impl Reader {
    /// Begins to read at a position.
    pub fn open(plan: Plan, documents: Documents, from: &Position) -> Result<Self> {
        let reached = Reached::of(&plan.slice, from)?;
        let mut reader = Reader {
            plan,
            documents,
            reached,
            held: from.clone(),
            phases: VecDeque::new(),
            pages: None,
            hits: VecDeque::new(),
            begun: false,
            losses: 0,
        };
        reader.begin()?;
        Ok(reader)
    }

    /// Finds a moment, and what is to be read in it.
    fn begin(&mut self) -> Result<()> {
        self.hits.clear();
        (self.pages, self.begun) = (None, false);
        loop {
            let moment = match self.reached.moment.take() {
                Some(adopted) => {
                    self.plan.moments.adopt(&adopted);
                    adopted
                }
                None => self.plan.moments.of(&self.plan.shard)?,
            };
            match self.look(&moment) {
                Ok(found) => {
                    let repeatable = self.plan.repeatable;
                    let (reached, phases) =
                        phases(&self.plan.slice, self.reached.clone(), &found, repeatable)?;
                    self.reached = Reached {
                        moment: Some(moment),
                        ..reached
                    };
                    (self.phases, self.begun) = (phases.into(), true);
                    return Ok(());
                }
                Err(error) if is_lost(&error) => self.lose(&moment, error)?,
                Err(error) => {
                    // Asked for again when this is tried again.
                    self.reached.moment = Some(moment);
                    return Err(error);
                }
            }
        }
    }

    /// Counts what is left in a moment.
    fn look(&self, moment: &str) -> Result<Found> {
        let Plan {
            moments,
            shard,
            slice,
            conditions,
            ..
        } = &self.plan;
        let count = |after, until| -> Result<Counted> {
            let mut conditions = conditions.to_vec();
            conditions.push(between(after, until));
            moments.count(shard, moment, &conditions)
        };
        let left = count(self.reached.sequence, slice.until)?.documents;
        let fresh = count(self.reached.ceiling, i64::MAX)?;
        let whole = match left > self.reached.count.saturating_sub(self.reached.read) {
            true => count(slice.after, slice.until)?.documents,
            false => 0,
        };
        Ok(Found { left, fresh, whole })
    }

    /// The server has lost a moment.
    fn lose(&mut self, moment: &str, error: Error) -> Result<()> {
        self.plan.moments.lost(&self.plan.shard, moment);
        self.losses += 1;
        match self.losses > MOMENTS_MAX {
            true => Err(error.help("the server loses a moment of the index as soon as it has made one; is it short of memory, or `keep_alive` too short?")),
            false => Ok(()),
        }
    }

    /// To where the last batch ended, without the moment it ended in.
    fn go_back(&mut self, phase: Phase) -> Result<()> {
        (self.begun, self.reached.moment) = (false, None);
        match phase.catches_up {
            true => {
                let held = Reached::of(&self.plan.slice, &self.held)?;
                self.reached = Reached {
                    moment: None,
                    ..held
                };
            }
            false => self.held = self.reached.position()?,
        }
        Ok(())
    }

    /// Gets more hits; `false` when there are no more in this phase.
    fn fetch(&mut self) -> Result<bool> {
        if !self.begun {
            self.begin()?;
        }
        let Some(phase) = self.phases.front().copied() else {
            return Ok(false);
        };
        let Plan {
            moments,
            shard,
            conditions,
            wanted,
            ..
        } = &self.plan;
        let moment = self.reached.moment.as_deref().unwrap_or_default();
        let pages = self.pages.get_or_insert_with(|| {
            Pages::new(
                moments,
                shard,
                moment,
                (conditions, wanted),
                (phase.after, phase.until),
            )
        });
        let more = match pages.next(&mut self.hits) {
            Err(error) if is_lost(&error) => {
                let lost = pages.moment.clone();
                self.lose(&lost, error)?;
                self.go_back(phase)?;
                self.begin()?;
                return Ok(true);
            }
            more => more?,
        };
        self.reached.moment = Some(pages.moment.clone());
        Ok(more)
    }

    /// How many hits the next batch has, as far as they are here, and whether it is full.
    fn measure(&self) -> (usize, bool) {
        let (limits, mut bytes) = (self.plan.limits, 0);
        for (count, hit) in self.hits.iter().enumerate() {
            bytes += hit.source().len();
            if count > 0 && (count >= limits.rows || bytes > limits.bytes) {
                return (count, true);
            }
        }
        (
            self.hits.len(),
            self.hits.len() >= limits.rows || bytes >= limits.bytes,
        )
    }

    fn batch(&mut self, count: usize) -> Result<Batch> {
        let hits: Vec<Hit> = self.hits.drain(..count).collect();
        let (mut origin, mut rejects) = (Vec::with_capacity(count), Vec::new());
        for (row, hit) in (0..).zip(&hits) {
            match self.documents.push(&hit.id, hit.source()) {
                Ok(()) => origin.push(row),
                Err(refused) => rejects.push(reject(row, refused)),
            }
        }
        let catches_up = self.phases.front().is_some_and(|phase| phase.catches_up);
        let until = match hits.last() {
            Some(last) if !catches_up => {
                self.reached.sequence = last.sequence;
                self.reached.read += count as u64;
                self.reached.position()?
            }
            _ => self.held.clone(),
        };
        self.losses = 0;
        Ok(Batch {
            records: self.documents.finish()?,
            origin: (!rejects.is_empty()).then(|| Arc::from(origin)),
            rejects,
            until,
            source_bytes: hits.iter().map(|hit| hit.source().len() as u64).sum(),
            source: Arc::new(Rows {
                index: self.plan.shard.index.name.as_str().into(),
                hits,
            }),
        })
    }
}

impl BatchReader for Reader {
    fn next(&mut self) -> Result<Option<Batch>> {
        loop {
            let (count, full) = self.measure();
            if full || (!self.fetch()? && count > 0) {
                return self.batch(count).map(Some);
            }
            if self.hits.is_empty() && self.pages.as_ref().is_some_and(Pages::is_over) {
                self.pages = None;
                self.phases.pop_front();
            }
            if self.phases.is_empty() {
                return Ok(None);
            }
        }
    }
}
