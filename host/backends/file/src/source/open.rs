//! From the options of a job to a source that is ready to be read.

use std::collections::HashMap;
use std::sync::Arc;

use dkhost_core::{Error, Field, LogicalType, OpenSource, Result, Role, Schema, Source};

use super::columns::Columns;
use super::dataknobs::Version;
use super::files::{self, SourceFile};
use super::sample::{self, Sample};
use super::split::Bounds;
use super::{FileSource, Files, Kind, csv, json, schema};
use crate::compression::Compression;
use crate::format::Format;
use crate::handle::first_bytes;
use crate::identity::Identity;
use crate::options::{Layout, SourceOptions, not_for};
use crate::store::Store;

/// Opens the files of a source: reads the sample, freezes the schema.
///
/// *Errors* – all point at the job file: at the key to blame, else at the path.
pub fn open(options: SourceOptions, open: &OpenSource) -> Result<Box<dyn Source>> {
    let path = options.file.path_span.clone();
    let files = files::find(&options.file, &open.base);
    let source = files.and_then(|files| read(options, open, files));
    Ok(Box::new(source.map_err(|error| error.at_least(path))?))
}

/// Opens files of a store elsewhere, in this order: reads the sample, freezes the schema.
///
/// *Errors* – as [`open`], and those of the store.
pub fn open_files(
    options: SourceOptions,
    open: &OpenSource,
    store: Arc<dyn Store>,
    found: Vec<Identity>,
) -> Result<Box<dyn Source>> {
    let path = options.file.path_span.clone();
    let files = files::of_store(&options.file, &store, found);
    let source = files.and_then(|files| read(options, open, files));
    Ok(Box::new(source.map_err(|error| error.at_least(path))?))
}

fn read(options: SourceOptions, open: &OpenSource, files: Vec<SourceFile>) -> Result<FileSource> {
    let format = files[0].format;
    refuse_what_means_nothing(&options, format)?;
    let found = match format {
        Format::Json | Format::Jsonl => {
            let records = options.records.as_ref().map(|(_, span)| span.clone());
            documents(&options, &files).map_err(|error| match records {
                Some(span) if error.code() == "file::no_records" => error.at_least(span),
                _ => error,
            })?
        }
        Format::Csv | Format::Tsv => delimited(&options, &files)?,
        Format::Parquet | Format::Arrow => columns(&options, open, &files)?,
    };
    found.source(files, options, open)
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
    let is_dataknobs = options.file.layout == Layout::Dataknobs;
    if is_dataknobs && matches!(format, Format::Jsonl | Format::Arrow) {
        let message = format!("dataknobs-data has no {format} stores");
        return Err(Error::config("file::not_for_format", message)
            .at(
                options.file.format_span.clone(),
                "not with `layout = \"dataknobs\"`",
            )
            .help("its stores are JSON, CSV and Parquet files"));
    }
    Ok(())
}

/// What was found out before a source is there.
pub(super) struct Found {
    kind: Kind,
    pub fields: Vec<Field>,
    records: Option<u64>,
    pub notes: Vec<String>,
}

impl Found {
    fn source(
        self,
        files: Vec<SourceFile>,
        options: SourceOptions,
        open: &OpenSource,
    ) -> Result<FileSource> {
        let Found {
            kind,
            fields,
            records,
            notes,
        } = self;
        let mut schema = schema::project(&Schema::new(fields), open.columns.as_deref())?;
        schema::mark(&mut schema, &options, open)?;
        let mut all_notes = vec![what_is_read(&files)];
        all_notes.extend(notes);
        if let Kind::Columns(columns) = &kind
            && options.file.layout == Layout::Plain
        {
            all_notes.extend(columns.notes(&schema));
        }
        let declared = options
            .fields
            .into_iter()
            .map(|(name, logical, _)| (name, logical));
        Ok(FileSource(Arc::new(Files {
            by_label: by_label(&files),
            store: files[0].store.clone(),
            format: files[0].format,
            layout: options.file.layout,
            schema,
            projected: open.columns.is_some(),
            base: open.base.clone(),
            id: options.id.map(|(name, _)| name.into()),
            declared: declared.collect(),
            bounds: Bounds::of(open.batch),
            partitions: open.partitions,
            explicit_nulls: open.explicit_nulls,
            records,
            notes: all_notes,
            files,
            kind,
        })))
    }
}

fn by_label(files: &[SourceFile]) -> HashMap<String, usize> {
    let labels = files.iter().map(|file| file.label().to_owned());
    labels.zip(0..).collect()
}

fn documents(options: &SourceOptions, files: &[SourceFile]) -> Result<Found> {
    let pointer = options
        .records
        .as_ref()
        .and_then(|(text, _)| json::parse_pointer(text));
    let pointer = pointer.unwrap_or_default();
    let found = sample::documents(files, &pointer, options.file.layout, options.infer)?;
    let keyed = found.keyed;
    as_documents(options, Kind::Documents { pointer, keyed }, found)
}

/// A source whose records become documents.
pub(super) fn as_documents(
    options: &SourceOptions,
    kind: Kind,
    mut sample: Sample,
) -> Result<Found> {
    let is_dataknobs = options.file.layout == Layout::Dataknobs;
    let is_open = !sample.complete || sample.records == 0;
    let mut fields = std::mem::take(&mut sample.fields);
    schema::declare(&mut fields, &options.fields, is_open)?;
    let rest = schema::reserved(Role::Rest, &fields);
    if is_dataknobs {
        let meta = schema::reserved(Role::Meta, &fields);
        fields.insert(0, meta);
    }
    if sample.keyed || is_dataknobs {
        let mut id = schema::reserved(Role::Id, &fields);
        // The store's own key, unless the job declares another.
        (id.key, id.nullable) = (Some(0), !sample.keyed);
        fields.insert(0, id);
    }
    fields.push(rest);
    Ok(Found {
        kind,
        fields,
        records: sample.complete.then_some(sample.records),
        notes: vec![how_types_were_found(&sample, options)],
    })
}

fn delimited(options: &SourceOptions, files: &[SourceFile]) -> Result<Found> {
    let csv = options.file.csv(files[0].format)?;
    let mut headers = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        files::expect_after(files, index, first_bytes);
        let (handle, spec) = sample::open_spec(file)?;
        headers.push(csv::open(handle, spec, &csv)?.1);
    }
    expect_same_columns(files, &headers)?;
    if sample::columns(&headers).is_empty() {
        let message = format!(
            "`{}` is empty: not even its columns are known",
            files[0].label()
        );
        return Err(Error::data("csv::no_header", message).help(
            "a CSV file without records has a header line; was this one written completely?",
        ));
    }
    if options.file.layout == Layout::Dataknobs {
        let declared = options
            .fields
            .iter()
            .map(|(name, logical, _)| (name.clone(), logical.clone()));
        let declared: Vec<(String, LogicalType)> = declared.collect();
        let (found, version) = sample::lines(files, &headers, &csv, &declared, options.infer)?;
        let kind = Kind::Delimited {
            options: csv,
            headers,
            version,
        };
        let mut found = as_documents(options, kind, found)?;
        found.notes.push("numbers and booleans of a CSV store are text, as dataknobs-data reads them, unless `fields` declares them".to_owned());
        return Ok(found);
    }
    let sample = sample::delimited(files, &headers, &csv, options.infer)?;
    let mut fields = sample.fields.clone();
    schema::declare(&mut fields, &options.fields, false)?;
    Ok(Found {
        kind: Kind::Delimited {
            options: csv,
            headers,
            version: Version::Bare,
        },
        fields,
        records: sample.complete.then_some(sample.records),
        notes: vec![how_types_were_found(&sample, options)],
    })
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
        return Err(Error::data("csv::other_columns", format!("`{}` {what}", file.label())).help(
            "files of one source have the same columns, in any order; name those that belong together with a glob",
        ));
    }
    Ok(())
}

fn columns(options: &SourceOptions, open: &OpenSource, files: &[SourceFile]) -> Result<Found> {
    let columns = Columns::open(files, options, open.columns.as_deref())?;
    if options.file.layout == Layout::Dataknobs {
        let found = sample::rows(files, &columns, options.infer)?;
        let mut found = as_documents(options, Kind::Columns(columns), found)?;
        found
            .notes
            .push("a Parquet store holds no metadata of records".to_owned());
        return Ok(found);
    }
    let mut fields = columns.fields();
    schema::declare(&mut fields, &options.fields, false)?;
    let records = columns.rows();
    let notes = vec!["types are those of the file".to_owned()];
    Ok(Found {
        kind: Kind::Columns(columns),
        fields,
        records,
        notes,
    })
}

fn what_is_read(files: &[SourceFile]) -> String {
    let first = &files[0];
    let compression = match first.compression {
        Compression::None => String::new(),
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
