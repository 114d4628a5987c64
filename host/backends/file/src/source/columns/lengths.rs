//! The lengths an Arrow file or stream declares, looked at before its reader makes room for them.
//!
//! An allocation that fails ends the process; no reader can take that back. So every message is
//! measured first: it lies within the file, and what it says it unpacks to is bounded.
//!
//! *Source* – Arrow columnar format, "Serialization and Interprocess Communication".

use arrow::ipc::{Block, Message, RecordBatch, root_as_footer, root_as_message};
use dkhost_core::{Error, Result};

use super::declared::corrupt;
use crate::handle::Handle;

/// A record batch is unpacked as a whole.
const UNPACKED_MAX_BYTES: u64 = 256 << 20;

/// Refuses a file whose messages are longer than it is, or unpack to more than is held at once.
/// What else is wrong with it is for its reader to say.
///
/// *Errors* – `file::corrupt`, `file::batch_too_large`.
pub fn verify(handle: &Handle, label: &str, is_file: bool) -> Result<()> {
    let io = |cause| Error::io("read", label, cause);
    let size = handle.size().map_err(io)?;
    let messages = Messages {
        handle,
        label,
        size,
    };
    if is_file {
        messages.of_file()
    } else {
        messages.of_stream()
    }
}

struct Messages<'a> {
    handle: &'a Handle,
    label: &'a str,
    size: u64,
}

impl Messages<'_> {
    fn of_file(&self) -> Result<()> {
        let mut tail = [0; 10];
        if self.size < 20
            || self
                .handle
                .read_exact_at(&mut tail, self.size - 10)
                .is_err()
        {
            return Ok(());
        }
        let length = i32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
        if tail[4..] != *b"ARROW1" {
            return Ok(());
        }
        let length = u64::try_from(length)
            .ok()
            .filter(|length| *length <= self.size - 10);
        let Some(length) = length else {
            return Err(corrupt(self.label, "its footer is longer than the file"));
        };
        let bytes = self.bytes(self.size - 10 - length, length)?;
        let Ok(footer) = root_as_footer(&bytes) else {
            return Ok(());
        };
        let blocks = [footer.dictionaries(), footer.recordBatches()];
        blocks
            .iter()
            .flatten()
            .flatten()
            .try_for_each(|block| self.block(block))
    }

    fn block(&self, block: &Block) -> Result<()> {
        let sizes = (
            u64::try_from(block.offset()),
            u64::try_from(block.metaDataLength()),
            u64::try_from(block.bodyLength()),
        );
        let (Ok(offset), Ok(metadata), Ok(body)) = sizes else {
            return Err(corrupt(self.label, "a block begins before the file"));
        };
        let end = offset
            .checked_add(metadata)
            .and_then(|at| at.checked_add(body));
        if end.is_none_or(|end| end > self.size) {
            let what = format!("the block at byte {offset} ends beyond the file");
            return Err(corrupt(self.label, &what));
        }
        let bytes = self.bytes(offset, metadata)?;
        let message = match bytes.as_slice() {
            [0xff, 0xff, 0xff, 0xff, _, _, _, _, message @ ..] => message,
            [_, _, _, _, message @ ..] => message,
            _ => return Ok(()),
        };
        match root_as_message(message) {
            Ok(message) => self.message(message, offset + metadata),
            Err(_) => Ok(()),
        }
    }

    fn of_stream(&self) -> Result<()> {
        let mut at = 0;
        while let Some((start, length)) = self.prefix(at) {
            if length > self.size - start {
                let what = format!("the message at byte {at} ends beyond the file");
                return Err(corrupt(self.label, &what));
            }
            let bytes = self.bytes(start, length)?;
            let Ok(message) = root_as_message(&bytes) else {
                return Ok(());
            };
            let body = start + length;
            let end = u64::try_from(message.bodyLength())
                .ok()
                .and_then(|length| body.checked_add(length));
            let Some(end) = end.filter(|end| *end <= self.size) else {
                let what = format!("the message at byte {at} ends beyond the file");
                return Err(corrupt(self.label, &what));
            };
            self.message(message, body)?;
            at = end;
        }
        Ok(())
    }

    /// Where the message behind a prefix begins, and its length; `None` where the stream ends.
    fn prefix(&self, at: u64) -> Option<(u64, u64)> {
        let mut word = [0; 4];
        self.handle.read_exact_at(&mut word, at).ok()?;
        let mut start = at + 4;
        if word == [0xff; 4] {
            self.handle.read_exact_at(&mut word, start).ok()?;
            start += 4;
        }
        let length = u64::try_from(i32::from_le_bytes(word)).ok()?;
        (length > 0).then_some((start, length))
    }

    fn message(&self, message: Message<'_>, body: u64) -> Result<()> {
        let dictionary = message.header_as_dictionary_batch();
        let batch = message
            .header_as_record_batch()
            .or_else(|| dictionary.and_then(|dictionary| dictionary.data()));
        let unpacked = batch.map_or(0, |batch| self.unpacked(batch, body));
        if unpacked <= UNPACKED_MAX_BYTES {
            return Ok(());
        }
        Err(Error::data(
            "file::batch_too_large",
            format!(
                "a record batch of `{}` (byte {body}) says it unpacks to {} MiB; at most {} are held at once",
                self.label,
                unpacked >> 20,
                UNPACKED_MAX_BYTES >> 20
            ),
        )
        .help("if the file is intact, write it again in smaller record batches"))
    }

    /// Bytes that the compressed buffers of a batch say they unpack to.
    fn unpacked(&self, batch: RecordBatch<'_>, body: u64) -> u64 {
        let (Some(_), Some(buffers)) = (batch.compression(), batch.buffers()) else {
            return 0;
        };
        let declared = |buffer: &arrow::ipc::Buffer| {
            let mut prefix = [0; 8];
            let at = body.checked_add(u64::try_from(buffer.offset()).ok()?)?;
            self.handle.read_exact_at(&mut prefix, at).ok()?;
            u64::try_from(i64::from_le_bytes(prefix)).ok()
        };
        buffers
            .iter()
            .filter(|buffer| buffer.length() >= 8)
            .filter_map(declared)
            .fold(0, u64::saturating_add)
    }

    fn bytes(&self, at: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.handle
            .read_exact_at(&mut bytes, at)
            .map_err(|cause| Error::io("read", self.label, cause))?;
        Ok(bytes)
    }
}
