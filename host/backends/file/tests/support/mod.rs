//! A folder for files, and one way to read them.
#![allow(dead_code)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use dkhost_core::source::Partition;
use dkhost_core::{
    Backend, Batch, BatchSize, Error, OpenSource, Options, Position, Role, Schema, Source,
};
use dkhost_file::FileBackend;
use expect_test::Expect;
use serde_json::Value;

/// A folder that goes away.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        Scratch(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn open_with(&self, options: Value, open: OpenSource) -> Result<Box<dyn Source>, Error> {
        let open = OpenSource {
            base: self.0.path().to_owned(),
            ..open
        };
        FileBackend.open_source(Options::from_json("[source]", &options)?, &open)
    }

    pub fn open(&self, options: Value) -> Result<Box<dyn Source>, Error> {
        self.open_with(options, OpenSource::default())
    }

    /// Everything a source yields, or the error, against what is expected.
    pub fn check(&self, options: Value, expected: Expect) {
        self.check_with(options, OpenSource::default(), expected);
    }

    pub fn check_with(&self, options: Value, open: OpenSource, expected: Expect) {
        let shown = match self.open_with(options, open) {
            Ok(source) => show(&*source),
            Err(error) => show_error(&error),
        };
        expected.assert_eq(&shown);
    }

    /// Reads in batches of `rows`, and again from every position; every time the same must come.
    pub fn check_resume(&self, options: Value, rows: usize) -> Vec<String> {
        let batch = BatchSize {
            rows,
            bytes: 1 << 20,
        };
        let open = OpenSource {
            batch,
            partitions: 1,
            ..OpenSource::default()
        };
        let source = self.open_with(options, open).unwrap();
        let mut all = Vec::new();
        for partition in source.partitions().unwrap() {
            let batches = read(&*source, &partition, &Position::start()).unwrap();
            for (done, batch) in batches.iter().enumerate() {
                let stored = serde_json::to_string(&batch.until).unwrap();
                let until: Position = serde_json::from_str(&stored).unwrap();
                let again = read(&*source, &partition, &until).unwrap();
                assert_eq!(
                    again.len(),
                    batches.len() - done - 1,
                    "{} after batch {done}",
                    partition.label
                );
                for (again, once) in again.iter().zip(&batches[done + 1..]) {
                    assert_eq!(show_batch(again), show_batch(once));
                    assert_eq!(again.until, once.until);
                    assert_eq!(again.records, once.records);
                }
            }
            all.extend(batches.iter().map(show_batch));
        }
        all
    }
}

/// All batches of a partition from a position on.
pub fn read(
    source: &dyn Source,
    partition: &Partition,
    from: &Position,
) -> Result<Vec<Batch>, Error> {
    let mut reader = source.read(partition, from)?;
    let mut batches = Vec::new();
    while let Some(batch) = reader.next()? {
        assert!(!batch.source.is_empty(), "a batch without records");
        assert_eq!(
            batch.records.num_rows() + batch.rejects.len(),
            batch.source.len()
        );
        assert_eq!(batch.records.schema(), source.schema().to_arrow());
        batches.push(batch);
    }
    Ok(batches)
}

pub fn show(source: &dyn Source) -> String {
    let mut out = format!("schema: {}\n", show_schema(source.schema()));
    for partition in source.partitions().unwrap() {
        let mut reader = match source.read(&partition, &Position::start()) {
            Ok(reader) => reader,
            Err(error) => return out + &show_error(&error),
        };
        loop {
            match reader.next() {
                Ok(Some(batch)) => out.push_str(&show_batch(&batch)),
                Ok(None) => break,
                Err(error) => return out + &show_error(&error),
            }
        }
    }
    out
}

pub fn show_schema(schema: &Schema) -> String {
    let field = |f: &dkhost_core::Field| {
        let role = match f.role {
            Some(Role::Id) => " (id)",
            Some(Role::Meta) => " (meta)",
            Some(Role::Rest) => " (rest)",
            None => "",
        };
        let key = if f.key.is_some() { " (key)" } else { "" };
        format!("{} {}{role}{key}", f.name, f.logical)
    };
    schema
        .fields
        .iter()
        .map(field)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Records of a batch in the order of the source: rows as JSON, refusals as what and where.
pub fn show_batch(batch: &Batch) -> String {
    let mut out = String::new();
    let mut row = 0;
    for record in 0..batch.source.len() as u32 {
        if let Some(reject) = batch
            .rejects
            .iter()
            .find(|reject| reject.source_row == record)
        {
            let payload = batch.source.payload(record as usize);
            let column = reject.column.as_deref().unwrap_or("-");
            writeln!(
                out,
                "! {} {} {column}: {} [{}] {} {:?}",
                reject.kind.word(),
                reject.code,
                reject.message,
                batch.source.locator(record as usize),
                payload.media,
                String::from_utf8_lossy(&payload.bytes),
            )
            .unwrap();
        } else {
            assert_eq!(batch.source_row(row), record);
            writeln!(out, "{}", dkhost_core::json::row(&batch.records, row)).unwrap();
            row += 1;
        }
    }
    out
}

pub fn show_error(error: &Error) -> String {
    let at = error
        .place()
        .filter(|(_, label)| !label.is_empty())
        .map_or(String::new(), |(_, label)| format!(" <{label}>"));
    let help = error
        .help_text()
        .map_or(String::new(), |help| format!("\nhelp: {help}"));
    format!("{}: {}{at}{help}\n", error.code(), error.chain())
}

pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(content, 1).unwrap()
}
