//! Separated values in every shape the options allow.

use dkhost_fuzz::Fuzz;
use serde_json::json;

use crate::reading::{Case, check, gzip, variant};

const WORDS: &[&str] = &[
    "\"",
    "\"\"",
    ",",
    "\t",
    ";",
    "\n",
    "\r\n",
    "\r",
    "a,b,c\n",
    "\"open",
    "\"a\nb\"",
    "\"x\"y",
    "NA",
    "null",
    "true",
    "2020-02-29",
    "24:00",
    "1,2,3,4,5,6,7,8",
    "\u{feff}",
    ",,\n",
    "id",
    "\"\n\"",
    "1.5e3",
    "0x1F",
];

/// Between two records: line breaks and empty lines. Before the first also the header, told by the
/// caller.
fn between(gap: &[u8]) -> bool {
    let gap = gap.strip_prefix(b"\xef\xbb\xbf").unwrap_or(gap);
    gap.iter().all(|b| matches!(b, b'\n' | b'\r'))
}

/// Any header before the first record is in the gap; what it may be is not this target's business.
fn anything_once(_: &[u8]) -> bool {
    true
}

#[test]
fn separated_values_are_read_whole_or_refused_in_place() {
    let real = include_str!("../../../data/real/birdstrikes.csv");
    let head = |lines: usize| real.lines().take(lines).collect::<Vec<_>>().join("\n");
    Fuzz::target("csv")
        .words(WORDS)
        .rounds(300)
        .seed(format!("0{}", head(6)))
        .seed(format!("3{}", head(4)))
        .seed("1a\tb\n1\t2\n".to_owned())
        .run(|input| {
            let (variant, bytes) = variant(input, 6);
            let packed;
            let (name, bytes, options) = match variant {
                0 => ("x.csv", bytes, json!({})),
                1 => ("x.tsv", bytes, json!({ "csv": { "null": ["", "NA"] } })),
                2 => (
                    "x.csv",
                    bytes,
                    json!({ "csv": { "header": false, "delimiter": ";" }, "infer": 2 }),
                ),
                3 => (
                    "x.csv",
                    bytes,
                    json!({ "fields": { "id": "int64", "a": "decimal(10,2)", "b": "date32" } }),
                ),
                4 => (
                    "x.csv",
                    bytes,
                    json!({ "csv": { "quote": "'", "header": false }, "infer": 1 }),
                ),
                _ => {
                    packed = gzip(bytes);
                    ("x.csv.gz", &packed[..], json!({}))
                }
            };
            let header = !matches!(variant, 2 | 4);
            let between = if header { anything_once } else { between };
            format!(
                "{variant} {}",
                check(&Case {
                    name,
                    bytes,
                    options,
                    between
                })
            )
        });
}
