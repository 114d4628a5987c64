//! A migration file from two versions: what can be said without guessing, in an order that is right.

use std::fmt::Write;

use dkhost_core::{Error, LogicalType, Result};

use super::text::{comment, sql_name, sql_value, toml_key, toml_text};
use crate::constant::Constant;
use crate::difference::{Verdict, before, differences, gets_default};
use crate::types::TypeChange;
use crate::version::{FieldVersion, SchemaVersion};

/// How a migration is generated.
#[derive(Debug, Clone, Copy, Default)]
pub struct Generate {
    /// Whether the values of fields that go are kept in `_removed`.
    pub keep_removed: bool,
}

/// A generated migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The text of its file.
    pub text: String,
    /// What a person should look at.
    pub notes: Vec<String>,
}

/// Writes the migration between two versions, `from` being the older.
///
/// *Errors* – `schema::no_conversion` for a change of type that no rule decides.
pub fn generate(from: &SchemaVersion, to: &SchemaVersion, options: Generate) -> Result<Generated> {
    let change = Change::between(from, to)?;
    let mut notes = notes(from, to);
    let (mut keys, mut up, mut down) = (String::new(), String::new(), String::new());
    change.up(options, &mut up);
    match change.irreversible(options) {
        Some(why) => {
            let said = comment(&why);
            keys = format!("\n# There is no way down: {said}.\nreversible = false\n");
            notes.push(format!("there is no way down: {why}"));
        }
        None => {
            change.down(options, &mut down);
            if down.is_empty() {
                keys.push_str("\n# Down, nothing has to be done.\ndown = []\n");
            }
        }
    }
    let (schema, id) = (comment(&from.id.name), comment(&from.id.to_string()));
    let text = format!(
        "# {id} to {}, written by `dkhost schema generate`.\n\
         # Edit it where it does not say what you mean; `dkhost schema check {schema}` looks at it again.\n\
         {keys}{up}{down}",
        to.id.version
    );
    Ok(Generated { text, notes })
}

/// What a migration may cost, a line each.
fn notes(from: &SchemaVersion, to: &SchemaVersion) -> Vec<String> {
    let costly = differences(from, to).into_iter();
    costly
        .filter(|difference| difference.verdict > Verdict::Safe)
        .map(|difference| {
            let field = difference.field.as_deref().unwrap_or("the record");
            let (kind, verdict) = (difference.kind.words(), difference.verdict.words());
            format!("{field}: {kind}, {verdict}")
        })
        .collect()
}

/// How fields become fields.
struct Change<'a> {
    from: &'a SchemaVersion,
    to: &'a SchemaVersion,
    /// Old and new.
    pairs: Vec<(&'a FieldVersion, &'a FieldVersion)>,
    added: Vec<&'a FieldVersion>,
    removed: Vec<&'a FieldVersion>,
}

impl<'a> Change<'a> {
    fn between(from: &'a SchemaVersion, to: &'a SchemaVersion) -> Result<Self> {
        let mut change = Change {
            from,
            to,
            pairs: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
        };
        for field in &to.fields {
            match before(field, from, to) {
                Some(old) => change.pairs.push((old, field)),
                None => change.added.push(field),
            }
        }
        let is_kept =
            |old: &&FieldVersion| change.pairs.iter().all(|(kept, _)| kept.name != old.name);
        change.removed = from.fields.iter().filter(is_kept).collect();
        for (old, new) in &change.pairs {
            if TypeChange::between(&old.logical, &new.logical) == Some(TypeChange::Incompatible) {
                return Err(no_conversion(old, new, from, to));
            }
        }
        Ok(change)
    }

    fn up(&self, options: Generate, text: &mut String) {
        let (kept, gone) = self.kept(options);
        remove("up", &kept, true, text);
        remove("up", &gone, false, text);
        self.rename("up", |old, new| (old, new), text);
        let casts = self
            .pairs
            .iter()
            .filter(|(old, new)| old.logical != new.logical);
        for (old, new) in casts {
            let comment = match TypeChange::between(&old.logical, &new.logical) {
                Some(TypeChange::Widening) => "every value fits".to_owned(),
                _ => format!(
                    "records with a value that is no {} are refused",
                    new.logical
                ),
            };
            cast("up", &comment, &new.name, new, text);
        }
        for field in &self.added {
            let comment = match &field.default {
                Some(_) => "new, with its default",
                None if self.to.needs(field) => {
                    "new, and needed: say what records get, or all are refused"
                }
                None => "new, without a value",
            };
            add("up", comment, field, field.default.as_ref(), text);
        }
        for (old, new) in &self.pairs {
            if let Some(default) = new
                .default
                .as_ref()
                .filter(|_| gets_default(self.from, old, new))
            {
                let value = sql_value(default, &new.logical);
                let set = format!("coalesce({}, {value})", sql_name(&new.name));
                let entry = format!("{} = {}", toml_key(&new.name), toml_text(&set));
                operation(
                    "up",
                    "records without a value get its default",
                    "set",
                    &format!("{{ {entry} }}"),
                    text,
                );
            }
        }
        self.constrain(text);
    }

    fn down(&self, options: Generate, text: &mut String) {
        remove("down", &self.added, false, text);
        for (old, new) in self.pairs.iter().rev() {
            if old.logical != new.logical {
                let comment = format!("was {}", old.logical);
                cast("down", &comment, &new.name, old, text);
            }
        }
        self.rename("down", |old, new| (new, old), text);
        let (kept, gone) = self.kept(options);
        if !kept.is_empty() {
            let why = "with the values that were kept";
            operation("down", why, "restore", &list(&kept), text);
        }
        for field in gone.into_iter().rev() {
            let default = field.default.as_ref();
            add("down", "its values are gone", field, default, text);
        }
    }

    /// The fields that go: those whose values are kept, and the others.
    fn kept(&self, options: Generate) -> (Vec<&'a FieldVersion>, Vec<&'a FieldVersion>) {
        let removed = self.removed.iter().copied();
        removed.partition(|field| options.keep_removed && is_json(field))
    }

    /// Why there is no way down; `None` if there is.
    fn irreversible(&self, options: Generate) -> Option<String> {
        let back = |(old, new): &&(&FieldVersion, &FieldVersion)| {
            TypeChange::between(&new.logical, &old.logical) == Some(TypeChange::Incompatible)
        };
        if let Some((old, new)) = self.pairs.iter().find(back) {
            return Some(format!(
                "no rule says which {} the {} in `{}` was",
                old.logical, new.logical, new.name
            ));
        }
        // One default for all records tells none of them from the others.
        let differs = |old: &FieldVersion| {
            let key = self.from.key.as_slice();
            old.rules.unique || (key.len() == 1 && key[0] == old.name)
        };
        let is_lost =
            |old: &&FieldVersion| self.from.needs(old) && (old.default.is_none() || differs(old));
        let lost = self.kept(options).1.into_iter().find(is_lost)?;
        let help = match is_json(lost) {
            true => "; --keep-removed keeps them",
            false => " and cannot be kept",
        };
        let (from, name) = (&self.from.id, &lost.name);
        Some(format!(
            "{from} needs `{name}`, whose values are gone{help}"
        ))
    }

    fn rename(
        &self,
        way: &str,
        names: impl Fn(&'a str, &'a str) -> (&'a str, &'a str),
        text: &mut String,
    ) {
        let renamed = self.pairs.iter().filter(|(old, new)| old.name != new.name);
        let entries: Vec<String> = renamed
            .map(|(old, new)| names(&old.name, &new.name))
            .map(|(old, new)| format!("{} = {}", toml_key(old), toml_text(new)))
            .collect();
        if !entries.is_empty() {
            operation(
                way,
                "under another name",
                "rename",
                &format!("{{ {} }}", entries.join(", ")),
                text,
            );
        }
    }

    /// Fields whose values the newer version may refuse.
    fn constrain(&self, text: &mut String) {
        let found = differences(self.from, self.to);
        let refused = |field: &&FieldVersion| {
            found.iter().any(|difference| {
                difference.field.as_ref() == Some(&field.name)
                    && matches!(
                        difference.verdict,
                        Verdict::MayReject | Verdict::NeedsDefault
                    )
            })
        };
        // A change of the key is one of the version, and asks a value of each of its fields.
        let joins_the_key = |field: &&FieldVersion| {
            let was_there = |(old, new): &(&FieldVersion, &FieldVersion)| {
                new.name == field.name && self.from.key.contains(&old.name)
            };
            self.to.key.contains(&field.name) && !self.pairs.iter().any(was_there)
        };
        let is_asked = |field: &&FieldVersion| refused(field) || joins_the_key(field);
        let fields: Vec<&FieldVersion> = self.to.fields.iter().filter(is_asked).collect();
        if !fields.is_empty() {
            let comment = format!("records that {} does not allow are refused", self.to.id);
            operation("up", &comment, "constrain", &list(&fields), text);
        }
    }
}

fn no_conversion(
    old: &FieldVersion,
    new: &FieldVersion,
    from: &SchemaVersion,
    to: &SchemaVersion,
) -> Error {
    let (name, versions) = (
        &new.name,
        format!("{}--{}.toml", from.id.version, to.id.version),
    );
    Error::config(
        "schema::no_conversion",
        format!(
            "no rule says which {} a value of `{}` is, which was {}",
            new.logical, name, old.logical
        ),
    )
    .help(format!(
        "say it yourself in {}/{versions}: [[up]] set = {{ {} = \"…\" }}, with reversible = false or [[down]]; or in a component (`dkhost plugin new NAME --world schema-migration`)",
        from.id.name,
        toml_key(name)
    ))
}

/// Whether `_removed`, which is json, can hold its values.
fn is_json(field: &FieldVersion) -> bool {
    !matches!(field.logical, LogicalType::Binary | LogicalType::Vector(_))
}

fn remove(way: &str, fields: &[&FieldVersion], keep: bool, text: &mut String) {
    if fields.is_empty() {
        return;
    }
    let why = match (way, keep) {
        ("up", true) => "gone; their values are kept in `_removed`",
        ("up", false) => "gone with their values",
        _ => "not there before",
    };
    operation(way, why, "remove", &list(fields), text);
    if keep {
        text.push_str("keep_values = true\n");
    }
}

fn operation(way: &str, why: &str, verb: &str, value: &str, text: &mut String) {
    let why = comment(why);
    let _ = write!(text, "\n# {why}\n[[{way}]]\n{verb} = {value}\n");
}

fn cast(way: &str, comment: &str, name: &str, to: &FieldVersion, text: &mut String) {
    let logical = toml_text(&to.logical.to_string());
    let value = format!("{{ {} = {logical} }}", toml_key(name));
    operation(way, comment, "cast", &value, text);
}

fn add(
    way: &str,
    comment: &str,
    field: &FieldVersion,
    default: Option<&Constant>,
    text: &mut String,
) {
    let value = default.map_or_else(
        || "null".to_owned(),
        |default| sql_value(default, &field.logical),
    );
    let entry = format!("{{ {} = {} }}", toml_key(&field.name), toml_text(&value));
    operation(way, comment, "add", &entry, text);
}

fn list(fields: &[&FieldVersion]) -> String {
    let names: Vec<String> = fields.iter().map(|field| toml_text(&field.name)).collect();
    format!("[{}]", names.join(", "))
}
