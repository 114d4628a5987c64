//! Types that DataFusion cannot tell from text or bytes: json, uuid and number.
//!
//! A json column holds values of several kinds as JSON text. `trim` or `>` on that text would work
//! on quotes and brackets, silently. So such a column may be passed on as it is, asked whether it
//! is null, given another value of its type where it is, and cast; everything else is refused when planning. Its casts are ours (see
//! [`super::convert`]): `cast(title as text)` gives 300 for `300` and `a` for `"a"`.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{self, DataType, FieldRef};
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, ScalarValue, exec_datafusion_err, exec_err};
use datafusion_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use dkhost_core::{Field, LogicalType};

use super::convert::{convert, refusal};
use super::fault::Fault;

/// Why an expression cannot use a marked column as it does.
#[derive(Debug)]
pub(crate) struct Misuse {
    /// In the user's words.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: Option<String>,
}

impl From<DataFusionError> for Misuse {
    fn from(cause: DataFusionError) -> Self {
        Misuse {
            message: super::fault::type_message(&cause),
            help: None,
        }
    }
}

/// Replaces casts from and to marked types, and refuses every other use of a marked column.
pub(crate) fn bind_marked(expr: Expr, schema: &DFSchema) -> Result<Expr, Misuse> {
    let mut misuse = None;
    let expr = expr
        .transform_up(|node| {
            Ok(match replace_cast(node, schema) {
                ControlFlow::Continue(node) if node.transformed => node,
                ControlFlow::Continue(node) => match first_value_of(&node.data, schema) {
                    Some(kept) => {
                        node.update_data(|node| call_convert(node, kept.clone(), kept, true))
                    }
                    None => node,
                },
                ControlFlow::Break((node, why)) => {
                    misuse.get_or_insert(Misuse {
                        message: why,
                        help: None,
                    });
                    Transformed::no(node)
                }
            })
        })?
        .data;
    expr.apply(|node| {
        if misuse.is_none() && !may_hold_marked(node) && first_value_of(node, schema).is_none() {
            node.apply_children(|child| {
                if let Some(logical) = mark(child, schema) {
                    misuse.get_or_insert_with(|| not_as_it_is(child, &logical));
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match misuse {
        Some(misuse) => Err(misuse),
        None => Ok(expr),
    }
}

fn may_hold_marked(node: &Expr) -> bool {
    match node {
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::Alias(_) => true,
        Expr::ScalarFunction(call) => call.func.inner().is::<Convert>(),
        _ => false,
    }
}

/// The type of a `coalesce` all of whose values are json, uuid or number: they go on as they are.
fn first_value_of(node: &Expr, schema: &DFSchema) -> Option<LogicalType> {
    let Expr::ScalarFunction(call) = node else {
        return None;
    };
    let first = call.args.first().filter(|_| call.name() == "coalesce")?;
    let kept = mark(first, schema)?;
    let is_it = |value: &Expr| mark(value, schema).as_ref() == Some(&kept);
    call.args.iter().all(is_it).then_some(kept)
}

fn not_as_it_is(child: &Expr, logical: &LogicalType) -> Misuse {
    let name = match child {
        Expr::Column(column) => super::names::quoted(&column.name),
        _ => "a value".to_owned(),
    };
    let kinds = if *logical == LogicalType::Json {
        ", which can be values of several kinds"
    } else {
        ""
    };
    Misuse {
        message: format!(
            "{name} is {logical}{kinds}; it needs a cast before anything is done with it"
        ),
        help: Some(format!(
            "write cast({name} as text), or another type, in its place"
        )),
    }
}

/// The type of an expression, if it is json, uuid or number.
fn mark(expr: &Expr, schema: &DFSchema) -> Option<LogicalType> {
    let logical = logical_type(&expr.to_field(schema).ok()?.1)?;
    is_marked(&logical).then_some(logical)
}

fn is_marked(logical: &LogicalType) -> bool {
    matches!(
        logical,
        LogicalType::Json | LogicalType::Uuid | LogicalType::Number
    )
}

/// Our type of a field, its mark included.
pub(crate) fn logical_type(field: &datatypes::Field) -> Option<LogicalType> {
    Field::from_arrow(field).ok().map(|field| field.logical)
}

type Replaced = ControlFlow<(Expr, String), Transformed<Expr>>;

fn replace_cast(node: Expr, schema: &DFSchema) -> Replaced {
    let (operand, target, strict) = match &node {
        Expr::Cast(Cast { expr, field }) => (expr, field, true),
        Expr::TryCast(TryCast { expr, field }) => (expr, field, false),
        _ => return ControlFlow::Continue(Transformed::no(node)),
    };
    let Some(to) = logical_type(target).or_else(|| LogicalType::widened(target.data_type())) else {
        return ControlFlow::Continue(Transformed::no(node));
    };
    let from = operand.to_field(schema).ok().and_then(|(_, field)| {
        logical_type(&field).or_else(|| LogicalType::widened(field.data_type()))
    });
    match from {
        Some(from) if is_marked(&from) || is_marked(&to) => match refusal(&from, &to) {
            Some(why) => ControlFlow::Break((node, why)),
            None => {
                let operand = (**operand).clone();
                ControlFlow::Continue(Transformed::yes(call_convert(operand, from, to, strict)))
            }
        },
        _ => ControlFlow::Continue(Transformed::no(node)),
    }
}

fn call_convert(operand: Expr, from: LogicalType, to: LogicalType, strict: bool) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let function = ScalarUDF::new_from_impl(Convert {
        from,
        to,
        strict,
        signature,
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![operand]))
}

/// `cast` (strict) or `try_cast` with a marked type on one side.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Convert {
    from: LogicalType,
    to: LogicalType,
    strict: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Convert {
    fn name(&self) -> &str {
        "convert"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(self.to.arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef, DataFusionError> {
        let loses_null = self.from == LogicalType::Json && self.to != LogicalType::Json;
        let nullable = !self.strict || loses_null || args.arg_fields[0].is_nullable();
        let field = Field {
            nullable,
            ..Field::new(self.name(), self.to.clone())
        };
        Ok(Arc::new(field.to_arrow()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let Some(operand) = args.args.first() else {
            return exec_err!("cast needs a value");
        };
        let is_scalar = matches!(operand, ColumnarValue::Scalar(_));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let values = operand.to_array(rows)?;
        let converted = convert(&values, &self.from, &self.to)
            .map_err(|Fault { message, .. }| exec_datafusion_err!("{message}"))?;
        if let (true, Some(row)) = (self.strict, converted.failed.first()) {
            let why = converted.reason(&values, *row as usize, &self.from, &self.to);
            return exec_err!("{why}");
        }
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&converted.values, 0)?)
        } else {
            ColumnarValue::Array(converted.values)
        })
    }
}
