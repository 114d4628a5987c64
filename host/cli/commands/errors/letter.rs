//! One refused record, for people and for programs.

use dkhost_core::json::Scanner;
use dkhost_engine::history::Letter;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::escape::{escape, escape_lines};
use crate::screen::Paint;
use crate::table::{Cell, Table, bytes};

/// A letter as programs read it: the payload as JSON where it is JSON, as text where it is text.
#[derive(Debug, Serialize)]
pub struct Object<'a> {
    number: i64,
    job: &'a str,
    run: &'a str,
    partition: u32,
    batch: u64,
    row: u32,
    source_id: Option<&'a str>,
    locator: &'a dkhost_core::Locator,
    kind: &'static str,
    stage: &'a str,
    column: Option<&'a str>,
    code: &'a str,
    message: &'a str,
    plugin_digest: Option<&'a str>,
    attempts: u32,
    repeats: Option<i64>,
    resolved_by: Option<&'a str>,
    media: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    payload_length: u64,
    payload_sha256: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

/// A letter for programs.
pub fn object(found: &Letter) -> Object<'_> {
    let letter = &found.letter;
    let payload = std::str::from_utf8(&letter.payload)
        .ok()
        .map(|text| payload(text, &letter.media));
    let payload_base64 = match &payload {
        Some(_) => None,
        None => {
            use base64::Engine;
            Some(base64::engine::general_purpose::STANDARD.encode(&letter.payload))
        }
    };
    Object {
        number: found.number,
        job: &letter.job,
        run: &letter.run,
        partition: letter.partition,
        batch: letter.batch,
        row: letter.row,
        source_id: letter.source_id.as_deref(),
        locator: &letter.locator,
        kind: letter.kind.word(),
        stage: &letter.stage,
        column: letter.column.as_deref(),
        code: &letter.code,
        message: &letter.message,
        plugin_digest: letter.plugin_digest.as_deref(),
        attempts: letter.attempts,
        repeats: letter.repeats,
        resolved_by: found.resolved_by.as_deref(),
        media: &letter.media,
        payload,
        payload_base64,
        payload_length: letter.payload_length,
        payload_sha256: &letter.payload_sha256,
    }
}

fn payload<'a>(text: &'a str, media: &str) -> Payload<'a> {
    // Over several lines it would break JSON Lines, and what is refused for its escapes or its depth
    // would break whoever reads the list: its text is then kept as text.
    let mut scanner = Scanner::new(text);
    let is_sound = scanner.value().is_ok() && scanner.end().is_ok();
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) if media == "json" && is_sound && !text.contains('\n') => Payload::Json(raw),
        _ => Payload::Text(text),
    }
}

/// A letter for people.
pub fn lines(found: &Letter, paint: Paint) -> Vec<String> {
    let letter = &found.letter;
    let mut lines = vec![format!(
        "{} {}",
        paint.bold(&format!("refused record {}", found.number)),
        paint.dim(&escape(&letter.code))
    )];
    let mut table = Table::indented(2);
    let mut fact = |name: &str, text: &str| {
        table.row([
            Cell::new(name).painted(|name| paint.dim(name)),
            Cell::new(escape(text)),
        ])
    };
    fact("why", &letter.message);
    fact("by", &format!("{} ({})", letter.stage, letter.kind.word()));
    if let Some(column) = &letter.column {
        fact("column", column);
    }
    fact("where", &letter.locator.to_string());
    if let Some(id) = &letter.source_id {
        fact("id", id);
    }
    fact("job", &letter.job);
    fact("run", &letter.run);
    fact(
        "batch",
        &format!(
            "{} of partition {}, record {}",
            letter.batch, letter.partition, letter.row
        ),
    );
    if let Some(digest) = &letter.plugin_digest {
        fact("plugin", digest);
    }
    if let Some(earlier) = letter.repeats {
        fact(
            "attempts",
            &format!("{}; the one before is number {earlier}", letter.attempts),
        );
    }
    fact("resolved", found.resolved_by.as_deref().unwrap_or("no"));
    fact("sha256", &letter.payload_sha256);
    lines.extend(table.lines());
    lines.push(String::new());
    lines.push(paint.bold(&format!(
        "the record as it was read ({}, {})",
        escape(&letter.media),
        bytes(letter.payload_length)
    )));
    let text = String::from_utf8_lossy(&letter.payload);
    lines.push(format!(
        "  {}",
        escape_lines(&pretty(&text, &letter.media)).replace('\n', "\n  ")
    ));
    if (letter.payload.len() as u64) < letter.payload_length {
        lines.push(paint.dim(&format!(
            "  … only the first {} were kept",
            bytes(letter.payload.len() as u64)
        )));
    }
    lines
}

/// A JSON object with a line for each field, its values as they were written.
fn pretty(text: &str, media: &str) -> String {
    let Ok(fields) = serde_json::from_str::<Fields>(text) else {
        return text.trim_end().to_owned();
    };
    if media != "json" || fields.0.is_empty() {
        return text.trim_end().to_owned();
    }
    let fields: Vec<String> = fields
        .0
        .iter()
        .map(|(name, value)| format!("  {name}: {value}"))
        .collect();
    format!("{{\n{}\n}}", fields.join(",\n"))
}

/// The members of an object in their order, both sides as JSON text.
struct Fields(Vec<(String, String)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Fields, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.push((
                        serde_json::Value::from(name).to_string(),
                        value.get().to_owned(),
                    ));
                }
                Ok(Fields(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_its_order_and_its_digits() {
        assert_eq!(
            pretty(
                r#"{"z": 9007199254740993, "a": {"b": [1]}, "z": 1.50}"#,
                "json"
            ),
            "{\n  \"z\": 9007199254740993,\n  \"a\": {\"b\": [1]},\n  \"z\": 1.50\n}"
        );
    }

    #[test]
    fn what_is_no_object_stays_as_it_was() {
        assert_eq!(pretty("{broken", "json"), "{broken");
        assert_eq!(pretty("{\"a\": 1}", "csv"), "{\"a\": 1}");
    }
}
