//! Indices of a test's own, on whatever cluster, and what any other program would put there and
//! find.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::http::{self, Answer, Place, Request};

/// An Elasticsearch or OpenSearch, and who may do everything on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// `http://127.0.0.1:9200`.
    pub url: String,
    /// User and password, where they are asked for.
    pub user: Option<(String, String)>,
    /// What its certificate is signed by, as PEM, where it has one.
    pub authority: Option<String>,
}

/// A beginning of names that no other test has; indices with it go when this does.
#[derive(Debug)]
pub struct Indices {
    /// The cluster.
    pub access: Access,
    /// `test-…-`.
    pub prefix: String,
}

impl Access {
    /// Of a URL with or without a user in it.
    pub fn of(url: &str) -> Self {
        Access {
            url: url.trim_end_matches('/').to_owned(),
            ..Access::default()
        }
    }

    /// Names that nothing else has.
    pub fn indices(&self) -> Indices {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // The server may be one that stays: what a killed test left there has another name.
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let process = std::process::id();
        Indices {
            access: self.clone(),
            prefix: format!("test-{}-{process}-{count}-", now.as_millis()),
        }
    }

    /// What the cluster answers, whatever its status. The path begins with a slash; a body is JSON,
    /// or lines of it.
    ///
    /// *Errors* – a sentence, if there is no answer.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<Answer, String> {
        let place = Place::of(&self.url)?;
        let user = match &self.user {
            Some((name, password)) => Some(format!("{name}:{password}")),
            None => place.user.clone(),
        };
        let user = user.map(|user| format!("Basic {}", STANDARD.encode(user)));
        let kind = match path.contains("_bulk") {
            true => "application/x-ndjson",
            false => "application/json",
        };
        let mut headers = Vec::new();
        headers.extend(user.as_deref().map(|user| ("authorization", user)));
        headers.extend((!body.is_empty()).then_some(("content-type", kind)));
        let request = Request {
            method,
            path: &format!("{}{path}", place.path),
            headers: &headers,
            body: body.as_bytes(),
        };
        match (place.tls, &self.authority) {
            (false, _) => http::ask(&place.address, &request),
            (true, Some(authority)) => by_tls(&place.address, authority, &request),
            (true, None) => {
                Err("tests need to know who signs the cluster's certificate".to_owned())
            }
        }
    }

    /// As [`Access::ask`].
    ///
    /// *Errors* – a sentence with the answer too, if it is not success.
    pub(crate) fn must(&self, method: &str, path: &str, body: &str) -> Result<String, String> {
        let answer = self.ask(method, path, body)?;
        match answer.is_fine() {
            true => Ok(answer.text()),
            false => Err(format!(
                "{method} {path} was answered with {}: {}",
                answer.status,
                answer.text()
            )),
        }
    }
}

impl Indices {
    /// The name of an index.
    pub fn name(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    /// What the cluster answers; the path begins with a slash, a body is JSON or lines of it.
    ///
    /// # Panics
    /// With what it said, if that is not success.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let answer = self.access.must(method, path, body);
        answer.unwrap_or_else(|why| panic!("{why}"))
    }

    fn remove(&self) -> Result<(), String> {
        let path = format!(
            "/_cat/indices/{}*?h=index&expand_wildcards=all",
            self.prefix
        );
        let names = self.access.must("GET", &path, "")?;
        let names: Vec<&str> = names.split_whitespace().collect();
        // A path may have 4096 bytes.
        for names in names.chunks(20) {
            let path = format!("/{}?ignore_unavailable=true", names.join(","));
            self.access.must("DELETE", &path, "")?;
        }
        Ok(())
    }
}

impl Drop for Indices {
    fn drop(&mut self) {
        // A server that the test has stopped took its indices with it.
        let _ = self.remove();
    }
}

#[cfg(feature = "certificates")]
fn by_tls(address: &str, authority: &str, request: &Request<'_>) -> Result<Answer, String> {
    crate::certificates::ask(address, authority, request)
}

#[cfg(not(feature = "certificates"))]
fn by_tls(_: &str, _: &str, _: &Request<'_>) -> Result<Answer, String> {
    Err("this needs the feature `certificates` of dkhost-servers".to_owned())
}
