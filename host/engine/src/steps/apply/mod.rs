//! `apply`: named changes to the values of columns, one after the other.
//!
//! A change is compiled to an expression where DataFusion has a function for it, and to a
//! conversion where the type changes, because a value that cannot be converted must be named in
//! its dead letter. A change is exact or refuses the value. Nulls pass through every change but
//! `default`.
//!
//! A change that finds null where there was a value (`regex_extract` without a match, `type_cast`
//! of JSON's null) does not remove the field from a document: the record gets an explicit null, in
//! its rest. Where records have no rest, nulls of that column are explicit from then on, also those
//! of fields that were not there.

mod chain;
mod link;
mod literal;
mod map;
mod numbers;
mod pattern;
mod timestamp;
mod verbs;
mod vocabulary;

use dkhost_core::{Error, Field, LogicalType, Node, Result, Role, Step};

use super::assign::{Assignment, assign};
use super::built_in::step;
use super::{entries, index_of};
use crate::expr::Scope;
use chain::Chain;

pub use vocabulary::{APPLY_VERBS, ApplyVerb};

pub(super) fn build(node: &Node, scope: &Scope) -> Result<Box<dyn Step>> {
    let (mut assignments, mut summary, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for (name, span, changes) in entries(node, "`apply`")? {
        let index = index_of(name, span, scope)?;
        let old = &scope.input.fields[index];
        let chain = Chain::build(index, old, changes, scope)?;
        let has_rest = scope.input.role(Role::Rest).is_some();
        let field = field(old, &chain, has_rest);
        if old.role.is_some() && (old.role != Some(Role::Id) || field.logical != LogicalType::Utf8)
        {
            return Err(Error::config(
                "plan::reserved_column",
                format!(
                    "{} changes `{name}`, which only a source fills",
                    scope.reader
                ),
            )
            .at(span.clone(), "not a field of the record"));
        }
        summary.push(format!("{name}: {}", chain.summary()));
        reads.push(name.clone());
        assignments.push(Assignment {
            field,
            compute: Box::new(chain),
        });
    }
    let (mut facts, work) = assign(scope.input, assignments);
    facts.reads = reads;
    facts.summary = summary.join("; ");
    Ok(step(facts, work))
}

/// Role, key and what a null means stay; the source's spelling of the type only with the type.
fn field(old: &Field, chain: &Chain, has_rest: bool) -> Field {
    Field {
        logical: chain.logical().clone(),
        nullable: chain.nullable(),
        source_type: old
            .source_type
            .clone()
            .filter(|_| old.logical == *chain.logical()),
        null_is_absent: old.null_is_absent && (has_rest || !chain.makes_null()),
        ..old.clone()
    }
}

#[cfg(test)]
mod tests;
