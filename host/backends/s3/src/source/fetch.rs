//! Many small objects, many of them asked for at once, given out in order.

use std::collections::VecDeque;
use std::iter::Peekable;

use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use bytes::Bytes;
use dkhost_core::{Error, Result};
use dkhost_file::identity::changed;
use tokio::task::JoinHandle;

use super::Listed;
use crate::client::Client;
use crate::fault::{cut, fault, is_absent, is_precondition};

/// Requests under way at once, for each partition; fewer where their answers are large.
const AT_ONCE: usize = 64;
const BYTES_AT_ONCE: u64 = 8 << 20;

/// An object as it was read.
pub(crate) struct Content {
    /// Its content.
    pub bytes: Bytes,
    /// What the server says instead of a hash.
    pub etag: String,
}

/// Reads the objects of a list.
pub(crate) struct Fetch {
    client: Client,
    listed: Peekable<Box<dyn Iterator<Item = Listed> + Send>>,
    flying: VecDeque<(Listed, JoinHandle<Result<Option<Content>>>)>,
    bytes: u64,
    /// Whether an object may have changed or gone since it was listed.
    may_change: bool,
}

impl Fetch {
    /// Those objects, in this order; nothing is asked for yet.
    pub(crate) fn of(
        client: &Client,
        listed: impl Iterator<Item = Listed> + Send + 'static,
        may_change: bool,
    ) -> Self {
        let listed: Box<dyn Iterator<Item = Listed> + Send> = Box::new(listed);
        Fetch {
            client: client.clone(),
            listed: listed.peekable(),
            flying: VecDeque::new(),
            bytes: 0,
            may_change,
        }
    }

    /// The next object of the list, as it was listed.
    pub(crate) fn peek(&mut self) -> Option<&Listed> {
        match self.flying.front() {
            Some((listed, _)) => Some(listed),
            None => self.listed.peek(),
        }
    }

    /// The next object; without content when it is gone and may be.
    ///
    /// *Errors* – `source::changed`; those of the server.
    pub(crate) fn next(&mut self) -> Result<Option<(Listed, Option<Bytes>)>> {
        let next = self.next_content()?;
        Ok(next.map(|(listed, content)| (listed, content.map(|content| content.bytes))))
    }

    /// As [`Fetch::next`], with the ETag of what was read.
    ///
    /// *Errors* – as [`Fetch::next`].
    pub(crate) fn next_content(&mut self) -> Result<Option<(Listed, Option<Content>)>> {
        self.fill();
        let Some((listed, task)) = self.flying.pop_front() else {
            return Ok(None);
        };
        self.bytes -= listed.size;
        let ended = self.client.wait(task);
        let body =
            ended.map_err(|cause| Error::bug("a request ended badly").caused_by(cause))??;
        self.fill();
        Ok(Some((listed, body)))
    }

    fn fill(&mut self) {
        while self.flying.len() < AT_ONCE && self.bytes <= BYTES_AT_ONCE {
            let Some(listed) = self.listed.next() else {
                return;
            };
            self.bytes += listed.size;
            let etag = (!self.may_change).then_some(listed.etag.as_str());
            let task = ask(&self.client, &listed.key, etag, None);
            self.flying.push_back((listed, task));
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.flying.iter().for_each(|(_, task)| task.abort());
    }
}

/// Asks for an object, or for the bytes of it from a place to before another; without an ETag
/// whichever object has the key, if any has.
///
/// *Errors* – `source::changed` when it is not the one with this ETag; those of the server.
pub(super) fn ask(
    client: &Client,
    key: &str,
    etag: Option<&str>,
    bytes: Option<(u64, u64)>,
) -> JoinHandle<Result<Option<Content>>> {
    let request = client
        .sdk()
        .get_object()
        .bucket(client.bucket())
        .key(key)
        .set_if_match(etag.map(str::to_owned))
        .set_range(bytes.map(range))
        .send();
    let (server, key, is_certain) = (client.server.clone(), key.to_owned(), etag.is_some());
    client.spawn(async move {
        let doing = || format!("read s3://{}/{key}", server.bucket);
        let answer = request.await;
        let answer = match answer.map_err(|cause| fault(&doing(), &server, cause)) {
            Ok(answer) => answer,
            Err(error) if is_absent(&error) && !is_certain => return Ok(None),
            Err(error) => return Err(as_changed(error, &key, is_certain)),
        };
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let length = answer.content_length().unwrap_or(0);
        let bytes = whole(answer.body, length).await;
        let bytes = bytes.map_err(|cause| cut(&doing(), &cause))?;
        Ok(Some(Content { bytes, etag }))
    })
}

/// The header `Range` for the bytes from a place to before another.
pub(super) fn range((from, to): (u64, u64)) -> String {
    format!("bytes={from}-{}", to.saturating_sub(1))
}

/// Whoever asks for a certain object is told that it is another now, or none.
pub(super) fn as_changed(error: Error, key: &str, is_certain: bool) -> Error {
    if is_precondition(&error) {
        changed(key, "it was written anew since")
    } else if is_certain && is_absent(&error) {
        changed(key, "it is not there any more")
    } else {
        error
    }
}

/// What is made room for before it has come, whatever a server says that will come.
const ROOM_MAX_BYTES: usize = 1 << 20;

/// A body in memory of its own: a piece of the connection's buffer would keep all of that, which is
/// many times as large as a small object.
async fn whole(mut body: ByteStream, length: i64) -> Result<Bytes, ByteStreamError> {
    let length = usize::try_from(length).unwrap_or(0);
    let mut bytes = Vec::with_capacity(length.min(ROOM_MAX_BYTES));
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes.into())
}
