//! How a column is read: as which type, in which form, by which expression.

use dkhost_core::LogicalType;

use crate::catalog::TypeDef;
use crate::copy::Wire;

/// How a column is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// What it is here.
    pub logical: LogicalType,
    /// The form it comes in.
    pub wire: Wire,
    /// For the plan, where it is not itself: `as text`.
    pub how: Option<&'static str>,
    expression: Expression,
}

/// What is asked for instead of the column.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Itself,
}

impl Reading {
    /// How a column of this type is read where the job does not say.
    ///
    /// *Errors* – why it cannot be, in a sentence's words: "is a pseudo-type".
    pub(crate) fn of(_ty: &TypeDef) -> Result<Self, String> {
        unimplemented!()
    }

    /// How a column of this type is read as `logical`, which somebody declared, or which is what
    /// was written there. Values that are no `logical` are refused row by row.
    ///
    /// *Errors* – as [`Reading::of`].
    pub(crate) fn declared(_ty: &TypeDef, _logical: &LogicalType) -> Result<Self, String> {
        unimplemented!()
    }

    /// What stands in the SELECT for a column: `quoted` is its name, quoted and maybe qualified.
    pub(crate) fn sql(&self, _quoted: &str) -> String {
        unimplemented!()
    }
}
