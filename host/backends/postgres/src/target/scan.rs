//! Reads rows of the target back, by COPY out of it, in the plan's schema.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use dkhost_core::content::row_hashes;
use dkhost_core::{Error, Field, LogicalType, Result, Schema};

use super::Target;
use super::shape::Shape;
use crate::copy::{Decoder, Encoder, Splitter, Wire};
use crate::session::Session;

/// Bytes of a COPY that are decoded at once.
const CHUNK: usize = 1 << 20;

/// What is given on at once: so many rows, or bytes at about the most.
const ROWS: usize = 8192;
const BYTES: usize = 32 << 20;

/// What a query's columns are: read as these fields, in these forms.
pub(super) struct Columns {
    pub schema: Schema,
    pub wires: Vec<Wire>,
}

impl Shape {
    /// What [`Shape::reads`] yields.
    pub(super) fn read_columns(&self, fields: usize) -> Columns {
        Columns {
            schema: Schema::new(self.schema.fields[..fields].to_vec()),
            wires: self.held[..fields]
                .iter()
                .map(|held| held.reading.wire)
                .collect(),
        }
    }

    /// The same behind a row's number.
    pub(super) fn numbered(&self, fields: usize) -> Columns {
        let mut columns = self.read_columns(fields);
        let number = Field::new("n", LogicalType::Int32);
        columns.schema.fields.insert(0, number);
        columns.wires.insert(0, Wire::Int4);
        columns
    }
}

/// Gives the rows of a query on, in batches.
pub(super) fn read(
    session: &mut Session,
    doing: &str,
    query: &str,
    columns: &Columns,
    each: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let sql = format!("COPY ({query}) TO STDOUT (FORMAT binary)");
    let mut copy = session.copy_out(doing, &sql)?;
    let mut splitter = Splitter::new();
    let mut decoder = Decoder::new(&columns.schema.fields, &columns.wires)?;
    let (mut chunk, mut more) = (Vec::new(), true);
    let arrow = columns.schema.to_arrow();
    while more {
        chunk.clear();
        more = session.next_chunk(doing, &mut copy, &mut chunk, CHUNK)?;
        splitter.push(&chunk, &mut |tuple| {
            decoder.push(tuple)?;
            match decoder.tuples() >= ROWS || decoder.bytes() >= BYTES {
                true => each(finish(&mut decoder, &arrow, doing)?),
                false => Ok(()),
            }
        })?;
    }
    splitter.finish()?;
    match decoder.tuples() {
        0 => Ok(()),
        _ => each(finish(&mut decoder, &arrow, doing)?),
    }
}

/// What was decoded; that the target holds what cannot be read back is an error.
fn finish(
    decoder: &mut Decoder,
    arrow: &arrow::datatypes::SchemaRef,
    doing: &str,
) -> Result<RecordBatch> {
    let decoded = decoder.finish()?;
    if let Some(refused) = decoded.refused.first() {
        let column = arrow
            .fields()
            .get(refused.column)
            .map_or("", |field| field.name());
        return Err(Error::data(
            "postgres::unreadable",
            format!(
                "cannot {doing}: `{column}` holds what its type in the plan does not: {}",
                refused.message
            ),
        )
        .help("leave the column out of the comparison with verify = \"count\""));
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(decoded.rows));
    Ok(RecordBatch::try_new_with_options(
        arrow.clone(),
        decoded.columns,
        &options,
    )?)
}

/// The rows of `sent` as the table holds them, in their order, inside the transaction that wrote them.
pub(super) fn read_back(
    session: &mut Session,
    target: &Target,
    shape: &Shape,
    sent: &RecordBatch,
) -> Result<RecordBatch> {
    let doing = format!("read back from {}", target.label());
    match target.key.is_empty() {
        true => by_content(session, &doing, shape, sent),
        false => by_key(session, &doing, target, shape, sent),
    }
}

/// Looked up by the key of an index that tells them apart.
fn by_key(
    session: &mut Session,
    doing: &str,
    target: &Target,
    shape: &Shape,
    sent: &RecordBatch,
) -> Result<RecordBatch> {
    let key: Vec<usize> = target
        .key
        .iter()
        .filter_map(|name| shape.schema.index_of(name))
        .collect();
    send_keys(session, doing, shape, &key, sent)?;
    let met: Vec<String> = key
        .iter()
        .map(|index| {
            let held = &shape.held[*index];
            format!(
                "t.{} = ({}){}",
                held.quoted,
                shape.value(*index),
                held.collate
            )
        })
        .collect();
    let fields = shape.schema.fields.len();
    let query = format!(
        "SELECT {} FROM pg_temp.dkhost_back s JOIN {} t ON {} ORDER BY s.n",
        shape.reads(fields),
        shape.table,
        met.join(" AND ")
    );
    let back = all(session, doing, &query, &shape.read_columns(fields))?;
    session.run(doing, "DROP TABLE pg_temp.dkhost_back")?;
    Ok(back)
}

/// Sends the keys of rows, each with the row's number, to a temporary table.
fn send_keys(
    session: &mut Session,
    doing: &str,
    shape: &Shape,
    key: &[usize],
    sent: &RecordBatch,
) -> Result<()> {
    let stages: String = key
        .iter()
        .map(|index| format!(", c{index} {}", shape.held[*index].writing.stage))
        .collect();
    let create = format!("CREATE TEMPORARY TABLE dkhost_back (n integer{stages}) ON COMMIT DROP");
    session.run(doing, &create)?;
    let wires: Vec<Wire> = std::iter::once(Wire::Int4)
        .chain(key.iter().map(|index| shape.wires[*index]))
        .collect();
    let mut data = Vec::new();
    let numbered = numbered(&sent.project(key)?)?;
    let refused =
        Encoder::new(&wires).encode(&numbered, &vec![false; sent.num_rows()], &mut data)?;
    if let Some(refused) = refused.first() {
        return Err(Error::bug(format!(
            "a row that was written is refused: {}",
            refused.message
        )));
    }
    session
        .copy_in(
            doing,
            "COPY pg_temp.dkhost_back FROM STDIN (FORMAT binary)",
            data.into(),
        )
        .map(drop)
}

/// Where nothing tells rows apart: all that this transaction wrote, put in the order of what was
/// sent. What is not equal to anything that was sent comes last.
fn by_content(
    session: &mut Session,
    doing: &str,
    shape: &Shape,
    sent: &RecordBatch,
) -> Result<RecordBatch> {
    let fields = shape.schema.fields.len();
    // A row's own number of 32 bits, with the higher ones of now: what is in progress is ours.
    let query = format!(
        "SELECT {} FROM {} t WHERE pg_xact_status((((pg_current_xact_id()::text::bigint >> 32) << 32) | \
         t.xmin::text::bigint)::text::xid8) = 'in progress'",
        shape.reads(fields),
        shape.table
    );
    let back = all(session, doing, &query, &shape.read_columns(fields))?;
    let mut places: HashMap<u128, VecDeque<u32>> = HashMap::new();
    for (row, hash) in row_hashes(&back)?.into_iter().enumerate() {
        places.entry(hash).or_default().push_back(row as u32);
    }
    let hashes = row_hashes(sent)?;
    let mut order: Vec<Option<u32>> = hashes
        .iter()
        .map(|hash| places.get_mut(hash).and_then(VecDeque::pop_front))
        .collect();
    let mut left: Vec<u32> = places.into_values().flatten().collect();
    left.sort_unstable();
    let mut left = left.into_iter();
    order
        .iter_mut()
        .filter(|place| place.is_none())
        .for_each(|place| *place = left.next());
    let order: UInt32Array = order
        .into_iter()
        .flatten()
        .chain(left)
        .collect::<Vec<u32>>()
        .into();
    Ok(take_record_batch(&back, &order)?)
}

fn all(session: &mut Session, doing: &str, query: &str, columns: &Columns) -> Result<RecordBatch> {
    let mut batches = Vec::new();
    read(session, doing, query, columns, &mut |records| {
        batches.push(records);
        Ok(())
    })?;
    Ok(concat_batches(&columns.schema.to_arrow(), &batches)?)
}

/// Rows behind their numbers.
pub(super) fn numbered(records: &RecordBatch) -> Result<RecordBatch> {
    use arrow::datatypes::{DataType, Field as ArrowField, Schema as ArrowSchema};
    let mut fields = vec![Arc::new(ArrowField::new("n", DataType::Int32, false))];
    fields.extend(records.schema().fields().iter().cloned());
    let numbers = Int32Array::from_iter_values(0..records.num_rows() as i32);
    let mut columns: Vec<arrow::array::ArrayRef> = vec![Arc::new(numbers)];
    columns.extend(records.columns().iter().cloned());
    Ok(RecordBatch::try_new(
        Arc::new(ArrowSchema::new(fields)),
        columns,
    )?)
}
