//! Tables of a preview: cut to the terminal's width, the record's number first in each.

use super::sheet::Sheet;
use crate::escape::escape;
use crate::screen::{Paint, width};
use crate::table::{Cell, Table, clip};

/// Columns a cell may take; the rest of it is cut.
const CELL_WIDTH: usize = 32;

/// A column of a table: its heading and one cell per line.
pub struct Shown {
    heading: String,
    cells: Vec<Cell>,
}

impl Shown {
    /// A column under a heading.
    pub fn column(heading: &str, cells: Vec<Cell>) -> Shown {
        Shown {
            heading: clip(&escape(heading), CELL_WIDTH),
            cells,
        }
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(Cell::width).max().unwrap_or(0);
        cells.max(Cell::new(&self.heading).width())
    }
}

/// A value as it is printed: cut, escaped, in quotes where its ends could not be seen.
pub fn value(text: &str) -> String {
    match text.trim().len() == text.len() && !text.is_empty() {
        true => clip(&escape(text), CELL_WIDTH),
        false => clip(&format!("\"{}\"", escape(text)), CELL_WIDTH),
    }
}

/// Every column of a sheet.
pub fn whole(sheet: &Sheet) -> Vec<Shown> {
    let numbers = sheet
        .rows
        .iter()
        .map(|row| Cell::new((row.origin + 1).to_string()).right())
        .collect();
    let mut columns = vec![Shown::column("#", numbers)];
    columns.extend(sheet.columns.iter().enumerate().map(|(index, name)| {
        Shown::column(
            name,
            sheet
                .rows
                .iter()
                .map(|row| Cell::new(value(&row.cells[index])))
                .collect(),
        )
    }));
    columns
}

/// The columns as tables that fit the terminal; the first column is repeated in each.
pub fn grid(columns: &[Shown], paint: Paint) -> Vec<String> {
    let Some((numbers, columns)) = columns.split_first() else {
        return Vec::new();
    };
    let room = width().saturating_sub(8).max(CELL_WIDTH);
    let mut lines: Vec<String> = Vec::new();
    let mut rest = columns;
    while !rest.is_empty() {
        let mut taken = 1;
        let mut used = rest[0].width();
        while taken < rest.len() && used + 2 + rest[taken].width() <= room {
            used += 2 + rest[taken].width();
            taken += 1;
        }
        let (block, later) = rest.split_at(taken);
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(table(numbers, block, paint));
        rest = later;
    }
    lines
}

fn table(numbers: &Shown, block: &[Shown], paint: Paint) -> Vec<String> {
    let mut table = Table::indented(2);
    let columns = || std::iter::once(numbers).chain(block);
    table.row(columns().enumerate().map(|(index, column)| {
        let heading = Cell::new(&column.heading).painted(|text| paint.dim(text));
        if index == 0 { heading.right() } else { heading }
    }));
    for line in 0..numbers.cells.len() {
        table.row(columns().map(|column| column.cells[line].clone()));
    }
    table.lines()
}
