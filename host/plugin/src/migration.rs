//! What a component says about the steps of schemas' histories that it can carry out, verified.

use dkhost_core::{Error, Result};
use semver::Version;

use crate::descriptor::{Descriptor, Kind};
use crate::log::in_an_error;

/// Steps one component may offer.
const STEPS_MAX: usize = 1000;
/// Bytes of a schema's name, and of a version.
const WORD_MAX: usize = 200;

/// Which way a migration is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the newer version.
    Up,
    /// To the older one.
    Down,
}

/// One step of a schema's history, both ways.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Migration {
    /// The plugin it belongs to.
    pub plugin: String,
    /// The schema.
    pub schema: String,
    /// The older version.
    pub from: Version,
    /// The newer version.
    pub to: Version,
    /// Whether there is a way down.
    pub reversible: bool,
    /// Whether down after up gives every record back.
    pub lossless: bool,
}

/// A step as the guest told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) plugin: String,
    pub(crate) schema: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) reversible: bool,
    pub(crate) lossless: bool,
}

/// Verifies what `steps` returned.
///
/// *Errors* – `plugin::bad_output`, naming the step and what is wrong with it.
pub(crate) fn verify(
    component: &str,
    plugins: &[Descriptor],
    told: Vec<Told>,
) -> Result<Vec<Migration>> {
    let refused = |why: String| {
        Error::plugin(
            "plugin::bad_output",
            format!("`{component}` describes its migrations wrongly: {why}"),
        )
        .help("tell the plugin's author; the rules stand in wit/README.md")
    };
    if told.len() > STEPS_MAX {
        return Err(refused(format!("it names {} steps", told.len())));
    }
    let mut found: Vec<Migration> = Vec::with_capacity(told.len());
    for step in told {
        let step = checked(plugins, step).map_err(refused)?;
        // Also by two plugins of it: a way names the component, and one of them would be taken by chance.
        let is_same = |other: &Migration| {
            (&other.schema, &other.from, &other.to) == (&step.schema, &step.from, &step.to)
        };
        if found.iter().any(is_same) {
            let Migration {
                schema, from, to, ..
            } = &step;
            return Err(refused(format!(
                "{schema} {from} to {to} stands there twice"
            )));
        }
        found.push(step);
    }
    Ok(found)
}

fn checked(plugins: &[Descriptor], told: Told) -> Result<Migration, String> {
    let is_migration = |plugin: &&Descriptor| plugin.kind == Kind::Migration;
    let mut names = plugins
        .iter()
        .filter(is_migration)
        .map(|plugin| &plugin.name);
    if !names.any(|name| *name == told.plugin) {
        let plugin = in_an_error(&told.plugin);
        return Err(format!(
            "a step belongs to `{plugin}`, which is no migration of it"
        ));
    }
    let name = &told.schema;
    let odd = |c: char| c.is_control() || c == '/' || c == '\\';
    if name.is_empty() || name.len() > WORD_MAX || name.contains(odd) || name.starts_with('.') {
        return Err(format!("`{}` is no name of a schema", in_an_error(name)));
    }
    let version = |text: &str| match Version::parse(text) {
        Ok(version) if text.len() <= WORD_MAX => Ok(version),
        _ => Err(format!("`{}` is no semantic version", in_an_error(text))),
    };
    let (from, to) = (version(&told.from)?, version(&told.to)?);
    // By precedence: what is behind a `+` makes no version newer.
    if from.cmp_precedence(&to).is_ge() {
        return Err(format!(
            "a step of {name} leads from {from} to {to}, which is not newer"
        ));
    }
    if told.lossless && !told.reversible {
        return Err(format!(
            "{name} {from} to {to} is lossless and has no way down"
        ));
    }
    Ok(Migration {
        plugin: told.plugin,
        schema: told.schema,
        reversible: told.reversible,
        lossless: told.lossless,
        from,
        to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(from: &str, to: &str) -> Told {
        Told {
            plugin: "users".into(),
            schema: "user".into(),
            from: from.into(),
            to: to.into(),
            reversible: true,
            lossless: true,
        }
    }

    fn plugins() -> Vec<Descriptor> {
        [("users", Kind::Migration), ("clean", Kind::Transform)]
            .map(|(name, kind)| Descriptor {
                name: name.into(),
                kind,
                version: "1.0.0".into(),
                summary: String::new(),
                config_schema: String::new(),
                requests: Vec::new(),
                extra: Vec::new(),
            })
            .into()
    }

    #[test]
    fn steps_that_make_no_sense_are_refused() {
        let one = || step("1.0.0", "2.0.0");
        for (why, steps) in [
            (
                "no migration of it",
                vec![Told {
                    plugin: "clean".into(),
                    ..one()
                }],
            ),
            (
                "no migration of it",
                vec![Told {
                    plugin: "\u{1b}[2J".into(),
                    ..one()
                }],
            ),
            (
                "no name of a schema",
                vec![Told {
                    schema: "../user".into(),
                    ..one()
                }],
            ),
            (
                "no name of a schema",
                vec![Told {
                    schema: String::new(),
                    ..one()
                }],
            ),
            ("no semantic version", vec![step("1", "2.0.0")]),
            ("not newer", vec![step("2.0.0", "2.0.0")]),
            ("not newer", vec![step("2.0.0", "1.0.0")]),
            ("not newer", vec![step("2.0.0", "2.0.0+b")]),
            (
                "no way down",
                vec![Told {
                    reversible: false,
                    ..one()
                }],
            ),
            ("twice", vec![one(), one()]),
            ("1001 steps", vec![one(); 1001]),
        ] {
            let error = verify("x.wasm", &plugins(), steps).unwrap_err();
            assert_eq!(error.code(), "plugin::bad_output");
            assert!(error.to_string().contains(why), "{error}");
        }
        let fine = verify("x.wasm", &plugins(), vec![one(), step("2.0.0", "3.0.0")]).unwrap();
        assert_eq!(fine.len(), 2);
    }
}
