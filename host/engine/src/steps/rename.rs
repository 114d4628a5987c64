//! `rename`: new names for columns, all at once, values untouched; what a record's metadata says of
//! single fields goes with them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use dkhost_core::dataknobs::FIELDS;
use dkhost_core::{Changed, Error, Field, LogicalType, Node, Result, Role, Schema, Step};
use serde_json::value::RawValue;

use super::built_in::{Facts, Work, step};
use super::project::Projection;
use super::rest;
use super::{entries, index_of, text};
use crate::expr::Scope;

pub(super) fn build(node: &Node, scope: &Scope) -> Result<Box<dyn Step>> {
    let entries = entries(node, "`rename`")?;
    let mut renamed: HashMap<usize, &str> = HashMap::new();
    for (old, span, new) in entries {
        let index = index_of(old, span, scope)?;
        let name = text(new, "a new name")?;
        if name.is_empty() {
            return Err(Error::config(
                "plan::no_name",
                format!("{} renames `{old}` to nothing", scope.reader),
            )
            .at(new.span.clone(), "a name is needed here"));
        }
        renamed.insert(index, name);
    }
    let fields: Vec<Field> = scope
        .input
        .fields
        .iter()
        .enumerate()
        .map(|(index, field)| match renamed.get(&index) {
            Some(name) => Field {
                name: (*name).to_owned(),
                ..field.clone()
            },
            None => field.clone(),
        })
        .collect();
    for (old, _, new) in entries {
        let taken: Vec<usize> = (0..fields.len())
            .filter(|i| text(new, "").is_ok_and(|n| n == fields[*i].name))
            .collect();
        if taken.len() > 1 {
            return Err(name_taken(old, new, &taken, scope));
        }
    }
    let carries = scope
        .input
        .names()
        .zip(&fields)
        .map(|(old, field)| (old.to_owned(), field.name.clone()));
    let summary = entries
        .iter()
        .map(|(old, _, new)| format!("{old} as {}", text(new, "").unwrap_or_default()));
    let facts = Facts {
        carries: carries.collect(),
        summary: summary.collect::<Vec<_>>().join(", "),
        output: Schema::new(fields),
        ..Facts::default()
    };
    let all = (0..facts.output.fields.len()).collect();
    let name = |index: &usize| scope.input.fields[*index].name.clone();
    let names = renamed
        .iter()
        .map(|(old, new)| (name(old), (*new).to_owned()));
    let work = Renaming {
        names: names.collect(),
        metadata: scope.input.role(Role::Meta),
        projection: Projection::new(all, &facts.output),
    };
    Ok(step(facts, work))
}

struct Renaming {
    /// New names by old ones.
    names: HashMap<String, String>,
    metadata: Option<usize>,
    projection: Projection,
}

impl Work for Renaming {
    fn change(&self, records: &RecordBatch) -> Result<Changed> {
        let is_text = |at: &usize| records.column(*at).data_type() == &LogicalType::Utf8.arrow();
        let Some(at) = self.metadata.filter(is_text) else {
            return self.projection.change(records);
        };
        let texts = records.column(at).as_string::<i32>();
        if !texts.iter().flatten().any(says_more) {
            return self.projection.change(records);
        }
        let renamed = texts
            .iter()
            .map(|text| text.map(|text| self.metadata(text)).transpose());
        let renamed: ArrayRef = Arc::new(renamed.collect::<Result<StringArray>>()?);
        let mut columns = records.columns().to_vec();
        columns[at] = renamed;
        self.projection
            .change(&RecordBatch::try_new(records.schema(), columns)?)
    }
}

/// Whether metadata may say more of a field than its value.
fn says_more(metadata: &str) -> bool {
    metadata.contains(FIELDS)
}

impl Renaming {
    /// Metadata in which what is said of a field is said of its new name.
    fn metadata(&self, text: &str) -> Result<String> {
        let said = rest::entries(text)?;
        let of_fields = said.iter().find(|(name, _)| name == FIELDS);
        let of_fields = of_fields.and_then(|(_, value)| rest::entries(value.get()).ok());
        let Some(of_fields) = of_fields else {
            return Ok(text.to_owned());
        };
        let of_fields: Vec<(&str, &RawValue)> = of_fields
            .iter()
            .filter_map(|(name, value)| Some((self.now(name)?, *value)))
            .collect();
        let of_fields = RawValue::from_string(rest::object(&of_fields)?)
            .map_err(|cause| Error::bug("an object is no JSON").caused_by(cause))?;
        let said: Vec<(&str, &RawValue)> = said
            .iter()
            .map(|(name, value)| match name == FIELDS {
                true => (name.as_str(), of_fields.as_ref()),
                false => (name.as_str(), *value),
            })
            .collect();
        rest::object(&said)
    }

    /// What a field is called now; `None` for one that was there once, if another has its name now.
    fn now<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match self.names.get(name) {
            Some(new) => Some(new),
            None if self.names.values().any(|new| new == name) => None,
            None => Some(name),
        }
    }
}

fn name_taken(old: &str, new: &Node, taken: &[usize], scope: &Scope) -> Error {
    let name = text(new, "").unwrap_or_default();
    let other = taken
        .iter()
        .map(|i| scope.input.fields[*i].name.as_str())
        .find(|other| *other != old)
        .unwrap_or(name);
    Error::config(
        "plan::name_taken",
        format!(
            "{} renames `{old}` to `{name}`, which `{other}` is already called",
            scope.reader
        ),
    )
    .at(new.span.clone(), "taken")
    .help(format!(
        "drop or rename `{other}` in this step or before it"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, input, key, refused, with_reserved};
    use dkhost_core::Role;
    use serde_json::json;

    #[test]
    fn a_rename_keeps_the_other_fields_and_their_order() {
        check(
            ("rename", json!({"full name": "name"})),
            &input(&[("id", "int64"), ("full name", "utf8"), ("born", "int64")]),
            r#"{"id":1,"full name":"Ada","born":1815}"#,
            r#"{"id":1,"name":"Ada","born":1815}"#,
        );
    }

    #[test]
    fn two_columns_can_be_swapped() {
        check(
            ("rename", json!({"a": "b", "b": "a"})),
            &input(&[("a", "int64"), ("b", "utf8")]),
            r#"{"a":1,"b":"x"}"#,
            r#"{"b":1,"a":"x"}"#,
        );
    }

    #[test]
    fn what_metadata_says_of_a_field_goes_with_it() {
        check(
            ("rename", json!({"name": "full_name", "email": "name"})),
            &with_reserved(input(&[("name", "utf8"), ("email", "utf8"), ("x", "utf8")])),
            r#"{"name":"Ada","_meta":{"s":1.10,"$fields":{"name":{"type":"text"},"x":{"a":1},"full_name":{"gone":true}}}}
               {"name":"Bob","_meta":{"$fields":7}} {"email":"c","_meta":{"s":2}}"#,
            r#"{"_id":null,"full_name":"Ada","name":null,"x":null,"_meta":{"s":1.10,"$fields":{"full_name":{"type":"text"},"x":{"a":1}}},"_rest":null}
               {"_id":null,"full_name":"Bob","name":null,"x":null,"_meta":{"$fields":7},"_rest":null}
               {"_id":null,"full_name":null,"name":"c","x":null,"_meta":{"s":2},"_rest":null}"#,
        );
    }

    #[test]
    fn a_renamed_key_stays_key_and_a_renamed_id_stays_id() {
        let mut schema = key(input(&[("a", "int64"), ("_id", "utf8")]), "a");
        schema.fields[1].role = Some(Role::Id);
        let step = super::super::testing::build("rename", json!({"a": "b", "_id": "key"}), &schema)
            .unwrap();
        assert_eq!(step.output().fields[0].key, Some(0));
        assert_eq!(step.output().fields[1].role, Some(Role::Id));
        assert_eq!(
            step.carries(),
            [("a".into(), "b".into()), ("_id".into(), "key".into())]
        );
        assert_eq!(step.note().summary, "a as b, _id as key");
        assert!(step.reads().is_empty());
    }

    #[test]
    fn an_unknown_or_taken_name_is_refused() {
        let schema = input(&[("email", "utf8"), ("Name", "utf8")]);
        let unknown = refused("rename", json!({"emial": "mail"}), &schema);
        assert_eq!(
            unknown.to_string(),
            "stage `here` reads field `emial`, which is not there"
        );
        assert_eq!(
            unknown.place().unwrap().1,
            "not there; did you mean `email`?"
        );
        let taken = refused("rename", json!({"email": "Name"}), &schema);
        assert_eq!(
            taken.to_string(),
            "stage `here` renames `email` to `Name`, which `Name` is already called"
        );
        let twice = refused("rename", json!({"email": "x", "Name": "x"}), &schema);
        assert_eq!(twice.code(), "plan::name_taken");
        assert_eq!(
            refused("rename", json!({"email": ""}), &schema).code(),
            "plan::no_name"
        );
        assert_eq!(
            refused("rename", json!(["email"]), &schema).code(),
            "job::wrong_type"
        );
    }
}
