//! A version as JSON Schema (draft 2020-12), and back.
//!
//! What JSON Schema cannot say stands under `x-dkhost`, beside what it can: other programs check what
//! they understand, and an import of an export gives the same version.

use dkhost_core::{Error, LogicalType, Node, NodeKind, Result};
use serde_json::{Map, Value, json};

use crate::read::from_node as read_node;
use crate::rule::Bounds;
use crate::version::{FieldVersion, SchemaId, SchemaVersion};
use crate::{read, toml_text::toml};

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
    let (word, format) = kind(&field.logical);
    let mut property = Map::new();
    let mut say = |key: &str, value: Value| property.insert(key.to_owned(), value);
    if let Some(word) = word {
        say(
            "type",
            if needed {
                json!(word)
            } else {
                json!([word, "null"])
            },
        );
    }
    if let Some(format) = format {
        say("format", json!(format));
    }
    if !field.description.is_empty() {
        say("description", json!(field.description));
    }
    if let Some(default) = &field.default {
        say("default", default.to_json(&field.logical));
    }
    let rules = &field.rules;
    let is_number = field.logical.is_numeric() && word != Some("string");
    if let Some(Bounds { min, max }) = rules.range.as_ref().filter(|_| is_number) {
        for (key, end) in [("minimum", min), ("maximum", max)] {
            if let Some(end) = end {
                say(key, end.to_json(&field.logical));
            }
        }
    }
    if let Some(Bounds { min, max }) = &rules.length {
        for (key, end) in [("minLength", min), ("maxLength", max)] {
            if let Some(end) = end {
                say(key, json!(end));
            }
        }
    }
    if let Some(pattern) = &rules.pattern {
        say("pattern", json!(pattern.text()));
    } else if rules.not_empty {
        say("pattern", json!("\\S"));
    }
    if !rules.one_of.is_empty() {
        let values = rules
            .one_of
            .iter()
            .map(|value| value.to_json(&field.logical));
        let null = (!needed).then_some(Value::Null);
        say("enum", values.chain(null).collect());
    }
    Value::Object(property)
}

/// JSON Schema's words for a type and its format.
fn kind(logical: &LogicalType) -> (Option<&'static str>, Option<&'static str>) {
    match logical {
        LogicalType::Null => (Some("null"), None),
        LogicalType::Boolean => (Some("boolean"), None),
        LogicalType::Int32 | LogicalType::Int64 | LogicalType::UInt64 => (Some("integer"), None),
        LogicalType::Float32 | LogicalType::Float64 | LogicalType::Number => (Some("number"), None),
        LogicalType::Decimal(..) => (Some("number"), None),
        LogicalType::Utf8 => (Some("string"), None),
        LogicalType::Binary => (Some("string"), None),
        LogicalType::Json => (None, None),
        LogicalType::Date32 => (Some("string"), Some("date")),
        LogicalType::Time64 => (Some("string"), Some("time")),
        LogicalType::Timestamp(Some(_)) => (Some("string"), Some("date-time")),
        LogicalType::Timestamp(None) => (Some("string"), None),
        LogicalType::Uuid => (Some("string"), Some("uuid")),
        LogicalType::Vector(_) => (Some("array"), None),
    }
}

/// A version made of a JSON Schema, and what of it could not be said, a line each.
#[derive(Debug)]
pub struct Imported {
    /// The version.
    pub version: SchemaVersion,
    /// Keywords that were left out, and where.
    pub warnings: Vec<String>,
}

/// Reads a JSON Schema.
///
/// *Errors* – `schema::json_schema` for text that is no JSON Schema of objects; those of [`read()`] for
/// rules that make no sense.
pub fn from_json_schema(id: SchemaId, text: &str) -> Result<Imported> {
    let wrong = |why: String| {
        Error::config(
            "schema::json_schema",
            format!("this is no JSON Schema of records: {why}"),
        )
        .help("a schema of records has `properties`; point at the one that is meant")
    };
    let schema: Value = serde_json::from_str(text).map_err(|cause| wrong(cause.to_string()))?;
    if let Some(own) = schema.get("x-dkhost").and_then(Value::as_str) {
        return Ok(Imported {
            version: read(id, own)?,
            warnings: Vec::new(),
        });
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.ok_or_else(|| wrong("it has no `properties`".to_owned()))?;
    let mut import = Import {
        root: &schema,
        warnings: Vec::new(),
    };
    let required = import.names(&schema, "required");
    let mut fields = Vec::new();
    for (name, property) in properties {
        let node = import.field(name, property, required.contains(&name.as_str()));
        fields.push((name.clone(), 0..0, node));
    }
    let mut entries = vec![
        (
            "fields".to_owned(),
            0..0,
            Node::new(NodeKind::Table(fields)),
        ),
        entry(
            "open",
            json!(schema.get("additionalProperties") != Some(&Value::Bool(false))),
        ),
    ];
    if let Some(text) = schema.get("description").filter(|text| text.is_string()) {
        entries.push(entry("description", text.clone()));
    }
    import.leftovers(
        "the schema",
        &schema,
        &[
            "$schema",
            "$id",
            "$defs",
            "definitions",
            "title",
            "type",
            "properties",
            "required",
            "additionalProperties",
            "description",
        ],
    );
    Ok(Imported {
        version: read_node(id, Node::new(NodeKind::Table(entries)))?,
        warnings: import.warnings,
    })
}

fn entry(name: &str, value: Value) -> (String, dkhost_core::Span, Node) {
    (name.to_owned(), 0..0, Node::from_json(&value))
}

struct Import<'a> {
    root: &'a Value,
    warnings: Vec<String>,
}

impl<'a> Import<'a> {
    fn names(&self, schema: &'a Value, key: &str) -> Vec<&'a str> {
        let list = schema.get(key).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    fn warn(&mut self, name: &str, what: impl std::fmt::Display) {
        self.warnings.push(format!("`{name}`: {what}"));
    }

    /// The schema that a `$ref` within the document names.
    fn resolved(&mut self, name: &str, property: &'a Value) -> &'a Value {
        let mut found = property;
        for _ in 0..16 {
            let Some(reference) = found.get("$ref").and_then(Value::as_str) else {
                return found;
            };
            let target = reference
                .strip_prefix('#')
                .and_then(|path| self.root.pointer(path));
            match target {
                Some(target) => found = target,
                None => {
                    self.warn(name, format_args!("$ref {reference} leads nowhere"));
                    return found;
                }
            }
        }
        self.warn(name, "$ref goes in a circle");
        found
    }

    fn field(&mut self, name: &str, property: &'a Value, listed: bool) -> Node {
        let outer = property;
        let mut property = self.resolved(name, property);
        let mut nullable = false;
        // `oneOf` or `anyOf` of something and null is something that may be null.
        for key in ["oneOf", "anyOf"] {
            if let Some([one, other]) = property
                .get(key)
                .and_then(Value::as_array)
                .map(Vec::as_slice)
            {
                let is_null = |one: &Value| one.get("type") == Some(&json!("null"));
                match (is_null(one), is_null(other)) {
                    (false, true) => (property, nullable) = (one, true),
                    (true, false) => (property, nullable) = (other, true),
                    _ => (),
                }
                property = self.resolved(name, property);
            }
        }
        let mut words = self.names(property, "type");
        words.extend(property.get("type").and_then(Value::as_str));
        nullable |= words.contains(&"null");
        words.retain(|word| *word != "null");
        let logical = self.logical(name, property, &words);
        let mut entries = vec![
            entry("type", json!(logical.to_string())),
            entry("required", json!(listed && !nullable)),
        ];
        self.rules(name, property, &logical, &mut entries);
        for key in ["default", "description"] {
            let said = outer.get(key).or_else(|| property.get(key));
            if let Some(value) = said.filter(|value| !value.is_null()) {
                entries.push(entry(key, text_of(value, &logical)));
            }
        }
        self.leftovers(
            name,
            property,
            &[
                "type",
                "format",
                "minimum",
                "maximum",
                "minLength",
                "maxLength",
                "pattern",
                "enum",
                "const",
                "default",
                "description",
                "title",
                "examples",
                "$ref",
                "oneOf",
                "anyOf",
            ],
        );
        Node::new(NodeKind::Table(entries))
    }

    fn logical(&mut self, name: &str, property: &Value, words: &[&str]) -> LogicalType {
        let format = property.get("format").and_then(Value::as_str);
        match (words, format) {
            (["boolean"], _) => LogicalType::Boolean,
            (["integer"], _) => LogicalType::Int64,
            (["number"], _) => LogicalType::Float64,
            (["string"], Some("date")) => LogicalType::Date32,
            (["string"], Some("time")) => LogicalType::Time64,
            (["string"], Some("date-time")) => LogicalType::Timestamp(Some("UTC".into())),
            (["string"], Some("uuid")) => LogicalType::Uuid,
            (["string"], format) => {
                if let Some(format) = format {
                    self.warn(name, format_args!("the format {format} is not checked"));
                }
                LogicalType::Utf8
            }
            ([], _) if property.get("enum").is_some() || property.get("const").is_some() => {
                LogicalType::Utf8
            }
            _ => {
                if words != ["object"] && words != ["array"] && !words.is_empty() {
                    self.warn(
                        name,
                        format_args!("{} is taken as json", words.join(" or ")),
                    );
                }
                LogicalType::Json
            }
        }
    }

    fn rules(
        &mut self,
        name: &str,
        property: &Value,
        logical: &LogicalType,
        entries: &mut Vec<(String, dkhost_core::Span, Node)>,
    ) {
        let mut bounds = |rule: &str, ends: [&str; 2]| {
            let found: Map<String, Value> = ["min", "max"]
                .into_iter()
                .zip(ends)
                .filter_map(|(end, key)| {
                    Some((end.to_owned(), text_of(property.get(key)?, logical)))
                })
                .collect();
            if !found.is_empty() {
                entries.push(entry(rule, Value::Object(found)));
            }
        };
        if logical.is_numeric() {
            bounds("range", ["minimum", "maximum"]);
        }
        if *logical == LogicalType::Utf8 {
            let found: Map<String, Value> = [("min", "minLength"), ("max", "maxLength")]
                .into_iter()
                .filter_map(|(end, key)| Some((end.to_owned(), property.get(key)?.clone())))
                .collect();
            if !found.is_empty() {
                entries.push(entry("length", Value::Object(found)));
            }
            if let Some(pattern) = property.get("pattern").and_then(Value::as_str) {
                match crate::rule::Pattern::new(pattern) {
                    Ok(_) => entries.push(entry("pattern", json!(pattern))),
                    Err(_) => self.warn(name, format_args!("the pattern {pattern} is none here")),
                }
            }
        }
        let only = property.get("const").map(std::slice::from_ref);
        let listed = property
            .get("enum")
            .and_then(Value::as_array)
            .map(Vec::as_slice);
        if let Some(values) = listed.or(only).filter(|_| *logical != LogicalType::Json) {
            let values = values.iter().filter(|value| !value.is_null());
            let values: Vec<Value> = values.map(|value| text_of(value, logical)).collect();
            entries.push(entry("one_of", json!(values)));
        }
    }

    fn leftovers(&mut self, name: &str, schema: &Value, known: &[&str]) {
        let keys = schema.as_object().into_iter().flat_map(Map::keys);
        let left = keys.filter(|key| !known.contains(&key.as_str()) && !key.starts_with("x-"));
        for key in left.cloned().collect::<Vec<_>>() {
            self.warn(
                name,
                format_args!("`{key}` has no counterpart and is left out"),
            );
        }
    }
}

/// Numbers with a fraction as text, which keeps their digits; in text fields everything as text.
fn text_of(value: &Value, logical: &LogicalType) -> Value {
    match (value, logical) {
        (Value::String(_), _) => value.clone(),
        (Value::Number(number), _) if number.as_i64().is_none() => json!(number.to_string()),
        (value, LogicalType::Utf8) => json!(value.to_string()),
        (value, LogicalType::Json) => json!(value.to_string()),
        _ => value.clone(),
    }
}
