//! What a migration promises, decided from its operations: never assumed.

use super::{Migration, Verb};
use crate::types::TypeChange;
use crate::version::SchemaVersion;

/// What can be said of a migration without trying it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Whether there is a way down.
    pub reversible: bool,
    /// Whether down after up gives every record back.
    pub lossless: bool,
    /// Why not, a sentence each.
    pub why: Vec<String>,
}

/// Decides what a migration promises; it leads from one version to the other
/// ([`super::check::check`]).
///
/// *Lossless* – renames; fields added and taken away again; widening casts; fields removed with their
/// values kept, and restored. Whatever a `set` computes may not come back.
pub fn promise(migration: &Migration, from: &SchemaVersion) -> Promise {
    let mut why = Vec::new();
    let Some(down) = &migration.down else {
        return Promise {
            reversible: false,
            lossless: false,
            why: vec!["there is no way down".to_owned()],
        };
    };
    let restored = |name: &String| {
        down.iter().any(
            |operation| matches!(&operation.verb, Verb::Restore(names) if names.contains(name)),
        )
    };
    let mut types: Vec<(String, Option<dkhost_core::LogicalType>)> = from
        .fields
        .iter()
        .map(|field| (field.name.clone(), Some(field.logical.clone())))
        .collect();
    for operation in &migration.up {
        match &operation.verb {
            Verb::Rename(names) => {
                for (name, _) in &mut types {
                    if let Some((_, new)) = names.iter().find(|(old, _)| old == name) {
                        *name = new.clone();
                    }
                }
            }
            Verb::Cast(casts) => {
                for (name, to) in casts {
                    let known = types.iter_mut().find(|(known, _)| known == name);
                    let widens = known.is_some_and(|(_, now)| {
                        let change = now.as_ref().map(|now| TypeChange::between(now, to));
                        *now = Some(to.clone());
                        matches!(change, Some(None | Some(TypeChange::Widening)))
                    });
                    if !widens {
                        why.push(format!("`{name}` may come back from {to} as another value"));
                    }
                }
            }
            Verb::Set(fields) => {
                let names = fields.iter().map(|(name, _)| name);
                why.extend(names.map(|name| format!("`{name}` is computed anew")));
            }
            Verb::Remove { fields, keep } => {
                let lost = fields.iter().filter(|name| !keep || !restored(name));
                why.extend(lost.map(|name| format!("the values of `{name}` do not come back")));
            }
            Verb::Add(_) | Verb::Restore(_) | Verb::Constrain(_) => (),
        }
    }
    for operation in down {
        if let Verb::Set(fields) = &operation.verb {
            let names = fields.iter().map(|(name, _)| name);
            why.extend(names.map(|name| format!("`{name}` is computed anew on the way down")));
        }
    }
    Promise {
        reversible: true,
        lossless: why.is_empty(),
        why,
    }
}
