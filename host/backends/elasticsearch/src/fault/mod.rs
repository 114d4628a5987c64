//! What trouble with a server means to the engine: tried again, a record's own, or the end of the run.
//!
//! The class follows the status, and for what is missing the `type` the server gives; never its
//! words, which change with every version and are kept as the cause.

mod lost;

use std::error::Error as Cause;
use std::fmt;
use std::time::Duration;

use dkhost_core::{Class, Error};
use serde_json::Value as Json;

use crate::client::Answer;
pub(crate) use lost::{OTHER_SPEECH, lost, too_late};

/// What a server said when it refused something: the cause of an [`Error`] of [`refused`], and the
/// `error` of an item of a bulk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: u16,
    /// The server's own word: `mapper_parsing_exception`.
    pub kind: String,
    /// A sentence, with those of the causes that say more.
    pub reason: String,
    /// The same word of the first cause.
    pub root: String,
    /// When to come again, where the server says so.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Of the member `error` of an answer or of an item.
    pub fn of(status: u16, error: &Json) -> Self {
        let text = |value: &Json, name: &str| value[name].as_str().map(str::to_owned);
        let mut reason = match error {
            Json::String(text) => text.clone(),
            _ => text(error, "reason").unwrap_or_default(),
        };
        // What a shard or a parser says is the cause of what all of them together say.
        let mut causes = vec![
            &error["failed_shards"][0]["reason"],
            &error["root_cause"][0],
        ];
        let mut cause = &error["caused_by"];
        for _ in 0..4 {
            causes.push(cause);
            cause = &cause["caused_by"];
        }
        for more in causes.into_iter().filter_map(|cause| text(cause, "reason")) {
            if !reason.contains(&more) {
                reason = format!(
                    "{reason}{}{more}",
                    if reason.is_empty() { "" } else { ": " }
                );
            }
        }
        Refusal {
            status,
            kind: text(error, "type").unwrap_or_default(),
            reason,
            root: text(&error["root_cause"][0], "type").unwrap_or_default(),
            retry_after: None,
        }
    }

    /// Whether it is the index that is not there.
    pub fn is_about_no_index(&self) -> bool {
        self.status == 404 && self.kind == "index_not_found_exception"
    }

    /// Whether the server has lost the moment it was asked for, with its index or without.
    pub fn is_about_a_moment(&self) -> bool {
        let lost = |kind: &str| kind == "search_context_missing_exception";
        lost(&self.kind) || lost(&self.root) || self.is_about_no_index()
    }

    fn of_answer(answer: &Answer) -> Self {
        let body: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
        let mut refusal = match &body["error"] {
            // A proxy's page says nothing that its status does not.
            Json::Null => Refusal::of(answer.status, &Json::Null),
            error => Refusal::of(answer.status, error),
        };
        refusal.retry_after = answer.retry_after;
        refusal
    }

    /// The class of what was refused, by its status.
    pub fn class(&self) -> Class {
        match self.status {
            400 if self.kind == "index_closed_exception" => Class::Config,
            429 => Class::Throttled,
            408 | 502..=504 => Class::Transient,
            400 | 413 => Class::Data,
            401 | 403 | 404 | 405 | 409 => Class::Config,
            _ => Class::Infrastructure,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reason.trim_end_matches('.'), self.kind.as_str()) {
            ("", "") => write!(f, "the server answered {}", self.status),
            (reason, "") => write!(f, "{reason} ({})", self.status),
            ("", kind) => write!(f, "{kind} ({})", self.status),
            (reason, kind) => write!(f, "{reason} ({kind}, {})", self.status),
        }
    }
}

impl Cause for Refusal {}

/// What the server said, if the error is a refusal of the server.
pub(crate) fn refusal(error: &Error) -> Option<&Refusal> {
    Cause::source(error)?.downcast_ref()
}

/// The error for an answer that is not one of success, while `doing` something (`read index movies`).
pub(crate) fn refused(doing: &str, answer: &Answer) -> Error {
    let refusal = Refusal::of_answer(answer);
    let (code, help) = meaning(&refusal);
    let error = Error::new(refusal.class(), code, format!("cannot {doing}"));
    let error = match help {
        "" => error,
        help => error.help(help),
    };
    error.caused_by(refusal)
}

/// The error for what was refused inside an answer of success: a shard, an item.
pub(crate) fn refused_part(doing: &str, refusal: Refusal) -> Error {
    let (code, help) = meaning(&refusal);
    let error = Error::new(refusal.class(), code, format!("cannot {doing}"));
    error
        .help(if help.is_empty() { AGAIN } else { help })
        .caused_by(refusal)
}

/// An answer in which something is missing, and no word why.
pub(crate) fn incomplete(doing: &str) -> Error {
    let message = format!("cannot {doing}: the server answered with a part of it only");
    Error::new(Class::Transient, "elasticsearch::partial", message)
        .help("are all shards of the index there? GET _cat/shards shows it")
}

const AGAIN: &str =
    "when the server works again, run the same command again: it goes on where it stopped";

/// How an index takes writes again.
pub(crate) const LIFT: &str = "free space, if its disk is nearly full, or lift the block: PUT INDEX/_settings {\"index.blocks.write\": null} (or whichever it is)";

/// The code and the way out.
fn meaning(refusal: &Refusal) -> (&'static str, &'static str) {
    match (refusal.status, refusal.kind.as_str()) {
        (401, _) => (
            "elasticsearch::not_let_in",
            "check `auth` or `api_key`: the server knows nobody who says that",
        ),
        (403 | 429, "cluster_block_exception") => ("elasticsearch::blocked", LIFT),
        (400, "index_closed_exception") => (
            "elasticsearch::closed",
            "a closed index can neither be read nor written: POST INDEX/_open opens it",
        ),
        (403, _) => (
            "elasticsearch::denied",
            "the user needs the privileges `read` and `view_index_metadata` of what is read, `write` and `manage` of what is written",
        ),
        (404, "index_not_found_exception") => (
            "elasticsearch::no_index",
            "GET _cat/indices shows what there is",
        ),
        _ if refusal.is_about_a_moment() => ("elasticsearch::moment_lost", AGAIN),
        (404 | 405, _) => (
            "elasticsearch::not_there",
            "is this the address of the server itself, and is its version one that has this?",
        ),
        (408, _) => ("elasticsearch::timed_out", AGAIN),
        (409, _) => ("elasticsearch::conflict", ""),
        (413, _) => (
            "elasticsearch::too_large",
            "the server takes no body of this size: `http.max_content_length` says how large one may be",
        ),
        (429, _) => (
            "elasticsearch::busy",
            "the server asks for less at a time: lower `run.parallel`, or give it more memory",
        ),
        (502..=504, _) => ("elasticsearch::unavailable", AGAIN),
        (400, _) => ("elasticsearch::refused", ""),
        _ => ("elasticsearch::failed", AGAIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            node: "n:9200".into(),
            status,
            retry_after: None,
            product: None,
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn the_class_follows_the_status() {
        let cases = [
            (429, Class::Throttled, "elasticsearch::busy"),
            (502, Class::Transient, "elasticsearch::unavailable"),
            (503, Class::Transient, "elasticsearch::unavailable"),
            (504, Class::Transient, "elasticsearch::unavailable"),
            (400, Class::Data, "elasticsearch::refused"),
            (401, Class::Config, "elasticsearch::not_let_in"),
            (403, Class::Config, "elasticsearch::denied"),
            (404, Class::Config, "elasticsearch::not_there"),
            (413, Class::Data, "elasticsearch::too_large"),
            (500, Class::Infrastructure, "elasticsearch::failed"),
        ];
        for (status, class, code) in cases {
            let error = refused("read", &answer(status, "<html>"));
            assert_eq!((error.class(), error.code()), (class, code), "{status}");
        }
        let missing = answer(
            404,
            r#"{"error":{"type":"index_not_found_exception","reason":"no such index [x]"}}"#,
        );
        let error = refused("read index x", &missing);
        assert_eq!(error.code(), "elasticsearch::no_index");
        assert_eq!(
            error.chain(),
            "cannot read index x: no such index [x] (index_not_found_exception, 404)"
        );
    }

    #[test]
    fn an_index_that_is_blocked_or_closed_is_said_to_be() {
        for (status, kind, code, class) in [
            (
                403,
                "cluster_block_exception",
                "elasticsearch::blocked",
                Class::Config,
            ),
            // The server blocks it itself when its disk is nearly full, and lifts that itself too.
            (
                429,
                "cluster_block_exception",
                "elasticsearch::blocked",
                Class::Throttled,
            ),
            (
                400,
                "index_closed_exception",
                "elasticsearch::closed",
                Class::Config,
            ),
        ] {
            let body = json!({"error": {"type": kind, "reason": "index [x] …"}}).to_string();
            let error = refused("write", &answer(status, &body));
            assert_eq!((error.code(), error.class()), (code, class), "{status}");
            assert!(error.help_text().is_some());
        }
    }

    #[test]
    fn the_reason_is_the_innermost_too() {
        let error = json!({
            "type": "search_phase_execution_exception", "reason": "all shards failed",
            "root_cause": [{"type": "query_shard_exception", "reason": "failed to create query"}],
            "caused_by": {"type": "query_shard_exception", "reason": "failed to create query",
                "caused_by": {"type": "number_format_exception", "reason": "For input string: \"x\""}}
        });
        assert_eq!(
            Refusal::of(400, &error).to_string(),
            "all shards failed: failed to create query: For input string: \"x\" (search_phase_execution_exception, 400)"
        );
        assert_eq!(
            Refusal::of(404, &json!("alias [t] missing")).to_string(),
            "alias [t] missing (404)"
        );
        assert_eq!(
            Refusal::of(502, &Json::Null).to_string(),
            "the server answered 502"
        );
    }
}
