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
//! documents' own nothing is undone, since the server decides by them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::{
    Batch, Checkpoint, Conflict, ContentSum, Durable, Error, Outcome, Outcomes, Result, RowReject,
    WriteReport, Writer, fail,
};

use super::answers::Documents;
use super::bulk::{Bulk, Sent};
use super::ids::place_prefix;
use super::intent::documents;
use super::journal::Journal;
use super::lines::{Action, Lines};
use super::{Held, Target};

/// Documents looked up at once without their text.
const LOOKED_UP: usize = 8192;
/// The same with it: at first, and at the most while they are not large.
const READ_FIRST: usize = 128;
const READ: usize = 512;
const READ_BYTES: usize = 8 << 20;

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

    /// Rows whose ids another may have.
    fn by_id(
        &mut self,
        records: &RecordBatch,
        lines: &Lines,
        fates: &mut Fates,
        report: &mut WriteReport,
    ) -> Result<()> {
        let mut folded = self.fold(records, lines, fates);
        let mut rows: Vec<u32> = lines
            .present()
            .filter(|row| fates.outcomes[*row as usize] == Outcome::Written)
            .collect();
        // Once, and again only where the last of several rows of one id is refused: then the one
        // before it counts.
        while !rows.is_empty() {
            self.round(lines, &rows, fates, report)?;
            rows.retain(|row| fates.outcomes[*row as usize] == Outcome::Rejected);
            rows = rows.iter().filter_map(|row| folded.remove(row)).collect();
            for before in &rows {
                fates.outcomes[*before as usize] = Outcome::Written;
            }
            rows.sort_unstable();
        }
        Ok(())
    }

    /// Leaves one row of each id: the last under `upsert`, with versions that of the highest, else
    /// the first. Says which row of the same id comes before a row.
    fn fold(&self, records: &RecordBatch, lines: &Lines, fates: &mut Fates) -> HashMap<u32, u32> {
        let mut known: HashMap<&str, u32> = HashMap::with_capacity(lines.len());
        let mut before = HashMap::new();
        for row in lines.present() {
            let Some(first) = known.insert(lines.id(row), row) else {
                continue;
            };
            match self.target.conflict {
                Conflict::Upsert if self.is_older(records, row, first) => {
                    fates.outcomes[row as usize] = Outcome::Deduplicated;
                    known.insert(lines.id(row), first);
                }
                Conflict::Upsert => {
                    fates.outcomes[first as usize] = Outcome::Deduplicated;
                    before.insert(row, first);
                }
                mode => {
                    self.met(mode, lines, row, fates);
                    known.insert(lines.id(row), first);
                }
            }
        }
        before
    }

    /// Whether the document's own version says that `row` is older than `other`.
    fn is_older(&self, records: &RecordBatch, row: u32, other: u32) -> bool {
        use arrow::array::{AsArray, Int64Array};
        let column = self
            .target
            .layout
            .version
            .map(|index| records.column(index));
        let versions: Option<&Int64Array> = column.and_then(|column| column.as_primitive_opt());
        versions.is_some_and(|v| v.value(row as usize) < v.value(other as usize))
    }

    /// A row met a document that stays.
    fn met(&self, mode: Conflict, lines: &Lines, row: u32, fates: &mut Fates) {
        if mode == Conflict::Skip || self.target.layout.version.is_some() {
            fates.outcomes[row as usize] = Outcome::Unchanged;
            return;
        }
        let id = lines.id(row);
        fates.refuse(RowReject {
            row,
            column: None,
            code: "elasticsearch::exists".to_owned(),
            message: format!("a document of the id {} is there already", shortened(id)),
        });
    }

    /// Looks rows up, writes down what will change, and sends them. Their ids are unlike.
    fn round(
        &mut self,
        lines: &Lines,
        rows: &[u32],
        fates: &mut Fates,
        report: &mut WriteReport,
    ) -> Result<()> {
        if self.target.layout.version.is_some() {
            return self.send(lines, rows, fates);
        }
        let upsert = self.target.conflict == Conflict::Upsert;
        let target = Arc::clone(&self.target);
        let mut back = target.layout.back();
        let (mut sent, mut replaced) = (Vec::with_capacity(rows.len()), Vec::new());
        let (mut rest, mut changes) = (rows, false);
        while !rest.is_empty() {
            let (some, behind) = rest.split_at(self.at_once(upsert).min(rest.len()));
            rest = behind;
            let there = self.look_up(lines, some, upsert)?;
            for (at, row) in some.iter().enumerate() {
                let (id, hash) = (lines.id(*row), lines.hash(*row));
                match (there.is_there(at), there.source(at)) {
                    (false, _) => self.journal.note(|intent| {
                        intent.create(id, hash);
                        Ok(())
                    })?,
                    (true, Some(text)) if upsert => {
                        if text == lines.document(*row) {
                            fates.outcomes[*row as usize] = Outcome::Unchanged;
                            continue;
                        }
                        self.journal.note(|intent| intent.replace(id, hash, text))?;
                        if self.target.content {
                            back.push(id, text)?;
                        }
                        replaced.push(*row);
                    }
                    _ => {
                        self.met(self.target.conflict, lines, *row, fates);
                        continue;
                    }
                }
                changes = true;
                sent.push(*row);
            }
            self.read(there.bytes());
        }
        if changes {
            self.journal.intend()?;
        }
        fail::point("elasticsearch.write.intended")?;
        self.send(lines, &sent, fates)?;
        fail::point("elasticsearch.write.sent")?;
        self.sum_replaced(&mut back, &replaced, fates, report)
    }

    /// How many documents are looked up at once.
    fn at_once(&self, text: bool) -> usize {
        match text {
            true => self.together,
            false => LOOKED_UP,
        }
    }

    /// Documents came, in so many bytes: more of them the next time, or fewer.
    fn read(&mut self, bytes: usize) {
        self.together = match bytes > READ_BYTES {
            true => (self.together / 2).max(1),
            false => (self.together * 2).min(READ),
        };
    }

    /// Adds up what was replaced, but for rows the server refused after all.
    fn sum_replaced(
        &self,
        back: &mut super::layout::Back<'_>,
        replaced: &[u32],
        fates: &Fates,
        report: &mut WriteReport,
    ) -> Result<()> {
        let was_written = |row: &u32| fates.outcomes[*row as usize] == Outcome::Written;
        report.replaced_rows += replaced.iter().filter(|row| was_written(row)).count() as u64;
        if !self.target.content {
            return Ok(());
        }
        let before = back.finish()?;
        let kept: arrow::array::BooleanArray =
            replaced.iter().map(|row| Some(was_written(row))).collect();
        report.replaced += ContentSum::of(&arrow::compute::filter_record_batch(&before, &kept)?)?;
        Ok(())
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

/// An id for people, who may have to read hundreds.
fn shortened(id: &str) -> String {
    match id.char_indices().nth(80) {
        Some((end, _)) => format!("`{}…`", &id[..end]),
        None => format!("`{id}`"),
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
