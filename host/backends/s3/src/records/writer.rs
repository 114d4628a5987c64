//! Writes one partition: what a row meets is looked up when it is staged, and all objects of a
//! batch are written by its commit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use dkhost_core::content::row_hashes;
use dkhost_core::json::RowError;
use dkhost_core::{
    Batch, Checkpoint, Conflict, ContentSum, Durable, Outcome, Outcomes, Result, RowReject,
    WriteReport, Writer, fail,
};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::codec::Encoded;
use super::intent::Intent;
use super::sink::Target;
use super::{keys, send};
use crate::put::If;
use crate::source::{Fetch, Listed};
use crate::target::not_claimed;

/// Writes one partition.
pub(super) struct RecordWriter {
    target: Arc<Target>,
    partition: u32,
    epoch: u64,
    run: String,
    checkpoint: Option<Checkpoint>,
    /// The note of a batch that was interrupted, until that batch came again.
    interrupted: Option<Intent>,
    staged: Staged,
    /// Objects of a commit that was begun, which are not there yet; and its seq.
    sending: Option<(u64, VecDeque<send::Object>)>,
}

/// Rows that wait for their commit.
#[derive(Default)]
struct Staged {
    /// By id, in the order they came.
    objects: Vec<(String, send::Object)>,
    ids: HashSet<u128>,
    met: HashMap<String, ContentSum>,
    digest: Xxh3,
}

/// What a row met in the target.
#[derive(Debug, Clone)]
struct Met {
    content: ContentSum,
    /// `None` if it is gone since.
    etag: Option<String>,
}

impl RecordWriter {
    /// Goes on after the partition's checkpoint.
    pub(super) fn open(target: Arc<Target>, partition: u32) -> Result<Self> {
        let (epoch, run, checkpoint) = {
            let held = target.lock_held();
            let state = &held.as_ref().ok_or_else(not_claimed)?.state;
            let checkpoint = state.checkpoints.get(&partition).cloned();
            (state.epoch, state.run.clone(), checkpoint)
        };
        let seq = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq);
        let note = Intent::read(&target.client, &target.note(partition))?;
        Ok(RecordWriter {
            interrupted: note.filter(|note| note.run == run && note.seq == seq + 1),
            target,
            partition,
            epoch,
            run,
            checkpoint,
            staged: Staged::default(),
            sending: None,
        })
    }

    /// Rows as objects with their keys, or why not.
    fn encode(&self, records: &RecordBatch) -> Result<Vec<Result<(Encoded, String), RowError>>> {
        let (prefix, strict) = (
            &self.target.names.prefix,
            self.target.client.server.endpoint.is_some(),
        );
        let rows = self.target.codec.encode(records)?.into_iter();
        let with_key = |row: Result<Encoded, RowError>| {
            let row = row?;
            let key = keys::of(prefix, &row.id, strict)?;
            Ok((row, key))
        };
        Ok(rows.map(with_key).collect())
    }

    /// What the rows of a batch meet, by id.
    fn look(&self, rows: &[Result<(Encoded, String), RowError>]) -> Result<HashMap<u128, Met>> {
        let taken = || rows.iter().flatten();
        let note = self.interrupted.as_ref();
        let note = note.filter(|note| note.ids == digest(taken()));
        let noted = |id: &str| {
            let hash = xxh3_128(id.as_bytes());
            note.and_then(|note| note.met.get(&format!("{hash:032x}")).copied())
        };
        let wanted: Vec<Listed> = {
            let known = self.target.lock_known();
            let mut seen = HashSet::new();
            taken()
                .filter(|(row, key)| {
                    let may_be_met = match note {
                        Some(_) => noted(&row.id).is_some(),
                        None => known.may_have(&row.id),
                    };
                    may_be_met && seen.insert(key)
                })
                .map(|(row, key)| Listed {
                    key: key.clone(),
                    // A guess, so that not too much is on its way at once.
                    size: row.body.len() as u64,
                    etag: String::new(),
                })
                .collect()
        };
        let mut fetch = Fetch::of(&self.target.client, wanted.into_iter(), true);
        let mut met = HashMap::new();
        while let Some((listed, content)) = fetch.next_content()? {
            let id = self.target.id_of(&listed.key).unwrap_or_default();
            // What a batch met that was interrupted; what is there now may be its own.
            let met_before = noted(id);
            let etag = content.as_ref().map(|found| found.etag.clone());
            let (Some(found), None) = (content, met_before) else {
                let is_met = met_before.map(|content| Met { content, etag });
                met.extend(is_met.map(|is_met| (xxh3_128(id.as_bytes()), is_met)));
                continue;
            };
            // Only what is replaced has to be understood.
            let content = match self.target.conflict {
                Conflict::Upsert => {
                    let rows = self
                        .target
                        .codec
                        .decode([(id, &found.bytes[..])].into_iter())?;
                    ContentSum::of(&rows)?
                }
                _ => ContentSum::default(),
            };
            met.insert(xxh3_128(id.as_bytes()), Met { content, etag });
        }
        Ok(met)
    }

    fn stage(&mut self, records: &RecordBatch) -> Result<WriteReport> {
        let rows = self.encode(records)?;
        let met = self.look(&rows)?;
        let folded = self.folded(&rows);
        let contents = row_hashes(records)?;
        let mut report = WriteReport::all_written();
        let mut outcomes = Vec::with_capacity(rows.len());
        for (row, encoded) in rows.into_iter().enumerate() {
            let (encoded, key) = match encoded {
                Ok(encoded) => encoded,
                Err(error) => {
                    report.rejects.push(not_representable(error, row));
                    outcomes.push(Outcome::Rejected);
                    continue;
                }
            };
            self.staged.digest.update(encoded.id.as_bytes());
            self.staged.digest.update(&[0]);
            let hash = xxh3_128(encoded.id.as_bytes());
            let there = met.get(&hash);
            if let Some(met) = there {
                self.staged.met.insert(format!("{hash:032x}"), met.content);
            }
            let is_staged = self.staged.ids.contains(&hash);
            let outcome = match (self.target.conflict, there) {
                (Conflict::Upsert, _) if folded[row] => Outcome::Deduplicated,
                (Conflict::Upsert, Some(met)) if met.content.0 == contents[row] && !is_staged => {
                    Outcome::Unchanged
                }
                (Conflict::Upsert, Some(met)) => {
                    if !is_staged {
                        report.replaced += met.content;
                        report.replaced_rows += 1;
                    }
                    Outcome::Written
                }
                (Conflict::Skip, _) if there.is_some() || is_staged => Outcome::Unchanged,
                (Conflict::Insert, _) if there.is_some() || is_staged => Outcome::Rejected,
                _ => Outcome::Written,
            };
            match outcome {
                Outcome::Written => {
                    let condition = self.condition(there);
                    self.staged.put(hash, encoded, key, condition);
                }
                Outcome::Rejected => report.rejects.push(RowReject {
                    row: row as u32,
                    column: None,
                    code: "target::duplicate_key".to_owned(),
                    message: format!("the record `{}` is in the target already", encoded.id),
                }),
                _ => {}
            }
            outcomes.push(outcome);
        }
        if outcomes.iter().any(|outcome| *outcome != Outcome::Written) {
            report.outcomes = Outcomes::Each(outcomes);
        }
        Ok(report)
    }

    /// Which rows are folded into a later one with the same id.
    fn folded(&self, rows: &[Result<(Encoded, String), RowError>]) -> Vec<bool> {
        let mut later = HashSet::new();
        let mut folded: Vec<bool> = rows
            .iter()
            .rev()
            .map(|row| row.as_ref().is_ok_and(|(row, _)| !later.insert(&row.id)))
            .collect();
        folded.reverse();
        folded
    }

    fn condition(&self, there: Option<&Met>) -> If {
        match there {
            _ if !self.target.conditional => If::Any,
            None => If::Absent,
            Some(met) => met.etag.clone().map_or(If::Absent, If::Match),
        }
    }

    /// Notes what the batch met, and writes its objects; what was acknowledged is not sent again.
    fn send(&mut self, seq: u64) -> Result<()> {
        if self.sending.as_ref().is_none_or(|(of, _)| *of != seq) {
            let staged = std::mem::take(&mut self.staged);
            let note = Intent {
                run: self.run.clone(),
                seq,
                ids: format!("{:032x}", staged.digest.digest128()),
                met: staged.met.clone(),
            };
            if !staged.objects.is_empty() {
                let written = note.write(&self.target.client, &self.target.note(self.partition));
                if let Err(error) = written {
                    // Nothing was begun; the commit can be repeated.
                    self.staged = staged;
                    return Err(error);
                }
                fail::point("s3.records.noted")?;
            }
            let objects = staged.objects.into_iter().map(|(_, object)| object);
            self.sending = Some((seq, objects.collect()));
            self.interrupted = Some(note);
        }
        if let Some((_, objects)) = &mut self.sending {
            let mut known = Vec::with_capacity(objects.len());
            known.extend(objects.iter().map(|object| object.key.clone()));
            let sent = send::all(&self.target.client, objects);
            let mut ids = self.target.lock_known();
            for key in known {
                ids.add(self.target.id_of(&key).unwrap_or_default());
            }
            drop(ids);
            sent?;
        }
        fail::point("s3.records.sent")
    }
}

impl Staged {
    fn put(&mut self, hash: u128, row: Encoded, key: String, condition: If) {
        let body = Bytes::from(row.body);
        if !self.ids.insert(hash) {
            // A later write of the same commit takes the place of an earlier one.
            let earlier = self.objects.iter_mut().find(|(id, _)| *id == row.id);
            if let Some((_, object)) = earlier {
                object.body = body;
                return;
            }
        }
        let object = send::Object {
            key,
            body,
            condition,
        };
        self.objects.push((row.id, object));
    }
}

/// A digest of the ids of a batch, in order.
fn digest<'a>(rows: impl Iterator<Item = &'a (Encoded, String)>) -> String {
    let mut hash = Xxh3::new();
    for (row, _) in rows {
        hash.update(row.id.as_bytes());
        hash.update(&[0]);
    }
    format!("{:032x}", hash.digest128())
}

fn not_representable(error: RowError, row: usize) -> RowReject {
    error.reject(row as u32)
}

impl Writer for RecordWriter {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    fn write(&mut self, batch: &Batch) -> Result<WriteReport> {
        self.stage(&batch.records)
    }

    fn read_back(&mut self) -> Result<RecordBatch> {
        let objects = self.staged.objects.iter();
        let rows = objects.map(|(id, object)| (id.as_str(), &object.body[..]));
        self.target.codec.decode(rows)
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable> {
        let of = |held: &Checkpoint| (held.epoch, held.seq);
        if self.checkpoint.as_ref().map(of) == Some(of(checkpoint)) {
            return self.roll_back().map(|()| Durable::Now);
        }
        self.target
            .with_held(self.epoch, |held| held.ensure_current())?;
        self.send(checkpoint.seq)?;
        self.target.commit(self.epoch, checkpoint)?;
        self.checkpoint = Some(checkpoint.clone());
        self.sending = None;
        self.interrupted = None;
        Ok(Durable::Now)
    }

    fn roll_back(&mut self) -> Result<()> {
        self.staged = Staged::default();
        self.sending = None;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
