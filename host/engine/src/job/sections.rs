//! `[source]` and `[target]`: the keys all backends share, and what they mean.

use dkhost_core::{Conflict, OptionSpec, OptionType, Options, Result, Span};

use super::{settings, slices};

pub use super::slices::{IncrementalSettings, PartitionBy};

/// The `[source]` section: common keys read, the backend's own still in `options`.
#[derive(Debug, Clone)]
pub struct SourceSection {
    /// The backend's name and its place.
    pub backend: (String, Span),
    /// The backend's own keys.
    pub options: Options,
    /// Only these columns.
    pub columns: Option<(Vec<String>, Span)>,
    /// The declared key, and its place.
    pub key: (Vec<String>, Span),
    /// SQL over the source's columns, and its place.
    pub filter: Option<(String, Span)>,
    /// Only what changed since the last run.
    pub incremental: Option<IncrementalSettings>,
    /// How many partitions are wanted; `None` for `auto`.
    pub partitions: Option<usize>,
    /// A slice for each of these values instead.
    pub partition_by: Option<PartitionBy>,
    /// Source records at most.
    pub limit: Option<u64>,
}

/// The `[target]` section: common keys read, the backend's own still in `options`.
#[derive(Debug, Clone)]
pub struct TargetSection {
    /// The backend's name and its place.
    pub backend: (String, Span),
    /// The backend's own keys.
    pub options: Options,
    /// What happens when a record meets one with the same key.
    pub conflict: (Conflict, Span),
    /// The declared key; else the source's.
    pub key: Option<(Vec<String>, Span)>,
    /// Whether an absent target is created.
    pub create: bool,
}

/// The keys of `[source]` that every backend has.
pub const SOURCE_OPTIONS: &[OptionSpec] = &[
    OptionSpec::required(
        "backend",
        OptionType::Text,
        "kind of store: memory | file | sqlite | postgres | elasticsearch | s3",
    ),
    OptionSpec::optional(
        "columns",
        OptionType::TextList,
        "only these columns, in this order (all)",
    ),
    OptionSpec::optional(
        "key",
        OptionType::TextList,
        "columns that identify a record (the store's primary key)",
    ),
    OptionSpec::optional(
        "filter",
        OptionType::Text,
        "SQL over the source's columns; what the source cannot check itself is checked here and counted as filtered",
    ),
    OptionSpec::optional(
        "incremental",
        OptionType::Table,
        "{ column = \"updated_at\", lookback = \"10m\" }: only records from the last finished run's greatest value on; the first run reads all, and so does `dkhost run --full`",
    ),
    OptionSpec::optional(
        "partitions",
        OptionType::Any,
        "slices: a number, \"auto\", or { by = \"region\", values = [\"us\", \"eu\"] } with one more for all other records",
    ),
    OptionSpec::optional(
        "limit",
        OptionType::Integer,
        "read only so many records, for trials",
    ),
];

/// The keys of `[target]` that every backend has.
pub const TARGET_OPTIONS: &[OptionSpec] = &[
    OptionSpec::required(
        "backend",
        OptionType::Text,
        "kind of store: memory | file | sqlite | postgres | elasticsearch | s3",
    ),
    OptionSpec::optional(
        "on_conflict",
        OptionType::Word(&["insert", "upsert", "skip", "replace-all"]),
        "a record meets one with the same key: insert (refuse it, default) | upsert | skip | replace-all",
    ),
    OptionSpec::optional(
        "key",
        OptionType::TextList,
        "columns that identify a record in the target (the source's key)",
    ),
    OptionSpec::optional(
        "create",
        OptionType::Boolean,
        "create what is absent, from the plan's schema (true)",
    ),
];

/// Reads `[source]`.
pub(super) fn source_section(mut options: Options) -> Result<SourceSection> {
    let backend = backend_name(&mut options)?;
    let columns_span = options.span_of("columns");
    let key_span = options.span_of("key");
    let filter_span = options.span_of("filter");
    let (partitions, partition_by) = match options.take_node("partitions") {
        None => (Some(1), None),
        Some(node) => slices::partitions(node)?,
    };
    Ok(SourceSection {
        backend,
        columns: options
            .take("columns")?
            .map(|columns| (columns, columns_span)),
        key: (options.take("key")?.unwrap_or_default(), key_span),
        filter: options
            .take::<String>("filter")?
            .map(|filter| (filter, filter_span)),
        incremental: options
            .take_node("incremental")
            .map(slices::incremental)
            .transpose()?,
        partitions,
        partition_by,
        limit: options
            .take_node("limit")
            .map(|node| settings::whole(&node, "limit", 0, i64::MAX))
            .transpose()?
            .map(|n| n as u64),
        options,
    })
}

/// Reads `[target]`.
pub(super) fn target_section(mut options: Options) -> Result<TargetSection> {
    let backend = backend_name(&mut options)?;
    let words = [
        ("insert", Conflict::Insert),
        ("upsert", Conflict::Upsert),
        ("skip", Conflict::Skip),
        ("replace-all", Conflict::ReplaceAll),
    ];
    let span = options.span_of("on_conflict");
    let conflict = match options.take_node("on_conflict") {
        Some(node) => settings::word(&node, "on_conflict", &words)?,
        None => Conflict::Insert,
    };
    let key_span = options.span_of("key");
    Ok(TargetSection {
        backend,
        conflict: (conflict, span),
        key: options
            .take::<Vec<String>>("key")?
            .map(|key| (key, key_span)),
        create: options.take("create")?.unwrap_or(true),
        options,
    })
}

fn backend_name(options: &mut Options) -> Result<(String, Span)> {
    let span = options.span_of("backend");
    Ok((options.require("backend")?, span))
}
