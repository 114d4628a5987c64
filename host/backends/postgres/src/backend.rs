//! What the engine is given: the backend's name, its options, and both of its ends.

use std::path::Path;

use dkhost_core::{
    Backend, Capabilities, Error, OpenSource, OpenTarget, OptionSpec, OptionType, Options, Result,
    Sink, Source, SourceCapabilities, Stamp,
};

use crate::server::OPTIONS;
use crate::{source, target};

/// The backend `postgres`.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostgresBackend;

/// The table dataknobs uses when none is named.
///
/// *Source* – `dataknobs-data` 0.11.0, `backends/postgres_mixins.py`.
pub(crate) const DATAKNOBS_TABLE: &str = "records";

const LAYOUT: OptionSpec = OptionSpec::optional(
    "layout",
    OptionType::Word(&["table", "dataknobs"]),
    "`dataknobs`: the table is a store of dataknobs-data; default `table`.",
);

const SOURCE: [OptionSpec; 6] = [
    OptionSpec::optional(
        "table",
        OptionType::Text,
        "The table or view to read: customers, crm.customers or crm.\"Odd.Name\"; default with the dataknobs layout: records.",
    ),
    OptionSpec::optional(
        "query",
        OptionType::Text,
        "A SELECT to read instead of a table; with `key`, a resumed run goes on where it stopped.",
    ),
    OptionSpec::optional(
        "fields",
        OptionType::TextTable,
        "Types of columns that are to be read in another way, such as { seen = \"utf8\" } for timestamps that may be infinite.",
    ),
    LAYOUT,
    OptionSpec::optional(
        "timestamps",
        OptionType::Boolean,
        "With the dataknobs layout: take created_at and updated_at along with each record; default false.",
    ),
    OptionSpec::optional(
        "row_security",
        OptionType::Boolean,
        "Read only the rows that row security shows this user, where it hides some; default false: such a source is refused.",
    ),
];

const TARGET: [OptionSpec; 2] = [
    OptionSpec::optional(
        "table",
        OptionType::Text,
        "The table to write: customers, crm.customers or crm.\"Odd.Name\"; default with the dataknobs layout: records.",
    ),
    LAYOUT,
];

const SOURCE_OPTIONS: [OptionSpec; OPTIONS.len() + SOURCE.len()] = joined(&SOURCE);
const TARGET_OPTIONS: [OptionSpec; OPTIONS.len() + TARGET.len()] = joined(&TARGET);

/// The options of the server, and those of one end.
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

impl Backend for PostgresBackend {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn summary(&self) -> &'static str {
        "tables and queries of a PostgreSQL database; dataknobs stores"
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
            partitions_by_values: true,
        }
    }

    fn target_capabilities(&self, options: &Options) -> Result<Capabilities> {
        let documents = take_layout(&mut options.clone())?;
        Ok(Capabilities {
            only_one_by_one: false,
            documents,
            evolves: !documents,
        })
    }

    fn open_source(&self, options: Options, open: &OpenSource) -> Result<Box<dyn Source>> {
        Ok(Box::new(source::PostgresSource::open(options, open)?))
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
        None | Some("table") => Ok(false),
        Some("dataknobs") => Ok(true),
        Some(other) => Err(Error::config(
            "postgres::unknown_layout",
            format!("there is no layout `{other}`"),
        )
        .at(span, "not a layout")
        .help("known: table, dataknobs")),
    }
}
