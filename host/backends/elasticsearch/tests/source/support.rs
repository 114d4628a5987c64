//! What the tests share: both servers, an index of one's own, and a source of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dkhost_core::{Backend, OpenSource, Options, Result, Source};
pub use dkhost_drive::{batches, read, refused, said, small, types};
use dkhost_elasticsearch::ElasticsearchBackend;
use dkhost_servers::Indices;
use serde_json::{Value as Json, json};

/// A running server, and names on it that nothing else has.
#[derive(Debug, Clone)]
pub struct Server {
    indices: Arc<Indices>,
    pub is_opensearch: bool,
}

/// Both products.
pub fn servers() -> [Server; 2] {
    [
        Server::of(dkhost_servers::elasticsearch(), false),
        Server::of(dkhost_servers::opensearch(), true),
    ]
}

impl Server {
    pub fn of(indices: Indices, is_opensearch: bool) -> Self {
        Server {
            indices: Arc::new(indices),
            is_opensearch,
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.indices.access.url
    }

    /// Asks the server, without the product's client; the status and the body.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Json) {
        let answer = self
            .indices
            .access
            .ask(method, &format!("/{path}"), body)
            .unwrap();
        (
            answer.status,
            serde_json::from_slice(&answer.body).unwrap_or_default(),
        )
    }

    /// Asks for something that must work.
    pub fn must(&self, method: &str, path: &str, body: &str) -> Json {
        let (status, said) = self.ask(method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {said}"
        );
        said
    }

    /// A new index with these settings and mappings.
    pub fn index(&self, definition: &Json) -> Index {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = self
            .indices
            .name(&NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        let mut definition = definition.clone();
        definition["settings"]["number_of_replicas"] = 0.into();
        self.must("PUT", &name, &definition.to_string());
        Index {
            server: self.clone(),
            name,
        }
    }

    /// The options that say where it is and who asks.
    fn place(&self, options: &mut Json, folder: &std::path::Path) {
        let access = &self.indices.access;
        options["url"] = access.url.as_str().into();
        if let Some((name, password)) = &access.user {
            options["auth"] = json!({"username": name, "password": password});
        }
        if let Some(authority) = &access.authority {
            let path = folder.join("ca.pem");
            std::fs::write(&path, authority).unwrap();
            options["ca"] = path.to_str().unwrap().into();
        }
    }
}

/// An index, deleted in the end.
#[derive(Debug)]
pub struct Index {
    pub server: Server,
    pub name: String,
}

impl Drop for Index {
    fn drop(&mut self) {
        self.server.ask("DELETE", &self.name, "");
    }
}

impl Index {
    /// Writes documents with these ids, and makes them seen.
    pub fn put<'a>(&self, documents: impl IntoIterator<Item = (impl AsRef<str>, &'a str)>) {
        let mut body = String::new();
        for (id, document) in documents {
            body.push_str(&json!({"index": {"_id": id.as_ref()}}).to_string());
            body.push_str(&format!("\n{document}\n"));
        }
        self.bulk(&body);
    }

    /// Writes so many documents, `{"n": 0, "k": "key-0"}` and so on, from a number on.
    pub fn fill(&self, numbers: std::ops::Range<usize>) {
        for some in numbers.collect::<Vec<_>>().chunks(20_000) {
            let line = |n: &usize| {
                format!("{{\"index\":{{\"_id\":\"{n}\"}}}}\n{{\"n\":{n},\"k\":\"key-{n}\"}}\n")
            };
            self.bulk(&some.iter().map(line).collect::<String>());
        }
    }

    fn bulk(&self, body: &str) {
        let said = self
            .server
            .must("POST", &format!("{}/_bulk?refresh=true", self.name), body);
        assert_eq!(said["errors"], false, "{said}");
    }

    pub fn delete(&self, id: &str) {
        self.server.must(
            "DELETE",
            &format!("{}/_doc/{id}?refresh=true", self.name),
            "",
        );
    }

    /// A source of the index.
    pub fn source(&self, options: Json) -> Result<Box<dyn Source>> {
        self.source_with(options, |_| ())
    }

    /// A source of the index, opened as `set` says.
    pub fn source_with(
        &self,
        mut options: Json,
        set: impl FnOnce(&mut OpenSource),
    ) -> Result<Box<dyn Source>> {
        let folder = tempfile::tempdir().unwrap();
        self.server.place(&mut options, folder.path());
        if options["index"].is_null() {
            options["index"] = self.name.as_str().into();
        }
        let mut open = OpenSource {
            partitions: 1,
            ..OpenSource::default()
        };
        set(&mut open);
        let options = Options::from_json("[source]", &options).unwrap();
        options
            .check(&[ElasticsearchBackend.source_options()])
            .unwrap();
        ElasticsearchBackend.open_source(options, &open)
    }

    /// A source of the index for whoever `options` say.
    pub fn source_as(&self, options: Json) -> Result<Box<dyn Source>> {
        let (mut with, folder) = (json!({"index": self.name}), tempfile::tempdir().unwrap());
        self.server.place(&mut with, folder.path());
        for (name, value) in options.as_object().unwrap() {
            with[name] = value.clone();
        }
        let options = Options::from_json("[source]", &with).unwrap();
        ElasticsearchBackend.open_source(options, &OpenSource::default())
    }

    /// Forgets every moment of the index, as a restart of the server would.
    pub fn forget_moments(&self) {
        let path = match self.server.is_opensearch {
            true => "_search/point_in_time/_all",
            false => return self.reopen(),
        };
        self.server.must("DELETE", path, "");
    }

    /// A shard that closes loses what was open in it.
    fn reopen(&self) {
        self.server
            .must("POST", &format!("{}/_close", self.name), "");
        self.server
            .must("POST", &format!("{}/_open", self.name), "");
        self.server.must(
            "GET",
            &format!("_cluster/health/{}?wait_for_status=green", self.name),
            "",
        );
    }
}

/// The ids of some records.
pub fn ids(lines: &[String]) -> Vec<String> {
    let id = |line: &String| {
        let record: Json = serde_json::from_str(line).unwrap();
        record["_id"].as_str().unwrap().to_owned()
    };
    lines.iter().map(id).collect()
}
