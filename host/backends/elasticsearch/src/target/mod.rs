//! Elasticsearch and OpenSearch as a target: documents in bulk, each with an outcome of its own.
//!
//! There are no transactions, so what a run promises is made of other things:
//!
//! * the same record gets the same `_id` whenever it is written ([`ids`]);
//! * before a batch is sent, its partition's checkpoint says what it is about to change, and whoever
//!   takes the run over undoes that first ([`intent`]);
//! * the checkpoint moves by compare-and-set, after every document of the batch was acknowledged
//!   by a server whose log is synced for every request ([`store`]);
//! * each process writes through an alias of its own epoch, which is gone once another took the
//!   run over: a bulk that comes late finds no index ([`claim`]).
//!
//! So a run that was killed ends as an undisturbed one would. Readers of the index see a batch
//! before it is committed, once it is refreshed; only `replace-all` hides it until the end, in an
//! index of its own and one swap of an alias ([`swap`]).

mod answers;
mod bulk;
mod claim;
mod gate;
mod ids;
mod intent;
mod journal;
mod layout;
mod lines;
mod mapping;
mod options;
mod place;
mod plan;
mod sink;
mod store;
mod swap;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dkhost_core::{Conflict, Error, OpenTarget, Options, Reshape, Result, Sink, Stamp, TargetPlan};
use serde_json::Value as Json;

use crate::client::{Client, segment};
use gate::Gate;
use layout::Layout;
pub(crate) use options::OPTIONS;
use store::Store;

/// Opens a target for the plan's schema.
pub(crate) fn open(options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
    Ok(Box::new(sink::ElasticsearchSink::new(plan::target(
        options, open,
    )?)))
}

/// What the index that a job names says of its documents.
///
/// *Errors* – `elasticsearch::not_an_index`, and the server's.
pub(crate) fn stamp(mut options: Options, base: &Path) -> Result<Option<Stamp>> {
    let client = Client::take(&mut options, base)?;
    let (name, span) = options::name(&mut options)?;
    client.product()?;
    let found = place::find(&client, &name).map_err(|error| error.at_least(span))?;
    Ok(found.and_then(|found| found.stamp()))
}

/// What a sink and its writers share.
struct Target {
    pub client: Client,
    /// The index or alias the job names.
    pub name: String,
    pub conflict: Conflict,
    /// Whether the content of what is replaced is summed.
    pub content: bool,
    pub layout: Layout,
    /// What creates the index rows go to.
    pub create: Json,
    /// What becomes of the index beside its documents.
    pub reshape: Option<Reshape>,
    /// Fields that are added to the mapping of an index that is there.
    pub added: Json,
    pub store: Store,
    pub gate: Arc<Gate>,
    pub bulk_bytes: usize,
    pub gzip: bool,
    pub plans: Plans,
    pub held: Mutex<Option<Held>>,
}

/// The plan, and the same for a target that holds documents the plan did not reckon with.
struct Plans {
    pub planned: TargetPlan,
    pub shared: TargetPlan,
    pub is_shared: AtomicBool,
}

/// A target that is ours.
#[derive(Debug, Clone)]
struct Held {
    pub run: String,
    pub epoch: u64,
    /// The index documents go to.
    pub index: String,
    /// The alias of this epoch they go through.
    pub alias: String,
}

impl Held {
    /// The index as a part of a path.
    pub fn path(&self) -> String {
        segment(&self.index)
    }
}

impl Target {
    /// The plan as it stands.
    fn plan(&self) -> &TargetPlan {
        match self.plans.is_shared.load(Ordering::SeqCst) {
            true => &self.plans.shared,
            false => &self.plans.planned,
        }
    }

    fn hold(&self, held: Held) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }

    /// *Errors* – a bug before the target was claimed.
    fn held(&self) -> Result<Held> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone()
            .ok_or_else(|| Error::bug("an Elasticsearch target was used before it was claimed"))
    }

    /// For messages: `index movies at localhost:9200`.
    fn label(&self) -> String {
        format!("index {} at {}", self.name, self.client.name())
    }
}
