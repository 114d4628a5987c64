//! Tuples of a COPY stream to columns.

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter;
use dkhost_core::{Error, Field, Result, Schema, json};

use super::Wire;
use super::column::Column;
use super::payload;
use super::split::bad;
use super::value::Why;

/// A tuple that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Which tuple since the last [`Decoder::finish`], from 0.
    pub tuple: u32,
    /// The column to blame.
    pub column: usize,
    /// Stable: `postgres::infinity`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// The whole row as a JSON object, also the value that is refused.
    pub payload: Vec<u8>,
}

/// What became of some tuples.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The rows, in the fields' layouts.
    pub columns: Vec<ArrayRef>,
    /// Rows in the columns.
    pub rows: usize,
    /// For each row the tuple it is; `None` when row *i* is tuple *i*.
    pub origin: Option<Vec<u32>>,
    /// The tuples that are no row, ascending.
    pub refused: Vec<Refusal>,
}

/// Decodes tuples into the columns of `fields`.
#[derive(Debug)]
pub(crate) struct Decoder {
    fields: Vec<Field>,
    wires: Vec<Wire>,
    columns: Vec<Column>,
    rows: usize,
    tuples: u32,
    bytes: usize,
    origin: Option<Vec<u32>>,
    refused: Vec<Refusal>,
}

impl Decoder {
    /// For tuples whose fields have these forms.
    ///
    /// *Errors* – a bug if a field's type is not read from its form.
    pub(crate) fn new(fields: &[Field], wires: &[Wire]) -> Result<Self> {
        if fields.len() != wires.len() {
            return Err(Error::bug("a decoder needs one form for each field"));
        }
        let columns = fields
            .iter()
            .zip(wires)
            .map(|(field, wire)| Column::new(&field.logical, *wire));
        Ok(Decoder {
            columns: columns.collect::<Result<_>>()?,
            fields: fields.to_vec(),
            wires: wires.to_vec(),
            rows: 0,
            tuples: 0,
            bytes: 0,
            origin: None,
            refused: Vec::new(),
        })
    }

    /// Takes a tuple, as [`super::Splitter::push`] gives it. A value that its column cannot hold
    /// refuses the row, which is told by [`Decoder::finish`].
    ///
    /// *Errors* – `postgres::bad_copy` if it is no tuple of these forms; `postgres::full` when
    /// the columns hold so much already that it does not fit: finish first, then push it again.
    #[inline]
    pub(crate) fn push(&mut self, tuple: &[u8]) -> Result<()> {
        let Some((_, mut rest)) = tuple.split_first_chunk::<2>() else {
            return Err(bad("a row is cut"));
        };
        for (index, column) in self.columns.iter_mut().enumerate() {
            let Some((length, after)) = rest.split_first_chunk::<4>() else {
                return self.stop(index, Why::Broken, tuple);
            };
            let length = i32::from_be_bytes(*length);
            if length < 0 {
                rest = after;
                column.push_null();
                if !self.fields[index].nullable {
                    return self.stop(index, null(), tuple);
                }
                continue;
            }
            let Some((value, after)) = after.split_at_checked(length as usize) else {
                return self.stop(index, Why::Broken, tuple);
            };
            rest = after;
            if let Err(why) = column.push(value) {
                return self.stop(index, *why, tuple);
            }
        }
        if !rest.is_empty() {
            return self.stop(self.fields.len(), Why::Broken, tuple);
        }
        if let Some(origin) = &mut self.origin {
            origin.push(self.tuples);
        }
        self.rows += 1;
        self.tuples += 1;
        self.bytes += tuple.len();
        Ok(())
    }

    /// Tuples taken since the last [`Decoder::finish`], refused ones included.
    pub(crate) fn tuples(&self) -> usize {
        self.tuples as usize
    }

    /// Bytes taken since the last [`Decoder::finish`].
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What became of the tuples since the last time; empty again afterwards.
    pub(crate) fn finish(&mut self) -> Result<Decoded> {
        let (mut columns, mut broken) = (Vec::with_capacity(self.columns.len()), Vec::new());
        for (index, column) in self.columns.iter_mut().enumerate() {
            let (array, rows) = column.finish()?;
            columns.push(array);
            broken.extend(rows.into_iter().map(|row| (row, index)));
        }
        let mut decoded = Decoded {
            columns,
            rows: self.rows,
            origin: self.origin.take(),
            refused: std::mem::take(&mut self.refused),
        };
        let tuples = self.tuples;
        (self.rows, self.tuples, self.bytes) = (0, 0, 0);
        if !broken.is_empty() {
            self.leave_out(&mut decoded, tuples, broken)?;
        }
        Ok(decoded)
    }

    /// Takes back what there is of a row that is none.
    #[cold]
    fn stop(&mut self, index: usize, why: Why, tuple: &[u8]) -> Result<()> {
        for column in &mut self.columns {
            column.truncate(self.rows);
        }
        let (code, message) = match why {
            Why::Full => {
                return Err(Error::data(
                    "postgres::full",
                    "a batch holds 2 GiB in one column, more than fits",
                ));
            }
            Why::Broken => {
                let name = self
                    .fields
                    .get(index)
                    .map_or("after the last", |field| field.name.as_str());
                return Err(bad(&format!(
                    "column `{name}` has a value of the wrong length or form"
                )));
            }
            Why::Unfit(code, message) => (code, message),
        };
        let tuples = self.tuples;
        // Rows before the first refused one are the tuples they stand for.
        self.origin.get_or_insert_with(|| (0..tuples).collect());
        self.refused.push(Refusal {
            tuple: tuples,
            column: index,
            code,
            message: message.replace('…', &self.fields[index].name),
            payload: payload::of(&self.fields, &self.wires, tuple),
        });
        self.tuples += 1;
        self.bytes += tuple.len();
        Ok(())
    }

    /// Refuses rows whose text was found to be no UTF-8 when all of it was looked at.
    #[cold]
    fn leave_out(
        &self,
        decoded: &mut Decoded,
        tuples: u32,
        mut broken: Vec<(usize, usize)>,
    ) -> Result<()> {
        broken.sort_unstable();
        broken.dedup_by_key(|(row, _)| *row);
        let schema = Schema::new(self.fields.clone()).to_arrow();
        let records = RecordBatch::try_new(schema, decoded.columns.clone())?;
        let origin = decoded
            .origin
            .take()
            .unwrap_or_else(|| (0..tuples).collect());
        let is_broken = |row: usize| broken.binary_search_by_key(&row, |(row, _)| *row).is_ok();
        for (row, column) in &broken {
            decoded.refused.push(Refusal {
                tuple: origin[*row],
                column: *column,
                code: "postgres::not_utf8",
                message: format!("the text in `{}` is not UTF-8", self.fields[*column].name),
                payload: json::row(&records, *row).into_bytes(),
            });
        }
        decoded.refused.sort_by_key(|refusal| refusal.tuple);
        let keep: BooleanArray = (0..decoded.rows).map(|row| Some(!is_broken(row))).collect();
        for column in &mut decoded.columns {
            *column = filter(column, &keep)?;
        }
        let kept = origin
            .iter()
            .enumerate()
            .filter(|(row, _)| !is_broken(*row));
        decoded.origin = Some(kept.map(|(_, tuple)| *tuple).collect());
        decoded.rows -= broken.len();
        Ok(())
    }
}

fn null() -> Why {
    Why::Unfit(
        "postgres::null",
        "the column was found to hold no nulls, and this is one".to_owned(),
    )
}
