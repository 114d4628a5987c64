//! How a logical type gets into a column that exists, and what that may cost.

use dkhost_core::Field;

use crate::catalog::TypeDef;
use crate::copy::Wire;

/// How values get into a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writing {
    /// The form they are sent in.
    pub wire: Wire,
    /// The type of a temporary column that takes this form, as it stands in SQL.
    pub stage: String,
    /// Whether the column itself takes this form, so that COPY may go straight into it.
    pub direct: bool,
    /// For the plan, where values change their form: `as decimal text`.
    pub how: Option<String>,
    /// Why values may change; for the plan, which then needs `allow_lossy`.
    pub lossy: Option<String>,
}

impl Writing {
    /// How values of `field` get into a column of this type.
    ///
    /// *Errors* – why they do not, in a sentence's words: "takes no binary".
    pub(crate) fn of(_field: &Field, _ty: &TypeDef) -> Result<Self, String> {
        unimplemented!()
    }

    /// The value for the column, from the staged one (`s.c0`). `table` is the column's table and
    /// `quoted` the column's name, both as they stand in SQL.
    pub(crate) fn value(&self, _staged: &str, _table: &str, _quoted: &str) -> String {
        unimplemented!()
    }

    /// What is false for a staged value that the column would change; `None` where it changes
    /// none, or where a change is what `lossy` says.
    pub(crate) fn keeps(&self, _staged: &str, _table: &str, _quoted: &str) -> Option<String> {
        unimplemented!()
    }
}
