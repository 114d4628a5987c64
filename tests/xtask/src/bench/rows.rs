//! The records that are moved: made up, the same on every machine, untidy where real ones are.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::shell::Outcome;

/// The same rows in the two formats routes start from.
pub struct Input {
    /// One JSON object a line.
    pub jsonl: PathBuf,
    /// With a header.
    pub csv: PathBuf,
}

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

/// Writes both files unless they are there with this many rows.
pub fn write(folder: &Path, rows: u64) -> Outcome<Input> {
    let input = Input {
        jsonl: folder.join(format!("rows-{rows}.jsonl")),
        csv: folder.join(format!("rows-{rows}.csv")),
    };
    if !input.csv.exists() {
        write_both(&input, rows).map_err(|cause| format!("cannot write the input: {cause}"))?;
    }
    Ok(input)
}

fn write_both(input: &Input, rows: u64) -> std::io::Result<()> {
    // The CSV gets its name last: it is what says that both are complete.
    let unfinished = input.csv.with_extension("part");
    let mut jsonl = BufWriter::new(File::create(&input.jsonl)?);
    let mut csv = BufWriter::new(File::create(&unfinished)?);
    writeln!(
        csv,
        "id,name,email,phone,country,city,status,amount,visits,updated_at"
    )?;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for id in 1..=rows {
        let (first, last) = (dice.pick(&FIRST), dice.pick(&LAST));
        let (country, city, status) = (dice.pick(&COUNTRY), dice.pick(&CITY), dice.pick(&STATUS));
        let email = format!("{}.{}{id}@Example.COM", first.trim(), last.trim());
        let phone = format!("({}) 555-{:04}", 200 + dice.below(700), dice.below(10_000));
        let (euros, cents, visits) = (dice.below(5_000), dice.below(100), dice.below(400));
        let (day, hour, minute) = (1 + dice.below(28), dice.below(24), dice.below(60));
        let updated = format!(
            "2025-0{}-{day:02}T{hour:02}:{minute:02}:00Z",
            1 + dice.below(9)
        );
        writeln!(
            jsonl,
            r#"{{"id":{id},"name":"{first} {last}","email":"{email}","phone":"{phone}","country":"{country}","city":"{city}","status":"{status}","amount":{euros}.{cents:02},"visits":{visits},"updated_at":"{updated}"}}"#
        )?;
        writeln!(
            csv,
            "{id},{first} {last},{email},{phone},{country},{city},{status},{euros}.{cents:02},{visits},{updated}"
        )?;
    }
    jsonl.flush()?;
    csv.flush()?;
    std::fs::rename(unfinished, &input.csv)
}

/// A small generator of its own (xorshift64*): the rows must not change with a library.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}
