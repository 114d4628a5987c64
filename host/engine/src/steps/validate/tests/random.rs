//! Random columns under random rules, against a plain judgement of value after value.

use dkhost_core::{LogicalType, Node, NodeKind};
use dkhost_schema::FieldVersion;
use dkhost_schema::constant::Constant;

use super::{bind, one, version};
use crate::steps::testing::{batch, input};

/// SplitMix64: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// A value of a type as a file without types would hold it; few enough that rules meet them.
    fn value(&mut self, logical: &str) -> String {
        let n = self.below(20) as i64 - 10;
        match logical {
            "int32" | "int64" => n.to_string(),
            "uint64" => (n + 10).to_string(),
            "float64" | "float32" => format!("{}", n as f64 / 4.0),
            "decimal(6, 2)" => format!("{n}.{}", self.below(10)),
            "number" => match self.below(3) {
                0 => format!("{n}"),
                1 => format!("{n}.{}0", self.below(10)),
                _ => format!("{}e{}", n, self.below(3)),
            },
            "date32" => format!("2026-01-{:02}", n + 11),
            "time64" => format!("{:02}:30:00", n + 11),
            "timestamp(us, UTC)" => format!("2026-01-{:02}T10:00:00Z", n + 11),
            "timestamp" => format!("2026-01-{:02}T10:00:00", n + 11),
            "boolean" => (n > 0).to_string(),
            "uuid" => format!("0191f2a0-0000-7000-8000-0000000000{:02}", n + 11),
            _ => {
                let letters = ["a", "b", " ", "é", "\u{3000}", "\u{1f600}", "1"];
                let length = self.below(6);
                (0..length)
                    .map(|_| letters[self.below(letters.len() as u64) as usize])
                    .collect()
            }
        }
    }
}

fn quoted(logical: &str, value: &str) -> String {
    match logical {
        "boolean" => value.to_owned(),
        _ => serde_json::Value::from(value).to_string(),
    }
}

/// Some lines of rules that suit the type.
fn rules(dice: &mut Dice, logical: &str) -> String {
    let mut lines = String::new();
    let parsed: LogicalType = logical.parse().unwrap();
    if dice.below(3) == 0 {
        lines.push_str("required = true\n");
    }
    if dkhost_schema::constant::is_ordered(&parsed) && dice.below(2) == 0 {
        let (one, two) = (dice.value(logical), dice.value(logical));
        let read = |text: &str| constant(text, &parsed);
        let is_less = read(&one).order(&read(&two), &parsed) == Some(std::cmp::Ordering::Less);
        let (min, max) = if is_less { (one, two) } else { (two, one) };
        let bounds = match dice.below(3) {
            0 => format!("min = \"{min}\""),
            1 => format!("max = \"{max}\""),
            _ => format!("min = \"{min}\", max = \"{max}\""),
        };
        lines.push_str(&format!("range = {{ {bounds} }}\n"));
    }
    if logical == "utf8" {
        let patterns = ["^[a-b ]*$", "é", "^.{2,3}$", "\\\\s"];
        match dice.below(4) {
            0 => lines.push_str(&format!(
                "pattern = \"{}\"\n",
                patterns[dice.below(4) as usize]
            )),
            1 => lines.push_str(&format!(
                "length = {{ min = {}, max = 4 }}\n",
                dice.below(4)
            )),
            2 => lines.push_str("not_empty = true\nlength = { max = 3 }\n"),
            _ => {}
        }
    }
    if dice.below(3) == 0 {
        let values = 1 + dice.below(12);
        let values: Vec<String> = (0..values)
            .map(|_| quoted(logical, &dice.value(logical)))
            .collect();
        lines.push_str(&format!("one_of = [{}]\n", values.join(", ")));
    }
    lines
}

fn constant(text: &str, logical: &LogicalType) -> Constant {
    let kind = match logical {
        LogicalType::Boolean => NodeKind::Boolean(text == "true"),
        _ => NodeKind::Text(text.to_owned()),
    };
    Constant::read(&Node::new(kind), "v", logical).unwrap()
}

/// The code of the first rule a value breaks.
fn judged(field: &FieldVersion, value: Option<&str>) -> Option<String> {
    match value {
        None => field.required.then(|| "schema::required".to_owned()),
        Some(text) => {
            let value = constant(text, &field.logical);
            let broken = field.rules.broken_by(&value, &field.logical)?;
            Some(format!("schema::{}", broken.split(' ').next().unwrap()))
        }
    }
}

const TYPES: [&str; 14] = [
    "int32",
    "int64",
    "uint64",
    "float64",
    "float32",
    "decimal(6, 2)",
    "number",
    "date32",
    "time64",
    "timestamp",
    "timestamp(us, UTC)",
    "boolean",
    "uuid",
    "utf8",
];

#[test]
fn columns_are_judged_as_their_values_one_by_one() {
    let mut dice = Dice(7);
    let (mut refused, mut taken) = (0, 0);
    for round in 0..600 {
        let logical = if round % 2 == 0 {
            "utf8"
        } else {
            TYPES[round / 2 % TYPES.len()]
        };
        let toml = one(logical, &rules(&mut dice, logical));
        let version = version(&toml);
        let schema = input(&[("v", logical)]);
        let values: Vec<Option<String>> = (0..40)
            .map(|_| (dice.below(5) > 0).then(|| dice.value(logical)))
            .collect();
        let json = |value: &String| match version.fields[0].logical.is_numeric() {
            true => value.clone(),
            false => quoted(logical, value),
        };
        let records = values.iter().map(|value| match value {
            Some(value) => format!("{{\"v\":{}}}", json(value)),
            None => "{}".to_owned(),
        });
        let records = batch(&schema, &records.collect::<Vec<_>>().join(" "));
        let step = bind(&toml, false, &schema).unwrap();
        let changed = step.open(0).unwrap().apply(&records).unwrap();
        for (row, value) in values.iter().enumerate() {
            let wanted = judged(&version.fields[0], value.as_deref());
            let reject = changed
                .rejects
                .iter()
                .find(|reject| reject.row == row as u32);
            let codes = reject.map(|reject| reject.code.clone());
            let same = match (&wanted, &codes) {
                (None, None) => true,
                // The plain judgement stops at the first.
                (Some(wanted), Some(code)) => code == wanted || code == "schema::violations",
                _ => false,
            };
            assert!(same, "{value:?} under\n{toml}\n{wanted:?} {reject:?}");
            match wanted {
                Some(_) => refused += 1,
                None => taken += 1,
            }
        }
        assert_eq!(changed.records.num_rows(), 40 - changed.rejects.len());
    }
    assert!(refused > 5_000 && taken > 5_000, "{refused} {taken}");
}
