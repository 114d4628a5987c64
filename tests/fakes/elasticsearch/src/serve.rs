//! Requests to answers, as a healthy server gives them.

use axum::body::Bytes;
use serde_json::{Value as Json, json};

use crate::indices::{Indices, missing};
use crate::{Shared, bulk, search};

/// A request.
pub(crate) struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub media: Option<String>,
    pub body: Bytes,
}

/// An answer.
pub(crate) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

pub(crate) fn fine(body: &Json) -> Answer {
    Answer {
        status: 200,
        body: body.to_string().into_bytes(),
    }
}

pub(crate) fn error(status: u16, kind: &str, reason: &str) -> Answer {
    let cause = json!({"type": kind, "reason": reason});
    let body =
        json!({"error": {"root_cause": [cause], "type": kind, "reason": reason}, "status": status});
    Answer {
        status,
        body: body.to_string().into_bytes(),
    }
}

impl Asked {
    /// A parameter, unescaped.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| unescape(value))
            .next()
    }

    /// The first parameter that is none of these.
    fn unknown(&self, known: &[&str]) -> Option<String> {
        let names = self.query.split('&').filter(|pair| !pair.is_empty());
        let mut names = names.map(|pair| pair.split('=').next().unwrap_or_default());
        names.find(|name| !known.contains(name)).map(str::to_owned)
    }

    pub fn json(&self) -> Result<Json, Answer> {
        if self.body.is_empty() {
            return Ok(Json::Null);
        }
        if self.media.as_deref() != Some("application/json") {
            return Err(error(
                406,
                "media_type_header_exception",
                "Content-Type is not supported",
            ));
        }
        serde_json::from_slice(&self.body)
            .map_err(|cause| error(400, "parsing_exception", &cause.to_string()))
    }
}

/// `%20` and `+` as what they stand for.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            (byte, _) => {
                bytes.push(if *byte == b'+' { b' ' } else { *byte });
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

const PARAMETERS: &[&str] = &[
    "filter_path",
    "require_alias",
    "_source",
    "op_type",
    "if_seq_no",
    "if_primary_term",
    "scroll",
    "keep_alive",
    "preference",
    "allow_partial_search_results",
    "allow_no_indices",
    "format",
    "h",
    "refresh",
];

/// Carries a request out. Items of a bulk in `refused` are answered with their status instead.
pub(crate) fn answer(shared: &Shared, asked: &Asked, refused: &[(usize, u16)]) -> Answer {
    if let Some(name) = asked.unknown(PARAMETERS) {
        let why = format!(
            "request [{}] contains unrecognized parameter: [{name}]",
            asked.path
        );
        return error(400, "illegal_argument_exception", &why);
    }
    let mut indices = shared.indices();
    let path: Vec<String> = asked
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(unescape)
        .collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let routed = route(&mut indices, asked, &path, refused);
    routed.unwrap_or_else(|refusal| refusal)
}

fn route(
    indices: &mut Indices,
    asked: &Asked,
    path: &[&str],
    refused: &[(usize, u16)],
) -> Result<Answer, Answer> {
    if let [index, "_bulk"] = path {
        return Ok(bulk::bulk(indices, index, asked, refused));
    }
    let body = asked.json()?;
    Ok(match (asked.method.as_str(), path) {
        ("HEAD" | "GET", []) => fine(
            &json!({"version": {"number": "8.19.0", "build_flavor": "default"}, "tagline": "You Know, for Search"}),
        ),
        ("GET", ["_nodes", "_local"]) => fine(
            &json!({"nodes": {"fake": {"version": "8.19.0", "modules": [{"name": "unsigned-long"}]}}}),
        ),
        ("GET", ["_cat", "indices"]) => fine(&Json::Array(
            indices
                .names()
                .iter()
                .map(|name| json!({"index": name}))
                .collect(),
        )),
        ("POST", ["_aliases"]) => indices.change_aliases(&body),
        ("POST" | "GET", ["_search"]) => search::moment(indices, &body),
        ("POST", ["_search", "scroll"]) => search::scroll_on(indices, &body),
        ("DELETE", ["_search", "scroll"] | ["_pit"]) => search::close(indices, &body),
        ("PUT", [index]) => indices.create(index, &body),
        ("GET", [index]) => indices.describe(index),
        ("DELETE", [index]) => indices.delete(index),
        ("GET", [index, "_alias", pattern]) => indices.describe_aliases(index, pattern),
        ("POST", [index, "_pit"]) => search::open(indices, index),
        (_, [index, rest @ ..]) => in_index(indices, asked, index, rest, &body),
        _ => unknown(asked),
    })
}

fn unknown(asked: &Asked) -> Answer {
    let why = format!(
        "no handler found for uri [{}] and method [{}]",
        asked.path, asked.method
    );
    error(400, "illegal_argument_exception", &why)
}

fn in_index(
    indices: &mut Indices,
    asked: &Asked,
    name: &str,
    rest: &[&str],
    body: &Json,
) -> Answer {
    if let ("POST" | "GET", ["_search"]) = (asked.method.as_str(), rest) {
        return search::search(indices, name, asked, body);
    }
    let Some(index) = indices.get(name) else {
        return missing(name);
    };
    match (asked.method.as_str(), rest) {
        ("POST", ["_refresh"]) => {
            fine(&json!({"_shards": {"total": 1, "successful": 1, "failed": 0}}))
        }
        ("GET", ["_count"]) => fine(
            &json!({"count": index.documents.len(), "_shards": {"total": 1, "successful": 1, "failed": 0}}),
        ),
        ("PUT", ["_settings"]) => {
            index.change_settings(body);
            fine(&json!({"acknowledged": true}))
        }
        ("PUT", ["_mapping"]) => {
            index.add_fields(body);
            fine(&json!({"acknowledged": true}))
        }
        ("POST", ["_mget"]) => bulk::documents(
            index,
            name,
            body,
            asked.parameter("_source").as_deref() != Some("false"),
        ),
        ("GET", ["_doc", id]) => bulk::document(index, name, id),
        ("PUT", ["_doc", id]) => bulk::put(index, asked, id),
        ("DELETE", ["_doc", id]) => bulk::remove(index, asked, id),
        _ => unknown(asked),
    }
}
