//! Points in time: each shard of each index as it is at one moment, shared by all its readers.
//!
//! A server forgets one that nobody asks for a while, and with a restart all of them. Whoever finds
//! his lost asks for another, and then looks what has changed ([`super::slices`]). All are closed in
//! the end, also after an error or a signal, for they keep the server from tidying up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dkhost_core::{Error, Result};
use serde_json::{Value as Json, json};

use super::indices::{Index, ensure_same};
use crate::client::{Answer, Client, Kind, Request, segment};
use crate::fault::{self, Refusal, refusal};

/// A shard of an index: the unit in which the server numbers what is written.
#[derive(Debug)]
pub(super) struct Shard {
    pub index: Arc<Index>,
    pub number: u32,
    /// The latest name of the moment its readers share.
    moment: Mutex<Option<String>>,
}

impl Shard {
    /// For people: `movies`, or `movies, shard 2`.
    pub fn label(&self) -> String {
        match self.index.shards {
            1 => self.index.name.clone(),
            _ => format!("{}, shard {}", self.index.name, self.number),
        }
    }

    fn moment(&self) -> MutexGuard<'_, Option<String>> {
        self.moment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The moments of a source.
#[derive(Debug)]
pub(super) struct Moments {
    pub client: Client,
    pub shards: Vec<Arc<Shard>>,
    kind: Kind,
    keep_alive: String,
    /// Those of earlier processes that are read on.
    adopted: Mutex<Vec<String>>,
}

/// What counting found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counted {
    pub documents: u64,
    /// The least and the greatest sequence number; `None` for no document.
    pub range: Option<(i64, i64)>,
}

impl Moments {
    /// Opens a moment of every shard.
    pub fn open(client: Client, indices: &[Arc<Index>], keep_alive: String) -> Result<Self> {
        let kind = client.product()?.kind;
        let shard = |index: &Arc<Index>, number| {
            Arc::new(Shard {
                index: Arc::clone(index),
                number,
                moment: Mutex::default(),
            })
        };
        let shards = indices
            .iter()
            .flat_map(|index| (0..index.shards).map(move |number| (index, number)));
        let moments = Moments {
            client,
            shards: shards.map(|(index, number)| shard(index, number)).collect(),
            kind,
            keep_alive,
            adopted: Mutex::default(),
        };
        // All of them at once, so that they are of nearly the same moment.
        let pending: Vec<_> = moments
            .shards
            .iter()
            .map(|shard| moments.client.begin(moments.opening(shard)))
            .collect();
        for (shard, pending) in moments.shards.iter().zip(pending) {
            let answer = pending.wait()?;
            *shard.moment() = Some(moments.opened(shard, &answer)?);
        }
        Ok(moments)
    }

    /// The shard of a slice.
    pub fn shard(&self, index: &str, number: u32) -> Option<Arc<Shard>> {
        let mut all = self.shards.iter();
        all.find(|shard| shard.index.name == index && shard.number == number)
            .cloned()
    }

    /// The moment its readers share.
    pub fn of(&self, shard: &Shard) -> Result<String> {
        let mut moment = shard.moment();
        if let Some(id) = &*moment {
            return Ok(id.clone());
        }
        let answer = self.client.send(&self.opening(shard))?;
        let id = self.opened(shard, &answer)?;
        // A moment of another index of the same name would be that of other documents.
        *moment = Some(id.clone());
        ensure_same(&self.client, &shard.index.name, &shard.index.uuid)?;
        Ok(id)
    }

    /// Forgets a moment that the server has lost.
    pub fn lost(&self, shard: &Shard, id: &str) {
        let mut moment = shard.moment();
        if moment.as_deref() == Some(id) {
            *moment = None;
        }
        self.adopted().retain(|adopted| adopted != id);
    }

    /// Takes note of the name the server wants to be asked for next time.
    pub fn renamed(&self, shard: &Shard, before: &str, now: &str) {
        let mut moment = shard.moment();
        if moment.as_deref() == Some(before) {
            *moment = Some(now.to_owned());
        }
        for adopted in self
            .adopted()
            .iter_mut()
            .filter(|adopted| *adopted == before)
        {
            now.clone_into(adopted);
        }
    }

    /// A moment that an earlier process opened and this one reads on: closed in the end too.
    pub fn adopt(&self, id: &str) {
        let mut adopted = self.adopted();
        let is_known = self
            .shards
            .iter()
            .any(|shard| shard.moment().as_deref() == Some(id));
        if !is_known && !adopted.iter().any(|known| known == id) {
            adopted.push(id.to_owned());
        }
    }

    fn adopted(&self) -> MutexGuard<'_, Vec<String>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opening(&self, shard: &Shard) -> Request {
        let name = segment(&shard.index.name);
        let path = match self.kind {
            Kind::Elasticsearch => format!("{name}/_pit"),
            Kind::OpenSearch => format!("{name}/_search/point_in_time"),
        };
        let request = Request::post(format!("read {}", shard.label()), path)
            .with("keep_alive", &self.keep_alive);
        match shard.index.shards {
            1 => request,
            _ => request.with("preference", format!("_shards:{}", shard.number)),
        }
    }

    fn opened(&self, shard: &Shard, answer: &Answer) -> Result<String> {
        let doing = format!("read {}", shard.label());
        if !answer.is_fine() {
            return Err(fault::refused(&doing, answer));
        }
        let said: Json = answer.parse(&doing)?;
        let id = said["id"].as_str().or(said["pit_id"].as_str());
        match (id, said["_shards"]["failed"].as_u64().unwrap_or_default()) {
            (Some(id), 0) => Ok(id.to_owned()),
            (Some(_), _) => Err(partial(&doing, &said["_shards"])),
            (None, _) => Err(answer.bad(&doing)),
        }
    }

    /// A search in a moment. `body` says what is looked for.
    pub fn search(&self, shard: &Shard, moment: &str, mut body: Json) -> Request {
        body["pit"] = json!({"id": moment, "keep_alive": self.keep_alive});
        // The shard that cannot answer is a failure, never a short page.
        Request::post(format!("read {}", shard.label()), "_search")
            .with("allow_partial_search_results", "false")
            .json(&body)
    }

    /// Counts the documents that fulfil all conditions.
    pub fn count(&self, shard: &Shard, moment: &str, conditions: &[Json]) -> Result<Counted> {
        let body = json!({
            "size": 0, "track_total_hits": true, "query": all(conditions),
            "aggs": {"first": {"min": {"field": SEQUENCE}}, "last": {"max": {"field": SEQUENCE}}}
        });
        let request = self.search(shard, moment, body);
        let answer = self.client.ask(&request)?;
        let said: Json = answer.parse(&request.doing)?;
        ensure_whole(&request.doing, &said)?;
        let number = |name: &str| {
            said["aggregations"][name]["value"]
                .as_f64()
                .map(|n| n as i64)
        };
        let documents = said["hits"]["total"]["value"].as_u64();
        Ok(Counted {
            documents: documents.ok_or_else(|| answer.bad(&request.doing))?,
            range: number("first").zip(number("last")),
        })
    }

    fn close(&self, ids: &[String]) {
        if ids.is_empty() {
            return;
        }
        let requests: Vec<Request> = match self.kind {
            Kind::Elasticsearch => {
                let one = |id: &String| Request::delete("close", "_pit").json(&json!({"id": id}));
                ids.iter().map(one).collect()
            }
            Kind::OpenSearch => {
                vec![
                    Request::delete("close", "_search/point_in_time").json(&json!({"pit_id": ids})),
                ]
            }
        };
        let pending: Vec<_> = requests
            .into_iter()
            .map(|request| self.client.begin(request.within(FAREWELL)))
            .collect();
        for pending in pending {
            // Whoever cannot be told will forget it in his own time.
            let _ = pending.wait();
        }
    }
}

impl Drop for Moments {
    fn drop(&mut self) {
        let shared = self.shards.iter().filter_map(|shard| shard.moment().take());
        let mut ids: Vec<String> = shared.collect();
        ids.append(&mut self.adopted());
        self.close(&ids);
    }
}

/// How long the server may take to hear that a moment is not needed any more.
const FAREWELL: Duration = Duration::from_secs(5);

/// The number that every write of a shard gets: greater than that of all before it, and another for
/// every change of a document.
pub(super) const SEQUENCE: &str = "_seq_no";

/// A query of documents that fulfil all conditions.
pub(super) fn all(conditions: &[Json]) -> Json {
    match conditions {
        [] => json!({"match_all": {}}),
        conditions => json!({"bool": {"filter": conditions}}),
    }
}

/// Sequence numbers above `after`, up to `until`.
pub(super) fn between(after: i64, until: i64) -> Json {
    json!({"range": {SEQUENCE: {"gt": after, "lte": until}}})
}

/// Whether the error says that the server has lost the moment.
pub(super) fn is_lost(error: &Error) -> bool {
    refusal(error).is_some_and(Refusal::is_about_a_moment)
}

/// Refuses an answer in which something is missing.
///
/// *Errors* – `elasticsearch::partial`, transient.
pub(super) fn ensure_whole(doing: &str, said: &Json) -> Result<()> {
    let shards = &said["_shards"];
    let whole = shards["failed"].as_u64() == Some(0)
        && shards["successful"].as_u64() == shards["total"].as_u64();
    match said["timed_out"] == false && whole {
        true => Ok(()),
        false => Err(partial(doing, shards)),
    }
}

/// An answer with something missing.
pub(super) fn partial(doing: &str, shards: &Json) -> Error {
    let failure = &shards["failures"][0];
    let status = failure["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    match failure["reason"].is_null() {
        true => fault::incomplete(doing),
        false => fault::refused_part(
            doing,
            Refusal::of(status.unwrap_or(503), &failure["reason"]),
        ),
    }
}
