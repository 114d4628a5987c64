//! What is written: format, compression and layout, decided once when the target is opened.

use std::fmt::Write;

use dkhost_core::{Error, Nulls, Result, Schema};

use crate::compression::Compression;
use crate::format::{self, Format};
use crate::options::{CsvOptions, FileOptions, Layout, not_for};

/// What is written.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The format.
    pub format: Format,
    /// Around text; inside Parquet and Arrow, where `None` means the job did not say.
    pub compression: Option<Compression>,
    /// For CSV and TSV.
    pub csv: CsvOptions,
    /// Who lays the records out.
    pub layout: Layout,
    /// What a document has for a null.
    pub nulls: Nulls,
}

impl Shape {
    /// The shape a job asks for.
    ///
    /// *Errors* – options that contradict each other or the path.
    pub fn of(options: &FileOptions, nulls: Nulls) -> Result<Self> {
        let (format, compression) = options.format_of(options.path.as_ref())?;
        let csv = options.csv(format)?;
        let by_name = format::from_name(options.path.as_ref()).1;
        let compression = if format.is_binary() {
            if by_name != Compression::None {
                return Err(Error::config(
                    "target::compressed_twice",
                    format!(
                        "{format} compresses inside, and `{}` would be compressed once more",
                        options.path
                    ),
                )
                .at(options.path_span.clone(), "remove the last extension")
                .help("`compression` says the codec inside the file"));
            }
            options.compression
        } else {
            Some(compression)
        };
        if format == Format::Arrow && compression == Some(Compression::Gzip) {
            return Err(not_for(
                "compression = \"gzip\"",
                &options.compression_span,
                format,
                "other formats; Arrow takes zstd",
            ));
        }
        let shape = Shape {
            format,
            compression,
            csv,
            layout: options.layout,
            nulls,
        };
        if shape.layout == Layout::Dataknobs {
            shape.check_dataknobs(options)?;
        }
        Ok(shape)
    }

    fn check_dataknobs(&self, options: &FileOptions) -> Result<()> {
        let is_store = matches!(self.format, Format::Json | Format::Csv);
        if !is_store {
            return Err(not_for(
                "layout = \"dataknobs\"",
                &options.format_span,
                self.format,
                "JSON and CSV, which dataknobs reads back",
            ));
        }
        if self.text_compression() != Compression::None {
            return Err(Error::config(
                "target::dataknobs_plain",
                format!(
                    "dataknobs does not read `{}` when it is compressed",
                    options.path
                ),
            )
            .at(options.compression_span.clone(), "compressed")
            .help("write the store as plain `.json` or `.csv`"));
        }
        Ok(())
    }

    /// The compression around the file.
    pub fn text_compression(&self) -> Compression {
        match self.compression {
            Some(compression) if !self.format.is_binary() => compression,
            _ => Compression::None,
        }
    }

    /// Records are documents: whatever the schema does not know is written as well.
    pub fn is_document(&self) -> bool {
        self.format.is_document()
    }

    /// Whether the file is a store of dataknobs.
    pub fn is_dataknobs(&self) -> bool {
        self.layout == Layout::Dataknobs
    }

    /// The extension of a part.
    pub fn extension(&self) -> String {
        let outer = match self.text_compression() {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        };
        format!("{}{outer}", self.format.word())
    }

    /// The shape in words, to be compared when a run is resumed: a file is never continued in
    /// another format or with other columns.
    pub fn words(&self, schema: &Schema) -> String {
        let mut words = format!(
            "{} {}",
            self.format.word(),
            self.compression.map_or("default", Compression::word)
        );
        if self.is_dataknobs() {
            words.push_str(" dataknobs");
        }
        if self.format.is_delimited() {
            let CsvOptions {
                delimiter,
                quote,
                header,
                null,
            } = &self.csv;
            let _ = write!(words, " {delimiter} {quote:?} {header} {null:?}");
        }
        if !self.is_document() {
            for field in &schema.fields {
                let _ = write!(words, ", {} {}", field.name, field.logical);
            }
        }
        words
    }
}
