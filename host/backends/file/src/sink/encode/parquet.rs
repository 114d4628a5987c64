//! Parquet that grows row group by row group and can be taken up again after any of them.
//!
//! Rows are encoded into the columns of an open row group as they are accepted. When the group is
//! large enough its chunks become bytes, and its metadata a tail: a small Parquet footer of its own,
//! kept beside the checkpoint. The end of the file is written from the tails alone, so a file that
//! three processes wrote is byte for byte the file of one.
//!
//! *Source* – Apache Parquet format 2.9 (file layout, page index); the Arrow schema lies under
//! `ARROW:schema`, with dkhost's marks in the fields' metadata.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ::arrow::array::RecordBatch;
use ::arrow::datatypes::SchemaRef;
use ::parquet::arrow::ArrowSchemaConverter;
use ::parquet::arrow::add_encoded_arrow_schema_to_metadata;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriter, compute_leaves,
};
use ::parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{
    FileMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder,
    ParquetMetaDataOptions, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};
use ::parquet::file::page_index::column_index::ColumnIndexMetaData;
use ::parquet::file::page_index::offset_index::OffsetIndexMetaData;
use ::parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter, TrackedWrite};
use ::parquet::schema::types::SchemaDescPtr;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use dkhost_core::{Error, Result, RowReject, Schema, Stamp};

use super::json::{unreadable, with_schema};
use super::{Encoder, Sealed};
use crate::compression::Compression;
use crate::sink::log::PartState;
use crate::sink::shape::Shape;
use crate::sink::stamp;

/// A row group is closed at this size or number of rows: what readers like (DuckDB writes as
/// many rows, Polars twice as many), and what fits beside everything else into the usual memory
/// budget, also when several partitions write at once.
const GROUP_BYTES: usize = 16 << 20;
const GROUP_ROWS: usize = 122_880;

const MAGIC: &[u8] = b"PAR1";

/// How a schema becomes a Parquet file.
struct Layout {
    arrow: SchemaRef,
    properties: WriterPropertiesPtr,
    descriptor: SchemaDescPtr,
}

impl Layout {
    fn of(shape: &Shape, schema: &Schema) -> Result<Self> {
        let arrow = schema.to_arrow();
        let mut properties = WriterProperties::builder()
            .set_compression(codec(shape.compression)?)
            .build();
        add_encoded_arrow_schema_to_metadata(&arrow, &mut properties);
        let descriptor = ArrowSchemaConverter::new().convert(&arrow).map_err(wrong)?;
        Ok(Layout {
            arrow,
            properties: Arc::new(properties),
            descriptor: Arc::new(descriptor),
        })
    }
}

fn codec(compression: Option<Compression>) -> Result<Codec> {
    Ok(match compression {
        None => Codec::SNAPPY,
        Some(Compression::None) => Codec::UNCOMPRESSED,
        Some(Compression::Gzip) => Codec::GZIP(GzipLevel::default()),
        Some(Compression::Zstd) => Codec::ZSTD(ZstdLevel::try_new(3).map_err(wrong)?),
    })
}

fn wrong(cause: ParquetError) -> Error {
    Error::bug("a Parquet row group could not be built").caused_by(cause)
}

/// Encodes batches as row groups.
pub struct ParquetEncoder {
    layout: Layout,
    factory: ArrowRowGroupWriterFactory,
    schema: Schema,
    staged: Vec<RecordBatch>,
    group: Vec<ArrowColumnWriter>,
    group_rows: usize,
    /// Row groups and bytes before the next one.
    groups: usize,
    length: u64,
}

impl ParquetEncoder {
    /// Goes on after what a part holds.
    pub fn new(shape: &Shape, schema: &Schema, state: &PartState) -> Result<Self> {
        let layout = Layout::of(shape, schema)?;
        let writer = SerializedFileWriter::new(
            io::sink(),
            layout.descriptor.root_schema_ptr(),
            layout.properties.clone(),
        )
        .map_err(wrong)?;
        let factory = ArrowRowGroupWriterFactory::new(&writer, layout.arrow.clone());
        Ok(ParquetEncoder {
            layout,
            factory,
            schema: schema.clone(),
            staged: Vec::new(),
            group: Vec::new(),
            group_rows: 0,
            groups: state.tails.len(),
            length: state.length,
        })
    }

    fn encode(&mut self, records: &RecordBatch) -> Result<(), ParquetError> {
        if self.group.is_empty() {
            self.group = self.factory.create_column_writers(self.groups)?;
        }
        let mut writers = self.group.iter_mut();
        for (field, column) in self.layout.arrow.fields().iter().zip(records.columns()) {
            for leaf in compute_leaves(field, column)? {
                match writers.next() {
                    Some(writer) => writer.write(&leaf)?,
                    None => {
                        return Err(ParquetError::General(
                            "more columns than the schema has".to_owned(),
                        ));
                    }
                }
            }
        }
        self.group_rows += records.num_rows();
        Ok(())
    }

    fn close_group(&mut self, mut out: Vec<u8>) -> Result<(Vec<u8>, Group), ParquetError> {
        let chunks = std::mem::take(&mut self.group)
            .into_iter()
            .map(ArrowColumnWriter::close);
        let chunks: Vec<ArrowColumnChunk> = chunks.collect::<Result<_, _>>()?;
        let ordinal = i16::try_from(self.groups).map_err(|_| {
            ParquetError::General("a Parquet file holds at most 32767 row groups".to_owned())
        })?;
        // Exactly, because it is the largest buffer there is.
        out.reserve_exact(
            chunks
                .iter()
                .map(|chunk| chunk.close().bytes_written as usize)
                .sum(),
        );
        let closed = Mutex::new(None);
        let mut growing = Growing::at(self.length + out.len() as u64, out);
        let mut tracked = growing.tracked()?;
        let on_close =
            |_: &mut TrackedWrite<&mut Growing>, metadata, _: Vec<_>, columns, offsets| {
                if let Ok(mut closed) = closed.lock() {
                    *closed = Some((metadata, columns, offsets));
                }
                Ok(())
            };
        let mut writer = SerializedRowGroupWriter::new(
            self.layout.descriptor.clone(),
            self.layout.properties.clone(),
            &mut tracked,
            ordinal,
            Some(Box::new(on_close)),
        );
        for chunk in chunks {
            chunk.append_to_row_group(&mut writer)?;
        }
        writer.close()?;
        let closed = closed.into_inner().ok().flatten();
        let group = closed
            .ok_or_else(|| ParquetError::General("a row group without metadata".to_owned()))?;
        tracked.flush()?;
        drop(tracked);
        Ok((growing.bytes, group))
    }
}

/// A row group's metadata and page indexes.
type Group = (
    RowGroupMetaData,
    Vec<Option<ColumnIndexMetaData>>,
    Vec<Option<OffsetIndexMetaData>>,
);

impl Encoder for ParquetEncoder {
    fn stage(&mut self, records: &RecordBatch) -> Result<Vec<RowReject>> {
        if records.num_rows() > 0 {
            self.staged
                .push(with_schema(records.clone(), &self.schema)?);
        }
        Ok(Vec::new())
    }

    fn read_back(&self) -> Result<RecordBatch> {
        let properties = WriterProperties::clone(&self.layout.properties);
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut bytes, self.layout.arrow.clone(), Some(properties))
                .map_err(wrong)?;
        for records in &self.staged {
            writer.write(records).map_err(wrong)?;
        }
        writer.close().map_err(wrong)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))
            .and_then(|b| b.build())
            .map_err(unreadable)?;
        let batches = reader.map(|batch| with_schema(batch.map_err(unreadable)?, &self.schema));
        let batches = batches.collect::<Result<Vec<_>>>()?;
        Ok(::arrow::compute::concat_batches(
            &self.layout.arrow,
            &batches,
        )?)
    }

    fn discard(&mut self) {
        self.staged.clear();
    }

    fn accept(&mut self) -> Result<()> {
        for records in std::mem::take(&mut self.staged) {
            self.encode(&records).map_err(wrong)?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.group_rows >= GROUP_ROWS
            || self
                .group
                .iter()
                .map(ArrowColumnWriter::memory_size)
                .sum::<usize>()
                >= GROUP_BYTES
    }

    fn take(&mut self) -> Result<Sealed> {
        let rows = std::mem::take(&mut self.group_rows);
        if rows == 0 {
            return Ok(Sealed::default());
        }
        let out = if self.length == 0 {
            MAGIC.to_vec()
        } else {
            Vec::new()
        };
        let (bytes, group) = self.close_group(out).map_err(wrong)?;
        self.length += bytes.len() as u64;
        self.groups += 1;
        Ok(Sealed {
            bytes,
            rows: rows as u64,
            tails: vec![tail(&self.layout, group).map_err(wrong)?],
        })
    }
}

/// Bytes in memory that count from somewhere else than 0.
#[derive(Debug)]
struct Growing {
    skip: u64,
    bytes: Vec<u8>,
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.skip > 0 {
            let skipped = self.skip.min(bytes.len() as u64);
            self.skip -= skipped;
            return Ok(skipped as usize);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Growing {
    fn at(position: u64, bytes: Vec<u8>) -> Self {
        Growing {
            skip: position,
            bytes,
        }
    }

    /// A writer that takes itself to be at the position, so that the offsets it records are those
    /// of the whole file. The crate has no other way to say so than to write that much.
    fn tracked(&mut self) -> io::Result<TrackedWrite<&mut Self>> {
        let mut left = self.skip;
        let mut tracked = TrackedWrite::new(self);
        let nothing = vec![0; 1 << 20];
        while left > 0 {
            let step = left.min(nothing.len() as u64);
            tracked.write_all(&nothing[..step as usize])?;
            left -= step;
        }
        tracked.flush()?;
        Ok(tracked)
    }
}

/// One row group's metadata as a footer of its own.
fn tail(layout: &Layout, (group, columns, offsets): Group) -> Result<String, ParquetError> {
    let columns: Option<Vec<_>> = columns.into_iter().collect();
    let offsets: Option<Vec<_>> = offsets.into_iter().collect();
    let file = FileMetaData::new(
        1,
        group.num_rows(),
        None,
        None,
        layout.descriptor.clone(),
        None,
    );
    let metadata = ParquetMetaDataBuilder::new(file)
        .add_row_group(group)
        .set_column_index(columns.map(|columns| vec![columns]))
        .set_offset_index(offsets.map(|offsets| vec![offsets]))
        .build();
    let mut bytes = Vec::new();
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish()?;
    Ok(BASE64.encode(bytes))
}

fn read_tail(tail: &str) -> Result<ParquetMetaData, ParquetError> {
    let bytes = BASE64
        .decode(tail)
        .map_err(|cause| ParquetError::General(cause.to_string()))?;
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .with_metadata_options(Some(options))
        .parse_and_finish(&Bytes::from(bytes))
}

/// The metadata of the file that a part would become now.
pub fn metadata(
    shape: &Shape,
    schema: &Schema,
    state: &PartState,
    stamp: Option<&Stamp>,
) -> Result<ParquetMetaData> {
    let layout = Layout::of(shape, schema)?;
    let (mut groups, mut columns, mut offsets) = (Vec::new(), Some(Vec::new()), Some(Vec::new()));
    for tail in &state.tails {
        let mut one = read_tail(tail).map_err(unreadable)?.into_builder();
        groups.extend(one.take_row_groups());
        columns = columns
            .zip(one.take_column_index())
            .map(|(all, one)| [all, one].concat());
        offsets = offsets
            .zip(one.take_offset_index())
            .map(|(all, one)| [all, one].concat());
    }
    let mut said = layout
        .properties
        .key_value_metadata()
        .cloned()
        .unwrap_or_default();
    if let Some(stamp) = stamp {
        let text = stamp::text(stamp)?;
        said.push(KeyValue::new(stamp::KEY.to_owned(), text));
    }
    let file = FileMetaData::new(
        layout.properties.writer_version().as_num(),
        state.rows as i64,
        Some(layout.properties.created_by().to_owned()),
        (!said.is_empty()).then_some(said),
        layout.descriptor.clone(),
        None,
    );
    Ok(ParquetMetaDataBuilder::new(file)
        .set_row_groups(groups)
        .set_column_index(columns.filter(|columns| !columns.is_empty()))
        .set_offset_index(offsets.filter(|offsets| !offsets.is_empty()))
        .build())
}

/// Whether the tails of a part can be read: they are all that is known about its row groups.
pub fn is_intact(state: &PartState) -> bool {
    state.tails.iter().all(|tail| read_tail(tail).is_ok())
}

/// The footer, and the magic bytes if there is nothing yet.
pub fn finish(
    shape: &Shape,
    schema: &Schema,
    state: &PartState,
    stamp: Option<&Stamp>,
) -> Result<Vec<u8>> {
    let metadata = metadata(shape, schema, state, stamp)?;
    let start = if state.length == 0 {
        MAGIC.to_vec()
    } else {
        Vec::new()
    };
    let mut growing = Growing::at(state.length + start.len() as u64, start);
    let tracked = growing.tracked().map_err(|cause| wrong(cause.into()))?;
    ParquetMetaDataWriter::new_with_tracked(tracked, &metadata)
        .finish()
        .map_err(wrong)?;
    Ok(growing.bytes)
}
