//! The backend `file`: what it is called, which options it takes, how either end is opened.

use std::path::Path;

use dkhost_core::{
    Backend, Capabilities, OpenSource, OpenTarget, OptionSpec, Options, Result, Sink, Source, Stamp,
};

use crate::options::{SOURCE_OPTIONS, SourceOptions, TARGET_OPTIONS, TargetOptions};

/// Files, folders and globs.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileBackend;

impl Backend for FileBackend {
    fn name(&self) -> &'static str {
        "file"
    }

    fn summary(&self) -> &'static str {
        "JSON, JSON Lines, CSV, TSV, Parquet and Arrow files, plain, gzip or zstd"
    }

    fn source_options(&self) -> &'static [OptionSpec] {
        SOURCE_OPTIONS
    }

    fn target_options(&self) -> &'static [OptionSpec] {
        TARGET_OPTIONS
    }

    fn target_capabilities(&self, options: &Options) -> Result<Capabilities> {
        crate::sink::capabilities(&TargetOptions::read(options.clone())?)
    }

    fn open_source(&self, options: Options, open: &OpenSource) -> Result<Box<dyn Source>> {
        crate::source::open(SourceOptions::read(options)?, open)
    }

    fn open_target(&self, options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
        crate::sink::open(TargetOptions::read(options)?, open)
    }

    fn stamp(&self, options: Options, base: &Path) -> Result<Option<Stamp>> {
        crate::sink::stamp::read(&TargetOptions::read(options)?.file, base)
    }
}
