//! `map_values`: other values for certain values.

use datafusion_common::{DataFusionError, ScalarValue};
use datafusion_expr::{case, lit, when};
use dkhost_core::{Error, LogicalType, Node, NodeKind, Options, Result, Span};

use super::chain::Builder;
use super::literal;
use super::verbs::{needs, require_node, wrong_argument};

pub(super) fn map_values(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    let map = require_node(options, "map")?;
    let NodeKind::Table(entries) = &map.kind else {
        return Err(wrong_argument(
            "`map` must be a table of old values and new ones",
            map.span.clone(),
        ));
    };
    if entries.is_empty() {
        return Err(wrong_argument("`map` is empty", map.span.clone()));
    }
    if matches!(
        chain.logical,
        LogicalType::Json | LogicalType::Uuid | LogicalType::Number
    ) {
        return Err(needs(
            chain,
            "map_values",
            "text",
            "{ type_cast = { to = \"utf8\" } }",
            span,
        ));
    }
    let default = options.take_node("default");
    let logical = map_type(chain, entries, default.as_ref())?;
    let value = chain.value();
    let otherwise = match &default {
        Some(node) => literal::expression(node, &logical)?,
        None => value.clone(),
    };
    let mut mapped = case(value.clone());
    for (old, at, new) in entries {
        let old = Node {
            span: at.clone(),
            kind: NodeKind::Text(old.clone()),
        };
        let old = literal::expression(&old, &chain.logical)?;
        mapped = mapped.when(old, literal::expression(new, &logical)?);
    }
    let no_expression =
        |cause: DataFusionError| Error::bug("a map is no expression").caused_by(cause);
    let mapped = mapped.otherwise(otherwise).map_err(no_expression)?;
    // A null stays null, default or not.
    let none = ScalarValue::try_from(&logical.arrow()).map_err(no_expression)?;
    let expr = when(value.is_null(), lit(none))
        .otherwise(mapped)
        .map_err(no_expression)?;
    chain.push_expression("map_values", expr, span)
}

/// Without a default all other values stay, so the type does, too; with one it is that of the new
/// values.
fn map_type(
    chain: &Builder,
    entries: &[(String, Span, Node)],
    default: Option<&Node>,
) -> Result<LogicalType> {
    let Some(default) = default else {
        return Ok(chain.logical.clone());
    };
    let mut logical = None;
    for node in entries.iter().map(|(_, _, node)| node).chain([default]) {
        let natural = literal::natural(node).ok_or_else(|| {
            wrong_argument(
                "a new value is text, a number, true or false",
                node.span.clone(),
            )
        })?;
        logical = Some(match (logical, natural) {
            (None, natural) => natural,
            (Some(logical), natural) if logical == natural => logical,
            (
                Some(LogicalType::Int64 | LogicalType::Float64),
                LogicalType::Int64 | LogicalType::Float64,
            ) => LogicalType::Float64,
            (Some(logical), natural) => {
                return Err(wrong_argument(
                    &format!("the new values are of different types: {logical} and {natural}"),
                    node.span.clone(),
                ));
            }
        });
    }
    Ok(logical.unwrap_or(LogicalType::Utf8))
}
