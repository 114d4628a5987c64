//! Mistakes that no value can make good: found when planning.

use datafusion_common::DFSchema;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, Operator};
use dkhost_core::{Error, Result};

use super::fault::Fault;
use super::{constant_error, evaluate, pattern_fault, physical};

/// Refuses a part without columns that fails whenever it is computed: every record would be
/// refused for a mistake in the job. A regular expression is such a part, too.
pub(super) fn check(expr: &Expr, reader: &str, text: &str) -> Result<()> {
    let mut failed = None;
    let walked = expr.apply(|node| {
        if failed.is_none() {
            failed = bad_pattern(node).or_else(|| constant_fault(node));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|cause| Error::bug("an expression cannot be walked").caused_by(cause))?;
    match failed {
        Some(why) => Err(constant_error(reader, text, &why)),
        None => Ok(()),
    }
}

fn constant_fault(node: &Expr) -> Option<String> {
    if matches!(node, Expr::Literal(..) | Expr::Case(_)) || node.any_column_refs() {
        return None;
    }
    let empty = DFSchema::empty();
    let fault = match physical(node, &empty) {
        Ok(physical) => evaluate::constant(&*physical).err()?,
        Err(cause) => Fault::from(cause),
    };
    Some(fault.message)
}

fn bad_pattern(node: &Expr) -> Option<String> {
    use Operator::*;
    let pattern = match node {
        Expr::ScalarFunction(call) if call.func.name().starts_with("regexp") => call.args.get(1)?,
        Expr::BinaryExpr(binary)
            if matches!(
                binary.op,
                RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch
            ) =>
        {
            &*binary.right
        }
        _ => return None,
    };
    let Expr::Literal(pattern, _) = pattern else {
        return None;
    };
    let pattern = pattern.try_as_str().flatten()?;
    regex::Regex::new(pattern)
        .err()
        .map(|cause| pattern_fault(&cause))
}
