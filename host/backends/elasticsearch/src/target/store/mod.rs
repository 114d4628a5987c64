//! Where a target remembers a run: documents of an index of our own, changed by compare-and-set.
//!
//! One document says who owns the target, one for each partition how far it is and what it is about
//! to write. A writer knows the sequence number of its partition's document and changes nothing else;
//! whoever takes the target over rewrites them all, so that the writers before fail. Every change
//! has a stamp: where a reply was lost, the stamp says whether the change was made. What is too
//! large for one request is kept beside the partition's document ([`pages`]).

mod index;
mod pages;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use dkhost_core::checkpoint::CHECKPOINT_VERSION;
use dkhost_core::takeover::recall;
use dkhost_core::{Checkpoint, Class, Error, Result, TargetState};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};
use xxhash_rust::xxh3::xxh3_128;

use super::intent::Intent;
use super::place::WRITERS;
use crate::client::Client;
use index::Index;
pub(super) use index::{INDEX, On, Put, Seat};
pub(super) use pages::{PAGE_BYTES, is_too_large};

/// Who owns a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub version: u32,
    pub stamp: String,
    pub owner: String,
    pub job: String,
    pub run: String,
    pub epoch: u64,
    pub plan_hash: String,
    /// What the job names.
    pub name: String,
    /// The index documents go to.
    pub index: String,
    /// Whether nobody's documents were there when the run began.
    pub fresh: bool,
    pub published: bool,
    /// Whether `index` is to take the place of what has the name now.
    pub replaces: bool,
    /// The index's settings that are changed during the load, as they were.
    pub before: Map<String, Json>,
}

/// What a partition's document says.
#[derive(Debug, Deserialize)]
struct PartBody {
    stamp: String,
    run: String,
    epoch: u64,
    partition: u32,
    checkpoint: Option<Checkpoint>,
    intent: Option<Box<RawValue>>,
    #[serde(default)]
    pages: Vec<Vec<String>>,
}

/// A partition as it is kept.
#[derive(Debug)]
pub(super) struct Part {
    pub stamp: String,
    pub run: String,
    pub epoch: u64,
    pub partition: u32,
    pub checkpoint: Option<Checkpoint>,
    /// What it is about to write.
    pub intent: Option<Intent>,
    /// The rest of it: names of pages, those of one text together.
    pub pages: Vec<Vec<String>>,
}

/// The documents of one job and target.
#[derive(Debug, Clone)]
pub(super) struct Store {
    index: Index,
    /// What their ids begin with.
    pub key: String,
    /// Bytes of a page, at the most.
    page_bytes: Arc<AtomicUsize>,
}

impl Store {
    pub fn new(client: Client, job: &str, name: &str) -> Self {
        Store {
            key: format!("{:032x}", xxh3_128(format!("{job}\0{name}").as_bytes())),
            index: Index {
                client,
                job: job.to_owned(),
            },
            page_bytes: Arc::new(AtomicUsize::new(PAGE_BYTES)),
        }
    }

    /// Creates the index, unless it is there.
    pub fn create(&self) -> Result<()> {
        self.index.create()
    }

    /// The alias through which the process of an epoch writes.
    pub fn alias(&self, epoch: u64) -> String {
        format!("{WRITERS}{}-{epoch}", self.key)
    }

    /// All such aliases, of whichever epoch.
    pub fn aliases(&self) -> String {
        format!("{WRITERS}{}-*", self.key)
    }

    fn part_id(&self, partition: u32) -> String {
        format!("{}-{partition}", self.key)
    }

    /// Who owns the target; `None` when nobody does.
    ///
    /// *Errors* – `state::newer`, `state::corrupt`.
    pub fn owner(&self) -> Result<Option<(Owner, Seat)>> {
        self.index
            .read(&self.key)?
            .map(|(body, seat)| {
                Ok((
                    recall(&body, &self.index.job, |why| self.corrupt(why))?,
                    seat,
                ))
            })
            .transpose()
    }

    /// A partition; `None` when there is nothing.
    ///
    /// *Errors* – `state::newer`, `state::corrupt`.
    pub fn part(&self, partition: u32) -> Result<Option<(Part, Seat)>> {
        self.index
            .read(&self.part_id(partition))?
            .map(|(body, seat)| Ok((self.parse(&body)?, seat)))
            .transpose()
    }

    fn parse(&self, body: &str) -> Result<Part> {
        let part: PartBody = recall(body, &self.index.job, |why| self.corrupt(why))?;
        let intent = part.intent.map(|intent| {
            serde_json::from_str(intent.get()).map_err(|cause| {
                self.corrupt("what it was about to write cannot be read")
                    .caused_by(cause)
            })
        });
        Ok(Part {
            stamp: part.stamp,
            run: part.run,
            epoch: part.epoch,
            partition: part.partition,
            checkpoint: part.checkpoint,
            intent: intent.transpose()?,
            pages: part.pages,
        })
    }

    fn corrupt(&self, why: &str) -> Error {
        Error::state(
            "state::corrupt",
            format!(
                "the checkpoint of job `{}` in index {INDEX} is damaged: {why}",
                self.index.job
            ),
        )
        .help("start over with `dkhost run --no-resume`, after a look at what the target holds")
    }

    /// Every partition that is kept, by number.
    pub fn parts(&self) -> Result<Vec<(Part, Seat)>> {
        let mut parts = Vec::new();
        for id in self.index.ids_of(&self.key)? {
            if id == self.key {
                continue;
            }
            if let Some((body, seat)) = self.index.read(&id)? {
                parts.push((self.parse(&body)?, seat));
            }
        }
        parts.sort_by_key(|(part, _)| part.partition);
        Ok(parts)
    }

    /// Everything that is kept, as the engine asks for it.
    pub fn state(&self) -> Result<Option<TargetState>> {
        let Some((owner, _)) = self.owner()? else {
            return Ok(None);
        };
        let parts = self.parts()?.into_iter().map(|(part, _)| part);
        Ok(Some(TargetState {
            checkpoints: parts
                .filter(|part| part.run == owner.run)
                .filter_map(|part| part.checkpoint)
                .collect(),
            run: owner.run,
            epoch: owner.epoch,
            plan_hash: owner.plan_hash,
            published: owner.published,
        }))
    }

    /// Writes who owns the target.
    pub fn put_owner(&self, owner: &Owner, on: On) -> Result<Put> {
        let body = serde_json::to_vec(owner)
            .map_err(|cause| Error::bug("an owner is no JSON").caused_by(cause))?;
        self.index.put(&self.key, body, &owner.stamp, on)
    }

    /// Writes a partition. Its `stamp` is like no other's.
    pub fn put_part(&self, part: &Part, on: On) -> Result<Put> {
        let mut body = serde_json::to_vec(&json!({
            "version": CHECKPOINT_VERSION, "owner": self.key, "stamp": part.stamp, "job": self.index.job,
            "run": part.run, "epoch": part.epoch, "partition": part.partition,
            "checkpoint": part.checkpoint, "pages": part.pages,
        }))
        .map_err(|cause| Error::bug("a checkpoint is no JSON").caused_by(cause))?;
        if let Some(intent) = &part.intent {
            body.pop();
            body.extend_from_slice(b",\"intent\":");
            intent.write(&mut body);
            body.push(b'}');
        }
        self.index
            .put(&self.part_id(part.partition), body, &part.stamp, on)
    }

    /// Deletes a partition, wherever it stands.
    pub fn forget_part(&self, partition: u32) -> Result<()> {
        self.index.delete(&self.part_id(partition), None)
    }

    /// Deletes who owns the target, if nobody changed it since.
    pub fn forget_owner(&self, seat: Seat) -> Result<()> {
        self.index.delete(&self.key, Some(seat))
    }

    /// The error of a process that found its documents changed: whose they are now.
    pub fn fenced(&self, run: &str, epoch: u64) -> Error {
        match self.owner() {
            Ok(Some((owner, _))) if owner.run != run || owner.epoch != epoch => {
                dkhost_core::sink::fenced(run, epoch, owner.epoch)
            }
            Ok(None) => dkhost_core::sink::fenced(run, epoch, epoch + 1),
            Ok(Some(_)) => Error::new(
                Class::Locked,
                "run::fenced",
                format!("another process changed the checkpoints of run {run}"),
            )
            .help("run the same command again: it goes on with what that process left"),
            Err(error) => error,
        }
    }
}
