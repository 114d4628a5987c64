//! Where on a server a target is: a database, indices of a cluster, or a bucket.

use dkhost_servers::{Bucket, Database, Indices};
use serde_json::Value;

use super::oracle::Content;
use super::targets::{At, Before, Target};
use super::{indices, objects};

/// A place of a world's own, on a server.
pub enum Place {
    Database(Database),
    Indices(Indices),
    Bucket(Bucket),
}

impl Place {
    /// On the servers that all tests share; `None` for a target on this machine.
    pub fn of(target: &Target) -> Option<Place> {
        match target.at {
            At::Files | At::Sqlite => None,
            At::Postgres => Some(Place::Database(dkhost_servers::postgres())),
            At::Elasticsearch => Some(Place::Indices(dkhost_servers::elasticsearch())),
            At::OpenSearch => Some(Place::Indices(dkhost_servers::opensearch())),
            At::Minio => Some(Place::Bucket(dkhost_servers::minio())),
            At::Versitygw => Some(Place::Bucket(dkhost_servers::versitygw())),
        }
    }

    /// The lines of a job that say where it is.
    pub fn toml(&self) -> String {
        match self {
            Place::Database(database) => {
                format!("backend = \"postgres\"\nurl = \"{}\"\n", database.url)
            }
            Place::Indices(indices) => format!(
                "backend = \"elasticsearch\"\nurl = \"{}\"\nindex = \"{}\"\n",
                indices.access.url,
                indices::name(indices)
            ),
            Place::Bucket(bucket) => format!(
                "backend = \"s3\"\nbucket = \"{}\"\nprefix = \"{}\"\nendpoint = \"{}\"\nregion = \"{}\"\n\
                 access_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
                bucket.name,
                objects::PREFIX,
                bucket.s3.endpoint,
                bucket.s3.region,
                bucket.s3.access_key,
                bucket.s3.secret_key
            ),
        }
    }

    /// `host:port` of its server, as the job has it.
    pub fn address(&self) -> &str {
        let url = match self {
            Place::Database(database) => database.url.split_once('@').unwrap().1,
            Place::Indices(indices) => indices.access.url.split_once("://").unwrap().1,
            Place::Bucket(bucket) => bucket.s3.endpoint.split_once("://").unwrap().1,
        };
        url.split('/').next().unwrap()
    }

    /// Puts there what the run is to find.
    pub fn fill(&self, before: Before) {
        match (self, before) {
            (_, Before::Nothing) => {}
            (Place::Database(database), Before::Sql(sql)) => drop(database.sql(sql)),
            (Place::Indices(on), Before::Documents(documents)) => indices::fill(on, documents),
            (Place::Bucket(bucket), Before::Objects(objects)) => {
                for (key, body) in objects {
                    bucket.put(&format!("{}{key}", objects::PREFIX), body.as_bytes());
                }
            }
            (_, before) => panic!("{before:?} is not for this place"),
        }
    }

    /// What the target holds now, as anybody who reads it finds it.
    pub fn content(&self, target: &Target) -> Content {
        match self {
            Place::Database(database) => rows(database),
            Place::Indices(on) => indices::content(on, target.has_key()),
            Place::Bucket(bucket) => objects::content(bucket, target.is_of_records()),
        }
    }

    /// The checkpoints that the target holds; `None` when it has forgotten the run.
    pub fn checkpoints(&self) -> Option<Vec<Value>> {
        match self {
            Place::Database(database) => {
                if database.sql("SELECT to_regclass('dkhost.checkpoint') IS NULL") == "t" {
                    return None;
                }
                let bodies = database.sql("SELECT body FROM dkhost.checkpoint");
                let bodies = bodies.lines().map(serde_json::from_str);
                Some(bodies.collect::<Result<_, _>>().unwrap())
            }
            Place::Indices(on) => indices::checkpoints(on),
            Place::Bucket(bucket) => objects::checkpoints(bucket),
        }
    }

    /// Everything there but the content, without what tells runs and worlds apart.
    pub fn leftovers(&self, target: &Target) -> Vec<String> {
        match self {
            Place::Database(database) => {
                let sql = "SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)' \
                    UNION ALL SELECT relkind::text || ' ' || relnamespace::regnamespace || '.' || relname FROM pg_class \
                    WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema$)' \
                    UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts ORDER BY 1";
                database.sql(sql).lines().map(str::to_owned).collect()
            }
            Place::Indices(on) => indices::leftovers(on),
            Place::Bucket(bucket) => objects::leftovers(bucket, target.is_of_records()),
        }
    }

    /// Removes every record, as somebody else would.
    pub fn empty(&self, target: &Target) {
        match self {
            Place::Database(database) => drop(database.sql("DELETE FROM t")),
            Place::Indices(on) => indices::empty(on),
            Place::Bucket(bucket) => objects::empty(bucket, target.is_of_records()),
        }
    }

    /// A text without this place's own names.
    pub fn anonymous(&self, text: &str) -> String {
        match self {
            Place::Database(_) => text.to_owned(),
            Place::Indices(on) => text.replace(&on.prefix, "test-"),
            Place::Bucket(bucket) => text.replace(&bucket.name, "test"),
        }
    }
}

/// The rows of a server's table; none if there is no such table. Partitions write at the same time,
/// so their order says nothing.
fn rows(database: &Database) -> Content {
    if database.sql("SELECT to_regclass('t') IS NULL") == "t" {
        return Vec::new();
    }
    let rows = database.sql("SELECT t::text FROM t ORDER BY id, t::text");
    rows.lines()
        .map(|row| (row.to_owned(), Vec::new()))
        .collect()
}

/// A text without the ids of runs, which are UUIDs.
pub fn of_any_run(text: &str) -> String {
    let uuid = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
    let uuid = regex::Regex::new(uuid).unwrap();
    uuid.replace_all(text, "RUN").into_owned()
}
