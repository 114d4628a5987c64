//! Where a target remembers a run: documents of an index of our own, changed by compare-and-set.
//!
//! One document says who owns the target, one for each partition how far it is and what it is about
//! to write. A writer knows the sequence number of its partition's document and changes nothing else;
//! whoever takes the target over rewrites them all, so that the writers before fail. Every change
//! has a stamp: where a reply was lost, the stamp says whether the change was made.

use dkhost_core::checkpoint::CHECKPOINT_VERSION;
use dkhost_core::takeover::recall;
use dkhost_core::{Checkpoint, Class, Error, Result, TargetState};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};
use xxhash_rust::xxh3::xxh3_128;

use super::intent::Intent;
use crate::client::{Client, Media, Request, segment};
use crate::fault;

/// The index of all jobs' checkpoints in a cluster.
pub(super) const INDEX: &str = "dkhost-checkpoints";

/// How often a shard that has not started is waited for.
const SETTLES: u32 = 3;

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
    version: u32,
    stamp: String,
    run: String,
    epoch: u64,
    partition: u32,
    checkpoint: Option<Checkpoint>,
    intent: Option<Box<RawValue>>,
}

/// A partition as it is kept.
#[derive(Debug)]
pub(super) struct Part {
    pub stamp: String,
    pub run: String,
    pub epoch: u64,
    pub partition: u32,
    pub checkpoint: Option<Checkpoint>,
    pub intent: Option<Intent>,
}

/// Where a document stands: its sequence number and primary term.
pub(super) type Seat = (u64, u64);

/// What a change is made on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum On {
    Nothing,
    Seat(Seat),
}

/// What became of a change.
#[derive(Debug, PartialEq)]
pub(super) enum Put {
    Done(Seat),
    /// Somebody else was faster.
    Overtaken,
}

/// The documents of one job and target.
#[derive(Debug, Clone)]
pub(super) struct Store {
    client: Client,
    /// What their ids begin with.
    pub key: String,
    job: String,
}

#[derive(Deserialize)]
struct Found<'a> {
    #[serde(default)]
    found: bool,
    #[serde(rename = "_seq_no")]
    seq_no: Option<u64>,
    #[serde(rename = "_primary_term")]
    term: Option<u64>,
    #[serde(borrow, rename = "_source")]
    source: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "_seq_no")]
    seq_no: u64,
    #[serde(rename = "_primary_term")]
    term: u64,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    timed_out: bool,
    hits: ListedHits,
}

#[derive(Deserialize)]
struct ListedHits {
    hits: Vec<ListedHit>,
}

#[derive(Deserialize)]
struct ListedHit {
    #[serde(rename = "_id")]
    id: String,
}

impl Store {
    pub fn new(client: Client, job: &str, name: &str) -> Self {
        Store {
            key: format!("{:032x}", xxh3_128(format!("{job}\0{name}").as_bytes())),
            client,
            job: job.to_owned(),
        }
    }

    fn doing(&self) -> String {
        format!("keep the checkpoints of job `{}`", self.job)
    }

    /// The alias through which the process of an epoch writes.
    pub fn alias(&self, epoch: u64) -> String {
        format!("dkhost-writer-{}-{epoch}", self.key)
    }

    /// All such aliases, of whichever epoch.
    pub fn aliases(&self) -> String {
        format!("dkhost-writer-{}-*", self.key)
    }

    fn part_id(&self, partition: u32) -> String {
        format!("{}-{partition}", self.key)
    }

    /// Creates the index, unless it is there.
    pub fn create(&self) -> Result<()> {
        let doing = self.doing();
        let body = json!({
            "settings": {"index": {
                "hidden": true, "number_of_shards": 1, "auto_expand_replicas": "0-1",
            }},
            "mappings": {"dynamic": false, "properties": {"owner": {"type": "keyword"},
                "intent": {"type": "object", "enabled": false},
                "checkpoint": {"type": "object", "enabled": false}}},
        });
        let answer = self.client.send(&Request::put(&doing, INDEX).json(&body))?;
        let error = fault::refused(&doing, &answer);
        let exists = fault::refusal(&error)
            .is_some_and(|refusal| refusal.kind == "resource_already_exists_exception");
        match answer.is_fine() || exists {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Waits for the index's shard, which takes a moment where another job has just made the index
    /// (its health is yellow from the first, so that it says nothing).
    fn settle(&self) -> Result<()> {
        let health = Request::get(self.doing(), format!("_cluster/health/{INDEX}"))
            .with("wait_for_active_shards", 1)
            .with("timeout", "10s");
        self.client.send(&health).map(drop)
    }

    fn read(&self, id: &str) -> Result<Option<(String, Seat)>> {
        let doing = self.doing();
        let request = Request::get(&doing, format!("{INDEX}/_doc/{}", segment(id)));
        let mut answer = self.client.send(&request)?;
        for _ in 0..SETTLES {
            if answer.status != 503 {
                break;
            }
            self.settle()?;
            answer = self.client.send(&request)?;
        }
        if answer.status == 404 {
            return Ok(None);
        }
        if !answer.is_fine() {
            return Err(fault::refused(&doing, &answer));
        }
        let found: Found<'_> = serde_json::from_slice(&answer.body)
            .map_err(|cause| answer.bad(&doing).caused_by(cause))?;
        match (found.found, found.source, found.seq_no, found.term) {
            (true, Some(source), Some(seq_no), Some(term)) => {
                Ok(Some((source.get().to_owned(), (seq_no, term))))
            }
            (false, ..) => Ok(None),
            _ => Err(answer.bad(&doing)),
        }
    }

    /// Who owns the target; `None` when nobody does.
    ///
    /// *Errors* – `state::newer`, `state::corrupt`.
    pub fn owner(&self) -> Result<Option<(Owner, Seat)>> {
        self.read(&self.key)?
            .map(|(body, seat)| Ok((recall(&body, &self.job, |why| self.corrupt(why))?, seat)))
            .transpose()
    }

    /// A partition; `None` when there is nothing.
    ///
    /// *Errors* – `state::newer`, `state::corrupt`.
    pub fn part(&self, partition: u32) -> Result<Option<(Part, Seat)>> {
        self.read(&self.part_id(partition))?
            .map(|(body, seat)| Ok((self.parse(&body)?, seat)))
            .transpose()
    }

    fn parse(&self, body: &str) -> Result<Part> {
        let part: PartBody = recall(body, &self.job, |why| self.corrupt(why))?;
        let _ = part.version;
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
        })
    }

    fn corrupt(&self, why: &str) -> Error {
        Error::state(
            "state::corrupt",
            format!(
                "the checkpoint of job `{}` in index {INDEX} is damaged: {why}",
                self.job
            ),
        )
        .help("start over with `dkhost run --no-resume`, after a look at what the target holds")
    }

    /// Every partition that is kept, by number.
    pub fn parts(&self) -> Result<Vec<(Part, Seat)>> {
        let doing = self.doing();
        let refresh = Request::post(&doing, format!("{INDEX}/_refresh"));
        self.client.ask(&refresh)?;
        let query =
            json!({"size": 10_000, "_source": false, "query": {"term": {"owner": self.key}}});
        let search = Request::post(&doing, format!("{INDEX}/_search")).json(&query);
        let answer = self.client.ask(&search)?;
        let listed: Listed = answer.parse(&doing)?;
        if listed.timed_out {
            return Err(answer.bad(&doing));
        }
        let mut parts = Vec::new();
        for hit in listed.hits.hits.iter().filter(|hit| hit.id != self.key) {
            if let Some((body, seat)) = self.read(&hit.id)? {
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
        self.put(&self.key, body, &owner.stamp, on)
    }

    /// Writes a partition. Its `stamp` is like no other's.
    pub fn put_part(&self, part: &Part, on: On) -> Result<Put> {
        let mut body = serde_json::to_vec(&json!({
            "version": CHECKPOINT_VERSION, "owner": self.key, "stamp": part.stamp, "job": self.job,
            "run": part.run, "epoch": part.epoch, "partition": part.partition,
            "checkpoint": part.checkpoint,
        }))
        .map_err(|cause| Error::bug("a checkpoint is no JSON").caused_by(cause))?;
        if let Some(intent) = &part.intent {
            body.pop();
            body.extend_from_slice(b",\"intent\":");
            intent.write(&mut body);
            body.push(b'}');
        }
        self.put(&self.part_id(part.partition), body, &part.stamp, on)
    }

    /// Writes a document if it still is where we saw it.
    ///
    /// *Errors* – a transient one: it is not known whether it was written; the same change can be
    /// repeated.
    fn put(&self, id: &str, body: Vec<u8>, stamp: &str, on: On) -> Result<Put> {
        let doing = self.doing();
        let request = Request::put(&doing, format!("{INDEX}/_doc/{}", segment(id)));
        let mut request = match on {
            On::Nothing => request.with("op_type", "create"),
            On::Seat((seq_no, term)) => request
                .with("if_seq_no", seq_no)
                .with("if_primary_term", term),
        };
        request.body = Some((body.into(), Media::Json));
        let mut attempt = 0;
        loop {
            let answered = self
                .client
                .send(&request)
                .and_then(|answer| match answer.status {
                    200..=299 => Ok(Some(answer.parse::<Written>(&doing)?)),
                    409 => Ok(None),
                    _ => Err(fault::refused(&doing, &answer)),
                });
            match answered {
                Ok(Some(written)) => return Ok(Put::Done((written.seq_no, written.term))),
                // Ours may have arrived the time before.
                Ok(None) => return self.overtaken(id, stamp),
                Err(error) if error.class().is_retryable() && attempt < 3 => {
                    attempt += 1;
                    std::thread::sleep(std::time::Duration::from_millis(50 << attempt));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn overtaken(&self, id: &str, stamp: &str) -> Result<Put> {
        #[derive(Deserialize)]
        struct Stamp {
            stamp: String,
        }
        let Some((body, seat)) = self.read(id)? else {
            return Ok(Put::Overtaken);
        };
        let ours = serde_json::from_str::<Stamp>(&body).is_ok_and(|found| found.stamp == stamp);
        Ok(if ours {
            Put::Done(seat)
        } else {
            Put::Overtaken
        })
    }

    /// Deletes a partition, wherever it stands.
    pub fn forget_part(&self, partition: u32) -> Result<()> {
        self.delete(&self.part_id(partition), None)
    }

    /// Deletes who owns the target, if nobody changed it since.
    pub fn forget_owner(&self, seat: Seat) -> Result<()> {
        self.delete(&self.key, Some(seat))
    }

    fn delete(&self, id: &str, seat: Option<Seat>) -> Result<()> {
        let doing = self.doing();
        let mut request = Request::delete(&doing, format!("{INDEX}/_doc/{}", segment(id)));
        if let Some((seq_no, term)) = seat {
            request = request
                .with("if_seq_no", seq_no)
                .with("if_primary_term", term);
        }
        let answer = self.client.send(&request)?;
        match answer.status {
            // Gone already, or somebody else's by now.
            200..=299 | 404 | 409 => Ok(()),
            _ => Err(fault::refused(&doing, &answer)),
        }
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
