//! Pages of hits: one search after the other through a range of sequence numbers, the next under way
//! while one is decoded.
//!
//! A page has about as many bytes as [`PAGE_BYTES`], as far as the last one tells; a page is how hits
//! travel and nothing else, so batches do not depend on it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use dkhost_core::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::moment::{Moments, SEQUENCE, Shard, all, between, ensure_whole, is_lost};
use crate::client::{Answer, Pending, Request};

/// About how many bytes a page has.
const PAGE_BYTES: usize = 4 << 20;

/// How many hits the first page has: nothing is known of their size yet.
const FIRST_PAGE: usize = 100;

/// A document as it came.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub id: String,
    /// Its number among the writes of its shard.
    pub sequence: i64,
    /// The document's text, in the answer it came in.
    source: Bytes,
}

impl Hit {
    /// The document's text.
    pub fn source(&self) -> &[u8] {
        &self.source
    }
}

/// A walk through a range.
pub(super) struct Pages {
    moments: Arc<Moments>,
    shard: Arc<Shard>,
    pub moment: String,
    conditions: Arc<[Json]>,
    /// What is asked for of each document: `true`, or the names of its fields.
    wanted: Arc<Json>,
    /// The number of the last hit that came, and the last that is asked for.
    after: i64,
    until: i64,
    size: usize,
    pending: Option<Pending>,
    over: bool,
}

impl Pages {
    /// Walks above `after` and up to `until`.
    pub fn new(
        moments: &Arc<Moments>,
        shard: &Arc<Shard>,
        moment: &str,
        (conditions, wanted): (&Arc<[Json]>, &Arc<Json>),
        (after, until): (i64, i64),
    ) -> Self {
        Pages {
            moments: Arc::clone(moments),
            shard: Arc::clone(shard),
            moment: moment.to_owned(),
            conditions: Arc::clone(conditions),
            wanted: Arc::clone(wanted),
            after,
            until,
            size: FIRST_PAGE.min(shard.index.window),
            pending: None,
            over: after >= until,
        }
    }

    /// Adds the next page to `hits`; `false` after the last. After an error the same page is next.
    ///
    /// *Errors* – `elasticsearch::partial` if anything is missing; [`is_lost`] of it when the moment
    /// is gone.
    pub fn next(&mut self, hits: &mut VecDeque<Hit>) -> Result<bool> {
        if self.over {
            return Ok(false);
        }
        let request = self.request();
        let asked = match self.pending.take() {
            Some(pending) => pending.wait(),
            None => self.moments.client.send(&request),
        };
        let page = asked.and_then(|answer| self.read(&request.doing, answer));
        let page = page.inspect_err(|error| {
            if !is_lost(error) {
                // What was too much for the server may not be with less.
                self.size = (self.size / 4).max(1);
            }
        })?;
        self.over = page.hits.len() < self.size;
        if let Some(last) = page.hits.last() {
            self.after = last.sequence;
            let bytes = (page.bytes / page.hits.len()).max(1);
            // Not more than eight times as many: the next may be larger.
            let size = (PAGE_BYTES / bytes).min(self.size.saturating_mul(8));
            self.size = size.clamp(1, self.shard.index.window);
        }
        if let Some(now) = page.moment.filter(|now| *now != self.moment) {
            self.moments.renamed(&self.shard, &self.moment, &now);
            self.moment = now;
        }
        self.over |= self.after >= self.until;
        if !self.over {
            self.pending = Some(self.moments.client.begin(self.request()));
        }
        hits.extend(page.hits);
        Ok(true)
    }

    /// Whether the last page was given.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn request(&self) -> Request {
        let mut conditions = self.conditions.to_vec();
        // As a condition too, which the index answers without looking at what comes before.
        conditions.push(between(self.after, self.until));
        let mut body = json!({
            "size": self.size,
            "query": all(&conditions),
            // An index that was never written to does not know its numbers.
            "sort": [{SEQUENCE: {"order": "asc", "unmapped_type": "long"}}],
            "track_total_hits": false,
            "_source": self.shard.index.source_of(&self.wanted),
        });
        if self.after >= 0 {
            body["search_after"] = json!([self.after]);
        }
        self.moments.search(&self.shard, &self.moment, body)
    }

    fn read(&self, doing: &str, answer: Answer) -> Result<Page> {
        if !answer.is_fine() {
            return Err(crate::fault::refused(doing, &answer));
        }
        let page = scan(&answer.body).map_err(|cause| answer.bad(doing).caused_by(cause))?;
        ensure_whole(doing, &page.said)?;
        if page.hits.len() != page.found {
            let message = format!("cannot {doing}: a hit came without its document");
            return Err(Error::config("elasticsearch::no_source", message)
                .help("does the index keep `_source`, and may this user see it?"));
        }
        let mut last = self.after;
        for hit in &page.hits {
            if hit.sequence <= std::mem::replace(&mut last, hit.sequence) {
                return Err(answer
                    .bad(doing)
                    .caused_by("hits did not come in the order asked for"));
            }
        }
        Ok(page)
    }
}

/// What an answer holds.
struct Page {
    hits: Vec<Hit>,
    /// How many hits there were, complete or not.
    found: usize,
    /// Bytes of their documents.
    bytes: usize,
    moment: Option<String>,
    /// What the answer says beside its hits.
    said: Json,
}

/// An answer as it comes: documents are not looked into, since what is wrong with one is wrong with
/// it alone.
#[derive(Deserialize)]
struct Searched<'a> {
    pit_id: Option<String>,
    #[serde(default)]
    timed_out: Json,
    #[serde(default, rename = "_shards")]
    shards: Json,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Came<'a>>,
}

#[derive(Deserialize)]
struct Came<'a> {
    #[serde(rename = "_id")]
    id: Option<String>,
    #[serde(borrow, rename = "_source")]
    source: Option<&'a RawValue>,
    #[serde(default)]
    sort: Vec<i64>,
}

fn scan(body: &Bytes) -> Result<Page, serde_json::Error> {
    let Searched {
        pit_id,
        timed_out,
        shards,
        hits,
    } = serde_json::from_slice(body)?;
    let (found, mut bytes) = (hits.hits.len(), 0);
    let whole = |came: Came<'_>| {
        let source = body.slice_ref(came.source?.get().as_bytes());
        bytes += source.len();
        Some(Hit {
            id: came.id?,
            sequence: *came.sort.first()?,
            source,
        })
    };
    Ok(Page {
        hits: hits.hits.into_iter().filter_map(whole).collect(),
        found,
        bytes,
        moment: pit_id,
        said: json!({"timed_out": timed_out, "_shards": shards}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_without_looking_into_its_documents() {
        let body = r#"{"pit_id":"p","took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"failed":0},
            "hits":{"total":null,"hits":[
                {"_index":"i","_id":"a\"\u00fc","_score":null,"_source":{"n": 1e400, "x":[[]]},"sort":[7,3]},
                {"_id":"b","sort":[8],"_source":{}},
                {"_id":"c","sort":[9]}]}}"#;
        let page = scan(&Bytes::from_static(body.as_bytes())).unwrap();
        let told: Vec<_> = page
            .hits
            .iter()
            .map(|hit| {
                (
                    hit.id.as_str(),
                    hit.sequence,
                    std::str::from_utf8(hit.source()).unwrap(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [("a\"ü", 7, "{\"n\": 1e400, \"x\":[[]]}"), ("b", 8, "{}")]
        );
        assert_eq!((page.found, page.moment.as_deref()), (3, Some("p")));
        assert!(ensure_whole("read", &page.said).is_ok());
    }

    #[test]
    fn a_short_answer_is_a_failure() {
        for said in [
            r#"{"timed_out":true,"_shards":{"total":1,"successful":1,"failed":0}}"#,
            r#"{"timed_out":false,"_shards":{"total":2,"successful":1,"failed":1}}"#,
            r#"{"timed_out":false,"_shards":{"total":2,"successful":1,"failed":0}}"#,
            r#"{"timed_out":false,"_shards":{"total":1,"successful":0,"failed":1,
                "failures":[{"reason":{"type":"circuit_breaking_exception","reason":"too much"}}]}}"#,
            r#"{}"#,
        ] {
            let error = ensure_whole("read", &serde_json::from_str(said).unwrap()).unwrap_err();
            assert_eq!(error.class(), dkhost_core::Class::Transient, "{said}");
        }
    }
}
