//! Which indices a name means, what they are, and how their documents are mapped.

use std::sync::Arc;

use dkhost_core::error::nearest;
use dkhost_core::{Error, Result, Span};
use serde_json::{Map, Value as Json, json};

use crate::client::{Client, Request, segment};
use crate::fault::{self, refusal};
use crate::vectors;

/// One index, as it is when the source is opened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Index {
    pub name: String,
    /// Another index of the same name has another.
    pub uuid: String,
    pub shards: u32,
    /// What the alias it was named by shows of it.
    pub filter: Option<Json>,
    /// Its `mappings`.
    pub mappings: Json,
    /// How many hits one search may give.
    pub window: usize,
    /// Its documents come without their vectors, unless they are asked for.
    pub hides_vectors: bool,
}

impl Index {
    /// What is asked for of each document, in the server's words: all of it, or the fields of
    /// `wanted`, vectors among them.
    pub fn source_of(&self, wanted: &Json) -> Json {
        let mut source = wanted.clone();
        if self.hides_vectors {
            if !source.is_object() {
                source = json!({});
            }
            source["exclude_vectors"] = false.into();
        }
        source
    }
}

/// Finds the indices that `name` means: an index, an alias, a data stream, or several of them with
/// commas between them or stars in them.
///
/// *Errors* – `elasticsearch::no_index`; `elasticsearch::routed_alias` for an alias that looks at
/// some shards only; `elasticsearch::no_source` for an index that does not keep its documents.
pub(super) fn find(client: &Client, name: &str, span: &Span) -> Result<Vec<Arc<Index>>> {
    let doing = format!("read {name}");
    let request = Request::get(&doing, segment(name)).with("allow_no_indices", "false");
    let answer = client.ask(&request).map_err(|error| {
        match refusal(&error).is_some_and(|said| said.is_about_no_index()) {
            true => with_near_names(client, name, error).at(span.clone(), "not there"),
            false => error.at_least(span.clone()),
        }
    })?;
    let found: Map<String, Json> = answer.parse(&doing)?;
    let indices: Vec<Arc<Index>> = found
        .iter()
        .map(|(index, said)| read(client, name, index, said).map(Arc::new))
        .collect::<Result<_>>()
        .map_err(|error| error.at_least(span.clone()))?;
    match indices.is_empty() {
        true => Err(Error::config(
            "elasticsearch::no_index",
            format!("`{name}` means no index"),
        )
        .at(span.clone(), "not there")),
        false => Ok(indices),
    }
}

fn read(client: &Client, name: &str, index: &str, said: &Json) -> Result<Index> {
    let settings = &said["settings"]["index"];
    let number = |name: &str| settings[name].as_str().and_then(|text| text.parse().ok());
    let text = |name: &str| settings[name].as_str().map(str::to_owned);
    let mappings = said["mappings"].clone();
    if mappings["_source"]["enabled"] == false {
        let message = format!("index {index} does not keep its documents (`_source` is disabled)");
        return Err(Error::config("elasticsearch::no_source", message)
            .help("there is nothing to read but what can be searched for; take the store it was filled from"));
    }
    let (Some(uuid), Some(shards)) = (text("uuid"), number("number_of_shards")) else {
        let message = format!(
            "cannot read {name}: {} does not say what index {index} is",
            client.name()
        );
        return Err(Error::infrastructure("elasticsearch::bad_answer", message)
            .help("the user needs the privilege `view_index_metadata`"));
    };
    Ok(Index {
        name: index.to_owned(),
        uuid,
        shards: shards as u32,
        filter: alias_filter(name, &said["aliases"])?,
        hides_vectors: vectors::are_hidden(client, index, &mappings)?,
        mappings,
        window: number("max_result_window").unwrap_or(10_000),
    })
}

/// What an alias shows, if it was named by it.
fn alias_filter(name: &str, aliases: &Json) -> Result<Option<Json>> {
    let named = name.split(',').map(|part| &aliases[part]);
    let mut filters = Vec::new();
    for alias in named.filter(|alias| !alias.is_null()) {
        if !alias["search_routing"].is_null() {
            let message = format!("the alias `{name}` looks at some shards of its index only");
            return Err(Error::config("elasticsearch::routed_alias", message).help(
                "name the index itself, and give a `query` that says which documents are meant",
            ));
        }
        filters.push(alias["filter"].clone());
    }
    // One of them shows everything, or there is none.
    if filters.is_empty() || filters.iter().any(Json::is_null) {
        return Ok(None);
    }
    Ok(Some(
        json!({"bool": {"should": filters, "minimum_should_match": 1}}),
    ))
}

/// Adds the index that is meant, or those there are.
fn with_near_names(client: &Client, name: &str, error: Error) -> Error {
    let request = Request::get("list the indices", "_cat/indices")
        .with("format", "json")
        .with("h", "index");
    let listed = client
        .ask(&request)
        .and_then(|answer| answer.parse::<Vec<Json>>(""));
    let Ok(listed) = listed else {
        return error;
    };
    let mut names: Vec<&str> = listed
        .iter()
        .flat_map(|index| index["index"].as_str())
        .collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort_unstable();
    match nearest(name, names.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.help("the cluster has no index yet"),
        None => {
            let shown: Vec<&str> = names.iter().copied().take(20).collect();
            error.help(format!("the cluster has {}", shown.join(", ")))
        }
    }
}

/// Refuses an index that is no longer the one the run began with.
///
/// *Errors* – `source::changed`.
pub(super) fn ensure_same(client: &Client, name: &str, uuid: &str) -> Result<()> {
    let doing = format!("read {name}");
    let request = Request::get(&doing, format!("{}/_settings", segment(name)))
        .with("filter_path", "*.settings.index.uuid");
    let answer = client.send(&request)?;
    if !answer.is_fine() && answer.status != 404 {
        return Err(fault::refused(&doing, &answer));
    }
    let said: Json = answer.parse(&doing)?;
    match said[name]["settings"]["index"]["uuid"].as_str() {
        Some(now) if now == uuid => Ok(()),
        Some(_) => Err(changed(format!(
            "index {name} was deleted and created anew since the run began"
        ))),
        None => Err(changed(format!(
            "index {name} was deleted since the run began"
        ))),
    }
}

/// The index is not what the run began to read.
pub(super) fn changed(message: String) -> Error {
    Error::data("source::changed", message).help("start anew with `dkhost run --no-resume`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_asked_for_where_they_are_hidden() {
        let mut index = Index {
            name: "i".into(),
            uuid: "u".into(),
            shards: 1,
            filter: None,
            mappings: Json::Null,
            window: 10,
            hides_vectors: false,
        };
        let some = json!({"includes": ["a"]});
        assert_eq!(index.source_of(&json!(true)), json!(true));
        assert_eq!(index.source_of(&some), some);
        index.hides_vectors = true;
        assert_eq!(
            index.source_of(&json!(true)),
            json!({"exclude_vectors": false})
        );
        assert_eq!(
            index.source_of(&some),
            json!({"includes": ["a"], "exclude_vectors": false})
        );
    }

    #[test]
    fn an_alias_shows_what_its_filter_shows() {
        let aliases = json!({
            "german": {"filter": {"term": {"country": "DE"}}},
            "all": {},
            "here": {"search_routing": "1"}
        });
        assert_eq!(alias_filter("movies", &aliases).unwrap(), None);
        assert_eq!(alias_filter("all", &aliases).unwrap(), None);
        assert_eq!(alias_filter("german,all", &aliases).unwrap(), None);
        assert_eq!(
            alias_filter("german", &aliases).unwrap(),
            Some(
                json!({"bool": {"should": [{"term": {"country": "DE"}}], "minimum_should_match": 1}})
            )
        );
        assert_eq!(
            alias_filter("here", &aliases).unwrap_err().code(),
            "elasticsearch::routed_alias"
        );
    }
}
