//! The decoded bytes of a text file, read in large pieces that batches share.
//!
//! A splitter looks at [`Stream::bytes`], asks for more with [`Stream::fill`] until it has seen
//! enough records, and cuts them off with [`Stream::cut`]. The piece it cuts from is shared, not
//! copied: a batch keeps it alive only as long as one of its rows may still be refused.
//!
//! Offsets count decoded bytes, so that a position means the same in `x.jsonl` and `x.jsonl.gz`.
//! Taking up a plain file seeks; a compressed one is decoded up to the offset.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dkhost_core::{Error, Result};

use crate::compression::{self, Compression};
use crate::handle::Handle;
use crate::identity::{self, Identity};

/// Decoded bytes asked for at once.
const CHUNK_BYTES: usize = 1 << 20;

/// At most this many are asked for at once, however much is there already: what is held of a record
/// that never ends stays near [`RECORD_MAX_BYTES`].
const STEP_MAX_BYTES: usize = 8 << 20;

/// Bytes before a position whose hash it carries.
const BEFORE_BYTES: usize = 4 << 10;

/// A record that is longer than this is refused with its place: it is nearly always a quote or a
/// bracket that was never closed.
pub const RECORD_MAX_BYTES: usize = 64 << 20;

/// Which file a stream is read from, and how.
#[derive(Debug, Clone)]
pub struct StreamSpec {
    /// The file.
    pub identity: Identity,
    /// How it is compressed.
    pub compression: Compression,
    /// Decoded offset where this stream ends, if before the end of the file.
    pub end: Option<u64>,
}

/// The decoded bytes of a file from some offset on.
pub struct Stream {
    spec: StreamSpec,
    file: Handle,
    reader: Box<dyn Read + Send>,
    compressed: Arc<AtomicU64>,
    chunk: Arc<Vec<u8>>,
    /// Decoded offset of the chunk's first byte.
    base: u64,
    /// First byte of the chunk that was not cut off yet.
    at: usize,
    at_end: bool,
    /// What the decoder refused the file with: asked again, it may say that this was the end.
    broken: Option<(io::ErrorKind, String)>,
    /// The last bytes before the chunk.
    tail: Vec<u8>,
    /// Bytes of the file that were reported as taken.
    taken: u64,
    /// The line on which `at` lies, from 1, if lines are counted.
    line: Option<u64>,
}

/// Counts what is read through it.
struct Counted {
    file: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl Stream {
    /// The stream of an open file from its start; a byte order mark is skipped.
    ///
    /// *Errors* – `file::encoding` for UTF-16.
    pub fn open(file: Handle, spec: StreamSpec) -> Result<Self> {
        let mut stream = Self::at(file, spec, 0)?;
        stream.line = Some(1);
        stream.fill()?;
        match stream.bytes() {
            [0xef, 0xbb, 0xbf, ..] => stream.skip(3),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                return Err(Error::data(
                    "file::encoding",
                    format!("`{}` is UTF-16, not UTF-8", stream.label()),
                )
                .help("convert it first: iconv -f UTF-16 -t UTF-8 FILE > NEW"));
            }
            _ => (),
        }
        Ok(stream)
    }

    /// The stream of an open file from a decoded offset on, if the bytes before it still have the
    /// hash `before`; an empty one fits all.
    ///
    /// *Errors* – `source::changed`.
    pub fn resume(
        file: Handle,
        spec: StreamSpec,
        offset: u64,
        line: Option<u64>,
        before: &str,
    ) -> Result<Self> {
        let mut stream = Self::at(file, spec, offset.saturating_sub(BEFORE_BYTES as u64))?;
        while stream.base + (stream.chunk.len() as u64) < offset {
            stream.at = stream.chunk.len();
            if !stream.fill()? {
                return Err(identity::changed(
                    stream.label(),
                    "it ends before the place where the run stopped",
                ));
            }
        }
        stream.at = (offset - stream.base) as usize;
        if !before.is_empty() && stream.before() != before {
            return Err(identity::changed(
                stream.label(),
                "the bytes before the place where the run stopped are others now",
            ));
        }
        stream.taken = stream.position_in_file();
        stream.line = line;
        Ok(stream)
    }

    /// Opens near an offset: exactly there in a plain file, at the start of a compressed one.
    fn at(file: Handle, spec: StreamSpec, offset: u64) -> Result<Self> {
        let io = |cause| Error::io("read", &spec.identity.file, cause);
        let base = if spec.compression == Compression::None {
            offset
        } else {
            0
        };
        let source = file.reader(base).map_err(|cause| unpacked(cause, io))?;
        let compressed = Arc::new(AtomicU64::new(base));
        let counted = Counted {
            file: source,
            bytes: compressed.clone(),
        };
        let reader = compression::decode(counted, spec.compression).map_err(io)?;
        Ok(Stream {
            file,
            reader,
            compressed,
            chunk: Arc::default(),
            base,
            at: 0,
            at_end: false,
            broken: None,
            tail: Vec::new(),
            taken: base,
            line: None,
            spec,
        })
    }

    /// How the job names the file.
    pub fn label(&self) -> &str {
        &self.spec.identity.file
    }

    /// The bytes that were read and not cut off yet.
    pub fn bytes(&self) -> &[u8] {
        &self.chunk[self.at..]
    }

    /// Decoded offset of the first of [`Stream::bytes`].
    pub fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Reads more behind [`Stream::bytes`]: a chunk, or as much as there is already, so that a long
    /// record costs few rounds, within limits. False when the stream is at its end.
    ///
    /// *Errors* – `file::corrupt`, `source::changed`, or of the operating system; the first two again
    /// each time it is asked.
    pub fn fill(&mut self) -> Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        if let Some((kind, text)) = &self.broken {
            return Err(self.trouble(io::Error::new(*kind, text.clone())));
        }
        let kept = self.chunk.len() - self.at;
        let wanted = kept.clamp(CHUNK_BYTES, STEP_MAX_BYTES) as u64;
        let left = self.spec.end.map_or(u64::MAX, |end| {
            end.saturating_sub(self.base + self.chunk.len() as u64)
        });
        let (reader, limit) = (&mut self.reader, wanted.min(left));
        self.tail = tail_of(&self.tail, &self.chunk[..self.at]);
        let mut chunk = match Arc::get_mut(&mut self.chunk) {
            Some(unshared) if self.at == 0 => std::mem::take(unshared),
            _ => {
                let room = limit.min(expected_bytes(&self.spec));
                let mut chunk = Vec::with_capacity(kept + room as usize);
                chunk.extend_from_slice(&self.chunk[self.at..]);
                chunk
            }
        };
        let read = reader.take(limit).read_to_end(&mut chunk);
        self.base += self.at as u64;
        self.at = 0;
        self.chunk = Arc::new(chunk);
        let read = read.map_err(|cause| {
            if cause.raw_os_error().is_none() && !is_said(&cause) {
                self.broken = Some((cause.kind(), cause.to_string()));
            }
            self.trouble(cause)
        })?;
        if (read as u64) < wanted {
            self.file.verify(&self.spec.identity)?;
            self.at_end = true;
        }
        Ok(read > 0)
    }

    fn trouble(&self, cause: io::Error) -> Error {
        let cause = match cause.downcast::<Error>() {
            Ok(said) => return said,
            Err(cause) => cause,
        };
        let compressed = self.compressed.load(Ordering::Relaxed);
        let decoded = self.base + self.chunk.len() as u64;
        let compression = self.spec.compression;
        compression::trouble(cause, self.label(), compression, compressed, decoded)
    }

    /// Cuts off the first `length` of [`Stream::bytes`] without looking at them again.
    pub fn skip(&mut self, length: usize) {
        if let Some(line) = &mut self.line {
            *line +=
                memchr::memchr_iter(b'\n', &self.chunk[self.at..self.at + length]).count() as u64;
        }
        self.at += length;
    }

    /// The line of [`Stream::offset`], from 1, if lines are counted: a slice of a file begins on
    /// an unknown one.
    pub fn line(&self) -> Option<u64> {
        self.line
    }

    /// For people: `line 3 of \`x.csv\`` or `byte 17 of \`x.csv\``, `at` bytes from here.
    pub fn place(&self, at: usize) -> String {
        match self.line {
            Some(line) => {
                let lines = memchr::memchr_iter(b'\n', &self.bytes()[..at]).count() as u64;
                format!("line {} of `{}`", line + lines, self.label())
            }
            None => format!("byte {} of `{}`", self.offset() + at as u64, self.label()),
        }
    }

    /// Cuts off the first `length` of [`Stream::bytes`] and keeps them.
    pub fn cut(&mut self, length: usize) -> Piece {
        let (start, end) = (self.at, self.at + length);
        let piece = Piece {
            chunk: self.chunk.clone(),
            start,
            end,
            offset: self.offset(),
            line: self.line,
        };
        self.skip(length);
        piece
    }

    /// Hash of the bytes before [`Stream::offset`].
    pub fn before(&self) -> String {
        identity::hash(&tail_of(&self.tail, &self.chunk[..self.at]))
    }

    /// Bytes of the file taken since this was asked last; progress, not exact: a compressed file is
    /// read in pieces, and a plain one as far as records were cut off.
    pub fn taken(&mut self) -> u64 {
        let now = self.position_in_file();
        std::mem::replace(&mut self.taken, now).abs_diff(now)
    }

    fn position_in_file(&self) -> u64 {
        match self.spec.compression {
            Compression::None => self.offset(),
            _ => self.compressed.load(Ordering::Relaxed),
        }
    }
}

/// How much a file may hold: batches of many small files keep a chunk of each.
fn expected_bytes(spec: &StreamSpec) -> u64 {
    match spec.compression {
        Compression::None => spec.identity.size,
        _ => spec.identity.size.saturating_mul(16),
    }
}

/// Whether it is what the store said, where the file lies elsewhere.
fn is_said(cause: &io::Error) -> bool {
    cause.get_ref().is_some_and(|said| said.is::<Error>())
}

/// What the store said, else what the operating system did.
fn unpacked(cause: io::Error, io: impl FnOnce(io::Error) -> Error) -> Error {
    cause.downcast::<Error>().unwrap_or_else(io)
}

/// The last bytes of `earlier` followed by `later`.
fn tail_of(earlier: &[u8], later: &[u8]) -> Vec<u8> {
    let later = &later[later.len().saturating_sub(BEFORE_BYTES)..];
    let missing = BEFORE_BYTES - later.len();
    [&earlier[earlier.len().saturating_sub(missing)..], later].concat()
}

/// Bytes that were cut off a stream: part of a chunk that others may share.
#[derive(Debug, Clone)]
pub struct Piece {
    chunk: Arc<Vec<u8>>,
    start: usize,
    end: usize,
    /// Decoded offset of the first byte.
    pub offset: u64,
    /// Its line, from 1, if lines are counted.
    pub line: Option<u64>,
}

impl Piece {
    /// Bytes that come from somewhere else than a stream.
    pub fn whole(bytes: Vec<u8>) -> Self {
        Piece {
            end: bytes.len(),
            chunk: Arc::new(bytes),
            start: 0,
            offset: 0,
            line: None,
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.chunk[self.start..self.end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    fn stream(content: &[u8], end: Option<u64>) -> (tempfile::TempDir, StreamSpec) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        File::create(&path).unwrap().write_all(content).unwrap();
        let (_, identity) = Identity::open(&path, path.to_str().unwrap()).unwrap();
        (
            dir,
            StreamSpec {
                identity,
                compression: Compression::None,
                end,
            },
        )
    }

    fn open(spec: &StreamSpec) -> Stream {
        Stream::open(
            Handle::disk(File::open(&spec.identity.file).unwrap()),
            spec.clone(),
        )
        .unwrap()
    }

    #[test]
    fn what_is_not_cut_off_stays_in_front() {
        let content: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
        let (_dir, spec) = stream(&content, None);
        let mut stream = open(&spec);
        let mut seen = Vec::new();
        loop {
            let bytes = stream.bytes().len();
            let piece = stream.cut(bytes * 2 / 3);
            assert_eq!(piece.offset as usize, seen.len());
            seen.extend_from_slice(piece.bytes());
            if !stream.fill().unwrap() {
                break;
            }
        }
        seen.extend_from_slice(stream.bytes());
        assert_eq!(seen, content);
    }

    #[test]
    fn a_stream_is_taken_up_where_it_was_left() {
        let content: Vec<u8> = (0..20_000u32).flat_map(|i| i.to_le_bytes()).collect();
        let (_dir, spec) = stream(&content, None);
        for offset in [0, 1, 100, 4095, 4096, 4097, 79_999, 80_000] {
            let mut first = open(&spec);
            first.skip(offset);
            let file = Handle::disk(File::open(&spec.identity.file).unwrap());
            let mut again =
                Stream::resume(file, spec.clone(), offset as u64, None, &first.before()).unwrap();
            while again.fill().unwrap() {}
            assert!(again.bytes() == &content[offset..], "{offset}");
            assert_eq!(again.before(), first.before(), "{offset}");
        }
    }

    #[test]
    fn other_bytes_before_the_place_are_noticed() {
        let (_dir, spec) = stream(&[7; 10_000], None);
        let file = Handle::disk(File::open(&spec.identity.file).unwrap());
        let error = Stream::resume(file, spec, 9_000, None, "00").err().unwrap();
        assert_eq!(error.code(), "source::changed");
    }

    #[test]
    fn a_slice_ends_where_it_is_told_to() {
        let (_dir, spec) = stream(b"0123456789", Some(4));
        let mut stream = open(&spec);
        assert_eq!(stream.bytes(), b"0123");
        assert!(!stream.fill().unwrap());
    }

    #[test]
    fn a_file_written_to_while_it_is_read_is_noticed() {
        let (_dir, spec) = stream(&[b'x'; 3_000_000], None);
        let mut stream = open(&spec);
        File::options()
            .append(true)
            .open(&spec.identity.file)
            .unwrap()
            .write_all(b"more")
            .unwrap();
        let error = loop {
            let all = stream.bytes().len();
            stream.skip(all);
            match stream.fill() {
                Ok(more) => assert!(more),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), "source::changed");
        assert_eq!(stream.fill().unwrap_err().code(), "source::changed");
    }

    #[test]
    fn a_broken_stream_stays_broken() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"{}\n").unwrap();
        let mut packed = packed.finish().unwrap();
        let checksum = packed.len() - 8;
        packed[checksum] ^= 1;
        let (_dir, spec) = stream(&packed, None);
        let file = Handle::disk(File::open(&spec.identity.file).unwrap());
        let compression = Compression::Gzip;
        let mut stream = Stream::at(
            file,
            StreamSpec {
                compression,
                ..spec
            },
            0,
        )
        .unwrap();
        for _ in 0..3 {
            assert_eq!(stream.fill().unwrap_err().code(), "file::corrupt");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_utf_16_is_refused() {
        let (_dir, spec) = stream("\u{feff}a".as_bytes(), None);
        assert_eq!(open(&spec).bytes(), b"a");
        let (_dir, spec) = stream(b"\xff\xfea\0", None);
        let error = Stream::open(Handle::disk(File::open(&spec.identity.file).unwrap()), spec)
            .err()
            .unwrap();
        assert_eq!(error.code(), "file::encoding");
    }
}
