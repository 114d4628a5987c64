//! A partition's document while it is ours: the checkpoint, and before a batch is sent, what that
//! is about to change.
//!
//! ```text
//! note    what a batch changes, in memory; in pages beside the document where it is large
//! intend  the document names it: from here on it can be sent
//! commit  the checkpoint in its place
//! ```
//!
//! Whoever takes the partition over writes the document first, so that the commit of whoever had it
//! fails, and only then undoes what was intended: the other way round a commit could come in between,
//! and say that documents are there which were just taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dkhost_core::{Checkpoint, Result};

use super::intent::{Intent, Undo};
use super::store::{On, PAGE_BYTES, Part, Put, Seat, is_too_large};
use super::{Held, Target};

/// Makes stamps unlike each other in one process; the epoch makes them unlike another's.
static STAMP: AtomicU64 = AtomicU64::new(0);

/// How often somebody whose commit was under way may be faster than we are.
const ADOPTIONS: u32 = 8;

/// A partition that is open.
pub(super) struct Journal {
    target: Arc<Target>,
    held: Held,
    partition: u32,
    checkpoint: Option<Checkpoint>,
    seat: Option<Seat>,
    /// What was noted since the last commit.
    intent: Intent,
    /// What was noted before it and is in pages, names of those of one text together.
    pages: Vec<Vec<String>>,
}

impl Journal {
    /// Opens a partition of a target that is held, with nothing half done.
    ///
    /// *Errors* – `run::fenced`.
    pub fn open(target: Arc<Target>, held: Held, partition: u32) -> Result<Self> {
        let found = target.store.part(partition)?;
        let found = found
            .map(|found| adopt(&target, &held, found))
            .transpose()?;
        let (checkpoint, seat) = match found {
            Some((part, seat)) => (part.checkpoint, Some(seat)),
            None => (None, None),
        };
        let mut journal = Journal {
            target,
            held,
            partition,
            checkpoint,
            seat,
            intent: Intent::default(),
            pages: Vec::new(),
        };
        if journal.seat.is_none() {
            // So that a process before us, which knows of nothing here, cannot begin.
            journal.intend()?;
        }
        Ok(journal)
    }

    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// Whether nothing was noted since the last commit.
    pub fn is_clean(&self) -> bool {
        self.intent.is_empty() && self.pages.is_empty()
    }

    /// Notes what is to be changed, before [`Journal::intend`].
    pub fn note(&mut self, note: impl FnOnce(&mut Intent) -> Result<()>) -> Result<()> {
        note(&mut self.intent)?;
        match self.intent.bytes() > PAGE_BYTES {
            true => self.turn_over(),
            false => Ok(()),
        }
    }

    /// Writes down what was noted: it may be sent.
    ///
    /// *Errors* – `run::fenced`.
    pub fn intend(&mut self) -> Result<()> {
        match self.keep() {
            Err(error) if is_too_large(&error) && !self.intent.is_empty() => {
                self.turn_over()?;
                self.keep()
            }
            kept => kept,
        }
    }

    /// Puts what was noted into pages.
    fn turn_over(&mut self) -> Result<()> {
        let store = &self.target.store;
        let names = store.put_pages(&self.held, self.partition, &self.intent)?;
        self.intent = Intent::default();
        self.pages.push(names);
        Ok(())
    }

    fn keep(&mut self) -> Result<()> {
        let number = STAMP.fetch_add(1, Ordering::Relaxed);
        let mut part = Part {
            stamp: format!("{} {} {number}", self.held.epoch, std::process::id()),
            intent: Some(std::mem::take(&mut self.intent)).filter(|intent| !intent.is_empty()),
            pages: self.pages.clone(),
            ..self.part(self.checkpoint.clone())
        };
        let put = self.put(&part);
        self.intent = part.intent.take().unwrap_or_default();
        put
    }

    /// The partition's document with nothing half done.
    fn part(&self, checkpoint: Option<Checkpoint>) -> Part {
        Part {
            stamp: String::new(),
            run: self.held.run.clone(),
            epoch: self.held.epoch,
            partition: self.partition,
            checkpoint,
            intent: None,
            pages: Vec::new(),
        }
    }

    fn put(&mut self, part: &Part) -> Result<()> {
        let on = self.seat.map_or(On::Nothing, On::Seat);
        let put = match self.target.store.put_part(part, on)? {
            // An earlier attempt of ours came late, or somebody took the run over.
            Put::Overtaken => match self.ours()? {
                Some((_, seat)) => self.target.store.put_part(part, On::Seat(seat))?,
                None => Put::Overtaken,
            },
            done => done,
        };
        match put {
            Put::Done(seat) => {
                self.seat = Some(seat);
                Ok(())
            }
            Put::Overtaken => Err(self.target.store.fenced(&self.held.run, self.held.epoch)),
        }
    }

    /// The partition's document, unless somebody took the run over.
    fn ours(&self) -> Result<Option<(Part, Seat)>> {
        let found = self.target.store.part(self.partition)?;
        let held = (&self.held.run, self.held.epoch);
        Ok(found.filter(|(part, _)| (&part.run, part.epoch) == held))
    }

    /// Puts the checkpoint in the place of what was intended.
    ///
    /// *Errors* – `run::fenced`.
    pub fn commit(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.put(&Part {
            stamp: format!("{} commit {}", self.held.epoch, checkpoint.seq),
            ..self.part(Some(checkpoint.clone()))
        })?;
        self.checkpoint = Some(checkpoint.clone());
        self.begin_anew();
        Ok(())
    }

    /// Undoes what was sent since the last commit. Whoever took the run over has done so, and may
    /// have written it again.
    pub fn undo(&mut self) -> Result<()> {
        if self.is_clean() {
            return Ok(());
        }
        if let Some((part, _)) = self.ours()? {
            undo(&self.target, &self.held, &part)?;
            let number = STAMP.fetch_add(1, Ordering::Relaxed);
            self.put(&Part {
                stamp: format!("{} undone {number}", self.held.epoch),
                ..self.part(self.checkpoint.clone())
            })?;
            self.begin_anew();
        }
        self.intent = Intent::default();
        self.pages.clear();
        Ok(())
    }

    /// The document names no intent any more.
    fn begin_anew(&mut self) {
        self.intent = Intent::default();
        let pages = std::mem::take(&mut self.pages);
        // What is left of them is swept when the run is retired.
        let _ = self.target.store.forget_pages(pages.iter().flatten());
    }
}

/// Takes a partition's document over for our run and epoch, and undoes what was not committed.
///
/// *Errors* – `run::fenced`.
pub(super) fn adopt(target: &Target, held: &Held, found: (Part, Seat)) -> Result<(Part, Seat)> {
    let fenced = || target.store.fenced(&held.run, held.epoch);
    let (mut part, mut seat) = found;
    for _ in 0..ADOPTIONS {
        if part.epoch > held.epoch {
            break;
        }
        let partition = part.partition;
        let adopted = Part {
            stamp: format!("adopted {}", held.epoch),
            run: held.run.clone(),
            epoch: held.epoch,
            checkpoint: part
                .checkpoint
                .filter(|checkpoint| checkpoint.run == held.run),
            ..part
        };
        if let Put::Done(seat) = target.store.put_part(&adopted, On::Seat(seat))? {
            return undone(target, held, adopted, seat);
        }
        (part, seat) = target.store.part(partition)?.ok_or_else(fenced)?;
    }
    Err(fenced())
}

/// A partition of ours with nothing half done.
fn undone(target: &Target, held: &Held, part: Part, seat: Seat) -> Result<(Part, Seat)> {
    if part.intent.is_none() && part.pages.is_empty() {
        return Ok((part, seat));
    }
    undo(target, held, &part)?;
    let clean = Part {
        stamp: format!("undone {}", held.epoch),
        intent: None,
        pages: Vec::new(),
        ..part
    };
    match target.store.put_part(&clean, On::Seat(seat))? {
        Put::Done(seat) => Ok((clean, seat)),
        Put::Overtaken => Err(target.store.fenced(&held.run, held.epoch)),
    }
}

fn undo(target: &Target, held: &Held, part: &Part) -> Result<()> {
    let undo = Undo {
        client: &target.client,
        index: &held.path(),
        through: &held.alias,
        doing: &format!("undo what was not committed in index {}", held.index),
    };
    target.store.intents(part, |intent| undo.undo(intent))
}
