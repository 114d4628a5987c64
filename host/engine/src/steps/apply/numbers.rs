//! `multiply`, `divide` and `round`.
//!
//! Whole numbers and decimals stay what they are, exactly; one that leaves its type's range costs
//! its record. Division gives a float64, since few quotients end, and so does a factor with a
//! fraction for whole numbers; a number that is no float64 (beyond 2^53 not all are) costs its
//! record first.

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, lit};
use dkhost_core::{LogicalType, NodeKind, Options, Result, Span};

use super::chain::Builder;
use super::link::Link;
use super::verbs::{needs, require_node, wrong_argument};
use crate::expr::call;

pub(super) fn multiply(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    needs_number(chain, "multiply", span)?;
    let node = require_node(options, "by")?;
    let by = match (&node.kind, &chain.logical) {
        (NodeKind::Integer(by), LogicalType::UInt64) if *by >= 0 => lit(by.unsigned_abs()),
        (NodeKind::Integer(by), _) => lit(*by),
        (NodeKind::Float(by), LogicalType::Decimal(..)) => decimal(*by)
            .ok_or_else(|| wrong_argument("the factor is no decimal", node.span.clone()))?,
        (NodeKind::Float(by), _) if by.is_finite() => lit(*by),
        _ => {
            return Err(wrong_argument(
                "`multiply` needs a number",
                node.span.clone(),
            ));
        }
    };
    if matches!(node.kind, NodeKind::Float(_)) && is_whole(&chain.logical) {
        to_float(chain, span)?;
    }
    let expr = chain.value() * by;
    chain.push_expression("multiply", expr, span)
}

fn is_whole(logical: &LogicalType) -> bool {
    matches!(
        logical,
        LogicalType::Int32 | LogicalType::Int64 | LogicalType::UInt64
    )
}

/// Exactly, as `type_cast` does.
fn to_float(chain: &mut Builder, span: &Span) -> Result<()> {
    let (from, to) = (chain.logical.clone(), LogicalType::Float64);
    if from == to {
        return Ok(());
    }
    let nullable = chain.nullable || from == LogicalType::Null;
    let link = Link::Convert {
        from,
        to: to.clone(),
        default: None,
    };
    chain.push_link(link, to, nullable, span)
}

/// A number of the job file as the decimal it is written as.
fn decimal(value: f64) -> Option<Expr> {
    let text = format!("{value}");
    let scale = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    let digits: i128 = text.replace('.', "").parse().ok()?;
    let precision = digits.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    let precision = u8::try_from(precision.max(scale))
        .ok()
        .filter(|p| *p <= 38)?;
    Some(lit(ScalarValue::Decimal128(
        Some(digits),
        precision,
        i8::try_from(scale).ok()?,
    )))
}

pub(super) fn divide(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    needs_number(chain, "divide", span)?;
    let at = options.span_of("by");
    let by: f64 = options.require("by")?;
    if by == 0.0 || !by.is_finite() {
        return Err(wrong_argument("`divide` needs a number that is not 0", at));
    }
    to_float(chain, span)?;
    let expr = chain.value() / lit(by);
    chain.push_expression("divide", expr, span)
}

pub(super) fn round(chain: &mut Builder, options: &mut Options, span: &Span) -> Result<()> {
    needs_number(chain, "round", span)?;
    let at = options.span_of("digits");
    let digits: i32 = options.take("digits")?.unwrap_or(0);
    if digits.abs() > 38 {
        return Err(wrong_argument("`round` takes at most 38 digits", at));
    }
    let expr = call("round", vec![chain.value(), lit(digits)])?;
    chain.push_expression("round", expr, span)
}

fn needs_number(chain: &Builder, verb: &str, span: &Span) -> Result<()> {
    match &chain.logical {
        LogicalType::Number => Err(needs(
            chain,
            verb,
            "a number of bounded size",
            "{ type_cast = { to = \"decimal(38, 10)\" } }",
            span,
        )),
        LogicalType::Null => Ok(()),
        logical if logical.is_numeric() => Ok(()),
        _ => Err(needs(
            chain,
            verb,
            "numbers",
            "{ type_cast = { to = \"float64\" } }",
            span,
        )),
    }
}
