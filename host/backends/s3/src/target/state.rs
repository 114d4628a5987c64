//! What a run has committed: one object, moved by compare-and-set.
//!
//! It names the owner, its epoch, the parts that count and the checkpoints that go with them. Every
//! change is written under `If-Match` of the one before, so whoever still holds an older epoch
//! cannot move it, and knows from then on that the target was taken over. All partitions share it:
//! a commit is one small request once a part of many megabytes is there.

use std::collections::BTreeMap;

use bytes::Bytes;
use dkhost_core::checkpoint::CHECKPOINT_VERSION;
use dkhost_core::sink::fenced;
use dkhost_core::{Checkpoint, Claim, Error, Result, TargetState, fail, takeover};
use serde::{Deserialize, Serialize};

use super::names::Piece;
use crate::client::Client;
use crate::fault::{is_absent, is_precondition};
use crate::put::{self, If};

/// Everything the object says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// [`CHECKPOINT_VERSION`] when it was written.
    pub version: u32,
    /// The job's name.
    pub job: String,
    /// The run.
    pub run: String,
    /// The epoch.
    pub epoch: u64,
    /// The plan hash.
    pub plan_hash: String,
    /// Format, compression and columns in words.
    pub shape: String,
    /// The parts that count, by partition and first batch.
    #[serde(default)]
    pub parts: Vec<Piece>,
    /// The checkpoints, by partition.
    #[serde(default)]
    pub checkpoints: BTreeMap<u32, Checkpoint>,
    /// The run this one took the place of, whose objects are removed at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Whether the target held records before this run.
    #[serde(default)]
    pub shared: bool,
    /// Whether the result was published.
    #[serde(default)]
    pub published: bool,
}

impl State {
    /// Nothing committed yet.
    pub(crate) fn new(claim: &Claim, epoch: u64, shape: String) -> Self {
        State {
            version: CHECKPOINT_VERSION,
            job: claim.job.clone(),
            run: claim.run.clone(),
            epoch,
            plan_hash: claim.plan_hash.clone(),
            shape,
            parts: Vec::new(),
            checkpoints: BTreeMap::new(),
            replaces: None,
            shared: false,
            published: false,
        }
    }

    /// As the engine asks for it.
    pub(crate) fn into_target_state(self) -> TargetState {
        TargetState {
            run: self.run,
            epoch: self.epoch,
            plan_hash: self.plan_hash,
            checkpoints: self.checkpoints.into_values().collect(),
            published: self.published,
        }
    }
}

/// The object, and what it said when it was looked at last.
pub(crate) struct Held {
    client: Client,
    key: String,
    /// Whether conditions keep processes apart.
    conditional: bool,
    etag: String,
    /// What it says.
    pub state: State,
    /// Changes whose answers were lost: it may say one of them. Partitions change it in turn, so
    /// that another one finds out.
    doubtful: Vec<State>,
}

/// The state under a key, if there is one.
///
/// *Errors* – `state::corrupt`, `state::newer`.
pub(crate) fn read(client: &Client, key: &str) -> Result<Option<(State, String)>> {
    let Some(found) = put::get(client, key)? else {
        return Ok(None);
    };
    let place = client.place(key);
    let corrupt = |why: &str| {
        Error::state("state::corrupt", format!("`{place}` cannot be read: {why}"))
            .help("put it back as it was; or remove it, and everything an unfinished run left beside it, and start anew with `dkhost run JOB --no-resume`")
    };
    let body = std::str::from_utf8(&found.bytes).map_err(|_| corrupt("it is not UTF-8"))?;
    let state: State = takeover::recall(body, key, corrupt)?;
    Ok(Some((state, found.etag)))
}

impl Held {
    /// Takes the target over: what was found under the key (`seen`) becomes `state`, unless
    /// somebody was faster.
    ///
    /// *Errors* – `s3::precondition` when somebody was.
    pub(crate) fn take(
        client: &Client,
        key: String,
        conditional: bool,
        seen: Option<String>,
        state: State,
    ) -> Result<Self> {
        let mut held = Held {
            client: client.clone(),
            key,
            conditional,
            etag: String::new(),
            state,
            doubtful: Vec::new(),
        };
        let condition = match (conditional, seen) {
            (false, _) => If::Any,
            (true, None) => If::Absent,
            (true, Some(etag)) => If::Match(etag),
        };
        held.etag = held.write(&held.state, &condition)?;
        Ok(held)
    }

    fn write(&self, state: &State, condition: &If) -> Result<String> {
        let text = serde_json::to_vec(state)
            .map_err(|cause| Error::bug("a checkpoint has no JSON").caused_by(cause))?;
        let text = Bytes::from(text);
        put::put(&self.client, &self.key, text, "application/json", condition)
    }

    /// Refuses to go on when the target was taken over.
    ///
    /// *Errors* – `run::fenced`.
    pub(crate) fn ensure_current(&mut self) -> Result<()> {
        let found = put::head(&self.client, &self.key)?;
        if found.is_some_and(|(_, etag)| etag == self.etag) {
            return Ok(());
        }
        self.catch_up(&self.state.clone())
    }

    /// Makes `next` what the object says. Repeated after a lost answer it finds that it was.
    ///
    /// *Errors* – `run::fenced`.
    pub(crate) fn change(&mut self, next: State) -> Result<()> {
        if !self.conditional {
            self.ensure_current()?;
        }
        fail::point("s3.state.before")?;
        let condition = match self.conditional {
            true => If::Match(self.etag.clone()),
            false => If::Any,
        };
        let written = self.write(&next, &condition);
        fail::point("s3.state.written")?;
        match written {
            Ok(etag) => {
                self.etag = etag;
                self.state = next;
                self.doubtful.clear();
                Ok(())
            }
            // A condition on an object that is gone is answered in either way.
            Err(error) if is_precondition(&error) || is_absent(&error) => self.catch_up(&next),
            Err(error) => {
                self.doubtful.push(next);
                Err(error)
            }
        }
    }

    /// The object is not the one we wrote last: it is ours, from a request whose answer was lost, or
    /// somebody else's.
    fn catch_up(&mut self, expected: &State) -> Result<()> {
        let Some((found, etag)) = read(&self.client, &self.key)? else {
            // Who takes a run over and ends it removes the object: to write everything anew would be
            // wrong advice.
            let epoch = self.state.epoch;
            return Err(fenced(&self.state.run, epoch, epoch + 1));
        };
        if (&found.run, found.epoch) != (&self.state.run, self.state.epoch) {
            return Err(fenced(&self.state.run, self.state.epoch, found.epoch));
        }
        let is_ours = found == *expected || found == self.state || self.doubtful.contains(&found);
        if !is_ours {
            return Err(Error::state(
                "state::corrupt",
                format!(
                    "{} was changed by somebody else",
                    self.client.place(&self.key)
                ),
            )
            .help("two processes with one epoch? start anew with `dkhost run JOB --no-resume`"));
        }
        let is_expected = found == *expected;
        if etag != self.etag {
            // No request for an older one can do anything any more.
            self.doubtful.clear();
        }
        (self.etag, self.state) = (etag, found);
        match is_expected {
            true => Ok(()),
            // Written, and refused for an older condition: the next try has the right one.
            false => Err(Error::new(
                dkhost_core::Class::Transient,
                "s3::server_trouble",
                format!(
                    "cannot write {}: it is not the one that was read",
                    self.client.place(&self.key)
                ),
            )),
        }
    }
}
