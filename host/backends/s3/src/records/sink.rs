//! A prefix that takes records: who owns it, and what it holds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use dkhost_core::sink::{fenced, next_epoch};
use dkhost_core::takeover::LastLook;
use dkhost_core::{
    Checkpoint, Claim, Claimed, Conflict, Error, OpenTarget, Options, Partition, Result, Sink,
    TargetPlan, TargetState, Writer, fail,
};
use dkhost_file::format::Format;
use dkhost_file::options::{FileOptions, Layout};
use dkhost_file::parts::Parts;

use super::codec::Codec;
use super::known::Known;
use super::writer::RecordWriter;
use crate::client::Client;
use crate::fault::is_precondition;
use crate::put;
use crate::server::Server;
use crate::source::records::EXTENSION;
use crate::source::{Fetch, Listed, under};
use crate::target::names::Names;
use crate::target::state::{self, Held, State};
use crate::target::{not_claimed, probe};

/// Opens a prefix as a target of records. Nothing is written.
///
/// *Errors* – `target::…` for what cannot become a target; those of the server.
pub(crate) fn open(
    mut options: Options,
    server: Server,
    open: &OpenTarget,
) -> Result<Box<dyn Sink>> {
    let span = server.span();
    let conditional = options.take("conditional")?.unwrap_or(true);
    for key in ["format", "compression", "csv"] {
        if let Some(node) = options.get(key) {
            return Err(Error::config(
                "s3::not_for_records",
                format!("`{key}` means nothing where each object is a record"),
            )
            .at(node.span.clone(), "only for files")
            .help(format!("remove `{key}`, or say `object = \"file\"`")));
        }
    }
    if open.conflict == Conflict::ReplaceAll {
        return Err(Error::config(
            "s3::no_swap",
            "objects of single records cannot be swapped for others all at once",
        )
        .at(span, "`replace-all`")
        .help("say `on_conflict = \"upsert\"`, or write to a new prefix, or write files (`object = \"file\"`), which can"));
    }
    let mut files = FileOptions::read_at(&mut options, server.label(), span.clone())?;
    files.format = Some(Format::Json);
    let is_dataknobs = files.layout == Layout::Dataknobs;
    expect_ids(open, &span)?;
    let parts = Parts::of(&files, open)?;
    let client = Client::open(server, &open.base)?;
    let target = Target {
        names: Names::under(&client.server.prefix),
        client,
        codec: Codec::new(&open.schema, open.nulls, is_dataknobs),
        conflict: open.conflict,
        conditional,
        held: Mutex::default(),
        known: Mutex::default(),
    };
    let listed = target.listed()?;
    if listed.is_empty() && !open.create && target.left()?.is_none() {
        let label = target.client.server.label();
        return Err(Error::config(
            "target::absent",
            format!("there are no records under {label}, and `create` is false"),
        )
        .at(span, "not there")
        .help("remove `create = false`"));
    }
    let ours = target.left()?.filter(|(state, _)| state.job == open.job);
    let is_shared = match ours {
        Some((state, _)) => state.shared,
        None => !listed.is_empty(),
    };
    let plan = plan(&target, &parts, listed.len(), is_shared);
    Ok(Box::new(RecordSink {
        target: Arc::new(target),
        plan,
        seen: LastLook::default(),
    }))
}

fn expect_ids(open: &OpenTarget, span: &dkhost_core::Span) -> Result<()> {
    let schema = &open.schema;
    let has_id = schema.role(dkhost_core::Role::Id).is_some()
        || !schema.key().is_empty()
        || schema.index_of("id").is_some();
    match has_id {
        true => Ok(()),
        false => Err(Error::config(
            "target::no_id",
            "an object of a record has its id in its key, and these records have none",
        )
        .at(span.clone(), "under which keys?")
        .help("say which columns are the id: `key = [\"…\"]` in [source], or add a column `id`")),
    }
}

fn plan(target: &Target, parts: &Parts, objects: usize, is_shared: bool) -> TargetPlan {
    let label = target.client.server.label();
    let effect = match objects {
        0 => format!("creates an object for each record under {label}"),
        n => format!("writes an object for each record under {label}, where there are {n}"),
    };
    let (promise, mechanism) = match target.conditional {
        true => (
            "effectively-once",
            "keys made of the ids, written under conditions, with a note of what each batch met",
        ),
        false => (
            "at-least-once",
            "keys made of the ids; without conditions nothing keeps two processes apart",
        ),
    };
    let mut notes = parts.notes();
    notes.push("objects appear as they are written, before the run is done".to_owned());
    TargetPlan {
        label: format!("records under {label}"),
        promise: promise.to_owned(),
        mechanism: mechanism.to_owned(),
        effects: vec![effect],
        notes,
        columns: parts.columns(),
        fresh: !is_shared,
        concurrent: true,
    }
}

/// A target, shared by the sink and its writers.
pub(super) struct Target {
    pub client: Client,
    pub names: Names,
    pub codec: Codec,
    pub conflict: Conflict,
    pub conditional: bool,
    pub held: Mutex<Option<Held>>,
    pub known: Mutex<Known>,
}

impl Target {
    /// The objects of records.
    pub(super) fn listed(&self) -> Result<Vec<Listed>> {
        let own = self.names.own_folder();
        let found = under(&self.client, &self.names.prefix)?.into_iter();
        let is_record =
            |listed: &Listed| !listed.key.starts_with(&own) && self.id_of(&listed.key).is_some();
        Ok(found.filter(is_record).collect())
    }

    /// The id of the record of a key.
    pub(super) fn id_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        let id = key.strip_prefix(&self.names.prefix)?;
        id.strip_suffix(EXTENSION).filter(|id| !id.is_empty())
    }

    /// Where the note of a partition lies.
    pub(super) fn note(&self, partition: u32) -> String {
        format!("{}note-{partition}", self.names.own_folder())
    }

    fn left(&self) -> Result<Option<(State, String)>> {
        state::read(&self.client, &self.names.state())
    }

    pub(super) fn lock_held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with what is held, unless it was taken over.
    pub(super) fn with_held<T>(
        &self,
        epoch: u64,
        what: impl FnOnce(&mut Held) -> Result<T>,
    ) -> Result<T> {
        let mut held = self.lock_held();
        let held = held.as_mut().ok_or_else(not_claimed)?;
        match held.state.epoch == epoch {
            true => what(held),
            false => Err(fenced(&held.state.run, epoch, held.state.epoch)),
        }
    }

    /// Moves a checkpoint.
    pub(super) fn commit(&self, epoch: u64, checkpoint: &Checkpoint) -> Result<()> {
        self.with_held(epoch, |held| {
            let mut next = held.state.clone();
            next.checkpoints
                .insert(checkpoint.partition, checkpoint.clone());
            held.change(next)
        })
    }
}

/// A prefix that is planned.
struct RecordSink {
    target: Arc<Target>,
    plan: TargetPlan,
    seen: LastLook,
}

impl RecordSink {
    fn claim_once(&self, claim: &Claim) -> Result<Claimed> {
        let target = &self.target;
        let left = target.left()?;
        let known = left.as_ref().map_or(0, |(left, _)| left.epoch);
        let mut next = State::new(claim, next_epoch(known, claim)?, "records".to_owned());
        let etag = left.as_ref().map(|(_, etag)| etag.clone());
        let listed = target.listed()?;
        next.shared = !listed.is_empty();
        let mut is_resumed = false;
        match left {
            Some((left, _)) if left.run == claim.run => {
                next.checkpoints = left.checkpoints;
                next.published = left.published;
                next.shared = left.shared;
                is_resumed = true;
            }
            Some((left, _)) if left.job == claim.job => {
                let label = target.client.server.label();
                self.seen
                    .ensure_unmoved(&left.into_target_state(), &label)?;
            }
            _ => {}
        }
        let held = Held::take(
            &target.client,
            target.names.state(),
            target.conditional,
            etag,
            next,
        )?;
        fail::point("s3.records.taken")?;
        if !is_resumed {
            self.drop_notes()?;
        }
        let claimed = Claimed {
            epoch: held.state.epoch,
            checkpoints: held.state.checkpoints.values().cloned().collect(),
        };
        let mut known = target.lock_known();
        *known = Known::default();
        for listed in &listed {
            known.add(target.id_of(&listed.key).unwrap_or_default());
        }
        drop(known);
        *target.lock_held() = Some(held);
        Ok(claimed)
    }

    /// Removes what was noted of batches that nobody goes on with.
    fn drop_notes(&self) -> Result<()> {
        let target = &self.target;
        let own = under(&target.client, &target.names.own_folder())?;
        let state = target.names.state();
        let keys = own.into_iter().map(|listed| listed.key);
        put::delete(
            &target.client,
            &keys.filter(|key| *key != state).collect::<Vec<_>>(),
        )
    }
}

/// Records that are read back together.
const SCANNED_TOGETHER: usize = 4096;
const SCANNED_BYTES: u64 = 8 << 20;

/// How often a claim that somebody was faster than is tried again.
const TRIES: usize = 5;

impl Sink for RecordSink {
    fn plan(&self) -> &TargetPlan {
        &self.plan
    }

    fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        let left = self.target.left()?.filter(|(state, _)| state.job == job);
        let state = left.map(|(state, _)| state.into_target_state());
        self.seen.note(state.as_ref());
        Ok(state)
    }

    fn claim(&self, claim: &Claim) -> Result<Claimed> {
        let target = &self.target;
        if target.conditional {
            let (key, span) = (target.names.probe(&claim.run), &target.client.server.span());
            probe::conditions(&target.client, &key, span)?;
        }
        for _ in 0..TRIES {
            match self.claim_once(claim) {
                Err(error) if is_precondition(&error) => continue,
                other => return other,
            }
        }
        Err(crate::target::busy(&target.client))
    }

    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>> {
        Ok(Box::new(RecordWriter::open(
            self.target.clone(),
            partition.index,
        )?))
    }

    fn count(&self) -> Result<u64> {
        Ok(self.target.listed()?.len() as u64)
    }

    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let target = &self.target;
        let mut fetch = Fetch::of(&target.client, target.listed()?.into_iter(), true);
        loop {
            let (mut some, mut bytes) = (Vec::new(), 0);
            while some.len() < SCANNED_TOGETHER
                && bytes < SCANNED_BYTES
                && let Some((listed, body)) = fetch.next()?
            {
                bytes += listed.size;
                some.extend(body.map(|body| (listed.key, body)));
            }
            if some.is_empty() {
                return Ok(());
            }
            let objects = some
                .iter()
                .map(|(key, body)| (target.id_of(key).unwrap_or_default(), &body[..]));
            each(target.codec.decode(objects)?)?;
        }
    }

    fn publish(&self) -> Result<()> {
        let mut held = self.target.lock_held();
        let held = held.as_mut().ok_or_else(not_claimed)?;
        held.ensure_current()?;
        if held.state.published {
            return Ok(());
        }
        held.change(State {
            published: true,
            ..held.state.clone()
        })
    }

    fn retire(&self) -> Result<()> {
        let ours = self
            .target
            .lock_held()
            .as_ref()
            .map(|held| held.state.run.clone());
        let left = self.target.left()?;
        let is_over = |state: &State| match &ours {
            Some(run) => state.run == *run,
            None => state.published,
        };
        if !left.is_some_and(|(state, _)| is_over(&state)) {
            return Ok(());
        }
        self.drop_notes()?;
        put::delete(&self.target.client, &[self.target.names.state()])
    }
}
