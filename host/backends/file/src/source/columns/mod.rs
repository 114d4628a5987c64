//! Parquet and Arrow: files that are columns already.
//!
//! Their types are the file's; a layout dkhost has no type for is widened without loss (see
//! `convert`), and a value that has no place in its column refuses its row.

mod convert;
mod declared;
mod layouts;
mod lengths;
mod read;
mod verify;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use dkhost_core::{BatchReader, Error, Field, Result, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use self::convert::Conversion;
use self::read::ColumnReader;
use super::files::{SourceFile, expect_after};
use super::partition::Slice;
use super::position::Place;
use super::sample::open_spec;
use super::split::Bounds;
use crate::format::Format;
use crate::handle::{Handle, last_bytes};
use crate::options::{Layout, SourceOptions};

/// The files of a source whose format is columns.
pub struct Columns {
    files: Vec<FileColumns>,
    fields: Vec<Field>,
}

/// One file.
#[derive(Debug, Clone)]
pub struct FileColumns {
    label: String,
    schema: SchemaRef,
    /// Rows of every row group; empty for Arrow.
    groups: Vec<u64>,
    metadata: Option<ArrowReaderMetadata>,
}

impl Columns {
    /// Reads the schema of every file.
    ///
    /// *Errors* – `file::corrupt`; `columns::unsupported`; `columns::others` when two files have
    /// other columns.
    pub fn open(
        files: &[SourceFile],
        options: &SourceOptions,
        wanted: Option<&[String]>,
    ) -> Result<Self> {
        let is_dataknobs = options.file.layout == Layout::Dataknobs;
        let mut opened: Vec<FileColumns> = Vec::with_capacity(files.len());
        let mut fields: Vec<Field> = Vec::new();
        for (index, file) in files.iter().enumerate() {
            expect_after(files, index, last_bytes);
            let columns = FileColumns::open(file)?;
            let found = layouts::fields(&columns.schema, file.label(), wanted, is_dataknobs)?;
            match opened.first() {
                None => fields = found,
                Some(first) => expect_same(&fields, &found, &first.label, file.label())?,
            }
            opened.push(columns);
        }
        Ok(Columns {
            files: opened,
            fields,
        })
    }

    /// The columns, in the order of the first file.
    pub fn fields(&self) -> Vec<Field> {
        self.fields.clone()
    }

    /// Rows in all files, where the files say it.
    pub fn rows(&self) -> Option<u64> {
        self.files
            .iter()
            .map(|file| {
                file.metadata
                    .as_ref()
                    .map(|_| file.groups.iter().sum::<u64>())
            })
            .sum()
    }

    /// How many slices file `index` can be cut into.
    pub fn groups(&self, index: usize) -> u64 {
        self.files[index].groups.len() as u64
    }

    /// A line for each column of `schema` that is converted.
    pub fn notes(&self, schema: &Schema) -> Vec<String> {
        let note = |field: &Field| {
            let from = field.source_type.as_deref()?;
            Some(format!("`{}`: {from} as {}", field.name, field.logical))
        };
        schema.fields.iter().filter_map(note).collect()
    }

    /// Reads a slice from a place on.
    ///
    /// *Shape* – `index` is the file's place among those that were opened, if it is one of them.
    pub fn read(
        &self,
        index: Option<usize>,
        file: &SourceFile,
        slice: &Slice,
        from: Option<&Place>,
        schema: &Schema,
        bounds: Bounds,
    ) -> Result<Box<dyn BatchReader>> {
        let columns = match index.and_then(|index| self.files.get(index)) {
            Some(known) => known.clone(),
            None => FileColumns::open(file)?,
        };
        let conversion = Conversion::plan(&columns.schema, schema, file.label())?;
        let (handle, _) = open_spec(file)?;
        let said = again(&handle, file.label())?;
        let reader = ColumnReader::open(file, columns, handle, slice, from, conversion, bounds);
        Ok(Box::new(said.first(reader)?))
    }
}

fn expect_same(fields: &[Field], found: &[Field], first: &str, label: &str) -> Result<()> {
    let known = |field: &Field| fields.iter().find(|other| other.name == field.name);
    let other = found
        .iter()
        .find(|field| known(field).is_none_or(|known| known.logical != field.logical));
    let missing = fields
        .iter()
        .find(|field| !found.iter().any(|other| other.name == field.name));
    let what = match (other, missing) {
        (None, None) => return Ok(()),
        (Some(field), _) => match known(field) {
            Some(known) => format!(
                "`{}` is {} in `{label}` and {} in `{first}`",
                field.name, field.logical, known.logical
            ),
            None => format!(
                "`{label}` has a column `{}`, which `{first}` does not have",
                field.name
            ),
        },
        (_, Some(field)) => format!(
            "`{label}` has no column `{}`, which `{first}` has",
            field.name
        ),
    };
    Err(Error::data("columns::others", what).help(
        "files of one source have the same columns; name those that belong together with a glob",
    ))
}

impl FileColumns {
    fn open(file: &SourceFile) -> Result<Self> {
        let (handle, _) = open_spec(file)?;
        handle.first(Self::look(file, &handle))
    }

    fn look(file: &SourceFile, handle: &Handle) -> Result<Self> {
        let label = file.label();
        let (schema, groups, metadata) = match file.format {
            Format::Parquet => {
                declared::footer(handle, label)?;
                let metadata = guarded(label, || {
                    Ok(ArrowReaderMetadata::load(
                        handle,
                        ArrowReaderOptions::new(),
                    )?)
                })?;
                let groups = metadata.metadata().row_groups().iter();
                let rows = groups
                    .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
                    .collect();
                (metadata.schema().clone(), rows, Some(metadata))
            }
            _ => (read::arrow_schema(handle, label)?, Vec::new(), None),
        };
        Ok(FileColumns {
            label: label.to_owned(),
            schema,
            groups,
            metadata,
        })
    }
}

/// What a file of columns says of itself under a name, beside its columns.
///
/// *Errors* – `file::corrupt`.
pub fn said_inside(
    handle: &Handle,
    label: &str,
    format: Format,
    name: &str,
) -> Result<Option<String>> {
    if format != Format::Parquet {
        return read::arrow_says(handle, label, name);
    }
    declared::footer(handle, label)?;
    let metadata = guarded(label, || {
        let options = ArrowReaderOptions::new();
        Ok(ArrowReaderMetadata::load(handle, options)?)
    })?;
    let said = metadata.metadata().file_metadata().key_value_metadata();
    let pair = said.and_then(|pairs| pairs.iter().find(|pair| pair.key == name));
    Ok(pair.and_then(|pair| pair.value.clone()))
}

/// Runs a reader of a foreign format over a file that may be anything: what it refuses, and what
/// it panics on, is a corrupt file.
fn guarded<T>(label: &str, read: impl FnOnce() -> Result<T, Cause>) -> Result<T> {
    let corrupt = || {
        Error::data("file::corrupt", format!("`{label}` is not intact"))
            .help("was the file written completely? nothing after this place was read")
    };
    match dkhost_core::foreign::caught(read) {
        Some(Ok(found)) => Ok(found),
        // Its text carries its own causes already.
        Some(Err(cause)) => Err(corrupt().caused_by(cause.to_string())),
        None => Err(corrupt()),
    }
}

/// Whatever a reader of a foreign format refuses a file with.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Opens a file again.
fn again(file: &Handle, label: &str) -> Result<Handle> {
    file.again()
        .map_err(|cause| Error::io("read", label, cause))
}

/// Shared by the readers of one file.
type Label = Arc<str>;
