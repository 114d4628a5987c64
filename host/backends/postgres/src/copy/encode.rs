//! Columns to a COPY stream.

use arrow::array::RecordBatch;
use dkhost_core::{Error, Field, Result, RowReject};

use super::cells::Cells;
use super::put::Unsaid;
use super::{HEADER, TRAILER, Wire};

/// Encodes the rows of batches.
#[derive(Debug)]
pub(crate) struct Encoder {
    wires: Vec<Wire>,
}

impl Encoder {
    /// For columns that are sent in these forms.
    pub(crate) fn new(wires: &[Wire]) -> Self {
        Encoder {
            wires: wires.to_vec(),
        }
    }

    /// Appends the rows of `records` to `out` as one stream, header and trailer included; rows
    /// with `skip` are left out (none where it is shorter). The rows that cannot be said in this
    /// form come back and are left out too.
    ///
    /// *Errors* – a bug if a column's type is not sent in its form.
    pub(crate) fn encode(
        &self,
        records: &RecordBatch,
        skip: &[bool],
        out: &mut Vec<u8>,
    ) -> Result<Vec<RowReject>> {
        if records.num_columns() != self.wires.len() {
            return Err(Error::bug("an encoder needs one form for each column"));
        }
        let schema = records.schema();
        let mut columns = Vec::with_capacity(self.wires.len());
        for ((field, array), wire) in schema
            .fields()
            .iter()
            .zip(records.columns())
            .zip(&self.wires)
        {
            let logical = Field::from_arrow(field)?.logical;
            columns.push(Cells::bind(array.as_ref(), &logical, *wire)?);
        }
        let widths: usize = columns.iter().map(|column| column.width()).sum();
        let values: usize = columns.iter().map(|column| column.value_bytes()).sum();
        out.reserve(HEADER.len() + records.num_rows() * (2 + widths) + values + TRAILER.len());
        out.extend_from_slice(HEADER);
        let mut refused = Vec::new();
        for row in 0..records.num_rows() {
            if skip.get(row) == Some(&true) {
                continue;
            }
            let start = out.len();
            if let Err((index, why)) = put_row(&columns, row, out) {
                out.truncate(start);
                refused.push(reject(row, schema.field(index).name(), *why));
            }
        }
        out.extend_from_slice(&TRAILER);
        Ok(refused)
    }
}

#[inline]
fn put_row(
    columns: &[Cells<'_>],
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), (usize, Box<Unsaid>)> {
    out.extend_from_slice(&(columns.len() as i16).to_be_bytes());
    for (index, column) in columns.iter().enumerate() {
        column.put(row, out).map_err(|why| (index, why))?;
    }
    Ok(())
}

#[cold]
fn reject(row: usize, column: &str, Unsaid { code, message }: Unsaid) -> RowReject {
    RowReject {
        row: row as u32,
        column: Some(column.to_owned()),
        code: code.to_owned(),
        message,
    }
}
