//! Values of the job file as values of a column's type.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, lit};
use dkhost_core::{Error, LogicalType, Node, NodeKind, Result};

use crate::expr::convert::{convert, refusal};

/// The type a value has by itself; `None` for lists and tables, which are json only.
pub(super) fn natural(node: &Node) -> Option<LogicalType> {
    Some(match node.kind {
        NodeKind::Boolean(_) => LogicalType::Boolean,
        NodeKind::Integer(_) => LogicalType::Int64,
        NodeKind::Float(_) => LogicalType::Float64,
        NodeKind::Text(_) => LogicalType::Utf8,
        NodeKind::Array(_) | NodeKind::Table(_) => return None,
    })
}

/// One value of type `logical`.
///
/// *Errors* – `plan::wrong_literal`, at the value.
pub(super) fn value(node: &Node, logical: &LogicalType) -> Result<ArrayRef> {
    let (one, from): (ArrayRef, _) = match (&node.kind, logical) {
        (_, LogicalType::Json) => (
            Arc::new(StringArray::from(vec![node.to_json().to_string()])),
            LogicalType::Json,
        ),
        (NodeKind::Boolean(value), _) => (
            Arc::new(BooleanArray::from(vec![*value])),
            LogicalType::Boolean,
        ),
        (NodeKind::Integer(value), _) => {
            (Arc::new(Int64Array::from(vec![*value])), LogicalType::Int64)
        }
        (NodeKind::Float(value), _) => (
            Arc::new(Float64Array::from(vec![*value])),
            LogicalType::Float64,
        ),
        (NodeKind::Text(text), _) => (
            Arc::new(StringArray::from(vec![text.as_str()])),
            LogicalType::Utf8,
        ),
        (NodeKind::Array(_) | NodeKind::Table(_), _) => return Err(wrong(node, logical)),
    };
    if refusal(&from, logical).is_some() {
        return Err(wrong(node, logical));
    }
    let converted = convert(&one, &from, logical).map_err(|_| wrong(node, logical))?;
    if converted.failed.is_empty() {
        Ok(converted.values)
    } else {
        Err(wrong(node, logical))
    }
}

/// One value of type `logical` in an expression.
pub(super) fn expression(node: &Node, logical: &LogicalType) -> Result<Expr> {
    let scalar = ScalarValue::try_from_array(&value(node, logical)?, 0)
        .map_err(|cause| Error::bug("a value is no scalar").caused_by(cause))?;
    Ok(lit(scalar))
}

fn wrong(node: &Node, logical: &LogicalType) -> Error {
    Error::config(
        "plan::wrong_literal",
        format!("{} is no {logical}", node.to_json()),
    )
    .at(node.span.clone(), format!("the column is {logical} here"))
    .help("write a value of the column's type, or change the type before with type_cast")
}
