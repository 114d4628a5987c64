//! Which type a column of a new table gets.

use dkhost_core::{Field, LogicalType};

use crate::catalog::TypeDef;

/// The type for `field` as it stands in CREATE TABLE. `known` is the type that this server has
/// under the field's source type, if it has one: it is taken when it still holds the field
/// losslessly. `vector` is pgvector's type as it stands in SQL, where it is installed.
pub(crate) fn declare(_field: &Field, _known: Option<&TypeDef>, _vector: Option<&str>) -> String {
    let _ = LogicalType::Null;
    unimplemented!()
}
