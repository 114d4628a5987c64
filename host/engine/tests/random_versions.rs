//! Pairs of versions nobody thought of: where every difference is safe, no made-up record of the
//! older version is refused by the generated migration; where it is lossless, all come back.
//!
//! `DKHOST_PAIRS=20000` looks at more of them; `DKHOST_PAIR=17` at one.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;

use dkhost_engine::steps::migrate::{By, Hop, Way};
use dkhost_engine::trial::trial;
use dkhost_schema::migration::generate::{Generate, generate};
use dkhost_schema::migration::lossless::promise;
use dkhost_schema::{Direction, Migration, SchemaVersion, Verdict, differences, migration, read};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn of<T: Copy>(&mut self, these: &[T]) -> T {
        these[(self.next() % these.len() as u64) as usize]
    }
}

/// Types, and constants that all of a group can hold, ascending; those of a group become each other.
const GROUPS: [(&[&str], &[&str]); 9] = [
    (
        &[
            "int32",
            "int64",
            "uint64",
            "float32",
            "float64",
            "decimal(10, 2)",
            "decimal(24, 3)",
            "number",
            "utf8",
        ],
        &["0", "1", "7", "100", "2147483647"],
    ),
    (
        &["float32", "float64", "decimal(10, 2)", "number", "utf8"],
        &["-0.1", "0.1", "0.5", "1.5", "1.50", "1e1"],
    ),
    (
        &["utf8", "utf8", "json", "uuid"],
        &["a", "a, b", "aB", "ä", "zz zz"],
    ),
    (
        &["date32", "timestamp", "utf8"],
        &["1970-01-01", "2026-01-31"],
    ),
    (
        &["timestamp(us, UTC)", "timestamp(us, Europe/Berlin)", "utf8"],
        &["1970-01-01T00:00:00Z", "2026-01-31T13:30:00+02:00"],
    ),
    (&["boolean", "utf8", "int32"], &["true", "false"]),
    (
        &["json", "json", "utf8"],
        &["1", "[]", "{\\\"a\\\": \\\"b\\\"}"],
    ),
    (
        &["uuid", "utf8"],
        &[
            "018f3a1c-0000-7000-8000-000000000000",
            "018F3A1C-0000-7000-8000-00000000000A",
        ],
    ),
    (
        &["int64", "decimal(10, 0)", "number", "float64"],
        &["-5", "+7", "1e1"],
    ),
];

/// A field as it is written.
#[derive(Clone)]
struct Field {
    group: usize,
    name: String,
    was: Option<String>,
    logical: &'static str,
    required: bool,
    unique: bool,
    default: Option<&'static str>,
    one_of: Vec<&'static str>,
    range: [Option<&'static str>; 2],
    length: Option<u64>,
    not_empty: bool,
}

impl Field {
    fn roll(name: &str, dice: &mut Dice) -> Field {
        let group = (dice.next() % GROUPS.len() as u64) as usize;
        let mut field = Field {
            group,
            name: name.to_owned(),
            was: None,
            logical: dice.of(GROUPS[group].0),
            required: dice.one_in(3),
            unique: dice.one_in(5),
            default: None,
            one_of: Vec::new(),
            range: [None, None],
            length: None,
            not_empty: false,
        };
        for _ in 0..3 {
            field.change_rule(dice);
        }
        field
    }

    /// Another rule, or one less.
    fn change_rule(&mut self, dice: &mut Dice) {
        let constants = GROUPS[self.group].1;
        match dice.next() % 8 {
            0 => self.default = dice.one_in(2).then(|| dice.of(constants)),
            1 => {
                let from = (dice.next() % constants.len() as u64) as usize;
                self.one_of = match dice.one_in(3) {
                    true => Vec::new(),
                    false => constants[from..].to_vec(),
                };
            }
            2 => self.range[0] = dice.one_in(2).then(|| constants[0]),
            3 => self.range[1] = dice.one_in(2).then(|| constants[constants.len() - 1]),
            4 => self.length = dice.one_in(2).then(|| dice.of(&[1, 5, 30])),
            5 => self.not_empty = dice.one_in(2),
            6 => self.unique = !self.unique,
            _ => self.required = !self.required,
        }
    }

    fn toml(&self) -> String {
        let is_text = self.logical == "utf8";
        let is_ordered = !["utf8", "json", "uuid", "boolean"].contains(&self.logical);
        let quoted = |text: &str| match self.logical {
            "boolean" => text.to_owned(),
            _ => format!("\"{text}\""),
        };
        let mut lines = vec![
            format!("[fields.{}]", self.name),
            format!("type = \"{}\"", self.logical),
        ];
        let mut line = |is: bool, text: String| {
            if is {
                lines.push(text);
            }
        };
        let was = self.was.clone().unwrap_or_default();
        line(self.was.is_some(), format!("was = \"{was}\""));
        line(self.required, "required = true".into());
        line(
            self.unique && self.logical != "json",
            "unique = true".into(),
        );
        line(self.not_empty && is_text, "not_empty = true".into());
        let default = self.default.map(quoted).unwrap_or_default();
        line(self.default.is_some(), format!("default = {default}"));
        let listed: Vec<String> = self.one_of.iter().map(|one| quoted(one)).collect();
        line(
            !listed.is_empty() && self.logical != "json",
            format!("one_of = [{}]", listed.join(", ")),
        );
        let length = self.length.unwrap_or_default();
        line(
            self.length.is_some() && is_text,
            format!("length = {{ max = {length} }}"),
        );
        let [min, max] = self.range;
        let ends = [("min", min), ("max", max)].into_iter();
        let ends = ends.filter_map(|(name, end)| Some(format!("{name} = {}", quoted(end?))));
        let ends = ends.collect::<Vec<_>>().join(", ");
        line(
            !ends.is_empty() && is_ordered,
            format!("range = {{ {ends} }}"),
        );
        lines.join("\n")
    }
}

/// A version as it is written.
#[derive(Clone)]
struct Version {
    fields: Vec<Field>,
    key: Option<String>,
    open: bool,
    check: Option<String>,
}

impl Version {
    fn roll(dice: &mut Dice) -> Version {
        let names = ["a", "b", "c"];
        let fields = names.map(|name| Field::roll(name, dice)).to_vec();
        let check = dice.of(&[
            "a < b",
            "a is null or b is not null",
            "c is null or length(c) < 6",
            "a <> b or c is null",
        ]);
        Version {
            fields,
            key: dice.one_in(3).then(|| dice.of(&names).to_owned()),
            open: dice.one_in(6),
            check: dice.one_in(3).then(|| check.to_owned()),
        }
    }

    /// The next version: one or two things are different.
    fn next(&self, dice: &mut Dice) -> Version {
        let mut next = self.clone();
        for _ in 0..=dice.next() % 2 {
            let at = (dice.next() % next.fields.len() as u64) as usize;
            match dice.next() % 10 {
                0..=2 => next.fields[at].logical = dice.of(GROUPS[next.fields[at].group].0),
                3..=5 => next.fields[at].change_rule(dice),
                6 => next.rename(at, "d"),
                7 => next.swap(),
                8 => next.fields.push(Field::roll("e", dice)),
                _ => match dice.next() % 3 {
                    0 => next.key = dice.one_in(2).then(|| dice.of(&["a", "b"]).to_owned()),
                    1 => next.open = !next.open,
                    _ => next.fields[at].name = "f".into(),
                },
            }
        }
        next
    }

    fn rename(&mut self, at: usize, name: &str) {
        let old = std::mem::replace(&mut self.fields[at].name, name.to_owned());
        if self.key.as_ref() == Some(&old) {
            self.key = Some(name.to_owned());
        }
        self.fields[at].was = Some(old);
    }

    /// Two fields change names: everything else of them stays with their values.
    fn swap(&mut self) {
        let names = [self.fields[0].name.clone(), self.fields[1].name.clone()];
        for (at, other) in [(0, 1), (1, 0)] {
            self.fields[at].was = Some(names[at].clone());
            self.fields[at].name = names[other].clone();
        }
    }

    fn toml(&self) -> String {
        let mut lines = Vec::new();
        lines.extend(self.key.as_ref().map(|key| format!("key = [\"{key}\"]")));
        lines.push(format!("open = {}", self.open));
        lines.extend(
            self.check
                .as_ref()
                .map(|check| format!("check = [\"{check}\"]")),
        );
        lines.extend(self.fields.iter().map(Field::toml));
        lines.join("\n")
    }
}

fn way(from: &SchemaVersion, to: &SchemaVersion, file: &Migration, direction: Direction) -> Way {
    let by = By::File {
        migration: file.clone(),
        path: PathBuf::from("generated"),
    };
    Way {
        from: from.clone(),
        hops: vec![Hop {
            to: to.clone(),
            direction,
            by,
        }],
    }
}

/// How a pair was found: nothing to be seen, or what was promised.
#[derive(Default, Clone, Copy)]
struct Seen {
    safe: bool,
    lossless: bool,
}

/// *Errors* – what was promised and does not hold.
fn look(seed: u64) -> Result<Seen, String> {
    let mut dice = Dice(seed);
    let one = Version::roll(&mut dice);
    let texts = [one.toml(), one.next(&mut dice).toml()];
    let parsed = ["1.0.0", "2.0.0"].into_iter().zip(&texts);
    let versions =
        parsed.map(|(version, text)| read(format!("t@{version}").parse().unwrap(), text));
    let Ok(versions) = versions.collect::<Result<Vec<_>, _>>() else {
        return Ok(Seen::default());
    };
    let (from, to) = (&versions[0], &versions[1]);
    let found = differences(from, to);
    let safe = found.iter().all(|one| one.verdict == Verdict::Safe);
    let Ok(file) = generate(from, to, Generate { keep_removed: true }) else {
        return Ok(Seen::default());
    };
    let (start, end) = (from.id.version.clone(), to.id.version.clone());
    let file = migration::read("t", start, end, &file.text).map_err(|error| error.chain())?;
    let lossless = promise(&file, from).lossless;
    if !safe && !lossless {
        return Ok(Seen::default());
    }
    let down = way(to, from, &file, Direction::Down);
    let down = file.down.is_some().then_some(down);
    let tried = match trial(way(from, to, &file, Direction::Up), down, 60, seed) {
        Ok(tried) if tried.tried > 0 => tried,
        Ok(_) => return Ok(Seen::default()),
        // A check that says nothing of these types, or values that cannot be made up.
        Err(error) if ["schema::no_sample", "schema::wrong_check"].contains(&error.code()) => {
            return Ok(Seen::default());
        }
        Err(error) => {
            return Err(format!(
                "{}\n{}\n---\n{}\n---\n{}",
                error.chain(),
                texts[0],
                texts[1],
                file.text
            ));
        }
    };
    let broken_up = safe && tried.refused > 0;
    let broken_down =
        lossless && tried.refused == 0 && (tried.changed > 0 || tried.refused_down > 0);
    match broken_up || broken_down {
        true => Err(format!(
            "safe {safe}, lossless {lossless}: {tried:?}\n{}\n---\n{}\n---\n{}",
            texts[0], texts[1], file.text
        )),
        false => Ok(Seen { safe, lossless }),
    }
}

/// Failures shown.
const SHOWN: usize = 3;

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

#[test]
fn what_is_called_safe_or_lossless_is_so_for_pairs_nobody_thought_of() {
    let seeds = match number("DKHOST_PAIR") {
        Some(one) => one..one + 1,
        None => 0..number("DKHOST_PAIRS").unwrap_or(600),
    };
    let is_sample = seeds.end - seeds.start >= 600;
    let (mut safe, mut lossless, mut wrong) = (0, 0, Vec::new());
    for seed in seeds {
        match look(seed) {
            Ok(seen) => {
                safe += u32::from(seen.safe);
                lossless += u32::from(seen.lossless);
            }
            Err(why) => wrong.push(format!("DKHOST_PAIR={seed}: {why}\n")),
        }
    }
    let shown = wrong.iter().take(SHOWN).cloned().collect::<String>();
    assert!(wrong.is_empty(), "{} pairs\n{shown}", wrong.len());
    assert!(
        !is_sample || safe.min(lossless) > 40,
        "{safe} safe, {lossless} lossless"
    );
}
