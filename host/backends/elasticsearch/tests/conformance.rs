//! The suite every backend passes, over indices and dataknobs stores of real servers of both
//! products.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

#[path = "target/server.rs"]
mod server;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use dkhost_core::conformance::{self, Failure, Fixture, Found, Place, Planted, Stray, Traits};
use dkhost_core::{Backend, Schema};
use dkhost_elasticsearch::ElasticsearchBackend;
use serde_json::{Value, json};
use server::Server;

/// Indices of one server.
struct Indices {
    server: Server,
    next: AtomicUsize,
    kind: Kind,
}

/// What kind of indices.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Created by the target, a type for every column.
    Mapped,
    /// There before, and parses no document.
    Unmapped,
    Dataknobs,
}

/// An index that keeps documents and parses none.
const UNPARSED: &str = r#"{"settings":{"number_of_replicas":0},"mappings":{"enabled":false}}"#;

impl Indices {
    fn of(server: Server, kind: Kind) -> Self {
        Indices {
            server,
            next: AtomicUsize::new(0),
            kind,
        }
    }
}

impl Indices {
    fn name(&self, number: usize) -> String {
        self.server.name(&format!("{number}-"))
    }

    /// Deletes the index of a place, and what was swapped in for it.
    fn sweep(&self, number: usize) {
        let path = format!("{}*?ignore_unavailable=true", self.name(number));
        let found = self.server.must("GET", &path, "");
        let indices = found.as_object().into_iter().flat_map(|found| found.keys());
        let indices: Vec<&str> = indices.map(String::as_str).collect();
        if !indices.is_empty() {
            self.server.must("DELETE", &indices.join(","), "");
        }
    }
}

impl Fixture for Indices {
    fn backend(&self) -> &dyn Backend {
        &ElasticsearchBackend
    }

    fn place(&self) -> Place {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let index = self.name(next);
        // What earlier cases left would make the server slower with each.
        if let Some(old) = next.checked_sub(4) {
            self.sweep(old);
        }
        if self.kind == Kind::Unmapped {
            self.server.must("PUT", &index, UNPARSED);
        }
        let mut target = json!({"url": self.server.url, "index": index});
        if self.kind == Kind::Dataknobs {
            target["layout"] = "dataknobs".into();
        }
        Place {
            base: PathBuf::new(),
            target,
        }
    }

    fn source(&self, place: &Place, schema: &Schema) -> Value {
        let mut source = place.target.clone();
        if self.kind != Kind::Dataknobs {
            // A mapping has fewer types than a job.
            let fields = schema
                .data_fields()
                .map(|(_, field)| (field.name.clone(), Value::from(field.logical.to_string())));
            source["fields"] = Value::Object(fields.collect());
        }
        source
    }

    fn plant(&self, strays: &[Stray]) -> Planted {
        let place = self.place();
        let index = place.target["index"].as_str().unwrap();
        let dynamic =
            json!({"settings": {"number_of_replicas": 0}, "mappings": {"enabled": false}});
        self.server.must("PUT", index, &dynamic.to_string());
        let one = |(number, stray): (usize, &Stray)| {
            let id = format!("rec-{number:02}");
            let document = match (stray.document(), self.kind == Kind::Dataknobs) {
                (Some(document), false) => document.to_owned(),
                (Some(document), true) => format!("{{\"data\":{document}}}"),
                // The server takes objects only: what cannot be read is one of another shape.
                (None, _) => "{\"data\":7}".to_owned(),
            };
            if stray.document().is_none() && self.kind != Kind::Dataknobs {
                return Found::Nowhere;
            }
            self.server
                .must("PUT", &format!("{index}/_doc/{id}"), &document);
            match stray.document() {
                Some(_) => Found::Whole,
                None => Found::Refused(document.into_bytes()),
            }
        };
        let found = strays.iter().enumerate().map(one).collect();
        self.server.must("POST", &format!("{index}/_refresh"), "");
        let mut source = place.target.clone();
        if self.kind != Kind::Dataknobs {
            source["fields"] = conformance::declared();
        }
        Planted {
            base: place.base,
            source,
            found,
            tells_nulls: true,
        }
    }

    fn traits(&self) -> Traits {
        let mut rejects = Vec::new();
        for kind in ["float32", "float64"] {
            rejects.extend(["NaN", "inf", "-inf"].map(|text| (kind, text)));
        }
        if !self.server.is_opensearch {
            // Its length is no float any more.
            rejects.push(("vector(3)", "[3.4028235e+38,0.1,16777216.0]"));
        }
        Traits {
            rejects,
            named: true,
            // By the number of the write, and several shards and requests are written at once.
            ordered: false,
            ..Traits::default()
        }
    }
}

/// A case that needs an index which refuses no document: a mapping does, by its types.
const UNMAPPED: &str = "documents come back the same";

/// Runs the cases that are chosen.
fn pass(fixture: &Indices, chosen: impl Fn(&str) -> bool) {
    let mut failures = Vec::new();
    for (name, case) in conformance::CASES {
        if !chosen(name) {
            continue;
        }
        if let Err(Failure(why)) = case(fixture) {
            failures.push(format!("- {name}:\n  {why}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn passes(server: fn() -> Server) {
    let mapped = Indices::of(server(), Kind::Mapped);
    pass(&mapped, |case| case != UNMAPPED);
    let unmapped = Indices::of(server(), Kind::Unmapped);
    pass(&unmapped, |case| case == UNMAPPED);
}

#[test]
fn indices_of_elasticsearch_pass_the_suite() {
    passes(Server::elasticsearch);
}

#[test]
fn indices_of_opensearch_pass_the_suite() {
    passes(Server::opensearch);
}

#[test]
fn dataknobs_stores_of_elasticsearch_pass_the_suite() {
    pass(
        &Indices::of(Server::elasticsearch(), Kind::Dataknobs),
        |case| case != UNMAPPED,
    );
}

#[test]
fn dataknobs_stores_of_opensearch_pass_the_suite() {
    pass(
        &Indices::of(Server::opensearch(), Kind::Dataknobs),
        |case| case != UNMAPPED,
    );
}
