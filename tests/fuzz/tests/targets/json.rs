//! JSON Lines, and JSON arrays and objects of records.

use dkhost_fuzz::Fuzz;
use serde_json::json;

use crate::reading::{Case, check, gzip, variant};

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\",
    "\\u",
    "\\ud83e\\udd80",
    "\\ud800",
    "\\u0000",
    "null",
    "true",
    "NaN",
    "Infinity",
    "-0",
    "1e400",
    "{}",
    "[]",
    "\"id\":",
    "\"a\":",
    "\"rows\":",
    "\n",
    "\r\n",
    "{\"a\":1}\n",
    "{\"id\":\"x\",\"a\":null}",
    "\u{feff}",
    "\u{2028}",
    "[[",
    "{\"a\":{\"a\":",
    "1.0",
    "01",
    "\t",
    "//",
    "9007199254740993",
    "\"2020-02-29\"",
];

fn blank(gap: &[u8]) -> bool {
    gap.iter().all(u8::is_ascii_whitespace) || gap == b"\xef\xbb\xbf"
}

/// Between members of an array.
fn array(gap: &[u8]) -> bool {
    let gap = gap.strip_prefix(b"\xef\xbb\xbf").unwrap_or(gap);
    gap.iter()
        .all(|b| b.is_ascii_whitespace() || matches!(b, b',' | b'[' | b']'))
}

/// Below a pointer anything may stand around the records.
fn anything(_: &[u8]) -> bool {
    true
}

#[test]
fn json_lines_are_read_whole_or_refused_in_place() {
    Fuzz::target("jsonl")
        .words(WORDS)
        .rounds(400)
        .seed("0{\"id\":1,\"a\":\"x\",\"b\":[1,{\"c\":null}]}\n{\"id\":2.5}\n\n{\"a\":null,\"new\":true}")
        .run(|input| {
            let (variant, bytes) = variant(input, 4);
            let packed;
            let (name, bytes, options) = match variant {
                0 => ("x.jsonl", bytes, json!({})),
                1 => ("x.jsonl", bytes, json!({ "id": "id", "infer": 1 })),
                2 => ("x.jsonl", bytes, json!({ "fields": { "a": "int64", "b": "decimal(10,2)", "id": "utf8" } })),
                _ => {
                    packed = gzip(bytes);
                    ("x.jsonl.gz", &packed[..], json!({}))
                }
            };
            format!("{variant} {}", check(&Case { name, bytes, options, between: blank }))
        });
}

#[test]
fn json_documents_are_read_whole_or_refused_in_place() {
    Fuzz::target("json")
        .words(WORDS)
        .rounds(400)
        .seed("0[{\"id\":1,\"a\":\"x\"},\n {\"id\":2,\"b\":[1,2]} , {}]")
        .seed("1{\"n\":1,\"rows\":[{\"a\":[]},{\"a\":{\"b\":\"]\"}}],\"z\":{}}")
        .seed("2{\"k1\":{\"a\":1},\"k2\":{\"a\":2}}")
        .seed("3{\"k\":{\"fields\":{\"a\":{\"name\":\"a\",\"value\":1,\"type\":\"integer\",\"metadata\":{}}},\"id\":\"k\",\"metadata\":{}}}")
        .run(|input| {
            let (variant, bytes) = variant(input, 5);
            let packed;
            let (name, bytes, options, between): (_, _, _, fn(&[u8]) -> bool) = match variant {
                0 => ("x.json", bytes, json!({}), anything),
                1 => ("x.json", bytes, json!({ "records": "/rows" }), anything),
                2 => ("x.json", bytes, json!({ "records": "" }), anything),
                3 => ("x.json", bytes, json!({ "layout": "dataknobs" }), anything),
                _ => {
                    packed = gzip(bytes);
                    ("x.json.gz", &packed[..], json!({ "infer": 1 }), anything)
                }
            };
            let between = if variant == 0 && bytes.trim_ascii_start().starts_with(b"[") { array } else { between };
            format!("{variant} {}", check(&Case { name, bytes, options, between }))
        });
}
