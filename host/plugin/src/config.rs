//! Checks a step's `config` against the schema its plugin publishes, before the plugin sees it.

use dkhost_core::{Error, Result};
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// A compiled `config-schema`.
#[derive(Debug)]
pub(crate) struct ConfigSchema {
    validator: Validator,
    properties: Vec<String>,
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
            .map_err(|cause| refused(cause.to_string()))?;
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default();
        Ok(ConfigSchema {
            validator,
            properties,
        })
    }

    /// Checks a configuration.
    ///
    /// *Errors* – `plugin::config`, naming each wrong value by its JSON pointer.
    pub(crate) fn check(&self, plugin: &str, config: &Value) -> Result<()> {
        let mut wrong: Vec<String> = self
            .validator
            .iter_errors(config)
            .map(|error| match error.instance_path().to_string() {
                path if path.is_empty() => error.to_string(),
                path => format!("`{path}`: {error}"),
            })
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
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
            known => error.help(format!("the plugin takes {}", known.join(", "))),
        })
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
