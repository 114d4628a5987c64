//! The memory backend: the reference meaning of the traits, in lines as plain as they can be.
//!
//! What a backend must do where the traits leave room is what this one does, and what the
//! conformance suite asks of all of them:
//!
//! * a null in a key meets nothing: rows with one never conflict;
//! * `insert` refuses the newcomer, also when it meets a row of its own batch; `skip` keeps the
//!   row that came first; `upsert` folds equal keys of one batch into the last of them;
//! * `replace-all` builds a new table beside the old one, under the rules of `insert`;
//! * a batch's rows become visible with its commit (under `replace-all` with `publish`).
//!
//! A store has a name and lives as long as the process, so that a test can look at what a run
//! wrote ([`Store::open`]) and a run can be "resumed" after everything of it was dropped.

mod decide;
mod selection;
mod sink;
mod source;
mod store;

#[cfg(test)]
mod tests;

use crate::backend::{Backend, Capabilities, OpenSource, OpenTarget, SourceCapabilities};
use crate::options::{OptionSpec, OptionType, Options};
use crate::{Error, Result, Role, Sink, Source};

pub use decide::decide;
pub use store::Store;

/// The backend called `memory`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory;

const SOURCE_OPTIONS: &[OptionSpec] = &[
    OptionSpec::optional("records", OptionType::Any, "the records, a list of tables"),
    OptionSpec::optional(
        "name",
        OptionType::Text,
        "reads what a target of this name holds, instead of `records`",
    ),
    OptionSpec::optional(
        "fields",
        OptionType::TextTable,
        "types of fields, such as { price = \"decimal(10, 2)\" }; the others are inferred",
    ),
    OptionSpec::optional(
        "infer",
        OptionType::Integer,
        "how many records types are inferred from (10000)",
    ),
];

const TARGET_OPTIONS: &[OptionSpec] = &[
    OptionSpec::optional(
        "name",
        OptionType::Text,
        "what the rows are kept under while the process lives; `memory` by default",
    ),
    OptionSpec::optional(
        "documents",
        OptionType::Boolean,
        "whether fields beside the columns are kept, true by default",
    ),
];

impl Backend for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn summary(&self) -> &'static str {
        "records in the job file and rows that live as long as the process, for trials and tests"
    }

    fn source_options(&self) -> &'static [OptionSpec] {
        SOURCE_OPTIONS
    }

    fn target_options(&self) -> &'static [OptionSpec] {
        TARGET_OPTIONS
    }

    fn source_capabilities(&self) -> SourceCapabilities {
        SourceCapabilities {
            filters: true,
            incremental: true,
            partitions_by_values: true,
        }
    }

    fn target_capabilities(&self, options: &Options) -> Result<Capabilities> {
        let documents = documents(&mut options.clone())?;
        Ok(Capabilities {
            only_one_by_one: false,
            documents,
            evolves: true,
        })
    }

    fn open_source(&self, mut options: Options, open: &OpenSource) -> Result<Box<dyn Source>> {
        let fields = options.take("fields")?.unwrap_or_default();
        let sample = options.take("infer")?.unwrap_or(10_000);
        match (
            options.take::<String>("name")?,
            options.take_node("records"),
        ) {
            (Some(name), None) => Ok(Box::new(source::open_store(&name, open)?)),
            (None, Some(records)) => Ok(Box::new(source::open_records(
                &records, &fields, sample, open,
            )?)),
            _ => Err(Error::config(
                "memory::no_records",
                "a memory source needs `records` or `name`",
            )
            .at(options.span.clone(), "one of the two")),
        }
    }

    fn open_target(&self, mut options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
        let name = options.take("name")?.unwrap_or_else(|| "memory".to_owned());
        if let (false, Some(rest)) = (documents(&mut options)?, open.schema.role(Role::Rest)) {
            let rest = &open.schema.fields[rest].name;
            return Err(Error::config(
                "target::no_documents",
                format!("table `{name}` in memory has no place for `{rest}`, the fields beside the columns"),
            )
            .help("`documents = true` keeps them"));
        }
        Ok(Box::new(sink::MemorySink::open(
            Store::open(&name),
            &name,
            open,
        )?))
    }
}

/// Whether fields beside the columns are kept.
fn documents(options: &mut Options) -> Result<bool> {
    Ok(options.take("documents")?.unwrap_or(true))
}
