//! What the job says about the source.

use std::collections::BTreeMap;

use dkhost_core::{Error, Node, NodeKind, OpenSource, Options, Result, Span};
use serde_json::Value as Json;

use crate::backend::{DATAKNOBS_INDEX, take_layout};
use crate::fault::refusal;

/// The options of a source, but those of the cluster.
#[derive(Debug)]
pub(super) struct Wanted {
    pub index: String,
    pub index_span: Span,
    pub query: Option<Json>,
    query_span: Span,
    pub types: BTreeMap<String, String>,
    pub types_span: Span,
    pub keep_alive: String,
    pub dataknobs: bool,
}

impl Wanted {
    /// Takes them.
    ///
    /// *Errors* – `elasticsearch::no_index_named`, `elasticsearch::bad_query`,
    /// `elasticsearch::not_with_layout`, `job::wrong_value`.
    pub fn take(options: &mut Options, open: &OpenSource) -> Result<Self> {
        let dataknobs = take_layout(options)?;
        let (index_span, types_span) = (options.span_of("index"), options.span_of("fields"));
        let query_span = options.span_of("query");
        let types: BTreeMap<String, String> = options.take("fields")?.unwrap_or_default();
        if dataknobs && (!types.is_empty() || open.incremental.is_some()) {
            let option = if types.is_empty() {
                "incremental"
            } else {
                "fields"
            };
            let message = format!(
                "`{option}` names fields of the index, and those of its records are others"
            );
            return Err(Error::config("elasticsearch::not_with_layout", message)
                .at(types_span, "here")
                .help("leave it out, or choose records with a `query`"));
        }
        let query = options
            .take_node("query")
            .map(|node| query(&node))
            .transpose()?;
        let index = options
            .take::<String>("index")?
            .or(dataknobs.then(|| DATAKNOBS_INDEX.to_owned()));
        let index = index
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty());
        let index = index.ok_or_else(|| {
            Error::config(
                "elasticsearch::no_index_named",
                "which index is to be read?",
            )
            .at(index_span.clone(), "`index` is missing here")
            .help("add a line `index = \"…\"`")
        })?;
        Ok(Wanted {
            index,
            index_span,
            query,
            query_span,
            types,
            types_span,
            keep_alive: keep_alive(options)?,
            dataknobs,
        })
    }

    /// Points at the job's query where that is what the server refused.
    pub fn blame(&self, error: Error) -> Error {
        let refused = refusal(&error).is_some_and(|said| said.status == 400);
        match refused && self.query.is_some() {
            true => Error::config(
                "elasticsearch::bad_query",
                "the server does not understand the `query`",
            )
            .at(self.query_span.clone(), "here")
            .caused_by(error.chain()),
            false => error,
        }
    }
}

/// A query as a table or as text; with its name around it or without.
fn query(node: &Node) -> Result<Json> {
    let bad = |why: &str| {
        Error::config("elasticsearch::bad_query", format!("the `query` {why}"))
            .at(node.span.clone(), "here")
            .help("such as query = { range = { year = { gte = 1990 } } }, or the same as JSON in quotes")
    };
    let parsed = match &node.kind {
        NodeKind::Text(text) => {
            serde_json::from_str(text).map_err(|cause| bad("is no JSON").caused_by(cause))?
        }
        _ => node.to_json(),
    };
    let inner = match parsed.as_object() {
        Some(members) if members.len() == 1 && members.contains_key("query") => &parsed["query"],
        _ => &parsed,
    };
    match inner.as_object().map(|members| members.len()) {
        Some(1) => Ok(inner.clone()),
        _ => Err(bad("is not one query: a table with one name in it")),
    }
}

/// *Source* – "Time units": `d`, `h`, `m`, `s`, `ms`.
fn keep_alive(options: &mut Options) -> Result<String> {
    let span = options.span_of("keep_alive");
    let Some(text) = options.take::<String>("keep_alive")? else {
        return Ok("10m".to_owned());
    };
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let length: Option<u64> = text[..text.len() - unit.len()].parse().ok();
    match length.is_some_and(|length| length > 0) && matches!(unit, "ms" | "s" | "m" | "h" | "d") {
        true => Ok(text),
        false => Err(
            Error::config("job::wrong_value", "`keep_alive` is a length of time")
                .at(span, "here")
                .help("such as 10m, 90s or 1h"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn taken(json: Json) -> Result<Wanted, &'static str> {
        let mut options = Options::from_json("[source]", &json).unwrap();
        Wanted::take(&mut options, &OpenSource::default()).map_err(|error| error.code())
    }

    #[test]
    fn a_query_is_a_table_or_text() {
        let term = json!({"term": {"a": 1}});
        for query in [
            term.clone(),
            json!(r#"{"term":{"a":1}}"#),
            json!({"query": term}),
        ] {
            assert_eq!(
                taken(json!({"index": "i", "query": query})).unwrap().query,
                Some(term.clone())
            );
        }
        for wrong in [json!("{"), json!({}), json!({"a": 1, "b": 2}), json!([1])] {
            let outcome = taken(json!({"index": "i", "query": wrong}));
            assert_eq!(outcome.unwrap_err(), "elasticsearch::bad_query");
        }
    }

    #[test]
    fn an_index_is_named_or_that_of_dataknobs() {
        assert_eq!(
            taken(json!({})).unwrap_err(),
            "elasticsearch::no_index_named"
        );
        assert_eq!(
            taken(json!({"layout": "dataknobs"})).unwrap().index,
            "records"
        );
        assert_eq!(
            taken(json!({"layout": "x"})).unwrap_err(),
            "elasticsearch::unknown_layout"
        );
    }

    #[test]
    fn a_moment_is_kept_for_a_while() {
        let kept =
            |text: &str| taken(json!({"index": "i", "keep_alive": text})).map(|w| w.keep_alive);
        assert_eq!(kept("90s"), Ok("90s".to_owned()));
        for wrong in ["", "m", "0m", "1 h", "-1m", "1y"] {
            assert_eq!(kept(wrong), Err("job::wrong_value"), "{wrong}");
        }
    }
}
