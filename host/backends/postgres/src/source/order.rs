//! In what order rows come, and the conditions that a slice and a position are.
//!
//! By the key where there is one: every row can be found again by its own values, in any later
//! process. A table without one is read in the order of its file, which holds while nobody writes;
//! what has neither comes in one pass. Texts are ordered by their bytes on both sides of every
//! comparison (`COLLATE "C"`), so that no library's idea of an alphabet decides what was read.

use dkhost_core::{Error, Position, Result};
use serde_json::Value as Json;

use super::relation::Relation;
use crate::name::literal;

/// How the rows of a relation are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// By these, in key order.
    Key(Vec<Part>),
    /// By their place in the table's file.
    Ctid,
    /// As the server gives them.
    None,
}

/// A column of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its place in the relation.
    pub column: usize,
    pub name: String,
    /// As it is ordered and compared: `"name" COLLATE "C"`.
    pub sql: String,
    /// The type of a literal to compare it with.
    pub cast: String,
}

impl Part {
    /// A value of this column as SQL.
    pub(crate) fn value(&self, text: &str) -> String {
        format!("{}::{}", literal(text), self.cast)
    }
}

impl Order {
    /// The best there is.
    pub(crate) fn of(relation: &Relation) -> Result<Self> {
        if relation.key.is_empty() {
            return Ok(match relation.has_ctid() {
                true => Order::Ctid,
                false => Order::None,
            });
        }
        let part = |at: &usize| {
            let column = &relation.columns[*at];
            Ok(Part {
                column: *at,
                name: column.name.clone(),
                sql: column.comparable()?,
                cast: column.cast()?,
            })
        };
        Ok(Order::Key(
            relation.key.iter().map(part).collect::<Result<_>>()?,
        ))
    }

    /// What stands after WHERE for the rows of a slice that come after a position.
    pub(crate) fn rest(&self, slice: &Json, from: &Position) -> Result<Vec<String>> {
        let mut conditions = self.slice(slice)?;
        if from.is_start() {
            return Ok(conditions);
        }
        match self {
            Order::Key(parts) => conditions.push(compare(parts, ">", &from.0["key"])?),
            Order::Ctid => conditions.push(format!("ctid > {}", tid(&from.0["ctid"])?)),
            Order::None => return Err(no_way_back()),
        }
        Ok(conditions)
    }

    /// What stands after WHERE for the rows of a slice that came before a position, and at it.
    pub(crate) fn passed(&self, slice: &Json, from: &Position) -> Result<Vec<String>> {
        let mut conditions = self.slice(slice)?;
        if let Order::Key(parts) = self {
            conditions.push(compare(parts, "<=", &from.0["key"])?);
        }
        Ok(conditions)
    }

    /// What stands after WHERE for a whole slice.
    pub(crate) fn slice(&self, slice: &Json) -> Result<Vec<String>> {
        let mut conditions = Vec::new();
        for name in ["by", "since"] {
            if let Some(condition) = slice[name]["sql"].as_str() {
                conditions.push(condition.to_owned());
            }
        }
        let bound = |name: &str| slice.get(name).filter(|bound| !bound.is_null());
        match self {
            Order::Key(parts) => {
                for (name, sign) in [("after", ">"), ("through", "<=")] {
                    if let (Some(bound), Some(part)) = (bound(name), parts.first()) {
                        let value = part.value(bound.as_str().ok_or_else(other_position)?);
                        conditions.push(format!("{} {sign} {value}", part.sql));
                    }
                }
            }
            Order::Ctid => {
                for (name, sign) in [("from_block", ">="), ("to_block", "<")] {
                    if let Some(bound) = bound(name) {
                        let block = bound.as_u64().ok_or_else(other_position)?;
                        conditions.push(format!("ctid {sign} '({block},0)'::tid"));
                    }
                }
            }
            Order::None => (),
        }
        Ok(conditions)
    }

    /// What stands after ORDER BY; nothing where the order is that of the file.
    pub(crate) fn by(&self) -> String {
        match self {
            Order::Key(parts) => {
                let parts: Vec<&str> = parts.iter().map(|part| part.sql.as_str()).collect();
                format!(" ORDER BY {}", parts.join(", "))
            }
            Order::Ctid | Order::None => String::new(),
        }
    }

    /// Settings under which rows come in this order without being sorted.
    ///
    /// Without an ORDER BY a scan from start to end of the file gives its order, as long as nothing
    /// else is scanned, nobody helps and it does not join a scan that is under way. That it did is
    /// checked while reading.
    pub(crate) fn settings(&self) -> Option<&'static str> {
        (*self == Order::Ctid).then_some(
            "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL synchronize_seqscans = off; \
             SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off",
        )
    }
}

/// The comparison of a key with a position's, column by column.
fn compare(parts: &[Part], sign: &str, key: &Json) -> Result<String> {
    let key = key
        .as_array()
        .filter(|key| key.len() == parts.len())
        .ok_or_else(other_position)?;
    let values: Vec<String> = parts
        .iter()
        .zip(key)
        .map(|(part, value)| Ok(part.value(value.as_str().ok_or_else(other_position)?)))
        .collect::<Result<_>>()?;
    let columns: Vec<&str> = parts.iter().map(|part| part.sql.as_str()).collect();
    Ok(match values.as_slice() {
        [value] => format!("{} {sign} {value}", columns[0]),
        values => format!("({}) {sign} ({})", columns.join(", "), values.join(", ")),
    })
}

fn tid(place: &Json) -> Result<String> {
    let part = |at: usize| place[at].as_u64().ok_or_else(other_position);
    Ok(format!("'({},{})'::tid", part(0)?, part(1)?))
}

/// The position was made by another source.
pub(crate) fn other_position() -> Error {
    Error::state(
        "source::changed",
        "the position to go on from was made for another table or key",
    )
    .help("start anew with `dkhost run --no-resume`")
}

/// What has no key cannot be gone on with.
pub(crate) fn no_way_back() -> Error {
    Error::data(
        "source::changed",
        "what was read has no key, so that it is not known which of its rows were read",
    )
    .help("give the source a `key` that tells its rows apart, or start anew with `dkhost run --no-resume`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(parts: &[(&str, &str)]) -> Order {
        Order::Key(
            parts
                .iter()
                .map(|(name, cast)| Part {
                    column: 0,
                    name: (*name).to_owned(),
                    sql: format!("\"{name}\""),
                    cast: (*cast).to_owned(),
                })
                .collect(),
        )
    }

    fn check(order: &Order, slice: Json, from: Json, expected: &[&str]) {
        assert_eq!(order.rest(&slice, &Position(from)).unwrap(), expected);
    }

    #[test]
    fn a_slice_and_a_position_are_bounds_of_the_key() {
        let id = key(&[("id", "int8")]);
        check(&id, json!({}), Json::Null, &[]);
        check(
            &id,
            json!({"after": "5", "through": "it's"}),
            json!({"key": ["7"]}),
            &[
                "\"id\" > '5'::int8",
                "\"id\" <= 'it''s'::int8",
                "\"id\" > '7'::int8",
            ],
        );
        check(
            &key(&[("a", "text"), ("b", "int4")]),
            json!({}),
            json!({"key": ["x", "2"]}),
            &["(\"a\", \"b\") > ('x'::text, '2'::int4)"],
        );
    }

    #[test]
    fn a_table_without_key_is_sliced_by_blocks() {
        check(
            &Order::Ctid,
            json!({"from_block": 10, "to_block": 20}),
            json!({"ctid": [12, 3]}),
            &[
                "ctid >= '(10,0)'::tid",
                "ctid < '(20,0)'::tid",
                "ctid > '(12,3)'::tid",
            ],
        );
    }

    #[test]
    fn a_position_of_another_source_is_refused() {
        let id = key(&[("id", "int8")]);
        for from in [
            json!({"key": ["1", "2"]}),
            json!({"key": [1]}),
            json!({"ctid": [1, 2]}),
        ] {
            let refused = id.rest(&json!({}), &Position(from)).unwrap_err();
            assert_eq!(refused.code(), "source::changed");
        }
        let refused = Order::None.rest(&json!({}), &Position(json!({"row": 1})));
        assert!(refused.unwrap_err().help_text().unwrap().contains("`key`"));
    }
}
