//! What a step did to the records: renamed, left out, changed, made, dropped, refused.

use std::collections::BTreeMap;

use dkhost_engine::preview::Scene;

use super::grid::{Shown, grid, value};
use super::refusals;
use super::sheet::{Sheet, partners};
use crate::escape::escape;
use crate::screen::Paint;
use crate::table::Cell;

/// The lines of one step.
pub fn step(
    before: &Sheet,
    after: &Sheet,
    carried: &BTreeMap<String, String>,
    scene: &Scene,
    paint: Paint,
) -> Vec<String> {
    let mut lines = headings(before, after, carried, paint);
    let changed = changed_columns(before, after, carried, paint);
    if changed.len() > 1 {
        lines.extend(grid(&changed, paint));
    }
    let refused: Vec<u32> = scene
        .rejects
        .iter()
        .map(|reject| reject.source_row)
        .collect();
    let gone = |origin: &u32| {
        !after.rows.iter().any(|row| row.origin == *origin) && !refused.contains(origin)
    };
    let mut dropped: Vec<u32> = before
        .rows
        .iter()
        .map(|row| row.origin)
        .filter(gone)
        .collect();
    dropped.dedup();
    if !dropped.is_empty() {
        let numbers: Vec<String> = dropped
            .iter()
            .map(|origin| (origin + 1).to_string())
            .collect();
        lines.push(format!(
            "  {} {}",
            paint.yellow("dropped"),
            numbers.join(", ")
        ));
    }
    lines.extend(refusals(scene, paint));
    if lines.is_empty() {
        lines.push(format!("  {}", paint.dim("no change to these records")));
    }
    lines
}

/// Lines for columns that were renamed or left out.
fn headings(
    before: &Sheet,
    after: &Sheet,
    carried: &BTreeMap<String, String>,
    paint: Paint,
) -> Vec<String> {
    let mut lines = Vec::new();
    let renamed: Vec<String> = after
        .columns
        .iter()
        .filter_map(|name| {
            carried
                .get(name)
                .filter(|from| *from != name)
                .map(|from| format!("{} → {}", escape(from), escape(name)))
        })
        .collect();
    if !renamed.is_empty() {
        lines.push(format!(
            "  {} {}",
            paint.yellow("renamed"),
            renamed.join(", ")
        ));
    }
    let left_out: Vec<_> = before
        .columns
        .iter()
        .filter(|name| !after.columns.contains(name) && !carried.values().any(|from| from == *name))
        .map(|name| escape(name))
        .collect();
    if !left_out.is_empty() {
        lines.push(format!(
            "  {} {}",
            paint.red("left out"),
            left_out.join(", ")
        ));
    }
    lines
}

/// The columns whose values a step changed or made.
fn changed_columns(
    before: &Sheet,
    after: &Sheet,
    carried: &BTreeMap<String, String>,
    paint: Paint,
) -> Vec<Shown> {
    let numbers = after
        .rows
        .iter()
        .map(|row| Cell::new((row.origin + 1).to_string()).right())
        .collect();
    let mut columns = vec![Shown::column("#", numbers)];
    let partners = partners(before, after);
    for (index, name) in after.columns.iter().enumerate() {
        let from = carried.get(name).unwrap_or(name);
        let new: Vec<&String> = after.rows.iter().map(|row| &row.cells[index]).collect();
        match before.columns.iter().position(|other| other == from) {
            None => columns.push(Shown::column(&format!("+ {name}"), made(&new, paint))),
            Some(old) => {
                let was = partners
                    .iter()
                    .map(|row| Some(&before.rows[(*row)?].cells[old]));
                let was: Vec<Option<&String>> = was.collect();
                if was.iter().zip(&new).any(|(was, new)| *was != Some(*new)) {
                    columns.push(Shown::column(name, side_by_side(&was, &new, paint)));
                }
            }
        }
    }
    columns
}

fn made(new: &[&String], paint: Paint) -> Vec<Cell> {
    new.iter()
        .map(|new| Cell::new(value(new)).painted(|text| paint.green(text)))
        .collect()
}

fn changed<'a>(was: Option<&'a String>, new: &String) -> Option<&'a String> {
    was.filter(|was| *was != new)
}

/// `before → after`, the arrows one below the other; a value that stayed stands alone.
fn side_by_side(was: &[Option<&String>], new: &[&String], paint: Paint) -> Vec<Cell> {
    let widest = was
        .iter()
        .zip(new)
        .filter_map(|(was, new)| changed(*was, new))
        .map(|was| Cell::new(value(was)).width())
        .max()
        .unwrap_or(0);
    let cell = |(was, new): (&Option<&String>, &&String)| match changed(*was, new) {
        None => Cell::new(value(new)),
        Some(was) => {
            let was = value(was);
            let gap = " ".repeat(widest - Cell::new(&was).width());
            Cell::new(format!("{was}{gap} → {}", value(new))).painted(|text| paint.yellow(text))
        }
    };
    was.iter().zip(new).map(cell).collect()
}
