//! Searches: all documents, those of one value or of a range of writes; in pages, scrolls and points
//! in time.

use serde_json::{Value as Json, json};

use crate::indices::{Document, Index, Indices, missing};
use crate::serve::{Answer, Asked, error, fine};

/// The pages of one search are as large as this unless it says otherwise.
const SIZE: usize = 10;

type Hit = (String, Document);

/// Whether a document is asked for; what is not known here is refused.
fn fits(document: &Document, query: &Json) -> Result<bool, Answer> {
    let Some((kind, what)) = query.as_object().and_then(|query| query.iter().next()) else {
        return Ok(true);
    };
    let unknown = || error(400, "parsing_exception", &format!("unknown query [{kind}]"));
    match kind.as_str() {
        "match_all" => Ok(true),
        "bool" => {
            let all = ["filter", "must"]
                .iter()
                .filter_map(|part| what[part].as_array());
            for query in all.flatten() {
                if !fits(document, query)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        "term" => {
            let (field, value) = what
                .as_object()
                .and_then(|t| t.iter().next())
                .ok_or_else(unknown)?;
            let text: Json = serde_json::from_str(&document.text).unwrap_or_default();
            Ok(text[field] == *value || text[field] == value["value"])
        }
        "range" if what["_seq_no"].is_object() => {
            let bounds = &what["_seq_no"];
            let number = document.seq_no as i64;
            let holds = |name: &str, test: fn(i64, i64) -> bool| {
                bounds[name]
                    .as_i64()
                    .is_none_or(|bound| test(number, bound))
            };
            Ok(holds("gt", |a, b| a > b)
                && holds("gte", |a, b| a >= b)
                && holds("lt", |a, b| a < b)
                && holds("lte", |a, b| a <= b))
        }
        _ => Err(unknown()),
    }
}

fn hits(index: &Index) -> Vec<Hit> {
    let mut hits: Vec<Hit> = index
        .documents
        .iter()
        .map(|(id, d)| (id.clone(), d.clone()))
        .collect();
    hits.sort_by_key(|(_, document)| document.seq_no);
    hits
}

/// A page as text, documents as they were written.
fn page(hits: &[Hit], total: usize, beside: &str, text: bool) -> Answer {
    let hit = |(id, document): &Hit| {
        let source = if text {
            format!("\"_source\":{},", document.text)
        } else {
            String::new()
        };
        format!(
            "{{\"_id\":{},{source}\"_seq_no\":{},\"sort\":[{}]}}",
            Json::from(id.as_str()),
            document.seq_no,
            document.seq_no
        )
    };
    let all: Vec<String> = hits.iter().map(hit).collect();
    let body = format!(
        "{{{beside}\"took\":0,\"timed_out\":false,\"_shards\":{{\"total\":1,\"successful\":1,\"skipped\":0,\"failed\":0}},\
         \"hits\":{{\"total\":{{\"value\":{total},\"relation\":\"eq\"}},\"hits\":[{}]}}}}",
        all.join(",")
    );
    Answer {
        status: 200,
        body: body.into_bytes(),
    }
}

fn select(hits: Vec<Hit>, body: &Json) -> Result<(Vec<Hit>, usize), Answer> {
    let size = body["size"].as_u64().map_or(SIZE, |size| size as usize);
    if size > 10_000 {
        return Err(error(
            400,
            "illegal_argument_exception",
            "Result window is too large",
        ));
    }
    let after = body["search_after"][0].as_i64().unwrap_or(-1);
    let mut found = Vec::new();
    for hit in hits {
        if fits(&hit.1, &body["query"])? && (hit.1.seq_no as i64) > after {
            found.push(hit);
        }
    }
    let total = found.len();
    found.truncate(size);
    Ok((found, total))
}

/// A search of an index; the first page of a scroll where it asks for one.
pub(crate) fn search(indices: &mut Indices, name: &str, asked: &Asked, body: &Json) -> Answer {
    let Some(index) = indices.get(name) else {
        return missing(name);
    };
    let text = body["_source"] != false;
    let hits = hits(index);
    if asked.parameter("scroll").is_none() {
        return match select(hits, body) {
            Ok((found, total)) => page(&found, total, "", text),
            Err(refused) => refused,
        };
    }
    let size = body["size"].as_u64().map_or(SIZE, |size| size as usize);
    let token = indices.token(&format!("scroll-{size}"));
    indices.moments.insert(token.clone(), hits);
    scroll_on(indices, &json!({"scroll_id": token}))
}

/// The next page of a scroll.
pub(crate) fn scroll_on(indices: &mut Indices, body: &Json) -> Answer {
    let token = body["scroll_id"].as_str().unwrap_or_default();
    let size = token
        .split('-')
        .nth(1)
        .and_then(|size| size.parse().ok())
        .unwrap_or(SIZE);
    let Some(left) = indices.moments.get_mut(token) else {
        return lost();
    };
    let found: Vec<Hit> = left.drain(..size.min(left.len())).collect();
    page(
        &found,
        found.len(),
        &format!("\"_scroll_id\":\"{token}\","),
        true,
    )
}

fn lost() -> Answer {
    error(
        404,
        "search_context_missing_exception",
        "No search context found for id [7]",
    )
}

/// A point in time.
pub(crate) fn open(indices: &mut Indices, name: &str) -> Answer {
    let Some(index) = indices.get(name) else {
        return missing(name);
    };
    let hits = hits(index);
    let token = indices.token("pit");
    indices.moments.insert(token.clone(), hits);
    fine(&json!({"id": token, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}}))
}

/// A search in a point in time.
pub(crate) fn moment(indices: &mut Indices, body: &Json) -> Answer {
    let token = body["pit"]["id"].as_str().unwrap_or_default();
    let Some(hits) = indices.moments.get(token).cloned() else {
        return lost();
    };
    match select(hits, body) {
        Ok((found, total)) => page(
            &found,
            total,
            &format!("\"pit_id\":\"{token}\","),
            body["_source"] != false,
        ),
        Err(refused) => refused,
    }
}

/// Closes points in time and scrolls.
pub(crate) fn close(indices: &mut Indices, body: &Json) -> Answer {
    let one = body["id"]
        .as_str()
        .into_iter()
        .chain(body["scroll_id"].as_str());
    let several = body["scroll_id"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str);
    let tokens: Vec<String> = one.chain(several).map(str::to_owned).collect();
    let freed = tokens
        .iter()
        .filter(|token| indices.moments.remove(*token).is_some())
        .count();
    match freed {
        0 => Answer {
            status: 404,
            ..fine(&json!({"succeeded": true, "num_freed": 0}))
        },
        _ => fine(&json!({"succeeded": true, "num_freed": freed})),
    }
}
