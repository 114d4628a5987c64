//! Which objects there are: all pages of a listing, keys exactly as they are.

use aws_sdk_s3::types::EncodingType;
use dkhost_core::{Error, Result};

use crate::client::Client;

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

/// The objects whose keys begin with a prefix, in the order of their keys' bytes.
///
/// *Errors* – `s3::no_bucket`, `s3::denied` and the like; `s3::bad_listing` for an answer that
/// would leave out objects.
pub(crate) fn under(client: &Client, prefix: &str) -> Result<Vec<Listed>> {
    let mut all = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let request = client
            .sdk()
            .list_objects_v2()
            .bucket(client.bucket())
            .prefix(prefix)
            // A key may have characters that XML has not.
            .encoding_type(EncodingType::Url)
            .set_continuation_token(token.clone());
        let page = client.ask(|| format!("list {}", client.place(prefix)), request.send())?;
        let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
        for object in page.contents() {
            let key = object.key().unwrap_or_default();
            let key = match is_encoded {
                true => decoded(key).ok_or_else(|| bad(client, prefix, "a key is not UTF-8"))?,
                false => key.to_owned(),
            };
            all.push(Listed {
                key,
                size: u64::try_from(object.size().unwrap_or(0)).unwrap_or(0),
                etag: object.e_tag().unwrap_or_default().to_owned(),
            });
        }
        if page.is_truncated() != Some(true) {
            break;
        }
        let next = page.next_continuation_token().map(str::to_owned);
        if next.is_none() || next == token {
            return Err(bad(client, prefix, "a page names no page after it"));
        }
        token = next;
    }
    all.sort_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
    Ok(all)
}

fn bad(client: &Client, prefix: &str, why: &str) -> Error {
    let place = client.place(prefix);
    Error::infrastructure("s3::bad_listing", format!("cannot list {place}: {why}"))
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
