//! Which part of a source is read, and in which slices: `incremental` and `partitions`.

use dkhost_core::{Error, Lookback, Node, NodeKind, OptionSpec, OptionType, Options, Result, Span};

use super::quantity::wrong;
use super::settings::whole;

/// `incremental = { column, lookback }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncrementalSettings {
    /// The column that grows with every change, and its place.
    pub column: (String, Span),
    /// How far before the cursor reading begins; [`Lookback::parse`] reads it.
    pub lookback: Option<(String, Span)>,
    /// Where the key stands.
    pub span: Span,
}

/// `partitions = { by, values }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionBy {
    /// The column, and its place.
    pub column: (String, Span),
    /// The values, as text; no two are the same.
    pub values: Vec<String>,
    /// Where the key stands.
    pub span: Span,
}

const INCREMENTAL: &[OptionSpec] = &[
    OptionSpec::required(
        "column",
        OptionType::Text,
        "the column that grows with every change",
    ),
    OptionSpec::optional(
        "lookback",
        OptionType::Any,
        "how far before the cursor reading begins: \"10m\" for times, a number for numbers",
    ),
];

const BY_VALUES: &[OptionSpec] = &[
    OptionSpec::required("by", OptionType::Text, "the column to slice by"),
    OptionSpec::required(
        "values",
        OptionType::Any,
        "a slice for each of these values, and one for all other records",
    ),
];

/// Reads `incremental`.
pub(super) fn incremental(node: Node) -> Result<IncrementalSettings> {
    let span = node.span.clone();
    let mut options = Options::new("`incremental`", node)?;
    options.check(&[INCREMENTAL])?;
    let column_span = options.span_of("column");
    let lookback = match options.take_node("lookback") {
        None => None,
        Some(node) => Some((lookback(&node)?, node.span)),
    };
    Ok(IncrementalSettings {
        column: (options.require("column")?, column_span),
        lookback,
        span,
    })
}

fn lookback(node: &Node) -> Result<String> {
    let text = match &node.kind {
        NodeKind::Text(text) => Some(text.trim().to_owned()),
        NodeKind::Integer(number) => Some(number.to_string()),
        NodeKind::Float(number) => Some(number.to_string()),
        _ => None,
    };
    text.filter(|text| Lookback::parse(text).is_some())
        .ok_or_else(|| {
            wrong(
                node,
                "lookback",
                "a length of time such as \"10m\", \"2h\" or \"1d\", or a number of zero or more",
            )
        })
}

/// Reads `partitions`: how many (`None` for `auto`), or by which values.
pub(super) fn partitions(node: Node) -> Result<(Option<usize>, Option<PartitionBy>)> {
    match &node.kind {
        NodeKind::Text(word) if word == "auto" => Ok((None, None)),
        NodeKind::Integer(_) => {
            let number = whole(&node, "partitions", 1, 10_000)?;
            Ok((Some(number as usize), None))
        }
        NodeKind::Table(_) => Ok((None, Some(by_values(node)?))),
        _ => Err(wrong(
            &node,
            "partitions",
            "a number, \"auto\" or { by = \"region\", values = [\"us\", \"eu\"] }",
        )),
    }
}

fn by_values(node: Node) -> Result<PartitionBy> {
    let span = node.span.clone();
    let mut options = Options::new("`partitions`", node)?;
    options.check(&[BY_VALUES])?;
    let column_span = options.span_of("by");
    let column = (options.require("by")?, column_span);
    let list = options
        .take_node("values")
        .unwrap_or_else(|| Node::new(NodeKind::Array(Vec::new())));
    let NodeKind::Array(items) = &list.kind else {
        return Err(wrong(&list, "values", VALUES));
    };
    if items.is_empty() || items.len() > 10_000 {
        return Err(wrong(&list, "values", "a list of 1 to 10000 values"));
    }
    let mut values: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let value = value(item)?;
        if values.contains(&value) {
            return Err(
                Error::config("job::wrong_value", format!("`values` has {value} twice"))
                    .at(item.span.clone(), "named before"),
            );
        }
        values.push(value);
    }
    Ok(PartitionBy {
        column,
        values,
        span,
    })
}

const VALUES: &str = "a list of texts, numbers, true or false";

fn value(item: &Node) -> Result<String> {
    match &item.kind {
        NodeKind::Text(text) => Ok(text.clone()),
        NodeKind::Integer(number) => Ok(number.to_string()),
        NodeKind::Float(number) => Ok(number.to_string()),
        NodeKind::Boolean(value) => Ok(value.to_string()),
        _ => Err(wrong(item, "values", VALUES)),
    }
}
