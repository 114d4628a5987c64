//! Real servers for tests and chores: installed when absent, started on a free loopback port with
//! a data folder of their own, and gone when whoever started them is gone, `kill -9` included.
//!
//! Most tests want a fresh place and nothing else, on a server that all tests of the process share:
//!
//! | call | gives | on | in its place |
//! |---|---|---|---|
//! | [`postgres`] | a [`Database`] | PostgreSQL | [`POSTGRES_URL`] |
//! | [`s3`] | a [`Bucket`] | MinIO | [`S3_ENDPOINT`], [`S3_ACCESS_KEY`], [`S3_SECRET_KEY`] |
//! | [`minio`], [`versitygw`] | a [`Bucket`] | exactly that one | |
//! | [`elasticsearch`] | [`Indices`] | Elasticsearch | [`ELASTICSEARCH_URL`] |
//! | [`opensearch`] | [`Indices`] | OpenSearch | [`OPENSEARCH_URL`] |
//! | `secured_elasticsearch` | [`Indices`] | Elasticsearch with users and TLS | |
//!
//! The first call starts the server. `cargo xtask test` keeps one of each for all test binaries and
//! says in [`SERVERS`] where to ask for it; a variable of the last column may name one of yours. A
//! test that stops, pauses or fills its server starts one alone: [`Server`], [`Store`],
//! [`Cluster`].
//!
//! Nothing of the product is linked in here, nor any driver: what has to be said to a server is
//! said by its own `psql`, or in a plain request. What cannot be had makes a test fail with a
//! sentence that says what to install; nothing is skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bucket;
#[cfg(feature = "certificates")]
mod certificates;
mod cluster;
mod database;
mod go;
mod http;
mod indices;
mod java;
mod kept;
mod pooler;
mod process;
pub mod programs;
mod python;
mod server;
mod shared;
mod signature;
mod store;
pub mod tools;

use std::sync::OnceLock;

pub use bucket::{Ask, Bucket, S3};
#[cfg(feature = "certificates")]
pub use certificates::{Authority, Certificate};
pub use cluster::Cluster;
pub use database::Database;
pub use http::Answer;
pub use indices::{Access, Indices};
pub use pooler::Pooler;
pub use process::Process;
pub use python::dataknobs;
pub use server::{Server, Settings, Stop};
pub use shared::{SERVERS, Shared, share};
pub use store::Store;

use shared::Kind;

/// The variable that names a running server: `postgres://user@host:port/database`, as a user who
/// may create databases.
pub const POSTGRES_URL: &str = "DKHOST_TEST_POSTGRES_URL";

/// The variable that names a running Elasticsearch: `http://user:password@host:port`.
pub const ELASTICSEARCH_URL: &str = "DKHOST_TEST_ELASTICSEARCH_URL";

/// The variable that names a running OpenSearch, as [`ELASTICSEARCH_URL`].
pub const OPENSEARCH_URL: &str = "DKHOST_TEST_OPENSEARCH_URL";

/// The variable that names a running S3 server, in place of MinIO: `http://host:port`.
pub const S3_ENDPOINT: &str = "DKHOST_TEST_S3_ENDPOINT";

/// The access key id for [`S3_ENDPOINT`], who may create buckets.
pub const S3_ACCESS_KEY: &str = "DKHOST_TEST_S3_ACCESS_KEY";

/// The secret access key for [`S3_ENDPOINT`].
pub const S3_SECRET_KEY: &str = "DKHOST_TEST_S3_SECRET_KEY";

/// A fresh, empty database on the server that this process's tests share.
///
/// # Panics
/// With a sentence, if there is no server and none can be installed or started.
pub fn postgres() -> Database {
    Database::create(&postgres_url()).unwrap_or_else(|why| panic!("{why}"))
}

/// What `psql` answers to SQL at an address: a row a line, columns separated by `|`.
///
/// *Errors* – what the server or `psql` said.
pub fn query(url: &str, sql: &str) -> Result<String, String> {
    database::query(url, sql)
}

/// The address of the server that this process's tests share; started on the first call, unless
/// the variable names one.
///
/// # Panics
/// As [`postgres`].
pub fn postgres_url() -> String {
    static SHARED: OnceLock<Server> = OnceLock::new();
    match std::env::var(POSTGRES_URL) {
        Ok(url) => url,
        Err(_) => SHARED
            .get_or_init(|| {
                Server::start(&Settings::default()).unwrap_or_else(|why| panic!("{why}"))
            })
            .url(),
    }
}

/// A fresh, empty bucket on MinIO, unless [`S3_ENDPOINT`] names another server.
///
/// # Panics
/// With a sentence, if there is no server and none can be installed or started.
pub fn s3() -> Bucket {
    let Ok(endpoint) = std::env::var(S3_ENDPOINT) else {
        return minio();
    };
    let key = |name| {
        std::env::var(name).unwrap_or_else(|_| panic!("{S3_ENDPOINT} is set, and {name} is not"))
    };
    let s3 = S3 {
        endpoint,
        region: std::env::var("AWS_REGION").unwrap_or_else(|_| "us-east-1".to_owned()),
        access_key: key(S3_ACCESS_KEY),
        secret_key: key(S3_SECRET_KEY),
    };
    s3.bucket().unwrap_or_else(|why| panic!("{why}"))
}

/// A fresh, empty bucket on MinIO.
///
/// # Panics
/// As [`s3`].
pub fn minio() -> Bucket {
    bucket(Kind::Minio)
}

/// A fresh, empty bucket on versitygw.
///
/// # Panics
/// As [`s3`].
pub fn versitygw() -> Bucket {
    bucket(Kind::Versitygw)
}

fn bucket(kind: Kind) -> Bucket {
    let bucket = shared::server(kind).and_then(|known| match <[String; 4]>::try_from(known) {
        Ok([endpoint, region, access_key, secret_key]) => S3 {
            endpoint,
            region,
            access_key,
            secret_key,
        }
        .bucket(),
        Err(known) => Err(format!(
            "{known:?} is not what is to be known of an S3 server"
        )),
    });
    bucket.unwrap_or_else(|why| panic!("{why}"))
}

/// Fresh names for indices on Elasticsearch, without users or TLS.
///
/// # Panics
/// As [`s3`].
pub fn elasticsearch() -> Indices {
    indices(Kind::Elasticsearch, ELASTICSEARCH_URL)
}

/// Fresh names for indices on OpenSearch, without users or TLS.
///
/// # Panics
/// As [`s3`].
pub fn opensearch() -> Indices {
    indices(Kind::OpenSearch, OPENSEARCH_URL)
}

/// Fresh names for indices on an Elasticsearch that asks for a password, over TLS with an authority
/// of its own; each process that asks has one.
///
/// # Panics
/// As [`s3`].
#[cfg(feature = "certificates")]
pub fn secured_elasticsearch() -> Indices {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    let start = || Cluster::secured(&Authority::new()).unwrap_or_else(|why| panic!("{why}"));
    SHARED.get_or_init(start).access().indices()
}

fn indices(kind: Kind, variable: &str) -> Indices {
    if let Ok(url) = std::env::var(variable) {
        return Access::of(&url).indices();
    }
    match shared::server(kind)
        .unwrap_or_else(|why| panic!("{why}"))
        .first()
    {
        Some(url) => Access::of(url).indices(),
        None => panic!("whoever keeps servers did not say where one is"),
    }
}
