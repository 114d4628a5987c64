//! An open file: on this machine's disk, or in a store somewhere else.
//!
//! Text is read from some place on ([`Handle::reader`]). Columns are read here and there; of a file
//! that lies elsewhere the pieces that were asked for are then kept in a file without a name, with
//! holes for all the others, so that no byte is fetched twice and none is held in memory.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dkhost_core::{Class, Error, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::identity::Identity;
use crate::store::Store;

/// An open file.
#[derive(Debug)]
pub struct Handle {
    place: Place,
    /// Where the next read begins, of a file that lies elsewhere.
    at: u64,
}

#[derive(Debug)]
enum Place {
    Disk(File),
    Elsewhere(Arc<Pieces>),
}

impl Handle {
    /// A file on this machine.
    pub fn disk(file: File) -> Self {
        Handle {
            place: Place::Disk(file),
            at: 0,
        }
    }

    /// A file of a store. Nothing is read.
    pub fn elsewhere(store: Arc<dyn Store>, file: Identity) -> Self {
        Handle {
            place: Place::Elsewhere(Arc::new(Pieces::of(store, file))),
            at: 0,
        }
    }

    /// Its length in bytes.
    pub fn size(&self) -> io::Result<u64> {
        match &self.place {
            Place::Disk(file) => Ok(file.metadata()?.len()),
            Place::Elsewhere(pieces) => Ok(pieces.identity.size),
        }
    }

    /// The same file again, from its start. On disk all of them have one cursor.
    pub fn again(&self) -> io::Result<Handle> {
        let place = match &self.place {
            Place::Disk(file) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                Place::Disk(file)
            }
            Place::Elsewhere(pieces) => Place::Elsewhere(pieces.clone()),
        };
        Ok(Handle { place, at: 0 })
    }

    /// Its bytes in their order, from some place on.
    pub fn reader(&self, from: u64) -> io::Result<Box<dyn Read + Send>> {
        match &self.place {
            Place::Disk(file) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(from))?;
                Ok(Box::new(file))
            }
            Place::Elsewhere(pieces) => Ok(Box::new(Segments {
                store: pieces.store.clone(),
                file: pieces.identity.clone(),
                at: from.min(pieces.identity.size),
                end: pieces.identity.size,
                segment: None,
                next_bytes: SEGMENT_BYTES,
            })),
        }
    }

    /// Fills `buffer` with the bytes at a place.
    pub fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match &self.place {
            Place::Disk(file) => file.read_exact_at(buffer, at),
            Place::Elsewhere(pieces) => pieces.read_exact_at(buffer, at),
        }
    }

    /// Refuses a file that was written to while it was being read. Elsewhere each read does.
    ///
    /// *Errors* – `source::changed`.
    pub fn verify(&self, identity: &Identity) -> Result<()> {
        match &self.place {
            Place::Disk(file) => identity.verify_open(file),
            Place::Elsewhere(_) => Ok(()),
        }
    }

    /// What the store said goes before what a reader made of it.
    pub fn first<T>(&self, found: Result<T>) -> Result<T> {
        found.map_err(|error| match &self.place {
            Place::Elsewhere(pieces) => lock(&pieces.said).take().unwrap_or(error),
            Place::Disk(_) => error,
        })
    }
}

impl Read for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Disk(file) => file.read(buffer),
            Place::Elsewhere(pieces) => {
                let left = pieces.identity.size.saturating_sub(self.at);
                let length = buffer
                    .len()
                    .min(usize::try_from(left).unwrap_or(usize::MAX));
                pieces.read_exact_at(&mut buffer[..length], self.at)?;
                self.at += length as u64;
                Ok(length)
            }
        }
    }
}

impl Seek for Handle {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let pieces = match &mut self.place {
            Place::Disk(file) => return file.seek(to),
            Place::Elsewhere(pieces) => pieces,
        };
        let (base, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (self.at, by),
            SeekFrom::End(by) => (pieces.identity.size, by),
        };
        self.at = base
            .checked_add_signed(by)
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Length for Handle {
    fn len(&self) -> u64 {
        self.size().unwrap_or(0)
    }
}

impl ChunkReader for Handle {
    type T = BufReader<Handle>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let mut again = self.again()?;
        again.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(again))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// Bytes of a file that are fetched together.
const PIECE_BYTES: u64 = 1 << 20;

/// Pieces that are fetched ahead when one follows the other.
const PIECES_AHEAD: usize = 8;

/// The pieces of a file elsewhere that were asked for.
#[derive(Debug)]
struct Pieces {
    store: Arc<dyn Store>,
    identity: Identity,
    held: Mutex<Option<Held>>,
    /// What the store said about the last read that failed.
    said: Mutex<Option<Error>>,
}

#[derive(Debug)]
struct Held {
    file: File,
    /// Which pieces are there.
    has: Vec<bool>,
}

impl Pieces {
    fn of(store: Arc<dyn Store>, identity: Identity) -> Self {
        Pieces {
            store,
            identity,
            held: Mutex::default(),
            said: Mutex::default(),
        }
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let end = at.saturating_add(buffer.len() as u64);
        if end > self.identity.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if buffer.is_empty() {
            return Ok(());
        }
        let mut held = lock(&self.held);
        let held = match &mut *held {
            Some(held) => held,
            none => none.insert(Held {
                file: tempfile::tempfile()?,
                has: vec![false; self.identity.size.div_ceil(PIECE_BYTES) as usize],
            }),
        };
        let pieces = (at / PIECE_BYTES) as usize..end.div_ceil(PIECE_BYTES) as usize;
        let mut next = pieces.start;
        while next < pieces.end {
            if held.has[next] {
                next += 1;
                continue;
            }
            let follows = next > 0 && held.has[next - 1];
            let wanted = pieces
                .end
                .max(if follows { next + PIECES_AHEAD } else { 0 });
            let missing = held.has[next..].iter().take(wanted - next);
            let until = next + missing.take_while(|has| !**has).count();
            self.fetch(&held.file, next, until)?;
            held.has[next..until].fill(true);
            next = until;
        }
        held.file.read_exact_at(buffer, at)
    }

    fn fetch(&self, file: &File, from: usize, until: usize) -> io::Result<()> {
        let (from, until) = (from as u64 * PIECE_BYTES, until as u64 * PIECE_BYTES);
        let mut source = Segments {
            store: self.store.clone(),
            file: self.identity.clone(),
            at: from,
            end: until.min(self.identity.size),
            segment: None,
            next_bytes: until - from,
        };
        let mut file = file.try_clone()?;
        file.seek(SeekFrom::Start(from))?;
        match io::copy(&mut source, &mut file) {
            Ok(_) => Ok(()),
            Err(cause) => {
                let text = cause.to_string();
                let Ok(said) = cause.downcast::<Error>() else {
                    return Err(io::Error::other(text));
                };
                *lock(&self.said) = Some(said);
                Err(io::Error::other(text))
            }
        }
    }
}

/// Which of a file's bytes are asked for first by whoever reads it from its start.
pub fn first_bytes(file: &Identity) -> (u64, u64) {
    (0, file.size.min(SEGMENT_BYTES))
}

/// Which of a file's bytes are asked for by whoever looks at its end.
pub fn last_bytes(file: &Identity) -> (u64, u64) {
    let start = file.size.saturating_sub(1) / PIECE_BYTES * PIECE_BYTES;
    (start, file.size)
}

/// The first request for a file's bytes asks for this many, each further one for four times as
/// many: who looks at a beginning fetches no more than that, and no connection is kept waiting for
/// whoever takes the records.
const SEGMENT_BYTES: u64 = 1 << 20;
const SEGMENT_MAX_BYTES: u64 = 32 << 20;

/// The bytes of a file elsewhere, one request after the other.
struct Segments {
    store: Arc<dyn Store>,
    file: Identity,
    at: u64,
    end: u64,
    segment: Option<Segment>,
    next_bytes: u64,
}

struct Segment {
    reader: Box<dyn Read + Send>,
    end: u64,
    /// Whether anything came since it was asked for.
    has_begun: bool,
}

impl Segments {
    fn open(&mut self) -> io::Result<Segment> {
        let end = self.end.min(self.at.saturating_add(self.next_bytes));
        let reader = self.store.read(&self.file, self.at, end);
        Ok(Segment {
            reader: reader.map_err(io::Error::other)?,
            end,
            has_begun: false,
        })
    }
}

impl Read for Segments {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.at >= self.end || buffer.is_empty() {
                return Ok(0);
            }
            let mut segment = match self.segment.take() {
                Some(segment) => segment,
                None => {
                    let segment = self.open()?;
                    self.next_bytes = (self.next_bytes * 4).min(SEGMENT_MAX_BYTES);
                    segment
                }
            };
            let left = usize::try_from(segment.end - self.at).unwrap_or(usize::MAX);
            let length = buffer.len().min(left);
            match segment.reader.read(&mut buffer[..length]) {
                Ok(0) if segment.has_begun => continue,
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    self.at += bytes as u64;
                    segment.has_begun = true;
                    if self.at < segment.end {
                        self.segment = Some(segment);
                    }
                    return Ok(bytes);
                }
                // Cut off on the way: the rest is asked for once more, if there was any progress.
                Err(cause) if segment.has_begun && is_transient(&cause) => continue,
                Err(cause) => return Err(cause),
            }
        }
    }
}

fn is_transient(cause: &io::Error) -> bool {
    let said = cause
        .get_ref()
        .and_then(|said| said.downcast_ref::<Error>());
    said.is_some_and(|said| said.class() == Class::Transient)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
