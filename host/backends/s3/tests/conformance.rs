//! The suite every backend passes, over objects of two real servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

#[path = "../../file/tests/conformance/strays.rs"]
mod strays;
mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use dkhost_core::conformance::{self, Fencing, Fixture, Found, Place, Planted, Stray, Traits};
use dkhost_core::{Backend, Conflict, Schema};
use dkhost_s3::S3Backend;
use serde_json::{Map, Value, json};
use support::{Bucket, Server, bucket, options};

/// Parts of one format, each place under a prefix of its own.
struct Files {
    bucket: Bucket,
    next: AtomicUsize,
    format: &'static str,
    compression: Option<&'static str>,
}

impl Files {
    fn new(server: Server, format: &'static str, compression: Option<&'static str>) -> Self {
        Files {
            bucket: bucket(server),
            next: AtomicUsize::new(0),
            format,
            compression,
        }
    }

    fn is_typed(&self) -> bool {
        matches!(self.format, "parquet" | "arrow")
    }

    fn extension(&self) -> &'static str {
        match self.compression {
            Some("gzip") if !self.is_typed() => ".gz",
            Some("zstd") if !self.is_typed() => ".zst",
            _ => "",
        }
    }
}

impl Fixture for Files {
    fn backend(&self) -> &dyn Backend {
        &S3Backend
    }

    fn place(&self) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let more = json!({"prefix": format!("place {number}/ü+%"), "format": self.format});
        let mut target = options(&self.bucket, more);
        if let Some(compression) = self.compression {
            target["compression"] = compression.into();
        }
        Place {
            base: PathBuf::new(),
            target,
        }
    }

    fn source(&self, place: &Place, schema: &Schema) -> Value {
        let mut source = place.target.clone();
        source.as_object_mut().unwrap().remove("compression");
        source.as_object_mut().unwrap().remove("format");
        if !self.is_typed() {
            let types: Map<String, Value> = schema
                .data_fields()
                .map(|(_, field)| (field.name.clone(), field.logical.to_string().into()))
                .collect();
            source["fields"] = types.into();
        }
        source
    }

    fn plant(&self, strays: &[Stray]) -> Planted {
        let place = self.place();
        let prefix = place.target["prefix"].as_str().unwrap().to_owned();
        let name = format!("{prefix}/x.{}{}", self.format, self.extension());
        let written = strays::write(&name, None, false, strays);
        for (name, content) in &written.files {
            self.bucket.put(name, content);
        }
        let mut source = options(&self.bucket, json!({"prefix": prefix}));
        source["fields"] = conformance::declared();
        if written.infers {
            source["infer"] = 1.into();
        }
        Planted {
            base: place.base,
            source,
            found: written.found,
            tells_nulls: written.tells_nulls,
        }
    }

    fn traits(&self) -> Traits {
        let mut rejects = Vec::new();
        if self.format.starts_with("json") {
            for kind in ["float32", "float64"] {
                rejects.extend(["NaN", "inf", "-inf"].map(|text| (kind, text)));
            }
        }
        Traits {
            cannot_hold: Vec::new(),
            rejects,
            conflicts: vec![Conflict::ReplaceAll],
            keyed: false,
            named: false,
            fencing: Fencing::Epoch,
            ordered: true,
        }
    }
}

/// Records, an object each.
struct Records {
    bucket: Bucket,
    next: AtomicUsize,
    dataknobs: bool,
}

impl Records {
    fn new(server: Server, dataknobs: bool) -> Self {
        Records {
            bucket: bucket(server),
            next: AtomicUsize::new(0),
            dataknobs,
        }
    }

    fn how(&self) -> (&'static str, &'static str) {
        match self.dataknobs {
            true => ("layout", "dataknobs"),
            false => ("object", "record"),
        }
    }
}

impl Fixture for Records {
    fn backend(&self) -> &dyn Backend {
        &S3Backend
    }

    fn place(&self) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut target = options(&self.bucket, json!({"prefix": format!("place {number}/ü")}));
        let (key, value) = self.how();
        target[key] = value.into();
        Place {
            base: PathBuf::new(),
            target,
        }
    }

    fn source(&self, place: &Place, schema: &Schema) -> Value {
        let mut source = place.target.clone();
        let types: Map<String, Value> = schema
            .data_fields()
            .map(|(_, field)| (field.name.clone(), field.logical.to_string().into()))
            .collect();
        source["fields"] = types.into();
        source
    }

    fn plant(&self, strays: &[Stray]) -> Planted {
        let place = self.place();
        let prefix = place.target["prefix"].as_str().unwrap();
        let broken: [&[u8]; 4] = [b"{\"fields\": oops}", b"[1]", b"{\"s\":\"\xff\"}", b"7"];
        let mut broken = broken.iter().cycle();
        let mut found = Vec::new();
        for (number, stray) in strays.iter().enumerate() {
            let body = match stray.document() {
                None => broken.next().unwrap().to_vec(),
                Some(document) if !self.dataknobs => document.as_bytes().to_vec(),
                Some(document) => fields_of(document).into_bytes(),
            };
            found.push(match stray.document() {
                Some(_) => Found::Whole,
                None => Found::Refused(body.clone()),
            });
            self.bucket
                .put(&format!("{prefix}/rec-{number:02}.json"), &body);
        }
        let mut source = place.target;
        source["fields"] = conformance::declared();
        source["infer"] = 1.into();
        Planted {
            base: PathBuf::new(),
            source,
            found,
            tells_nulls: true,
        }
    }

    fn traits(&self) -> Traits {
        let mut rejects = Vec::new();
        if !self.dataknobs {
            for kind in ["float32", "float64"] {
                rejects.extend(["NaN", "inf", "-inf"].map(|text| (kind, text)));
            }
        }
        Traits {
            rejects,
            conflicts: vec![Conflict::Insert, Conflict::Upsert, Conflict::Skip],
            named: true,
            // By id, which is text: 10 comes before 2.
            ordered: false,
            ..Traits::default()
        }
    }
}

/// A document as a record of dataknobs.
fn fields_of(document: &str) -> String {
    let fields: Value = serde_json::from_str(document).unwrap();
    let member = |(name, value): (&String, &Value)| {
        format!("{name:?}: {{\"name\": {name:?}, \"value\": {value}, \"metadata\": {{}}}}")
    };
    let members: Vec<String> = fields.as_object().unwrap().iter().map(member).collect();
    format!(
        "{{\"fields\": {{{}}}, \"metadata\": {{}}}}",
        members.join(", ")
    )
}

#[test]
fn records_on_minio() {
    conformance::run(&Records::new(Server::Minio, false));
}

#[test]
fn dataknobs_records_on_versitygw() {
    conformance::run(&Records::new(Server::Versity, true));
}

#[test]
fn json_lines_on_minio() {
    conformance::run(&Files::new(Server::Minio, "jsonl", None));
}

#[test]
fn json_lines_gzip_on_versitygw() {
    conformance::run(&Files::new(Server::Versity, "jsonl", Some("gzip")));
}

#[test]
fn csv_zstd_on_minio() {
    conformance::run(&Files::new(Server::Minio, "csv", Some("zstd")));
}

#[test]
fn parquet_on_minio() {
    conformance::run(&Files::new(Server::Minio, "parquet", None));
}

#[test]
fn parquet_on_versitygw() {
    conformance::run(&Files::new(Server::Versity, "parquet", Some("zstd")));
}

#[test]
fn arrow_on_versitygw() {
    conformance::run(&Files::new(Server::Versity, "arrow", None));
}
