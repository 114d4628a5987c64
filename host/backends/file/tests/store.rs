//! Files that lie in a store elsewhere: read as those on disk, with few requests, and told from
//! others of their name.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::collections::HashSet;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex};

use dkhost_core::{Class, Error, OpenSource, Options, Position, Result, Source};
use dkhost_file::identity::{Identity, Mark, changed};
use dkhost_file::options::{FileOptions, SourceOptions};
use dkhost_file::store::Store;
use serde_json::json;

/// Of which file which bytes.
type Request = (String, u64, u64);

/// A store in memory that notes every request, and may hang up in the middle of an answer.
#[derive(Debug, Default)]
struct Shelf {
    files: Mutex<Vec<(String, String, Vec<u8>)>>,
    requests: Mutex<Vec<Request>>,
    /// What was said to be read soon.
    expected: Mutex<HashSet<Request>>,
    /// Bytes of an answer after which it ends in a transient error.
    cut_after: Mutex<Option<usize>>,
}

impl Shelf {
    fn holding(files: Vec<(&str, Vec<u8>)>) -> Arc<Self> {
        let shelf = Shelf::default();
        let files = files.into_iter();
        *shelf.files.lock().unwrap() = files
            .map(|(name, bytes)| (name.to_owned(), "\"1\"".to_owned(), bytes))
            .collect();
        Arc::new(shelf)
    }

    fn listed(&self) -> Vec<Identity> {
        let files = self.files.lock().unwrap();
        let one = |(name, etag, bytes): &(String, String, Vec<u8>)| Identity {
            file: name.clone(),
            size: bytes.len() as u64,
            mark: Mark::Elsewhere {
                etag: etag.clone(),
                version: None,
            },
        };
        files.iter().map(one).collect()
    }

    fn open(self: &Arc<Self>) -> Result<Box<dyn Source>> {
        self.open_with(8192)
    }

    /// For batches of so many rows.
    fn open_with(self: &Arc<Self>, rows: usize) -> Result<Box<dyn Source>> {
        let mut options = Options::from_json("[source]", &json!({})).unwrap();
        let file = FileOptions::read_at(&mut options, "shelf".into(), 0..0)?;
        let options = SourceOptions::read_with(options, file)?;
        let mut open = OpenSource {
            partitions: 1,
            ..OpenSource::default()
        };
        open.batch.rows = rows;
        dkhost_file::open_files(options, &open, self.clone(), self.listed())
    }

    fn fetched(&self) -> u64 {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|(_, from, to)| to - from).sum()
    }
}

impl Store for Shelf {
    fn look(&self, label: &str) -> Result<Identity> {
        let found = self.listed().into_iter().find(|file| file.file == label);
        found.ok_or_else(|| changed(label, "it is gone"))
    }

    fn read(&self, file: &Identity, from: u64, to: u64) -> Result<Box<dyn Read + Send>> {
        let request = (file.file.clone(), from, to);
        self.requests.lock().unwrap().push(request);
        if self.look(&file.file)? != *file {
            return Err(changed(&file.file, "it was written anew since"));
        }
        let files = self.files.lock().unwrap();
        let (.., bytes) = files.iter().find(|(name, ..)| *name == file.file).unwrap();
        let piece = bytes[from as usize..to as usize].to_vec();
        Ok(match *self.cut_after.lock().unwrap() {
            Some(bytes) if bytes < piece.len() => {
                Box::new(Cursor::new(piece[..bytes].to_vec()).chain(HungUp))
            }
            _ => Box::new(Cursor::new(piece)),
        })
    }

    fn expect(&self, soon: &[(&Identity, u64, u64)]) {
        let soon = soon
            .iter()
            .map(|(file, from, to)| (file.file.clone(), *from, *to));
        self.expected.lock().unwrap().extend(soon);
    }
}

struct HungUp;

impl Read for HungUp {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let said = Error::new(Class::Transient, "shelf::cut", "the line is dead");
        Err(io::Error::other(said))
    }
}

fn ids(source: &dyn Source) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    for partition in source.partitions()? {
        let mut reader = source.read(&partition, &Position::start())?;
        while let Some(batch) = reader.next()? {
            let column = batch.records.column_by_name("id").unwrap();
            let column: &arrow::array::Int64Array = column.as_any().downcast_ref().unwrap();
            ids.extend(column.values());
        }
    }
    Ok(ids)
}

fn lines(count: i64) -> Vec<u8> {
    let pad = "x".repeat(90);
    let line = |id| format!("{{\"id\":{id},\"pad\":\"{pad}\"}}\n");
    (0..count).map(line).collect::<String>().into_bytes()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Row groups of a thousand rows, each half a megabyte that no codec makes smaller.
fn parquet(count: i64) -> Vec<u8> {
    use arrow::array::{Int64Array, RecordBatch, StringArray};
    let pads = (0..count).map(|id| {
        let mut state = id as u64 + 1;
        let word = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            format!("{state:016x}")
        };
        (0..64).map(word).collect::<String>()
    });
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(0..count)) as _),
        ("pad", Arc::new(StringArray::from_iter_values(pads)) as _),
    ]);
    let batch = batch.unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(1000))
        .build();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn arrow_file(count: i64) -> Vec<u8> {
    use arrow::array::{Int64Array, RecordBatch};
    let mut writer: Option<arrow::ipc::writer::FileWriter<Vec<u8>>> = None;
    for start in (0..count).step_by(1000) {
        let ids = Int64Array::from_iter_values(start..(start + 1000).min(count));
        let batch = RecordBatch::try_from_iter([("id", Arc::new(ids) as _)]).unwrap();
        let new = || arrow::ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.get_or_insert_with(new).write(&batch).unwrap();
    }
    writer.unwrap().into_inner().unwrap()
}

fn every_format() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a.jsonl", lines(3000)),
        ("a.jsonl.gz", gzip(&lines(3000))),
        ("a.csv", {
            let rows = (0..3000).map(|id| format!("{id},x\n"));
            format!("id,pad\n{}", rows.collect::<String>()).into_bytes()
        }),
        ("a.parquet", parquet(3000)),
        ("a.arrow", arrow_file(3000)),
    ]
}

#[test]
fn every_format_is_read_from_a_store() {
    for (name, bytes) in every_format() {
        let shelf = Shelf::holding(vec![(name, bytes)]);
        let found = ids(shelf.open().unwrap().as_ref()).unwrap();
        assert_eq!(found, (0..3000).collect::<Vec<i64>>(), "{name}");
    }
}

#[test]
fn an_answer_that_is_cut_off_is_asked_for_from_there_on() {
    for (name, bytes) in every_format() {
        let shelf = Shelf::holding(vec![(name, bytes)]);
        *shelf.cut_after.lock().unwrap() = Some(70_000);
        let found = ids(shelf.open().unwrap().as_ref()).unwrap();
        assert_eq!(found, (0..3000).collect::<Vec<i64>>(), "{name}");
    }
}

#[test]
fn a_store_that_answers_nothing_at_all_is_an_error_of_the_store() {
    for (name, bytes) in every_format() {
        let shelf = Shelf::holding(vec![(name, bytes)]);
        *shelf.cut_after.lock().unwrap() = Some(0);
        let error = shelf.open().err().unwrap();
        assert_eq!(
            (error.code(), error.class()),
            ("shelf::cut", Class::Transient),
            "{name}"
        );
    }
}

#[test]
fn a_file_written_anew_is_refused_in_every_format() {
    for (name, bytes) in every_format() {
        let shelf = Shelf::holding(vec![(name, bytes)]);
        let source = shelf.open().unwrap();
        shelf.files.lock().unwrap()[0].1 = "\"2\"".into();
        let error = ids(source.as_ref()).unwrap_err();
        assert_eq!(error.code(), "source::changed", "{name}");
    }
}

#[test]
fn of_a_large_file_only_the_beginning_is_looked_at() {
    let shelf = Shelf::holding(vec![("a.jsonl", lines(100_000))]);
    let source = shelf.open().unwrap();
    let whole = shelf.listed()[0].size;
    // The head once, and the sample: ten thousand records.
    assert!(shelf.fetched() < whole, "{} of {whole}", shelf.fetched());
    drop(source);
}

#[test]
fn a_run_that_is_taken_up_finds_a_file_the_listing_has_no_more() {
    let shelf = Shelf::holding(vec![("a.jsonl", lines(10)), ("b.jsonl", lines(10))]);
    let source = shelf.open().unwrap();
    let partitions = source.partitions().unwrap();
    let only_b: Vec<Identity> = shelf.listed().split_off(1);
    let mut options = Options::from_json("[source]", &json!({})).unwrap();
    let file = FileOptions::read_at(&mut options, "shelf".into(), 0..0).unwrap();
    let options = SourceOptions::read_with(options, file).unwrap();
    let later =
        dkhost_file::open_files(options, &OpenSource::default(), shelf.clone(), only_b).unwrap();
    assert_eq!(
        later.fingerprint(&partitions).unwrap(),
        source.fingerprint(&partitions).unwrap()
    );
}

/// More small files than are partitions of their own, of three records each; one record is broken.
fn many(extension: &str, content: impl Fn(i64) -> Vec<u8>) -> Arc<Shelf> {
    let names: Vec<String> = (0..700)
        .map(|file| format!("{file:03}.{extension}"))
        .collect();
    let files = names.iter().zip(0..);
    Shelf::holding(
        files
            .map(|(name, file)| (name.as_str(), content(file)))
            .collect(),
    )
}

fn three_lines(file: i64) -> Vec<u8> {
    let line = |id: i64| match id {
        1000 => "oops\n".to_owned(),
        id => format!("{{\"id\":{id}}}\n"),
    };
    (file * 3..file * 3 + 3)
        .map(line)
        .collect::<String>()
        .into_bytes()
}

fn three_rows(file: i64) -> Vec<u8> {
    use arrow::array::{Int64Array, RecordBatch};
    let ids = Int64Array::from_iter_values(file * 3..file * 3 + 3);
    let batch = RecordBatch::try_from_iter([("id", Arc::new(ids) as _)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn many_small_files_share_partitions_and_batches() {
    let shelf = many("jsonl", three_lines);
    let source = shelf.open().unwrap();
    let expected: Vec<i64> = (0..2100).filter(|id| *id != 1000).collect();
    assert_eq!(ids(source.as_ref()).unwrap(), expected);
    let partitions = source.partitions().unwrap();
    assert_eq!(partitions.len(), 16);
    assert_eq!(partitions[0].label, "000.jsonl and 43 more");
    for partition in &partitions {
        let mut reader = source.read(partition, &Position::start()).unwrap();
        let batch = reader.next().unwrap().unwrap();
        assert!(reader.next().unwrap().is_none(), "one batch holds them all");
        for reject in &batch.rejects {
            let locator = batch.source.locator(reject.source_row as usize);
            assert_eq!(locator.to_string(), "file 333.jsonl, line 2, offset 11");
            let payload = batch.source.payload(reject.source_row as usize);
            assert_eq!(payload.bytes, b"oops");
        }
    }
    let columns = many("parquet", three_rows);
    let source = columns.open().unwrap();
    assert_eq!(source.partitions().unwrap().len(), 16);
    assert_eq!(
        ids(source.as_ref()).unwrap(),
        (0..2100).collect::<Vec<i64>>()
    );
}

#[test]
fn reading_many_small_files_is_taken_up_at_every_batch() {
    let shelf = many("jsonl", three_lines);
    let source = shelf.open_with(7).unwrap();
    let partition = source.partitions().unwrap().remove(7);
    let all = |from: &Position| {
        let mut reader = source.read(&partition, from).unwrap();
        let mut batches = Vec::new();
        while let Some(batch) = reader.next().unwrap() {
            batches.push((batch.records, batch.until, batch.rejects));
        }
        batches
    };
    let whole = all(&Position::start());
    // Two files fit into seven rows.
    assert_eq!(whole.len(), 22);
    for (at, (_, until, _)) in whole.iter().enumerate() {
        assert_eq!(all(until), whole[at + 1..], "after batch {at}");
    }
}

#[test]
fn what_came_before_a_file_that_was_written_anew_is_kept() {
    let shelf = many("jsonl", three_lines);
    let source = shelf.open().unwrap();
    let partitions = source.partitions().unwrap();
    let before = source.fingerprint(&partitions).unwrap();
    shelf.files.lock().unwrap()[20].1 = "\"2\"".into();
    let mut reader = source.read(&partitions[0], &Position::start()).unwrap();
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.records.num_rows(), 60);
    assert_eq!(reader.next().unwrap_err().code(), "source::changed");
    let now = shelf.open().unwrap().fingerprint(&partitions).unwrap();
    assert_ne!(now, before);
}

#[test]
fn which_files_follow_is_said_before_they_are_read() {
    for (extension, content) in [
        ("jsonl", three_lines as fn(i64) -> Vec<u8>),
        ("parquet", three_rows),
    ] {
        let shelf = many(extension, content);
        let source = shelf.open().unwrap();
        ids(source.as_ref()).unwrap();
        let expected = shelf.expected.lock().unwrap();
        let requests = shelf.requests.lock().unwrap().clone();
        let unexpected = requests
            .iter()
            .filter(|request| !expected.contains(request))
            .count();
        // The first two, each of the three times that all are gone through: nobody knows before
        // whether others are wanted.
        assert!(unexpected <= 6, "{extension}: {unexpected} unexpected");
    }
}
