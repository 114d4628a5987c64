//! A bucket of a test's own, on whatever S3 server, and what any other program would put there and
//! find.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use crate::http::{self, Answer, Place, Request};
use crate::signature::{self, Signed, Signer, encoded};

/// An S3 server, and who may do everything on it. Paths, not host names, name the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    /// `http://127.0.0.1:9000`.
    pub endpoint: String,
    /// `us-east-1`.
    pub region: String,
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
}

/// A bucket that goes with everything in it when this does.
#[derive(Debug)]
pub struct Bucket {
    /// Its server.
    pub s3: S3,
    /// Its name.
    pub name: String,
}

/// Something that was asked of a bucket, beside its name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// `""` for the bucket itself.
    pub key: &'a str,
    /// `("versionId", "…")`, `("uploads", "")`; not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// Names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent.
    pub body: &'a [u8],
}

impl S3 {
    /// A name for a bucket that nothing else has.
    pub fn fresh_name() -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // The server may be one that stays: what a killed test left there has another name.
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        format!("test-{}-{}-{count}", now.as_millis(), std::process::id())
    }

    /// A fresh, empty bucket.
    ///
    /// *Errors* – a sentence with what the server said.
    pub fn bucket(&self) -> Result<Bucket, String> {
        let bucket = Bucket {
            s3: self.clone(),
            name: S3::fresh_name(),
        };
        bucket.try_ask("PUT", Ask::default())?;
        Ok(bucket)
    }

    /// Whether the server lists its buckets to who has these keys.
    ///
    /// *Errors* – a sentence with what it said instead.
    pub(crate) fn answers(&self) -> Result<(), String> {
        let answer = self.ask("GET", "", &Ask::default())?;
        match answer.is_fine() {
            true => Ok(()),
            false => Err(format!("it answers {}: {}", answer.status, answer.text())),
        }
    }

    /// Asks for something signed; `bucket` may be empty.
    fn ask(&self, method: &str, bucket: &str, ask: &Ask<'_>) -> Result<Answer, String> {
        let place = Place::of(&self.endpoint)?;
        if place.tls {
            return Err("buckets of tests are on servers without TLS".to_owned());
        }
        let path = match ask.key {
            "" => format!("{}/{bucket}", place.path),
            key => format!("{}/{bucket}/{}", place.path, encoded(key, "/")),
        };
        let query = ask.query.iter();
        let query: Vec<(String, String)> = query
            .map(|(name, value)| (encoded(name, ""), encoded(value, "")))
            .collect();
        let host = [("host", place.address.as_str())];
        let request = Signed {
            method,
            path: &path,
            query: &query,
            headers: &[&host, ask.headers].concat(),
            body: ask.body,
            at: SystemTime::now(),
        };
        let signer = Signer {
            access_key: &self.access_key,
            secret_key: &self.secret_key,
            region: &self.region,
        };
        let own = signer.headers(&request);
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, &**value)).collect();
        let request = Request {
            method,
            path: &format!("{path}?{}", signature::query(&query)),
            headers: &[ask.headers, &own].concat(),
            body: ask.body,
        };
        http::ask(&place.address, &request)
    }
}

impl Bucket {
    /// Puts an object.
    ///
    /// # Panics
    /// With what the server said, if it refuses; so do the others.
    pub fn put(&self, key: &str, body: &[u8]) {
        let put = Ask {
            key,
            body,
            ..Ask::default()
        };
        self.must("PUT", put);
    }

    /// The content of an object.
    pub fn get(&self, key: &str) -> Vec<u8> {
        self.must("GET", of(key)).body
    }

    /// Whether there is an object of this key.
    pub fn has(&self, key: &str) -> bool {
        let answer = self.s3.ask("HEAD", &self.name, &of(key));
        match answer.unwrap_or_else(|why| panic!("{why}")).status {
            200 => true,
            404 => false,
            other => panic!("HEAD of `{key}` was answered with {other}"),
        }
    }

    /// Removes an object; in a bucket with versions, puts a marker over it.
    pub fn delete(&self, key: &str) {
        self.must("DELETE", of(key));
    }

    /// All keys that begin with a prefix, in the server's order.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = vec![
                ("list-type", "2"),
                ("encoding-type", "url"),
                ("prefix", prefix),
            ];
            if !token.is_empty() {
                query.push(("continuation-token", &token));
            }
            let list = Ask {
                query: &query,
                ..Ask::default()
            };
            let page = self.must("GET", list).text();
            let encoded = is_encoded(&page);
            keys.extend(elements(&page, "Key").map(|key| decoded(encoded, key)));
            match elements(&page, "NextContinuationToken").next() {
                Some(next) => token = unescaped(next),
                None => return keys,
            }
        }
    }

    /// Keeps all versions from now on.
    pub fn keep_versions(&self) {
        let body = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                    <Status>Enabled</Status></VersioningConfiguration>";
        let versions = Ask {
            query: &[("versioning", "")],
            body: body.as_bytes(),
            ..Ask::default()
        };
        self.must("PUT", versions);
    }

    /// Keys of uploads that were begun and neither completed nor aborted, with their ids.
    pub fn uploads(&self) -> Vec<(String, String)> {
        self.try_uploads().unwrap_or_else(|why| panic!("{why}"))
    }

    fn try_uploads(&self) -> Result<Vec<(String, String)>, String> {
        let query = [("uploads", ""), ("encoding-type", "url")];
        let list = Ask {
            query: &query,
            ..Ask::default()
        };
        let page = self.try_ask("GET", list)?.text();
        let encoded = is_encoded(&page);
        let uploads = elements(&page, "Upload").filter_map(|upload| {
            let id = elements(upload, "UploadId").next()?;
            let key = elements(upload, "Key").next()?;
            Some((decoded(encoded, key), unescaped(id)))
        });
        Ok(uploads.collect())
    }

    /// Anything else; the answer, whatever its status.
    ///
    /// *Errors* – a sentence, if there is no answer.
    pub fn ask(&self, method: &str, ask: Ask<'_>) -> Result<Answer, String> {
        self.s3.ask(method, &self.name, &ask)
    }

    fn try_ask(&self, method: &str, ask: Ask<'_>) -> Result<Answer, String> {
        let answer = self.s3.ask(method, &self.name, &ask)?;
        match answer.is_fine() {
            true => Ok(answer),
            false => Err(format!(
                "{method} of `{}` in bucket `{}` was answered with {}: {}",
                ask.key,
                self.name,
                answer.status,
                answer.text()
            )),
        }
    }

    fn must(&self, method: &str, ask: Ask<'_>) -> Answer {
        self.try_ask(method, ask)
            .unwrap_or_else(|why| panic!("{why}"))
    }

    /// Takes out everything, versions and uploads too, and removes it.
    fn remove(&self) -> Result<(), String> {
        let mut before = String::new();
        loop {
            let query = [("versions", ""), ("encoding-type", "url")];
            let list = Ask {
                query: &query,
                ..Ask::default()
            };
            let page = self.try_ask("GET", list)?.text();
            let encoded = is_encoded(&page);
            let kinds = ["Version", "DeleteMarker"].into_iter();
            let versions: Vec<&str> = kinds.flat_map(|kind| elements(&page, kind)).collect();
            if versions.is_empty() {
                break;
            }
            if page == before {
                return Err(format!("bucket `{}` does not get empty", self.name));
            }
            for version in versions {
                let key = elements(version, "Key")
                    .next()
                    .map(|key| decoded(encoded, key))
                    .unwrap_or_default();
                let id = elements(version, "VersionId").next().unwrap_or("null");
                let one = Ask {
                    query: &[("versionId", &unescaped(id))],
                    ..of(&key)
                };
                self.try_ask("DELETE", one)?;
            }
            before = page;
        }
        // MinIO removes uploads with their bucket and does not list them all.
        for (key, id) in self.try_uploads()? {
            let one = Ask {
                query: &[("uploadId", &id)],
                ..of(&key)
            };
            self.try_ask("DELETE", one)?;
        }
        self.try_ask("DELETE", Ask::default()).map(drop)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // A server that the test has stopped took its buckets with it.
        let _ = self.remove();
    }
}

fn of(key: &str) -> Ask<'_> {
    Ask {
        key,
        ..Ask::default()
    }
}

/// What stands between `<name>` and `</name>`, each time.
fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (element, after) = after.split_once(&close)?;
        rest = after;
        Some(element)
    })
}

/// Whether the keys of a list are encoded. versitygw leaves them as they are, whatever was asked for.
fn is_encoded(list: &str) -> bool {
    list.contains("<EncodingType>url</EncodingType>")
}

/// A key out of a list; where that is encoded, a space may be a plus.
fn decoded(is_encoded: bool, key: &str) -> String {
    if !is_encoded {
        return unescaped(key);
    }
    let mut bytes = Vec::new();
    let mut rest = key.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn unescaped(text: &str) -> String {
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
    ];
    let plain = named
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    plain.replace("&amp;", "&")
}
