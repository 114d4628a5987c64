//! CSV and TSV: cells that need quotes get them, and nothing else does.
//!
//! A null is the first word of `csv.null` without quotes (by default nothing at all), and text that
//! would read as null is quoted: a null and an empty text stay two things. Lines end in `\n`, which
//! every reader takes beside the `\r\n` of the standard.
//!
//! *Source* – RFC 4180.

use std::borrow::Cow;

use ::arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use dkhost_core::json::RowError;
use dkhost_core::text::{Appender, Cells};
use dkhost_core::{LogicalType, Result, RowReject, Schema};

use super::json::{not_representable, unreadable};
use super::text::Rows;
use crate::options::CsvOptions;

/// Rows as lines.
pub struct CsvRows {
    options: CsvOptions,
    schema: Schema,
    /// `None` if there is no text that means null.
    null: Option<Vec<u8>>,
    /// Bytes that make quotes necessary.
    special: [bool; 256],
    /// Whether text without any such byte may still read as null.
    words: bool,
}

/// Why a row cannot be written: the column, and what it would need.
enum Refused {
    Quotes(usize),
    Null(usize),
}

/// A column of a batch.
enum Column<'a> {
    /// Values are text already.
    Text(&'a StringArray),
    /// Values are written as text first; they never need quotes.
    Plain(Cells<'a>),
    /// Values are written as text first.
    Other(Cells<'a>),
}

impl CsvRows {
    /// Rows of `schema`.
    pub fn new(options: &CsvOptions, schema: &Schema) -> Self {
        let mut special = [false; 256];
        for byte in [options.delimiter, b'\n', b'\r']
            .into_iter()
            .chain(options.quote)
        {
            special[byte as usize] = true;
        }
        CsvRows {
            null: options.null.first().map(|null| null.clone().into_bytes()),
            words: options.null.iter().any(|null| !null.is_empty()),
            options: options.clone(),
            schema: schema.clone(),
            special,
        }
    }

    fn bind<'a>(&self, array: &'a dyn Array, logical: &LogicalType) -> Result<Column<'a>> {
        use LogicalType::*;
        // No number, date or word of ours has such a delimiter in it.
        let usual = matches!(self.options.delimiter, b',' | b';' | b'\t' | b'|')
            && matches!(self.options.quote, None | Some(b'"' | b'\''));
        Ok(match (logical, array.as_string_opt()) {
            (Utf8 | Json | Number, Some(text)) => Column::Text(text),
            (Vector(_) | Binary, _) => Column::Other(Cells::bind(array, logical)?),
            _ if usual && !self.words => Column::Plain(Cells::bind(array, logical)?),
            _ => Column::Other(Cells::bind(array, logical)?),
        })
    }

    fn row(&self, columns: &[Column<'_>], row: usize, out: &mut Vec<u8>) -> Result<(), Refused> {
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                out.push(self.options.delimiter);
            }
            let start = out.len();
            let written = match column {
                Column::Text(text) if text.is_null(row) => false,
                Column::Text(text) => {
                    self.cell(text.value(row).as_bytes(), out)
                        .ok_or(Refused::Quotes(i))?;
                    true
                }
                Column::Plain(cells) => cells.write(row, out),
                Column::Other(cells) => {
                    let written = cells.write(row, out);
                    if written && self.needs_quotes(&out[start..]) {
                        let cell = out.split_off(start);
                        self.cell(&cell, out).ok_or(Refused::Quotes(i))?;
                    }
                    written
                }
            };
            if !written {
                out.extend_from_slice(self.null.as_ref().ok_or(Refused::Null(i))?);
            }
        }
        out.push(b'\n');
        Ok(())
    }

    fn reason(&self, refused: &Refused) -> RowError {
        let name = |column: usize| self.schema.fields[column].name.as_str();
        let (name, code, why) = match refused {
            Refused::Quotes(column) => (
                name(*column),
                "csv::no_quotes",
                "needs quotes, and `csv = { quote = \"\" }` says there are none",
            ),
            Refused::Null(column) => (
                name(*column),
                "csv::no_null",
                "is null, and `csv = { null = [] }` says that nothing means null",
            ),
        };
        RowError::new(code, format!("`{name}` {why}")).in_column(name)
    }

    #[inline]
    fn needs_quotes(&self, cell: &[u8]) -> bool {
        let (Some(first), Some(last)) = (cell.first(), cell.last()) else {
            return true;
        };
        cell.iter().any(|byte| self.special[*byte as usize])
            || first.is_ascii_whitespace()
            || last.is_ascii_whitespace()
            || (self.words && self.options.null.iter().any(|null| null.as_bytes() == cell))
    }

    /// `None` if the cell needs quotes and there are none.
    #[inline]
    fn cell(&self, cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
        if !self.needs_quotes(cell) {
            out.extend_from_slice(cell);
            return Some(());
        }
        let quote = self.options.quote?;
        out.push(quote);
        let mut rest = cell;
        while let Some(at) = memchr::memchr(quote, rest) {
            out.extend_from_slice(&rest[..=at]);
            out.push(quote);
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        out.push(quote);
        Some(())
    }
}

impl Rows for CsvRows {
    fn begin(&self, out: &mut Vec<u8>) {
        if !self.options.header {
            return;
        }
        for (i, name) in self.schema.names().enumerate() {
            if i > 0 {
                out.push(self.options.delimiter);
            }
            if self.cell(name.as_bytes(), out).is_none() {
                // Without quotes a name is written as it is; the plan refuses one that would break
                // the line (see `plan`).
                out.extend_from_slice(name.as_bytes());
            }
        }
        out.push(b'\n');
    }

    fn rows(
        &mut self,
        records: &RecordBatch,
        _any: bool,
        out: &mut Vec<u8>,
    ) -> Result<Vec<RowReject>> {
        let columns = records.columns().iter().zip(&self.schema.fields);
        let columns: Vec<Column<'_>> = columns
            .map(|(array, field)| self.bind(array.as_ref(), &field.logical))
            .collect::<Result<_>>()?;
        let mut rejects = Vec::new();
        for row in 0..records.num_rows() {
            let start = out.len();
            if let Err(refused) = self.row(&columns, row, out) {
                out.truncate(start);
                rejects.push(not_representable(self.reason(&refused), row));
            }
        }
        Ok(rejects)
    }

    fn end(&self, _any: bool, _out: &mut Vec<u8>) {}

    fn boundary(&self, text: &[u8]) -> usize {
        self.dialect().line_ends(text).last().unwrap_or(0)
    }

    fn read(&self, text: &[u8], first: bool) -> Result<RecordBatch> {
        let mut columns: Vec<Appender> = self
            .schema
            .fields
            .iter()
            .map(|f| Appender::new(&f.logical))
            .collect();
        let (mut start, mut rows) = (0, 0);
        for (line, end) in self.dialect().line_ends(text).enumerate() {
            if !(first && line == 0 && self.options.header) {
                self.read_row(&text[start..end - 1], &mut columns)?;
                rows += 1;
            }
            start = end;
        }
        let columns = columns
            .iter_mut()
            .map(Appender::finish)
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.to_arrow(), columns, &options)
            .map_err(unreadable)
    }

    fn count(&self, text: &[u8], first: bool) -> u64 {
        (self.dialect().line_ends(text).count() as u64)
            .saturating_sub((first && self.options.header).into())
    }
}

impl CsvRows {
    fn read_row(&self, line: &[u8], columns: &mut [Appender]) -> Result<()> {
        let mut cells = self.dialect().cells(line);
        for (column, field) in columns.iter_mut().zip(&self.schema.fields) {
            let Some((cell, is_quoted)) = cells.next() else {
                return Err(unreadable(format!("a line ends before `{}`", field.name)));
            };
            if !is_quoted
                && self
                    .options
                    .null
                    .iter()
                    .any(|null| null.as_bytes() == &*cell)
            {
                column.append_null();
                continue;
            }
            if !column.append(std::str::from_utf8(&cell).map_err(unreadable)?) {
                let message = format!(
                    "`{}` holds something else than a value of type {}",
                    field.name, field.logical
                );
                return Err(unreadable(message));
            }
        }
        Ok(())
    }

    fn dialect(&self) -> Dialect {
        Dialect {
            delimiter: self.options.delimiter,
            quote: self.options.quote,
        }
    }
}

/// How lines and cells are told apart in text that this wrote.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// Between two cells.
    pub delimiter: u8,
    /// Around cells that need it; doubled inside.
    pub quote: Option<u8>,
}

impl Dialect {
    /// Where each line ends, newline included: those outside quotes, of which an even number lies
    /// before each.
    pub fn line_ends(self, text: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let mut quoted = false;
        memchr::memchr2_iter(b'\n', self.quote.unwrap_or(b'\n'), text).filter_map(move |at| {
            if text[at] != b'\n' {
                quoted = !quoted;
            }
            (text[at] == b'\n' && !quoted).then_some(at + 1)
        })
    }

    /// The cells of a line, and whether each was quoted.
    pub fn cells(self, line: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, bool)> {
        let mut rest = Some(line);
        std::iter::from_fn(move || {
            let cells = rest?;
            let (length, quoted) = self.cell_length(cells);
            rest = cells.get(length + 1..);
            let cell = if quoted {
                self.unquoted(&cells[..length])
            } else {
                Cow::Borrowed(&cells[..length])
            };
            Some((cell, quoted))
        })
    }

    /// How long the first of some cells is, quotes included.
    fn cell_length(self, cells: &[u8]) -> (usize, bool) {
        let Some(quote) = self.quote.filter(|quote| cells.first() == Some(quote)) else {
            return (
                memchr::memchr(self.delimiter, cells).unwrap_or(cells.len()),
                false,
            );
        };
        let mut inside = false;
        let end = memchr::memchr2_iter(quote, self.delimiter, cells).find(|at| {
            inside ^= cells[*at] == quote;
            cells[*at] != quote && !inside
        });
        (end.unwrap_or(cells.len()), true)
    }

    fn unquoted(self, cell: &[u8]) -> Cow<'_, [u8]> {
        let quote = self.quote.unwrap_or(b'"');
        let mut rest = cell
            .get(1..cell.len().saturating_sub(1))
            .unwrap_or_default();
        if memchr::memchr(quote, rest).is_none() {
            return Cow::Borrowed(rest);
        }
        let mut text = Vec::with_capacity(rest.len());
        while let Some(at) = memchr::memchr(quote, rest) {
            text.extend_from_slice(&rest[..=at]);
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        text.extend_from_slice(rest);
        Cow::Owned(text)
    }
}
