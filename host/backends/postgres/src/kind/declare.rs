//! Which type a column of a new table gets.

use dkhost_core::{Field, LogicalType};

use super::Writing;
use crate::catalog::TypeDef;

/// The type for `field` as it stands in CREATE TABLE. `known` is the type that this server has
/// under the field's source type, if it has one: it is taken when it still holds the field
/// losslessly. `vector` is pgvector's type as it stands in SQL, where it is installed.
pub(crate) fn declare(field: &Field, known: Option<&TypeDef>, vector: Option<&str>) -> String {
    if let Some(known) = known.filter(|known| known.kind != 'p' && holds(field, known)) {
        return known.spelled.clone();
    }
    match &field.logical {
        LogicalType::Null | LogicalType::Utf8 => "text".to_owned(),
        LogicalType::Boolean => "boolean".to_owned(),
        LogicalType::Int32 => "integer".to_owned(),
        LogicalType::Int64 => "bigint".to_owned(),
        LogicalType::UInt64 => "numeric(20)".to_owned(),
        LogicalType::Float32 => "real".to_owned(),
        LogicalType::Float64 => "double precision".to_owned(),
        LogicalType::Binary => "bytea".to_owned(),
        LogicalType::Json => "json".to_owned(),
        LogicalType::Date32 => "date".to_owned(),
        LogicalType::Time64 => "time".to_owned(),
        LogicalType::Timestamp(None) => "timestamp".to_owned(),
        LogicalType::Timestamp(Some(_)) => "timestamp with time zone".to_owned(),
        LogicalType::Uuid => "uuid".to_owned(),
        LogicalType::Decimal(precision, scale) => format!("numeric({precision},{scale})"),
        LogicalType::Number => "numeric".to_owned(),
        LogicalType::Vector(n) => match vector {
            Some(vector) if *n <= 16_000 => format!("{vector}({n})"),
            _ => "real[]".to_owned(),
        },
    }
}

fn holds(field: &Field, known: &TypeDef) -> bool {
    let is_read_so =
        super::Reading::of(known).is_ok_and(|reading| reading.logical == field.logical);
    is_read_so && Writing::of(field, known).is_ok_and(|writing| writing.lossy.is_none())
}
