//! The partitions of a relation, and how much there is to read.

use dkhost_core::{Partition, Result};
use rusqlite::Connection;
use serde_json::{Value as Json, json};

use super::relation::{Order, Relation};
use crate::place::Place;

/// Below this a database is counted rather than guessed at.
const COUNTED_BYTES: u64 = 64 << 20;

/// Slices of the rowids, about as many as `wanted`; one for what has none.
pub(super) fn partitions(
    db: &Connection,
    relation: &Relation,
    wanted: usize,
) -> Result<Vec<Partition>> {
    let whole = Partition {
        index: 0,
        label: relation.label.clone(),
        slice: json!({}),
    };
    let Order::Rowid(rowid) = &relation.order else {
        return Ok(vec![whole]);
    };
    if wanted < 2 {
        return Ok(vec![whole]);
    }
    let (least, most) = (
        relation.ask(db, &format!("min({rowid})"))?,
        relation.ask(db, &format!("max({rowid})"))?,
    );
    let (Some(least), Some(most)) = (least, most) else {
        return Ok(vec![whole]);
    };
    let (least, span) = (i128::from(least), i128::from(most) - i128::from(least) + 1);
    let count = span.min(wanted as i128);
    // The last rowid of slice `i`. The first and the last slice are open at their ends, so that
    // together they are the whole table, whatever is added before they are read.
    let end = |i: i128| (least - 1 + span * i / count) as i64;
    let slice = |i: i128| {
        let mut slice = serde_json::Map::new();
        if i > 0 {
            slice.insert("after".to_owned(), end(i).into());
        }
        if i + 1 < count {
            slice.insert("through".to_owned(), end(i + 1).into());
        }
        let label = format!(
            "{}, rowid {} to {}",
            relation.label,
            i128::from(end(i)) + 1,
            end(i + 1)
        );
        Partition {
            index: i as u32,
            label,
            slice: Json::Object(slice),
        }
    };
    Ok((0..count).map(slice).collect())
}

/// What the plan says about the order of reading.
pub(super) fn order_notes(relation: &Relation, partitions: usize) -> Vec<String> {
    let mut notes = Vec::new();
    match &relation.order {
        Order::Rowid(_) => notes.push(format!("{} is read by rowid", relation.label)),
        Order::Key(_) => notes.push(format!("{} is read by its key ({})", relation.label, relation.key.join(", "))),
        Order::None => notes.push(format!(
            "{} has no key to go on from: a resumed run reads it from its start again, and only if nobody wrote to the database meanwhile; give `key` to avoid both",
            relation.label
        )),
    }
    notes.push(match partitions {
        1 => "rows are those of the moment the reading begins; a resumed run goes on with those of its own moment".to_owned(),
        _ => "each partition sees the rows of the moment its reading begins: let nobody write meanwhile, or read in one partition".to_owned(),
    });
    notes
}

/// How many records there are, if that is cheap to know.
pub(super) fn estimate(db: &Connection, place: &Place, relation: &Relation) -> Result<Option<u64>> {
    if !relation.is_table {
        return Ok(None);
    }
    let size = std::fs::metadata(&place.path).map_or(u64::MAX, |file| file.len());
    let rows = match &relation.order {
        _ if size <= COUNTED_BYTES => relation.ask(db, "count(*)")?,
        Order::Rowid(rowid) => {
            let (least, most) = (
                relation.ask(db, &format!("min({rowid})"))?,
                relation.ask(db, &format!("max({rowid})"))?,
            );
            least
                .zip(most)
                .and_then(|(least, most)| most.checked_sub(least)?.checked_add(1))
        }
        _ => None,
    };
    Ok(rows.and_then(|rows| u64::try_from(rows).ok()))
}
