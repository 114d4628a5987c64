//! Reads files: finds them, takes a sample, freezes schema and partitions, yields batches.
//!
//! ```text
//! files    which files a path means           sample   fields and types of the first records
//! stream   decoded bytes in shared pieces     split    records cut out of them (json, csv)
//! text     the reader of text formats         columns  Parquet and Arrow, and their reader
//! position where reading stands               letters  dead letters tried again
//! ```

mod columns;
mod csv;
mod decoded;
mod files;
mod json;
mod letters;
mod nested;
mod partition;
mod position;
mod rows;
mod sample;
mod schema;
mod split;
mod stream;
mod text;

use std::path::PathBuf;
use std::sync::Arc;

use dkhost_core::source::Estimate;
use dkhost_core::{
    Batch, BatchReader, DeadLetter, Error, Field, OpenSource, Partition, Position, Result, Role,
    Schema, Source,
};

use self::columns::Columns;
use self::csv::{CsvDecoder, CsvScanner};
use self::files::SourceFile;
use self::json::{Documents, JsonSplitter};
use self::partition::Slice;
use self::position::{FilePosition, Place};
use self::sample::Sample;
use self::split::Bounds;
use self::stream::{Stream, StreamSpec};
use self::text::{Cutter, Splitter, TextReader};
use crate::format::Format;
use crate::identity::Identity;
use crate::options::{CsvOptions, Layout, SourceOptions, not_for};

/// Opens the files of a source: reads the sample, freezes the schema.
pub fn open(options: SourceOptions, open: &OpenSource) -> Result<Box<dyn Source>> {
    let files = files::find(&options.file, &open.base)?;
    let format = files[0].format;
    refuse_what_means_nothing(&options, format)?;
    let mut source = match format {
        Format::Json | Format::Jsonl => open_documents(&options, open, files)?,
        Format::Csv | Format::Tsv => open_delimited(&options, open, files)?,
        Format::Parquet | Format::Arrow => open_columns(&options, open, files)?,
    };
    schema::mark(&mut source.schema, &options, open)?;
    source.id = options.id.map(|(name, _)| name.into());
    Ok(Box::new(source))
}

fn refuse_what_means_nothing(options: &SourceOptions, format: Format) -> Result<()> {
    options.file.csv(format)?;
    match &options.records {
        Some((_, span)) if format != Format::Json => {
            return Err(not_for("records", span, format, "JSON"));
        }
        Some((text, span)) if json::parse_pointer(text).is_none() => {
            return Err(
                Error::config("file::bad_pointer", format!("`{text}` is no JSON pointer"))
                    .at(span.clone(), "does not begin with `/`")
                    .help(format!("write `records = \"/{text}\"`")),
            );
        }
        _ => (),
    }
    if options.file.layout == Layout::Dataknobs
        && !matches!(format, Format::Json | Format::Csv | Format::Parquet)
    {
        return Err(Error::config(
            "file::not_for_format",
            format!("dataknobs-data has no {format} stores"),
        )
        .at(
            options.file.format_span.clone(),
            "not with `layout = \"dataknobs\"`",
        )
        .help("its stores are JSON, CSV and Parquet files"));
    }
    Ok(())
}

/// Files that are open as a source.
struct FileSource {
    files: Vec<SourceFile>,
    base: PathBuf,
    format: Format,
    layout: Layout,
    kind: Kind,
    /// The columns that were asked for.
    schema: Schema,
    /// Whether there are others.
    projected: bool,
    /// The field that is the id.
    id: Option<Arc<str>>,
    bounds: Bounds,
    partitions: usize,
    explicit_nulls: bool,
    notes: Vec<String>,
    records: Option<u64>,
}

/// What only some formats need.
enum Kind {
    Documents {
        pointer: Vec<String>,
        keyed: bool,
    },
    Delimited {
        options: CsvOptions,
        headers: Vec<Vec<String>>,
    },
    Columns(Columns),
}

fn open_documents(
    options: &SourceOptions,
    open: &OpenSource,
    files: Vec<SourceFile>,
) -> Result<FileSource> {
    let pointer = options
        .records
        .as_ref()
        .and_then(|(text, _)| json::parse_pointer(text))
        .unwrap_or_default();
    let layout = options.file.layout;
    let mut found = sample::documents(&files, &pointer, layout, options.infer)?;
    let is_open = !found.complete || found.records == 0;
    let mut fields = std::mem::take(&mut found.fields);
    schema::declare(&mut fields, &options.fields, is_open)?;
    let rest = schema::reserved(Role::Rest, &fields);
    if layout == Layout::Dataknobs {
        let meta = schema::reserved(Role::Meta, &fields);
        fields.insert(0, meta);
    }
    if found.keyed || layout == Layout::Dataknobs {
        let id = schema::reserved(Role::Id, &fields);
        fields.insert(
            0,
            Field {
                nullable: !found.keyed,
                ..id
            },
        );
    }
    fields.push(rest);
    let kind = Kind::Documents {
        pointer,
        keyed: found.keyed,
    };
    FileSource::new(options, open, files, kind, fields, Some(&found))
}

fn open_delimited(
    options: &SourceOptions,
    open: &OpenSource,
    files: Vec<SourceFile>,
) -> Result<FileSource> {
    let csv = options.file.csv(files[0].format)?;
    let mut headers = Vec::with_capacity(files.len());
    for file in &files {
        let (handle, spec) = sample::open_spec(file)?;
        headers.push(csv::open(handle, spec, &csv)?.1);
    }
    expect_same_columns(&files, &headers)?;
    let mut found = sample::delimited(&files, &headers, &csv, options.infer)?;
    if sample::columns(&headers).is_empty() {
        return Err(Error::data(
            "csv::no_header",
            format!(
                "`{}` is empty: not even its columns are known",
                files[0].label()
            ),
        )
        .help("a CSV file without records has a header line; was this one written completely?"));
    }
    let mut fields = std::mem::take(&mut found.fields);
    schema::declare(&mut fields, &options.fields, false)?;
    FileSource::new(
        options,
        open,
        files,
        Kind::Delimited {
            options: csv,
            headers,
        },
        fields,
        Some(&found),
    )
}

/// Refuses files whose headers name other columns; their order may differ.
fn expect_same_columns(files: &[SourceFile], headers: &[Vec<String>]) -> Result<()> {
    let columns = sample::columns(headers);
    for (file, header) in files
        .iter()
        .zip(headers)
        .filter(|(_, header)| !header.is_empty())
    {
        let missing = columns.iter().find(|name| !header.contains(name));
        let surplus = header.iter().find(|name| !columns.contains(name));
        let what = match (missing, surplus) {
            (None, None) => continue,
            (Some(name), _) => format!("has no column `{name}`, which the files before it have"),
            (_, Some(name)) => {
                format!("has a column `{name}`, which the files before it do not have")
            }
        };
        return Err(Error::data("csv::other_columns", format!("`{}` {what}", file.label()))
            .help("files of one source have the same columns, in any order; name those that belong together with a glob"));
    }
    Ok(())
}

fn open_columns(
    options: &SourceOptions,
    open: &OpenSource,
    files: Vec<SourceFile>,
) -> Result<FileSource> {
    let columns = Columns::open(&files, options, open.columns.as_deref())?;
    let mut fields = columns.fields();
    schema::declare(&mut fields, &options.fields, false)?;
    let mut source = FileSource::new(options, open, files, Kind::Columns(columns), fields, None)?;
    if let Kind::Columns(columns) = &source.kind {
        source.records = columns.rows();
        source.notes.push("types are those of the file".to_owned());
        source.notes.extend(columns.notes(&source.schema));
    }
    Ok(source)
}

impl FileSource {
    fn new(
        options: &SourceOptions,
        open: &OpenSource,
        files: Vec<SourceFile>,
        kind: Kind,
        fields: Vec<Field>,
        sample: Option<&Sample>,
    ) -> Result<Self> {
        let all = Schema::new(fields);
        let mut notes = vec![what_is_read(&files)];
        notes.extend(sample.map(|sample| how_types_were_found(sample, options)));
        Ok(FileSource {
            format: files[0].format,
            layout: options.file.layout,
            schema: schema::project(&all, open.columns.as_deref())?,
            projected: open.columns.is_some(),
            base: open.base.clone(),
            id: None,
            bounds: Bounds::of(open.batch),
            partitions: open.partitions,
            explicit_nulls: open.explicit_nulls,
            records: sample
                .filter(|sample| sample.complete)
                .map(|sample| sample.records),
            notes,
            files,
            kind,
        })
    }

    /// The file of a slice, as it is now.
    fn file_of(&self, slice: &Slice) -> Result<SourceFile> {
        let path = self.base.join(&slice.file);
        let (_, now) = Identity::open(&path, &slice.file)?;
        match self.files.iter().find(|file| file.label() == slice.file) {
            Some(file) => {
                file.identity.verify(&now)?;
                Ok(file.clone())
            }
            // The list was frozen when the run began; a glob may match other files by now.
            None => {
                let compression = crate::format::from_name(&path).1;
                Ok(SourceFile {
                    path,
                    format: self.format,
                    compression,
                    identity: now,
                })
            }
        }
    }

    fn open_text(
        &self,
        slice: &Slice,
        file: &SourceFile,
        from: Option<&Place>,
    ) -> Result<TextReader> {
        let (handle, spec) = sample::open_spec(file)?;
        let spec = StreamSpec {
            end: slice.to,
            ..spec
        };
        let identity = spec.identity.clone();
        let (stream, cutter) = match &self.kind {
            Kind::Documents { pointer, .. } => {
                let documents = Documents::new(
                    &self.schema,
                    self.projected,
                    self.layout,
                    self.explicit_nulls,
                );
                let (stream, splitter) = self.open_splitter(handle, spec, slice, pointer, from)?;
                (stream, Cutter::Documents(splitter, documents))
            }
            Kind::Delimited { options, .. } => {
                let (start, header) = csv::open(
                    handle
                        .try_clone()
                        .map_err(|e| Error::io("read", file.label(), e))?,
                    spec.clone(),
                    options,
                )?;
                let stream = match from {
                    Some(Place::Text {
                        offset,
                        line,
                        before,
                        ..
                    }) => Stream::resume(handle, spec, *offset, *line, before)?,
                    _ => start,
                };
                let (decoder, width) = self.csv_decoder(options, &header);
                (
                    stream,
                    Cutter::Csv(CsvScanner::new(options, Some(width)), decoder, width),
                )
            }
            Kind::Columns(_) => return Err(Error::bug("columns are not text")),
        };
        Ok(TextReader {
            stream,
            cutter,
            bounds: self.bounds,
            identity,
            id: self.id.clone(),
        })
    }

    fn open_splitter(
        &self,
        handle: std::fs::File,
        spec: StreamSpec,
        slice: &Slice,
        pointer: &[String],
        from: Option<&Place>,
    ) -> Result<(Stream, Splitter)> {
        match from {
            Some(Place::Text {
                offset,
                line,
                before,
                inside,
            }) => {
                let stream = Stream::resume(handle, spec, *offset, *line, before)?;
                let splitter = match self.format {
                    Format::Json if inside.len() == pointer.len() + 1 => {
                        Splitter::Json(JsonSplitter::resume(pointer, inside.clone()))
                    }
                    Format::Json => return Err(position::bad()),
                    _ => Splitter::Lines,
                };
                Ok((stream, splitter))
            }
            _ if slice.from > 0 => Ok((
                Stream::resume(handle, spec, slice.from, None, "")?,
                Splitter::Lines,
            )),
            _ => {
                let mut stream = Stream::open(handle, spec)?;
                let splitter = sample::open_splitter(&mut stream, self.format, pointer)?;
                Ok((stream, splitter))
            }
        }
    }

    /// A decoder for a file with this header, and the number of cells of its records.
    fn csv_decoder(&self, options: &CsvOptions, header: &[String]) -> (CsvDecoder, usize) {
        let names: Vec<String> = self.schema.names().map(str::to_owned).collect();
        let places = sample::places(&names, header);
        (
            CsvDecoder::new(&self.schema, places, options.clone()),
            header.len(),
        )
    }
}

fn what_is_read(files: &[SourceFile]) -> String {
    let first = &files[0];
    let compression = match first.compression {
        crate::compression::Compression::None => String::new(),
        other => format!(", {other}"),
    };
    match files.len() {
        1 => format!("{}{compression}", first.format),
        n => format!("{n} files, {}{compression}", first.format),
    }
}

fn how_types_were_found(sample: &Sample, options: &SourceOptions) -> String {
    let which = match (sample.complete, sample.records) {
        (_, 0) => return "there are no records to infer types from".to_owned(),
        (true, 1) => "the only record".to_owned(),
        (true, n) => format!("all {n} records"),
        (false, n) => format!("the first {n} records"),
    };
    let declared = match options.fields.len() {
        0 => String::new(),
        1 => ", one type declared".to_owned(),
        n => format!(", {n} types declared"),
    };
    let malformed = match sample.malformed {
        0 => String::new(),
        1 => "; one of them is malformed".to_owned(),
        n => format!("; {n} of them are malformed"),
    };
    format!("types inferred from {which}{declared}{malformed}")
}

impl Source for FileSource {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let groups = match &self.kind {
            Kind::Columns(columns) => Some(columns),
            _ => None,
        };
        partition::plan(&self.files, groups, self.partitions)
    }

    fn fingerprint(&self) -> Result<serde_json::Value> {
        let files: Vec<&Identity> = self.files.iter().map(|file| &file.identity).collect();
        serde_json::to_value(files)
            .map_err(|cause| Error::bug("a fingerprint could not be written").caused_by(cause))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn estimate(&self) -> Estimate {
        let bytes = self.files.iter().map(|file| file.identity.size).sum();
        Estimate {
            records: self.records,
            bytes: Some(bytes),
        }
    }

    fn read(&self, partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>> {
        let slice = Slice::of(partition)?;
        let file = self.file_of(&slice)?;
        let from = match from.is_start() {
            true => None,
            false => Some(FilePosition::from_position(from)?),
        };
        if let Some(from) = &from {
            from.identity.verify(&file.identity)?;
        }
        let at = from.as_ref().map(|from| &from.at);
        match &self.kind {
            Kind::Columns(columns) => columns.read(&file, &slice, at, &self.schema, self.bounds),
            _ => Ok(Box::new(self.open_text(&slice, &file, at)?)),
        }
    }

    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        match &self.kind {
            Kind::Delimited { options, headers } => {
                let file = letters
                    .first()
                    .and_then(|letter| letter.locator.0.get("file")?.as_str());
                let index = self
                    .files
                    .iter()
                    .position(|known| Some(known.label()) == file);
                let header = index
                    .and_then(|index| headers.get(index))
                    .map_or(sample::columns(headers), Vec::as_slice);
                let (decoder, width) = self.csv_decoder(options, header);
                letters::lines(
                    letters,
                    CsvScanner::new(options, Some(width)),
                    decoder,
                    width,
                )
            }
            Kind::Documents { keyed, .. } => {
                let documents = Documents::new(
                    &self.schema,
                    self.projected,
                    self.layout,
                    self.explicit_nulls,
                );
                letters::documents(letters, documents, *keyed)
            }
            Kind::Columns(_) => {
                let documents = Documents::new(&self.schema, false, Layout::Plain, false);
                letters::documents(letters, documents, false)
            }
        }
    }
}
