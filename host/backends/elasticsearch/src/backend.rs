//! What the engine is given: the backend's name, its options, and both of its ends.

use std::path::Path;

use dkhost_core::{
    Backend, Capabilities, Error, OpenSource, OpenTarget, OptionSpec, OptionType, Options, Result,
    Sink, Source, SourceCapabilities, Stamp,
};

use crate::client::OPTIONS;
use crate::{source, target};

/// The backend `elasticsearch`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ElasticsearchBackend;

/// The index dataknobs uses when none is named.
///
/// *Source* – `dataknobs-data` 0.11.0, `backends/elasticsearch.py`.
pub(crate) const DATAKNOBS_INDEX: &str = "records";

const LAYOUT: OptionSpec = OptionSpec::optional(
    "layout",
    OptionType::Word(&["documents", "dataknobs"]),
    "`dataknobs`: the index is a store of dataknobs-data; default `documents`.",
);

const SOURCE: [OptionSpec; 5] = [
    OptionSpec::optional(
        "index",
        OptionType::Text,
        "The index, alias, data stream or pattern to read: movies, logs-2024.*; default with the dataknobs layout: records.",
    ),
    OptionSpec::optional(
        "query",
        OptionType::Any,
        "A query in the server's own language that documents must match, as a table or JSON text: { term = { status = \"active\" } }.",
    ),
    OptionSpec::optional(
        "fields",
        OptionType::TextTable,
        "Types of fields that are to be read otherwise than their mapping says, such as { price = \"decimal(10,2)\" }.",
    ),
    OptionSpec::optional(
        "keep_alive",
        OptionType::Text,
        "How long the server keeps a moment of the index that nobody asks for: 10m (the default), 90s, 1h.",
    ),
    LAYOUT,
];

const TARGET: [OptionSpec; target::OPTIONS.len() + 1] = {
    let mut all = [LAYOUT; target::OPTIONS.len() + 1];
    let mut at = 0;
    while at < target::OPTIONS.len() {
        all[at] = target::OPTIONS[at];
        at += 1;
    }
    all
};

const SOURCE_OPTIONS: [OptionSpec; OPTIONS.len() + SOURCE.len()] = joined(&SOURCE);
const TARGET_OPTIONS: [OptionSpec; OPTIONS.len() + TARGET.len()] = joined(&TARGET);

/// The options of the cluster, and those of one end.
const fn joined<const N: usize>(own: &[OptionSpec]) -> [OptionSpec; N] {
    let mut all = [OPTIONS[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = match at < OPTIONS.len() {
            true => OPTIONS[at],
            false => own[at - OPTIONS.len()],
        };
        at += 1;
    }
    all
}

impl Backend for ElasticsearchBackend {
    fn name(&self) -> &'static str {
        "elasticsearch"
    }

    fn summary(&self) -> &'static str {
        "indices of Elasticsearch and OpenSearch; dataknobs stores"
    }

    fn source_options(&self) -> &'static [OptionSpec] {
        &SOURCE_OPTIONS
    }

    fn target_options(&self) -> &'static [OptionSpec] {
        &TARGET_OPTIONS
    }

    fn source_capabilities(&self) -> SourceCapabilities {
        SourceCapabilities {
            filters: true,
            incremental: true,
            partitions_by_values: false,
        }
    }

    fn target_capabilities(&self, _options: &Options) -> Result<Capabilities> {
        Ok(Capabilities {
            only_one_by_one: false,
            documents: true,
            evolves: false,
        })
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

/// Whether the layout is that of dataknobs.
pub(crate) fn take_layout(options: &mut Options) -> Result<bool> {
    let span = options.span_of("layout");
    match options.take::<String>("layout")?.as_deref() {
        None | Some("documents") => Ok(false),
        Some("dataknobs") => Ok(true),
        Some(other) => Err(Error::config(
            "elasticsearch::unknown_layout",
            format!("there is no layout `{other}`"),
        )
        .at(span, "not a layout")
        .help("known: documents, dataknobs")),
    }
}
