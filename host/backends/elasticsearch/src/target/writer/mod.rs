//! Writes one partition: what is there is looked up, what will change is written down, the rest is a
//! bulk.
//!
//! ```text
//! write   lines of the batch; rows of one id folded; what is there looked up by id
//!         intent into the partition's document, by compare-and-set
//!         bulk; every row's outcome
//! commit  the checkpoint in the place of the intent, by compare-and-set
//! ```
//!
//! With ids made of places nothing is looked up, since nobody else has them; with versions of the
//! documents' own nothing is undone, since the server decides by them. All others are in [`by_id`].

mod by_id;

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::{
    Batch, Checkpoint, Conflict, Durable, Error, Outcome, Outcomes, Result, RowReject, WriteReport,
    Writer, fail,
};

use super::answers::Documents;
use super::bulk::{Bulk, Sent};
use super::ids::place_prefix;
use super::intent::documents;
use super::journal::Journal;
use super::lines::{Action, Lines};
use super::{Held, Target};
use by_id::{READ, READ_FIRST};

/// A partition that is open.
pub(super) struct ElasticsearchWriter {
    target: Arc<Target>,
    held: Held,
    partition: u32,
    journal: Journal,
    /// How many documents are looked up at once with their text.
    together: usize,
    /// Ids of what was written since, in order.
    written: Vec<Box<str>>,
    /// Rows given to it since.
    rows: usize,
}

/// What becomes of a batch.
struct Fates {
    outcomes: Vec<Outcome>,
    rejects: Vec<RowReject>,
}

impl Fates {
    fn refuse(&mut self, reject: RowReject) {
        self.outcomes[reject.row as usize] = Outcome::Rejected;
        self.rejects.push(reject);
    }
}

impl ElasticsearchWriter {
    pub fn open(target: Arc<Target>, partition: u32) -> Result<Self> {
        let held = target.held()?;
        let journal = Journal::open(Arc::clone(&target), held.clone(), partition)?;
        Ok(ElasticsearchWriter {
            target,
            held,
            partition,
            journal,
            together: READ_FIRST,
            written: Vec::new(),
            rows: 0,
        })
    }

    fn doing(&self) -> String {
        format!("write to index {}", self.held.index)
    }

    fn stage(&mut self, records: &RecordBatch) -> Result<WriteReport> {
        let target = Arc::clone(&self.target);
        let action = match target.conflict {
            Conflict::Upsert => Action::Index,
            // Nobody else has these: the same place is the same record.
            _ if target.layout.from.is_place() => Action::Index,
            _ => Action::Create,
        };
        let seq = self
            .journal
            .checkpoint()
            .map_or(0, |committed| committed.seq);
        let prefix = place_prefix(&self.held.run, self.partition, seq);
        let mut lines = target.layout.lines(records, action, (&prefix, self.rows))?;
        self.rows += lines.len();
        let mut fates = Fates {
            outcomes: vec![Outcome::Written; lines.len()],
            rejects: Vec::new(),
        };
        for reject in std::mem::take(&mut lines.rejects) {
            fates.refuse(reject);
        }
        let mut report = WriteReport::all_written();
        if target.layout.from.is_place() {
            let count = self.rows;
            self.journal.note(|intent| {
                intent.places(&prefix, count);
                Ok(())
            })?;
            self.journal.intend()?;
            fail::point("elasticsearch.write.placed")?;
            let rows: Vec<u32> = lines.present().collect();
            self.send(&lines, &rows, &mut fates)?;
        } else {
            self.by_id(records, &lines, &mut fates, &mut report)?;
        }
        for row in lines.present() {
            if fates.outcomes[row as usize] == Outcome::Written {
                self.written.push(lines.id(row).into());
            }
        }
        fates.rejects.sort_by_key(|reject| reject.row);
        report.rejects = fates.rejects;
        if fates
            .outcomes
            .iter()
            .any(|outcome| *outcome != Outcome::Written)
        {
            report.outcomes = Outcomes::Each(fates.outcomes);
        }
        Ok(report)
    }

    fn look_up(&self, lines: &Lines, rows: &[u32], text: bool) -> Result<Documents> {
        let ids = rows.iter().map(|row| lines.id(*row));
        let (client, doing) = (&self.target.client, self.doing());
        documents(client, &self.held.path(), &doing, ids, text)
    }

    /// Sends rows and notes what became of them.
    fn send(&mut self, lines: &Lines, rows: &[u32], fates: &mut Fates) -> Result<()> {
        let target = Arc::clone(&self.target);
        let bulk = Bulk::new(
            target.client.clone(),
            Arc::clone(&target.gate),
            target.bulk_bytes,
            target.gzip,
            self.doing(),
        );
        let mut doubtful = Vec::new();
        let sent = bulk.send(&self.held.alias, lines, rows, &mut |row, sent| match sent {
            Sent::Done => {}
            Sent::Met => self.met(target.conflict, lines, row, fates),
            Sent::MetPerhapsItself => doubtful.push(row),
            Sent::Refused(reject) => fates.refuse(reject),
        });
        // The alias of our epoch is gone once somebody took the run over.
        sent.map_err(|error| match error.code() {
            "elasticsearch::no_index" => {
                match self.target.store.fenced(&self.held.run, self.held.epoch) {
                    fenced if fenced.code() == "run::fenced" => fenced,
                    _ => error,
                }
            }
            _ => error,
        })?;
        doubtful.sort_unstable();
        for rows in doubtful.chunks(READ) {
            let there = self.look_up(lines, rows, true)?;
            for (at, row) in rows.iter().enumerate() {
                if there.source(at) != Some(lines.document(*row)) {
                    self.met(target.conflict, lines, *row, fates);
                }
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.written.clear();
        self.rows = 0;
    }
}

impl Writer for ElasticsearchWriter {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.journal.checkpoint()
    }

    fn write(&mut self, batch: &Batch) -> Result<WriteReport> {
        if batch.records.num_rows() == 0 {
            return Ok(WriteReport::all_written());
        }
        self.stage(&batch.records)
    }

    fn read_back(&mut self) -> Result<RecordBatch> {
        let mut back = self.target.layout.back();
        let (doing, path) = (
            format!("read back index {}", self.held.index),
            self.held.path(),
        );
        for ids in self.written.chunks(READ) {
            let client = &self.target.client;
            let there = documents(client, &path, &doing, ids.iter().map(AsRef::as_ref), true)?;
            for (at, id) in ids.iter().enumerate() {
                if let Some(text) = there.source(at) {
                    back.push(id, text)?;
                }
            }
        }
        back.finish()
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable> {
        if (&checkpoint.run, checkpoint.epoch) != (&self.held.run, self.held.epoch) {
            return Err(Error::bug("a commit for another run than was claimed"));
        }
        let place = |c: &Checkpoint| (c.run.clone(), c.epoch, c.seq);
        if self.journal.checkpoint().map(place) == Some(place(checkpoint)) {
            // Committed already, and the reply was lost: what is staged is the same batch again.
            return Ok(Durable::Now);
        }
        fail::point("elasticsearch.commit.prepared")?;
        self.journal.commit(checkpoint)?;
        self.clear();
        fail::point("elasticsearch.commit.committed")?;
        Ok(Durable::Now)
    }

    fn roll_back(&mut self) -> Result<()> {
        self.journal.undo()?;
        self.clear();
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        // Every acknowledged request is in the server's synced log.
        Ok(())
    }
}
