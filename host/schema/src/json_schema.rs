//! A version as JSON Schema (draft 2020-12), and back.
//!
//! What JSON Schema cannot say stands under `x-dkhost`, beside what it can: other programs check what
//! they understand, and an import of an export gives the same version.

mod import;

use dkhost_core::LogicalType;
use serde_json::{Map, Value, json};

use crate::constant::Constant;
use crate::toml_text::toml;
use crate::version::{FieldVersion, SchemaVersion};

pub use import::{Imported, from_json_schema};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The version as JSON Schema. Its TOML stands under `x-dkhost`, so that nothing is lost.
pub fn json_schema(version: &SchemaVersion) -> Value {
    let fields = version.fields.iter();
    let properties: Map<String, Value> = fields
        .map(|field| (field.name.clone(), property(field, version.needs(field))))
        .collect();
    let needed = version.fields.iter().filter(|field| version.needs(field));
    let required: Vec<&str> = needed.map(|field| field.name.as_str()).collect();
    let mut schema = json!({
        "$schema": DRAFT,
        "title": version.id.to_string(),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": version.open,
        "x-dkhost": toml(version),
    });
    if !version.description.is_empty() {
        schema["description"] = json!(version.description);
    }
    schema
}

fn property(field: &FieldVersion, needed: bool) -> Value {
    let mut property = kind(&field.logical);
    // Only null can be null twice.
    if let Some(word) = property
        .get_mut("type")
        .filter(|word| !needed && *word != "null")
    {
        *word = json!([word, "null"]);
    }
    let rules = &field.rules;
    let value = |constant: &Constant| constant.to_json(&field.logical);
    let range = rules.range.as_ref().filter(|_| field.logical.is_numeric());
    // Infinity is no number of JSON.
    let number = |end: &Option<Constant>| end.as_ref().map(value).filter(Value::is_number);
    let ends = range.map(|range| [&range.min, &range.max].map(number));
    let [minimum, maximum] = ends.unwrap_or_default();
    let length = rules.length.as_ref();
    let ends = length.map(|length| [length.min, length.max].map(|end| end.map(Value::from)));
    let [shortest, longest] = ends.unwrap_or_default();
    let pattern = rules.pattern.as_ref().map(|pattern| json!(pattern.text()));
    // Beside a pattern, which may be satisfied by white space.
    let not_empty = rules.not_empty.then(|| json!([{ "pattern": "\\S" }]));
    let described = (!field.description.is_empty()).then(|| json!(field.description));
    let null = (!needed).then_some(Value::Null);
    let values = (!rules.one_of.is_empty()).then(|| rules.one_of.iter().map(value).chain(null));
    for (key, said) in [
        ("description", described),
        ("default", field.default.as_ref().map(value)),
        ("minimum", minimum),
        ("maximum", maximum),
        ("minLength", shortest),
        ("maxLength", longest),
        ("pattern", pattern),
        ("allOf", not_empty),
        ("enum", values.map(Value::from_iter)),
    ] {
        if let Some(said) = said {
            property.insert(key.to_owned(), said);
        }
    }
    Value::Object(property)
}

/// JSON Schema's words for a type. Its `time` and `date-time` have an offset, which not all of ours
/// have.
fn kind(logical: &LogicalType) -> Map<String, Value> {
    let said = match logical {
        LogicalType::Null => json!({ "type": "null" }),
        LogicalType::Boolean => json!({ "type": "boolean" }),
        LogicalType::Int32 | LogicalType::Int64 | LogicalType::UInt64 => {
            json!({ "type": "integer" })
        }
        logical if logical.is_numeric() => json!({ "type": "number" }),
        LogicalType::Date32 => json!({ "type": "string", "format": "date" }),
        LogicalType::Timestamp(Some(_)) => json!({ "type": "string", "format": "date-time" }),
        LogicalType::Uuid => json!({ "type": "string", "format": "uuid" }),
        LogicalType::Vector(length) => {
            json!({ "type": "array", "items": { "type": "number" }, "minItems": length, "maxItems": length })
        }
        LogicalType::Json => json!({}),
        _ => json!({ "type": "string" }),
    };
    match said {
        Value::Object(said) => said,
        _ => Map::new(),
    }
}
