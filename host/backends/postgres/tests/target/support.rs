//! What these tests share: a database, jobs' sections, rows as text, a run step by step.

use arrow::array::RecordBatch;
use dkhost_core::text::Appender;
use dkhost_core::{
    Backend, Batch, Checkpoint, Claim, Conflict, Error, Field, Locator, Nulls, OpenTarget, Options,
    Outcome, Outcomes, Partition, Payload, Position, Result, Schema, Sink, SourceRows, WriteReport,
    Writer, json,
};
use dkhost_postgres::PostgresBackend;
use dkhost_servers::Database;

/// A database with what `sql` makes in it.
pub fn database(sql: &str) -> Database {
    let database = dkhost_servers::postgres();
    database.sql(sql);
    database
}

/// Opens `table` of a database as a target.
pub fn sink(
    database: &Database,
    table: &str,
    schema: &Schema,
    conflict: Conflict,
) -> Result<Box<dyn Sink>> {
    sink_with(database, table, schema, conflict, |_| ())
}

pub fn sink_with(
    database: &Database,
    table: &str,
    schema: &Schema,
    conflict: Conflict,
    set: impl FnOnce(&mut OpenTarget),
) -> Result<Box<dyn Sink>> {
    let options = serde_json::json!({"url": database.url, "table": table});
    sink_at(options, schema, conflict, set)
}

/// Opens a target with these options.
pub fn sink_at(
    options: serde_json::Value,
    schema: &Schema,
    conflict: Conflict,
    set: impl FnOnce(&mut OpenTarget),
) -> Result<Box<dyn Sink>> {
    let mut open = OpenTarget {
        base: "".into(),
        job: "job".into(),
        schema: schema.clone(),
        conflict,
        create: true,
        nulls: Nulls::Keep,
        content: true,
    };
    set(&mut open);
    PostgresBackend.open_target(Options::from_json("[target]", &options).unwrap(), &open)
}

/// A claimed target and a writer of one partition.
pub struct Run {
    pub writer: Box<dyn Writer>,
    pub sink: Box<dyn Sink>,
    pub checkpoint: Checkpoint,
}

impl Run {
    /// Claims for run number `run` and writes partition 0.
    pub fn start(sink: Box<dyn Sink>, run: u32) -> Self {
        Run::over(sink, run, 0)
    }

    /// Claims when at least this epoch has been seen.
    pub fn over(sink: Box<dyn Sink>, run: u32, epoch_floor: u64) -> Self {
        let claim = Claim {
            job: "job".into(),
            run: format!("run {run}"),
            plan_hash: "hash".into(),
            epoch_floor,
        };
        let claimed = sink.claim(&claim).unwrap();
        let writer = sink.writer(&partition(0)).unwrap();
        let start = || Checkpoint::start("job", &claim.run, claimed.epoch, "hash", 0);
        let mut checkpoint = writer.checkpoint().cloned().unwrap_or_else(start);
        checkpoint.epoch = claimed.epoch;
        Run {
            writer,
            sink,
            checkpoint,
        }
    }

    pub fn write(&mut self, records: &RecordBatch) -> WriteReport {
        self.try_write(records).unwrap()
    }

    pub fn try_write(&mut self, records: &RecordBatch) -> Result<WriteReport> {
        self.writer.write(&batch(records.clone()))
    }

    pub fn commit(&mut self) {
        self.try_commit().unwrap();
    }

    pub fn try_commit(&mut self) -> Result<()> {
        let next = Checkpoint {
            seq: self.checkpoint.seq + 1,
            ..self.checkpoint.clone()
        };
        self.writer.commit(&next)?;
        self.checkpoint = next;
        Ok(())
    }

    pub fn finish(self) {
        let Run { writer, sink, .. } = self;
        drop(writer);
        sink.publish().unwrap();
        sink.retire().unwrap();
    }
}

/// Writes rows in one batch, to the end of the run; what became of each, and why.
pub fn load(
    database: &Database,
    table: &str,
    schema: &Schema,
    conflict: Conflict,
    cells: Cells<'_>,
) -> (String, Vec<String>) {
    let mut run = Run::start(sink(database, table, schema, conflict).unwrap(), 1);
    let report = run.write(&rows(schema, cells));
    run.commit();
    run.finish();
    assert_no_leftovers(database);
    (fates(&report, cells.len()), whys(&report))
}

/// Neither state nor staging tables are left.
pub fn assert_no_leftovers(database: &Database) {
    let left = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE n.nspname = 'dkhost' OR c.relname LIKE 'dkhost%' \
                UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'dkhost'";
    assert_eq!(database.sql(left), "");
}

pub fn partition(index: u32) -> Partition {
    Partition {
        index,
        label: format!("part {index}"),
        slice: serde_json::Value::Null,
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

impl SourceRows for Nowhere {
    fn len(&self) -> usize {
        self.0
    }

    fn locator(&self, _row: usize) -> Locator {
        Locator::of([])
    }

    fn payload(&self, _row: usize) -> Payload {
        Payload {
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
        let (name, logical) = line
            .match_indices(' ')
            .find_map(|(at, _)| Some((&line[..at], line[at + 1..].parse().ok()?)))
            .unwrap();
        let mut field = Field::new(name.trim_start_matches('!'), logical);
        if name.starts_with('!') {
            field.key = Some(key);
            key += 1;
        }
        field
    });
    Schema::new(fields.collect())
}

/// Rows of cells as [`dkhost_core::text`] spells them.
pub type Cells<'a> = &'a [&'a [Option<&'a str>]];

pub fn rows(schema: &Schema, rows: Cells<'_>) -> RecordBatch {
    let mut columns: Vec<Appender> = schema
        .fields
        .iter()
        .map(|field| Appender::new(&field.logical))
        .collect();
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(*row) {
            match cell {
                Some(text) => assert!(column.append(text), "{text}"),
                None => column.append_null(),
            }
        }
    }
    let arrays = columns.iter_mut().map(|column| column.finish().unwrap());
    RecordBatch::try_new(schema.to_arrow(), arrays.collect()).unwrap()
}

/// Outcomes in one letter each: written, unchanged, deduplicated, rejected (x).
pub fn fates(report: &WriteReport, rows: usize) -> String {
    let letter = |outcome: &Outcome| match outcome {
        Outcome::Written => 'w',
        Outcome::Unchanged => 'u',
        Outcome::Deduplicated => 'd',
        Outcome::Rejected => 'x',
    };
    match &report.outcomes {
        Outcomes::AllWritten => "w".repeat(rows),
        Outcomes::Each(each) => each.iter().map(letter).collect(),
    }
}

/// Why rows were refused, a line each: row, code, column, message.
pub fn whys(report: &WriteReport) -> Vec<String> {
    let line = |reject: &dkhost_core::RowReject| {
        let column = reject.column.as_deref().unwrap_or("-");
        format!(
            "{} {} {column}: {}",
            reject.row, reject.code, reject.message
        )
    };
    report.rejects.iter().map(line).collect()
}

/// All that a target reads back, as JSON lines in some order.
pub fn scan(sink: &dyn Sink) -> Vec<String> {
    let mut lines = Vec::new();
    sink.scan(&mut |records| {
        lines.extend((0..records.num_rows()).map(|row| json::row(&records, row)));
        Ok(())
    })
    .unwrap();
    lines.sort();
    lines
}

/// The error of what must not work.
pub fn refused<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}
