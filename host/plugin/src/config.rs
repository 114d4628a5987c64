//! Checks a step's `config` against the schema its plugin publishes, before the plugin sees it.
//!
//! The schema is the plugin's own and is evaluated here, outside of the sandbox: a page of text can
//! ask for more steps than anybody lives to see. So it has the time of a call and no more, and its
//! regular expressions are of the kind that cannot run away.

use std::sync::mpsc;
use std::time::Duration;

use dkhost_core::{Error, Result};
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::log::in_an_error;

/// Checks `config` against a plugin's `schema`, in at most `patience`.
///
/// *Errors* – `plugin::bad_schema` and `plugin::config`, see [`ConfigSchema`].
pub(crate) fn check(plugin: &str, schema: &str, config: &Value, patience: Duration) -> Result<()> {
    let refused = |why: &str| {
        Error::plugin(
            "plugin::bad_schema",
            format!("plugin `{plugin}` publishes a config-schema that {why}"),
        )
        .help("tell the plugin's author; `dkhost plugin inspect FILE` shows the schema")
    };
    let (done, answer) = mpsc::channel();
    let (name, schema, config) = (plugin.to_owned(), schema.to_owned(), config.clone());
    let work = move || {
        let checked = ConfigSchema::parse(&name, &schema).and_then(|s| s.check(&name, &config));
        // Nobody listens any more when it took too long.
        let _ = done.send(checked);
    };
    // A thread of its own, because nothing else can be left behind; it ends with the process.
    std::thread::Builder::new()
        .name("config-schema".into())
        .spawn(work)
        .map_err(|cause| refused("cannot be checked").caused_by(cause))?;
    answer.recv_timeout(patience).unwrap_or_else(|_| {
        let most = patience.as_millis();
        Err(refused(&format!("takes more than {most} ms to check")))
    })
}

/// A compiled `config-schema`.
#[derive(Debug)]
pub(crate) struct ConfigSchema {
    validator: Validator,
    properties: Vec<String>,
    /// Whether parts of it stand for others: its errors may then be far more than its text.
    refers: bool,
}

/// Errors named at most; the rest is counted.
const NAMED_MAX: usize = 5;

impl ConfigSchema {
    /// Reads a plugin's schema (JSON Schema, 2020-12 unless it says otherwise). Empty text allows
    /// any configuration.
    ///
    /// *Errors* – `plugin::bad_schema`: the plugin is wrong, not the job.
    pub(crate) fn parse(plugin: &str, text: &str) -> Result<ConfigSchema> {
        let refused = |why: String| {
            Error::plugin(
                "plugin::bad_schema",
                format!("plugin `{plugin}` publishes a config-schema that is not valid: {why}"),
            )
            .help("tell the plugin's author; `dkhost plugin inspect FILE` shows the schema")
        };
        let schema: Value = match text.trim() {
            "" => Value::Bool(true),
            text => serde_json::from_str(text).map_err(|cause| refused(cause.to_string()))?,
        };
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            // A pattern of the plugin's author must not be able to hang the host.
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|cause| refused(in_an_error(&cause.to_string())))?;
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default();
        Ok(ConfigSchema {
            validator,
            properties,
            refers: {
                // Written anew, so that no escape hides the word.
                let text = schema.to_string();
                text.contains("$ref") || text.contains("Ref\"")
            },
        })
    }

    /// Checks a configuration.
    ///
    /// *Errors* – `plugin::config`, naming each wrong value by its JSON pointer.
    pub(crate) fn check(&self, plugin: &str, config: &Value) -> Result<()> {
        let Err(first) = self.validator.validate(config) else {
            return Ok(());
        };
        let mut wrong: Vec<String> = match self.refers {
            true => vec![named(&first)],
            false => self
                .validator
                .iter_errors(config)
                .map(|e| named(&e))
                .collect(),
        };
        let more = wrong.len().saturating_sub(NAMED_MAX);
        wrong.truncate(NAMED_MAX);
        if more > 0 {
            wrong.push(format!("and {more} more"));
        }
        let error = Error::config(
            "plugin::config",
            format!(
                "the config of plugin `{plugin}` is refused: {}",
                wrong.join("; ")
            ),
        );
        Err(match self.properties.as_slice() {
            [] => error.help("`dkhost plugin inspect FILE` shows what the plugin takes"),
            known => error.help(in_an_error(&format!(
                "the plugin takes {}",
                known.join(", ")
            ))),
        })
    }
}

fn named(error: &ValidationError<'_>) -> String {
    // Its text quotes the schema, which may be long.
    let text = in_an_error(&error.to_string());
    match error.instance_path().to_string() {
        path if path.is_empty() => text,
        path => format!("`{path}`: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn clean() -> ConfigSchema {
        let text = json!({
            "type": "object",
            "properties": { "country_code": { "type": "string", "pattern": "^[0-9]+$" } },
            "additionalProperties": false
        });
        ConfigSchema::parse("clean", &text.to_string()).unwrap()
    }

    #[test]
    fn a_wrong_value_is_named_by_its_pointer() {
        let error = clean()
            .check("clean", &json!({"country_code": "de"}))
            .unwrap_err();
        assert_eq!(error.code(), "plugin::config");
        assert!(error.to_string().contains("`/country_code`"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_refused_and_the_known_ones_are_named() {
        let error = clean()
            .check("clean", &json!({"contry_code": "1"}))
            .unwrap_err();
        assert!(error.to_string().contains("contry_code"), "{error}");
        assert_eq!(error.help_text(), Some("the plugin takes country_code"));
    }

    #[test]
    fn a_valid_config_and_an_empty_schema_pass() {
        clean()
            .check("clean", &json!({"country_code": "49"}))
            .unwrap();
        ConfigSchema::parse("any", "")
            .unwrap()
            .check("any", &json!({"x": [1]}))
            .unwrap();
    }

    #[test]
    fn a_schema_that_refers_to_the_network_is_refused() {
        let text = json!({"$ref": "https://example.com/schema.json"}).to_string();
        assert_eq!(
            ConfigSchema::parse("far", &text).unwrap_err().code(),
            "plugin::bad_schema"
        );
        assert_eq!(
            ConfigSchema::parse("far", "{").unwrap_err().code(),
            "plugin::bad_schema"
        );
    }
}
