//! What is refused before anything is written: columns that no document can have, an index that keeps
//! no documents, a conflict mode without a key.

use dkhost_core::{Conflict, Error, OpenTarget, Result, Role};
use serde_json::Value as Json;

use super::super::layout::Layout;
use super::super::options::Wanted;
use super::super::place::Found;
use super::fields::count;
use crate::client::Client;
use crate::{fault, vectors};

/// Fields of the server's own, which a document cannot have.
///
/// *Source* – Elasticsearch reference, "Metadata fields".
const RESERVED: [&str; 10] = [
    "_id",
    "_index",
    "_source",
    "_routing",
    "_seq_no",
    "_version",
    "_type",
    "_field_names",
    "_ignored",
    "_nested_path",
];

pub(super) fn check_columns(wanted: &Wanted, open: &OpenTarget) -> Result<()> {
    if wanted.dataknobs {
        return Ok(());
    }
    let names: Vec<&str> = open
        .schema
        .fields
        .iter()
        .filter(|field| !matches!(field.role, Some(Role::Id | Role::Rest)))
        .map(|field| field.name.as_str())
        .collect();
    for name in &names {
        let parts_empty = name.split('.').any(|part| part.trim().is_empty());
        if parts_empty || RESERVED.contains(name) {
            return Err(bad_name(
                &format!("a document cannot have a field `{name}`"),
                name,
            ));
        }
        let inside = |other: &&&str| {
            name.strip_prefix(**other)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        if let Some(other) = names.iter().find(inside) {
            let message =
                format!("`{name}` would be a field inside of `{other}`, which is one itself");
            return Err(bad_name(&message, name));
        }
    }
    Ok(())
}

/// Names with dots mean fields inside of others, which cannot be values themselves.
pub(super) fn check_parents(open: &OpenTarget, properties: &Json) -> Result<()> {
    for field in &open.schema.fields {
        let mut properties = properties;
        let mut rest = field.name.as_str();
        while let Some((parent, inside)) = rest.split_once('.') {
            let kind = properties[parent]["type"].as_str().unwrap_or("object");
            if !matches!(kind, "object" | "nested" | "flattened" | "passthrough") {
                let message = format!(
                    "`{}` would be a field inside of `{parent}`, which is of type {kind} in the mapping that is there",
                    field.name
                );
                return Err(bad_name(&message, &field.name));
            }
            (properties, rest) = (&properties[parent]["properties"], inside);
        }
    }
    Ok(())
}

fn bad_name(message: &str, name: &str) -> Error {
    Error::config("elasticsearch::bad_name", message.to_owned()).help(format!(
        "rename it in a step: rename = {{ {name:?} = \"…\" }}"
    ))
}

/// The index that is there, or is not.
pub(super) fn check_found(wanted: &Wanted, found: Option<&Found>, open: &OpenTarget) -> Result<()> {
    let checked = match found {
        None if open.create => Ok(()),
        None => Err(Error::config(
            "target::absent",
            format!("there is no index `{}`", wanted.name),
        )
        .help("`create = true` creates it")),
        Some(found) => usable(found, open.conflict == Conflict::ReplaceAll),
    };
    checked.map_err(|error| error.at(wanted.span.clone(), "here"))
}

fn usable(found: &Found, replaced: bool) -> Result<()> {
    let index = &found.index;
    if !found.keeps_source() {
        let message =
            format!("index `{index}` does not keep its documents as they are (`_source`)");
        return Err(Error::config("elasticsearch::no_source", message).help(
            "nothing could be read back from it, or undone: write to an index that keeps them",
        ));
    }
    if found.is_closed() {
        let message = format!("index `{index}` is closed");
        return Err(Error::config("elasticsearch::closed", message)
            .help(format!("POST {index}/_open opens it")));
    }
    if let Some(block) = found.block(replaced) {
        let message = format!("index `{index}` takes no writes: `index.blocks.{block}` is set");
        return Err(Error::config("elasticsearch::blocked", message).help(fault::LIFT));
    }
    Ok(())
}

/// Whether documents will come back as they were sent.
pub(super) fn check_vectors(
    wanted: &Wanted,
    client: &Client,
    found: &Found,
    mappings: &Json,
) -> Result<()> {
    let index = &found.index;
    if !vectors::are_hidden(client, index, mappings)? {
        return Ok(());
    }
    let message = format!(
        "index `{index}` keeps the vectors of its documents apart from them (`index.{}`)",
        vectors::SETTING
    );
    Err(Error::config("elasticsearch::no_source", message)
        .at(wanted.span.clone(), "here")
        .help("on_conflict = \"replace-all\" makes an index that keeps documents as they are; a setting like this cannot be changed afterwards"))
}

/// Whether the mapping has room for the fields of the plan. An index of our own is given it.
pub(super) fn check_room(wanted: &Wanted, found: &Found, mappings: &Json) -> Result<()> {
    let (most, fields) = (found.fields_max(), count(&mappings["properties"]));
    if fields <= most {
        return Ok(());
    }
    let index = &found.index;
    let message =
        format!("the mapping of index `{index}` may have {most} fields, and would have {fields}");
    Err(Error::config("elasticsearch::too_many_fields", message)
        .at(wanted.span.clone(), "here")
        .help(format!(
            "PUT {index}/_settings {{\"index.mapping.total_fields.limit\": {fields}}} makes room"
        )))
}

pub(super) fn check_key(layout: &Layout, wanted: &Wanted, open: &OpenTarget) -> Result<()> {
    let mode = open.conflict;
    if !layout.from.is_place() {
        return Ok(());
    }
    if wanted.dataknobs {
        return Err(Error::config(
            "dataknobs::no_id",
            "records for a dataknobs store need an id, and none of these has one",
        )
        .help("set `key` in [source] to the column that tells records apart"));
    }
    match mode {
        Conflict::Insert | Conflict::ReplaceAll => Ok(()),
        Conflict::Upsert | Conflict::Skip => Err(Error::config(
            "elasticsearch::no_key",
            format!(
                "on_conflict = \"{}\" needs a key, and these records have none",
                mode.word()
            ),
        )
        .help("set `key` in [source] to the columns that tell records apart")),
    }
}
