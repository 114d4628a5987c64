//! Reads files: finds them, takes a sample, freezes schema and partitions, yields batches.
//!
//! ```text
//! open     from options to a source           files    which files a path means
//! sample   fields and types, frozen           schema   declared types, columns, key, id
//! partition  slices of files                  position where reading stands
//! reader   opens a slice at a position        text     the reader of text formats
//! several  many small files as one            rows     the records a batch was read from
//! stream   decoded bytes in shared pieces     split    records cut out of them (json, csv)
//! columns  Parquet and Arrow                  letters  dead letters tried again
//! dataknobs  stores of dataknobs-data that are tables
//! ```

mod columns;
mod csv;
mod dataknobs;
mod decoded;
mod files;
mod json;
mod letters;
mod nested;
mod open;
mod partition;
mod position;
mod reader;
pub mod records;
mod rows;
mod sample;
mod schema;
mod several;
mod split;
mod stream;
mod text;

use std::collections::HashMap;
use std::ops::{Deref, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;

use dkhost_core::source::Estimate;
use dkhost_core::{
    Batch, BatchReader, DeadLetter, Error, LogicalType, Partition, Position, Result, Schema, Source,
};

use xxhash_rust::xxh3::Xxh3;

pub use self::columns::said_inside;
pub use self::open::{open, open_files};

use self::columns::Columns;
use self::dataknobs::Version;
use self::files::SourceFile;
use self::json::Documents;
use self::partition::Slice;
use self::position::FilePosition;
use self::several::Several;
use self::split::Bounds;
use crate::format::Format;
use crate::identity::{self, Identity};
use crate::options::{CsvOptions, Layout};
use crate::store::Store;

/// Files that are open as a source.
struct FileSource(Arc<Files>);

impl Deref for FileSource {
    type Target = Files;

    fn deref(&self) -> &Files {
        &self.0
    }
}

/// What a source and its readers share.
struct Files {
    files: Vec<SourceFile>,
    /// Where each label stands in `files`.
    by_label: HashMap<String, usize>,
    base: PathBuf,
    /// Where the files lie, if not on this machine's disk.
    store: Option<Arc<dyn Store>>,
    format: Format,
    layout: Layout,
    kind: Kind,
    /// The columns that were asked for.
    schema: Schema,
    /// Whether there are others.
    projected: bool,
    /// The field that is the id.
    id: Option<Arc<str>>,
    /// Types the job declares.
    declared: Vec<(String, LogicalType)>,
    bounds: Bounds,
    partitions: usize,
    explicit_nulls: bool,
    notes: Vec<String>,
    records: Option<u64>,
}

/// What only some formats need.
enum Kind {
    /// Documents in text.
    Documents { pointer: Vec<String>, keyed: bool },
    /// Separated values; the columns of each file, and who wrote a dataknobs store.
    Delimited {
        options: CsvOptions,
        headers: Vec<Vec<String>>,
        version: Version,
    },
    /// Columns.
    Columns(Columns),
}

impl Files {
    /// Which files a slice of several covers, as they were found.
    ///
    /// *Errors* – `source::changed` when an end of it is not there any more.
    fn range_of(&self, slice: &Slice, last: &str) -> Result<RangeInclusive<usize>> {
        let place = |label: &str| {
            let known = self.by_label.get(label).copied();
            known.ok_or_else(|| identity::changed(label, "it is not there any more"))
        };
        Ok(place(&slice.file)?..=place(last)?)
    }

    /// The file of a slice, as it is now.
    fn file_of(&self, slice: &Slice) -> Result<SourceFile> {
        let path = self.base.join(&slice.file);
        let known = self.by_label.get(&slice.file);
        let known = known.map(|index| &self.files[*index]);
        let now = match (&self.store, known) {
            // Each read of it says whether it is still this one.
            (Some(_), Some(file)) => return Ok(file.clone()),
            (Some(store), None) => store.look(&slice.file)?,
            (None, _) => Identity::open(&path, &slice.file)?.1,
        };
        match known {
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
                    store: self.store.clone(),
                })
            }
        }
    }

    /// The fingerprint of a slice of several files: one line for all of them.
    fn summary(&self, slice: &Slice, last: &str) -> Result<serde_json::Value> {
        let range = self.range_of(slice, last)?;
        let (mut hash, mut count) = (Xxh3::new(), 0);
        for file in range.filter_map(|index| self.files.get(index)) {
            let identity = self.file_of(&Slice::whole(file.label()))?.identity;
            hash.update(written(&identity)?.to_string().as_bytes());
            count += 1;
        }
        Ok(serde_json::json!({
            "file": slice.file,
            "last": last,
            "files": count,
            "identities": format!("{:032x}", hash.digest128()),
        }))
    }

    fn documents(&self) -> Documents {
        Documents::new(
            &self.schema,
            self.projected,
            self.layout,
            self.explicit_nulls,
        )
    }
}

fn written(identity: &Identity) -> Result<serde_json::Value> {
    serde_json::to_value(identity)
        .map_err(|cause| Error::bug("a fingerprint could not be written").caused_by(cause))
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

    fn fingerprint(&self, partitions: &[Partition]) -> Result<serde_json::Value> {
        let mut files = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let slice = Slice::of(partition)?;
            files.push(match &slice.last {
                None => written(&self.file_of(&slice)?.identity)?,
                Some(last) => self.summary(&slice, last)?,
            });
        }
        files.dedup();
        Ok(files.into())
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
        let from = match from.is_start() {
            true => None,
            false => Some(FilePosition::from_position(from)?),
        };
        if let Some(last) = &slice.last {
            let range = self.range_of(&slice, last)?;
            return Ok(Box::new(Several::open(&self.0, range, from)?));
        }
        let file = self.file_of(&slice)?;
        if let Some(from) = &from {
            from.identity.verify(&file.identity)?;
        }
        self.open_slice(&slice, &file, from.as_ref().map(|from| &from.at))
    }

    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        match &self.kind {
            Kind::Documents { keyed, .. } => letters::documents(letters, self.documents(), *keyed),
            Kind::Delimited {
                options,
                headers,
                version,
            } => {
                let file = letters
                    .first()
                    .and_then(|letter| letter.locator.0.get("file")?.as_str());
                let index = self
                    .files
                    .iter()
                    .position(|known| Some(known.label()) == file);
                let header = index.and_then(|index| headers.get(index));
                let header = header.map_or(sample::columns(headers), Vec::as_slice);
                letters::lines(letters, self.lines(options, header, *version)?)
            }
            // The bytes of a row of columns are its JSON.
            Kind::Columns(_) => {
                let documents = Documents::new(&self.schema, false, Layout::Plain, false);
                letters::documents(letters, documents, self.layout == Layout::Dataknobs)
            }
        }
    }
}
