//! Writes objects: parts that count once a manifest names them.
//!
//! ```text
//! names    what objects are called     state     owner, epoch, checkpoints: one object, compare-and-set
//! probe    does the server honour it   growing   one partition: parts that grow, and when they count
//! claim    taking the target over      publish   manifest, `_LATEST`, and forgetting the run
//! sweep    what others left behind
//! ```

mod claim;
mod growing;
pub(crate) mod names;
mod plan;
pub(crate) mod probe;
mod publish;
pub(crate) mod state;
mod sweep;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use dkhost_core::takeover::LastLook;
use dkhost_core::{
    Capabilities, Checkpoint, Claim, Claimed, Class, Conflict, Error, OpenTarget, Options,
    Partition, Reshape, Result, Sink, Stamp, TargetPlan, TargetState, Writer,
};
use dkhost_file::format::Format;
use dkhost_file::handle::Handle;
use dkhost_file::identity::{Identity, Mark};
use dkhost_file::options::FileOptions;
use dkhost_file::parts::Parts;

pub(crate) use self::growing::not_claimed;
use self::growing::{Growing, PartWriter};
use self::names::{Manifest, Names, Piece};
use self::state::{Held, State};
use crate::client::Client;
use crate::put::{self, If};
use crate::server::Server;
use crate::source::{Objects, is_of_records};

/// What a target with these options can hold: JSON keeps every document as it is.
pub(crate) fn capabilities(mut options: Options) -> Result<Capabilities> {
    let server = Server::read(&mut options)?;
    if is_of_records(&mut options)? {
        return Ok(Capabilities {
            only_one_by_one: true,
            documents: true,
            evolves: false,
        });
    }
    let files = FileOptions::read_at(&mut options, server.label(), server.span())?;
    let (format, _) = files.format_of(files.path.as_ref())?;
    Ok(Capabilities {
        only_one_by_one: false,
        documents: matches!(format, Format::Json | Format::Jsonl),
        evolves: false,
    })
}

/// Opens a prefix as a target. Nothing is written.
///
/// *Errors* – `target::…` for what cannot become a target: it holds objects, the conflict mode needs
/// a key; those of the server.
pub(crate) fn open(mut options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
    let server = Server::read(&mut options)?;
    let span = server.span();
    if is_of_records(&mut options)? {
        return crate::records::open(options, server, open).map_err(|error| error.at_least(span));
    }
    let conditional = options.take("conditional")?.unwrap_or(true);
    let files = FileOptions::read_at(&mut options, server.label(), span.clone())?;
    plan::refuse_what_files_cannot(&files, open)?;
    let parts = Parts::of(&files, open)?;
    let client = Client::open(server, &open.base)?;
    let target = Target {
        names: Names::under(&client.server.prefix),
        client,
        parts,
        conflict: open.conflict,
        create: open.create,
        reshape: open.reshape.clone(),
        conditional,
        held: Mutex::default(),
        growing: Mutex::default(),
    };
    let found = claim::look(&target, &open.job).map_err(|error| error.at_least(span))?;
    let plan = plan::plan(&target, &found, &open.job);
    Ok(Box::new(S3Sink {
        target: Arc::new(target),
        plan,
        seen: LastLook::default(),
    }))
}

/// What is under the prefix that a job names says of its records. Where each object is one, each says
/// its own version, and nothing is said of all.
///
/// *Errors* – `s3::bad_manifest`; those of the server.
pub(crate) fn stamp(mut options: Options, base: &Path) -> Result<Option<Stamp>> {
    let server = Server::read(&mut options)?;
    let span = server.span();
    if is_of_records(&mut options)? {
        return Ok(None);
    }
    let client = Client::open(server, base)?;
    crate::source::stamp(&client).map_err(|error| error.at_least(span))
}

/// A target, shared by the sink and its writers.
pub(crate) struct Target {
    client: Client,
    names: Names,
    parts: Parts,
    conflict: Conflict,
    create: bool,
    /// Which version of a schema the result is of, if it is to say one.
    reshape: Option<Reshape>,
    /// Whether conditions keep processes apart.
    conditional: bool,
    held: Mutex<Option<Held>>,
    growing: Mutex<BTreeMap<u32, Arc<Mutex<Growing>>>>,
}

impl Target {
    /// What is known of the run that owns it; `None` before the claim.
    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        lock(&self.held)
    }

    /// The run that owns it; empty before the claim.
    fn run(&self) -> String {
        let held = self.held();
        held.as_ref()
            .map_or_else(String::new, |held| held.state.run.clone())
    }

    /// The condition under which a new object is written.
    fn absent(&self) -> If {
        match self.conditional {
            true => If::Absent,
            false => If::Any,
        }
    }

    fn content_type(&self) -> &'static str {
        match self.parts.format() {
            (_, "gzip") => "application/gzip",
            (_, "zstd") => "application/zstd",
            ("json", _) => "application/json",
            ("jsonl", _) => "application/x-ndjson",
            ("csv", _) => "text/csv",
            ("tsv", _) => "text/tab-separated-values",
            ("parquet", _) => "application/vnd.apache.parquet",
            _ => "application/vnd.apache.arrow.file",
        }
    }

    /// Refuses to go on under an epoch that is not the last.
    fn ensure_current(&self, epoch: u64) -> Result<()> {
        let mut held = self.held();
        let held = held.as_mut().ok_or_else(not_claimed)?;
        if held.state.epoch != epoch {
            return Err(dkhost_core::sink::fenced(
                &held.state.run,
                epoch,
                held.state.epoch,
            ));
        }
        held.ensure_current()
    }

    /// Moves a checkpoint, and lets the part that goes with it count.
    fn commit(&self, epoch: u64, checkpoint: &Checkpoint, part: Option<&Piece>) -> Result<()> {
        let mut held = self.held();
        let held = held.as_mut().ok_or_else(not_claimed)?;
        if held.state.epoch != epoch {
            return Err(dkhost_core::sink::fenced(
                &held.state.run,
                epoch,
                held.state.epoch,
            ));
        }
        let mut next: State = held.state.clone();
        // It may count already, if only the answer was lost.
        next.parts
            .retain(|known| part.is_none_or(|part| known.name != part.name));
        next.parts.extend(part.cloned());
        next.checkpoints
            .insert(checkpoint.partition, checkpoint.clone());
        held.change(next)
    }

    /// Makes all commits of all partitions durable.
    fn make_durable(&self) -> Result<()> {
        let growing: Vec<_> = lock(&self.growing).values().cloned().collect();
        growing
            .iter()
            .try_for_each(|growing| lock(growing).make_durable())
    }

    /// The parts that count: those of the run, until it is published those that are committed.
    fn counted(&self) -> Result<Vec<Piece>> {
        if let Some(held) = self.held().as_ref()
            && !held.state.published
        {
            return Ok(held.state.parts.clone());
        }
        let Some((latest, _)) = publish::latest(self)? else {
            return Ok(Vec::new());
        };
        let key = format!("{}{}", self.names.prefix, latest.manifest);
        let Some(found) = put::get(&self.client, &key)? else {
            return Ok(Vec::new());
        };
        let manifest: Manifest = serde_json::from_slice(&found.bytes).map_err(|cause| {
            Error::state(
                "state::corrupt",
                format!("{} cannot be read", self.client.place(&key)),
            )
            .caused_by(cause)
        })?;
        Ok(manifest.parts)
    }
}

/// Somebody else publishes to the same prefix.
pub(crate) fn busy(client: &Client) -> Error {
    Error::new(
        Class::Locked,
        "target::busy",
        format!("another process writes to {}", client.server.label()),
    )
    .help("run the same command again when it has ended")
}

/// A prefix that is planned.
struct S3Sink {
    target: Arc<Target>,
    plan: TargetPlan,
    seen: LastLook,
}

impl Sink for S3Sink {
    fn plan(&self) -> &TargetPlan {
        &self.plan
    }

    fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        let state = claim::left(&self.target)?;
        let state = state.filter(|(state, _)| state.job == job);
        let state = state.map(|(state, _)| state.into_target_state());
        self.seen.note(state.as_ref());
        Ok(state)
    }

    fn claim(&self, claim: &Claim) -> Result<Claimed> {
        claim::claim(&self.target, claim, &self.seen)
    }

    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>> {
        let growing = Growing::open(self.target.clone(), partition.index)?;
        let growing = Arc::new(Mutex::new(growing));
        lock(&self.target.growing).insert(partition.index, growing.clone());
        Ok(Box::new(PartWriter::new(growing)))
    }

    fn count(&self) -> Result<u64> {
        self.target.make_durable()?;
        let parts = self.target.counted()?;
        Ok(parts.iter().map(|part| part.rows).sum())
    }

    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let target = &self.target;
        target.make_durable()?;
        let store = Arc::new(Objects::new(target.client.clone()));
        for part in target.counted()? {
            let identity = Identity {
                file: format!("{}{}", target.names.prefix, part.name),
                size: part.bytes,
                mark: Mark::Elsewhere {
                    etag: part.etag,
                    version: None,
                },
            };
            let label = identity.file.clone();
            let handle = Handle::elsewhere(store.clone(), identity);
            target.parts.scan(&handle, &label, each)?;
        }
        Ok(())
    }

    fn publish(&self) -> Result<()> {
        publish::publish(&self.target)
    }

    fn retire(&self) -> Result<()> {
        publish::retire(&self.target)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
