//! Reads bytes as a file source does, and holds the reading to what every reader promises.
//!
//! * Reading in batches of one record and of a thousand gives the same records, letters and places,
//!   and ends in the same way.
//! * Reading on from any position gives the same tail.
//! * The bytes of records and letters lie in the file where their locators say, in order, and what
//!   is between them is what the format puts between records.
//! * A refused record that is decoded again, as it stands in its letter, is refused again.

use dkhost_core::{
    Backend, Batch, BatchSize, DeadLetter, Error, OpenSource, Options, Partition, Position, Source,
};
use dkhost_file::FileBackend;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A file and how the job says to read it.
pub struct Case<'a> {
    pub name: &'a str,
    pub bytes: &'a [u8],
    pub options: Value,
    /// Whether the bytes between two records may be these.
    pub between: fn(&[u8]) -> bool,
}

/// One record as it was read.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    /// The row as JSON, or why it was refused.
    what: Result<String, (String, String)>,
    offset: Option<u64>,
    id: Option<String>,
    payload: Vec<u8>,
}

/// Everything that was read, and how it ended.
#[derive(Debug, Clone, PartialEq)]
struct Reading {
    records: Vec<Seen>,
    /// The position after each batch, and how many records came before it.
    until: Vec<(usize, Position)>,
    ended: Option<String>,
}

/// Holds a reading to its promises; what became of it in a word.
pub fn check(case: &Case<'_>) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(case.name), case.bytes).unwrap();
    let (one, many) = match (open(&folder, case, 1), open(&folder, case, 1000)) {
        (Ok(one), Ok(many)) => (one, many),
        (Err(one), Err(many)) => {
            assert_eq!(shown(&one), shown(&many), "opened twice");
            return shown(&one);
        }
        (one, many) => panic!("opened once: {:?} {:?}", one.err(), many.err()),
    };
    assert_eq!(one.schema(), many.schema(), "schemas differ");
    let partition = &one.partitions().unwrap()[0];
    let by_one = read(&*one, partition, &Position::start());
    let by_many = read(&*many, partition, &Position::start());
    assert_eq!(by_one.ended, by_many.ended, "reading ends in two ways");
    assert_eq!(
        by_one.records, by_many.records,
        "batches change what is read"
    );
    resumed(&*one, partition, &by_one);
    resumed(&*many, partition, &by_many);
    if !case.name.ends_with(".gz") {
        covered(case, &by_one);
    }
    refused_again(&*many, &by_many);
    outcome(&*one, &by_one)
}

fn open(folder: &TempDir, case: &Case<'_>, rows: usize) -> Result<Box<dyn Source>, Error> {
    let mut options = case.options.clone();
    options["path"] = json!(case.name);
    let open = OpenSource {
        base: folder.path().to_owned(),
        batch: BatchSize {
            rows,
            bytes: 1 << 20,
        },
        partitions: 1,
        explicit_nulls: case.bytes.len().is_multiple_of(2),
        ..OpenSource::default()
    };
    FileBackend.open_source(Options::from_json("[source]", &options).unwrap(), &open)
}

fn shown(error: &Error) -> String {
    assert_ne!(error.class(), dkhost_core::Class::Bug, "{}", error.chain());
    format!("{}: {}", error.code(), error.chain())
}

fn read(source: &dyn Source, partition: &Partition, from: &Position) -> Reading {
    let mut reading = Reading {
        records: Vec::new(),
        until: Vec::new(),
        ended: None,
    };
    let mut reader = match source.read(partition, from) {
        Ok(reader) => reader,
        Err(error) => {
            reading.ended = Some(shown(&error));
            return reading;
        }
    };
    loop {
        match reader.next() {
            Ok(None) => return reading,
            Ok(Some(batch)) => {
                assert!(!batch.source.is_empty(), "a batch without records");
                assert_eq!(batch.records.schema(), source.schema().to_arrow());
                seen(&batch, &mut reading.records);
                reading.until.push((reading.records.len(), batch.until));
            }
            Err(error) => {
                reading.ended = Some(shown(&error));
                return reading;
            }
        }
    }
}

fn seen(batch: &Batch, into: &mut Vec<Seen>) {
    let count = batch.source.len();
    assert_eq!(
        batch.records.num_rows() + batch.rejects.len(),
        count,
        "not conserved"
    );
    for column in batch.records.columns() {
        column
            .to_data()
            .validate_full()
            .expect("a column that Arrow would not make");
    }
    let mut row = 0;
    for record in 0..count {
        let refused = batch
            .rejects
            .iter()
            .find(|r| r.source_row as usize == record);
        let what = match refused {
            Some(reject) => Err((reject.code.clone(), reject.message.clone())),
            None => {
                assert_eq!(
                    batch.source_row(row) as usize,
                    record,
                    "origins are out of order"
                );
                row += 1;
                Ok(dkhost_core::json::row(&batch.records, row - 1))
            }
        };
        into.push(Seen {
            what,
            offset: batch
                .source
                .locator(record)
                .0
                .get("offset")
                .and_then(Value::as_u64),
            id: batch.source.id(record),
            payload: batch.source.payload(record).bytes,
        });
    }
}

/// Reading on from a position gives what came after it.
fn resumed(source: &dyn Source, partition: &Partition, whole: &Reading) {
    let step = whole.until.len().div_ceil(3).max(1);
    for (done, until) in whole.until.iter().step_by(step) {
        let stored = serde_json::to_string(until).unwrap();
        let again = read(source, partition, &serde_json::from_str(&stored).unwrap());
        assert_eq!(
            again.ended, whole.ended,
            "resumed after {done}, it ends in another way"
        );
        assert_eq!(
            again.records,
            whole.records[*done..],
            "resumed after {done}"
        );
    }
}

/// Every byte belongs to a record, to a letter, or to what stands between records.
fn covered(case: &Case<'_>, reading: &Reading) {
    let mut at = 0;
    for seen in &reading.records {
        let start = seen.offset.expect("text has offsets") as usize;
        let end = start + seen.payload.len();
        assert!(start >= at, "records overlap at {start}");
        assert_eq!(
            case.bytes.get(start..end),
            Some(&*seen.payload),
            "the letter's bytes are not the file's"
        );
        let gap = &case.bytes[at..start];
        assert!(
            (case.between)(gap),
            "lost before {start}: {}",
            gap.escape_ascii()
        );
        at = end;
    }
    if reading.ended.is_none() {
        let gap = &case.bytes[at..];
        assert!(
            (case.between)(gap),
            "lost at the end: {}",
            gap.escape_ascii()
        );
    }
}

fn refused_again(source: &dyn Source, reading: &Reading) {
    let letters: Vec<DeadLetter> = reading.records.iter().filter_map(letter).collect();
    if letters.is_empty() {
        return;
    }
    let batch = source.decode(&letters).unwrap();
    let mut again = Vec::new();
    seen(&batch, &mut again);
    for (letter, again) in letters.iter().zip(&again) {
        let code = again.what.as_ref().err().map(|(code, _)| code.as_str());
        assert_eq!(
            code,
            Some(letter.code.as_str()),
            "refused first, taken then: {:?}",
            again.what
        );
    }
}

fn letter(seen: &Seen) -> Option<DeadLetter> {
    let (code, message) = seen.what.as_ref().err()?;
    Some(DeadLetter {
        job: "j".into(),
        run: "r".into(),
        partition: 0,
        batch: 0,
        row: 0,
        source_id: seen.id.clone(),
        locator: dkhost_core::Locator::of([]),
        kind: dkhost_core::dead_letter::StageKind::Decode,
        stage: "source".into(),
        column: None,
        code: code.clone(),
        message: message.clone(),
        plugin_digest: None,
        attempts: 1,
        repeats: None,
        payload: seen.payload.clone(),
        media: "csv".into(),
        payload_length: seen.payload.len() as u64,
        payload_sha256: String::new(),
    })
}

/// What kind of reading it was: the codes in it, the types, how it ended, about how many records.
fn outcome(source: &dyn Source, reading: &Reading) -> String {
    let mut codes: Vec<&str> = reading
        .records
        .iter()
        .filter_map(|seen| Some(seen.what.as_ref().err()?.0.as_str()))
        .collect();
    codes.sort_unstable();
    codes.dedup();
    let mut types: Vec<String> = source
        .schema()
        .fields
        .iter()
        .map(|f| f.logical.to_string())
        .collect();
    types.sort_unstable();
    types.dedup();
    let ended = reading.ended.as_deref().unwrap_or("whole");
    // Without what differs each time.
    let ended: String = ended
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .take(80)
        .collect();
    format!(
        "{codes:?} {types:?} {ended} {}",
        reading.records.len().ilog2_or_zero()
    )
}

trait Magnitude {
    fn ilog2_or_zero(self) -> u32;
}

impl Magnitude for usize {
    fn ilog2_or_zero(self) -> u32 {
        self.checked_ilog2().map_or(0, |log| log + 1)
    }
}

/// The bytes as two gzip members, cut at a third.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let (first, second) = bytes.split_at(bytes.len() / 3);
    let member = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    [member(first), member(second)].concat()
}

/// The first byte of an input chooses the options, the others are the file.
pub fn variant(input: &[u8], variants: usize) -> (usize, &[u8]) {
    match input.split_first() {
        Some((first, rest)) => (*first as usize % variants, rest),
        None => (0, input),
    }
}
