//! What the first records say about all of them: fields, types, and whether records have ids.
//!
//! A sample is bounded by records and by bytes. It reads nothing else, and what it finds is frozen
//! for the run.

use dkhost_core::json::Inference;
use dkhost_core::{BatchSize, Error, Field, LogicalType, Result, Schema, dataknobs};

use super::columns::Columns;
use super::csv::{self, Cell, CsvInference, CsvScanner, Lines};
use super::dataknobs::{ID_COLUMN, LineStore, RowStore, Version};
use super::files::{SourceFile, expect_after};
use super::json::{Container, JsonSplitter, unescape};
use super::partition::Slice;
use super::split::{Bounds, Range, Records};
use super::stream::{Stream, StreamSpec};
use super::text::Splitter;
use crate::format::Format;
use crate::handle::{Handle, first_bytes};
use crate::options::{CsvOptions, Layout};

/// A sample ends here, however few its records are.
const SAMPLE_MAX_BYTES: u64 = 64 << 20;

/// What was found.
#[derive(Debug)]
pub struct Sample {
    /// The fields, in the order in which they were first seen.
    pub fields: Vec<Field>,
    /// Records looked at, malformed ones included.
    pub records: u64,
    /// Malformed ones among them.
    pub malformed: u64,
    /// Whether that was all there is.
    pub complete: bool,
    /// Whether records are keyed by an id beside them.
    pub keyed: bool,
}

impl Default for Sample {
    /// Nothing yet, of nothing.
    fn default() -> Self {
        Sample {
            fields: Vec::new(),
            records: 0,
            malformed: 0,
            complete: true,
            keyed: false,
        }
    }
}

/// How much may still be looked at.
struct Budget {
    records: usize,
    bytes: u64,
}

impl Budget {
    fn new(records: usize) -> Self {
        Budget {
            records,
            bytes: SAMPLE_MAX_BYTES,
        }
    }

    fn is_spent(&self) -> bool {
        self.records == 0 || self.bytes == 0
    }

    fn bounds(&self) -> Bounds {
        Bounds::of(BatchSize {
            rows: self.records.min(8192),
            bytes: 8 << 20,
        })
    }

    fn spend(&mut self, records: &Records) {
        self.records = self.records.saturating_sub(records.rows.len());
        self.bytes = self
            .bytes
            .saturating_sub(records.piece.bytes().len() as u64);
    }
}

/// Opens a file's decoded stream from its start.
pub fn open_stream(file: &SourceFile) -> Result<Stream> {
    let (handle, spec) = open_spec(file)?;
    Stream::open(handle, spec)
}

/// Opens a file that must still be the one that was found.
///
/// *Errors* – `source::changed`.
pub fn open_spec(file: &SourceFile) -> Result<(Handle, StreamSpec)> {
    let (handle, now) = file.open()?;
    Ok((
        handle,
        StreamSpec {
            identity: now,
            compression: file.compression,
            end: None,
        },
    ))
}

/// A splitter for the documents of a stream at its start.
pub fn open_splitter(stream: &mut Stream, format: Format, pointer: &[String]) -> Result<Splitter> {
    Ok(match format {
        Format::Json => Splitter::Json(JsonSplitter::open(stream, pointer)?),
        _ => Splitter::Lines,
    })
}

/// Looks at the first documents of some files.
pub fn documents(
    files: &[SourceFile],
    pointer: &[String],
    layout: Layout,
    records: usize,
) -> Result<Sample> {
    let mut budget = Budget::new(records);
    let mut found = Sample::default();
    let mut inference = Inferring::new(layout);
    for (index, file) in files.iter().enumerate() {
        if budget.is_spent() {
            found.complete = false;
            break;
        }
        expect_after(files, index, first_bytes);
        let mut stream = open_stream(file)?;
        let mut splitter = open_splitter(&mut stream, file.format, pointer)?;
        found.keyed |=
            matches!(&splitter, Splitter::Json(json) if json.container() == Container::Object);
        while !budget.is_spent() {
            let Some(records) = splitter.next(&mut stream, budget.bounds())? else {
                break;
            };
            expect_documents(&stream, &records, found.records)?;
            budget.spend(&records);
            found.records += records.rows.len() as u64;
            found.malformed += inference.observe(&records);
        }
        found.complete &= !budget.is_spent() || splitter.next(&mut stream, one())?.is_none();
    }
    found.fields = inference.finish();
    Ok(found)
}

/// Finds the fields of plain documents or of dataknobs records.
enum Inferring {
    Plain(Inference),
    Dataknobs(dataknobs::Inference),
}

impl Inferring {
    fn new(layout: Layout) -> Self {
        match layout {
            Layout::Plain => Inferring::Plain(Inference::new()),
            Layout::Dataknobs => {
                Inferring::Dataknobs(dataknobs::Inference::new(dataknobs::Form::File))
            }
        }
    }

    /// How many of the records are malformed.
    fn observe(&mut self, records: &Records) -> u64 {
        let bytes = records.piece.bytes();
        let mut observe = |row: &Range| match self {
            Inferring::Plain(inference) => inference.observe(row.of(bytes)),
            Inferring::Dataknobs(inference) => inference.record(row.of(bytes)),
        };
        records
            .rows
            .iter()
            .filter(|row| observe(row).is_err())
            .count() as u64
    }

    fn finish(self) -> Vec<Field> {
        match self {
            Inferring::Plain(inference) => inference.finish(),
            Inferring::Dataknobs(inference) => inference.finish(),
        }
    }
}

/// Refuses a file that is plainly something else, with the way out.
fn expect_documents(stream: &Stream, records: &Records, before: u64) -> Result<()> {
    let bytes = records.piece.bytes();
    let list = |row: &Range| row.of(bytes).first() == Some(&b'[');
    if let Some(at) = records
        .keys
        .iter()
        .zip(&records.rows)
        .position(|(_, row)| list(row))
    {
        let key = unescape(records.keys[at].of(bytes)).unwrap_or_default();
        let pointer = key.replace('~', "~0").replace('/', "~1");
        return Err(Error::config(
            "file::no_records",
            format!(
                "`{}` is not keyed by id: its field `{key}` is an array",
                stream.label()
            ),
        )
        .help(format!(
            "if the records are in there, add `records = \"/{pointer}\"`"
        )));
    }
    if before == 0 && records.keys.is_empty() && records.rows.first().is_some_and(list) {
        return Err(Error::config(
            "file::no_records",
            format!(
                "the first record of `{}` is an array, not an object",
                stream.label()
            ),
        )
        .help("one array of all records is JSON, not JSON Lines: `format = \"json\"`"));
    }
    Ok(())
}

/// Looks at the first records of some files of separated values.
///
/// *Shape* – `headers[i]` are the columns of file *i*; the columns of the source are those of the
/// first file that has any.
pub fn delimited(
    files: &[SourceFile],
    headers: &[Vec<String>],
    options: &CsvOptions,
    records: usize,
) -> Result<Sample> {
    let columns = columns(headers);
    let mut inference = CsvInference::new(columns.len());
    let found = each_lines(files, headers, options, records, |_, header, lines| {
        inference.observe(lines, &places(columns, header), options);
        Ok(lines.bad.len() as u64)
    })?;
    let field = |(name, logical): (&String, LogicalType)| Field::new(name, logical);
    let fields = columns.iter().zip(inference.finish()).map(field).collect();
    Ok(Sample { fields, ..found })
}

/// Looks at the first records of dataknobs stores that are separated values; the version too.
pub fn lines(
    files: &[SourceFile],
    headers: &[Vec<String>],
    options: &CsvOptions,
    declared: &[(String, LogicalType)],
    records: usize,
) -> Result<(Sample, Version)> {
    let mut version = Version::Bare;
    each_lines(files, headers, options, records, |file, header, lines| {
        let store = LineStore::new(header, declared, version, options, file.label())?;
        let bytes = lines.records.piece.bytes();
        if lines
            .cells
            .chunks_exact(header.len())
            .any(|cells| store.has_field(cells, bytes))
        {
            version = Version::Fields;
        }
        Ok(0)
    })?;
    let mut inference = dataknobs::Inference::new(dataknobs::Form::File);
    let found = each_lines(files, headers, options, records, |file, header, lines| {
        let mut store = LineStore::new(header, declared, version, options, file.label())?;
        let bytes = lines.records.piece.bytes();
        let mut observe = |cells: &[Cell]| -> bool {
            let record = store.record(cells, bytes);
            record
                .and_then(|(_, record)| inference.record(record))
                .is_ok()
        };
        let rows = lines.cells.chunks_exact(header.len());
        Ok((lines.bad.len() + rows.filter(|cells| !observe(cells)).count()) as u64)
    })?;
    let text = |name: &String| (name.clone(), LogicalType::Utf8);
    let fields = with_empty(inference.finish(), columns(headers).iter().map(text));
    Ok((Sample { fields, ..found }, version))
}

/// Gives the first lines of some files to `look`, which answers how many of them are malformed.
fn each_lines(
    files: &[SourceFile],
    headers: &[Vec<String>],
    options: &CsvOptions,
    records: usize,
    mut look: impl FnMut(&SourceFile, &[String], &Lines) -> Result<u64>,
) -> Result<Sample> {
    let mut budget = Budget::new(records);
    let mut found = Sample::default();
    for (index, (file, header)) in files.iter().zip(headers).enumerate() {
        if header.is_empty() {
            continue;
        }
        if budget.is_spent() {
            found.complete = false;
            break;
        }
        expect_after(files, index, first_bytes);
        let (handle, spec) = open_spec(file)?;
        let (mut stream, _) = csv::open(handle, spec, options)?;
        let scanner = CsvScanner::new(options, Some(header.len()));
        while !budget.is_spent() {
            let Some(lines) = scanner.next(&mut stream, budget.bounds())? else {
                break;
            };
            budget.spend(&lines.records);
            found.records += lines.records.rows.len() as u64;
            found.malformed += look(file, header, &lines)?;
        }
        found.complete &= !budget.is_spent() || scanner.next(&mut stream, one())?.is_none();
    }
    Ok(found)
}

/// Looks at the first rows of dataknobs stores that are columns.
pub fn rows(files: &[SourceFile], columns: &Columns, records: usize) -> Result<Sample> {
    let mut inference = dataknobs::Inference::new(dataknobs::Form::File);
    let mut found = Sample::default();
    let schema = Schema::new(columns.fields());
    let bounds = Budget::new(records).bounds();
    for (index, file) in files.iter().enumerate() {
        let store = RowStore::new(&schema, file.label())?;
        let slice = Slice::whole(file.label());
        let mut reader = columns.read(Some(index), file, &slice, None, &schema, bounds)?;
        while let Some(batch) = reader.next()? {
            if found.records >= records as u64 {
                found.complete = false;
                break;
            }
            found.records += batch.source.len() as u64;
            found.malformed += batch.rejects.len() as u64;
            store.records(&batch.records, |_, _, record| {
                let observed = record.and_then(|record| inference.record(record));
                found.malformed += u64::from(observed.is_err());
            })?;
        }
    }
    let columns = schema
        .fields
        .iter()
        .map(|field| (field.name.clone(), field.logical.clone()));
    found.fields = with_empty(inference.finish(), columns);
    Ok(found)
}

/// The fields of a store, and its columns that were always empty.
fn with_empty(
    mut fields: Vec<Field>,
    columns: impl Iterator<Item = (String, LogicalType)>,
) -> Vec<Field> {
    for (name, logical) in columns.filter(|(name, _)| name != ID_COLUMN) {
        if !fields.iter().any(|field| field.name == name) {
            let logical = match logical {
                LogicalType::Null => LogicalType::Json,
                other => other,
            };
            fields.push(Field {
                null_is_absent: true,
                ..Field::new(name, logical)
            });
        }
    }
    fields
}

fn one() -> Bounds {
    Bounds::of(BatchSize { rows: 1, bytes: 1 })
}

/// The columns of a source whose files have these headers.
pub fn columns(headers: &[Vec<String>]) -> &[String] {
    headers
        .iter()
        .find(|header| !header.is_empty())
        .map_or(&[], Vec::as_slice)
}

/// For each column its place in a header that has the same ones.
pub fn places(columns: &[String], header: &[String]) -> Vec<usize> {
    columns
        .iter()
        .map(|name| {
            header
                .iter()
                .position(|other| other == name)
                .unwrap_or_default()
        })
        .collect()
}
