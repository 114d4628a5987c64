//! All changes to one column, in order.

use std::mem;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion_common::Column;
use datafusion_expr::Expr;
use dkhost_core::{Error, Field, LogicalType, Node, NodeKind, Result, RowReject, Schema, Span};

use super::super::assign::Compute;
use super::link::{Link, VALUE};
use super::verbs;
use crate::expr::{Expression, Scope};

/// The changes to a column.
pub(super) struct Chain {
    index: usize,
    column: String,
    links: Vec<Link>,
    logical: LogicalType,
    nullable: bool,
    summary: String,
}

impl Chain {
    /// `changes` is a verb, a list of them, or a table of one or more with arguments.
    pub(super) fn build(
        index: usize,
        field: &Field,
        changes: &Node,
        scope: &Scope,
    ) -> Result<Self> {
        let mut builder = Builder::new(field, scope);
        let mut summary = Vec::new();
        for (verb, span, arguments) in flat(changes)? {
            verbs::add(&mut builder, verb, &span, arguments)?;
            summary.push(verb);
        }
        if summary.is_empty() {
            return Err(Error::config(
                "plan::no_change",
                format!("{} does nothing to `{}`", scope.reader, field.name),
            )
            .at(changes.span.clone(), "a verb is needed here"));
        }
        let summary = summary.join(", ");
        builder.close(&changes.span)?;
        let Builder {
            links,
            logical,
            nullable,
            ..
        } = builder;
        Ok(Chain {
            index,
            column: field.name.clone(),
            links,
            logical,
            nullable,
            summary,
        })
    }

    pub(super) fn logical(&self) -> &LogicalType {
        &self.logical
    }

    pub(super) fn nullable(&self) -> bool {
        self.nullable
    }

    /// Whether a value may become null.
    pub(super) fn makes_null(&self) -> bool {
        self.links.iter().any(Link::makes_null)
    }

    pub(super) fn summary(&self) -> &str {
        &self.summary
    }
}

impl Compute for Chain {
    fn compute(&self, records: &RecordBatch, rejects: &mut Vec<RowReject>) -> Result<ArrayRef> {
        let input = records.column(self.index).clone();
        self.links.iter().try_fold(input, |values, link| {
            link.change(values, &self.column, rejects)
        })
    }
}

/// Verbs in the order written, with their arguments.
fn flat(changes: &Node) -> Result<Vec<(&str, Span, Option<&Node>)>> {
    Ok(match &changes.kind {
        NodeKind::Text(verb) => vec![(verb, changes.span.clone(), None)],
        NodeKind::Table(verbs) => verbs
            .iter()
            .map(|(verb, span, arguments)| (verb.as_str(), span.clone(), Some(arguments)))
            .collect(),
        NodeKind::Array(items) => {
            let mut all = Vec::new();
            for item in items {
                if matches!(item.kind, NodeKind::Array(_)) {
                    return Err(Error::config(
                        "job::wrong_type",
                        "a list of changes holds no lists",
                    )
                    .at(item.span.clone(), "a list"));
                }
                all.extend(flat(item)?);
            }
            all
        }
        _ => {
            return Err(Error::config(
                "job::wrong_type",
                "a change is a verb, a list of verbs, or { verb = arguments }",
            )
            .at(changes.span.clone(), format!("this is {}", changes.what())));
        }
    })
}

/// A chain that is being built: links so far, and an expression that still grows.
pub(super) struct Builder<'a> {
    scope: &'a Scope<'a>,
    pub(super) column: String,
    links: Vec<Link>,
    input: Field,
    open: Option<Expr>,
    pub(super) logical: LogicalType,
    pub(super) nullable: bool,
}

impl<'a> Builder<'a> {
    fn new(field: &Field, scope: &'a Scope<'a>) -> Self {
        Builder {
            scope,
            column: field.name.clone(),
            links: Vec::new(),
            input: value_field(field.logical.clone(), field.nullable),
            open: None,
            logical: field.logical.clone(),
            nullable: field.nullable,
        }
    }

    /// Who reads, for messages.
    pub(super) fn reader(&self) -> &str {
        &self.scope.reader
    }

    /// The value as it is at this point of the chain.
    pub(super) fn value(&self) -> Expr {
        self.open
            .clone()
            .unwrap_or_else(|| Expr::Column(Column::new_unqualified(VALUE)))
    }

    /// Continues with an expression over [`Builder::value`]; its type is found by binding it.
    pub(super) fn push_expression(&mut self, verb: &str, expr: Expr, span: &Span) -> Result<()> {
        let bound = self
            .bind(verb, expr.clone())
            .map_err(|error| error.at_least(span.clone()))?;
        self.logical = bound.logical().clone();
        self.nullable = bound.nullable();
        self.open = Some(expr);
        Ok(())
    }

    /// Continues with a link that is no expression.
    pub(super) fn push_link(
        &mut self,
        link: Link,
        logical: LogicalType,
        nullable: bool,
        span: &Span,
    ) -> Result<()> {
        self.close(span)?;
        self.links.push(link);
        self.input = value_field(logical.clone(), nullable);
        self.logical = logical;
        self.nullable = nullable;
        Ok(())
    }

    /// Ends the expression that grows.
    fn close(&mut self, span: &Span) -> Result<()> {
        let Some(expr) = self.open.take() else {
            return Ok(());
        };
        let expression = self
            .bind("apply", expr)
            .map_err(|error| error.at_least(span.clone()))?;
        let schema = Schema::new(vec![mem::replace(
            &mut self.input,
            value_field(expression.logical().clone(), expression.nullable()),
        )]);
        self.links.push(Link::Expression {
            expression,
            schema: nullable_schema(&schema),
        });
        Ok(())
    }

    fn bind(&self, verb: &str, expr: Expr) -> Result<Expression> {
        let input = Schema::new(vec![self.input.clone()]);
        Expression::built(
            verb,
            expr,
            &Scope {
                reader: self.scope.reader.clone(),
                input: &input,
                now: None,
            },
        )
    }
}

fn value_field(logical: LogicalType, nullable: bool) -> Field {
    Field {
        nullable,
        ..Field::new(VALUE, logical)
    }
}

/// The schema under which a link sees its values. A row that was refused further up holds null
/// until the step is through, whatever the type promises.
fn nullable_schema(schema: &Schema) -> arrow::datatypes::SchemaRef {
    let fields = schema.fields.iter().map(|field| Field {
        nullable: true,
        ..field.clone()
    });
    Schema::new(fields.collect()).to_arrow()
}
