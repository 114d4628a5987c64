//! The backend `s3`: what it is called, which options it takes, how either end is opened.

use std::path::Path;

use dkhost_core::{
    Backend, Capabilities, OpenSource, OpenTarget, OptionSpec, OptionType, Options, Result, Sink,
    Source, Stamp,
};
use dkhost_file::options::{SOURCE_OPTIONS as OF_FILES_READ, TARGET_OPTIONS as OF_FILES_WRITTEN};

use crate::server::OPTIONS;
use crate::{source, target};

/// The backend `s3`.
#[derive(Debug, Clone, Copy, Default)]
pub struct S3Backend;

const OBJECT: OptionSpec = OptionSpec::optional(
    "object",
    OptionType::Word(&["file", "record"]),
    "What an object is: `file`, of any format of the backend `file` (the default), or one JSON `record`, whose id is its key without the prefix and `.json`.",
);

const CONDITIONAL: OptionSpec = OptionSpec::optional(
    "conditional",
    OptionType::Boolean,
    "Whether objects are written under conditions (If-Match, If-None-Match), which keeps two processes apart; false for servers that ignore them, where nothing keeps them apart; default true.",
);

const SOURCE: [OptionSpec; OPTIONS.len() + OF_FILES_READ.len()] =
    joined(OPTIONS, OF_FILES_READ, &[OBJECT]);

const TARGET: [OptionSpec; OPTIONS.len() + OF_FILES_WRITTEN.len() + 1] =
    joined(OPTIONS, OF_FILES_WRITTEN, &[OBJECT, CONDITIONAL]);

/// The options of the server, those of files but the path, which comes first, and our own.
const fn joined<const N: usize>(
    server: &[OptionSpec],
    files: &[OptionSpec],
    own: &[OptionSpec],
) -> [OptionSpec; N] {
    let mut all = [OBJECT; N];
    let (mut at, mut from) = (0, 0);
    while from < server.len() {
        all[at] = server[from];
        (at, from) = (at + 1, from + 1);
    }
    from = 1;
    while from < files.len() {
        all[at] = files[from];
        (at, from) = (at + 1, from + 1);
    }
    from = 0;
    while from < own.len() {
        all[at] = own[from];
        (at, from) = (at + 1, from + 1);
    }
    all
}

impl Backend for S3Backend {
    fn name(&self) -> &'static str {
        "s3"
    }

    fn summary(&self) -> &'static str {
        "objects of S3 and compatible servers: files under a prefix, or one record each; dataknobs stores"
    }

    fn source_options(&self) -> &'static [OptionSpec] {
        &SOURCE
    }

    fn target_options(&self) -> &'static [OptionSpec] {
        &TARGET
    }

    fn target_capabilities(&self, options: &Options) -> Result<Capabilities> {
        target::capabilities(options.clone())
    }

    fn open_source(&self, options: Options, open: &OpenSource) -> Result<Box<dyn Source>> {
        source::open(options, open)
    }

    fn open_target(&self, options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
        target::open(options, open)
    }

    fn stamp(&self, options: Options, base: &Path) -> Result<Option<Stamp>> {
        target::stamp(options, base)
    }
}
