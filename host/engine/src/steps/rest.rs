//! The rest of a document follows the columns.
//!
//! The rest holds, per record, the fields that are no columns, values that did not fit their
//! column, and explicit nulls. When a step renames, drops or replaces a column, the entry of that
//! name must go the same way, or an old value would come back under the old name. [`following`]
//! does this for any step, built-in or plugin, by what the step says of itself ([`Step::carries`],
//! [`Step::keeps_unknown`]):
//!
//! * a carried column takes its entry along, under the new name;
//! * a dropped or replaced column's entry is removed; but where the new value is null, an explicit
//!   null stays one, if the column still tells null and absence apart;
//! * a field that is no column stays, unless the step keeps none. If the step *computes* a column
//!   of its name, that value wins. If the step *renames* a column to its name, the record has two
//!   fields of one name and is refused.
//!
//! Records without rest cost nothing; the others are edited as text, so numbers keep their digits.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};
use dkhost_core::{Changed, Error, Result, Role, RowReject, Schema, Step};
use serde_json::value::RawValue;

use super::behind::{Behind, behind};

/// `step`, with the rest of each record following its columns. Without a rest, or if there is
/// nothing to follow, it is `step` itself.
pub fn following(step: Box<dyn Step>, input: &Schema) -> Box<dyn Step> {
    match Edits::of(step.as_ref(), input) {
        Some(edits) => behind(step, edits),
        None => step,
    }
}

/// Whether records with these columns are documents, each of which has fields of its own; where there
/// is no record yet there is no column either.
pub(super) fn are_documents(input: &Schema) -> bool {
    let mut fields = input.data_fields().peekable();
    let is_empty = fields.peek().is_none();
    input.role(Role::Rest).is_some() && (is_empty || fields.any(|(_, field)| field.null_is_absent))
}

/// What becomes of an entry under the name of an input column.
enum Fate {
    /// It goes on under these names.
    Under(Vec<String>),
    /// It is removed.
    Removed,
    /// It is removed, but an explicit null stays where this output column is null.
    NullStays(usize),
}

/// What becomes of a field that is no column but has the name of a new one.
#[derive(Clone, Copy)]
enum Newcomer {
    Computed,
    Renamed,
}

/// How the rest changes in a step.
struct Edits {
    /// Index of the rest among the output's columns.
    rest: usize,
    /// Input columns whose entries do not stay as they are.
    fates: HashMap<String, Fate>,
    /// Input columns whose entries stay as they are.
    stay: Vec<String>,
    /// Output columns that are no input columns.
    newcomers: HashMap<String, Newcomer>,
    keeps_unknown: bool,
}

impl Edits {
    fn of(step: &dyn Step, input: &Schema) -> Option<Self> {
        let output = step.output();
        let (rest_in, rest) = (input.role(Role::Rest)?, output.role(Role::Rest)?);
        let carries = step.carries();
        let rest_carried = (
            input.fields[rest_in].name.clone(),
            output.fields[rest].name.clone(),
        );
        if !carries.contains(&rest_carried) {
            return None;
        }
        let mut edits = Edits {
            rest,
            fates: HashMap::new(),
            stay: Vec::new(),
            newcomers: HashMap::new(),
            keeps_unknown: step.keeps_unknown(),
        };
        for (_, field) in input.data_fields() {
            let to: Vec<String> = carries
                .iter()
                .filter(|(from, _)| *from == field.name)
                .map(|(_, to)| to.clone())
                .collect();
            let fate = match to.as_slice() {
                [same] if *same == field.name => {
                    edits.stay.push(field.name.clone());
                    continue;
                }
                [] => match output.index_of(&field.name) {
                    Some(index) if output.fields[index].null_is_absent => Fate::NullStays(index),
                    _ => Fate::Removed,
                },
                _ => Fate::Under(to),
            };
            edits.fates.insert(field.name.clone(), fate);
        }
        let is_input = |name: &str| input.field(name).is_some_and(|field| field.role.is_none());
        for (_, field) in output
            .data_fields()
            .filter(|(_, field)| !is_input(&field.name))
        {
            let renamed = carries.iter().any(|(_, to)| *to == field.name);
            let newcomer = if renamed {
                Newcomer::Renamed
            } else {
                Newcomer::Computed
            };
            edits.newcomers.insert(field.name.clone(), newcomer);
        }
        let changes =
            !edits.fates.is_empty() || !edits.newcomers.is_empty() || !edits.keeps_unknown;
        changes.then_some(edits)
    }

    fn edit(&self, text: &str, records: &RecordBatch, row: usize) -> Result<Edited> {
        let entries = entries(text)?;
        let mut kept: Vec<(&str, &RawValue)> = Vec::with_capacity(entries.len());
        let mut same = true;
        for (name, value) in &entries {
            match self.fates.get(name) {
                Some(Fate::Under(names)) => {
                    kept.extend(names.iter().map(|name| (name.as_str(), *value)));
                    same = false;
                }
                Some(Fate::NullStays(column))
                    if value.get() == "null" && records.column(*column).is_null(row) =>
                {
                    kept.push((name, value));
                }
                Some(Fate::Removed | Fate::NullStays(_)) => same = false,
                None if self.stay.contains(name) => kept.push((name, value)),
                None => match (self.keeps_unknown, self.newcomers.get(name)) {
                    (false, _) | (true, Some(Newcomer::Computed)) => same = false,
                    (true, Some(Newcomer::Renamed)) => return Ok(Edited::NameTaken(name.clone())),
                    (true, None) => kept.push((name, value)),
                },
            }
        }
        Ok(match kept.is_empty() {
            true => Edited::Empty,
            false if same => Edited::Same,
            false => Edited::Text(object(&kept)?),
        })
    }
}

impl Behind for Edits {
    fn then(&self, changed: &mut Changed) -> Result<()> {
        let records = &changed.records;
        let rest = records.column(self.rest);
        if rest.null_count() == rest.len() {
            return Ok(());
        }
        let rest = rest.as_string::<i32>();
        let mut edited = StringBuilder::with_capacity(rest.len(), rest.value_data().len());
        let mut rejects = Vec::new();
        for row in 0..rest.len() {
            if rest.is_null(row) {
                edited.append_null();
                continue;
            }
            match self.edit(rest.value(row), records, row)? {
                Edited::Same => edited.append_value(rest.value(row)),
                Edited::Empty => edited.append_null(),
                Edited::Text(text) => edited.append_value(text),
                Edited::NameTaken(name) => {
                    edited.append_null();
                    rejects.push(name_taken(row, &name, changed.origin.as_deref()));
                }
            }
        }
        changed.records = with_column(records, self.rest, edited.finish())?;
        changed.rejects.extend(rejects);
        Ok(())
    }
}

enum Edited {
    Same,
    Empty,
    Text(String),
    NameTaken(String),
}

fn name_taken(row: usize, name: &str, origin: Option<&[u32]>) -> RowReject {
    RowReject {
        row: origin.map_or(row as u32, |origin| origin[row]),
        column: Some(name.to_owned()),
        code: "step::name_taken".to_owned(),
        message: format!(
            "the record has a field `{name}` that is no column, and the step calls another field so"
        ),
    }
}

fn with_column(records: &RecordBatch, index: usize, column: StringArray) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = records.columns().to_vec();
    columns[index] = Arc::new(column);
    Ok(RecordBatch::try_new(records.schema(), columns)?)
}

/// The entries of an object, values as they are written.
pub(super) fn entries(text: &str) -> Result<Vec<(String, &RawValue)>> {
    let Entries(entries) = serde_json::from_str(text)
        .map_err(|cause| Error::bug("a rest is no JSON object").caused_by(cause))?;
    Ok(entries)
}

/// A rest with explicit nulls under `names`, instead of what was there under them.
pub(super) fn with_nulls(rest: Option<&str>, names: &[&str]) -> Result<String> {
    let before = rest.map(entries).transpose()?.unwrap_or_default();
    let mut kept: Vec<(&str, &RawValue)> = before
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .filter(|(name, _)| !names.contains(name))
        .collect();
    kept.extend(names.iter().map(|name| (*name, RawValue::NULL)));
    object(&kept)
}

struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Entries<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> serde::de::Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

pub(super) fn object(entries: &[(&str, &RawValue)]) -> Result<String> {
    let mut text = String::from("{");
    for (index, (name, value)) in entries.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let name = serde_json::to_string(name)
            .map_err(|cause| Error::bug("a name is no JSON").caused_by(cause))?;
        text.push_str(&name);
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, build, check, check_rejects, input, with_reserved};
    use serde_json::json;

    fn schema() -> dkhost_core::Schema {
        let mut schema = with_reserved(input(&[("a", "int64"), ("b", "utf8")]));
        for field in schema
            .fields
            .iter_mut()
            .filter(|field| field.role.is_none())
        {
            field.null_is_absent = true;
        }
        schema
    }

    #[test]
    fn entries_are_renamed_with_their_column_and_keep_their_digits() {
        check(
            ("rename", json!({"a": "b", "b": "a"})),
            &schema(),
            r#"{"a":1,"_rest":{"b":9007199254740993.0,"x":1.10}} {"a":2}"#,
            r#"{"_id":null,"b":1,"a":null,"_meta":null,"_rest":{"a":9007199254740993.0,"x":1.10}}
               {"_id":null,"b":2,"a":null,"_meta":null,"_rest":null}"#,
        );
    }

    #[test]
    fn an_edited_rest_keeps_every_digit_and_an_unchanged_one_every_byte() {
        let step = build("rename", json!({"a": "c"}), &schema()).unwrap();
        let edits = super::Edits::of(step.as_ref(), &schema()).unwrap();
        let records = batch(&schema(), "{}").records;
        let edited = |text| match edits.edit(text, &records, 0).unwrap() {
            super::Edited::Text(text) => text,
            super::Edited::Same => "same".to_owned(),
            _ => "other".to_owned(),
        };
        assert_eq!(
            edited(r#"{"a": 9007199254740993.10, "é\n": 1e0}"#),
            r#"{"c":9007199254740993.10,"é\n":1e0}"#
        );
        assert_eq!(edited(r#"{ "x": 1.0 }"#), "same");
    }

    #[test]
    fn entries_of_dropped_columns_are_removed_and_unknown_fields_stay() {
        check(
            ("drop", json!(["a"])),
            &schema(),
            r#"{"_rest":{"a":"text","x":[1,{"a":2}]}} {"_rest":{"a":null}}"#,
            r#"{"_id":null,"b":null,"_meta":null,"_rest":{"x":[1,{"a":2}]}}
               {"_id":null,"b":null,"_meta":null,"_rest":null}"#,
        );
    }

    #[test]
    fn keep_keeps_entries_of_kept_columns_only() {
        check(
            ("keep", json!(["a"])),
            &schema(),
            r#"{"_rest":{"a":"text","b":1,"x":2}}"#,
            r#"{"_id":null,"a":null,"_meta":null,"_rest":{"a":"text"}}"#,
        );
    }

    #[test]
    fn a_value_that_is_set_replaces_what_did_not_fit_and_what_was_unknown() {
        check(
            ("set", json!({"a": "7", "x": "8"})),
            &schema(),
            r#"{"a":null,"_rest":{"a":"text","x":2,"y":3}}"#,
            r#"{"_id":null,"a":7,"b":null,"_meta":null,"_rest":{"y":3},"x":8}"#,
        );
    }

    #[test]
    fn a_change_that_gives_null_leaves_an_explicit_null_explicit() {
        check(
            ("apply", json!({"b": "trim"})),
            &schema(),
            r#"{"_rest":{"b":null,"a":null}} {"b":" x "}"#,
            r#"{"_id":null,"a":null,"b":null,"_meta":null,"_rest":{"b":null,"a":null}}
               {"_id":null,"a":null,"b":"x","_meta":null,"_rest":null}"#,
        );
        check(
            ("apply", json!({"b": {"default": "x"}})),
            &schema(),
            r#"{"_rest":{"b":null}}"#,
            r#"{"_id":null,"a":null,"b":"x","_meta":null,"_rest":null}"#,
        );
    }

    #[test]
    fn a_value_that_becomes_null_leaves_an_explicit_null_and_an_absent_one_nothing() {
        check(
            ("apply", json!({"b": {"regex_extract": "x+"}})),
            &schema(),
            r#"{"b":"axx"} {"b":"none"} {"b":"none","_rest":{"y":1.10}} {} {"_rest":{"b":null}}"#,
            r#"{"_id":null,"a":null,"b":"xx","_meta":null,"_rest":null}
               {"_id":null,"a":null,"b":null,"_meta":null,"_rest":{"b":null}}
               {"_id":null,"a":null,"b":null,"_meta":null,"_rest":{"y":1.10,"b":null}}
               {"_id":null,"a":null,"b":null,"_meta":null,"_rest":null}
               {"_id":null,"a":null,"b":null,"_meta":null,"_rest":{"b":null}}"#,
        );
        check(
            ("apply", json!({"b": {"type_cast": "json"}})),
            &schema(),
            r#"{"b":"null"} {"b":"1"}"#,
            r#"{"_id":null,"a":null,"b":null,"_meta":null,"_rest":{"b":null}}
               {"_id":null,"a":null,"b":1,"_meta":null,"_rest":null}"#,
        );
    }

    #[test]
    fn a_field_that_is_never_there_stays_absent_under_another_type() {
        let mut schema = with_reserved(input(&[("b", "null")]));
        schema.fields[1].null_is_absent = true;
        check(
            ("apply", json!({"b": {"type_cast": "utf8"}})),
            &schema,
            "{}",
            r#"{"_id":null,"b":null,"_meta":null,"_rest":null}"#,
        );
    }

    #[test]
    fn without_a_rest_a_change_that_may_give_null_makes_null_explicit() {
        let mut schema = input(&[("b", "utf8")]);
        schema.fields[0].null_is_absent = true;
        let is_absent = |change| {
            let step = build("apply", json!({"b": change}), &schema).unwrap();
            step.output().fields[0].null_is_absent
        };
        assert!(!is_absent(json!({"regex_extract": "x+"})));
        assert!(!is_absent(json!({"type_cast": "json"})));
        assert!(is_absent(json!("trim")));
    }

    #[test]
    fn a_rename_onto_an_unknown_field_refuses_the_record() {
        check_rejects(
            ("rename", json!({"a": "x"})),
            &schema(),
            r#"{"a":1} {"a":2,"_rest":{"x":9}}"#,
            r#"{"_id":null,"x":1,"b":null,"_meta":null,"_rest":null}"#,
            &[
                "1 step::name_taken x the record has a field `x` that is no column, and the step calls another field so",
            ],
        );
    }

    #[test]
    fn a_filter_leaves_the_rest_as_it_is() {
        let step = build("filter", json!("a = 1"), &schema()).unwrap();
        assert!(super::Edits::of(step.as_ref(), &schema()).is_none());
    }
}
