//! Vectors that a server keeps beside a document and leaves out of it when it is asked for.
//!
//! Elasticsearch does so from 9.2 on, for every index created there that does not say otherwise
//! (`index.mapping.exclude_source_vectors`). What reads such an index asks for them; what writes to
//! one could not know its own documents again, since they come back written anew.

use dkhost_core::Result;
use serde_json::Value as Json;

use crate::client::{Client, Kind, Product, Request, segment};

/// The setting, in its index.
pub(crate) const SETTING: &str = "mapping.exclude_source_vectors";

/// The types it is about.
///
/// *Source* – Elasticsearch reference 9.2, "Dense vector field type".
const TYPES: [&str; 4] = [
    "dense_vector",
    "rank_vectors",
    "sparse_vector",
    "semantic_text",
];

/// Whether documents of an index come without their vectors.
pub(crate) fn are_hidden(client: &Client, index: &str, mappings: &Json) -> Result<bool> {
    if !has_any(&mappings["properties"]) {
        return Ok(false);
    }
    let path = format!("{}/_settings/index.{SETTING}", segment(index));
    let request = Request::get(format!("look at index {index}"), path)
        .with("include_defaults", true)
        .with("flat_settings", true);
    let answer = client.ask(&request)?;
    let said: Json = answer.parse(&request.doing)?;
    Ok(says_so(&said[index]))
}

/// Whether the settings of an index say so, set or by default.
fn says_so(said: &Json) -> bool {
    let name = format!("index.{SETTING}");
    ["settings", "defaults"]
        .iter()
        .any(|part| said[part][&name] == "true")
}

/// Whether an index that is created has to say that it does not want it.
pub(crate) fn would_be_hidden(product: &Product, properties: &Json) -> bool {
    let mut parts = product
        .version
        .split('.')
        .map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    product.kind == Kind::Elasticsearch && version >= (9, 2) && has_any(properties)
}

fn has_any(properties: &Json) -> bool {
    let mut all = properties.as_object().into_iter().flatten();
    all.any(|(_, one)| {
        one["type"]
            .as_str()
            .is_some_and(|kind| TYPES.contains(&kind))
            || has_any(&one["properties"])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_index_says_whether_vectors_are_hidden() {
        let name = "index.mapping.exclude_source_vectors";
        assert!(says_so(
            &json!({"settings": {name: "true"}, "defaults": {}})
        ));
        assert!(says_so(
            &json!({"settings": {}, "defaults": {name: "true"}})
        ));
        assert!(!says_so(
            &json!({"settings": {name: "false"}, "defaults": {}})
        ));
        // A server that knows no such setting.
        assert!(!says_so(&Json::Null));
    }

    #[test]
    fn an_index_of_a_new_server_says_that_its_documents_stay_whole() {
        let vector = json!({"a": {"properties": {"v": {"type": "dense_vector", "dims": 3}}}});
        let hidden = |kind, version: &str, properties: &Json| {
            let version = version.to_owned();
            would_be_hidden(&Product { kind, version }, properties)
        };
        assert!(hidden(Kind::Elasticsearch, "9.2.0", &vector));
        assert!(hidden(Kind::Elasticsearch, "10.0.1", &vector));
        assert!(!hidden(Kind::Elasticsearch, "9.1.4", &vector));
        assert!(!hidden(Kind::OpenSearch, "10.0.0", &vector));
        assert!(!hidden(
            Kind::Elasticsearch,
            "9.2.0",
            &json!({"n": {"type": "long"}})
        ));
    }
}
