//! Whole-number arithmetic that fails instead of wrapping around.
//!
//! DataFusion's `+`, `-` and `*` wrap: 9223372036854775807 + 1 would silently become the smallest
//! number there is, in a run and already when constants are folded. So before anything is folded
//! they become functions over Arrow's checked kernels. Decimals, dates and timestamps are checked
//! by the kernels anyway, floating point has infinity.

use std::sync::Arc;

use arrow::array::{ArrayRef, Datum};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, DataFusionError, ScalarValue, exec_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Replaces the arithmetic of a coerced expression that could wrap around.
pub(crate) fn check_arithmetic(expr: Expr, schema: &DFSchema) -> Result<Expr, DataFusionError> {
    Ok(expr.transform_up(|node| checked(node, schema))?.data)
}

fn checked(node: Expr, schema: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
    let (left, op, right) = match node {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
                && left.get_type(schema)?.is_integer()
                && right.get_type(schema)?.is_integer() =>
        {
            (*left, op, *right)
        }
        Expr::Negative(operand) if operand.get_type(schema)?.is_integer() => {
            let zero = ScalarValue::new_zero(&operand.get_type(schema)?)?;
            (Expr::Literal(zero, None), Operator::Minus, *operand)
        }
        other => return Ok(Transformed::no(other)),
    };
    let function = ScalarUDF::new_from_impl(Checked {
        op,
        signature: Signature::any(2, Volatility::Immutable),
    });
    let call = ScalarFunction::new_udf(Arc::new(function), vec![left, right]);
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

/// `left op right` on whole numbers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    op: Operator,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.op {
            Operator::Plus => "add",
            Operator::Minus => "subtract",
            _ => "multiply",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(types[0].clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef, DataFusionError> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            args.arg_fields[0].data_type().clone(),
            nullable,
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let [left, right] = args.args.as_slice() else {
            return exec_err!("`{}` needs two numbers", self.op);
        };
        let kernel: fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError> = match self.op {
            Operator::Plus => numeric::add,
            Operator::Minus => numeric::sub,
            _ => numeric::mul,
        };
        use ColumnarValue::{Array, Scalar};
        Ok(match (left, right) {
            (Array(left), Array(right)) => Array(kernel(left, right)?),
            (Array(left), Scalar(right)) => Array(kernel(left, &right.to_scalar()?)?),
            (Scalar(left), Array(right)) => Array(kernel(&left.to_scalar()?, right)?),
            (Scalar(left), Scalar(right)) => {
                let one = kernel(&left.to_scalar()?, &right.to_scalar()?)?;
                Scalar(ScalarValue::try_from_array(&one, 0)?)
            }
        })
    }
}
