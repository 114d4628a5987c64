//! Opens a slice of a file at a position.

use dkhost_core::{BatchReader, Error, Result};

use super::csv::{self, CsvDecoder, CsvScanner};
use super::dataknobs::{LineStore, RowStore, StoreReader, Version};
use super::files::SourceFile;
use super::json::JsonSplitter;
use super::partition::Slice;
use super::position::{self, Place};
use super::stream::{Stream, StreamSpec};
use super::text::{Cutter, LineDecoder, Lines, Splitter, TextReader};
use super::{Files, Kind, sample};
use crate::format::Format;
use crate::handle::Handle;
use crate::options::{CsvOptions, Layout};

impl Files {
    /// Opens a slice of a file at a place, or at its start.
    pub(super) fn open_slice(
        &self,
        slice: &Slice,
        file: &SourceFile,
        from: Option<&Place>,
    ) -> Result<Box<dyn BatchReader>> {
        let Kind::Columns(columns) = &self.kind else {
            return Ok(Box::new(self.open_text(slice, file, from)?));
        };
        let index = self.by_label.get(file.label()).copied();
        if self.layout == Layout::Plain {
            return columns.read(index, file, slice, from, &self.schema, self.bounds);
        }
        let found = dkhost_core::Schema::new(columns.fields());
        let rows = columns.read(index, file, slice, from, &found, self.bounds)?;
        let store = RowStore::new(&found, file.label())?;
        Ok(Box::new(StoreReader {
            rows,
            store,
            documents: self.documents(),
        }))
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
                let (stream, splitter) = self.open_splitter(handle, spec, slice, pointer, from)?;
                (
                    stream,
                    Cutter::Documents(splitter, Box::new(self.documents())),
                )
            }
            Kind::Delimited {
                options, version, ..
            } => {
                let again = handle
                    .again()
                    .map_err(|cause| Error::io("read", file.label(), cause))?;
                let (mut stream, header) = csv::open(again, spec.clone(), options)?;
                if let Some(Place::Text {
                    offset,
                    line,
                    before,
                    ..
                }) = from
                {
                    stream = Stream::resume(handle, spec, *offset, *line, before)?;
                }
                (
                    stream,
                    Cutter::Lines(self.lines(options, &header, *version)?),
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
        handle: Handle,
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
            Some(Place::Rows { .. }) => Err(position::bad()),
            None if slice.from > 0 => Ok((
                Stream::resume(handle, spec, slice.from, None, "")?,
                Splitter::Lines,
            )),
            None => {
                let mut stream = Stream::open(handle, spec)?;
                let splitter = sample::open_splitter(&mut stream, self.format, pointer)?;
                Ok((stream, splitter))
            }
        }
    }

    /// How the lines of a file with this header become rows.
    pub(super) fn lines(
        &self,
        options: &CsvOptions,
        header: &[String],
        version: Version,
    ) -> Result<Lines> {
        let decoder = match self.layout {
            Layout::Plain => {
                let names: Vec<String> = self.schema.names().map(str::to_owned).collect();
                let places = sample::places(&names, header);
                LineDecoder::Plain(CsvDecoder::new(&self.schema, places, options.clone()))
            }
            Layout::Dataknobs => {
                let label = self.files[0].label();
                let store = LineStore::new(header, &self.declared, version, options, label)?;
                LineDecoder::Store(Box::new((store, self.documents())))
            }
        };
        let scanner = CsvScanner::new(options, Some(header.len()));
        Ok(Lines {
            scanner,
            decoder,
            width: header.len(),
        })
    }
}
