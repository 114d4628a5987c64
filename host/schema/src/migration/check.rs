//! Whether a migration leads from one version to the other, as far as names and types tell.

use dkhost_core::error::nearest;
use dkhost_core::{Error, LogicalType, Result, Span};

use super::text::{toml_key, toml_text};
use super::{Direction, Migration, Operation, REMOVED, RESERVED, Verb};
use crate::version::SchemaVersion;

/// Looks at a migration against both its versions, up and down.
///
/// *Errors* – at the operation: `schema::migration_field` for a field that is not there (the nearest
/// is named), `schema::migration_name` for a name that is taken or not to be had; and `schema::migration_end` for a way
/// that does not end with the fields of the version it leads to.
pub fn check(migration: &Migration, from: &SchemaVersion, to: &SchemaVersion) -> Result<()> {
    walk(&migration.up, Direction::Up, from, to)?;
    match &migration.down {
        Some(down) => walk(down, Direction::Down, to, from),
        None => Ok(()),
    }
}

fn walk(
    operations: &[Operation],
    direction: Direction,
    from: &SchemaVersion,
    to: &SchemaVersion,
) -> Result<()> {
    let start = from.fields.iter();
    let mut fields = Fields(
        start
            .map(|field| (field.name.clone(), Some(field.logical.clone())))
            .collect(),
    );
    for operation in operations {
        fields.apply(operation, to)?;
    }
    fields.end(direction, from, to)
}

/// Fields at some point of the way; of some the type is not known.
struct Fields(Vec<(String, Option<LogicalType>)>);

impl Fields {
    fn apply(&mut self, operation: &Operation, to: &SchemaVersion) -> Result<()> {
        let span = &operation.span;
        match &operation.verb {
            Verb::Rename(names) => self.rename(names, span),
            Verb::Add(fields) => fields
                .iter()
                .try_for_each(|(name, _)| self.add(name, None, span)),
            Verb::Remove { fields, .. } => {
                for name in fields {
                    let at = self.find(name, span)?;
                    self.0.remove(at);
                }
                Ok(())
            }
            Verb::Restore(names) => names.iter().try_for_each(|name| {
                let logical = to.field(name).map(|field| field.logical.clone());
                self.add(name, logical, span)
            }),
            Verb::Cast(casts) => casts.iter().try_for_each(|(name, logical)| {
                let at = self.find(name, span)?;
                self.0[at].1 = Some(logical.clone());
                Ok(())
            }),
            Verb::Set(fields) => fields.iter().try_for_each(|(name, _)| {
                let at = self.find(name, span)?;
                self.0[at].1 = None;
                Ok(())
            }),
            Verb::Constrain(names) => names.iter().try_for_each(|name| {
                self.find(name, span)?;
                match to.field(name) {
                    Some(_) => Ok(()),
                    None => Err(Error::config(
                        "schema::migration_field",
                        format!("{} has no field `{name}` and no rules for it", to.id),
                    )
                    .at(span.clone(), "constrained here")),
                }
            }),
        }
    }

    fn rename(&mut self, names: &[(String, String)], span: &Span) -> Result<()> {
        let mut renamed = Vec::with_capacity(names.len());
        for (old, new) in names {
            not_reserved(new, span)?;
            renamed.push((self.find(old, span)?, new));
        }
        for (at, new) in &renamed {
            self.0[*at].0 = (*new).clone();
        }
        for (_, new) in renamed {
            if self.0.iter().filter(|(name, _)| name == new).count() > 1 {
                return Err(taken(new, span));
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, logical: Option<LogicalType>, span: &Span) -> Result<()> {
        not_reserved(name, span)?;
        if self.0.iter().any(|(known, _)| known == name) {
            return Err(taken(name, span));
        }
        self.0.push((name.to_owned(), logical));
        Ok(())
    }

    fn find(&self, name: &str, span: &Span) -> Result<usize> {
        let found = self.0.iter().position(|(known, _)| known == name);
        found.ok_or_else(|| {
            let known = self.0.iter().map(|(known, _)| known.as_str());
            let label = match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "not there at this point".to_owned(),
            };
            Error::config(
                "schema::migration_field",
                format!("the migration speaks of a field `{name}` that is not there"),
            )
            .at(span.clone(), label)
        })
    }

    /// Whether these are the fields of the version the way leads to.
    fn end(&self, direction: Direction, from: &SchemaVersion, to: &SchemaVersion) -> Result<()> {
        let way = direction.word();
        let wrong = |what: String, help: String| {
            let message = format!("the way {way} from {} to {} {what}", from.id.version, to.id);
            Err(Error::config("schema::migration_end", message).help(help))
        };
        for field in &to.fields {
            let name = &field.name;
            match self.0.iter().find(|(known, _)| known == name) {
                None => {
                    return wrong(
                        format!("ends without its field `{name}`"),
                        format!(
                            "add [[{way}]] add = {{ {} = \"null\" }}, or a rename",
                            toml_key(name)
                        ),
                    );
                }
                Some((_, Some(logical))) if *logical != field.logical => {
                    return wrong(
                        format!(
                            "ends with `{name}` as {logical}, which is {} there",
                            field.logical
                        ),
                        format!(
                            "add [[{way}]] cast = {{ {} = {} }}",
                            toml_key(name),
                            toml_text(&field.logical.to_string())
                        ),
                    );
                }
                Some(_) => (),
            }
        }
        let is_surplus = |(name, _): &&(String, Option<LogicalType>)| {
            to.field(name).is_none() && name != REMOVED
        };
        match self.0.iter().find(is_surplus) {
            Some((name, _)) if !to.open => wrong(
                format!("ends with a field `{name}`, which it does not know"),
                format!("add [[{way}]] remove = [{}]", toml_text(name)),
            ),
            _ => Ok(()),
        }
    }
}

/// What migrations keep for themselves would be taken for it, and be written over.
fn not_reserved(name: &str, span: &Span) -> Result<()> {
    match RESERVED.contains(&name) {
        true => Err(Error::config(
            "schema::migration_name",
            format!("`{name}` is what migrations keep for themselves"),
        )
        .at(span.clone(), "by this operation")
        .help("give it another name; `remove` with keep_values = true keeps values there")),
        false => Ok(()),
    }
}

fn taken(name: &str, span: &Span) -> Error {
    Error::config(
        "schema::migration_name",
        format!("two fields would be called `{name}`"),
    )
    .at(span.clone(), "by this operation")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::migration;
    use semver::Version;

    /// A version of fields like `id:int64 name:utf8`.
    pub fn version(number: &str, fields: &str) -> SchemaVersion {
        let text: String = fields
            .split_whitespace()
            .map(|field| {
                let (name, logical) = field.split_once(':').unwrap();
                format!("[fields.{name}]\ntype = \"{logical}\"\n")
            })
            .collect();
        crate::read(format!("user@{number}").parse().unwrap(), &text).unwrap()
    }

    fn checked(text: &str) -> Result<()> {
        let (from, to) = (
            version("1.0.0", "id:int64 years:utf8 old:utf8"),
            version("2.0.0", "id:int64 age:int64 new:utf8"),
        );
        let one = Version::new(1, 0, 0);
        let migration = migration::read("user", one, Version::new(2, 0, 0), text).unwrap();
        check(&migration, &from, &to)
    }

    const UP: &str = "[[up]]\nrename = { years = 'age' }\n[[up]]\ncast = { age = 'int64' }\n\
                      [[up]]\nremove = ['old']\n[[up]]\nadd = { new = \"'x'\" }\n";

    #[test]
    fn a_way_that_ends_with_the_versions_fields_is_fine() {
        checked(&format!("reversible = false\n{UP}")).unwrap();
    }

    #[test]
    fn what_is_missing_or_too_much_is_named_with_the_line_to_write() {
        for (text, code, message) in [
            (
                UP.replace("years =", "yeers ="),
                "schema::migration_field",
                "a field `yeers`",
            ),
            (
                UP.replace("{ new =", "{ id ="),
                "schema::migration_name",
                "called `id`",
            ),
            (
                UP.replace("remove = ['old']", "set = { old = '1' }"),
                "schema::migration_end",
                "a field `old`",
            ),
            (
                UP.replace("'int64'", "'int32'"),
                "schema::migration_end",
                "`age` as int32",
            ),
            (
                UP.replace("add = { new", "add = { nev"),
                "schema::migration_end",
                "its field `new`",
            ),
        ] {
            let error = checked(&format!("reversible = false\n{text}")).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn the_way_down_is_looked_at_too() {
        let error = checked(&format!("{UP}[[down]]\nremove = ['new']\n")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the way down from 2.0.0 to user@1.0.0"),
            "{error}"
        );
    }

    #[test]
    fn what_migrations_keep_for_themselves_is_no_field() {
        for operation in [
            "rename = { old = '_removed' }",
            "rename = { old = '_schema_version' }",
            "add = { _removed = '1' }",
            "restore = ['_removed']",
        ] {
            let text = UP.replace("remove = ['old']", operation);
            let error = checked(&format!("reversible = false\n{text}")).unwrap_err();
            assert_eq!(
                error.code(),
                "schema::migration_name",
                "{operation}: {error}"
            );
            assert!(error.place().is_some());
        }
    }

    #[test]
    fn a_line_to_write_is_toml_for_any_name() {
        let from = version("1.0.0", "id:int64");
        let text = "[fields.id]\ntype = 'int64'\n[fields.'full \"name\"']\ntype = 'utf8'\n";
        let to = crate::read("user@2.0.0".parse().unwrap(), text).unwrap();
        for (one, two, line) in [
            (&from, &to, "add = { \"full \\\"name\\\"\" = \"null\" }"),
            (&to, &from, "remove = [\"full \\\"name\\\"\"]"),
        ] {
            let (from, to) = (Version::new(1, 0, 0), Version::new(2, 0, 0));
            let migration = migration::read("user", from, to, "reversible = false").unwrap();
            let error = check(&migration, one, two).unwrap_err();
            assert!(error.help_text().unwrap().contains(line), "{error:?}");
        }
    }
}
