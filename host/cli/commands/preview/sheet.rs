//! A scene of a preview as lines of text cells, and which line before belongs to which after.

use dkhost_core::{Error, Result, Role, Schema};
use dkhost_engine::preview::Scene;

use super::Fields;

/// The records of a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Column names; fields that are in no column stand under `…`.
    pub columns: Vec<String>,
    /// The records, in order.
    pub rows: Vec<Row>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Number of its source record, from 0.
    pub origin: u32,
    /// One text per column.
    pub cells: Vec<String>,
}

/// What stands for a field that is not there.
const ABSENT: &str = "-";
/// The column for fields that are in no column.
const OTHERS: &str = "…";

impl Sheet {
    /// The records of a scene as text.
    pub fn of(scene: &Scene) -> Result<Sheet> {
        let schema = Schema::from_arrow(&scene.records.schema())?;
        let mut columns: Vec<String> = schema
            .fields
            .iter()
            .filter(|field| field.role != Some(Role::Rest))
            .map(|field| field.name.clone())
            .collect();
        let known = columns.len();
        let mut others = false;
        let mut rows = Vec::with_capacity(scene.records.num_rows());
        for (origin, mut fields) in self::rows(scene)? {
            let mut cells: Vec<String> = columns[..known]
                .iter()
                .map(|name| {
                    fields
                        .remove(name)
                        .map_or(ABSENT.to_owned(), |json| plain(json.get()))
                })
                .collect();
            others |= !fields.is_empty();
            cells.push(remaining(&fields));
            rows.push(Row { origin, cells });
        }
        if others {
            columns.push(OTHERS.to_owned());
        }
        Ok(Sheet { columns, rows })
    }
}

/// The records of a scene as JSON, with their source records.
pub fn rows(scene: &Scene) -> Result<Vec<(u32, Fields)>> {
    let row = |(index, origin): (usize, &u32)| {
        let text = dkhost_core::json::row(&scene.records, index);
        let fields = serde_json::from_str(&text)
            .map_err(|cause| Error::bug("a record is not valid JSON").caused_by(cause))?;
        Ok((*origin, fields))
    };
    scene.origin.iter().enumerate().map(row).collect()
}

/// Text without its quotes, anything else as it is written.
fn plain(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

fn remaining(fields: &Fields) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, json)| format!("{name}: {}", json.get()))
        .collect();
    fields.join(", ")
}

/// For each line of `after` the line of `before` it was made of: of the same source record, and
/// where a record became several, the one at the same place among them.
pub fn partners(before: &Sheet, after: &Sheet) -> Vec<Option<usize>> {
    let mut place = 0;
    let mut last = None;
    let partner = |row: &Row| {
        place = if last == Some(row.origin) {
            place + 1
        } else {
            0
        };
        last = Some(row.origin);
        let mut of_record = before
            .rows
            .iter()
            .enumerate()
            .filter(|(_, old)| old.origin == row.origin)
            .map(|(index, _)| index);
        let first = of_record.next()?;
        Some(if place == 0 {
            first
        } else {
            of_record.nth(place - 1).unwrap_or(first)
        })
    };
    after.rows.iter().map(partner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(origins: &[u32]) -> Sheet {
        let rows = origins
            .iter()
            .map(|origin| Row {
                origin: *origin,
                cells: Vec::new(),
            })
            .collect();
        Sheet {
            columns: Vec::new(),
            rows,
        }
    }

    #[test]
    fn a_record_meets_itself_when_others_were_dropped() {
        assert_eq!(
            partners(&sheet(&[0, 1, 2, 3]), &sheet(&[1, 3])),
            [Some(1), Some(3)]
        );
    }

    #[test]
    fn expanded_records_meet_the_one_they_were_made_of() {
        assert_eq!(
            partners(&sheet(&[0, 1]), &sheet(&[0, 0, 1])),
            [Some(0), Some(0), Some(1)]
        );
        assert_eq!(
            partners(&sheet(&[0, 0, 1]), &sheet(&[0, 0, 1])),
            [Some(0), Some(1), Some(2)]
        );
    }

    #[test]
    fn text_loses_its_quotes_and_numbers_keep_their_digits() {
        assert_eq!(plain("\"a \\\"b\\\"\""), "a \"b\"");
        assert_eq!(
            plain("123456789012345678901234567890.10"),
            "123456789012345678901234567890.10"
        );
    }
}
