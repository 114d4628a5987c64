//! Buckets on the real servers, opened as source and target.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write;

use dkhost_core::{
    Backend, Conflict, Nulls, OpenSource, OpenTarget, Options, Reshape, Result, Schema, Sink,
    Source,
};
use dkhost_s3::S3Backend;
pub use dkhost_servers::Bucket;
use serde_json::{Value, json};

/// The real servers, each of which hides what the other shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Minio,
    Versity,
}

/// Both of them.
pub const BOTH: [Server; 2] = [Server::Minio, Server::Versity];

/// A bucket that no other test has.
pub fn bucket(server: Server) -> Bucket {
    match server {
        Server::Minio => dkhost_servers::minio(),
        Server::Versity => dkhost_servers::versitygw(),
    }
}

/// The keys that say where a bucket is, and more.
pub fn options(bucket: &Bucket, more: Value) -> Value {
    let mut options = json!({
        "bucket": bucket.name, "endpoint": bucket.s3.endpoint, "region": bucket.s3.region,
        "access_key_id": bucket.s3.access_key, "secret_access_key": bucket.s3.secret_key,
    });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    options
}

pub fn source(bucket: &Bucket, more: Value) -> Result<Box<dyn Source>> {
    source_with(bucket, more, |_| ())
}

pub fn source_with(
    bucket: &Bucket,
    more: Value,
    set: impl FnOnce(&mut OpenSource),
) -> Result<Box<dyn Source>> {
    open_source(options(bucket, more), set)
}

pub fn open_source(options: Value, set: impl FnOnce(&mut OpenSource)) -> Result<Box<dyn Source>> {
    let mut open = OpenSource {
        partitions: 1,
        ..OpenSource::default()
    };
    set(&mut open);
    let options = Options::from_json("[source]", &options).unwrap();
    options.check(&[S3Backend.source_options()])?;
    S3Backend.open_source(options, &open)
}

pub fn target(
    bucket: &Bucket,
    more: Value,
    schema: &Schema,
    conflict: Conflict,
) -> Result<Box<dyn Sink>> {
    target_as(bucket, more, schema, conflict, None)
}

pub fn target_as(
    bucket: &Bucket,
    more: Value,
    schema: &Schema,
    conflict: Conflict,
    reshape: Option<Reshape>,
) -> Result<Box<dyn Sink>> {
    let open = OpenTarget {
        base: Default::default(),
        job: "job".into(),
        schema: schema.clone(),
        conflict,
        create: true,
        nulls: Nulls::Keep,
        content: true,
        reshape,
    };
    let options = Options::from_json("[target]", &options(bucket, more)).unwrap();
    options.check(&[S3Backend.target_options()])?;
    S3Backend.open_target(options, &open)
}

pub fn text(bucket: &Bucket, key: &str) -> String {
    String::from_utf8(bucket.get(key)).unwrap()
}

pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(content, 1).unwrap()
}
