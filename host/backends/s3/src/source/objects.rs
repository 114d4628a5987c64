//! The bytes of objects, for the readers of the backend `file`.
//!
//! Every request carries `If-Match`: what is read together is of one object, however often it was
//! written meanwhile.

use std::fmt;
use std::io::{self, Read};

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf, Bytes};
use dkhost_core::{Error, Result};
use dkhost_file::identity::{Identity, Mark, changed};
use dkhost_file::store::Store;

use super::ahead::Ahead;
use super::fetch::{as_changed, range};
use crate::client::Client;
use crate::fault::{cut, is_absent};

/// The objects of a bucket.
pub(crate) struct Objects {
    client: Client,
    ahead: Ahead,
}

impl Objects {
    /// Those of a client's bucket.
    pub(crate) fn new(client: Client) -> Self {
        Objects {
            client,
            ahead: Ahead::default(),
        }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "objects of {}", self.client.bucket())
    }
}

impl Store for Objects {
    fn look(&self, label: &str) -> Result<Identity> {
        let request = self.client.sdk().head_object();
        let request = request.bucket(self.client.bucket()).key(label);
        let doing = || format!("look at {}", self.client.place(label));
        let found = self.client.ask(doing, request.send());
        let found = found.map_err(|error| match is_absent(&error) {
            true => changed(label, "it is not there any more"),
            false => error,
        })?;
        Ok(Identity {
            file: label.to_owned(),
            size: u64::try_from(found.content_length().unwrap_or(0)).unwrap_or(0),
            mark: Mark::Elsewhere {
                etag: found.e_tag().unwrap_or_default().to_owned(),
                version: None,
            },
        })
    }

    fn read(&self, file: &Identity, from: u64, to: u64) -> Result<Box<dyn Read + Send>> {
        let etag = match &file.mark {
            Mark::Elsewhere { etag, .. } => etag.as_str(),
            Mark::Disk(_) => return Err(Error::bug("an object has the mark of a file on disk")),
        };
        if let Some(bytes) = self.ahead.take(&self.client, file, from, to)? {
            return Ok(Box::new(bytes.reader()));
        }
        let body = get(&self.client, &file.file, Some(etag), Some((from, to)))?;
        Ok(Box::new(body))
    }

    fn expect(&self, soon: &[(&Identity, u64, u64)]) {
        self.ahead.ask(&self.client, soon);
    }
}

/// Asks for an object, or the bytes of it from a place to before another.
///
/// *Errors* – `source::changed` when it is not the one with this ETag.
pub(crate) fn get(
    client: &Client,
    key: &str,
    etag: Option<&str>,
    bytes: Option<(u64, u64)>,
) -> Result<Body> {
    let request = client.sdk().get_object().bucket(client.bucket()).key(key);
    let request = request
        .set_if_match(etag.map(str::to_owned))
        .set_range(bytes.map(range));
    let doing = || format!("read {}", client.place(key));
    let answer = client.ask(doing, request.send());
    let answer = answer.map_err(|error| as_changed(error, key, etag.is_some()))?;
    Ok(Body {
        stream: answer.body,
        chunk: Bytes::new(),
        client: client.clone(),
        key: key.to_owned(),
    })
}

/// The bytes of an answer.
pub(crate) struct Body {
    stream: ByteStream,
    chunk: Bytes,
    client: Client,
    key: String,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.client.wait(self.stream.next()) {
                None => return Ok(0),
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(cause)) => {
                    let doing = format!("read {} to its end", self.client.place(&self.key));
                    return Err(io::Error::other(cut(&doing, &cause)));
                }
            }
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
