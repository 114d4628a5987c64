//! Small objects, written and read whole, under conditions.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;
use dkhost_core::{Error, Result};

use crate::client::Client;
use crate::fault::{cut, is_absent, refusal};

/// Under which condition an object is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum If {
    /// None.
    Any,
    /// There is no object of this key.
    Absent,
    /// The object of this key has this ETag.
    Match(String),
}

impl If {
    /// The header `If-None-Match`.
    pub(crate) fn none_match(&self) -> Option<String> {
        (*self == If::Absent).then(|| "*".to_owned())
    }

    /// The header `If-Match`.
    pub(crate) fn matches(&self) -> Option<String> {
        match self {
            If::Match(etag) => Some(etag.clone()),
            _ => None,
        }
    }
}

/// An object as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Its content.
    pub bytes: Bytes,
    /// What the server says instead of a hash.
    pub etag: String,
}

/// Writes an object; its ETag.
///
/// *Errors* – `s3::precondition` ([`crate::fault::is_precondition`]) when the condition does not hold.
pub(crate) fn put(
    client: &Client,
    key: &str,
    bytes: Bytes,
    content_type: &str,
    condition: &If,
) -> Result<String> {
    let doing = || format!("write {}", client.place(key));
    client
        .ask(doing, request(client, key, bytes, content_type, condition))
        .map(|answer| answer.e_tag().unwrap_or_default().to_owned())
}

/// The request of [`put`], to be sent by whoever has many.
pub(crate) fn request(
    client: &Client,
    key: &str,
    bytes: Bytes,
    content_type: &str,
    condition: &If,
) -> impl Future<
    Output = Result<
        aws_sdk_s3::operation::put_object::PutObjectOutput,
        aws_sdk_s3::error::SdkError<
            aws_sdk_s3::operation::put_object::PutObjectError,
            aws_smithy_runtime_api::client::orchestrator::HttpResponse,
        >,
    >,
> + Send
+ 'static {
    client
        .sdk()
        .put_object()
        .bucket(client.bucket())
        .key(key)
        .content_type(content_type)
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .set_if_none_match(condition.none_match())
        .set_if_match(condition.matches())
        .body(ByteStream::from(bytes))
        .send()
}

/// An object, if there is one.
pub(crate) fn get(client: &Client, key: &str) -> Result<Option<Read>> {
    let request = client.sdk().get_object().bucket(client.bucket()).key(key);
    let doing = || format!("read {}", client.place(key));
    let answer = match client.ask(doing, request.send()) {
        Err(error) if is_absent(&error) => return Ok(None),
        other => other?,
    };
    let etag = answer.e_tag().unwrap_or_default().to_owned();
    let body = client.wait(answer.body.collect());
    let body = body.map_err(|cause| cut(&doing(), &cause))?;
    Ok(Some(Read {
        bytes: body.into_bytes(),
        etag,
    }))
}

/// Length and ETag of an object, if there is one.
pub(crate) fn head(client: &Client, key: &str) -> Result<Option<(u64, String)>> {
    let request = client.sdk().head_object().bucket(client.bucket()).key(key);
    match client.ask(|| format!("look at {}", client.place(key)), request.send()) {
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
        Ok(found) => Ok(Some((
            u64::try_from(found.content_length().unwrap_or(0)).unwrap_or(0),
            found.e_tag().unwrap_or_default().to_owned(),
        ))),
    }
}

/// Keys a server takes out at once.
const DELETED_AT_ONCE: usize = 1000;

/// Removes objects; those that are not there are no error.
pub(crate) fn delete(client: &Client, keys: &[String]) -> Result<()> {
    use aws_sdk_s3::types::{Delete, ObjectIdentifier};
    for keys in keys.chunks(DELETED_AT_ONCE) {
        let wrong = |cause: aws_sdk_s3::error::BuildError| {
            Error::bug("a request to delete could not be built").caused_by(cause)
        };
        let mut all = Delete::builder().quiet(true);
        for key in keys {
            all = all.objects(
                ObjectIdentifier::builder()
                    .key(key)
                    .build()
                    .map_err(wrong)?,
            );
        }
        let request = client.sdk().delete_objects().bucket(client.bucket());
        let request = request.delete(all.build().map_err(wrong)?);
        let doing = || format!("remove {} objects from {}", keys.len(), client.bucket());
        let answer = client.ask(doing, request.send())?;
        let kept = answer.errors().iter();
        let mut kept = kept.filter(|kept| kept.code() != Some("NoSuchKey"));
        if let Some(kept) = kept.next() {
            let place = client.place(kept.key().unwrap_or_default());
            let why = kept.message().or(kept.code()).unwrap_or("no reason given");
            return Err(Error::infrastructure(
                "s3::not_removed",
                format!("cannot remove {place}: {why}"),
            )
            .help("s3:DeleteObject on the prefix is needed"));
        }
    }
    Ok(())
}

/// Whether the server does not know what it was asked for.
pub(crate) fn is_not_implemented(error: &Error) -> bool {
    refusal(error).is_some_and(|said| said.status == 501 || said.code == "NotImplemented")
}
