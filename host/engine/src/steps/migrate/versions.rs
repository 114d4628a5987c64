//! Records of several versions side by side, each brought to one version by its own way.
//!
//! A batch of one version goes through as it is; a mixed one is taken apart by version and put
//! together again in its order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use dkhost_core::{Batch, Changed, Result, RowReject, Schema, Stage, StageKind, Step, StepNote};

use super::chain::Chain;
use super::stamp::StampAt;

/// A version records may be of, and its way; or why there is none.
pub(super) struct Candidate {
    pub(super) version: semver::Version,
    pub(super) way: Result<Chain, String>,
}

/// The step.
pub(super) struct Versions {
    pub(super) input: Schema,
    pub(super) candidates: Arc<[Candidate]>,
    pub(super) at: StampAt,
    /// Index of the version of records that do not say theirs.
    pub(super) unstamped: Option<usize>,
    /// Index of the version they are brought to.
    pub(super) wanted: Option<usize>,
    pub(super) output: Schema,
    pub(super) summary: String,
}

impl Versions {
    fn ways(&self) -> impl Iterator<Item = &Chain> {
        self.candidates
            .iter()
            .filter_map(|one| one.way.as_ref().ok())
    }
}

impl Step for Versions {
    fn kind(&self) -> StageKind {
        StageKind::Step
    }

    fn output(&self) -> &Schema {
        &self.output
    }

    fn reads(&self) -> Vec<String> {
        let mut read = vec![self.input.fields[self.at.column()].name.clone()];
        for name in self.ways().flat_map(|way| way.reads()) {
            if !read.contains(&name) {
                read.push(name);
            }
        }
        read
    }

    fn carries(&self) -> Vec<(String, String)> {
        let mut ways = self.ways().map(|way| way.carries());
        let first = ways.next().unwrap_or_default();
        ways.fold(first, |common, other| {
            common
                .into_iter()
                .filter(|pair| other.contains(pair))
                .collect()
        })
    }

    fn keeps_unknown(&self) -> bool {
        self.ways().all(|way| way.keeps_unknown())
    }

    fn note(&self) -> StepNote {
        let notes = self.ways().map(|way| way.note());
        let plugin = notes.into_iter().find(|note| note.plugin.is_some());
        StepNote {
            summary: self.summary.clone(),
            ..plugin.unwrap_or_default()
        }
    }

    fn open(&self, partition: u32) -> Result<Box<dyn Stage>> {
        let open = |one: &Candidate| match &one.way {
            Ok(way) => way.open(partition).map(Some),
            Err(_) => Ok(None),
        };
        Ok(Box::new(AtWork {
            stages: self.candidates.iter().map(open).collect::<Result<_>>()?,
            counts: vec![0; self.candidates.len()],
            input: self.input.clone(),
            candidates: self.candidates.clone(),
            at: self.at,
            unstamped: self.unstamped,
            wanted: self.wanted,
            kept: 0,
            output: self.output.clone(),
        }))
    }
}

/// Rows by index of the candidate.
type Groups = BTreeMap<usize, Vec<u32>>;

struct AtWork {
    stages: Vec<Option<Box<dyn Stage>>>,
    counts: Vec<u64>,
    input: Schema,
    candidates: Arc<[Candidate]>,
    at: StampAt,
    unstamped: Option<usize>,
    wanted: Option<usize>,
    kept: u64,
    output: Schema,
}

impl Stage for AtWork {
    fn apply(&mut self, batch: &Batch) -> Result<Changed> {
        let (groups, rejects) = self.groups(batch)?;
        if let (Some((only, rows)), 1) = (groups.iter().next(), groups.len())
            && rows.len() == batch.records.num_rows()
            && let Some(stage) = &mut self.stages[*only]
        {
            let changed = stage.apply(batch)?;
            self.count(*only, rows.len(), &changed);
            return Ok(changed);
        }
        let mut parts = Parts {
            records: Vec::new(),
            origin: Vec::new(),
            rejects,
        };
        for (candidate, rows) in groups {
            let Some(stage) = &mut self.stages[candidate] else {
                continue;
            };
            let changed = stage.apply(&taken(batch, &rows)?)?;
            self.count(candidate, rows.len(), &changed);
            parts.add(changed, &rows);
        }
        parts.joined(&self.output)
    }

    fn kept(&self) -> u64 {
        self.kept
    }

    fn counters(&self) -> Vec<(String, u64)> {
        let names = self
            .candidates
            .iter()
            .map(|one| format!("of {}", one.version));
        let counted = names.zip(self.counts.iter().copied());
        counted.filter(|(_, count)| *count > 0).collect()
    }
}

impl AtWork {
    fn count(&mut self, candidate: usize, rows: usize, changed: &Changed) {
        self.counts[candidate] += rows as u64;
        if self.wanted == Some(candidate) {
            self.kept += (rows - changed.rejects.len().min(rows)) as u64;
        }
    }

    /// Rows by candidate, and what is said to those without a way.
    fn groups(&self, batch: &Batch) -> Result<(Groups, Vec<RowReject>)> {
        let mut groups = Groups::new();
        let mut rejects = Vec::new();
        let mut known: BTreeMap<Option<String>, Result<usize, (String, String)>> = BTreeMap::new();
        let said = self.at.read(&batch.records, &self.input)?;
        for (row, version) in said.into_iter().enumerate() {
            let way = known
                .entry(version)
                .or_insert_with_key(|version| self.way_of(version.as_deref()));
            match way {
                Ok(candidate) => groups.entry(*candidate).or_default().push(row as u32),
                Err((code, message)) => rejects.push(RowReject {
                    row: row as u32,
                    column: Some(self.input.fields[self.at.column()].name.clone()),
                    code: code.clone(),
                    message: message.clone(),
                }),
            }
        }
        Ok((groups, rejects))
    }

    fn way_of(&self, version: Option<&str>) -> Result<usize, (String, String)> {
        let no = |code: &str, message: String| Err((code.to_owned(), message));
        let index = match version {
            None => self.unstamped,
            Some(text) => self
                .candidates
                .iter()
                .position(|one| is_version(text, &one.version)),
        };
        match (index, version) {
            (Some(index), _) => match &self.candidates[index].way {
                Ok(_) => Ok(index),
                Err(why) => no("schema::no_way", why.clone()),
            },
            (None, None) => no(
                "schema::no_version",
                "the record does not say which version it is of".to_owned(),
            ),
            (None, Some(text)) => no(
                "schema::unknown_version",
                format!("there is no version `{}`", crate::expr::fault::tidy(text)),
            ),
        }
    }
}

/// Whether a record's word means a version: `1` and `1.0` are 1.0.0.
fn is_version(text: &str, version: &semver::Version) -> bool {
    let written = version.to_string();
    [text, &format!("{text}.0"), &format!("{text}.0.0")].contains(&written.as_str())
}

fn taken(batch: &Batch, rows: &[u32]) -> Result<Batch> {
    let origin: Arc<[u32]> = rows
        .iter()
        .map(|row| batch.source_row(*row as usize))
        .collect();
    Ok(Batch {
        records: take_record_batch(&batch.records, &UInt32Array::from(rows.to_vec()))?,
        origin: Some(origin),
        rejects: Vec::new(),
        ..batch.clone()
    })
}

/// What the ways made of their rows.
struct Parts {
    records: Vec<RecordBatch>,
    origin: Vec<u32>,
    rejects: Vec<RowReject>,
}

impl Parts {
    fn add(&mut self, changed: Changed, rows: &[u32]) {
        match &changed.origin {
            None => self.origin.extend(rows),
            Some(origin) => self
                .origin
                .extend(origin.iter().map(|row| rows[*row as usize])),
        }
        self.rejects
            .extend(changed.rejects.into_iter().map(|reject| RowReject {
                row: rows[reject.row as usize],
                ..reject
            }));
        self.records.push(changed.records);
    }

    fn joined(self, output: &Schema) -> Result<Changed> {
        let together = concat_batches(&output.to_arrow(), &self.records)?;
        let mut order: Vec<u32> = (0..self.origin.len() as u32).collect();
        order.sort_by_key(|row| self.origin[*row as usize]);
        let origin = order.iter().map(|row| self.origin[*row as usize]).collect();
        Ok(Changed {
            records: take_record_batch(&together, &UInt32Array::from(order))?,
            origin: Some(origin),
            rejects: self.rejects,
        })
    }
}
