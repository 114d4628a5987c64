//! Reads back what a target holds: what is staged until it is published, then what was published.
//!
//! What is read is the file itself, decompressed and decoded; only where the rows of an unfinished
//! Parquet file lie is taken from the log, which is where its footer will come from.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use dkhost_core::{Error, Result};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::encode::{self, Rows, unreadable, with_schema};
use super::log::PartState;
use super::manifest;
use super::target::Target;
use crate::compression;
use crate::format::Format;

/// Text that is looked at together.
const PIECE_BYTES: usize = 4 << 20;
/// Rows of Parquet that are decoded together.
pub const ROWS: usize = 8192;

/// Told every batch.
type Each<'a> = &'a mut dyn FnMut(RecordBatch) -> Result<()>;

/// Told every piece of text, and whether it is the file's first.
pub type EachText<'a> = &'a mut dyn FnMut(&dyn Rows, &[u8], bool) -> Result<()>;

/// A file to read.
struct Held {
    path: PathBuf,
    /// How much of it counts; `None` for a finished file.
    committed: Option<PartState>,
}

/// Reads every row.
pub fn scan(target: &Target, each: Each<'_>) -> Result<()> {
    for part in parts(target)? {
        match target.shape.format {
            Format::Parquet => parquet(target, &part)?
                .build()
                .map_err(unreadable)?
                .try_for_each(|batch| {
                    each(with_schema(batch.map_err(unreadable)?, &target.schema)?)
                })?,
            Format::Arrow => arrow(target, &part, each)?,
            _ => text(target, &part, &mut |rows, text, first| {
                each(rows.read(text, first)?)
            })?,
        }
    }
    Ok(())
}

/// Counts the rows, which for text and Parquet takes no decoding.
pub fn count(target: &Target) -> Result<u64> {
    let mut count = 0;
    for part in parts(target)? {
        match target.shape.format {
            Format::Parquet => {
                let groups = parquet(target, &part)?;
                count += groups
                    .metadata()
                    .row_groups()
                    .iter()
                    .map(|group| group.num_rows() as u64)
                    .sum::<u64>();
            }
            Format::Arrow => arrow(target, &part, &mut |batch| {
                count += batch.num_rows() as u64;
                Ok(())
            })?,
            _ => text(target, &part, &mut |rows, text, first| {
                count += rows.count(text, first);
                Ok(())
            })?,
        }
    }
    Ok(count)
}

fn parts(target: &Target) -> Result<Vec<Held>> {
    {
        let held = target.held();
        if let Some(held) = held
            .as_ref()
            .filter(|held| !target.is_published(&held.state))
        {
            let parts = held.state.parts.iter().filter(|(_, part)| part.length > 0);
            let part = |(number, part): (&u32, &PartState)| Held {
                path: target.part_path(*number),
                committed: Some(part.clone()),
            };
            return Ok(parts.map(part).collect());
        }
    }
    let place = &target.place;
    if !place.is_folder {
        let there = place.path.exists();
        return Ok(there
            .then(|| Held {
                path: place.path.clone(),
                committed: None,
            })
            .into_iter()
            .collect());
    }
    let manifest = manifest::read(&place.path);
    let parts = manifest.into_iter().flat_map(|manifest| manifest.parts);
    Ok(parts
        .map(|part| Held {
            path: place.path.join(part.name),
            committed: None,
        })
        .collect())
}

impl Held {
    fn open(&self) -> Result<(File, u64)> {
        let io = |cause| Error::io("read", &self.path, cause);
        let file = File::open(&self.path).map_err(io)?;
        let length = match &self.committed {
            Some(committed) => committed.length,
            None => file.metadata().map_err(io)?.len(),
        };
        Ok((file, length))
    }
}

/// Shows what a part holds to those who depend on it.
pub fn recall(
    target: &Target,
    number: u32,
    state: &PartState,
    recall: &mut dyn FnMut(&[u8], bool) -> Result<()>,
) -> Result<()> {
    let part = Held {
        path: target.part_path(number),
        committed: Some(state.clone()),
    };
    text(target, &part, &mut |_, text, first| recall(text, first))
}

fn text(target: &Target, part: &Held, each: EachText<'_>) -> Result<()> {
    let (file, length) = part.open()?;
    let io = |cause| Error::io("read", &part.path, cause);
    let reader = compression::decode(file.take(length), target.shape.text_compression());
    let rows = encode::rows_of(&target.shape, &target.schema);
    pieces(reader.map_err(io)?, rows.as_ref(), &io, each)
}

/// Shows text piece by piece, each of whole rows.
pub fn pieces(
    mut reader: Box<dyn Read + Send>,
    rows: &dyn Rows,
    io: &dyn Fn(std::io::Error) -> Error,
    each: EachText<'_>,
) -> Result<()> {
    let (mut text, mut first) = (Vec::new(), true);
    loop {
        let read = (&mut reader)
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut text)
            .map_err(io)?;
        let at_end = read < PIECE_BYTES;
        let end = if at_end {
            text.len()
        } else {
            rows.boundary(&text)
        };
        if end > 0 {
            each(rows, &text[..end], first)?;
            first = false;
            text.drain(..end);
        }
        if at_end {
            return Ok(());
        }
    }
}

fn parquet(target: &Target, part: &Held) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let (file, _) = part.open()?;
    let builder = match &part.committed {
        None => ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?,
        Some(committed) => {
            let metadata =
                encode::parquet_metadata(&target.shape, &target.schema, committed, None)?;
            let metadata =
                ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new());
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.map_err(unreadable)?)
        }
    };
    Ok(builder.with_batch_size(ROWS))
}

fn arrow(target: &Target, part: &Held, each: Each<'_>) -> Result<()> {
    let (mut file, length) = part.open()?;
    let header = encode::ARROW_HEADER_BYTES as u64;
    file.seek(SeekFrom::Start(header))
        .map_err(|cause| Error::io("read", &part.path, cause))?;
    let messages = file
        .take(length.saturating_sub(header))
        .chain(encode::end_of_stream());
    let reader = StreamReader::try_new_buffered(messages, None).map_err(unreadable)?;
    for batch in reader {
        each(with_schema(batch.map_err(unreadable)?, &target.schema)?)?;
    }
    Ok(())
}
