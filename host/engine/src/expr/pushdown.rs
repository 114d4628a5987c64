//! Conditions in parts, and which parts a source may check itself.
//!
//! A filter is split at its ANDs: a record passes where every part is true, so some parts can be
//! checked at the source and the others here. A part is offered only if what the engine would
//! compute, after all coercion and simplification, has the form of a
//! [`Predicate`]: plain columns against values of the columns' own types. Whatever needs a cast, a
//! function or a pattern stays here, so the outcome cannot differ.
//!
//! A record one part does not let pass may be refused by another for which it has no value
//! (`10 / a > 2`, and a is 0). Which of the two happens to it was never promised; with parts at the
//! source it is the first.

use arrow::array::Array;
use datafusion_common::ScalarValue;
use datafusion_expr::expr::InList;
use datafusion_expr::{BinaryExpr, Expr, Operator};
use datafusion_sql::sqlparser::ast::{BinaryOperator, Expr as Sql};
use dkhost_core::{
    Comparison, Literal, LogicalType, Node, NodeKind, Predicate, Result, Schema, text,
};

use super::place::Place;
use super::{Expression, Scope, names};

impl Expression {
    /// Parses a condition in the parts between its ANDs; in one part where a part cannot stand by
    /// itself.
    ///
    /// *Errors* – as [`Expression::parse_condition`].
    pub fn parse_parts(node: &Node, scope: &Scope) -> Result<Vec<Self>> {
        let whole = Self::parse_condition(node, scope)?;
        let NodeKind::Text(text) = &node.kind else {
            return Ok(vec![whole]);
        };
        let span = &node.span;
        let mut parts = Vec::new();
        split(names::read(scope, Place { text, span })?, &mut parts);
        if parts.len() < 2 {
            return Ok(vec![whole]);
        }
        let part = |sql: Sql| {
            let written = sql.to_string();
            let sql = names::resolved(scope, Place { text, span }, sql)?;
            Self::parsed(&written, sql, span, scope)
        };
        let parts = parts.into_iter().map(part).collect::<Result<Vec<_>>>();
        Ok(match parts {
            Ok(parts) if parts.iter().all(Expression::is_condition) => parts,
            _ => vec![whole],
        })
    }

    /// A condition that holds where all of `parts` do, bound to the schema of `scope`.
    pub fn all_of(parts: &[Self], scope: &Scope) -> Result<Option<Self>> {
        let written: Vec<&str> = parts.iter().map(Expression::text).collect();
        let exprs = parts.iter().map(|part| part.expr.clone());
        match exprs.reduce(Expr::and) {
            Some(expr) => Self::built(&written.join(" and "), expr, scope).map(Some),
            None => Ok(None),
        }
    }

    /// The condition as a source may check it, if it has that form.
    pub fn predicate(&self, input: &Schema) -> Option<Predicate> {
        predicate(&self.simplified, input)
    }

    fn is_condition(&self) -> bool {
        matches!(self.logical, LogicalType::Boolean | LogicalType::Null)
    }
}

fn split(sql: Sql, parts: &mut Vec<Sql>) {
    match sql {
        Sql::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            split(*left, parts);
            split(*right, parts);
        }
        Sql::Nested(inner) if is_conjunction(&inner) => split(*inner, parts),
        other => parts.push(other),
    }
}

fn is_conjunction(sql: &Sql) -> bool {
    match sql {
        Sql::BinaryOp { op, .. } => *op == BinaryOperator::And,
        Sql::Nested(inner) => is_conjunction(inner),
        _ => false,
    }
}

fn predicate(expr: &Expr, input: &Schema) -> Option<Predicate> {
    let part = |expr: &Expr| predicate(expr, input);
    match expr {
        Expr::Column(_) => {
            let (name, logical) = column(expr, input)?;
            (*logical == LogicalType::Boolean).then(|| Predicate::Column(name.to_owned()))
        }
        Expr::Not(inner) => Some(Predicate::Not(Box::new(part(inner)?))),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => Some(Predicate::IsNull {
            column: column(inner, input)?.0.to_owned(),
            negated: matches!(expr, Expr::IsNotNull(_)),
        }),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => Some(Predicate::And(vec![part(left)?, part(right)?])),
            Operator::Or => Some(Predicate::Or(vec![part(left)?, part(right)?])),
            _ => compared(left, *op, right, input),
        },
        Expr::InList(InList {
            expr,
            list,
            negated,
        }) => {
            let (name, logical) = column(expr, input)?;
            Some(Predicate::In {
                column: name.to_owned(),
                values: list
                    .iter()
                    .map(|value| literal(value, logical).filter(|value| !is_float_zero(value)))
                    .collect::<Option<_>>()?,
                negated: *negated,
            })
        }
        _ => None,
    }
}

fn compared(left: &Expr, op: Operator, right: &Expr, input: &Schema) -> Option<Predicate> {
    let (op, turned) = match op {
        Operator::Eq => (Comparison::Equal, Comparison::Equal),
        Operator::NotEq => (Comparison::NotEqual, Comparison::NotEqual),
        Operator::Lt => (Comparison::Less, Comparison::Greater),
        Operator::LtEq => (Comparison::LessOrEqual, Comparison::GreaterOrEqual),
        Operator::Gt => (Comparison::Greater, Comparison::Less),
        Operator::GtEq => (Comparison::GreaterOrEqual, Comparison::LessOrEqual),
        _ => return None,
    };
    let (column, value, op) = match (column(left, input), column(right, input)) {
        (Some(column), None) => (column, right, op),
        (None, Some(column)) => (column, left, turned),
        _ => return None,
    };
    Some(Predicate::Compare {
        column: column.0.to_owned(),
        op,
        value: literal(value, column.1)?,
    })
}

/// A column of the data: ids, metadata and the rest are the engine's business.
fn column<'a>(expr: &Expr, input: &'a Schema) -> Option<(&'a str, &'a LogicalType)> {
    let Expr::Column(column) = expr else {
        return None;
    };
    let field = input.field(&column.name)?;
    field
        .role
        .is_none()
        .then_some((&field.name, &field.logical))
}

/// A value of exactly the column's type.
fn literal(expr: &Expr, logical: &LogicalType) -> Option<Literal> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    let comparable = !matches!(
        logical,
        LogicalType::Null
            | LogicalType::Json
            | LogicalType::Uuid
            | LogicalType::Number
            | LogicalType::Vector(_)
    );
    if !comparable || value.is_null() || value.data_type() != logical.arrow() {
        return None;
    }
    written(value, logical)
}

fn written(value: &ScalarValue, logical: &LogicalType) -> Option<Literal> {
    let one = value.to_array().ok()?;
    let mut out = Vec::new();
    let is_there = one.is_valid(0) && text::write(&one, 0, logical, &mut out).ok()?;
    let text = String::from_utf8(out).ok()?;
    // There are many NaNs, and text has one.
    let is_nan = text == "NaN" && *logical != LogicalType::Utf8;
    (is_there && !is_nan).then(|| Literal::new(logical, text))
}

/// DataFusion tells the two zeros apart in a list, and nowhere else.
fn is_float_zero(value: &Literal) -> bool {
    value.logical.starts_with("float") && value.text.parse() == Ok(0.0)
}

#[cfg(test)]
mod tests;
