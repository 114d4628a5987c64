//! What a component says about its plugins, verified: it is input like everything a guest returns.

use dkhost_core::{Error, Result};
use semver::Version;

use crate::log::in_an_error;

/// Plugins one component may describe.
const PLUGINS_MAX: usize = 1000;
/// Length of a plugin's name.
const NAME_MAX: usize = 64;
/// Length of a version, and of the word for a kind.
const WORD_MAX: usize = 64;
/// Things a plugin may ask for, and the length of each; the same for `extra`.
const REQUESTS_MAX: usize = 64;
const REQUEST_MAX: usize = 256;
/// Bytes of a config-schema.
const SCHEMA_MAX: usize = 64 << 10;
/// Length of a summary that is kept.
const SUMMARY_MAX: usize = 400;

/// One of a component's plugins.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Descriptor {
    /// What a job says to use it; unique in the component.
    pub name: String,
    /// The interface that serves it.
    pub kind: Kind,
    /// Semantic version of the plugin.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// JSON Schema of its configuration; empty allows anything.
    pub config_schema: String,
    /// What it asks to be granted: `lookup`, `http:api.example.com`.
    pub requests: Vec<String>,
    /// `license`, `homepage`, `authors` …
    pub extra: Vec<(String, String)>,
}

/// The interface that serves a plugin.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Changes, drops, expands or rejects records.
    Transform,
    /// Keeps or drops records.
    Filter,
    /// One step of a schema's history.
    Migration,
    /// A word of a newer contract.
    #[serde(untagged)]
    Unknown(String),
}

impl Kind {
    /// The word in the contract.
    pub fn word(&self) -> &str {
        match self {
            Kind::Transform => "transform",
            Kind::Filter => "filter",
            Kind::Migration => "migration",
            Kind::Unknown(word) => word,
        }
    }

    /// Reads the word of the contract.
    pub fn of(word: &str) -> Kind {
        match word {
            "transform" => Kind::Transform,
            "filter" => Kind::Filter,
            "migration" => Kind::Migration,
            other => Kind::Unknown(other.to_owned()),
        }
    }
}

/// Verifies what `describe` returned.
///
/// *Errors* – `plugin::bad_output`, naming the plugin and what is wrong with it.
pub(crate) fn verify(component: &str, mut found: Vec<Descriptor>) -> Result<Vec<Descriptor>> {
    let refused = |why: String| {
        Error::plugin(
            "plugin::bad_output",
            format!("`{component}` describes its plugins wrongly: {why}"),
        )
        .help("tell the plugin's author; the rules stand in wit/README.md")
    };
    if found.is_empty() || found.len() > PLUGINS_MAX {
        return Err(refused(format!("it names {} plugins", found.len())));
    }
    for (i, plugin) in found.iter().enumerate() {
        let name = &plugin.name;
        if !is_name(name) {
            return Err(refused(format!(
                "`{}` is not a name (a-z, 0-9 and -, at most {NAME_MAX})",
                in_an_error(name)
            )));
        }
        if found[..i].iter().any(|other| other.name == *name) {
            return Err(refused(format!("`{name}` stands there twice")));
        }
        if plugin.version.len() > WORD_MAX || Version::parse(&plugin.version).is_err() {
            return Err(refused(format!(
                "`{name}` has the version `{}`, not a semantic one of at most {WORD_MAX} bytes",
                in_an_error(&plugin.version)
            )));
        }
        if let Some(what) = beyond_measure(plugin) {
            return Err(refused(format!("`{name}` has {what}")));
        }
    }
    for plugin in &mut found {
        plugin.summary = plugin.summary.chars().take(SUMMARY_MAX).collect();
    }
    Ok(found)
}

/// What of a plugin's words about itself is longer or more than anybody needs.
fn beyond_measure(plugin: &Descriptor) -> Option<String> {
    let long = |text: &str| text.len() > REQUEST_MAX;
    let (kind, schema) = (plugin.kind.word().len(), plugin.config_schema.len());
    if kind > WORD_MAX {
        return Some(format!(
            "a kind of {kind} bytes, and {WORD_MAX} are allowed"
        ));
    }
    if schema > SCHEMA_MAX {
        return Some(format!(
            "a config-schema of {schema} bytes, and {SCHEMA_MAX} are allowed"
        ));
    }
    if plugin.requests.len() > REQUESTS_MAX || plugin.requests.iter().any(|request| long(request)) {
        return Some(format!(
            "more than {REQUESTS_MAX} requests, or one of more than {REQUEST_MAX} bytes"
        ));
    }
    let extra = &plugin.extra;
    let wide = |(name, value): &(String, String)| long(name) || value.len() > 16 * REQUEST_MAX;
    (extra.len() > REQUESTS_MAX || extra.iter().any(wide)).then(|| {
        format!("more than {REQUESTS_MAX} things in `extra`, or one that is longer than a page")
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(name: &str, version: &str) -> Descriptor {
        Descriptor {
            name: name.into(),
            kind: Kind::Transform,
            version: version.into(),
            summary: String::new(),
            config_schema: String::new(),
            requests: Vec::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn names_and_versions_a_job_cannot_use_are_refused() {
        for (wrong, found) in [
            ("0 plugins", vec![]),
            ("not a name", vec![plugin("Clean Up", "1.0.0")]),
            ("not a name", vec![plugin("\u{1b}[31m", "1.0.0")]),
            (
                "twice",
                vec![plugin("clean", "1.0.0"), plugin("clean", "1.0.1")],
            ),
            ("not a semantic one", vec![plugin("clean", "1")]),
        ] {
            let error = verify("x.wasm", found).unwrap_err();
            assert_eq!(error.code(), "plugin::bad_output");
            assert!(error.to_string().contains(wrong), "{error}");
        }
        assert_eq!(
            verify("x.wasm", vec![plugin("clean", "1.0.0")])
                .unwrap()
                .len(),
            1
        );
    }
}
