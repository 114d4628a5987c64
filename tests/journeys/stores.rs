//! The lines that name an index or a prefix in a job.

use dkhost_servers::{Bucket, Indices};

/// An index, on whatever cluster.
pub fn index(indices: &Indices, name: &str) -> String {
    format!(
        "backend = \"elasticsearch\"\nurl = \"{}\"\nindex = \"{}\"\n",
        indices.access.url,
        indices.name(name)
    )
}

/// A prefix of a bucket, with who may read and write it.
pub fn prefix(bucket: &Bucket, prefix: &str) -> String {
    let s3 = &bucket.s3;
    format!(
        "backend = \"s3\"\nendpoint = \"{}\"\nregion = \"{}\"\nbucket = \"{}\"\nprefix = \"{prefix}\"\n\
         access_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
        s3.endpoint, s3.region, bucket.name, s3.access_key, s3.secret_key
    )
}
