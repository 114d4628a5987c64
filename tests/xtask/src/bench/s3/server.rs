//! The S3 server of the benchmark: a MinIO of its own for every measurement that writes, because
//! twenty thousand objects of the one before would lie in the way of the next.

use std::time::Duration;

use dkhost_servers::{Ask, Bucket, Store};

use super::super::postgres::cpu_of;
use crate::shell::Outcome;

/// A MinIO with an empty bucket. The server goes first: it takes its bucket along, which is quicker
/// than to ask it for that, object by object.
pub struct Minio {
    store: Store,
    bucket: Bucket,
}

impl Minio {
    /// Starts one, built if need be.
    pub fn start() -> Outcome<Minio> {
        let store = Store::minio()?;
        let bucket = store.bucket()?;
        Ok(Minio { store, bucket })
    }

    /// What jobs and scripts find in their environment: where it is, and who asks.
    pub fn environment(&self) -> [(&'static str, &str); 4] {
        let s3 = &self.bucket.s3;
        [
            ("BENCH_S3_ENDPOINT", &s3.endpoint),
            ("BENCH_S3_BUCKET", &self.bucket.name),
            ("AWS_ACCESS_KEY_ID", &s3.access_key),
            ("AWS_SECRET_ACCESS_KEY", &s3.secret_key),
        ]
    }

    /// CPU time it has spent since it started; `None` where the system does not tell.
    pub fn cpu(&self) -> Option<Duration> {
        cpu_of(self.store.process.pid()?)
    }

    /// How many objects there are whose keys begin so and end so.
    pub fn objects(&self, prefix: &str, extension: &str) -> u64 {
        self.keys(prefix, extension).count() as u64
    }

    /// Keys that begin so and end so. What the product notes beside its data begins with `_` or `.`.
    pub fn keys(&self, prefix: &str, extension: &str) -> impl Iterator<Item = String> {
        let keys = self.bucket.keys(prefix).into_iter();
        let names: Vec<String> = keys
            .filter(|key| {
                let name = key.rsplit('/').next().unwrap_or_default();
                key.ends_with(extension) && !name.starts_with(['_', '.'])
            })
            .collect();
        names.into_iter()
    }

    /// The last bytes of an object.
    pub fn tail(&self, key: &str, bytes: u64) -> Outcome<Vec<u8>> {
        let range = format!("bytes=-{bytes}");
        let ask = Ask {
            key,
            headers: &[("range", &range)],
            ..Ask::default()
        };
        let answer = self.bucket.ask("GET", ask)?;
        match answer.status {
            206 => Ok(answer.body),
            other => Err(format!("the end of `{key}` was answered with {other}")),
        }
    }
}
