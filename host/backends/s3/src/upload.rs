//! One object, sent while it grows: in several parts at once, or whole if it stays small.
//!
//! Every step can be repeated after an error: what was not acknowledged is kept and sent again, and
//! an end whose answer was lost is looked for. What the server says it has is believed only after a
//! look: some answer 200 to the end of an upload that they do not have.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use dkhost_core::{Error, Result, fail};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::fault::{fault, is_absent, is_precondition, is_upload_lost};
use crate::pieces::Pieces;
use crate::put::{self, If};

/// Parts under way at once.
const PARTS_AT_ONCE: usize = 2;

/// One object that is being sent.
pub(crate) struct Upload {
    client: Client,
    key: String,
    content_type: &'static str,
    condition: If,
    id: Option<String>,
    pieces: Pieces,
    length: u64,
    hash: xxhash_rust::xxh3::Xxh3,
    next: i32,
    waiting: VecDeque<(i32, Bytes)>,
    flying: VecDeque<(i32, Bytes, JoinHandle<Result<CompletedPart>>)>,
    sent: BTreeMap<i32, CompletedPart>,
    /// The end was asked for and its answer did not come.
    in_doubt: bool,
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Its length.
    pub bytes: u64,
    /// What the server says instead of a hash.
    pub etag: String,
}

impl Upload {
    /// An object that begins. Nothing is sent.
    pub(crate) fn begin(
        client: &Client,
        key: String,
        content_type: &'static str,
        condition: If,
    ) -> Self {
        Upload {
            client: client.clone(),
            key,
            content_type,
            condition,
            id: None,
            pieces: Pieces::default(),
            length: 0,
            hash: xxhash_rust::xxh3::Xxh3::new(),
            next: 1,
            waiting: VecDeque::new(),
            flying: VecDeque::new(),
            sent: BTreeMap::new(),
            in_doubt: false,
        }
    }

    /// Its key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Bytes taken so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Takes the bytes that follow; nothing is sent yet.
    pub(crate) fn push<'a>(&mut self, bytes: impl Into<Cow<'a, [u8]>>) {
        let bytes = bytes.into().into_owned();
        self.length += bytes.len() as u64;
        self.hash.update(&bytes);
        for part in self.pieces.push(bytes) {
            self.close_part(part);
        }
    }

    fn close_part(&mut self, part: Bytes) {
        self.waiting.push_back((self.next, part));
        self.next += 1;
    }

    /// Sends what fills a part.
    pub(crate) fn send(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            if self.flying.len() >= PARTS_AT_ONCE {
                self.land()?;
            }
            self.start()?;
        }
        Ok(())
    }

    /// Starts the next part that waits.
    fn start(&mut self) -> Result<()> {
        let id = self.id()?;
        let Some((number, bytes)) = self.waiting.pop_front() else {
            return Ok(());
        };
        let request = self
            .client
            .sdk()
            .upload_part()
            .bucket(self.client.bucket())
            .key(&self.key)
            .upload_id(id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(bytes.clone()))
            .send();
        let doing = format!("write part {number} of {}", self.client.place(&self.key));
        let server = self.client.server.clone();
        let task = self.client.spawn(async move {
            let answer = request
                .await
                .map_err(|cause| fault(&doing, &server, cause))?;
            Ok(CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag().map(str::to_owned))
                .set_checksum_crc32(answer.checksum_crc32().map(str::to_owned))
                .build())
        });
        self.flying.push_back((number, bytes, task));
        Ok(())
    }

    /// Waits for the part that was started first; one that failed waits again.
    fn land(&mut self) -> Result<()> {
        let Some((number, bytes, task)) = self.flying.pop_front() else {
            return Ok(());
        };
        let landed = self.client.wait(task);
        let landed = landed.unwrap_or_else(|cause| {
            Err(Error::bug("the sending of a part ended badly").caused_by(cause))
        });
        match landed {
            Ok(part) => {
                self.sent.insert(number, part);
                Ok(())
            }
            Err(error) => {
                self.waiting.push_front((number, bytes));
                Err(error)
            }
        }
    }

    fn id(&mut self) -> Result<String> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let request = self
            .client
            .sdk()
            .create_multipart_upload()
            .bucket(self.client.bucket())
            .key(&self.key)
            .content_type(self.content_type)
            .checksum_algorithm(ChecksumAlgorithm::Crc32);
        let doing = || format!("begin to write {}", self.client.place(&self.key));
        let answer = self.client.ask(doing, request.send())?;
        let id = answer.upload_id().map(str::to_owned).ok_or_else(|| {
            Error::infrastructure(
                "s3::bad_answer",
                format!("cannot {}: the server names no upload", doing()),
            )
        })?;
        Ok(self.id.insert(id).clone())
    }

    /// Ends the object: sends the rest, and looks that it is there.
    ///
    /// *Errors* – `s3::other_content` when somebody else's object has this key.
    pub(crate) fn finish(&mut self) -> Result<Sent> {
        if self.id.is_none() && self.waiting.is_empty() {
            return self.put_whole();
        }
        if let Some(part) = self.pieces.last() {
            self.close_part(part);
        }
        self.send()?;
        while !self.flying.is_empty() {
            self.land()?;
        }
        fail::point("s3.upload.parts")?;
        self.complete()
    }

    fn put_whole(&mut self) -> Result<Sent> {
        let bytes = Bytes::copy_from_slice(self.pieces.open());
        let put = put::put(
            &self.client,
            &self.key,
            bytes,
            self.content_type,
            &self.condition,
        );
        match put {
            Ok(etag) => Ok(Sent {
                bytes: self.length,
                etag,
            }),
            Err(error) if is_precondition(&error) => self.find_same(error),
            Err(error) => Err(error),
        }
    }

    fn complete(&mut self) -> Result<Sent> {
        let id = self.id()?;
        let parts = self.sent.values().cloned().collect();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let request = self
            .client
            .sdk()
            .complete_multipart_upload()
            .bucket(self.client.bucket())
            .key(&self.key)
            .upload_id(id)
            .multipart_upload(parts.build())
            .set_if_none_match(self.condition.none_match());
        let doing = || format!("finish {}", self.client.place(&self.key));
        let answered = self.client.ask(doing, request.send());
        fail::point("s3.upload.completed")?;
        match answered {
            Ok(answer) => self.look(answer.e_tag()),
            Err(error) if is_precondition(&error) => self.find_same(error),
            // An end whose answer was lost is no upload any more; the object tells.
            Err(error) if is_upload_lost(&error) && self.in_doubt => self.find_same(error),
            Err(error) => {
                self.in_doubt = true;
                Err(error)
            }
        }
    }

    /// Whether what the server says it has is what was sent.
    fn look(&self, etag: Option<&str>) -> Result<Sent> {
        let request = self.client.sdk().head_object();
        let request = request
            .bucket(self.client.bucket())
            .key(&self.key)
            .checksum_mode(ChecksumMode::Enabled);
        let doing = || format!("look at {}", self.client.place(&self.key));
        let found = match self.client.ask(doing, request.send()) {
            Err(error) if is_absent(&error) => return Err(self.not_written("nothing")),
            other => other?,
        };
        let length = u64::try_from(found.content_length().unwrap_or(-1)).ok();
        let expected = self.checksum();
        let other_sum = match (found.checksum_crc32(), &expected) {
            // Without the number of parts behind it, it is a sum of the whole, not of the parts.
            (Some(found), Some(expected)) if found.contains('-') => found != expected,
            _ => false,
        };
        let other_etag = etag.is_some_and(|etag| found.e_tag().is_some_and(|found| found != etag));
        if length != Some(self.length) || other_sum || other_etag {
            return Err(self.not_written("something else"));
        }
        Ok(Sent {
            bytes: self.length,
            etag: found.e_tag().unwrap_or_default().to_owned(),
        })
    }

    fn not_written(&self, what: &str) -> Error {
        let place = self.client.place(&self.key);
        Error::infrastructure(
            "s3::not_written",
            format!("the server says it has written {place}, and has {what}"),
        )
        .help("run the same command again: it goes on where it stopped")
    }

    /// The sum over the parts' sums, as the server forms it: `base64-N`.
    ///
    /// *Source* – S3 user guide, "Checking object integrity", composite checksums.
    fn checksum(&self) -> Option<String> {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let mut sums = Vec::new();
        for part in self.sent.values() {
            sums.extend(STANDARD.decode(part.checksum_crc32()?).ok()?);
        }
        let sum = crc32(&sums).to_be_bytes();
        Some(format!("{}-{}", STANDARD.encode(sum), self.sent.len()))
    }

    /// An object of this key is there already: ours, from before an answer was lost, if it has the
    /// same content.
    fn find_same(&self, error: Error) -> Result<Sent> {
        let other = || {
            Error::infrastructure(
                "s3::other_content",
                format!(
                    "{} is there already, with another content",
                    self.client.place(&self.key)
                ),
            )
            .help("nothing was overwritten; does another job write to this prefix?")
        };
        let Some((length, etag)) = put::head(&self.client, &self.key)? else {
            return Err(error);
        };
        if length != self.length {
            return Err(other());
        }
        let mut body = crate::source::get(&self.client, &self.key, Some(&etag), None)?;
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match std::io::Read::read(&mut body, &mut buffer) {
                Ok(0) => break,
                Ok(bytes) => hash.update(&buffer[..bytes]),
                Err(cause) => {
                    let io = |cause| Error::io("read", &self.key, cause);
                    return Err(cause.downcast::<Error>().unwrap_or_else(io));
                }
            }
        }
        match hash.digest128() == self.hash.digest128() {
            true => Ok(Sent {
                bytes: length,
                etag,
            }),
            false => Err(other()),
        }
    }

    /// Gives the object up: what was sent of it is dropped, as far as the server can be reached.
    pub(crate) fn abort(&mut self) {
        self.flying.drain(..).for_each(|(.., task)| task.abort());
        if let Some(id) = self.id.take() {
            let request = self.client.sdk().abort_multipart_upload();
            let request = request
                .bucket(self.client.bucket())
                .key(&self.key)
                .upload_id(id);
            // Whatever is left is swept at the end of the run.
            let _ = self.client.wait(request.send());
        }
    }
}

/// CRC-32 of a few bytes (ISO 3309, as in gzip).
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            let low = sum & 1;
            sum = (sum >> 1) ^ (0xedb8_8320 & low.wrapping_neg());
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_gzip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
