//! Versions written as TOML and as JSON Schema, and read again.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use dkhost_schema::json_schema::{from_json_schema, json_schema};
use dkhost_schema::toml_text::toml;
use dkhost_schema::{Registry, SchemaId, SchemaVersion, read};
use expect_test::expect;
use serde_json::json;

fn versions() -> Vec<SchemaVersion> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/schemas");
    let registry = Registry::open(&folder).unwrap();
    let mut found = Vec::new();
    for name in registry.names().unwrap() {
        for version in registry.versions(&name).unwrap() {
            let name = name.clone();
            found.push(registry.version(&SchemaId { name, version }).unwrap());
        }
    }
    found
}

#[test]
fn what_is_written_is_read_as_the_same_version() {
    let versions = versions();
    assert!(versions.len() > 100);
    for version in versions {
        let text = toml(&version);
        let again =
            read(version.id.clone(), &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(format!("{again:?}"), format!("{version:?}"), "{text}");
        let exported = json_schema(&version).to_string();
        let back = from_json_schema(version.id.clone(), &exported).unwrap();
        assert_eq!(format!("{:?}", back.version), format!("{version:?}"));
        assert!(back.warnings.is_empty());
    }
}

const USER: &str = r#"
description = "a user"
key = ["id"]
[fields.id]
type = "int64"
[fields.email]
type = "utf8"
required = true
pattern = "@"
length = { max = 320 }
default = "a@b"
[fields.kind]
type = "utf8"
one_of = ["admin", "guest"]
[fields.born]
type = "date32"
range = { min = "1900-01-01" }
[fields.score]
type = "decimal(10, 2)"
range = { min = 0, max = "99.5" }
"#;

#[test]
fn other_programs_read_what_they_understand() {
    let version = read("user@1.0.0".parse().unwrap(), USER).unwrap();
    let mut exported = json_schema(&version);
    exported.as_object_mut().unwrap().remove("x-dkhost");
    expect![[r#"
        {
          "$schema": "https://json-schema.org/draft/2020-12/schema",
          "title": "user@1.0.0",
          "type": "object",
          "properties": {
            "id": {
              "type": "integer"
            },
            "email": {
              "type": "string",
              "default": "a@b",
              "maxLength": 320,
              "pattern": "@"
            },
            "kind": {
              "type": [
                "string",
                "null"
              ],
              "enum": [
                "admin",
                "guest",
                null
              ]
            },
            "born": {
              "type": [
                "string",
                "null"
              ],
              "format": "date"
            },
            "score": {
              "type": [
                "number",
                "null"
              ],
              "minimum": 0,
              "maximum": 99.5
            }
          },
          "required": [
            "id",
            "email"
          ],
          "additionalProperties": false,
          "description": "a user"
        }"#]]
    .assert_eq(&format!("{exported:#}"));
}

#[test]
fn what_is_exported_is_what_values_are() {
    let text = "[fields.nothing]\ntype = 'null'\n[fields.opens]\ntype = 'time64'\n\
        [fields.name]\ntype = 'utf8'\nrequired = true\npattern = '^a'\nnot_empty = true\n\
        [fields.place]\ntype = 'vector(2)'\nrequired = true\ndefault = '[0,1]'\n\
        [fields.share]\ntype = 'float64'\nrequired = true\nrange = { min = '-inf', max = 1 }\n";
    let version = read("user@1.0.0".parse().unwrap(), text).unwrap();
    expect![[r#"
        {
          "nothing": {
            "type": "null"
          },
          "opens": {
            "type": [
              "string",
              "null"
            ]
          },
          "name": {
            "type": "string",
            "pattern": "^a",
            "allOf": [
              {
                "pattern": "\\S"
              }
            ]
          },
          "place": {
            "type": "array",
            "items": {
              "type": "number"
            },
            "minItems": 2,
            "maxItems": 2,
            "default": [
              0,
              1
            ]
          },
          "share": {
            "type": "number",
            "maximum": 1
          }
        }"#]]
    .assert_eq(&format!("{:#}", json_schema(&version)["properties"]));
}

#[test]
fn nothing_of_somebody_elses_schema_is_lost_without_a_word() {
    let schema = json!({
        "$defs": { "code": { "type": "string", "maxLength": 8 } },
        "required": ["code", "elsewhere"],
        "additionalProperties": { "type": "string" },
        "properties": {
            "code": { "$ref": "#/$defs/code", "minLength": 2 },
            "size": { "anyOf": [{ "type": "integer" }, { "type": "null" }], "maximum": 9 },
            "either": { "anyOf": [{ "type": "string" }, { "type": "integer" }], "default": "x" },
            "level": { "enum": [1, 2, null] },
            "on": { "const": true },
            "mixed": { "enum": ["a", 1] },
            "opens": { "type": "string", "format": "time" },
            "nothing": { "type": "null" },
            "text": { "type": "string", "enum": ["a", null] },
            "half": { "type": "integer", "minimum": 0.5, "maximum": 1e3, "enum": [1, 1.5], "default": "none" }
        }
    });
    let imported = from_json_schema("user@1.0.0".parse().unwrap(), &schema.to_string()).unwrap();
    expect![[r#"
        open = true

        [fields.code]
        type = "utf8"
        required = true
        length = { min = 2, max = 8 }

        [fields.size]
        type = "int64"
        range = { max = 9 }

        [fields.either]
        type = "json"
        default = "\"x\""

        [fields.level]
        type = "int64"
        one_of = [1, 2]

        [fields.on]
        type = "boolean"
        one_of = [true]

        [fields.mixed]
        type = "json"

        [fields.opens]
        type = "utf8"

        [fields.nothing]
        type = "null"

        [fields.text]
        type = "utf8"
        one_of = ["a"]

        [fields.half]
        type = "int64"
        one_of = [1]

        [fields.elsewhere]
        type = "json"
        required = true
    "#]]
    .assert_eq(&toml(&imported.version));
    expect![[r#"
        `either`: `anyOf` has no counterpart and is left out
        `mixed`: integer or string is taken as json
        `opens`: the format time is not checked
        `half`: `minimum` 0.5 is no int64 and is left out
        `half`: `maximum` 1000.0 is no int64 and is left out
        `half`: `enum` 1.5 is no int64 and is left out
        `half`: `default` "none" is no int64 and is left out
        `the schema`: of `additionalProperties` nothing is checked"#]]
    .assert_eq(&imported.warnings.join("\n"));
}

#[test]
fn somebody_elses_schema_is_taken_over_and_what_cannot_be_said_is_told() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": { "mail": { "type": "string", "format": "email", "maxLength": 320 } },
        "type": "object",
        "required": ["id", "mail", "maybe"],
        "additionalProperties": false,
        "minProperties": 2,
        "properties": {
            "id": { "type": "integer", "minimum": 1 },
            "mail": { "$ref": "#/$defs/mail", "description": "of work" },
            "maybe": { "type": ["string", "null"] },
            "day": { "type": "string", "format": "date" },
            "at": { "oneOf": [{ "type": "string", "format": "date-time" }, { "type": "null" }] },
            "kind": { "enum": ["a", "b", null] },
            "share": { "type": "number", "maximum": 0.5, "exclusiveMinimum": 0 },
            "tags": { "type": "array", "items": { "type": "string" } },
            "either": { "type": ["string", "integer"] }
        }
    });
    let imported = from_json_schema("user@1.0.0".parse().unwrap(), &schema.to_string()).unwrap();
    expect![[r#"
        [fields.id]
        type = "int64"
        required = true
        range = { min = 1 }

        [fields.mail]
        type = "utf8"
        required = true
        description = "of work"
        length = { max = 320 }

        [fields.maybe]
        type = "utf8"

        [fields.day]
        type = "date32"

        [fields.at]
        type = "timestamp(us, UTC)"

        [fields.kind]
        type = "utf8"
        one_of = ["a", "b"]

        [fields.share]
        type = "float64"
        range = { max = "0.5" }

        [fields.tags]
        type = "json"

        [fields.either]
        type = "json"
    "#]]
    .assert_eq(&toml(&imported.version));
    expect![[r#"
        `mail`: the format email is not checked
        `share`: `exclusiveMinimum` has no counterpart and is left out
        `tags`: `items` has no counterpart and is left out
        `either`: string or integer is taken as json
        `the schema`: `minProperties` has no counterpart and is left out"#]]
    .assert_eq(&imported.warnings.join("\n"));
}

#[test]
fn what_is_no_schema_of_records_is_refused() {
    for text in ["", "[]", "{\"type\": \"string\"}", "{\"properties\": 5}"] {
        let error = from_json_schema("user@1.0.0".parse().unwrap(), text).unwrap_err();
        assert_eq!(error.code(), "schema::json_schema", "{text}");
    }
}
