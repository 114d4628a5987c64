//! What the tests of this crate share: a folder with a database, jobs' sections, rows as text.
#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::path::Path;

use arrow::array::RecordBatch;
use dkhost_core::{
    Backend, Batch, BatchSize, Conflict, Nulls, OpenSource, OpenTarget, Options, Partition,
    Position, Result, Schema, Sink, Source, json,
};
use dkhost_sqlite::SqliteBackend;
use rusqlite::Connection;
use serde_json::Value;

/// A folder with a database `a.db`.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn with(sql: &str) -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.db().execute_batch(sql).unwrap();
        folder
    }

    pub fn empty() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn db(&self) -> Connection {
        Connection::open(self.path().join("a.db")).unwrap()
    }

    /// Everything a query gives, a line per row, values as SQL literals with their class.
    pub fn dump(&self, sql: &str) -> Vec<String> {
        let db = self.db();
        let mut statement = db.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|i| match row.get_ref(i).unwrap() {
                rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                rusqlite::types::ValueRef::Integer(value) => value.to_string(),
                rusqlite::types::ValueRef::Real(value) => format!("{value:?}"),
                rusqlite::types::ValueRef::Text(text) => {
                    format!("'{}'", String::from_utf8_lossy(text))
                }
                rusqlite::types::ValueRef::Blob(bytes) => format!("x{bytes:02x?}"),
            });
            Ok(cells.collect::<Vec<_>>().join(" | "))
        });
        rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    pub fn source(&self, options: Value) -> Result<Box<dyn Source>> {
        self.source_with(options, |_| ())
    }

    pub fn source_with(
        &self,
        options: Value,
        set: impl FnOnce(&mut OpenSource),
    ) -> Result<Box<dyn Source>> {
        let mut open = OpenSource {
            base: self.path().into(),
            partitions: 1,
            ..OpenSource::default()
        };
        set(&mut open);
        SqliteBackend.open_source(with_path(options, "[source]"), &open)
    }

    pub fn sink(
        &self,
        options: Value,
        schema: &Schema,
        conflict: Conflict,
    ) -> Result<Box<dyn Sink>> {
        let open = OpenTarget {
            base: self.path().into(),
            job: "job".into(),
            schema: schema.clone(),
            conflict,
            create: true,
            nulls: Nulls::Keep,
            content: true,
        };
        SqliteBackend.open_target(with_path(options, "[target]"), &open)
    }
}

fn with_path(mut options: Value, section: &str) -> Options {
    options
        .as_object_mut()
        .unwrap()
        .entry("path")
        .or_insert("a.db".into());
    Options::from_json(section, &options).unwrap()
}

pub fn small(rows: usize) -> BatchSize {
    BatchSize {
        rows,
        bytes: 1 << 20,
    }
}

/// Every batch of a partition from a position on.
pub fn batches(source: &dyn Source, partition: &Partition, from: &Position) -> Vec<Batch> {
    let mut reader = source.read(partition, from).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// Every batch of every partition.
pub fn all(source: &dyn Source) -> Vec<Batch> {
    let partitions = source.partitions().unwrap();
    partitions
        .iter()
        .flat_map(|partition| batches(source, partition, &Position::start()))
        .collect()
}

/// Records as JSON lines.
pub fn lines(records: &RecordBatch) -> Vec<String> {
    (0..records.num_rows())
        .map(|row| json::row(records, row))
        .collect()
}

/// All records of a source as JSON lines.
pub fn read(source: &dyn Source) -> Vec<String> {
    all(source)
        .iter()
        .flat_map(|batch| lines(&batch.records))
        .collect()
}

/// Names and types, in order.
pub fn types(schema: &Schema) -> Vec<String> {
    schema
        .fields
        .iter()
        .map(|field| format!("{} {}", field.name, field.logical))
        .collect()
}

/// A claimed target and a writer of its first partition.
pub struct Run {
    // Dropped first: a writer does not outlive its sink.
    pub writer: Box<dyn dkhost_core::Writer>,
    pub sink: Box<dyn Sink>,
    pub checkpoint: dkhost_core::Checkpoint,
}

impl Run {
    /// Claims for run number `run`.
    pub fn start(sink: Box<dyn Sink>, run: u32) -> Self {
        let claim = dkhost_core::Claim {
            job: "job".into(),
            run: format!("run {run}"),
            plan_hash: "hash".into(),
            epoch_floor: 0,
        };
        let claimed = sink.claim(&claim).unwrap();
        let writer = sink.writer(&partition()).unwrap();
        let start = || dkhost_core::Checkpoint::start("job", &claim.run, claimed.epoch, "hash", 0);
        let mut checkpoint = writer.checkpoint().cloned().unwrap_or_else(start);
        checkpoint.epoch = claimed.epoch;
        Run {
            writer,
            sink,
            checkpoint,
        }
    }

    pub fn write(&mut self, records: &RecordBatch) -> dkhost_core::WriteReport {
        self.writer.write(&batch(records.clone())).unwrap()
    }

    pub fn commit(&mut self) {
        self.checkpoint.seq += 1;
        self.writer.commit(&self.checkpoint).unwrap();
    }

    pub fn finish(self) {
        let Run { writer, sink, .. } = self;
        drop(writer);
        sink.publish().unwrap();
        sink.retire().unwrap();
    }
}

pub fn partition() -> Partition {
    Partition {
        index: 0,
        label: "all".into(),
        slice: Value::Null,
    }
}

/// A batch of these rows, from nowhere.
pub fn batch(records: RecordBatch) -> Batch {
    Batch {
        source: std::sync::Arc::new(Nowhere(records.num_rows())),
        records,
        origin: None,
        rejects: Vec::new(),
        until: Position::start(),
        source_bytes: 0,
    }
}

#[derive(Debug)]
struct Nowhere(usize);

impl dkhost_core::SourceRows for Nowhere {
    fn len(&self) -> usize {
        self.0
    }

    fn locator(&self, _row: usize) -> dkhost_core::Locator {
        dkhost_core::Locator::of([])
    }

    fn payload(&self, _row: usize) -> dkhost_core::Payload {
        dkhost_core::Payload {
            bytes: Vec::new(),
            media: "json",
        }
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

/// A schema from `name type` lines; `!` before a name makes it a key column.
pub fn schema(fields: &[&str]) -> Schema {
    let mut key = 0;
    let fields = fields.iter().map(|line| {
        // The name may have spaces, the type too.
        let (name, logical) = line
            .match_indices(' ')
            .find_map(|(at, _)| Some((&line[..at], line[at + 1..].parse().ok()?)))
            .unwrap();
        let mut field = dkhost_core::Field::new(name.trim_start_matches('!'), logical);
        if name.starts_with('!') {
            field.key = Some(key);
            key += 1;
        }
        field
    });
    Schema::new(fields.collect())
}

/// Rows from the texts of their cells, as `dkhost_core::text` spells them.
pub fn rows(schema: &Schema, rows: &[&[Option<&str>]]) -> RecordBatch {
    let mut columns: Vec<_> = schema
        .fields
        .iter()
        .map(|f| dkhost_core::text::Appender::new(&f.logical))
        .collect();
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(*row) {
            match cell {
                Some(text) => assert!(column.append(text), "{text}"),
                None => column.append_null(),
            }
        }
    }
    let arrays = columns
        .iter_mut()
        .map(|column| column.finish().unwrap())
        .collect();
    RecordBatch::try_new(schema.to_arrow(), arrays).unwrap()
}

/// Outcomes in one letter each: written, unchanged, deduplicated, rejected.
pub fn fates(report: &dkhost_core::WriteReport, rows: usize) -> String {
    use dkhost_core::{Outcome, Outcomes};
    match &report.outcomes {
        Outcomes::AllWritten => "w".repeat(rows),
        Outcomes::Each(each) => each
            .iter()
            .map(|outcome| match outcome {
                Outcome::Written => 'w',
                Outcome::Unchanged => 'u',
                Outcome::Deduplicated => 'd',
                Outcome::Rejected => 'r',
            })
            .collect(),
    }
}
