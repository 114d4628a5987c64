//! CSV and TSV: the header, the records, the types.

mod decode;
mod infer;
mod scan;

use std::collections::HashSet;

use dkhost_core::{BatchSize, Error, Result};

pub use decode::CsvDecoder;
pub use infer::CsvInference;
pub use scan::{Cell, CsvScanner, Lines};

use super::split::Bounds;
use super::stream::{Stream, StreamSpec};
use crate::handle::Handle;
use crate::options::CsvOptions;

/// Opens a file behind its header.
///
/// *Shape* – the names of the columns, in the order of the file: those of the header, else
/// `column_1` and so on, as many as the first record has. Empty for a file without any line.
///
/// *Errors* – `csv::header` when two columns have one name, or one has none; `file::encoding`.
pub fn open(file: Handle, spec: StreamSpec, options: &CsvOptions) -> Result<(Stream, Vec<String>)> {
    let mut stream = Stream::open(
        file.again()
            .map_err(|e| Error::io("read", &spec.identity.file, e))?,
        spec.clone(),
    )?;
    let one = Bounds::of(BatchSize {
        rows: 1,
        bytes: usize::MAX,
    });
    let Some(first) = CsvScanner::new(options, None).next(&mut stream, one)? else {
        return Ok((stream, Vec::new()));
    };
    if let Some((_, error)) = first.bad.first() {
        return Err(header_error(&stream, error.to_string()));
    }
    if !options.header {
        let names = (1..=first.cells.len())
            .map(|i| format!("column_{i}"))
            .collect();
        return Ok((Stream::open(file, spec)?, names));
    }
    let names = header(&stream, &first, options)?;
    Ok((stream, names))
}

fn header(stream: &Stream, line: &Lines, options: &CsvOptions) -> Result<Vec<String>> {
    let bytes = line.records.piece.bytes();
    let mut names = Vec::with_capacity(line.cells.len());
    let mut seen = HashSet::new();
    for (i, cell) in line.cells.iter().enumerate() {
        let Ok(text) = std::str::from_utf8(cell.range().of(bytes)) else {
            return Err(header_error(
                stream,
                format!("the name of column {} is not UTF-8", i + 1),
            ));
        };
        let name = unescaped(*cell, text, options);
        if name.is_empty() {
            return Err(header_error(
                stream,
                format!("column {} has no name", i + 1),
            ));
        }
        if name.contains('\0') {
            let (column, label) = (i + 1, stream.label());
            let what = format!(
                "the name of column {column} of `{label}` has a NUL in it: is the file UTF-16?"
            );
            return Err(Error::data("file::encoding", what)
                .help("if it is, convert it first: iconv -f UTF-16LE -t UTF-8 FILE > NEW"));
        }
        if name.contains('\r') {
            return Err(header_error(
                stream,
                "lines end in bare carriage returns".to_owned(),
            ));
        }
        if !seen.insert(name.clone()) {
            return Err(header_error(
                stream,
                format!("two columns are called `{name}`"),
            ));
        }
        names.push(name);
    }
    Ok(names)
}

fn header_error(stream: &Stream, what: String) -> Error {
    Error::data(
        "csv::header",
        format!(
            "the first line of `{}` does not name its columns: {what}",
            stream.label()
        ),
    )
    .help("correct that line, or add `csv = { header = false }` if it is a record")
}

/// The text of a cell, doubled quotes made one.
pub fn unescaped(cell: Cell, text: &str, options: &CsvOptions) -> String {
    match options.quote {
        Some(quote) if cell.is_escaped() => {
            let quote = char::from(quote);
            text.replace(&format!("{quote}{quote}"), &quote.to_string())
        }
        _ => text.to_owned(),
    }
}
