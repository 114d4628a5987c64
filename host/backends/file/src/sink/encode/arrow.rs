//! Arrow IPC files: a header, a message per batch, and a footer that says where each lies.
//!
//! Messages stand alone, so the file grows by appending; where they lie is kept beside the
//! checkpoint (one tail per commit), and the footer is written from that.
//!
//! *Source* – Arrow columnar format 1.5, "IPC File Format".

use std::collections::HashMap;
use std::io::{Cursor, Read};

use ::arrow::array::RecordBatch;
use ::arrow::compute::concat_batches;
use ::arrow::datatypes::SchemaRef;
use ::arrow::error::ArrowError;
use ::arrow::ipc::convert::{IpcSchemaEncoder, metadata_to_fb};
use ::arrow::ipc::reader::StreamReader;
use ::arrow::ipc::writer::{
    DictionaryTracker, FileWriter, IpcDataGenerator, IpcWriteContext, IpcWriteOptions,
    write_message,
};
use ::arrow::ipc::{Block, CompressionType, FooterBuilder, MetadataVersion};
use dkhost_core::{Error, Result, RowReject, Schema, Stamp};
use flatbuffers::FlatBufferBuilder;

use super::json::{unreadable, with_schema};
use super::{DURABLE_BYTES, Encoder, Sealed};
use crate::compression::Compression;
use crate::sink::log::PartState;
use crate::sink::shape::Shape;
use crate::sink::stamp;

const MAGIC: &[u8] = b"ARROW1";

/// The magic bytes, padded to the alignment the crate writes with.
pub const HEADER_BYTES: usize = 64;

fn wrong(cause: ArrowError) -> Error {
    Error::bug("an Arrow message could not be built").caused_by(cause)
}

fn options(shape: &Shape) -> Result<IpcWriteOptions> {
    let codec = (shape.compression == Some(Compression::Zstd)).then_some(CompressionType::ZSTD);
    IpcWriteOptions::try_new(HEADER_BYTES, false, MetadataVersion::V5)
        .and_then(|options| options.try_with_compression(codec))
        .map_err(wrong)
}

/// The magic bytes and the schema, as the crate's own writer begins a file.
fn header(arrow: &SchemaRef, options: &IpcWriteOptions) -> Result<Vec<u8>> {
    let mut header = Vec::new();
    FileWriter::try_new_with_options(&mut header, arrow, options.clone()).map_err(wrong)?;
    Ok(header)
}

/// Encodes batches as messages.
pub struct ArrowEncoder {
    arrow: SchemaRef,
    schema: Schema,
    options: IpcWriteOptions,
    header: Vec<u8>,
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
    staged: Vec<u8>,
    /// Header and body length of each staged message.
    staged_blocks: Vec<(usize, usize)>,
    staged_rows: u64,
    sealed: Sealed,
    /// Where the accepted messages lie in the file.
    blocks: String,
    /// Bytes committed or accepted.
    length: u64,
}

impl ArrowEncoder {
    /// Goes on after what a part holds.
    pub fn new(shape: &Shape, schema: &Schema, state: &PartState) -> Result<Self> {
        let arrow = schema.to_arrow();
        let options = options(shape)?;
        Ok(ArrowEncoder {
            header: header(&arrow, &options)?,
            schema: schema.clone(),
            generator: IpcDataGenerator::default(),
            dictionaries: DictionaryTracker::new(true),
            context: IpcWriteContext::default(),
            staged: Vec::new(),
            staged_blocks: Vec::new(),
            staged_rows: 0,
            sealed: Sealed::default(),
            blocks: String::new(),
            length: state.length,
            arrow,
            options,
        })
    }
}

impl Encoder for ArrowEncoder {
    fn stage(&mut self, records: &RecordBatch) -> Result<Vec<RowReject>> {
        if records.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let (_, message) = self
            .generator
            .encode(
                records,
                &mut self.dictionaries,
                &self.options,
                &mut self.context,
            )
            .map_err(wrong)?;
        let block = write_message(&mut self.staged, message, &self.options).map_err(wrong)?;
        self.staged_blocks.push(block);
        self.staged_rows += records.num_rows() as u64;
        Ok(Vec::new())
    }

    fn read_back(&self) -> Result<RecordBatch> {
        let stream = self.header[HEADER_BYTES..]
            .chain(&*self.staged)
            .chain(end_of_stream());
        let reader = StreamReader::try_new(stream, None).map_err(unreadable)?;
        let batches = reader.map(|batch| with_schema(batch.map_err(unreadable)?, &self.schema));
        Ok(concat_batches(
            &self.arrow,
            &batches.collect::<Result<Vec<_>>>()?,
        )?)
    }

    fn discard(&mut self) {
        self.staged.clear();
        self.staged_blocks.clear();
        self.staged_rows = 0;
    }

    fn accept(&mut self) -> Result<()> {
        if self.staged_rows == 0 {
            return Ok(());
        }
        if self.length == 0 {
            self.sealed.bytes.extend_from_slice(&self.header);
            self.length = self.header.len() as u64;
        }
        for (header, body) in &self.staged_blocks {
            let space = if self.blocks.is_empty() { "" } else { " " };
            self.blocks
                .push_str(&format!("{space}{}+{header}+{body}", self.length));
            self.length += (header + body) as u64;
        }
        self.sealed.bytes.append(&mut self.staged);
        self.sealed.rows += self.staged_rows;
        self.discard();
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.sealed.bytes.len() >= DURABLE_BYTES
    }

    fn take(&mut self) -> Result<Sealed> {
        if !self.blocks.is_empty() {
            self.sealed.tails.push(std::mem::take(&mut self.blocks));
        }
        Ok(std::mem::take(&mut self.sealed))
    }
}

/// Ends a stream of messages.
pub fn end_of_stream() -> Cursor<[u8; 8]> {
    Cursor::new([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])
}

/// The end of the stream and the footer, and the header if there is nothing yet.
pub fn finish(
    shape: &Shape,
    schema: &Schema,
    state: &PartState,
    stamp: Option<&Stamp>,
) -> Result<Vec<u8>> {
    let arrow = schema.to_arrow();
    let mut out = if state.length == 0 {
        header(&arrow, &options(shape)?)?
    } else {
        Vec::new()
    };
    out.extend_from_slice(end_of_stream().get_ref());
    let blocks = blocks(state).collect::<Result<Vec<_>>>()?;
    let mut footer = FlatBufferBuilder::new();
    let dictionaries = footer.create_vector::<Block>(&[]);
    let batches = footer.create_vector(&blocks);
    let mut tracker = DictionaryTracker::new(true);
    let schema = IpcSchemaEncoder::new()
        .with_dictionary_tracker(&mut tracker)
        .schema_to_fb_offset(&mut footer, &arrow);
    let said = match stamp {
        None => None,
        Some(said) => {
            let said = HashMap::from([(stamp::KEY.to_owned(), stamp::text(said)?)]);
            Some(metadata_to_fb(&mut footer, &said))
        }
    };
    let root = {
        let mut builder = FooterBuilder::new(&mut footer);
        builder.add_version(MetadataVersion::V5);
        builder.add_schema(schema);
        builder.add_dictionaries(dictionaries);
        builder.add_recordBatches(batches);
        if let Some(said) = said {
            builder.add_custom_metadata(said);
        }
        builder.finish()
    };
    footer.finish(root, None);
    let footer = footer.finished_data();
    out.extend_from_slice(footer);
    out.extend_from_slice(&(footer.len() as i32).to_le_bytes());
    out.extend_from_slice(MAGIC);
    Ok(out)
}

/// Whether it is known where every message lies.
pub fn is_intact(state: &PartState) -> bool {
    blocks(state).all(|block| block.is_ok())
}

fn blocks(state: &PartState) -> impl Iterator<Item = Result<Block>> + '_ {
    state
        .tails
        .iter()
        .flat_map(|tail| tail.split(' '))
        .map(block)
}

fn block(text: &str) -> Result<Block> {
    let mut parts = text.split('+').map(|part| part.parse::<i64>());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(offset)), Some(Ok(header)), Some(Ok(body))) => {
            Ok(Block::new(offset, header as i32, body))
        }
        _ => Err(Error::state(
            "state::corrupt",
            format!("`{text}` does not say where a batch lies"),
        )),
    }
}
