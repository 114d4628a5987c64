//! The sizes a Parquet file declares, looked at before its reader makes room for them.
//!
//! An allocation that fails ends the process; no reader can take that back. So the lists of the
//! footer and the pages of a row group are measured first: nothing is larger than the bytes it comes
//! from can hold, and no page is larger than [`PAGE_MAX_BYTES`].
//!
//! *Source* – Thrift compact protocol specification; parquet.thrift (`FileMetaData`, `PageHeader`).

use dkhost_core::{Error, Result};
use parquet::arrow::ProjectionMask;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use crate::handle::Handle;

/// A page is decoded as a whole; writers cut them at about 1 MiB.
const PAGE_MAX_BYTES: u64 = 128 << 20;

/// Bytes of a page's header that are read first, and at most: it may carry two values.
const HEADER_BYTES: u64 = 4 << 10;
const HEADER_MAX_BYTES: u64 = 64 << 20;

/// How deep the structures of a footer are nested at most; the format's own need eight.
const DEPTH_MAX: u32 = 64;

/// Refuses a footer that declares more than it holds. What else is wrong with it is for its reader
/// to say.
pub fn footer(handle: &Handle, label: &str) -> Result<()> {
    let io = |cause| Error::io("read", label, cause);
    let size = handle.size().map_err(io)?;
    let mut tail = [0; 8];
    if size < 12 || handle.read_exact_at(&mut tail, size - 8).is_err() || tail[4..] != *b"PAR1" {
        return Ok(());
    }
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if length > size - 12 {
        return Err(corrupt(
            label,
            &format!("its footer of {length} bytes is longer than the file"),
        ));
    }
    let mut bytes = vec![0; length as usize];
    handle
        .read_exact_at(&mut bytes, size - 8 - length)
        .map_err(io)?;
    match Thrift::new(&bytes).structure(0, &mut |_, _| ()) {
        Some(()) => Ok(()),
        None => Err(corrupt(label, "its footer declares more than it holds")),
    }
}

/// Refuses the pages of a row group that declare more than they can hold, or more than is decoded
/// at once.
///
/// *Errors* – `file::corrupt`, `file::page_too_large`.
pub fn pages(
    handle: &Handle,
    label: &str,
    group: &RowGroupMetaData,
    mask: &ProjectionMask,
) -> Result<()> {
    let read = |(leaf, _): &(usize, &ColumnChunkMetaData)| mask.leaf_included(*leaf);
    for (_, chunk) in group.columns().iter().enumerate().filter(read) {
        let start = chunk
            .dictionary_page_offset()
            .unwrap_or(chunk.data_page_offset());
        let (start, length) = (
            u64::try_from(start).ok(),
            u64::try_from(chunk.compressed_size()).ok(),
        );
        let (Some(start), Some(length)) = (start, length) else {
            return Err(corrupt(label, "a column chunk begins before the file"));
        };
        walk(handle, label, start, length)?;
    }
    Ok(())
}

fn walk(handle: &Handle, label: &str, start: u64, length: u64) -> Result<()> {
    let mut at = start;
    let end = start.saturating_add(length);
    while at < end {
        let page = header(handle, label, at, end - at)?;
        let Some(page) = page else {
            return Err(corrupt(
                label,
                &format!("the page at byte {at} has no header"),
            ));
        };
        if page.uncompressed > PAGE_MAX_BYTES {
            return Err(Error::data(
                "file::page_too_large",
                format!(
                    "the page at byte {at} of `{label}` says it is {} MiB; at most {} are decoded at once",
                    page.uncompressed >> 20,
                    PAGE_MAX_BYTES >> 20
                ),
            )
            .help("if the file is intact, write it again with smaller pages or row groups"));
        }
        let next = at + page.header + page.compressed;
        if next > end || page.entries > page.uncompressed {
            return Err(corrupt(
                label,
                &format!("the page at byte {at} declares more than it holds"),
            ));
        }
        at = next;
    }
    Ok(())
}

/// What a page's header says; sizes in bytes.
#[derive(Default)]
struct Page {
    header: u64,
    compressed: u64,
    uncompressed: u64,
    /// Entries of a dictionary.
    entries: u64,
}

fn header(handle: &Handle, label: &str, at: u64, left: u64) -> Result<Option<Page>> {
    let mut wanted = HEADER_BYTES.min(left);
    loop {
        let mut bytes = vec![0; wanted as usize];
        if handle.read_exact_at(&mut bytes, at).is_err() {
            return Err(corrupt(
                label,
                &format!("a page at byte {at} lies beyond its end"),
            ));
        }
        if let Some(page) = Page::read(&bytes) {
            return Ok(Some(page));
        }
        if wanted == left || wanted >= HEADER_MAX_BYTES {
            return Ok(None);
        }
        wanted = (wanted * 16).min(left).min(HEADER_MAX_BYTES);
    }
}

impl Page {
    fn read(bytes: &[u8]) -> Option<Page> {
        let mut page = Page::default();
        let mut is_sound = true;
        let mut thrift = Thrift::new(bytes);
        thrift.structure(0, &mut |path, number| {
            let size = u64::try_from(number).ok();
            is_sound &= size.is_some() || !matches!(path, [2 | 3] | [7, 1]);
            match path {
                [2] => page.uncompressed = size.unwrap_or(0),
                [3] => page.compressed = size.unwrap_or(0),
                [7, 1] => page.entries = size.unwrap_or(0),
                _ => (),
            }
        })?;
        page.header = thrift.at as u64;
        is_sound.then_some(page)
    }
}

/// Walks over Thrift's compact protocol. `None` where the bytes end, or a length is beyond them.
struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Numbers of the fields around what is read.
    path: Vec<i64>,
}

impl<'a> Thrift<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Thrift {
            bytes,
            at: 0,
            path: Vec::new(),
        }
    }

    /// Walks over a structure; `number` is told each integer in it and the fields that lead there.
    fn structure(&mut self, depth: u32, number: &mut impl FnMut(&[i64], i64)) -> Option<()> {
        let mut field = 0i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            field = match head >> 4 {
                0 => self.integer()?,
                delta => field.checked_add(i64::from(delta))?,
            };
            self.path.push(field);
            // A boolean field is its type.
            if !matches!(head & 15, 1 | 2) {
                self.value(head & 15, depth, number)?;
            }
            self.path.pop();
        }
    }

    fn value(&mut self, kind: u8, depth: u32, number: &mut impl FnMut(&[i64], i64)) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match kind {
            1..=3 => self.skip(1),
            4..=6 => {
                let value = self.integer()?;
                number(&self.path, value);
                Some(())
            }
            7 => self.skip(8),
            8 => {
                let length = self.unsigned()?;
                self.skip(usize::try_from(length).ok()?)
            }
            9 | 10 => self.list(depth, number),
            12 => self.structure(depth + 1, number),
            13 => self.skip(16),
            _ => None,
        }
    }

    fn list(&mut self, depth: u32, number: &mut impl FnMut(&[i64], i64)) -> Option<()> {
        let head = self.byte()?;
        let length = match head >> 4 {
            15 => self.unsigned()?,
            length => u64::from(length),
        };
        // Each item takes a byte at least.
        if length > (self.bytes.len() - self.at) as u64 {
            return None;
        }
        (0..length).try_for_each(|_| self.value(head & 15, depth + 1, number))
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.at = self.at.checked_add(length)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }

    fn integer(&mut self) -> Option<i64> {
        let zigzag = self.unsigned()?;
        Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }
}

/// The error for a file whose bytes contradict each other.
pub fn corrupt(label: &str, what: &str) -> Error {
    Error::data("file::corrupt", format!("`{label}` is not intact: {what}"))
        .help("was the file written completely? nothing after this place was read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_longer_than_its_bytes_is_no_structure() {
        // Field 1: a list of three i32; then the same with two billion of them.
        let sound = [0x19, 0x35, 2, 4, 6, 0];
        assert!(Thrift::new(&sound).structure(0, &mut |_, _| ()).is_some());
        let lying = [0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 7, 2, 4, 6, 0];
        assert!(Thrift::new(&lying).structure(0, &mut |_, _| ()).is_none());
        let nested = [0x1c; 200];
        assert!(Thrift::new(&nested).structure(0, &mut |_, _| ()).is_none());
    }

    #[test]
    fn a_page_header_gives_its_sizes() {
        // type 0, 300 bytes, 20 of them compressed, a dictionary of 7.
        let bytes = [0x15, 0, 0x15, 0xd8, 4, 0x15, 40, 0x4c, 0x15, 14, 0, 0, 99];
        let page = Page::read(&bytes).unwrap();
        let sizes = (
            page.header,
            page.uncompressed,
            page.compressed,
            page.entries,
        );
        assert_eq!(sizes, (12, 300, 20, 7));
        assert!(Page::read(&[0x15, 0, 0x15, 1, 0]).is_none(), "-1 bytes");
    }
}
