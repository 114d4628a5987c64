//! `validate`: records that do not satisfy a version of a schema are refused, each with all that is
//! wrong with it.
//!
//! Planning compares columns with fields ([`bind`]): a record can then only be wrong in its values.
//! At work every rule is one pass over one column that marks the rows breaking it ([`rules`]); text
//! is made only for those ([`violations`]), and where there are none the columns go on as they are.
//! Of documents the rest is looked at too ([`rest`]): it holds the fields that are no columns, and
//! values that did not fit theirs.
//!
//! With `coerce = true` values of another type are converted, never changed ([`coerce`] has the
//! table), and defaults take the place of nulls.
//!
//! `unique` looks beyond the batch ([`unique`]): the step remembers the values of a run, so a plan is
//! bound anew for each run, and partitions take turns.
//!
//! A null satisfies every rule but `required`; a check that is null is not broken. NaN is within no
//! range.

mod bind;
mod coerce;
mod number;
mod once;
mod rest;
mod rules;
mod unique;
mod violations;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use dkhost_core::{Batch, Changed, Result, Schema, Span, Stage, StageKind, Step, StepNote};
use dkhost_schema::SchemaVersion;

use self::bind::{Bound, Mode};
use self::unique::Unique;
use self::work::Validator;
use crate::expr::Scope;

/// Binds the step to a version. The caller lets the rest follow it ([`super::rest::following`]).
///
/// *Shape* – the output has the input's columns, with the types of the fields, then those that only
/// a default fills; fields that must have a value allow no nulls, and the key is the version's if
/// it has one.
/// *Errors* – class `Config`, at `span`: `schema::missing_field`, `schema::wrong_type`,
/// `schema::unknown_field`; `schema::wrong_check` for an expression of the schema file.
pub fn build(
    version: &SchemaVersion,
    coerce: bool,
    span: &Span,
    scope: &Scope,
) -> Result<Box<dyn Step>> {
    let mode = if coerce { Mode::Coerce } else { Mode::Check };
    step(Bound::of(version, mode, span, scope)?)
}

/// Binds a step that refuses records breaking the rules of some fields of a version. Other fields,
/// unknown ones too, go on unseen; no type changes, and no default is filled in. Whether values are
/// unique is not asked: that is for the last step, which sees the records as they are written.
///
/// *Errors* – as [`build`], for these fields.
pub fn constrain(
    version: &SchemaVersion,
    fields: &[String],
    span: &Span,
    scope: &Scope,
) -> Result<Box<dyn Step>> {
    step(Bound::of(version, Mode::Only(fields), span, scope)?)
}

/// Binds the step without the rule `unique`: for steps that make records of the version and are
/// wrapped by [`once()`].
///
/// *Errors* – as [`build`].
pub fn each(version: &SchemaVersion, span: &Span, scope: &Scope) -> Result<Box<dyn Step>> {
    let mut bound = Bound::of(version, Mode::Check, span, scope)?;
    for field in &mut bound.fields {
        field.rules.unique = false;
    }
    step(bound)
}

/// `step`, whose output is of the version, with its rule `unique` behind it. Of records that become
/// of one version in several ways none may repeat another's value, so it stands behind all of them.
pub fn once(step: Box<dyn Step>, version: &SchemaVersion) -> Box<dyn Step> {
    once::once(step, version)
}

fn step(bound: Bound) -> Result<Box<dyn Step>> {
    let bound = Arc::new(bound);
    // What cannot be compiled fails now, not in a partition.
    Validator::of(&bound, None)?;
    let fields = bound.fields.iter().enumerate();
    let unique = fields.filter(|(_, field)| field.rules.unique);
    let unique = Unique::of(unique.map(|(index, _)| index).collect());
    Ok(Box::new(Validate {
        unique: unique.map(Arc::new),
        bound,
    }))
}

struct Validate {
    bound: Arc<Bound>,
    unique: Option<Arc<Unique>>,
}

impl Step for Validate {
    fn kind(&self) -> StageKind {
        StageKind::Step
    }

    fn output(&self) -> &Schema {
        &self.bound.output
    }

    fn reads(&self) -> Vec<String> {
        self.bound.reads.clone()
    }

    fn carries(&self) -> Vec<(String, String)> {
        self.bound.carries()
    }

    fn remembers(&self) -> bool {
        self.unique.is_some()
    }

    fn note(&self) -> StepNote {
        let unique = self.unique.iter().flat_map(|unique| &unique.fields);
        let unique = unique.map(|field| self.bound.fields[*field].name.as_str());
        StepNote {
            summary: self.bound.summary.clone() + &unique::turns(unique),
            ..StepNote::default()
        }
    }

    fn open(&self, _partition: u32) -> Result<Box<dyn Stage>> {
        Ok(Box::new(AtWork {
            validator: Validator::of(&self.bound, self.unique.clone())?,
        }))
    }
}

struct AtWork {
    validator: Validator,
}

impl Stage for AtWork {
    fn apply(&mut self, batch: &Batch) -> Result<Changed> {
        self.validator.validate(&batch.records)
    }
}
