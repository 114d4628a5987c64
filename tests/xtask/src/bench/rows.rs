//! The records that are moved: made up, the same on every machine, untidy where real ones are.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::shell::Outcome;

/// The same rows in every format a route starts from that needs no library to be written.
pub struct Input {
    /// How many.
    pub rows: u64,
    /// One JSON object a line.
    pub jsonl: PathBuf,
    /// One JSON array.
    pub json: PathBuf,
    /// With a header.
    pub csv: PathBuf,
    /// The same in two files, each with the header: a CSV cannot be read from its middle, because
    /// a newline there may stand in quotes.
    pub halves: [PathBuf; 2],
    /// As dataknobs-data keeps records in a JSON file.
    pub store: PathBuf,
}

const HEADER: &str = "id,name,email,phone,country,city,status,amount,visits,updated_at";
const FIRST: [&str; 8] = [
    "Ada",
    "grace",
    "Alan",
    "EDSGER",
    "Barbara",
    "Ken",
    "  Niklaus",
    "Frances",
];
const LAST: [&str; 8] = [
    "Lovelace", "HOPPER", "turing", "Dijkstra", "Liskov", "Thompson", "Wirth ", "Allen",
];
const COUNTRY: [&str; 6] = ["DE", "us", "United Kingdom", "FR", "Nederland", "jp"];
const CITY: [&str; 6] = ["Berlin", "Austin", "London", "Paris", "Utrecht", "Osaka"];
const STATUS: [&str; 3] = ["active", "paused", "closed"];

impl Input {
    /// The files for this many rows, written unless they are there.
    pub fn of(folder: &Path, rows: u64) -> Outcome<Input> {
        let file = |end: &str| folder.join(format!("rows-{rows}{end}"));
        let input = Input {
            rows,
            jsonl: file(".jsonl"),
            json: file(".json"),
            csv: file(".csv"),
            halves: [file(".half1.csv"), file(".half2.csv")],
            store: file(".store.json"),
        };
        let complete = file(".complete");
        if !complete.exists() {
            input
                .write()
                .and_then(|()| File::create(complete).map(drop))
                .map_err(|cause| format!("cannot write the input: {cause}"))?;
        }
        Ok(input)
    }

    fn write(&self) -> std::io::Result<()> {
        let open = |path: &Path| File::create(path).map(BufWriter::new);
        let (mut jsonl, mut json) = (open(&self.jsonl)?, open(&self.json)?);
        let (mut csv, mut store) = (open(&self.csv)?, open(&self.store)?);
        let mut halves = [open(&self.halves[0])?, open(&self.halves[1])?];
        for csv in std::iter::once(&mut csv).chain(&mut halves) {
            writeln!(csv, "{HEADER}")?;
        }
        let mut dice = Dice::new();
        for id in 1..=self.rows {
            let row = Row::roll(id, &mut dice);
            let (object, line) = (row.json(), row.csv());
            let comma = if id > 1 { ",\n" } else { "" };
            writeln!(jsonl, "{object}")?;
            write!(json, "{}{object}", if id > 1 { ",\n" } else { "[" })?;
            let open = if id > 1 { "" } else { "{" };
            write!(store, "{open}{comma}\"{id}\":{{\"fields\":{object}}}")?;
            writeln!(csv, "{line}")?;
            writeln!(halves[usize::from(id > self.rows / 2)], "{line}")?;
        }
        writeln!(json, "]")?;
        writeln!(store, "}}")?;
        for mut file in [jsonl, json, csv, store].into_iter().chain(halves) {
            file.flush()?;
        }
        Ok(())
    }
}

/// One record; text as untidy as it comes.
pub struct Row {
    /// Its number, from 1.
    pub id: u64,
    /// First and last.
    pub name: [&'static str; 2],
    /// With parentheses.
    pub phone: String,
    /// A name or a code.
    pub country: &'static str,
    /// A name.
    pub city: &'static str,
    /// A word.
    pub status: &'static str,
    /// With two digits of cents.
    pub amount: String,
    /// A count.
    pub visits: u64,
    /// RFC 3339, in UTC.
    pub updated: String,
}

impl Row {
    /// The next one.
    pub fn roll(id: u64, dice: &mut Dice) -> Row {
        let name = [dice.pick(&FIRST), dice.pick(&LAST)];
        let (country, city, status) = (dice.pick(&COUNTRY), dice.pick(&CITY), dice.pick(&STATUS));
        let phone = format!("({}) 555-{:04}", 200 + dice.below(700), dice.below(10_000));
        let (euros, cents, visits) = (dice.below(5_000), dice.below(100), dice.below(400));
        let (day, hour, minute) = (1 + dice.below(28), dice.below(24), dice.below(60));
        let month = 1 + dice.below(9);
        Row {
            id,
            name,
            phone,
            country,
            city,
            status,
            amount: format!("{euros}.{cents:02}"),
            visits,
            updated: format!("2025-0{month}-{day:02}T{hour:02}:{minute:02}:00Z"),
        }
    }

    /// Made of the name and the number.
    pub fn email(&self) -> String {
        let [first, last] = self.name;
        format!("{}.{}{}@Example.COM", first.trim(), last.trim(), self.id)
    }

    fn json(&self) -> String {
        let Row {
            id,
            name,
            phone,
            country,
            city,
            status,
            amount,
            visits,
            updated,
        } = self;
        let ([first, last], email) = (name, self.email());
        format!(
            r#"{{"id":{id},"name":"{first} {last}","email":"{email}","phone":"{phone}","country":"{country}","city":"{city}","status":"{status}","amount":{amount},"visits":{visits},"updated_at":"{updated}"}}"#
        )
    }

    fn csv(&self) -> String {
        let Row {
            id,
            name,
            phone,
            country,
            city,
            status,
            amount,
            visits,
            updated,
        } = self;
        let ([first, last], email) = (name, self.email());
        format!(
            "{id},{first} {last},{email},{phone},{country},{city},{status},{amount},{visits},{updated}"
        )
    }
}

/// A small generator of its own (xorshift64*): the rows must not change with a library.
pub struct Dice(u64);

impl Dice {
    /// The same throws each time.
    pub fn new() -> Dice {
        Dice(0x9e37_79b9_7f4a_7c15)
    }

    /// A number from 0 on.
    pub fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::Input;

    #[test]
    fn every_format_holds_the_same_rows() {
        let folder = std::env::temp_dir().join(format!("bench-rows-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let input = Input::of(&folder, 3).unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        let (jsonl, csv) = (read(&input.jsonl), read(&input.csv));
        assert_eq!((jsonl.lines().count(), csv.lines().count()), (3, 4));
        assert_eq!(
            read(&input.json),
            format!("[{}]\n", jsonl.trim_end().replace('\n', ",\n"))
        );
        let [first, second] = input.halves.each_ref().map(read);
        assert_eq!(csv, first + second.split_once('\n').unwrap().1);
        let line = jsonl.lines().nth(1).unwrap();
        assert!(read(&input.store).contains(&format!("\"2\":{{\"fields\":{line}}}")));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
