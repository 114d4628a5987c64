//! Rows with ids that other documents may have: of several rows of one id the last is taken, what is
//! there is looked up, and what will change is noted before it is sent.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::{Conflict, ContentSum, Outcome, Result, RowReject, WriteReport, fail};

use super::super::layout::Back;
use super::super::lines::Lines;
use super::{ElasticsearchWriter, Fates};

/// Documents looked up at once without their text.
const LOOKED_UP: usize = 8192;
/// The same with it: at first, and at the most while they are not large.
pub(super) const READ_FIRST: usize = 128;
pub(super) const READ: usize = 512;
const READ_BYTES: usize = 8 << 20;

impl ElasticsearchWriter {
    /// Rows whose ids another may have.
    pub(super) fn by_id(
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
    pub(super) fn met(&self, mode: Conflict, lines: &Lines, row: u32, fates: &mut Fates) {
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
        let target = Arc::clone(&self.target);
        let mut back = target.layout.back();
        let (sent, replaced) = self.examine(lines, rows, fates, &mut back)?;
        if !sent.is_empty() {
            self.journal.intend()?;
        }
        fail::point("elasticsearch.write.intended")?;
        self.send(lines, &sent, fates)?;
        fail::point("elasticsearch.write.sent")?;
        self.sum_replaced(&mut back, &replaced, fates, report)
    }

    /// Looks rows up and notes what they change: which are to be sent, and which of them replace
    /// what is there, whose columns go to `back`.
    fn examine(
        &mut self,
        lines: &Lines,
        rows: &[u32],
        fates: &mut Fates,
        back: &mut Back<'_>,
    ) -> Result<(Vec<u32>, Vec<u32>)> {
        let upsert = self.target.conflict == Conflict::Upsert;
        let (mut sent, mut replaced) = (Vec::with_capacity(rows.len()), Vec::new());
        let mut rest = rows;
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
                    (true, Some(text)) if upsert && text == lines.document(*row) => {
                        fates.outcomes[*row as usize] = Outcome::Unchanged;
                        continue;
                    }
                    (true, Some(text)) if upsert => {
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
                sent.push(*row);
            }
            self.came(there.bytes());
        }
        Ok((sent, replaced))
    }

    /// How many documents are looked up at once.
    fn at_once(&self, text: bool) -> usize {
        match text {
            true => self.together,
            false => LOOKED_UP,
        }
    }

    /// Documents came, in so many bytes: more of them the next time, or fewer.
    fn came(&mut self, bytes: usize) {
        self.together = match bytes > READ_BYTES {
            true => (self.together / 2).max(1),
            false => (self.together * 2).min(READ),
        };
    }

    /// Adds up what was replaced, but for rows the server refused after all.
    fn sum_replaced(
        &self,
        back: &mut Back<'_>,
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
}

/// An id for people, who may have to read hundreds.
fn shortened(id: &str) -> String {
    match id.char_indices().nth(80) {
        Some((end, _)) => format!("`{}…`", &id[..end]),
        None => format!("`{id}`"),
    }
}
