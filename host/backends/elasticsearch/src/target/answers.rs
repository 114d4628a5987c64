//! Answers to bulks and to requests for documents, read without a value tree in between.
//!
//! Nothing of an answer is believed that its request does not call for: an item for every row, each
//! under the row's id. A list that is short is none, since what became of the missing rows is not
//! known; one in another order is read by its ids.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use dkhost_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::client::Answer;
use crate::fault::{Refusal, refused_part};

/// What became of one row of a bulk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Refused(Refusal),
}

#[derive(Deserialize)]
struct Bulk<'a> {
    #[serde(borrow)]
    items: Option<Vec<Item<'a>>>,
    error: Option<Json>,
    status: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Item<'a> {
    #[serde(borrow)]
    Create(Told<'a>),
    #[serde(borrow)]
    Index(Told<'a>),
    #[serde(borrow)]
    Delete(Told<'a>),
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, rename = "_id")]
    id: Option<Cow<'a, str>>,
    status: u16,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Told<'_> {
    fn fate(&self) -> Fate {
        if (200..300).contains(&self.status) && self.error.is_none() {
            return Fate::Done;
        }
        let error = self.error.map(RawValue::get).unwrap_or("null");
        let error: Json = serde_json::from_str(error).unwrap_or_default();
        Fate::Refused(Refusal::of(self.status, &error))
    }
}

/// What became of each row, in the order of `ids`.
///
/// *Errors* – `elasticsearch::bad_answer`, transient: it is not known what became of the rows.
pub(super) fn fates<'i>(
    answer: &Answer,
    doing: &str,
    ids: impl ExactSizeIterator<Item = &'i str> + Clone,
) -> Result<Vec<Fate>> {
    let bulk: Bulk<'_> =
        serde_json::from_slice(&answer.body).map_err(|cause| answer.bad(doing).caused_by(cause))?;
    if let Some(error) = &bulk.error {
        // The status of the answer is one of success all the same.
        return Err(refused_part(
            doing,
            Refusal::of(bulk.status.unwrap_or(500), error),
        ));
    }
    let told: Vec<Told<'_>> = bulk
        .items
        .unwrap_or_default()
        .into_iter()
        .map(|item| match item {
            Item::Create(told) | Item::Index(told) | Item::Delete(told) => told,
        })
        .collect();
    if told.len() != ids.len() {
        let cause = format!("{} items for {} documents", told.len(), ids.len());
        return Err(answer.bad(doing).caused_by(cause));
    }
    let in_order = told
        .iter()
        .zip(ids.clone())
        .all(|(told, id)| told.id.as_deref() == Some(id));
    if in_order {
        return Ok(told.iter().map(Told::fate).collect());
    }
    let by_id: HashMap<&str, &Told<'_>> = told
        .iter()
        .filter_map(|told| Some((told.id.as_deref()?, told)))
        .collect();
    ids.map(|id| {
        let told = by_id.get(id).ok_or_else(|| {
            answer
                .bad(doing)
                .caused_by("it says nothing about one of the documents")
        })?;
        Ok(told.fate())
    })
    .collect()
}

#[derive(Deserialize)]
struct Docs<'a> {
    #[serde(borrow)]
    docs: Vec<Doc<'a>>,
}

#[derive(Deserialize)]
struct Doc<'a> {
    #[serde(borrow, rename = "_id")]
    id: Cow<'a, str>,
    #[serde(default)]
    found: bool,
    #[serde(rename = "_seq_no")]
    seq_no: Option<u64>,
    #[serde(rename = "_primary_term")]
    primary_term: Option<u64>,
    #[serde(borrow, rename = "_source")]
    source: Option<&'a RawValue>,
    error: Option<Json>,
}

/// Documents that were asked for by id.
#[derive(Debug)]
pub(super) struct Documents {
    body: Bytes,
    docs: Vec<Option<Held>>,
}

/// A document that is there.
#[derive(Debug)]
struct Held {
    source: Range<usize>,
    /// `_seq_no` and `_primary_term`.
    place: (u64, u64),
}

impl Documents {
    /// Reads an answer to a request for `ids`.
    ///
    /// *Errors* – `elasticsearch::bad_answer`, and what the server says of single documents.
    pub fn of<'i>(
        answer: Answer,
        doing: &str,
        ids: impl ExactSizeIterator<Item = &'i str>,
    ) -> Result<Self> {
        let body = answer.body.clone();
        let read: Docs<'_> =
            serde_json::from_slice(&body).map_err(|cause| answer.bad(doing).caused_by(cause))?;
        if read.docs.len() != ids.len() {
            let cause = format!("{} documents for {} ids", read.docs.len(), ids.len());
            return Err(answer.bad(doing).caused_by(cause));
        }
        let mut docs = Vec::with_capacity(read.docs.len());
        for (doc, id) in read.docs.iter().zip(ids) {
            if let Some(error) = &doc.error {
                return Err(refused_part(doing, missing_or_failed(error)));
            }
            if doc.id != id {
                return Err(answer.bad(doing).caused_by("documents in another order"));
            }
            docs.push(doc.found.then(|| {
                Held {
                    source: doc
                        .source
                        .map_or(0..0, |source| within(&body, source.get())),
                    place: (
                        doc.seq_no.unwrap_or_default(),
                        doc.primary_term.unwrap_or_default(),
                    ),
                }
            }));
        }
        Ok(Documents {
            body: body.clone(),
            docs,
        })
    }

    /// How long the answer was.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Whether the document of that number is there.
    pub fn is_there(&self, at: usize) -> bool {
        self.docs.get(at).is_some_and(Option::is_some)
    }

    /// The text of the document of that number, if it is there.
    pub fn source(&self, at: usize) -> Option<&[u8]> {
        let held = self.docs.get(at)?.as_ref()?;
        Some(&self.body[held.source.clone()])
    }

    /// Its `_seq_no` and `_primary_term`.
    pub fn place(&self, at: usize) -> Option<(u64, u64)> {
        Some(self.docs.get(at)?.as_ref()?.place)
    }
}

fn missing_or_failed(error: &Json) -> Refusal {
    let kind = error["type"].as_str().unwrap_or_default();
    let status = match kind {
        "index_not_found_exception" => 404,
        // A shard that moves, or starts.
        "no_shard_available_action_exception" | "unavailable_shards_exception" => 503,
        _ => 500,
    };
    Refusal::of(status, error)
}

/// Where a part of a text lies in it.
fn within(text: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(rename = "_scroll_id")]
    scroll_id: Option<String>,
    #[serde(default)]
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Option<Shards>,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
    failures: Option<Json>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(borrow, rename = "_id")]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "_source")]
    source: Option<&'a RawValue>,
}

/// Gives each document of a page of a search to `each`: id and text. Says how many there were, and
/// under which id the next page is had.
///
/// *Errors* – `elasticsearch::bad_answer`; a page that is short because the time was up, or a shard
/// failed, is an error and no page.
pub(super) fn page(
    answer: &Answer,
    doing: &str,
    each: &mut dyn FnMut(&str, &str) -> Result<()>,
) -> Result<(usize, Option<String>)> {
    let page: Page<'_> =
        serde_json::from_slice(&answer.body).map_err(|cause| answer.bad(doing).caused_by(cause))?;
    if page.timed_out {
        return Err(refused_part(doing, Refusal::of(408, &Json::Null)));
    }
    if let Some(shards) = page.shards.filter(|shards| shards.failed > 0) {
        let failure = shards.failures.unwrap_or_default();
        return Err(refused_part(doing, Refusal::of(503, &failure[0]["reason"])));
    }
    for hit in &page.hits.hits {
        let source = hit.source.ok_or_else(|| no_source(doing))?;
        each(&hit.id, source.get())?;
    }
    Ok((page.hits.hits.len(), page.scroll_id))
}

fn no_source(doing: &str) -> Error {
    Error::config(
        "elasticsearch::no_source",
        format!("cannot {doing}: it does not keep its documents"),
    )
    .help("its mapping says `_source` is not enabled: write to an index that keeps it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        Answer {
            node: "n:9200".into(),
            status: 200,
            retry_after: None,
            product: None,
            body: body.to_owned().into(),
        }
    }

    fn told(body: &str) -> std::result::Result<Vec<u16>, &'static str> {
        let found = fates(&answer(body), "write", ["a", "b\"", "c"].into_iter());
        let status = |fate: &Fate| match fate {
            Fate::Done => 0,
            Fate::Refused(refusal) => refusal.status,
        };
        found
            .map(|fates| fates.iter().map(status).collect())
            .map_err(|error| error.code())
    }

    #[test]
    fn every_row_has_a_fate_in_whatever_order_they_come() {
        let a = r#"{"create":{"_id":"a","status":201}}"#;
        let b = r#"{"index":{"_id":"b\"","status":400,"error":{"type":"t","reason":"r"}}}"#;
        let c = r#"{"create":{"_id":"c","status":429}}"#;
        assert_eq!(
            told(&format!("{{\"errors\":true,\"items\":[{a},{b},{c}]}}")),
            Ok(vec![0, 400, 429])
        );
        assert_eq!(
            told(&format!("{{\"errors\":true,\"items\":[{c},{a},{b}]}}")),
            Ok(vec![0, 400, 429])
        );
        for wrong in [
            format!("{{\"items\":[{a},{b}]}}"),
            format!("{{\"items\":[{a},{a},{b}]}}"),
            format!("{{\"items\":[{a},{b},{c}"),
            "{\"errors\":false}".to_owned(),
            "<html>".to_owned(),
        ] {
            assert_eq!(told(&wrong), Err("elasticsearch::bad_answer"), "{wrong}");
        }
        let inside = r#"{"error":{"type":"es_rejected","reason":"full"},"status":429}"#;
        assert_eq!(told(inside), Err("elasticsearch::busy"));
    }

    #[test]
    fn documents_come_as_they_are_written() {
        let body = r#"{"docs":[{"_id":"a","found":true,"_seq_no":4,"_primary_term":1,"_source":{"n" : 1.50}},{"_id":"b","found":false}]}"#;
        let documents = Documents::of(answer(body), "read", ["a", "b"].into_iter()).unwrap();
        assert_eq!(documents.source(0), Some(&b"{\"n\" : 1.50}"[..]));
        assert_eq!(
            (documents.place(0), documents.is_there(1)),
            (Some((4, 1)), false)
        );
        let moving =
            r#"{"docs":[{"_id":"a","error":{"type":"no_shard_available_action_exception"}}]}"#;
        let moving = Documents::of(answer(moving), "read", ["a"].into_iter()).unwrap_err();
        assert!(moving.class().is_retryable(), "{}", moving.chain());
        let swapped = Documents::of(answer(body), "read", ["b", "a"].into_iter());
        assert_eq!(swapped.unwrap_err().code(), "elasticsearch::bad_answer");
    }

    #[test]
    fn a_page_cut_short_is_an_error() {
        let read = |body: &str| {
            let mut ids = String::new();
            let found = page(&answer(body), "read", &mut |id, _| {
                ids.push_str(id);
                Ok(())
            });
            found.map(|_| ids).map_err(|error| error.code())
        };
        let hits = r#""hits":{"hits":[{"_id":"a","_source":{}}]}"#;
        assert_eq!(
            read(&format!(
                r#"{{"timed_out":false,"_shards":{{"failed":0}},{hits}}}"#
            )),
            Ok("a".into())
        );
        assert_eq!(
            read(&format!(r#"{{"timed_out":true,{hits}}}"#)),
            Err("elasticsearch::timed_out")
        );
        let failed = r#"{"failed":1,"failures":[{"reason":{"type":"t","reason":"r"}}]}"#;
        assert_eq!(
            read(&format!(r#"{{"_shards":{failed},{hits}}}"#)),
            Err("elasticsearch::unavailable")
        );
    }
}
