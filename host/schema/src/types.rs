//! What a change of a field's type does to its values.

use dkhost_core::LogicalType;

/// What a change of type does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeChange {
    /// Every value of the old type is one of the new, and comes back from it.
    Widening,
    /// Some values of the old type are none of the new.
    Narrowing,
    /// No rule says which value of the new type an old one is.
    Incompatible,
}

impl TypeChange {
    /// What becomes of values of `from`; `None` if the types are the same.
    pub fn between(from: &LogicalType, to: &LogicalType) -> Option<Self> {
        if from == to {
            return None;
        }
        Some(match (widens(from, to), converts(from, to)) {
            (true, _) => TypeChange::Widening,
            (false, true) => TypeChange::Narrowing,
            (false, false) => TypeChange::Incompatible,
        })
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            TypeChange::Widening => "wider",
            TypeChange::Narrowing => "narrower",
            TypeChange::Incompatible => "another kind",
        }
    }
}

/// Whether every value of `from` has its own in `to`.
fn widens(from: &LogicalType, to: &LogicalType) -> bool {
    use LogicalType::*;
    match (from, to) {
        (Null, _) => true,
        // A zone is how a moment is shown.
        (Timestamp(Some(_)), Timestamp(Some(_))) => true,
        // A JSON text `1` and a JSON number 1 become the same, and JSON's null becomes none.
        (Binary | Vector(_) | Json, Utf8) => false,
        (_, Utf8) => true,
        (Float32, Float64) | (Int32, Float64) => true,
        (_, Decimal(precision, scale)) => match digits(from) {
            Some((whole, behind)) => {
                i32::from(*precision) - i32::from(*scale) >= whole && i32::from(*scale) >= behind
            }
            None => false,
        },
        (_, Number) => digits(from).is_some(),
        (Int32, Int64) => true,
        _ => false,
    }
}

/// The most digits a value has before and behind the point; `None` where there is no such number.
fn digits(logical: &LogicalType) -> Option<(i32, i32)> {
    match logical {
        LogicalType::Int32 => Some((10, 0)),
        LogicalType::Int64 => Some((19, 0)),
        LogicalType::UInt64 => Some((20, 0)),
        LogicalType::Decimal(precision, scale) => {
            Some((i32::from(*precision) - i32::from(*scale), i32::from(*scale)))
        }
        _ => None,
    }
}

/// Whether a rule says which value of `to` one of `from` is, if there is one.
fn converts(from: &LogicalType, to: &LogicalType) -> bool {
    use LogicalType::*;
    match (from, to) {
        (Utf8, Null | Vector(_) | Binary) => false,
        (Utf8, _) => true,
        (Json, Boolean | Number | Utf8) => true,
        (Json, to) => to.is_numeric(),
        (Date32, Timestamp(None)) | (Timestamp(None), Date32) => true,
        (from, to) => from.is_numeric() && to.is_numeric(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_type_are_told_apart() {
        for (from, to, expected) in [
            ("int32", "int64", TypeChange::Widening),
            ("int64", "int32", TypeChange::Narrowing),
            ("int64", "float64", TypeChange::Narrowing),
            ("int32", "float64", TypeChange::Widening),
            ("uint64", "int64", TypeChange::Narrowing),
            ("uint64", "decimal(20, 0)", TypeChange::Widening),
            ("int64", "decimal(18, 0)", TypeChange::Narrowing),
            ("decimal(10, 2)", "decimal(12, 2)", TypeChange::Widening),
            ("decimal(10, 2)", "decimal(12, 5)", TypeChange::Narrowing),
            ("decimal(10, 2)", "number", TypeChange::Widening),
            ("float64", "number", TypeChange::Narrowing),
            ("int64", "utf8", TypeChange::Widening),
            ("utf8", "int64", TypeChange::Narrowing),
            ("utf8", "uuid", TypeChange::Narrowing),
            ("boolean", "int64", TypeChange::Incompatible),
            ("timestamp", "timestamp(UTC)", TypeChange::Incompatible),
            (
                "timestamp(UTC)",
                "timestamp(Europe/Berlin)",
                TypeChange::Widening,
            ),
            ("timestamp", "date32", TypeChange::Narrowing),
            ("json", "utf8", TypeChange::Narrowing),
            ("vector(3)", "vector(4)", TypeChange::Incompatible),
            ("binary", "utf8", TypeChange::Incompatible),
        ] {
            let change = TypeChange::between(&from.parse().unwrap(), &to.parse().unwrap());
            assert_eq!(change, Some(expected), "{from} to {to}");
        }
        assert_eq!(
            TypeChange::between(&LogicalType::Utf8, &LogicalType::Utf8),
            None
        );
    }
}
