//! Which objects there are: all pages of a listing, keys exactly as they are.

use std::collections::VecDeque;
use std::sync::Arc;

use aws_sdk_s3::Client as Sdk;
use aws_sdk_s3::types::{EncodingType, Object};
use dkhost_core::{Error, Result};

use crate::client::Client;
use crate::fault::fault;
use crate::server::Server;

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The whole key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// What the server says instead of a hash, quotes included.
    pub etag: String,
}

/// Folders of a prefix that are listed each on its own, at most.
const FOLDERS_MAX: usize = 256;

/// How many of them are listed at once.
const LISTED_AT_ONCE: usize = 8;

/// How far down folders are looked for where there is one in the other.
const DEPTH_MAX: usize = 8;

/// The objects whose keys begin with a prefix, in the order of their keys' bytes; where they lie in
/// several folders and are more than a page, several of those are listed at once.
///
/// *Errors* – `s3::no_bucket`, `s3::denied` and the like; `s3::bad_listing` for an answer that
/// would leave out objects.
pub(crate) fn under(client: &Client, prefix: &str) -> Result<Vec<Listed>> {
    let lister = Lister {
        sdk: client.sdk().clone(),
        server: client.server.clone(),
    };
    let first = client.wait(lister.page(prefix, None, None))?;
    let mut all = match &first.next {
        None => first.objects,
        Some(_) => match client.wait(lister.folders(prefix))? {
            None => client.wait(lister.rest(prefix.to_owned(), first))?,
            Some(page) => in_folders(client, &lister, page)?,
        },
    };
    all.sort_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
    Ok(all)
}

fn in_folders(client: &Client, lister: &Lister, page: Page) -> Result<Vec<Listed>> {
    let mut all = page.objects;
    let mut folders = page.folders.into_iter();
    let mut flying = VecDeque::new();
    loop {
        let room = LISTED_AT_ONCE - flying.len();
        for folder in folders.by_ref().take(room) {
            let lister = lister.clone();
            flying.push_back(client.spawn(async move {
                let first = lister.page(&folder, None, None).await?;
                lister.rest(folder, first).await
            }));
        }
        let Some(task) = flying.pop_front() else {
            return Ok(all);
        };
        let listed = client.wait(task);
        all.extend(listed.map_err(|cause| Error::bug("a listing ended badly").caused_by(cause))??);
    }
}

/// A page of a listing.
struct Page {
    objects: Vec<Listed>,
    /// What keys begin with that have a slash further on, where they are listed by folder.
    folders: Vec<String>,
    /// What the page after it is asked for with.
    next: Option<String>,
}

/// Lists a bucket. It holds no runtime, and so may be taken along into one.
#[derive(Clone)]
struct Lister {
    sdk: Sdk,
    server: Arc<Server>,
}

impl Lister {
    async fn page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        token: Option<String>,
    ) -> Result<Page> {
        let request = self
            .sdk
            .list_objects_v2()
            .bucket(&self.server.bucket)
            .prefix(prefix)
            // A key may have characters that XML has not.
            .encoding_type(EncodingType::Url)
            .set_delimiter(delimiter.map(str::to_owned))
            .set_continuation_token(token.clone());
        let place = || format!("list s3://{}/{prefix}", self.server.bucket);
        let page = request.send().await;
        let page = page.map_err(|cause| fault(&place(), &self.server, cause))?;
        let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
        let plain = |key: Option<&str>| match is_encoded {
            true => {
                decoded(key.unwrap_or_default()).ok_or_else(|| bad(&place(), "a key is not UTF-8"))
            }
            false => Ok(key.unwrap_or_default().to_owned()),
        };
        let object = |object: &Object| {
            Ok(Listed {
                key: plain(object.key())?,
                size: u64::try_from(object.size().unwrap_or(0)).unwrap_or(0),
                etag: object.e_tag().unwrap_or_default().to_owned(),
            })
        };
        let next = match page.is_truncated() {
            Some(true) => page.next_continuation_token().map(str::to_owned),
            _ => None,
        };
        if page.is_truncated() == Some(true) && (next.is_none() || next == token) {
            return Err(bad(&place(), "a page names no page after it"));
        }
        let folders = page.common_prefixes().iter();
        Ok(Page {
            objects: page.contents().iter().map(object).collect::<Result<_>>()?,
            folders: folders
                .map(|folder| plain(folder.prefix()))
                .collect::<Result<_>>()?,
            next,
        })
    }

    /// All objects from a page on.
    async fn rest(&self, prefix: String, mut page: Page) -> Result<Vec<Listed>> {
        let mut all = page.objects;
        while let Some(next) = page.next {
            page = self.page(&prefix, None, Some(next)).await?;
            all.append(&mut page.objects);
        }
        Ok(all)
    }

    /// The folders a prefix falls into, and what lies beside them, if that is worth the while.
    async fn folders(&self, prefix: &str) -> Result<Option<Page>> {
        let mut prefix = prefix.to_owned();
        for _ in 0..DEPTH_MAX {
            let mut page = self.page(&prefix, Some("/"), None).await?;
            if page.next.is_some() || page.folders.len() > FOLDERS_MAX {
                return Ok(None);
            }
            match (page.folders.len(), page.objects.is_empty()) {
                (1, true) => prefix = page.folders.remove(0),
                (0 | 1, _) => return Ok(None),
                _ => return Ok(Some(page)),
            }
        }
        Ok(None)
    }
}

fn bad(doing: &str, why: &str) -> Error {
    Error::infrastructure("s3::bad_listing", format!("cannot {doing}: {why}"))
        .help("is `endpoint` an S3 server?")
}

/// `a+b%2Bc` is `a b+c`.
///
/// *Source* – S3 API reference, ListObjectsV2, `encoding-type`.
fn decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (byte, taken) = match bytes[at] {
            b'+' => (b' ', 1),
            b'%' => (hex(bytes.get(at + 1..at + 3)?)?, 3),
            byte => (byte, 1),
        };
        out.push(byte);
        at += taken;
    }
    String::from_utf8(out).ok()
}

fn hex(two: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(two[0])? * 16 + digit(two[1])?).ok()
}

/// Whether readers pass over an object: a folder's marker, or a name below the prefix that begins
/// with a dot or an underscore, as manifests, markers and unfinished files do by convention.
pub(crate) fn is_hidden(key: &str, prefix: &str) -> bool {
    if key.ends_with('/') {
        return true;
    }
    // What the job spells out is not hidden.
    let folder = prefix.rfind('/').map_or(0, |slash| slash + 1);
    let below = key.get(folder..).unwrap_or(key);
    let spelled = prefix.get(folder..).unwrap_or("");
    below
        .split('/')
        .enumerate()
        .filter(|(_, name)| !matches!(*name, "." | ".."))
        .any(|(depth, name)| name.starts_with(['.', '_']) && (depth > 0 || spelled.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_of_a_listing_as_they_are() {
        for (encoded, key) in [
            ("a+b%2Bc", "a b+c"),
            ("100%25", "100%"),
            ("%C3%BC/%01", "ü/\u{1}"),
            ("plain/key", "plain/key"),
            ("%2Fleading", "/leading"),
        ] {
            assert_eq!(decoded(encoded).as_deref(), Some(key));
        }
        for wrong in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_begins_with_a_dot_or_an_underscore_is_passed_over_unless_it_is_spelled_out() {
        let hidden = |key: &str| is_hidden(key, "out/");
        assert!(hidden("out/.dkhost/state"));
        assert!(hidden("out/_LATEST"));
        assert!(hidden("out/run/_manifest.json"));
        assert!(hidden("out/folder/"));
        assert!(!hidden("out/run/part.jsonl"));
        // Names like any other, here.
        assert!(!hidden("out/../a.jsonl") && !hidden("out/./a.jsonl"));
        assert!(!is_hidden("_old/a.jsonl", "_old/"));
        assert!(!is_hidden("_old.jsonl", "_old"));
        assert!(is_hidden("_old.jsonl", ""));
    }
}
