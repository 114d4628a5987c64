//! `rename`: new names for columns, all at once, values untouched.

use std::collections::HashMap;

use dkhost_core::{Error, Field, Node, Result, Schema, Step};

use super::built_in::{Facts, step};
use super::project::Projection;
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
    let projection = Projection::new(all, &facts.output);
    Ok(step(facts, projection))
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
    use super::super::testing::{check, input, key, refused};
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
