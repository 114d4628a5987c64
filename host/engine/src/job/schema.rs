//! The JSON Schema of job files, from the same option lists that check them.

use std::sync::Arc;

use dkhost_core::{Backend, OptionSpec, OptionType};
use serde_json::{Map, Value, json};

use super::{
    PLUGIN_OPTIONS, SECTIONS, SOURCE_OPTIONS, STEP_OPTIONS, TARGET_OPTIONS, settings, steps,
};

/// The JSON Schema (draft 2020-12) that `dkhost job schema` prints.
pub fn json_schema(backends: &[Arc<dyn Backend>]) -> Value {
    let names: Vec<&str> = backends.iter().map(|b| b.name()).collect();
    let end = |common: &[OptionSpec], own: &dyn Fn(&dyn Backend) -> &'static [OptionSpec]| {
        let mut properties = properties(&[common]);
        properties.insert("backend".into(), json!({ "enum": names }));
        let variants: Vec<Value> = backends
            .iter()
            .map(|backend| {
                json!({
                    "if": { "properties": { "backend": { "const": backend.name() } } },
                    "then": { "properties": self::properties(&[own(backend.as_ref())]) },
                })
            })
            .collect();
        json!({ "type": "object", "required": required(common), "properties": properties, "allOf": variants, "unevaluatedProperties": false })
    };
    let mut root = properties(&[SECTIONS]);
    root.insert(
        "source".into(),
        end(SOURCE_OPTIONS, &|b| b.source_options()),
    );
    root.insert(
        "target".into(),
        end(TARGET_OPTIONS, &|b| b.target_options()),
    );
    root.insert("run".into(), object(&[settings::RUN_OPTIONS]));
    root.insert(
        "steps".into(),
        json!({ "type": "array", "items": object(&[STEP_OPTIONS, &steps::verbs()]) }),
    );
    root.insert(
        "plugins".into(),
        json!({ "type": "object", "additionalProperties": object(&[PLUGIN_OPTIONS]) }),
    );
    root.insert("schemas".into(), object(&[super::SCHEMAS_OPTIONS]));
    root.insert("state".into(), object(&[super::STATE_OPTIONS]));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dkhost job",
        "type": "object",
        "required": required(SECTIONS),
        "properties": root,
        "additionalProperties": false,
    })
}

fn required(specs: &[OptionSpec]) -> Vec<&'static str> {
    specs
        .iter()
        .filter(|spec| spec.required)
        .map(|spec| spec.name)
        .collect()
}

fn object(specs: &[&[OptionSpec]]) -> Value {
    json!({ "type": "object", "properties": properties(specs), "additionalProperties": false })
}

fn properties(specs: &[&[OptionSpec]]) -> Map<String, Value> {
    specs
        .iter()
        .flat_map(|specs| specs.iter())
        .map(|spec| (spec.name.to_owned(), property(spec)))
        .collect()
}

fn property(spec: &OptionSpec) -> Value {
    let mut property = match spec.ty {
        OptionType::Boolean => json!({ "type": "boolean" }),
        OptionType::Integer => json!({ "type": "integer" }),
        OptionType::Text => json!({ "type": "string" }),
        OptionType::Word(words) => json!({ "enum": words }),
        OptionType::TextList => json!({ "type": "array", "items": { "type": "string" } }),
        OptionType::TextTable => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        OptionType::Table => json!({ "type": "object" }),
        OptionType::Any => json!({}),
    };
    property["description"] = json!(spec.help);
    property
}
