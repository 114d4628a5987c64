//! The hidden index of all checkpoints: its documents are read by id and changed by compare-and-set.

use dkhost_core::Result;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::client::{Client, Media, Request, segment};
use crate::fault;

/// The index of all jobs' checkpoints in a cluster.
pub(in crate::target) const INDEX: &str = "dkhost-checkpoints";

/// How often a shard that has not started is waited for.
const SETTLES: u32 = 3;

/// Where a document stands: its sequence number and primary term.
pub(in crate::target) type Seat = (u64, u64);

/// What a change is made on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::target) enum On {
    Nothing,
    Seat(Seat),
}

/// What became of a change.
#[derive(Debug, PartialEq)]
pub(in crate::target) enum Put {
    Done(Seat),
    /// Somebody else was faster.
    Overtaken,
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

/// The index, for one job.
#[derive(Debug, Clone)]
pub(super) struct Index {
    pub client: Client,
    pub job: String,
}

impl Index {
    fn doing(&self) -> String {
        format!("keep the checkpoints of job `{}`", self.job)
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

    /// A document's text and where it stands; `None` when it is not there.
    pub fn read(&self, id: &str) -> Result<Option<(String, Seat)>> {
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

    /// The ids of all documents of an owner, those just written among them.
    pub fn ids_of(&self, owner: &str) -> Result<Vec<String>> {
        let doing = self.doing();
        let refresh = Request::post(&doing, format!("{INDEX}/_refresh"));
        self.client.ask(&refresh)?;
        let query = json!({"size": 10_000, "_source": false, "query": {"term": {"owner": owner}}});
        let search = Request::post(&doing, format!("{INDEX}/_search")).json(&query);
        let answer = self.client.ask(&search)?;
        let listed: Listed = answer.parse(&doing)?;
        match listed.timed_out {
            true => Err(answer.bad(&doing)),
            false => Ok(listed.hits.hits.into_iter().map(|hit| hit.id).collect()),
        }
    }

    /// Writes a document if it still is where we saw it.
    ///
    /// *Errors* – a transient one: it is not known whether it was written; the same change can be
    /// repeated.
    pub fn put(&self, id: &str, body: Vec<u8>, stamp: &str, on: On) -> Result<Put> {
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

    /// Deletes a document; with `seat` only if it still is where we saw it.
    pub fn delete(&self, id: &str, seat: Option<Seat>) -> Result<()> {
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
}
