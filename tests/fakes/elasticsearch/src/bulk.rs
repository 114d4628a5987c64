//! Documents, one or many at a time.

use serde_json::{Value as Json, json};

use crate::indices::{Document, Index, Indices};
use crate::serve::{Answer, Asked, error, fine};

/// One action of a bulk.
struct Action {
    verb: String,
    head: Json,
    text: Option<String>,
}

/// Carries a bulk out, but for the items that are refused by place.
pub(crate) fn bulk(
    indices: &mut Indices,
    name: &str,
    asked: &Asked,
    refused: &[(usize, u16)],
) -> Answer {
    if asked.media.as_deref() != Some("application/x-ndjson") {
        return error(
            406,
            "media_type_header_exception",
            "Content-Type is not supported",
        );
    }
    let actions = match actions(&asked.body) {
        Ok(actions) => actions,
        Err(why) => return error(400, "illegal_argument_exception", &why),
    };
    let by_alias = indices.is_alias(name);
    let demands_alias = asked.parameter("require_alias").as_deref() == Some("true");
    let mut items = Vec::new();
    for (place, action) in actions.into_iter().enumerate() {
        let planned = refused.iter().find(|(at, _)| *at == place);
        let (status, error) = match (planned, indices.get(name)) {
            (Some((_, status)), _) => (*status, Some(planned_error(*status))),
            (None, Some(index)) if by_alias || !demands_alias => act(index, &action),
            _ => {
                let reason = format!(
                    "no such index [{name}] and [require_alias] request flag is [true] and [{name}] is not an alias"
                );
                (
                    404,
                    Some(json!({"type": "index_not_found_exception", "reason": reason})),
                )
            }
        };
        let mut item = json!({"_id": action.head["_id"], "status": status});
        if let Some(error) = error {
            item["error"] = error;
        }
        items.push(json!({action.verb: item}));
    }
    let errors = items.iter().any(|item| {
        item.as_object()
            .is_some_and(|item| item.values().any(|told| !told["error"].is_null()))
    });
    fine(&json!({"errors": errors, "items": items}))
}

fn planned_error(status: u16) -> Json {
    let kind = match status {
        429 => "es_rejected_execution_exception",
        503 => "unavailable_shards_exception",
        _ => "exception",
    };
    json!({"type": kind, "reason": "as planned"})
}

/// Takes a body apart as strictly as the server does.
fn actions(body: &[u8]) -> Result<Vec<Action>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
    let inner = text
        .strip_suffix('\n')
        .ok_or("The bulk request must be terminated by a newline [\\n]")?;
    let mut lines = inner.split('\n').enumerate();
    let mut actions = Vec::new();
    while let Some((number, line)) = lines.next() {
        let malformed =
            |why: &str| format!("Malformed action/metadata line [{}], {why}", number + 1);
        let action: Json =
            serde_json::from_str(line).map_err(|cause| malformed(&cause.to_string()))?;
        let Some((verb, head)) = action
            .as_object()
            .filter(|a| a.len() == 1)
            .and_then(|a| a.iter().next())
        else {
            return Err(malformed("expected one action"));
        };
        let known = [
            "_id",
            "if_seq_no",
            "if_primary_term",
            "version",
            "version_type",
        ];
        if let Some(name) = head
            .as_object()
            .and_then(|head| head.keys().find(|name| !known.contains(&name.as_str())))
        {
            return Err(malformed(&format!("unknown parameter [{name}]")));
        }
        let id = head["_id"].as_str().unwrap_or_default();
        if id.is_empty() || id.len() > 512 {
            return Err(malformed("an id of 1 to 512 bytes is expected"));
        }
        let text = match verb.as_str() {
            "create" | "index" => Some(
                lines
                    .next()
                    .ok_or("an action without a document")?
                    .1
                    .to_owned(),
            ),
            "delete" => None,
            verb => return Err(malformed(&format!("unknown action [{verb}]"))),
        };
        actions.push(Action {
            verb: verb.clone(),
            head: head.clone(),
            text,
        });
    }
    Ok(actions)
}

fn conflict(reason: &str) -> (u16, Option<Json>) {
    (
        409,
        Some(json!({"type": "version_conflict_engine_exception", "reason": reason})),
    )
}

fn act(index: &mut Index, action: &Action) -> (u16, Option<Json>) {
    let id = action.head["_id"].as_str().unwrap_or_default();
    let there = index.documents.get(id).cloned();
    if let Some(seq_no) = action.head["if_seq_no"].as_u64()
        && there.as_ref().map(|there| there.seq_no) != Some(seq_no)
    {
        return conflict("required seqNo differs");
    }
    let Some(text) = &action.text else {
        index.seq_no += 1;
        return (
            if index.documents.remove(id).is_some() {
                200
            } else {
                404
            },
            None,
        );
    };
    let document: Json = match serde_json::from_str(text) {
        Ok(document @ Json::Object(_)) => document,
        _ => {
            return (
                400,
                Some(json!({"type": "document_parsing_exception", "reason": "failed to parse"})),
            );
        }
    };
    if let Some(reason) = index.refuses(&document) {
        return (
            400,
            Some(json!({"type": "document_parsing_exception", "reason": reason})),
        );
    }
    if action.verb == "create" && there.is_some() {
        return conflict("document already exists");
    }
    let created = match action.head["version"].as_u64() {
        Some(version) if there.is_some_and(|there| there.version > version) => {
            return conflict("current version is higher than the one provided");
        }
        Some(version) => index.put_version(id, text, version).0,
        None => index.put(id, text).0,
    };
    (if created { 201 } else { 200 }, None)
}

/// The answer with its items changed.
pub(crate) fn with_items(answer: Answer, change: impl FnOnce(&mut Vec<Json>)) -> Answer {
    let mut body: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
    if let Some(items) = body["items"].as_array_mut() {
        change(items);
    }
    Answer {
        status: answer.status,
        body: body.to_string().into_bytes(),
    }
}

/// The answer with other statuses for some items.
pub(crate) fn with_statuses(answer: Answer, statuses: &[(usize, u16)]) -> Answer {
    with_items(answer, |items| {
        for (place, status) in statuses {
            if let Some(told) = items
                .get_mut(*place)
                .and_then(Json::as_object_mut)
                .and_then(|item| item.values_mut().next())
            {
                told["status"] = (*status).into();
                told["error"] = planned_error(*status);
            }
        }
    })
}

fn found(name: &str, id: &str, document: Option<&Document>, text: bool) -> String {
    let id = Json::from(id);
    match document {
        None => format!("{{\"_index\":\"{name}\",\"_id\":{id},\"found\":false}}"),
        Some(held) => {
            let source = if text {
                format!(",\"_source\":{}", held.text)
            } else {
                String::new()
            };
            format!(
                "{{\"_index\":\"{name}\",\"_id\":{id},\"_version\":{},\"_seq_no\":{},\"_primary_term\":1,\"found\":true{source}}}",
                held.version, held.seq_no
            )
        }
    }
}

/// What `_mget` says.
pub(crate) fn documents(index: &Index, name: &str, body: &Json, text: bool) -> Answer {
    let ids = body["ids"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str);
    let docs: Vec<String> = ids
        .map(|id| found(name, id, index.documents.get(id), text))
        .collect();
    Answer {
        status: 200,
        body: format!("{{\"docs\":[{}]}}", docs.join(",")).into_bytes(),
    }
}

/// What `GET _doc` says.
pub(crate) fn document(index: &Index, name: &str, id: &str) -> Answer {
    let document = index.documents.get(id);
    Answer {
        status: if document.is_some() { 200 } else { 404 },
        body: found(name, id, document, true).into_bytes(),
    }
}

/// Whether the document is where the request says; the answer if not.
fn overtaken(index: &Index, asked: &Asked, id: &str) -> Option<Answer> {
    let there = index.documents.get(id);
    let expected = asked
        .parameter("if_seq_no")
        .map(|number| number.parse::<u64>().ok());
    let create = asked.parameter("op_type").as_deref() == Some("create");
    let differs = match expected {
        Some(seq_no) => there.map(|there| there.seq_no) != seq_no,
        None => create && there.is_some(),
    };
    differs.then(|| {
        error(
            409,
            "version_conflict_engine_exception",
            "the document is another",
        )
    })
}

/// Writes one document, by compare-and-set where the request says so.
pub(crate) fn put(index: &mut Index, asked: &Asked, id: &str) -> Answer {
    if let Some(refused) = overtaken(index, asked, id) {
        return refused;
    }
    let (created, document) = index.put(id, &String::from_utf8_lossy(&asked.body));
    let body = json!({"_id": id, "_version": document.version, "_seq_no": document.seq_no, "_primary_term": 1});
    Answer {
        status: if created { 201 } else { 200 },
        ..fine(&body)
    }
}

/// Deletes one document likewise.
pub(crate) fn remove(index: &mut Index, asked: &Asked, id: &str) -> Answer {
    if let Some(refused) = overtaken(index, asked, id).filter(|_| index.documents.contains_key(id))
    {
        return refused;
    }
    index.seq_no += 1;
    match index.documents.remove(id) {
        Some(_) => fine(&json!({"result": "deleted"})),
        None => Answer {
            status: 404,
            ..fine(&json!({"result": "not_found"}))
        },
    }
}
