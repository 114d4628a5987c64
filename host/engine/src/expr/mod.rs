//! SQL expressions over the columns of a batch: parsed, typed and checked while planning.
//!
//! DataFusion does the work – its SQL planner, its coercion and simplification, its vectorised
//! functions. Around it stand dkhost's promises: names are matched as the data spells them
//! (`names`); a result is one of dkhost's types (`canonical`); a whole number never wraps
//! around (`checked`); json, uuid and number are not taken for text (`marked`); and a value
//! that cannot be computed costs its own record, not the batch ([`Expression::evaluate_rows`]).
//!
//! Semantics worth knowing: `cast` of a value that does not fit rejects the record, `try_cast`
//! gives null, and a cast from float to integer drops the fraction, as the user asked for it.
//! Division of integers is integer division; floats follow IEEE 754 and have infinity. `now()` is
//! one value for the whole run, given by the caller ([`Scope::at`]), in UTC and microseconds.

mod canonical;
mod checked;
mod constants;
pub(crate) mod convert;
mod evaluate;
pub(crate) mod fault;
mod library;
mod marked;
pub(crate) mod names;
mod place;
mod pushdown;

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use datafusion_common::{DFSchema, DFSchemaRef};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{Expr, ExprSchemable};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion_sql::planner::{PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast::Expr as Sql;
use dkhost_core::{Error, LogicalType, Node, NodeKind, Result, Schema, Span};

pub use evaluate::{Evaluated, RowFault};

use fault::Fault;
use library::LIBRARY;
use place::Place;

/// What an expression is read for.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// Who reads, for messages: ``stage `clean` ``.
    pub reader: String,
    /// The columns it may read.
    pub input: &'a Schema,
    /// The value of `now()` and `current_date`: the start of the run, also when it is resumed, or a
    /// repeated batch would not come out the same. `None` refuses them.
    pub now: Option<DateTime<Utc>>,
}

impl<'a> Scope<'a> {
    /// The scope of the step called `name`, without a value for `now()`.
    pub fn stage(name: &str, input: &'a Schema) -> Self {
        Scope {
            reader: format!("stage `{name}`"),
            input,
            now: None,
        }
    }

    /// The scope with a value for `now()`.
    #[must_use]
    pub fn at(self, now: DateTime<Utc>) -> Self {
        Scope {
            now: Some(now),
            ..self
        }
    }
}

/// An expression that is bound to a schema and ready to be evaluated on its batches.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    expr: Expr,
    simplified: Box<Expr>,
    physical: Arc<dyn PhysicalExpr>,
    logical: LogicalType,
    nullable: bool,
    columns: Vec<String>,
}

impl Expression {
    /// Parses SQL text that stands at `span` of the job file.
    ///
    /// *Errors* – all of class `Config`, pointing at their place: `expr::syntax`,
    /// `plan::unknown_field`, `plan::ambiguous_field`, `expr::unknown_function`,
    /// `expr::not_a_value` (aggregates, windows, queries), `expr::volatile`, `expr::type`,
    /// `expr::constant` (a part without columns that can never be computed).
    pub fn parse(text: &str, span: &Span, scope: &Scope) -> Result<Self> {
        let place = Place { text, span };
        let sql = names::parse(scope, place)?;
        Self::parsed(text, sql, span, scope)
    }

    /// Plans and binds what was parsed at `span`.
    fn parsed(text: &str, sql: Sql, span: &Span, scope: &Scope) -> Result<Self> {
        let schema = df_schema(scope.input)?;
        let expr = SqlToRel::new(&*LIBRARY)
            .sql_to_expr(sql, &schema, &mut PlannerContext::new())
            .map_err(|cause| type_error(&scope.reader, text, fault::type_message(&cause)))
            .map_err(|error| error.at(span.clone(), "in this expression"))?;
        Self::bind(text, expr, schema, scope).map_err(|error| error.at_least(span.clone()))
    }

    /// Parses an expression of the job file, which must be text.
    pub fn parse_node(node: &Node, scope: &Scope) -> Result<Self> {
        match &node.kind {
            NodeKind::Text(text) => Self::parse(text, &node.span, scope),
            NodeKind::Boolean(value) => Self::parse(&value.to_string(), &node.span, scope),
            NodeKind::Integer(value) => Self::parse(&value.to_string(), &node.span, scope),
            _ => Err(Error::config(
                "job::wrong_type",
                format!("{} needs an expression as text", scope.reader),
            )
            .at(node.span.clone(), format!("this is {}", node.what()))),
        }
    }

    /// Parses an expression that decides: of a step `filter` or of `[source] filter`.
    ///
    /// *Errors* – as [`Expression::parse`], and `expr::type` if it is not boolean.
    pub fn parse_condition(node: &Node, scope: &Scope) -> Result<Self> {
        let condition = Self::parse_node(node, scope)?;
        match condition.logical {
            LogicalType::Boolean | LogicalType::Null => Ok(condition),
            ref other => Err(Error::config(
                "expr::type",
                format!(
                    "{} needs a condition, and `{}` is {other}",
                    scope.reader, condition.text
                ),
            )
            .at(node.span.clone(), "neither true nor false")
            .help("compare it with something: = <> < > is null is not null in (…)")),
        }
    }

    /// Binds an expression that was built, not written.
    pub(crate) fn built(text: &str, expr: Expr, scope: &Scope) -> Result<Self> {
        Self::bind(text, expr, df_schema(scope.input)?, scope)
    }

    fn bind(text: &str, expr: Expr, schema: DFSchemaRef, scope: &Scope) -> Result<Self> {
        let refused = |cause: datafusion_common::DataFusionError| {
            type_error(&scope.reader, text, fault::type_message(&cause))
        };
        let expr = marked::bind_marked(expr, &schema).map_err(|misuse| {
            let error = type_error(&scope.reader, text, misuse.message);
            match misuse.help {
                Some(help) => error.help(help),
                None => error,
            }
        })?;
        // Typed before coercion, so that a message speaks of what was written.
        expr.get_type(&schema).map_err(refused)?;
        let simplifier = simplifier(schema.clone(), scope.now);
        let coerced = simplifier.coerce(expr.clone(), &schema).map_err(refused)?;
        let field = coerced.to_field(&schema).map_err(refused)?.1;
        let logical = match marked::logical_type(&field) {
            Some(logical) => logical,
            None => canonical::canonical_type(field.data_type())
                .map_err(|what| type_error(&scope.reader, text, format!("the result is {what}")))?,
        };
        let checked = checked::check_arithmetic(coerced, &schema).map_err(refused)?;
        let simplified = simplifier
            .simplify(checked)
            .map_err(|cause| constant_error(&scope.reader, text, &Fault::from(cause).message))?;
        let physical = physical(&simplified, &schema).map_err(refused)?;
        evaluate::dry_run(&*physical, schema.as_arrow())
            .map_err(|fault| constant_error(&scope.reader, text, &fault.message))?;
        let bound = Expression {
            text: text.to_owned(),
            columns: columns(&expr, scope.input),
            expr,
            simplified: Box::new(simplified),
            physical,
            logical,
            nullable: field.is_nullable(),
        };
        constants::check(&bound.simplified, &scope.reader, text)?;
        Ok(bound)
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The expression before coercion and simplification.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// The type of its values.
    pub fn logical(&self) -> &LogicalType {
        &self.logical
    }

    /// Whether it may give nulls.
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// The columns it reads, in the schema's order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}

/// A call of one of DataFusion's functions.
///
/// *Errors* – a bug if there is none of this name.
pub(crate) fn call(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    match LIBRARY.function(name) {
        Some(function) => Ok(function.call(arguments)),
        None => Err(Error::bug(format!("the function `{name}` has gone"))),
    }
}

fn type_error(reader: &str, text: &str, why: String) -> Error {
    Error::config(
        "expr::type",
        format!("{reader} cannot compute `{text}`: {why}"),
    )
}

fn df_schema(input: &Schema) -> Result<DFSchemaRef> {
    let schema = DFSchema::try_from(input.to_arrow())
        .map_err(|cause| Error::bug("a schema has a name twice").caused_by(cause))?;
    Ok(Arc::new(schema))
}

fn simplifier(schema: DFSchemaRef, now: Option<DateTime<Utc>>) -> ExprSimplifier {
    ExprSimplifier::new(
        SimplifyContext::builder()
            .with_schema(schema)
            .with_config_options(LIBRARY.config.clone())
            .with_query_execution_start_time(now.map(|now| now.trunc_subsecs(6)))
            .build(),
    )
}

fn physical(expr: &Expr, schema: &DFSchema) -> datafusion_common::Result<Arc<dyn PhysicalExpr>> {
    let mut properties = ExecutionProps::new();
    properties.config_options = Some(LIBRARY.config.clone());
    create_physical_expr(
        expr,
        schema,
        &properties,
        &PhysicalPlanningContext::default(),
    )
}

fn columns(expr: &Expr, input: &Schema) -> Vec<String> {
    let read = expr.column_refs();
    let is_read = |name: &&str| read.iter().any(|column| column.name == **name);
    input.names().filter(is_read).map(str::to_owned).collect()
}

fn constant_error(reader: &str, text: &str, why: &str) -> Error {
    Error::config(
        "expr::constant",
        format!("{reader} can never compute `{text}`: {why}"),
    )
}

/// Why a pattern is none, in a line.
pub(crate) fn pattern_fault(cause: &regex::Error) -> String {
    fault::tidy(&cause.to_string())
}

#[cfg(test)]
mod tests;
