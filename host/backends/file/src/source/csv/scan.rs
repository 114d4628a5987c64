//! Cuts separated values out of a stream: records, and the cells in them, in one pass.
//!
//! Sixty-four bytes are compared at once with the three characters that matter; what is looked at
//! one by one are only the hits. A record with the wrong number of cells, text after a closing
//! quote or a quote that is never closed is refused, and the next line is a record again: one bad
//! line never takes the rest of the file with it.
//!
//! *Source* – RFC 4180, with `\n` as well as `\r\n`, and quotes inside an unquoted cell taken as
//! they are.

use dkhost_core::json::RowError;
use dkhost_core::{BatchSize, Result};

use crate::options::CsvOptions;
use crate::source::split::{BLANK_HELD_BYTES, Bounds, Range, Records, too_long};
use crate::source::stream::{RECORD_MAX_BYTES, Stream};

/// One cell in a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    start: u32,
    /// With the two marks in its highest bits; a piece is far below 1 GiB.
    end: u32,
}

const QUOTED: u32 = 1 << 31;
const ESCAPED: u32 = 1 << 30;

impl Cell {
    /// The bytes between the quotes, if there are any.
    #[inline]
    pub fn range(self) -> Range {
        Range {
            start: self.start,
            end: self.end & !(QUOTED | ESCAPED),
        }
    }

    /// Whether it stood in quotes.
    #[inline]
    pub fn is_quoted(self) -> bool {
        self.end & QUOTED != 0
    }

    /// Whether doubled quotes in it stand for one.
    #[inline]
    pub fn is_escaped(self) -> bool {
        self.end & ESCAPED != 0
    }
}

/// The records of one batch and the cells of those that are well-formed.
#[derive(Debug, Clone)]
pub struct Lines {
    /// All records, malformed ones included.
    pub records: Records,
    /// Cells of the well-formed records, record by record.
    pub cells: Vec<Cell>,
    /// Which records are well-formed, in order.
    pub good: Vec<u32>,
    /// Which are not, and why, in order.
    pub bad: Vec<(u32, RowError)>,
}

/// Cuts records of a fixed number of cells.
#[derive(Debug, Clone, Copy)]
pub struct CsvScanner {
    delimiter: u8,
    quote: Option<u8>,
    /// Cells of a record; `None` takes any number.
    columns: Option<usize>,
}

impl CsvScanner {
    /// A scanner for records of `columns` cells, or of any number.
    pub fn new(options: &CsvOptions, columns: Option<usize>) -> Self {
        CsvScanner {
            delimiter: options.delimiter,
            quote: options.quote,
            columns,
        }
    }

    /// Cuts the next batch off the stream; `None` at its end.
    pub fn next(&self, stream: &mut Stream, bounds: Bounds) -> Result<Option<Lines>> {
        let mut scan = Scan::new(*self, bounds);
        let end = loop {
            if let Some(end) = scan.run(stream.bytes()) {
                break end;
            }
            if scan.rows.is_empty() && scan.row_start >= BLANK_HELD_BYTES {
                stream.skip(scan.drop_blanks());
            }
            let length = stream.bytes().len();
            if length - scan.row_start > RECORD_MAX_BYTES {
                if scan.state != State::Quoted {
                    return Err(too_long(stream, scan.row_start));
                }
                if scan.give_up_quote(stream.bytes()) {
                    break scan.row_start;
                }
            } else if !stream.fill()? {
                match scan.finish(stream.bytes()) {
                    Some(end) => break end,
                    None => continue,
                }
            }
        };
        let piece = stream.cut(end);
        let Scan {
            rows,
            cells,
            good,
            bad,
            ..
        } = scan;
        let records = Records {
            piece,
            rows,
            keys: Vec::new(),
        };
        Ok((!records.rows.is_empty()).then_some(Lines {
            records,
            cells,
            good,
            bad,
        }))
    }
}

impl CsvScanner {
    /// Takes records apart that were cut before, each a range of the piece.
    pub fn records(&self, records: Records) -> Lines {
        let everything = Bounds::of(BatchSize {
            rows: usize::MAX,
            bytes: usize::MAX,
        });
        let bytes = records.piece.bytes();
        let mut lines = Lines {
            cells: Vec::new(),
            good: Vec::new(),
            bad: Vec::new(),
            records: records.clone(),
        };
        for (row, range) in records.rows.iter().enumerate() {
            let mut scan = Scan::new(*self, everything);
            // A carriage return at its end is its own: what ended the line was cut off.
            let line = [range.of(bytes), b"\r\n"].concat();
            if scan.run(&line).is_none() {
                scan.finish(&line);
            }
            let moved = |cell: &Cell| Cell {
                start: cell.start + range.start,
                end: cell.end + range.start,
            };
            match (scan.rows.len(), scan.bad.pop()) {
                (1, None) => {
                    lines.good.push(row as u32);
                    lines.cells.extend(scan.cells.iter().map(moved));
                }
                (_, Some((_, error))) => lines.bad.push((row as u32, error)),
                (found, None) => {
                    let error = RowError::new(
                        "csv::cell_count",
                        format!("{found} records where one was expected"),
                    );
                    lines.bad.push((row as u32, error));
                }
            }
        }
        lines
    }
}

impl Lines {
    /// Takes a record out.
    pub fn refuse(&mut self, row: u32, error: RowError, width: usize) {
        if let Ok(at) = self.good.binary_search(&row) {
            self.good.remove(at);
            self.cells.drain(at * width..(at + 1) * width);
            self.bad.push((row, error));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In an unquoted cell or at the start of any.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote that closes, unless another follows at once.
    Closed,
}

/// A batch that is being cut. All places count from its first byte, so that they stay right when
/// more is read behind.
struct Scan {
    scanner: CsvScanner,
    bounds: Bounds,
    /// Everything before this was compared.
    at: usize,
    state: State,
    row_start: usize,
    cell_start: usize,
    /// Cells before the current record.
    row_cells: usize,
    /// Where the last quote closed, and whether doubled ones were seen before.
    closed: usize,
    escaped: bool,
    text_after_quote: bool,
    rows: Vec<Range>,
    cells: Vec<Cell>,
    good: Vec<u32>,
    bad: Vec<(u32, RowError)>,
}

impl Scan {
    fn new(scanner: CsvScanner, bounds: Bounds) -> Self {
        Scan {
            scanner,
            bounds,
            at: 0,
            state: State::Plain,
            row_start: 0,
            cell_start: 0,
            row_cells: 0,
            closed: 0,
            escaped: false,
            text_after_quote: false,
            rows: Vec::new(),
            cells: Vec::new(),
            good: Vec::new(),
            bad: Vec::new(),
        }
    }

    /// Nothing but blank lines so far: how many bytes need not be held. All places move.
    #[cold]
    fn drop_blanks(&mut self) -> usize {
        let blank = self.row_start;
        self.at -= blank;
        self.cell_start -= blank;
        self.closed = self.closed.saturating_sub(blank);
        self.row_start = 0;
        blank
    }

    /// Goes through the bytes that were not compared yet; where the batch ends, if it does.
    fn run(&mut self, bytes: &[u8]) -> Option<usize> {
        let delimiter = self.scanner.delimiter;
        let quote = self.scanner.quote.unwrap_or(delimiter);
        while self.at < bytes.len() {
            let start = self.at;
            let mut hits = match bytes[start..].first_chunk::<64>() {
                Some(block) => hits(block, delimiter, quote),
                None => {
                    let mut block = [0; 64];
                    block[..bytes.len() - start].copy_from_slice(&bytes[start..]);
                    hits(&block, delimiter, quote)
                }
            };
            self.at = bytes.len().min(start + 64);
            while hits != 0 {
                let place = start + hits.trailing_zeros() as usize;
                hits &= hits - 1;
                if self.hit(bytes, place) {
                    return Some(self.row_start);
                }
            }
        }
        None
    }

    /// Looks at one character that matters; true when the batch is complete.
    #[inline]
    fn hit(&mut self, bytes: &[u8], place: usize) -> bool {
        let byte = bytes[place];
        match self.state {
            State::Plain if byte == self.scanner.delimiter => {
                self.push_cell(place, 0);
                self.cell_start = place + 1;
            }
            State::Plain if byte == b'\n' => return self.end_row(bytes, place, place + 1),
            State::Plain if place == self.cell_start => self.state = State::Quoted,
            State::Plain => (),
            State::Quoted if Some(byte) == self.scanner.quote => {
                self.state = State::Closed;
                self.closed = place;
            }
            State::Quoted => (),
            State::Closed if byte == self.scanner.delimiter => {
                self.push_quoted(place);
                self.cell_start = place + 1;
            }
            State::Closed if byte == b'\n' => return self.end_row(bytes, place, place + 1),
            State::Closed if place == self.closed + 1 => {
                self.escaped = true;
                self.state = State::Quoted;
            }
            State::Closed => self.text_after_quote = true,
        }
        false
    }

    #[inline]
    fn push_cell(&mut self, end: usize, marks: u32) {
        self.cells.push(Cell {
            start: self.cell_start as u32,
            end: end as u32 | marks,
        });
    }

    /// Ends a quoted cell whose record or delimiter comes at `place`.
    fn push_quoted(&mut self, place: usize) {
        self.text_after_quote |= place != self.closed + 1;
        self.cell_start += 1;
        self.push_cell(
            self.closed,
            if self.escaped {
                QUOTED | ESCAPED
            } else {
                QUOTED
            },
        );
        self.escaped = false;
        self.state = State::Plain;
    }

    /// Ends the record at `end`; the next begins at `next`. True when the batch is complete.
    fn end_row(&mut self, bytes: &[u8], end: usize, next: usize) -> bool {
        let returned = end > self.cell_start && bytes[end - 1] == b'\r';
        let end = if returned { end - 1 } else { end };
        let blank = self.state == State::Plain && end == self.row_start;
        // In a file of one column an empty line is a record whose only cell is empty.
        if blank && self.scanner.columns != Some(1) {
            (self.row_start, self.cell_start) = (next, next);
            return self.bounds.are_reached(self.rows.len(), next);
        }
        match self.state {
            State::Closed => self.push_quoted(end),
            _ => self.push_cell(end, 0),
        }
        if self.bounds.exclude(self.rows.len(), end) {
            self.cells.truncate(self.row_cells);
            return true;
        }
        match self.trouble(&bytes[self.row_start..end]) {
            Some(error) => self.refuse(error),
            None => self.good.push(self.rows.len() as u32),
        }
        self.close_row(end, next)
    }

    fn close_row(&mut self, end: usize, next: usize) -> bool {
        self.rows.push(Range::new(self.row_start, end));
        self.row_cells = self.cells.len();
        (self.row_start, self.cell_start) = (next, next);
        self.bounds.are_reached(self.rows.len(), next)
    }

    fn trouble(&mut self, record: &[u8]) -> Option<RowError> {
        if std::mem::take(&mut self.text_after_quote) {
            let what = "text follows a closing quote; a quote inside quotes is doubled";
            return Some(RowError::new(
                "csv::text_after_quote",
                format!("{what}{}", hint(record)),
            ));
        }
        let found = self.cells.len() - self.row_cells;
        match self.scanner.columns {
            Some(wanted) if found != wanted => Some(RowError::new(
                "csv::cell_count",
                format!(
                    "{found} {} where {wanted} {} expected{}",
                    if found == 1 { "cell" } else { "cells" },
                    if wanted == 1 { "was" } else { "were" },
                    hint(record)
                ),
            )),
            _ => None,
        }
    }

    #[cold]
    fn refuse(&mut self, error: RowError) {
        self.cells.truncate(self.row_cells);
        self.bad.push((self.rows.len() as u32, error));
    }

    /// The end of the stream: where the batch ends, or `None` if there is more to go through.
    fn finish(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.state == State::Quoted {
            return match self.give_up_quote(bytes) {
                true => Some(self.row_start),
                false => None,
            };
        }
        if self.row_start < bytes.len() {
            self.end_row(bytes, bytes.len(), bytes.len());
        }
        Some(self.row_start)
    }

    /// A quote that is not closed: refuses the record up to the end of the line on which it
    /// opened, and goes on after that. True when the batch is complete.
    #[cold]
    fn give_up_quote(&mut self, bytes: &[u8]) -> bool {
        let end = memchr::memchr(b'\n', &bytes[self.cell_start..]).map(|at| self.cell_start + at);
        let next = end.map_or(bytes.len(), |end| end + 1);
        let end = end.unwrap_or(bytes.len());
        self.state = State::Plain;
        (self.escaped, self.text_after_quote) = (false, false);
        let end = if bytes[..end].ends_with(b"\r") {
            end - 1
        } else {
            end
        };
        self.at = next;
        if self.bounds.exclude(self.rows.len(), end) {
            self.cells.truncate(self.row_cells);
            return true;
        }
        self.refuse(RowError::new(
            "csv::unclosed_quote",
            "a quote is opened on this line and never closed",
        ));
        self.close_row(end, next)
    }
}

/// What may have made one record of several: quotes that hold line ends, line ends that are none.
#[cold]
fn hint(record: &[u8]) -> String {
    let lines = memchr::memchr_iter(b'\n', record).count() + 1;
    let returns = record
        .windows(2)
        .filter(|two| two[0] == b'\r' && two[1] != b'\n')
        .count();
    match (lines, returns) {
        (2.., _) => {
            format!("; the record goes over {lines} lines: was a quote on the first never closed?")
        }
        (_, 1..) => "; it holds bare carriage returns, which do not end a line".to_owned(),
        _ => String::new(),
    }
}

/// One bit for each byte that is a delimiter, a quote or the end of a line.
#[inline]
fn hits(block: &[u8; 64], delimiter: u8, quote: u8) -> u64 {
    let mut flags = [0u8; 64];
    for (flag, byte) in flags.iter_mut().zip(block) {
        *flag = u8::from(*byte == delimiter) | u8::from(*byte == quote) | u8::from(*byte == b'\n');
    }
    let mut hits = 0;
    for (i, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        // Moves the lowest bit of each of eight bytes into one byte.
        let bits = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        hits |= bits << (8 * i);
    }
    hits
}
