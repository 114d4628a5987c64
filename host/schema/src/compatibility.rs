//! Which versions may follow each other: what readers of one version can make of records of another.
//!
//! The modes are those of Confluent's schema registry. A reader takes the fields it knows, under the
//! names its version gives them or gave them before (`was`), and gives defaults to what is missing.
//!
//! | mode | who reads what | so that between versions |
//! |---|---|---|
//! | `backward` | readers of the new version, records of the old | fields may go, be renamed with `was`, and come with a default or optional; types may widen, rules loosen |
//! | `forward` | readers of the old version, records of the new | fields may come, and go where the old version has a default or did not need them; types may narrow, rules tighten |
//! | `full` | both | only what both allow |
//! | `none` | nobody promises anything | anything |

use std::fmt;
use std::str::FromStr;

use dkhost_core::{Error, Result};

use crate::difference::{Difference, Verdict, differences};
use crate::version::{FieldVersion, SchemaVersion};

/// What a version promises to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Readers of it can read records of those before.
    Backward,
    /// Readers of those before can read its records.
    Forward,
    /// Both.
    Full,
    /// Nothing.
    #[default]
    None,
}

/// The words for [`Mode`].
pub const MODES: &[&str] = &["backward", "forward", "full", "none"];

impl Mode {
    /// As files and commands write it.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Backward => "backward",
            Mode::Forward => "forward",
            Mode::Full => "full",
            Mode::None => "none",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Mode::Backward, Mode::Forward, Mode::Full, Mode::None];
        let found = all.into_iter().find(|mode| mode.word() == word);
        found.ok_or_else(|| format!("`{word}` is no mode; there are {}", MODES.join(", ")))
    }
}

/// A difference that breaks a promise.
#[derive(Debug, Clone, PartialEq)]
pub struct Break {
    /// `backward` or `forward`.
    pub mode: Mode,
    /// What differs, seen from the version of the records to that of the reader.
    pub difference: Difference,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let difference = &self.difference;
        let field = match &difference.field {
            Some(field) => format!("`{field}`"),
            None => "the record".to_owned(),
        };
        let change = match (difference.from.as_str(), difference.to.as_str()) {
            ("", "") => String::new(),
            ("", to) => format!(" ({to})"),
            (from, "") => format!(" (was {from})"),
            (from, to) => format!(" ({from} to {to})"),
        };
        let kind = difference.kind.words();
        let verdict = difference.verdict.words();
        write!(f, "not {}: {field} {kind}{change}, {verdict}", self.mode)
    }
}

/// What between two versions breaks a mode; nothing if the newer one keeps it.
pub fn breaks(older: &SchemaVersion, newer: &SchemaVersion, mode: Mode) -> Vec<Break> {
    let refused = |mode, records: &SchemaVersion, reader: &SchemaVersion| {
        differences(records, reader)
            .into_iter()
            .filter(|difference| {
                matches!(
                    difference.verdict,
                    Verdict::MayReject | Verdict::NeedsDefault
                )
            })
            .map(|difference| Break { mode, difference })
            .collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    if matches!(mode, Mode::Backward | Mode::Full) {
        found.extend(refused(Mode::Backward, older, newer));
    }
    if matches!(mode, Mode::Forward | Mode::Full) {
        found.extend(refused(Mode::Forward, newer, &as_reader(older, newer)));
    }
    found
}

/// The older version, as its readers meet newer records: a field of its own name comes before one of
/// its former name, which may be another's by now.
fn as_reader(older: &SchemaVersion, newer: &SchemaVersion) -> SchemaVersion {
    let mut reader = older.clone();
    let known = |field: &&mut FieldVersion| newer.field(&field.name).is_some();
    for field in reader.fields.iter_mut().filter(known) {
        field.was = None;
    }
    reader
}

/// Refuses a version that breaks the mode it declares, against one before it.
///
/// *Errors* – `schema::incompatible` names every difference that does.
pub fn ensure(older: &SchemaVersion, newer: &SchemaVersion, mode: Mode) -> Result<()> {
    let found = breaks(older, newer, mode);
    if found.is_empty() {
        return Ok(());
    }
    let why: Vec<String> = found.iter().map(Break::to_string).collect();
    Err(Error::config(
        "schema::incompatible",
        format!(
            "{} does not keep compatibility = \"{mode}\" with {}: {}",
            newer.id,
            older.id.version,
            why.join("; ")
        ),
    )
    .help("undo the difference, give a default, or declare another compatibility in the version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: &str, fields: &str) -> SchemaVersion {
        crate::read(format!("user@{number}").parse().unwrap(), fields).unwrap()
    }

    fn broken(old: &str, new: &str, mode: Mode) -> Vec<String> {
        let (old, new) = (version("1.0.0", old), version("2.0.0", new));
        let found = breaks(&old, &new, mode);
        found.iter().map(Break::to_string).collect()
    }

    const ID: &str = "[fields.id]\ntype = 'int64'\n";

    #[test]
    fn fields_come_and_go_as_the_mode_allows() {
        let needed = format!("{ID}[fields.a]\ntype = 'utf8'\nrequired = true\n");
        let defaulted = format!("{needed}default = 'x'\n");
        let optional = format!("{ID}[fields.a]\ntype = 'utf8'\n");
        for (old, new, backward, forward) in [
            (ID, optional.as_str(), true, true),
            (ID, defaulted.as_str(), true, true),
            (ID, needed.as_str(), false, true),
            (needed.as_str(), ID, true, false),
            (defaulted.as_str(), ID, true, true),
            (optional.as_str(), ID, true, true),
            (optional.as_str(), needed.as_str(), false, true),
        ] {
            assert_eq!(
                broken(old, new, Mode::Backward).is_empty(),
                backward,
                "{old} {new}"
            );
            assert_eq!(
                broken(old, new, Mode::Forward).is_empty(),
                forward,
                "{old} {new}"
            );
            let both = backward && forward;
            assert_eq!(broken(old, new, Mode::Full).is_empty(), both, "{old} {new}");
            assert!(broken(old, new, Mode::None).is_empty());
        }
    }

    #[test]
    fn types_and_rules_go_one_way() {
        let narrow = "[fields.a]\ntype = 'int32'\nrange = { min = 0, max = 10 }\n";
        let wide = "[fields.a]\ntype = 'int64'\nrange = { min = 0, max = 20 }\n";
        assert!(broken(narrow, wide, Mode::Backward).is_empty());
        assert_eq!(
            broken(narrow, wide, Mode::Forward),
            [
                "not forward: `a` type (narrower) (int64 to int32), may reject",
                "not forward: `a` range tightened (0 to 20 to 0 to 10), may reject"
            ]
        );
        assert_eq!(broken(wide, narrow, Mode::Backward).len(), 2);
    }

    #[test]
    fn a_broken_promise_is_refused_by_name() {
        let error = ensure(
            &version("1.0.0", ID),
            &version("2.0.0", &ID.replace("int64", "int32")),
            Mode::Full,
        );
        let error = error.unwrap_err();
        assert_eq!(
            error.to_string(),
            "user@2.0.0 does not keep compatibility = \"full\" with 1.0.0: not backward: `id` type (narrower) (int64 to int32), may reject"
        );
    }

    #[test]
    fn a_reader_takes_a_field_of_its_own_name_before_one_of_a_former_name() {
        let older = format!("{ID}[fields.age]\ntype = 'int64'\nwas = 'years'\n");
        let another = format!("{ID}[fields.age]\ntype = 'utf8'\n[fields.years]\ntype = 'int64'\n");
        assert_eq!(
            broken(&older, &another, Mode::Forward),
            ["not forward: `age` type (narrower) (utf8 to int64), may reject"]
        );
        let back = format!("{ID}[fields.years]\ntype = 'int64'\nwas = 'age'\n");
        assert!(broken(&older, &back, Mode::Full).is_empty());
    }
}
