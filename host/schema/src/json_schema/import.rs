//! A version from a JSON Schema, whoever wrote it: what it says of values, in our words.

use dkhost_core::{Error, LogicalType, Node, NodeKind, Result};
use serde_json::{Map, Value, json};

use crate::constant::Constant;
use crate::read::{self, read};
use crate::rule::Pattern;
use crate::version::{SchemaId, SchemaVersion};

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
    let node = import.record(properties);
    Ok(Imported {
        version: read::from_node(id, node)?,
        warnings: import.warnings,
    })
}

/// Keys that say what something is, and nothing about values.
const ANNOTATIONS: &[&str] = &["$comment", "title", "description", "default", "examples"];

const SCHEMA_KEYS: &[&str] = &[
    "$schema",
    "$id",
    "$defs",
    "definitions",
    "type",
    "properties",
    "required",
    "additionalProperties",
];

const FIELD_KEYS: &[&str] = &[
    "type",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "enum",
    "const",
    "$ref",
];

type Entry = (String, dkhost_core::Span, Node);

fn entry(name: &str, value: Value) -> Entry {
    (name.to_owned(), 0..0, Node::from_json(&value))
}

/// The texts of a list, or the one that stands for it.
fn words(said: Option<&Value>) -> Vec<&str> {
    let said = match said {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    said.iter().filter_map(Value::as_str).collect()
}

struct Import<'a> {
    root: &'a Value,
    warnings: Vec<String>,
}

impl Import<'_> {
    fn warn(&mut self, name: &str, what: impl std::fmt::Display) {
        self.warnings.push(format!("`{name}`: {what}"));
    }

    /// The version as a schema file would hold it.
    fn record(&mut self, properties: &Map<String, Value>) -> Node {
        let schema = self.root;
        let required = words(schema.get("required"));
        let mut fields = Vec::new();
        for (name, property) in properties {
            let node = self.field(name, property, required.contains(&name.as_str()));
            fields.push((name.clone(), 0..0, node));
        }
        // What is needed may be anything where nothing is said of it.
        for name in required {
            if !properties.contains_key(name) {
                let node = self.field(name, &Value::Bool(true), true);
                fields.push((name.to_owned(), 0..0, node));
            }
        }
        let fields = Node::new(NodeKind::Table(fields));
        let others = schema.get("additionalProperties");
        let mut entries = vec![
            ("fields".to_owned(), 0..0, fields),
            entry("open", json!(others != Some(&Value::Bool(false)))),
        ];
        if let Some(text) = schema.get("description").filter(|text| text.is_string()) {
            entries.push(entry("description", text.clone()));
        }
        if others.is_some_and(Value::is_object) {
            self.warn("the schema", "of `additionalProperties` nothing is checked");
        }
        let known = SCHEMA_KEYS.iter().chain(ANNOTATIONS);
        self.leftovers("the schema", schema.as_object(), known);
        Node::new(NodeKind::Table(entries))
    }

    /// A field as a schema file would hold it.
    fn field(&mut self, name: &str, property: &Value, listed: bool) -> Node {
        let (property, or_null) = self.resolved(name, property);
        let only = property.get("const").map(std::slice::from_ref);
        let listed_values = property.get("enum").and_then(Value::as_array);
        let values = listed_values.map(Vec::as_slice).or(only);
        let mut types = words(property.get("type"));
        if types.is_empty() {
            types = values.iter().copied().flatten().map(kind_of).collect();
            types.sort_unstable();
            types.dedup();
        }
        let nullable = or_null || types.contains(&"null");
        if types.len() > 1 {
            types.retain(|word| *word != "null");
        }
        let logical = self.logical(name, &types, property.get("format"));
        let mut entries = vec![
            entry("type", json!(logical.to_string())),
            entry("required", json!(listed && !nullable)),
        ];
        self.rules(name, &property, &logical, &mut entries);
        let values = values.filter(|_| logical != LogicalType::Json);
        let values = values.unwrap_or_default().iter();
        let values = values.filter_map(|value| self.value(name, "enum", value, &logical));
        let values: Vec<Value> = values.collect();
        if !values.is_empty() {
            entries.push(entry("one_of", json!(values)));
        }
        let default = property.get("default");
        let default = default.and_then(|value| self.value(name, "default", value, &logical));
        entries.extend(default.map(|value| entry("default", value)));
        if let Some(text) = property.get("description").filter(|text| text.is_string()) {
            entries.push(entry("description", text.clone()));
        }
        let known = FIELD_KEYS.iter().chain(ANNOTATIONS);
        self.leftovers(name, Some(&property), known);
        Node::new(NodeKind::Table(entries))
    }

    /// What a property says together with what it refers to, and whether it may be null instead.
    fn resolved(&mut self, name: &str, property: &Value) -> (Map<String, Value>, bool) {
        let mut said = property.as_object().cloned().unwrap_or_default();
        let mut or_null = false;
        for _ in 0..16 {
            let (key, next) = match (self.referred(name, &said), something_or_null(&said)) {
                (Some(next), _) => ("$ref", next),
                (None, Some((key, next))) => {
                    or_null = true;
                    (key, next)
                }
                (None, None) => return (said, or_null),
            };
            said.shift_remove(key);
            for (key, value) in next {
                match said.get(&key) {
                    None => drop(said.insert(key, value)),
                    Some(own) if *own == value || ANNOTATIONS.contains(&&*key) => (),
                    Some(_) => self.warn(name, format_args!("of two `{key}` one is left out")),
                }
            }
        }
        self.warn(name, "$ref goes in a circle");
        (said, or_null)
    }

    /// The schema that a `$ref` within the document names.
    fn referred(&mut self, name: &str, said: &Map<String, Value>) -> Option<Map<String, Value>> {
        let reference = said.get("$ref")?.as_str()?;
        let path = reference.strip_prefix('#');
        let target = path.and_then(|path| self.root.pointer(path));
        if target.is_none() {
            self.warn(name, format_args!("$ref {reference} leads nowhere"));
        }
        target?.as_object().cloned()
    }

    fn logical(&mut self, name: &str, types: &[&str], format: Option<&Value>) -> LogicalType {
        match (types, format.and_then(Value::as_str)) {
            (["null"], _) => LogicalType::Null,
            (["boolean"], _) => LogicalType::Boolean,
            (["integer"], _) => LogicalType::Int64,
            (["number"], _) => LogicalType::Float64,
            (["string"], Some("date")) => LogicalType::Date32,
            (["string"], Some("date-time")) => LogicalType::Timestamp(Some("UTC".into())),
            (["string"], Some("uuid")) => LogicalType::Uuid,
            (["string"], format) => {
                if let Some(format) = format {
                    self.warn(name, format_args!("the format {format} is not checked"));
                }
                LogicalType::Utf8
            }
            (["object"] | ["array"] | [], _) => LogicalType::Json,
            (types, _) => {
                self.warn(
                    name,
                    format_args!("{} is taken as json", types.join(" or ")),
                );
                LogicalType::Json
            }
        }
    }

    fn rules(
        &mut self,
        name: &str,
        property: &Map<String, Value>,
        logical: &LogicalType,
        entries: &mut Vec<Entry>,
    ) {
        let is_text = *logical == LogicalType::Utf8;
        for (rule, suits, ends) in [
            ("range", logical.is_numeric(), ["minimum", "maximum"]),
            ("length", is_text, ["minLength", "maxLength"]),
        ] {
            let mut found = Map::new();
            for (end, key) in ["min", "max"].into_iter().zip(ends) {
                let value = match property.get(key).filter(|_| suits) {
                    Some(length) if is_text => Some(length.clone()),
                    bound => bound.and_then(|bound| self.value(name, key, bound, logical)),
                };
                found.extend(value.map(|value| (end.to_owned(), value)));
            }
            if !found.is_empty() {
                entries.push(entry(rule, Value::Object(found)));
            }
        }
        let pattern = property.get("pattern").filter(|_| is_text);
        if let Some(pattern) = pattern.and_then(Value::as_str) {
            match Pattern::new(pattern) {
                Ok(_) => entries.push(entry("pattern", json!(pattern))),
                Err(_) => self.warn(name, format_args!("the pattern {pattern} is none here")),
            }
        }
    }

    /// A value as a schema file holds it; `None` for null, and for one that is none of the type.
    fn value(
        &mut self,
        name: &str,
        key: &str,
        value: &Value,
        logical: &LogicalType,
    ) -> Option<Value> {
        let text = text_of(value, logical);
        if value.is_null() {
            return None;
        }
        if Constant::read(&Node::from_json(&text), key, logical).is_err() {
            let what = format_args!("`{key}` {value} is no {logical} and is left out");
            self.warn(name, what);
            return None;
        }
        Some(text)
    }

    fn leftovers<'k>(
        &mut self,
        name: &str,
        said: Option<&Map<String, Value>>,
        known: impl Iterator<Item = &'k &'k str>,
    ) {
        let known: Vec<&str> = known.copied().collect();
        for key in said.into_iter().flat_map(Map::keys) {
            if !known.contains(&key.as_str()) && !key.starts_with("x-") {
                self.warn(
                    name,
                    format_args!("`{key}` has no counterpart and is left out"),
                );
            }
        }
    }
}

/// `oneOf` or `anyOf` of something and null is something that may be null: the key, and what.
fn something_or_null(said: &Map<String, Value>) -> Option<(&'static str, Map<String, Value>)> {
    let is_null = |one: &Value| one.get("type") == Some(&json!("null"));
    ["oneOf", "anyOf"].into_iter().find_map(|key| {
        let [one, other] = said.get(key)?.as_array()?.as_slice() else {
            return None;
        };
        let something = match (is_null(one), is_null(other)) {
            (false, true) => one,
            (true, false) => other,
            _ => return None,
        };
        Some((key, something.as_object().cloned().unwrap_or_default()))
    })
}

/// JSON Schema's word for the type of a value.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value as a schema file holds it: numbers with a fraction as text, which keeps their digits; in
/// text fields everything as text, and json as its text.
fn text_of(value: &Value, logical: &LogicalType) -> Value {
    match (value, logical) {
        (value, LogicalType::Json) => json!(value.to_string()),
        (Value::String(_), _) => value.clone(),
        (Value::Number(number), _) if number.as_i64().is_none() => json!(number.to_string()),
        (value, LogicalType::Utf8) => json!(value.to_string()),
        _ => value.clone(),
    }
}
