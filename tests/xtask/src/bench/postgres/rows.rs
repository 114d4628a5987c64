//! The table that is moved: the same kind of records as on the other routes, with a column of every
//! type a table commonly has.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::super::rows::{Dice, Row};
use super::server::Server;
use crate::shell::Outcome;

/// Names and types of its columns.
const COLUMNS: &str = "id bigint PRIMARY KEY, name text, email text, phone text, country text, \
     visits integer, amount double precision, score double precision, active boolean, \
     updated_at timestamp";
const HEADER: &str = "id,name,email,phone,country,visits,amount,score,active,updated_at";

/// A table on the server, and the same rows as CSV.
pub struct Table {
    /// How many rows.
    pub rows: u64,
    /// With its schema: `source.rows_500000`.
    pub name: String,
    /// With a header.
    pub csv: PathBuf,
    /// What a good copy answers to [`Table::sum`].
    pub sum: String,
}

impl Table {
    /// Writes the CSV unless it is there, and loads it.
    pub fn of(server: &Server, folder: &Path, rows: u64) -> Outcome<Table> {
        let csv = folder.join(format!("table-{rows}.csv"));
        if !csv.exists() {
            let half = csv.with_extension("half");
            write(&half, rows)
                .and_then(|()| std::fs::rename(&half, &csv))
                .map_err(|cause| format!("cannot write the rows: {cause}"))?;
        }
        let name = format!("source.rows_{rows}");
        server.sql(&format!(
            "CREATE SCHEMA IF NOT EXISTS source;\nCREATE TABLE {name} ({COLUMNS});\n\
             \\copy {name} from '{}' csv header\nVACUUM (ANALYZE, FREEZE) {name};",
            csv.display()
        ))?;
        let sum = server.sql(&Table::sum(&name))?;
        Ok(Table {
            rows,
            name,
            csv,
            sum,
        })
    }

    /// The query that tells a copy: how many rows, how many keys, and what was overwritten. Some
    /// peers make every column text.
    pub fn sum(table: &str) -> String {
        format!("SELECT count(*), sum(id::bigint), sum(visits::integer) FROM {table}")
    }

    /// An empty schema `target`, with a table in it where `with` says so.
    pub fn prepare(&self, with: Prepared) -> String {
        let empty = "DROP SCHEMA IF EXISTS target CASCADE;\nCREATE SCHEMA target;\n";
        let table = format!(
            "{empty}CREATE TABLE target.rows (LIKE {} INCLUDING ALL);\n",
            self.name
        );
        match with {
            Prepared::Nothing => empty.to_owned(),
            Prepared::Empty => table,
            Prepared::Full => format!(
                "{table}INSERT INTO target.rows SELECT id, name, email, phone, country, \
                 visits + 1, amount, score, active, updated_at FROM {};\n\
                 VACUUM (ANALYZE, FREEZE) target.rows;\n",
                self.name
            ),
        }
    }
}

/// What a contender finds in the schema `target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepared {
    /// Nothing: it makes its table itself.
    Nothing,
    /// The table with its key, empty.
    Empty,
    /// The table with every key, and every row a little different.
    Full,
}

fn write(path: &Path, rows: u64) -> std::io::Result<()> {
    let mut csv = BufWriter::new(File::create(path)?);
    writeln!(csv, "{HEADER}")?;
    let mut dice = Dice::new();
    for id in 1..=rows {
        writeln!(csv, "{}", line(id, &mut dice))?;
    }
    csv.flush()
}

fn line(id: u64, dice: &mut Dice) -> String {
    let row = Row::roll(id, dice);
    let (score, active) = (dice.below(1_000_000), dice.below(3) > 0);
    let [first, last] = row.name;
    format!(
        "{id},{first} {last},{},{},{},{},{},{},{active},{}",
        row.email(),
        row.phone,
        row.country,
        row.visits,
        row.amount,
        score as f64 / 7.0,
        row.updated.trim_end_matches('Z'),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_every_column_and_is_the_same_each_time() {
        let row = line(7, &mut Dice::new());
        assert_eq!(row.split(',').count(), HEADER.split(',').count());
        assert_eq!(row, line(7, &mut Dice::new()));
    }
}
