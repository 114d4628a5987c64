//! Records that satisfy a version, made up: to try migrations on, and for tests.
//!
//! The same seed gives the same records. Bounds come up more often than what lies between them, and
//! so do nulls, empty and non-ASCII texts where they are allowed.

use std::collections::HashSet;

use crate::constant::Constant;
use crate::rule::{Bounds, Rules};
use crate::version::{FieldVersion, SchemaVersion};
use dkhost_core::LogicalType;

/// How often a value is made up before a rule is taken to be out of reach.
const TRIES: usize = 200;

/// A made-up record: for each field, in order, its value as a file without types would hold it.
pub type Texts = Vec<Option<String>>;

/// Made-up records of a version.
///
/// *Errors* – the name of a field that must have a value and for which none was found: a pattern of
/// an unusual shape, more records than unique values, a binary field. Checks, which are expressions,
/// are not looked at: some of the records may break them.
pub fn records(version: &SchemaVersion, count: usize, seed: u64) -> Result<Vec<Texts>, String> {
    let mut dice = Dice(seed);
    let mut used = Used {
        values: vec![HashSet::new(); version.fields.len()],
        keys: HashSet::new(),
    };
    (0..count)
        .map(|_| record(version, &mut used, &mut dice))
        .collect()
}

/// What other records have already.
struct Used {
    /// Of each field that is unique.
    values: Vec<HashSet<String>>,
    /// Keys, the values of their fields in the order of the fields.
    keys: HashSet<Texts>,
}

/// A record whose key no other has.
fn record(version: &SchemaVersion, used: &mut Used, dice: &mut Dice) -> Result<Texts, String> {
    for _ in 0..TRIES {
        let fields = version.fields.iter().zip(&used.values);
        let made = fields.map(|(field, used)| value(version, field, used, dice));
        let made: Texts = made.collect::<Result<_, _>>()?;
        let fields = || version.fields.iter().zip(&made);
        let key = fields().filter(|(field, _)| version.key.contains(&field.name));
        let key: Texts = key.map(|(_, text)| text.clone()).collect();
        if !key.is_empty() && !used.keys.insert(key) {
            continue;
        }
        for ((field, text), used) in fields().zip(&mut used.values) {
            if field.rules.unique {
                used.extend(text.clone());
            }
        }
        return Ok(made);
    }
    Err(version.key.first().cloned().unwrap_or_default())
}

/// A field's value; `None` for one that is not there.
fn value(
    version: &SchemaVersion,
    field: &FieldVersion,
    used: &HashSet<String>,
    dice: &mut Dice,
) -> Result<Option<String>, String> {
    let needed = version.needs(field);
    if !needed && dice.below(5) == 0 {
        return Ok(None);
    }
    if let LogicalType::Vector(length) = field.logical {
        let numbers = (0..length).map(|_| format!("{}", dice.below(1_000) as f64 / 8.0));
        return Ok(Some(format!("[{}]", numbers.collect::<Vec<_>>().join(","))));
    }
    for attempt in 0..TRIES {
        let Some(text) = guess(field, attempt, dice) else {
            break;
        };
        let constant = Constant::of_text(&text);
        let fits = dkhost_core::text::fits(&field.logical, &text)
            && field.rules.broken_by(&constant, &field.logical).is_none();
        if fits && !used.contains(&text) {
            return Ok(Some(text));
        }
    }
    match needed {
        true => Err(field.name.clone()),
        false => Ok(None),
    }
}

/// A value that may do, as text; `None` for types of which none is made up.
fn guess(field: &FieldVersion, attempt: usize, dice: &mut Dice) -> Option<String> {
    let rules = &field.rules;
    if !rules.one_of.is_empty() {
        let at = dice.below(rules.one_of.len() as u64) as usize;
        return Some(rules.one_of[at].text().to_owned());
    }
    if let Some(bounds) = &rules.range
        && dice.below(4) == 0
    {
        let ends = [&bounds.min, &bounds.max];
        if let Some(end) = ends[dice.below(2) as usize] {
            return Some(end.text().to_owned());
        }
    }
    Some(match &field.logical {
        LogicalType::Boolean => (dice.below(2) == 0).to_string(),
        LogicalType::Int32 => whole(rules, i32::MIN.into(), i32::MAX.into(), dice),
        LogicalType::Int64 => whole(rules, i64::MIN.into(), i64::MAX.into(), dice),
        LogicalType::UInt64 => whole(rules, 0, u64::MAX.into(), dice),
        LogicalType::Decimal(precision, scale) => decimal(rules, *precision, *scale, dice),
        LogicalType::Float32 | LogicalType::Float64 | LogicalType::Number => {
            format!("{}.5", whole(rules, -1_000_000, 1_000_000, dice))
        }
        LogicalType::Utf8 => text(rules, attempt, dice),
        LogicalType::Json => json(dice),
        LogicalType::Date32 => date(dice),
        LogicalType::Time64 => time(dice),
        LogicalType::Timestamp(None) => format!("{}T{}", date(dice), time(dice)),
        LogicalType::Timestamp(Some(_)) => format!("{}T{}Z", date(dice), time(dice)),
        LogicalType::Uuid => {
            let (high, low) = (dice.next(), dice.next());
            format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                high >> 32,
                (high >> 16) & 0xffff,
                high & 0xffff,
                low >> 48,
                low & 0xffff_ffff_ffff
            )
        }
        LogicalType::Null | LogicalType::Binary | LogicalType::Vector(_) => return None,
    })
}

/// A whole number within the type and, where it is known, the range.
fn whole(rules: &Rules, least: i128, most: i128, dice: &mut Dice) -> String {
    let end = |bound: Option<&Constant>| {
        let text = bound?.text();
        text.split('.').next()?.parse::<i128>().ok()
    };
    let range = rules.range.as_ref();
    let low = end(range.and_then(|range| range.min.as_ref())).map_or(least, |min| min.max(least));
    let high = end(range.and_then(|range| range.max.as_ref())).map_or(most, |max| max.min(most));
    if low >= high {
        return low.to_string();
    }
    let span = (high - low) as u128;
    match dice.below(6) {
        0 => low.to_string(),
        1 => high.to_string(),
        // Around zero, where most numbers are.
        2 | 3 => (dice.below(200) as i128 - 50).clamp(low, high).to_string(),
        _ => (low + (u128::from(dice.next()) % (span + 1)) as i128).to_string(),
    }
}

fn decimal(rules: &Rules, precision: u8, scale: i8, dice: &mut Dice) -> String {
    let digits = i32::from(precision) - i32::from(scale);
    let most = 10i128.pow(digits.clamp(0, 18) as u32) - 1;
    let whole = whole(rules, -most, most, dice);
    match scale {
        ..=0 => whole,
        scale => {
            let behind = 10u64.pow((scale as u32).min(9));
            let width = scale.min(9) as usize;
            format!("{whole}.{:0width$}", dice.below(behind))
        }
    }
}

const WORDS: [&str; 12] = [
    "",
    "a",
    "Ada Lovelace",
    "Grace",
    "x y",
    "Ünïcödé",
    "名前",
    "O'Brien",
    "a\"b",
    " padded ",
    "0012",
    "none",
];

/// Texts that patterns often ask for, tried in turn.
fn text(rules: &Rules, attempt: usize, dice: &mut Dice) -> String {
    let number = dice.below(100_000);
    if rules.pattern.is_some() {
        return match attempt % 8 {
            0 => format!("user{number}@example.com"),
            1 => format!("{number:05}"),
            2 => format!("A{number}"),
            3 => format!("abc{number}"),
            4 => format!("+49{number:07}"),
            5 => format!(
                "{}-{:02}-{:02}",
                1970 + number % 60,
                1 + number % 12,
                1 + number % 28
            ),
            6 => number.to_string(),
            _ => format!("{}{number}", (b'A' + (number % 26) as u8) as char),
        };
    }
    let word = WORDS[dice.below(WORDS.len() as u64) as usize];
    let mut text = match dice.below(3) {
        0 => word.to_owned(),
        _ => format!("{word}{number}"),
    };
    if let Some(Bounds { min, max }) = &rules.length {
        while (text.chars().count() as u64) < min.unwrap_or(0) {
            text.push('é');
        }
        let most = max.unwrap_or(u64::MAX).min(1 << 20) as usize;
        text = text.chars().take(most).collect();
    }
    text
}

fn json(dice: &mut Dice) -> String {
    const VALUES: [&str; 6] = [
        "{\"a\":1}",
        "[1,2]",
        "\"text\"",
        "7",
        "true",
        "{\"b\":{\"c\":null}}",
    ];
    VALUES[dice.below(VALUES.len() as u64) as usize].to_owned()
}

fn date(dice: &mut Dice) -> String {
    let (year, month, day) = (
        1900 + dice.below(200),
        1 + dice.below(12),
        1 + dice.below(28),
    );
    format!("{year:04}-{month:02}-{day:02}")
}

fn time(dice: &mut Dice) -> String {
    let (hour, minute, second) = (dice.below(24), dice.below(60), dice.below(60));
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// Numbers that look random and are the same for a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_records_satisfy_their_version() {
        let text = "key = ['id']\n[fields.id]\ntype = 'int64'\n\
            [fields.age]\ntype = 'int32'\nrange = { min = 0, max = 150 }\n\
            [fields.email]\ntype = 'utf8'\nrequired = true\npattern = '^[^@]+@[^@]+$'\nlength = { max = 40 }\n\
            [fields.kind]\ntype = 'utf8'\none_of = ['a', 'b']\n\
            [fields.price]\ntype = 'decimal(10, 2)'\nrange = { min = 0 }\n\
            [fields.born]\ntype = 'date32'\n[fields.at]\ntype = 'timestamp(us, UTC)'\n\
            [fields.name]\ntype = 'utf8'\nnot_empty = true\nlength = { min = 3 }\nunique = true\n";
        let version = crate::read("user@1.0.0".parse().unwrap(), text).unwrap();
        let made = records(&version, 500, 7).unwrap();
        assert_eq!(made, records(&version, 500, 7).unwrap());
        let ids: HashSet<&String> = made
            .iter()
            .filter_map(|record| record[0].as_ref())
            .collect();
        assert_eq!(ids.len(), 500);
        for (at, field) in version.fields.iter().enumerate() {
            let mut some = 0;
            for text in made.iter().filter_map(|record| record[at].as_ref()) {
                let value = Constant::of_text(text);
                assert_eq!(
                    field.rules.broken_by(&value, &field.logical),
                    None,
                    "{text}"
                );
                some += 1;
            }
            assert!(some > 300, "{}: {some}", field.name);
        }
    }

    #[test]
    fn a_field_that_cannot_be_made_up_is_named() {
        let text = "[fields.code]\ntype = 'utf8'\nrequired = true\npattern = '^zzz[0-9]{40}$'\n";
        let version = crate::read("user@1.0.0".parse().unwrap(), text).unwrap();
        assert_eq!(records(&version, 1, 0).unwrap_err(), "code");
    }

    #[test]
    fn the_fields_of_a_key_tell_records_apart_together() {
        let text = "key = ['kind', 'year', 'number']\n[fields.kind]\ntype = 'utf8'\none_of = ['a', 'b']\n\
            [fields.year]\ntype = 'int32'\nrange = { min = 2020, max = 2029 }\n\
            [fields.number]\ntype = 'int32'\nrange = { min = 0, max = 9 }\n";
        let version = crate::read("user@1.0.0".parse().unwrap(), text).unwrap();
        let made = records(&version, 100, 3).unwrap();
        let keys: HashSet<&Texts> = made.iter().collect();
        assert_eq!(keys.len(), 100);
        let error = records(&version, 201, 3).unwrap_err();
        assert_eq!(error, "kind");
    }
}
