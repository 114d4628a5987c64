//! SQLite as source and target.
//!
//! As a source it is a table, a view or a query, read in one query per partition from SQLite's
//! memory straight into columns ([`source`]). As a target it is a table whose rows, checkpoint and
//! epoch are one transaction, which is what makes a run effectively once ([`target`]). With
//! `layout = "dataknobs"` either is a table of documents as `dataknobs-data` keeps them.
//!
//! SQLite is called through rusqlite; SQL is written with names quoted in [`name`] only.

mod affinity;
mod catalog;
mod column;
mod cursor;
mod fault;
mod name;
mod place;
mod source;
mod target;
mod value;

use std::path::Path;

use dkhost_core::{
    Backend, Capabilities, Error, OpenSource, OpenTarget, OptionSpec, OptionType, Options, Result,
    Sink, Source, Stamp,
};

/// The table dataknobs uses when none is named.
pub(crate) const DATAKNOBS_TABLE: &str = "records";

/// The backend `sqlite`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqliteBackend;

const LAYOUT: OptionType = OptionType::Word(&["table", "dataknobs"]);

const SOURCE_OPTIONS: &[OptionSpec] = &[
    OptionSpec::required("path", OptionType::Text, "The database file."),
    OptionSpec::optional(
        "table",
        OptionType::Text,
        "The table or view to read; default with the dataknobs layout: records.",
    ),
    OptionSpec::optional(
        "query",
        OptionType::Text,
        "A SELECT to read instead of a table; with `key`, a resumed run goes on where it stopped.",
    ),
    OptionSpec::optional(
        "layout",
        LAYOUT,
        "`dataknobs`: the table is a store of dataknobs-data; default `table`.",
    ),
    OptionSpec::optional(
        "timestamps",
        OptionType::Boolean,
        "With the dataknobs layout: take created_at and updated_at along with each record; default false.",
    ),
];

const TARGET_OPTIONS: &[OptionSpec] = &[
    OptionSpec::required(
        "path",
        OptionType::Text,
        "The database file; created when absent, its folder too.",
    ),
    OptionSpec::optional(
        "table",
        OptionType::Text,
        "The table to write; default with the dataknobs layout: records.",
    ),
    OptionSpec::optional(
        "layout",
        LAYOUT,
        "`dataknobs`: the table is a store of dataknobs-data; default `table`.",
    ),
];

impl Backend for SqliteBackend {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn summary(&self) -> &'static str {
        "tables and queries of an SQLite database; dataknobs stores"
    }

    fn source_options(&self) -> &'static [OptionSpec] {
        SOURCE_OPTIONS
    }

    fn target_options(&self) -> &'static [OptionSpec] {
        TARGET_OPTIONS
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
        Ok(Box::new(source::SqliteSource::open(options, open)?))
    }

    fn open_target(&self, options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
        target::open(options, open)
    }

    fn stamp(&self, options: Options, base: &Path) -> Result<Option<Stamp>> {
        target::stamp(options, base)
    }
}

/// Whether the layout is that of dataknobs.
fn take_layout(options: &mut Options) -> Result<bool> {
    let span = options.span_of("layout");
    match options.take::<String>("layout")?.as_deref() {
        None | Some("table") => Ok(false),
        Some("dataknobs") => Ok(true),
        Some(other) => Err(Error::config(
            "sqlite::unknown_layout",
            format!("there is no layout `{other}`"),
        )
        .at(span, "not a layout")
        .help("known: table, dataknobs")),
    }
}
