//! What every test of the sink needs: a target in a folder of its own, batches, and a run.

mod dataknobs;
mod folder;
mod formats;
mod publish;
mod refuse;
mod resume;
mod stamp;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use dkhost_core::text::Appender;
use dkhost_core::{
    Batch, Checkpoint, Claim, Conflict, Field, Locator, LogicalType, Nulls, OpenTarget, Options,
    Partition, Payload, Position, Reshape, Result, Schema, Sink, SourceRows, Writer,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::options::TargetOptions;

/// A folder with a target in it.
pub struct Place {
    pub dir: TempDir,
    pub options: Value,
    pub schema: Schema,
    pub conflict: Conflict,
    pub create: bool,
    pub reshape: Option<Reshape>,
}

impl Place {
    pub fn new(path: &str) -> Self {
        Place {
            dir: tempfile::tempdir().unwrap(),
            options: json!({ "path": path }),
            schema: small_schema(),
            conflict: Conflict::Insert,
            create: true,
            reshape: None,
        }
    }

    pub fn option(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.options[name] = value.into();
        self
    }

    pub fn schema(self, schema: Schema) -> Self {
        Place { schema, ..self }
    }

    pub fn replacing(self) -> Self {
        Place {
            conflict: Conflict::ReplaceAll,
            ..self
        }
    }

    pub fn try_open(&self) -> Result<Box<dyn Sink>> {
        let options = TargetOptions::read(Options::from_json("[target]", &self.options)?)?;
        super::open(
            options,
            &OpenTarget {
                base: self.dir.path().to_owned(),
                job: "job".into(),
                schema: self.schema.clone(),
                conflict: self.conflict,
                create: self.create,
                nulls: Nulls::Keep,
                content: true,
                reshape: self.reshape.clone(),
            },
        )
    }

    pub fn open(&self) -> Box<dyn Sink> {
        self.try_open().unwrap()
    }

    /// The code under which the target is refused.
    pub fn refused(&self) -> &'static str {
        self.try_open().err().expect("must be refused").code()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn bytes(&self) -> Vec<u8> {
        fs::read(self.path(self.options["path"].as_str().unwrap())).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    /// Names of everything in the folder, hidden files included.
    pub fn names(&self) -> Vec<String> {
        names(self.dir.path())
    }
}

pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub fn small_schema() -> Schema {
    Schema::new(vec![
        Field::new("n", LogicalType::Int64),
        Field::new("t", LogicalType::Utf8),
    ])
}

/// Rows `from..from + rows` of the small schema; every seventh text is null, every fifth empty.
pub fn small(from: usize, rows: usize) -> RecordBatch {
    let text = |n: usize| match n {
        n if n % 7 == 0 => None,
        n if n % 5 == 0 => Some(String::new()),
        n => Some(format!("row \"{n}\",\n{}", "x".repeat(n % 40))),
    };
    let (mut n, mut t) = (Vec::new(), Vec::new());
    for row in from..from + rows {
        n.push(Some(row.to_string()));
        t.push(text(row));
    }
    batch_of(&small_schema(), &[n, t])
}

/// A batch from the text of its cells, column by column.
pub fn batch_of(schema: &Schema, cells: &[Vec<Option<String>>]) -> RecordBatch {
    let column = |(field, cells): (&Field, &Vec<Option<String>>)| -> ArrayRef {
        let mut appender = Appender::new(&field.logical);
        for cell in cells {
            match cell {
                Some(text) => assert!(appender.append(text), "{text} is no {}", field.logical),
                None => appender.append_null(),
            }
        }
        appender.finish().unwrap()
    };
    let columns = schema.fields.iter().zip(cells).map(column).collect();
    RecordBatch::try_new(schema.to_arrow(), columns).unwrap()
}

#[derive(Debug)]
struct NoRows(usize);

impl SourceRows for NoRows {
    fn len(&self) -> usize {
        self.0
    }
    fn locator(&self, row: usize) -> Locator {
        Locator::of([("row", row.into())])
    }
    fn payload(&self, _row: usize) -> Payload {
        Payload {
            bytes: Vec::new(),
            media: "text",
        }
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

pub fn batch(records: RecordBatch) -> Batch {
    Batch {
        source: Arc::new(NoRows(records.num_rows())),
        records,
        origin: None,
        rejects: Vec::new(),
        until: Position::start(),
        source_bytes: 0,
    }
}

pub fn partition(index: u32) -> Partition {
    Partition {
        index,
        label: format!("p{index}"),
        slice: Value::Null,
    }
}

pub fn claim(run: &str) -> Claim {
    Claim {
        job: "job".into(),
        run: run.into(),
        plan_hash: "hash".into(),
        epoch_floor: 0,
    }
}

pub fn checkpoint(run: &str, epoch: u64, partition: u32, seq: u64) -> Checkpoint {
    let mut checkpoint = Checkpoint::start("job", run, epoch, "hash", partition);
    checkpoint.seq = seq;
    checkpoint.position = Position(json!(seq));
    checkpoint
}

/// How many batches of the run are in the target.
pub fn committed(writer: &dyn Writer) -> u64 {
    writer.checkpoint().map_or(0, |checkpoint| checkpoint.seq)
}

/// Writes batches `from..to` of `rows` small rows each, and makes every `flush`th durable.
pub fn write_small(
    writer: &mut dyn Writer,
    epoch: u64,
    batches: std::ops::Range<u64>,
    rows: usize,
    flush: u64,
) {
    for seq in batches {
        writer
            .write(&batch(small(seq as usize * rows, rows)))
            .unwrap();
        writer
            .commit(&checkpoint("run", epoch, 0, seq + 1))
            .unwrap();
        if (seq + 1) % flush == 0 {
            writer.flush().unwrap();
        }
    }
}

/// One undisturbed run over these batches.
pub fn run(place: &Place, batches: &[RecordBatch]) {
    let sink = place.open();
    let epoch = sink.claim(&claim("run")).unwrap().epoch;
    let mut writer = sink.writer(&partition(0)).unwrap();
    for (seq, records) in batches.iter().enumerate() {
        let report = writer.write(&batch(records.clone())).unwrap();
        assert_eq!(report.rejects, []);
        writer
            .commit(&checkpoint("run", epoch, 0, seq as u64 + 1))
            .unwrap();
    }
    writer.flush().unwrap();
    sink.publish().unwrap();
    sink.retire().unwrap();
}
