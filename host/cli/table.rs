//! Columns that line up, and numbers people can read.

use unicode_width::UnicodeWidthStr;

/// Cells may carry colours, so their width is told beside them.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    width: usize,
    right: bool,
}

impl Cell {
    /// A cell of plain text, left-aligned.
    pub fn new(text: impl Into<String>) -> Cell {
        let text = text.into();
        Cell {
            width: text.width(),
            text,
            right: false,
        }
    }

    /// Columns it takes.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The same cell at the right edge of its column.
    pub fn right(self) -> Cell {
        Cell {
            right: true,
            ..self
        }
    }

    /// The same cell, painted: `paint` may only add what has no width.
    pub fn painted(self, paint: impl FnOnce(&str) -> String) -> Cell {
        Cell {
            text: paint(&self.text),
            ..self
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(text)
    }
}

/// Rows of cells.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    /// A table whose lines begin with so many spaces.
    pub fn indented(indent: usize) -> Table {
        Table {
            rows: Vec::new(),
            indent,
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, columns two spaces apart, without spaces at their ends.
    pub fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.width)
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        self.rows
            .iter()
            .map(|row| self.line(row, &widths))
            .collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> String {
        let mut line = " ".repeat(self.indent);
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = " ".repeat(width.saturating_sub(cell.width));
            let between = if index == 0 { "" } else { "  " };
            line.push_str(between);
            if cell.right {
                line.push_str(&gap);
            }
            line.push_str(&cell.text);
            if !cell.right && index + 1 < row.len() {
                line.push_str(&gap);
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Text cut to `max` columns, with `…` where something is missing.
pub fn clip(text: &str, max: usize) -> String {
    if text.width() <= max {
        return text.to_owned();
    }
    let mut clipped = String::new();
    for c in text.chars() {
        let mut next = clipped.clone();
        next.push(c);
        if next.width() + 1 > max {
            break;
        }
        clipped = next;
    }
    clipped.push('…');
    clipped
}

/// `3,201`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 record`, `3,201 records`.
pub fn counted(n: u64, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        _ => format!("{} {one}s", count(n)),
    }
}

/// `59 B`, `1.2 MiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{n} B"),
        _ if value >= 100.0 => format!("{value:.0} {}", UNITS[unit]),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// `214 ms`, `3.21 s`, `42 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms} ms"),
        1..10 => format!("{:.2} s", ms as f64 / 1_000.0),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// Records a second, for people: `15,243/s`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 10.0 => format!("{}/s", count(r.round() as u64)),
        r => format!("{r:.1}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_they_hold() {
        let mut table = Table::indented(2);
        table.row([Cell::new("映画"), Cell::new("1").right()]);
        table.row([
            Cell::new("movies").painted(|t| format!("\x1b[1m{t}\x1b[0m")),
            Cell::new("3,201").right(),
        ]);
        assert_eq!(
            table.lines(),
            ["  映画        1", "  \x1b[1mmovies\x1b[0m  3,201"]
        );
    }

    #[test]
    fn a_line_ends_where_its_text_ends() {
        let mut table = Table::default();
        table.row(["a".into(), "".into()]);
        table.row(["long".into(), "x".into()]);
        assert_eq!(table.lines(), ["a", "long  x"]);
    }

    #[test]
    fn quantities_read_well() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [counted(1, "record"), counted(2, "record")],
            ["1 record", "2 records"]
        );
        assert_eq!(
            [bytes(59), bytes(1_258_291), bytes(200 << 20)],
            ["59 B", "1.2 MiB", "200 MiB"]
        );
        assert_eq!(
            [
                duration(214),
                duration(3_214),
                duration(42_000),
                duration(200_000),
                duration(7_500_000)
            ],
            ["214 ms", "3.21 s", "42 s", "3 min 20 s", "2 h 5 min"]
        );
        assert_eq!([rate(3.24), rate(15_243.4)], ["3.2/s", "15,243/s"]);
    }

    #[test]
    fn a_clipped_text_fits() {
        assert_eq!(clip("short", 5), "short");
        assert_eq!(clip("too long", 5), "too …");
        assert_eq!(clip("映画映画", 5), "映画…");
    }
}
