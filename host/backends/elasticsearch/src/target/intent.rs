//! What a batch is about to change, written down before it is sent, so that it can be undone.
//!
//! A server of this kind has no transactions: what a process sent before it died stays. So that a run
//! that is taken up again finds what it would have found undisturbed (a key that was there before
//! stays a conflict, one it wrote itself is none; content that was replaced is that of the record
//! before), every batch is preceded by its intent, in the checkpoint's own document. Whoever takes
//! the partition over undoes it first.
//!
//! Only documents that still are what the batch made of them are undone: one that somebody changed
//! since stays as it is.

use bytes::Bytes;
use dkhost_core::json::escape;
use dkhost_core::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use super::answers::{Documents, Fate, fates};
use super::store::is_too_large;
use crate::client::{Client, Request};
use crate::fault;

/// Documents asked for at once.
const TOGETHER: usize = 4096;
/// Bytes of a body that undoes.
const BODY_BYTES: usize = 4 << 20;
/// How often what the server does not take is sent again.
const ATTEMPTS: u32 = 8;

/// What a batch is about to change.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Intent {
    /// Documents that were not there: id and hash of what is written.
    #[serde(default)]
    created: Vec<(String, u64)>,
    /// Documents that are replaced: id, hash of what is written, what was there.
    #[serde(default)]
    replaced: Vec<(String, u64, Box<RawValue>)>,
    /// Documents called by their place, which nobody else writes: prefix and how many.
    #[serde(default)]
    places: Vec<(String, usize)>,
    /// About how long it is as text.
    #[serde(skip)]
    bytes: usize,
}

/// What stands around an id and a hash.
const AROUND: usize = 32;

impl Intent {
    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.replaced.is_empty() && self.places.is_empty()
    }

    /// About how many bytes it has as text.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn create(&mut self, id: &str, hash: u64) {
        self.bytes += id.len() + AROUND;
        self.created.push((id.to_owned(), hash));
    }

    /// *Errors* – a bug, if what was there is no JSON.
    pub fn replace(&mut self, id: &str, hash: u64, before: &[u8]) -> Result<()> {
        let before = String::from_utf8_lossy(before).into_owned();
        let before = RawValue::from_string(before)
            .map_err(|cause| Error::bug("a document is no JSON").caused_by(cause))?;
        self.bytes += id.len() + before.get().len() + AROUND;
        self.replaced.push((id.to_owned(), hash, before));
        Ok(())
    }

    /// Documents called `prefix` and a number below `count`.
    pub fn places(&mut self, prefix: &str, count: usize) {
        self.places.retain(|(known, _)| known != prefix);
        self.places.push((prefix.to_owned(), count));
    }

    /// Appends it as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"created\":[");
        for (at, (id, hash)) in self.created.iter().enumerate() {
            begin(out, at, id);
            out.extend_from_slice(format!(",{hash}]").as_bytes());
        }
        out.extend_from_slice(b"],\"replaced\":[");
        for (at, (id, hash, before)) in self.replaced.iter().enumerate() {
            begin(out, at, id);
            out.extend_from_slice(format!(",{hash},{}]", before.get()).as_bytes());
        }
        out.extend_from_slice(b"],\"places\":[");
        for (at, (prefix, count)) in self.places.iter().enumerate() {
            begin(out, at, prefix);
            out.extend_from_slice(format!(",{count}]").as_bytes());
        }
        out.extend_from_slice(b"]}");
    }
}

fn begin(out: &mut Vec<u8>, at: usize, id: &str) {
    out.extend_from_slice(if at == 0 { b"[" } else { b",[" });
    escape(id, out);
}

/// Where an intent is undone.
pub(super) struct Undo<'a> {
    pub client: &'a Client,
    /// The index that is read.
    pub index: &'a str,
    /// The alias that is written through: it is gone when somebody else took the target over.
    pub through: &'a str,
    pub doing: &'a str,
}

impl Undo<'_> {
    /// Makes the documents what they were before.
    ///
    /// *Errors* – the server's; it can be repeated.
    pub fn undo(&self, intent: &Intent) -> Result<()> {
        for created in intent.created.chunks(TOGETHER) {
            self.created(created)?;
        }
        for replaced in intent.replaced.chunks(256) {
            self.replaced(replaced)?;
        }
        for (prefix, count) in &intent.places {
            let mut body = Actions::default();
            for number in 0..*count {
                body.delete(&format!("{prefix}{number:x}"), None);
                self.send_full(&mut body)?;
            }
            self.send(&mut body)?;
        }
        Ok(())
    }

    fn created(&self, created: &[(String, u64)]) -> Result<()> {
        let ids = created.iter().map(|(id, _)| id.as_str());
        let there = documents(self.client, self.index, self.doing, ids, true)?;
        let mut body = Actions::default();
        for (at, (id, hash)) in created.iter().enumerate() {
            if there.source(at).map(xxh3_64) == Some(*hash) {
                body.delete(id, there.place(at));
                self.send_full(&mut body)?;
            }
        }
        self.send(&mut body)
    }

    fn replaced(&self, replaced: &[(String, u64, Box<RawValue>)]) -> Result<()> {
        let ids = replaced.iter().map(|(id, ..)| id.as_str());
        let there = documents(self.client, self.index, self.doing, ids, true)?;
        let mut body = Actions::default();
        for (at, (id, hash, before)) in replaced.iter().enumerate() {
            if there.source(at).map(xxh3_64) == Some(*hash) {
                body.index(id, there.place(at), before.get());
                self.send_full(&mut body)?;
            }
        }
        self.send(&mut body)
    }

    fn send_full(&self, body: &mut Actions) -> Result<()> {
        match body.lines.len() > BODY_BYTES {
            true => self.send(body),
            false => Ok(()),
        }
    }

    fn send(&self, body: &mut Actions) -> Result<()> {
        let actions = std::mem::take(body);
        match actions.ids.is_empty() {
            true => Ok(()),
            false => self.send_all(&actions.ids, &actions.starts, actions.lines.into()),
        }
    }

    /// Sends actions, in halves where they are too large together. `starts` says where the lines of
    /// each begin, counted from those of the first.
    fn send_all(&self, ids: &[String], starts: &[usize], lines: Bytes) -> Result<()> {
        match self.attempt(ids, &lines) {
            Err(error) if is_too_large(&error) && ids.len() > 1 => {
                let (half, first) = (ids.len() / 2, starts.first().copied().unwrap_or_default());
                let at = starts[half] - first;
                self.send_all(&ids[..half], &starts[..half], lines.slice(..at))?;
                self.send_all(&ids[half..], &starts[half..], lines.slice(at..))
            }
            sent => sent,
        }
    }

    fn attempt(&self, ids: &[String], lines: &Bytes) -> Result<()> {
        let mut attempt = 0;
        loop {
            let request = Request::post(self.doing, format!("{}/_bulk", self.through))
                .with("require_alias", true)
                .with(
                    "filter_path",
                    "error,status,items.*._id,items.*.status,items.*.error",
                )
                .lines(lines.clone(), false);
            let answer = self.client.send(&request)?;
            let busy = match answer.is_fine() {
                false if answer.status == 429 => fault::refused(self.doing, &answer),
                false => return Err(fault::refused(self.doing, &answer)),
                // All of them once more: what is undone is found to be so.
                true => {
                    match self.refused(&fates(&answer, self.doing, ids.iter().map(String::as_str))?)
                    {
                        None => return Ok(()),
                        Some(error) if error.class().is_retryable() => error,
                        Some(error) => return Err(error),
                    }
                }
            };
            attempt += 1;
            if attempt >= ATTEMPTS {
                return Err(busy);
            }
            let pause = std::time::Duration::from_millis(50 << attempt);
            std::thread::sleep(answer.retry_after.unwrap_or(pause));
        }
    }

    /// The worst of what was not done. A document that is gone, or somebody else's by now, is as it
    /// should be.
    fn refused(&self, fates: &[Fate]) -> Option<Error> {
        let wrong = fates.iter().filter_map(|fate| match fate {
            Fate::Refused(refusal) if refusal.status == 409 => None,
            Fate::Refused(refusal)
                if refusal.status == 404 && refusal.kind != "index_not_found_exception" =>
            {
                None
            }
            Fate::Refused(refusal) => Some(refusal),
            Fate::Done => None,
        });
        let worst = wrong.max_by_key(|refusal| !refusal.class().is_retryable())?;
        Some(fault::refused_part(self.doing, worst.clone()))
    }
}

/// A body of a bulk that undoes.
#[derive(Default)]
struct Actions {
    ids: Vec<String>,
    /// Where the lines of each begin.
    starts: Vec<usize>,
    lines: Vec<u8>,
}

impl Actions {
    fn action(&mut self, action: &str, id: &str, place: Option<(u64, u64)>) {
        self.ids.push(id.to_owned());
        self.starts.push(self.lines.len());
        self.lines
            .extend_from_slice(format!("{{\"{action}\":{{\"_id\":").as_bytes());
        escape(id, &mut self.lines);
        if let Some((seq_no, term)) = place {
            let place = format!(",\"if_seq_no\":{seq_no},\"if_primary_term\":{term}");
            self.lines.extend_from_slice(place.as_bytes());
        }
        self.lines.extend_from_slice(b"}}\n");
    }

    fn delete(&mut self, id: &str, place: Option<(u64, u64)>) {
        self.action("delete", id, place);
    }

    fn index(&mut self, id: &str, place: Option<(u64, u64)>, document: &str) {
        self.action("index", id, place);
        // A document may have been written on several lines: a line end in it is never in a string.
        let line = document
            .bytes()
            .filter(|byte| !matches!(byte, b'\n' | b'\r'));
        self.lines.extend(line);
        self.lines.push(b'\n');
    }
}

/// The documents of these ids as they are now, searchable or not; without their text unless it is
/// asked for.
///
/// *Errors* – what the server says, as a whole or of one of them.
pub(super) fn documents<'i>(
    client: &Client,
    index: &str,
    doing: &str,
    ids: impl ExactSizeIterator<Item = &'i str> + Clone,
    text: bool,
) -> Result<Documents> {
    let mut body = b"{\"ids\":[".to_vec();
    for (at, id) in ids.clone().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        escape(id, &mut body);
    }
    body.extend_from_slice(b"]}");
    let mut request = Request::post(doing, format!("{index}/_mget"));
    request.body = Some((Bytes::from(body), crate::client::Media::Json));
    // A filter would take the documents apart and write them anew, numbers rounded.
    let request = match text {
        true => request.with("_source", true),
        false => request
            .with("_source", false)
            .with("filter_path", "docs._id,docs.found,docs.error"),
    };
    Documents::of(client.ask(&request)?, doing, ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_read_as_it_was_written() {
        let mut intent = Intent::default();
        intent.create("a\"\n", u64::MAX);
        intent.create("b", 0);
        intent
            .replace("c", 7, br#"{"n" : 1.50, "big":1e400}"#)
            .unwrap();
        intent.places("run-1-", 3);
        intent.places("run-1-", 5);
        let mut text = Vec::new();
        intent.write(&mut text);
        let read: Intent = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            read.created,
            [("a\"\n".to_owned(), u64::MAX), ("b".to_owned(), 0)]
        );
        assert_eq!(read.replaced[0].2.get(), r#"{"n" : 1.50, "big":1e400}"#);
        assert_eq!(read.places, [("run-1-".to_owned(), 5)]);
        assert!(!read.is_empty() && Intent::default().is_empty());
        assert!(intent.replace("d", 1, b"{").is_err());
    }
}
