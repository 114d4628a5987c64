//! An index of one's own on each server, and a target of it.

use std::path::Path;

use dkhost_core::{
    Backend, Conflict, Error, Nulls, OpenTarget, Options, Reshape, Schema, Sink, Stamp,
};
use dkhost_elasticsearch::ElasticsearchBackend;
use serde_json::{Value as Json, json};

use crate::server::Server;

/// A name nobody has, on one server.
pub struct Index {
    pub server: Server,
    pub name: String,
}

/// Runs a test on both products.
pub fn on_both(test: impl Fn(Index)) {
    for server in [Server::elasticsearch(), Server::opensearch()] {
        let name = server.name("target");
        test(Index { server, name });
    }
}

impl Index {
    pub fn try_open(
        &self,
        schema: &Schema,
        conflict: Conflict,
        more: Json,
    ) -> Result<Box<dyn Sink>, Error> {
        self.open_as(schema, conflict, more, None)
    }

    /// To be brought to another version of its schema.
    pub fn reshaped(&self, schema: &Schema, reshape: &Reshape) -> Box<dyn Sink> {
        let reshape = Some(reshape.clone());
        self.open_as(schema, Conflict::ReplaceAll, json!({}), reshape)
            .unwrap()
    }

    fn open_as(
        &self,
        schema: &Schema,
        conflict: Conflict,
        more: Json,
        reshape: Option<Reshape>,
    ) -> Result<Box<dyn Sink>, Error> {
        let mut options = json!({"url": self.server.url, "index": self.name});
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        let open = OpenTarget {
            base: Default::default(),
            job: "job".into(),
            schema: schema.clone(),
            conflict,
            create: reshape.is_none(),
            nulls: Nulls::Keep,
            content: true,
            reshape,
        };
        let options = Options::from_json("[target]", &options).unwrap();
        ElasticsearchBackend.open_target(options, &open)
    }

    pub fn open(&self, schema: &Schema, conflict: Conflict) -> Box<dyn Sink> {
        self.try_open(schema, conflict, json!({})).unwrap()
    }

    /// What something of this name says of its documents.
    pub fn stamp(&self, name: &str) -> Option<Stamp> {
        let options = json!({"url": self.server.url, "index": name});
        let options = Options::from_json("[target]", &options).unwrap();
        ElasticsearchBackend.stamp(options, Path::new("")).unwrap()
    }

    /// Creates it as somebody else would.
    pub fn create(&self, mappings: Json) {
        let body = json!({"settings": {"number_of_replicas": 0}, "mappings": mappings});
        self.server.must("PUT", &self.name, &body.to_string());
    }

    pub fn put(&self, id: &str, document: &Json) {
        let path = format!("{}/_doc/{id}?refresh=true", self.name);
        self.server.must("PUT", &path, &document.to_string());
    }

    /// The documents searches find, by id: at most 10,000.
    pub fn found(&self) -> Vec<(String, Json)> {
        let body = json!({"size": 10_000, "sort": [{"_doc": "asc"}]});
        let said = self
            .server
            .must("POST", &format!("{}/_search", self.name), &body.to_string());
        let hits = said["hits"]["hits"].as_array().unwrap().iter();
        let mut found: Vec<(String, Json)> = hits
            .map(|hit| {
                (
                    hit["_id"].as_str().unwrap().to_owned(),
                    hit["_source"].clone(),
                )
            })
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    pub fn ids(&self) -> Vec<String> {
        self.found().into_iter().map(|(id, _)| id).collect()
    }
}
