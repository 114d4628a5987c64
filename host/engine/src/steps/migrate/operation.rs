//! An operation of a migration file as the steps it could have been written as.

use dkhost_core::{Field, Node, NodeKind, Result, Span, Step};
use dkhost_schema::{Operation, SchemaVersion, Verb};

use super::removed;
use crate::expr::Scope;
use crate::steps;

/// Binds an operation that leads towards version `to`; none for a `constrain`, which is asked behind
/// the last operation, when fields have the version's types.
///
/// *Errors* – as the steps', at their places in the migration file.
pub(super) fn bind(
    operation: &Operation,
    to: &SchemaVersion,
    scope: &Scope,
) -> Result<Option<Box<dyn Step>>> {
    let span = &operation.span;
    let one = |verb: &str, kind: NodeKind| steps::build(verb, &node(kind, span), scope);
    Ok(Some(match &operation.verb {
        Verb::Rename(names) => one("rename", table(names, span))?,
        Verb::Add(fields) => {
            for (name, _) in fields {
                if scope.input.index_of(name).is_some() {
                    return Err(taken(name, span, scope));
                }
            }
            one("set", table(fields, span))?
        }
        Verb::Set(fields) => one("set", table(fields, span))?,
        Verb::Cast(fields) => {
            let casts = fields.iter().map(|(name, logical)| {
                let to = NodeKind::Text(logical.to_string());
                let to = NodeKind::Table(vec![("to".to_owned(), span.clone(), node(to, span))]);
                let cast = ("type_cast".to_owned(), span.clone(), node(to, span));
                let cast = node(NodeKind::Table(vec![cast]), span);
                (name.clone(), span.clone(), cast)
            });
            one("apply", NodeKind::Table(casts.collect()))?
        }
        Verb::Remove { fields, keep: true } => removed::keep(fields, span, scope)?,
        Verb::Remove {
            fields,
            keep: false,
        } => {
            let names = fields
                .iter()
                .map(|name| node(NodeKind::Text(name.clone()), span));
            one("drop", NodeKind::Array(names.collect()))?
        }
        Verb::Restore(names) => {
            let restored = names.iter().map(|name| match to.field(name) {
                Some(field) => Field::new(name.clone(), field.logical.clone()),
                None => Field::new(name.clone(), dkhost_core::LogicalType::Json),
            });
            removed::restore(restored.collect(), span, scope)?
        }
        Verb::Constrain(_) => return Ok(None),
    }))
}

fn taken(name: &str, span: &Span, scope: &Scope) -> dkhost_core::Error {
    let what = format!("{} adds `{name}`, which is there", scope.reader);
    dkhost_core::Error::config("plan::name_taken", what)
        .at(span.clone(), "here")
        .help("`set` gives a field another value")
}

fn node(kind: NodeKind, span: &Span) -> Node {
    Node {
        span: span.clone(),
        kind,
    }
}

fn table(entries: &[(String, String)], span: &Span) -> NodeKind {
    let text = |(name, text): &(String, String)| {
        let value = node(NodeKind::Text(text.clone()), span);
        (name.clone(), span.clone(), value)
    };
    NodeKind::Table(entries.iter().map(text).collect())
}
