//! What a migration makes of the store whose records it changes: columns, and what it checks itself.

use dkhost_core::{Constraint, ConstraintRule, Reshape, Schema};
use dkhost_schema::constant::Constant;
use dkhost_schema::{Direction, FieldVersion, SchemaVersion};
use semver::Version;

use crate::steps::migrate::Way;

/// What becomes of a store with the columns `input`, whose records become `output`.
pub(super) fn reshape(
    to: &SchemaVersion,
    ways: &[Way],
    from: Option<&Version>,
    input: &Schema,
    output: &Schema,
) -> Reshape {
    let way = ways.iter().find(|way| Some(&way.from.id.version) == from);
    let names = way.map_or_else(Vec::new, renamed);
    // Another field may have the name of one that is gone.
    let is_taken = |name: &str| names.iter().any(|(_, new)| new == name);
    let has_gone = |name: &&str| {
        let goes_on = names.iter().any(|(old, _)| old == name);
        !goes_on && (output.index_of(name).is_none() || is_taken(name))
    };
    let needed = to.fields.iter().filter(|field| to.needs(field));
    Reshape {
        schema: to.id.name.clone(),
        version: to.id.version.to_string(),
        removed: input.names().filter(has_gone).map(str::to_owned).collect(),
        required: needed.map(|field| field.name.clone()).collect(),
        constraints: to
            .fields
            .iter()
            .flat_map(|field| constraints(&to.id.name, field))
            .collect(),
        renamed: names,
    }
}

/// Fields that have another name at the end of a way.
fn renamed(way: &Way) -> Vec<(String, String)> {
    let own = |field: &FieldVersion| (field.name.clone(), Some(field.name.clone()));
    let mut names: Vec<(String, Option<String>)> = way.from.fields.iter().map(own).collect();
    let mut before = &way.from;
    for hop in &way.hops {
        for (_, name) in &mut names {
            let now = name.take();
            *name = now.and_then(|name| match hop.direction {
                Direction::Up => newer_name(&name, before, &hop.to),
                Direction::Down => older_name(&name, before, &hop.to),
            });
        }
        before = &hop.to;
    }
    let is_new = |(old, new): (String, Option<String>)| {
        let new = new?;
        (old != new).then_some((old, new))
    };
    names.into_iter().filter_map(is_new).collect()
}

fn newer_name(name: &str, from: &SchemaVersion, to: &SchemaVersion) -> Option<String> {
    let is_it = |field: &&FieldVersion| {
        dkhost_schema::difference::before(field, from, to).is_some_and(|old| old.name == name)
    };
    to.fields.iter().find(is_it).map(|field| field.name.clone())
}

fn older_name(name: &str, from: &SchemaVersion, to: &SchemaVersion) -> Option<String> {
    let field = from.field(name)?;
    dkhost_schema::difference::before(field, to, from).map(|old| old.name.clone())
}

/// What a table can check of a field's rules. Patterns are not among them: no two stores spell
/// regular expressions alike.
fn constraints(schema: &str, field: &FieldVersion) -> Vec<Constraint> {
    let rules = &field.rules;
    let text = |constant: &Constant| constant.text().to_owned();
    let range = rules.range.as_ref().map(|bounds| ConstraintRule::Range {
        min: bounds.min.as_ref().map(text),
        max: bounds.max.as_ref().map(text),
    });
    let length = rules.length.as_ref().map(|bounds| ConstraintRule::Length {
        min: bounds.min,
        max: bounds.max,
    });
    let one_of = (!rules.one_of.is_empty())
        .then(|| ConstraintRule::OneOf(rules.one_of.iter().map(text).collect()));
    let unique = rules.unique.then_some(ConstraintRule::Unique);
    let named = [
        ("range", range),
        ("length", length),
        ("one_of", one_of),
        ("unique", unique),
    ];
    named
        .into_iter()
        .filter_map(|(word, rule)| {
            Some(Constraint {
                name: format!("{schema}_{}_{word}", field.name),
                column: field.name.clone(),
                logical: field.logical.clone(),
                rule: rule?,
            })
        })
        .collect()
}
