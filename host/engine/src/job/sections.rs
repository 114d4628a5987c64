//! `[source]` and `[target]`: the keys all backends share, and what they mean.

use dkhost_core::{Conflict, Error, Node, NodeKind, OptionSpec, OptionType, Options, Result, Span};

use super::{later, quantity, settings};

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
    /// How many partitions are wanted; `None` for `auto`.
    pub partitions: Option<usize>,
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

/// A key.
pub(super) const fn spec(
    name: &'static str,
    ty: OptionType,
    required: bool,
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        ty,
        required,
        help,
    }
}

/// The keys of `[source]` that every backend has.
pub const SOURCE_OPTIONS: &[OptionSpec] = &[
    spec(
        "backend",
        OptionType::Text,
        true,
        "kind of store: memory | file | sqlite",
    ),
    spec(
        "columns",
        OptionType::TextList,
        false,
        "only these columns, in this order (all)",
    ),
    spec(
        "key",
        OptionType::TextList,
        false,
        "columns that identify a record (the store's primary key)",
    ),
    spec(
        "filter",
        OptionType::Text,
        false,
        "SQL over the source's columns; other records are counted as filtered",
    ),
    spec(
        "partitions",
        OptionType::Any,
        false,
        "how many slices are read at once: a number or \"auto\"",
    ),
    spec(
        "limit",
        OptionType::Integer,
        false,
        "read only so many records, for trials",
    ),
];

/// The keys of `[target]` that every backend has.
pub const TARGET_OPTIONS: &[OptionSpec] = &[
    spec(
        "backend",
        OptionType::Text,
        true,
        "kind of store: memory | file | sqlite",
    ),
    spec(
        "on_conflict",
        OptionType::Word(&["insert", "upsert", "skip", "replace-all"]),
        false,
        "a record meets one with the same key: insert (refuse it, default) | upsert | skip | replace-all",
    ),
    spec(
        "key",
        OptionType::TextList,
        false,
        "columns that identify a record in the target (the source's key)",
    ),
    spec(
        "create",
        OptionType::Boolean,
        false,
        "create what is absent, from the plan's schema (true)",
    ),
];

const LATER_SOURCE: &[(&str, &str)] = &[(
    "incremental",
    "incremental reads come in a later version; every run reads the whole source today",
)];

/// Reads `[source]`.
pub(super) fn source_section(mut options: Options) -> Result<SourceSection> {
    later::refuse(&mut options, LATER_SOURCE)?;
    let backend = backend_name(&mut options)?;
    let columns_span = options.span_of("columns");
    let key_span = options.span_of("key");
    let filter_span = options.span_of("filter");
    Ok(SourceSection {
        backend,
        columns: options
            .take("columns")?
            .map(|columns| (columns, columns_span)),
        key: (options.take("key")?.unwrap_or_default(), key_span),
        filter: options
            .take::<String>("filter")?
            .map(|filter| (filter, filter_span)),
        partitions: match options.take_node("partitions") {
            None => Some(1),
            Some(node) => partitions(&node)?,
        },
        limit: options
            .take_node("limit")
            .map(|node| settings::whole(&node, "limit", 0, i64::MAX))
            .transpose()?
            .map(|n| n as u64),
        options,
    })
}

fn partitions(node: &Node) -> Result<Option<usize>> {
    match &node.kind {
        NodeKind::Text(word) if word == "auto" => Ok(None),
        NodeKind::Table(_) => Err(Error::config(
            "job::later",
            "partitions by listed values come in a later version",
        )
        .at(node.span.clone(), "not available yet")
        .help("a number or \"auto\" works today")),
        NodeKind::Integer(_) => Ok(Some(
            settings::whole(node, "partitions", 1, 10_000)? as usize
        )),
        _ => Err(quantity::wrong(node, "partitions", "a number or \"auto\"")),
    }
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
