//! The operations, over a map in memory.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use crate::http::MARK;
use crate::{Shared, State, Stored, Trouble, Upload};

/// Keys of a page.
const PAGE: usize = 1000;

/// What is stored, as `s3s` asks for it.
pub(crate) struct Objects(pub Shared);

/// An answer, and what goes wrong with it.
fn answered<T>(output: T, trouble: Option<Trouble>) -> S3Result<S3Response<T>> {
    let mut answer = S3Response::new(output);
    let mark = match trouble {
        Some(Trouble::LostReply) => "lost",
        Some(Trouble::CutBody) => "cut",
        Some(Trouble::ErrorInBody) => "error",
        _ => return Ok(answer),
    };
    answer.headers.insert(MARK, mark.parse().unwrap());
    Ok(answer)
}

impl Objects {
    /// What goes wrong with this request, and whether it is done all the same.
    fn met(&self, operation: &str, key: &str) -> S3Result<(Option<Trouble>, bool)> {
        match self.0.lock().trouble(operation, key) {
            Some(Trouble::SlowDown) => Err(s3_error!(SlowDown, "Please reduce your request rate.")),
            trouble @ Some(Trouble::ErrorInBody | Trouble::Lie) => Ok((trouble, false)),
            trouble => Ok((trouble, true)),
        }
    }
}

/// A key as a listing spells it out: characters that XML has not are none of these.
fn encoded(key: &str) -> String {
    let one = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    key.bytes().map(one).collect()
}

fn strong(etag: &str) -> Option<ETag> {
    Some(ETag::Strong(etag.to_owned()))
}

/// The content, if it fits its checksum.
async fn content(body: Option<StreamingBlob>, checksum: Option<&str>) -> S3Result<(Bytes, u32)> {
    let mut bytes = BytesMut::new();
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|_| s3_error!(IncompleteBody))?;
            bytes.extend_from_slice(&chunk);
        }
    }
    let sum = crc32fast::hash(&bytes);
    match checksum.is_none_or(|said| said == STANDARD.encode(sum.to_be_bytes())) {
        true => Ok((bytes.freeze(), sum)),
        false => Err(s3_error!(BadDigest)),
    }
}

impl State {
    fn check(
        &self,
        key: &str,
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<()> {
        if self.ignores_conditions {
            return Ok(());
        }
        let there = self.objects.get(key);
        let holds = |condition: &ETagCondition| match condition {
            ETagCondition::Any => there.is_some(),
            ETagCondition::ETag(etag) => there.is_some_and(|stored| stored.etag == etag.value()),
        };
        if if_match.is_some() && there.is_none() {
            return Err(s3_error!(NoSuchKey));
        }
        match if_match.is_none_or(holds) && !if_none_match.is_some_and(holds) {
            true => Ok(()),
            false => Err(s3_error!(PreconditionFailed)),
        }
    }

    fn found(&self, key: &str, if_match: Option<&ETagCondition>) -> S3Result<Stored> {
        let stored = self.objects.get(key).ok_or_else(|| s3_error!(NoSuchKey))?;
        self.check(key, if_match, None)?;
        Ok(stored.clone())
    }
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let (bytes, _) = content(input.body, input.checksum_crc32.as_deref()).await?;
        let (trouble, is_done) = self.met("PutObject", &input.key)?;
        let mut state = self.0.lock();
        state.check(
            &input.key,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
        )?;
        let etag = match is_done {
            true => state.store(&input.key, bytes, None),
            false => "0".repeat(32),
        };
        let output = PutObjectOutput {
            e_tag: strong(&etag),
            ..Default::default()
        };
        answered(output, trouble)
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let (trouble, _) = self.met("GetObject", &input.key)?;
        let stored = self.0.lock().found(&input.key, input.if_match.as_ref())?;
        let length = stored.bytes.len() as u64;
        let range = match &input.range {
            Some(range) => range.check(length).map_err(|_| s3_error!(InvalidRange))?,
            None => 0..length,
        };
        let content_range = input.range.is_some().then(|| {
            format!(
                "bytes {}-{}/{length}",
                range.start,
                range.end.saturating_sub(1)
            )
        });
        let bytes = stored.bytes.slice(range.start as usize..range.end as usize);
        let output = GetObjectOutput {
            content_length: Some(bytes.len() as i64),
            content_range,
            e_tag: strong(&stored.etag),
            body: Some(StreamingBlob::wrap(futures_util::stream::iter([Ok::<
                _,
                std::io::Error,
            >(
                bytes
            )]))),
            ..Default::default()
        };
        answered(output, trouble)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let (trouble, _) = self.met("HeadObject", &input.key)?;
        let stored = self.0.lock().found(&input.key, input.if_match.as_ref())?;
        let output = HeadObjectOutput {
            content_length: Some(stored.bytes.len() as i64),
            e_tag: strong(&stored.etag),
            checksum_crc32: stored.checksum.filter(|_| input.checksum_mode.is_some()),
            ..Default::default()
        };
        answered(output, trouble)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let (trouble, _) = self.met("ListObjectsV2", &prefix)?;
        let after = input
            .continuation_token
            .or(input.start_after)
            .unwrap_or_default();
        let state = self.0.lock();
        // What lies further down is listed as folders, on the first page with them.
        let folder = |key: &String| {
            let delimiter = input.delimiter.as_deref()?;
            let end = key[prefix.len()..].find(delimiter)? + prefix.len() + delimiter.len();
            Some(key[..end].to_owned())
        };
        let below = state.objects.keys().filter(|key| key.starts_with(&prefix));
        let folders: BTreeSet<String> = below.filter_map(folder).collect();
        let is_next =
            |key: &String| key.starts_with(&prefix) && *key > after && folder(key).is_none();
        let mut found = state.objects.iter().filter(|(key, _)| is_next(key));
        let mut keys = state.objects.keys().filter(|key| is_next(key)).cloned();
        let encoding = input.encoding_type;
        let common = folders.iter().map(|folder| CommonPrefix {
            prefix: Some(encoded(folder)),
        });
        let is_encoded = encoding.as_ref().is_some_and(|said| said.as_str() == "url");
        let page = input.max_keys.map_or(PAGE, |max| (max as usize).min(PAGE));
        let contents: Vec<Object> = found
            .by_ref()
            .take(page)
            .map(|(key, stored)| Object {
                key: Some(match is_encoded {
                    true => encoded(key),
                    false => key.clone(),
                }),
                size: Some(stored.bytes.len() as i64),
                e_tag: strong(&stored.etag),
                ..Default::default()
            })
            .collect();
        let is_truncated = found.next().is_some();
        let last = contents
            .len()
            .checked_sub(1)
            .and_then(|last| keys.nth(last));
        let output = ListObjectsV2Output {
            next_continuation_token: last.filter(|_| is_truncated),
            is_truncated: Some(is_truncated),
            key_count: Some(contents.len() as i32),
            contents: Some(contents),
            common_prefixes: Some(common.collect()),
            encoding_type: encoding,
            ..Default::default()
        };
        answered(output, trouble)
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let mut state = self.0.lock();
        for object in request.input.delete.objects {
            state.objects.remove(&object.key);
        }
        answered(DeleteObjectsOutput::default(), None)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let key = request.input.key;
        let (trouble, _) = self.met("CreateMultipartUpload", &key)?;
        let mut state = self.0.lock();
        state.next += 1;
        let id = format!("upload-{}", state.next);
        let upload = Upload {
            key,
            ..Upload::default()
        };
        state.uploads.insert(id.clone(), upload);
        let output = CreateMultipartUploadOutput {
            upload_id: Some(id),
            ..Default::default()
        };
        answered(output, trouble)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let (bytes, sum) = content(input.body, input.checksum_crc32.as_deref()).await?;
        let (trouble, _) = self.met("UploadPart", &input.key)?;
        let mut state = self.0.lock();
        let upload = state.uploads.get_mut(&input.upload_id);
        let upload = upload.ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.parts.insert(input.part_number, (bytes, sum));
        let output = UploadPartOutput {
            e_tag: strong(&format!("{sum:08x}")),
            checksum_crc32: Some(STANDARD.encode(sum.to_be_bytes())),
            ..Default::default()
        };
        answered(output, trouble)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let (trouble, is_done) = self.met("CompleteMultipartUpload", &input.key)?;
        let mut state = self.0.lock();
        let output = |etag: &str| CompleteMultipartUploadOutput {
            key: Some(input.key.clone()),
            e_tag: strong(etag),
            ..Default::default()
        };
        if !is_done {
            return answered(output("00"), trouble);
        }
        if !state.uploads.contains_key(&input.upload_id) {
            return Err(s3_error!(NoSuchUpload));
        }
        state.check(&input.key, None, input.if_none_match.as_ref())?;
        let upload = state.uploads.remove(&input.upload_id).unwrap_or_default();
        let wanted = input.multipart_upload.and_then(|wanted| wanted.parts);
        let (mut bytes, mut sums) = (BytesMut::new(), Vec::new());
        for part in wanted.iter().flatten() {
            let found = part
                .part_number
                .and_then(|number| upload.parts.get(&number));
            let (content, sum) = found.ok_or_else(|| s3_error!(InvalidPart))?;
            bytes.extend_from_slice(content);
            sums.extend(sum.to_be_bytes());
        }
        let count = sums.len() / 4;
        let whole = STANDARD.encode(crc32fast::hash(&sums).to_be_bytes());
        let parts = Some((count, format!("{whole}-{count}")));
        let etag = state.store(&input.key, bytes.freeze(), parts);
        answered(output(&etag), trouble)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        match self.0.lock().uploads.remove(&request.input.upload_id) {
            Some(_) => answered(AbortMultipartUploadOutput::default(), None),
            None => Err(s3_error!(NoSuchUpload)),
        }
    }

    async fn list_multipart_uploads(
        &self,
        _request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let state = self.0.lock();
        let uploads = state.uploads.iter().map(|(id, upload)| MultipartUpload {
            key: Some(upload.key.clone()),
            upload_id: Some(id.clone()),
            ..Default::default()
        });
        let output = ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            is_truncated: Some(false),
            ..Default::default()
        };
        answered(output, None)
    }
}
