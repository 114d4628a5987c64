//! What planning refuses, and what to type instead.

use dkhost_core::error::nearest;
use dkhost_core::{Error, Field, Result};
use dkhost_schema::FieldVersion;

use super::{Binding, Mode};

impl Binding<'_> {
    /// A field that must be there and is not.
    pub(super) fn missing(&self, field: &FieldVersion) -> Error {
        let (name, input) = (&field.name, self.scope.input);
        let spare = || {
            let spare = input.data_fields().map(|(_, field)| field.name.as_str());
            spare.filter(|name| self.version.field(name).is_none())
        };
        let renamed = spare().find(|spare| field.was.as_deref() == Some(*spare));
        let help = match (renamed.or_else(|| nearest(name, spare())), &field.default) {
            (Some(near), _) => {
                format!("rename it in a step before: rename = {{ {near} = \"{name}\" }}")
            }
            (None, Some(default)) => format!("coerce = true fills in its default, {default}"),
            (None, None) => format!(
                "compute it in a step before: set = {{ {name} = \"…\" }}; the columns are: {}",
                input.names().collect::<Vec<_>>().join(", ")
            ),
        };
        Error::config(
            "schema::missing_field",
            format!(
                "{} needs the field `{name}` of {}, which its input does not have",
                self.scope.reader, self.version.id
            ),
        )
        .at(self.span.clone(), format!("no column `{name}`"))
        .help(help)
    }

    /// A column of another type.
    pub(super) fn wrong_type(
        &self,
        field: &FieldVersion,
        column: &Field,
        why: Option<String>,
    ) -> Error {
        let (name, has, wants) = (&field.name, &column.logical, &field.logical);
        let help = match (why, self.mode) {
            (Some(why), _) => {
                format!("{why}; compute it in a step before: set = {{ {name} = \"…\" }}")
            }
            (None, Mode::Only(_)) => format!(
                "cast it before: apply = {{ {name} = {{ type_cast = {{ to = \"{wants}\" }} }} }}"
            ),
            (None, _) => format!(
                "write coerce = true, or cast it in a step before: apply = {{ {name} = {{ type_cast = {{ to = \"{wants}\" }} }} }}"
            ),
        };
        Error::config(
            "schema::wrong_type",
            format!(
                "{} gets `{name}` as {has}, and {} has it as {wants}",
                self.scope.reader, self.version.id
            ),
        )
        .at(self.span.clone(), format!("`{name}` is {has} here"))
        .help(help)
    }

    /// Refuses columns the version does not know, unless it is open.
    pub(super) fn refuse_unknown(&self) -> Result<()> {
        // A field that only some documents have is theirs to be refused for.
        let unknown = self.unknown().into_iter();
        let fields = unknown.map(|at| &self.scope.input.fields[at]);
        let everywhere = fields.filter(|field| !field.null_is_absent);
        let unknown: Vec<&str> = everywhere.map(|field| &*field.name).collect();
        let Some(first) = unknown.first() else {
            return Ok(());
        };
        let absent = self
            .version
            .fields
            .iter()
            .filter(|field| self.column(&field.name).is_none());
        let near = nearest(first, absent.map(|field| field.name.as_str()));
        let rename = near.map_or(String::new(), |near| {
            format!(
                "if it is `{near}`, rename it before: rename = {{ {first} = \"{near}\" }}; else "
            )
        });
        let names: Vec<String> = unknown.iter().map(|name| format!("\"{name}\"")).collect();
        Err(Error::config(
            "schema::unknown_field",
            format!(
                "{} gets the column `{first}`, which is no field of {}",
                self.scope.reader, self.version.id
            ),
        )
        .at(self.span.clone(), format!("does not know `{first}`"))
        .help(format!(
            "{rename}leave it out before: drop = [{}]; or write open = true in the version",
            names.join(", ")
        )))
    }

    /// A mistake in the schema file, told without its place: spans are the job file's.
    pub(super) fn wrong_check(&self, text: &str, error: &Error) -> Error {
        let label = error.place().map_or("", |(_, label)| label);
        let what = match label {
            "" | "in this expression" => error.to_string(),
            label => format!("{error} ({label})"),
        };
        let wrong = Error::config(
            "schema::wrong_check",
            format!(
                "the check `{text}` of {} cannot be made: {what}",
                self.version.id
            ),
        )
        .at(self.span.clone(), "this version");
        match error.help_text() {
            Some(help) => wrong.help(help),
            None => wrong.help(format!(
                "mend it in {}/{}.toml",
                self.version.id.name, self.version.id.version
            )),
        }
    }
}
