//! Compares two WIT interfaces by structure, the way the component model does when it links.
//!
//! Names of types do not matter there, but field and case names, their order and their types do.
//! [`compare`] answers with the first difference in words a plugin's author understands.

use dkhost_core::{Error, Result};
use wit_parser::{Function, Handle, Interface, InterfaceId, Resolve, Type, TypeDefKind};

/// Parses the text of a contract line.
pub(crate) fn line(text: &str) -> Result<Resolve> {
    let mut resolve = Resolve::default();
    resolve
        .push_str("dkhost-plugin.wit", text)
        .map_err(|cause| Error::bug(format!("our own contract does not parse: {cause:#}")))?;
    Ok(resolve)
}

/// The interface called `name` in a line.
pub(crate) fn interface(line: &Resolve, name: &str) -> Option<InterfaceId> {
    line.interfaces
        .iter()
        .find(|(_, i)| i.name.as_deref() == Some(name))
        .map(|(id, _)| id)
}

type Side<'a, T> = (&'a Resolve, T);

/// Compares every function both interfaces have. `Err` holds the first difference.
pub(crate) fn compare(
    ours: Side<'_, &Interface>,
    theirs: Side<'_, &Interface>,
) -> std::result::Result<(), String> {
    for (name, function) in &theirs.1.functions {
        let Some(known) = ours.1.functions.get(name) else {
            return Err(format!(
                "it needs the function `{name}`, which this dkhost does not have"
            ));
        };
        signature((ours.0, known), (theirs.0, function))
            .map_err(|why| format!("`{name}`: {why}"))?;
    }
    Ok(())
}

fn signature(
    ours: Side<'_, &Function>,
    theirs: Side<'_, &Function>,
) -> std::result::Result<(), String> {
    let (a, b) = (&ours.1.params, &theirs.1.params);
    if a.len() != b.len() {
        return Err(format!(
            "it takes {} arguments, and this dkhost gives {}",
            b.len(),
            a.len()
        ));
    }
    for (a, b) in a.iter().zip(b) {
        same((ours.0, &a.ty), (theirs.0, &b.ty))?;
    }
    optional(
        (ours.0, ours.1.result.as_ref()),
        (theirs.0, theirs.1.result.as_ref()),
        "the result",
    )
}

fn optional(
    ours: Side<'_, Option<&Type>>,
    theirs: Side<'_, Option<&Type>>,
    what: &str,
) -> std::result::Result<(), String> {
    match (ours.1, theirs.1) {
        (None, None) => Ok(()),
        (Some(a), Some(b)) => same((ours.0, a), (theirs.0, b)),
        _ => Err(format!("{what} is there on one side only")),
    }
}

fn same(ours: Side<'_, &Type>, theirs: Side<'_, &Type>) -> std::result::Result<(), String> {
    match (resolved(ours), resolved(theirs)) {
        (Type::Id(a), Type::Id(b)) => {
            let (a, b) = (&ours.0.types[a], &theirs.0.types[b]);
            let named = a.name.clone().or(b.name.clone());
            let difference = kinds((ours.0, &a.kind), (theirs.0, &b.kind));
            match named {
                Some(name) => difference.map_err(|why| {
                    if why.starts_with('`') {
                        why
                    } else {
                        format!("`{name}` {why}")
                    }
                }),
                None => difference,
            }
        }
        (a, b) if a == b => Ok(()),
        (a, b) => Err(format!("is {b:?} there and {a:?} here")),
    }
}

/// Follows `use` and type aliases to what they stand for.
fn resolved((resolve, ty): Side<'_, &Type>) -> Type {
    let mut ty = *ty;
    while let Type::Id(id) = ty {
        match &resolve.types[id].kind {
            TypeDefKind::Type(next) => ty = *next,
            _ => break,
        }
    }
    ty
}

fn kinds(
    ours: Side<'_, &TypeDefKind>,
    theirs: Side<'_, &TypeDefKind>,
) -> std::result::Result<(), String> {
    use TypeDefKind::*;
    let pair = |a, b| same((ours.0, a), (theirs.0, b));
    match (ours.1, theirs.1) {
        (Record(a), Record(b)) => {
            let names = |r: &wit_parser::Record| {
                r.fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>()
            };
            members("fields", names(a), names(b))?;
            a.fields
                .iter()
                .zip(&b.fields)
                .try_for_each(|(a, b)| pair(&a.ty, &b.ty))
        }
        (Variant(a), Variant(b)) => {
            let names = |v: &wit_parser::Variant| {
                v.cases.iter().map(|c| c.name.clone()).collect::<Vec<_>>()
            };
            members("cases", names(a), names(b))?;
            a.cases.iter().zip(&b.cases).try_for_each(|(a, b)| {
                optional(
                    (ours.0, a.ty.as_ref()),
                    (theirs.0, b.ty.as_ref()),
                    &format!("what `{}` holds", a.name),
                )
            })
        }
        (Enum(a), Enum(b)) => {
            let names =
                |e: &wit_parser::Enum| e.cases.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
            members("cases", names(a), names(b))
        }
        (Tuple(a), Tuple(b)) if a.types.len() == b.types.len() => a
            .types
            .iter()
            .zip(&b.types)
            .try_for_each(|(a, b)| pair(a, b)),
        (Option(a), Option(b)) | (List(a), List(b)) => pair(a, b),
        (Result(a), Result(b)) => {
            optional(
                (ours.0, a.ok.as_ref()),
                (theirs.0, b.ok.as_ref()),
                "the success",
            )?;
            optional(
                (ours.0, a.err.as_ref()),
                (theirs.0, b.err.as_ref()),
                "the failure",
            )
        }
        (Handle(a), Handle(b))
            if std::mem::discriminant::<self::Handle>(a) == std::mem::discriminant(b) =>
        {
            Ok(())
        }
        (Resource, Resource) => Ok(()),
        (a, b) => Err(format!("is {} there and {} here", b.as_str(), a.as_str())),
    }
}

fn members(what: &str, ours: Vec<String>, theirs: Vec<String>) -> std::result::Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    Err(format!(
        "has the {what} {} there and {} here",
        theirs.join(", "),
        ours.join(", ")
    ))
}
