//! Separated values to columns, one column at a time.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use dkhost_core::json::RowError;
use dkhost_core::text::Appender;
use dkhost_core::{LogicalType, Result, Schema};

use super::infer::is_null;
use super::{Cell, Lines};
use crate::options::CsvOptions;
use crate::source::decoded::Decoded;

/// Fills the columns of a schema from cells.
#[derive(Debug)]
pub struct CsvDecoder {
    arrow: SchemaRef,
    schema: Schema,
    columns: Vec<Appender>,
    /// For each column its cell in a record.
    places: Vec<usize>,
    options: CsvOptions,
    /// Only an empty cell is null: no text has to be compared.
    plain_nulls: bool,
    scratch: String,
}

impl CsvDecoder {
    /// A decoder into the columns of `schema`, `places[i]` being the cell of column *i*.
    pub fn new(schema: &Schema, places: Vec<usize>, options: CsvOptions) -> Self {
        CsvDecoder {
            arrow: schema.to_arrow(),
            columns: schema
                .fields
                .iter()
                .map(|field| Appender::new(&field.logical))
                .collect(),
            schema: schema.clone(),
            places,
            plain_nulls: options.null.len() == 1 && options.null[0].is_empty(),
            options,
            scratch: String::new(),
        }
    }

    /// The rows of well-formed records of `width` cells each.
    pub fn decode(&mut self, lines: Lines, width: usize) -> Result<Decoded> {
        let Lines {
            records,
            mut cells,
            good: mut origin,
            bad: mut refused,
        } = lines;
        let bytes = records.piece.bytes();
        let text = match simdutf8::basic::from_utf8(bytes) {
            Ok(text) => Text::Whole(text),
            Err(_) => {
                let is_text =
                    |row: &u32| std::str::from_utf8(records.rows[*row as usize].of(bytes)).is_ok();
                refused.extend(
                    origin
                        .iter()
                        .filter(|row| !is_text(row))
                        .map(|row| (*row, not_utf8())),
                );
                let keep: Vec<bool> = origin.iter().map(is_text).collect();
                cells = cells
                    .chunks_exact(width)
                    .zip(&keep)
                    .filter(|(_, keep)| **keep)
                    .flat_map(|(row, _)| row.to_vec())
                    .collect();
                origin.retain(is_text);
                Text::Parts(bytes)
            }
        };
        let mut misfits = Vec::new();
        for column in 0..self.columns.len() {
            self.fill(column, &cells, width, text, &mut misfits);
        }
        self.finish(origin, refused, misfits)
    }

    fn fill(
        &mut self,
        column: usize,
        cells: &[Cell],
        width: usize,
        text: Text<'_>,
        misfits: &mut Vec<(u32, usize)>,
    ) {
        let place = self.places[column];
        let is_text = matches!(
            self.schema.fields[column].logical,
            LogicalType::Utf8 | LogicalType::Binary
        );
        let appender = &mut self.columns[column];
        for (row, cells) in cells.chunks_exact(width).enumerate() {
            let cell = cells[place];
            let value = text.of(cell);
            let null = match self.plain_nulls {
                true => value.is_empty() && !cell.is_quoted(),
                false => is_null(cell, value, &self.options),
            };
            let fits = if null || (value.is_empty() && !is_text) {
                // Only text and bytes can be empty: quotes around nothing are no number either.
                false
            } else if cell.is_escaped() {
                self.scratch.clear();
                unescape_to(value, &self.options, &mut self.scratch);
                appender.append(&self.scratch)
            } else {
                appender.append(value)
            };
            if !fits {
                appender.append_null();
                if !null && (is_text || !value.is_empty()) {
                    misfits.push((row as u32, column));
                }
            }
        }
    }

    fn finish(
        &mut self,
        mut origin: Vec<u32>,
        mut refused: Vec<(u32, RowError)>,
        mut misfits: Vec<(u32, usize)>,
    ) -> Result<Decoded> {
        let columns: Vec<ArrayRef> = self
            .columns
            .iter_mut()
            .map(Appender::finish)
            .collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(origin.len()));
        let mut records = RecordBatch::try_new_with_options(self.arrow.clone(), columns, &options)?;
        if !misfits.is_empty() {
            misfits.sort_unstable();
            misfits.dedup_by_key(|(row, _)| *row);
            let is_misfit =
                |row: usize| misfits.binary_search_by_key(&(row as u32), |m| m.0).is_ok();
            let keep = (0..origin.len()).map(|row| Some(!is_misfit(row))).collect();
            refused.extend(
                misfits
                    .iter()
                    .map(|(row, column)| (origin[*row as usize], self.misfit(*column))),
            );
            records = arrow::compute::filter_record_batch(&records, &keep)?;
            origin = origin
                .iter()
                .enumerate()
                .filter(|(row, _)| !is_misfit(*row))
                .map(|(_, record)| *record)
                .collect();
        }
        Ok(Decoded {
            records,
            origin,
            refused,
        })
    }

    fn misfit(&self, column: usize) -> RowError {
        let field = &self.schema.fields[column];
        RowError::new(
            "csv::type_mismatch",
            format!(
                "`{}` is not exactly a value of type {}",
                field.name, field.logical
            ),
        )
        .in_column(&field.name)
    }
}

fn not_utf8() -> RowError {
    RowError::new("csv::not_utf8", "the line is not UTF-8")
}

fn unescape_to(value: &str, options: &CsvOptions, out: &mut String) {
    let Some(quote) = options.quote.map(char::from) else {
        return out.push_str(value);
    };
    let mut rest = value;
    while let Some((before, after)) = rest.split_once(quote) {
        out.push_str(before);
        out.push(quote);
        rest = after.strip_prefix(quote).unwrap_or(after);
    }
    out.push_str(rest);
}

/// The text of a batch: checked as a whole, or record by record where it is not all UTF-8.
#[derive(Clone, Copy)]
enum Text<'a> {
    Whole(&'a str),
    Parts(&'a [u8]),
}

impl<'a> Text<'a> {
    #[inline]
    fn of(self, cell: Cell) -> &'a str {
        let range = cell.range();
        match self {
            Text::Whole(text) => text
                .get(range.start as usize..range.end as usize)
                .unwrap_or_default(),
            // Records that are not UTF-8 were taken out.
            Text::Parts(bytes) => std::str::from_utf8(range.of(bytes)).unwrap_or_default(),
        }
    }
}
