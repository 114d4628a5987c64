//! The keys of `[source]` and `[target]` for files, read once into types.
//!
//! The lists of [`OptionSpec`] are the documentation, the linter and the JSON Schema of these
//! keys; [`SourceOptions::read`] and [`TargetOptions::read`] consume every one of them.

use dkhost_core::options::unknown_key;
use dkhost_core::{
    Error, LogicalType, Node, NodeKind, OptionSpec, OptionType, Options, Result, Span,
};

use crate::compression::Compression;
use crate::format::{self, Format};

const PATH: OptionSpec = OptionSpec::required(
    "path",
    OptionType::Text,
    "the file; for a source also a folder (all files of known formats) or a glob (`logs/*.jsonl.gz`); relative to the job file",
);
const FORMAT: OptionSpec = OptionSpec::optional(
    "format",
    OptionType::Word(Format::WORDS),
    "the format, where the extension does not say it",
);
const COMPRESSION: OptionSpec = OptionSpec::optional(
    "compression",
    OptionType::Word(Compression::WORDS),
    "around JSON, CSV and TSV: by default what the extension says, and checked against the file's first bytes; a Parquet or Arrow target compresses inside",
);
const CSV: OptionSpec = OptionSpec::optional(
    "csv",
    OptionType::Table,
    "`{ delimiter = \",\", quote = '\"', header = true, null = [\"\"] }`: `null` lists the unquoted cells that are null; a quoted cell never is",
);
const LAYOUT: OptionSpec = OptionSpec::optional(
    "layout",
    OptionType::Word(&["dataknobs"]),
    "`dataknobs`: a store of the Python package dataknobs-data",
);

/// The keys of `[source]`.
pub const SOURCE_OPTIONS: &[OptionSpec] = &[
    PATH,
    FORMAT,
    COMPRESSION,
    OptionSpec::optional(
        "records",
        OptionType::Text,
        "for JSON: a JSON pointer to the array or object that holds the records, `/features`; by default the whole text",
    ),
    OptionSpec::optional(
        "id",
        OptionType::Text,
        "the field that is the record's id, for targets that have one",
    ),
    CSV,
    OptionSpec::optional(
        "fields",
        OptionType::TextTable,
        "declared types, `{ price = \"decimal(10, 2)\", born = \"date32\" }`; the others are inferred",
    ),
    OptionSpec::optional(
        "infer",
        OptionType::Integer,
        "how many records types are inferred from; 10000 by default",
    ),
    LAYOUT,
];

/// The keys of `[target]`.
pub const TARGET_OPTIONS: &[OptionSpec] = &[PATH, FORMAT, COMPRESSION, CSV, LAYOUT];

/// Who lays the records out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Records as everybody writes them.
    Plain,
    /// A store of the Python package dataknobs-data.
    Dataknobs,
}

/// How separated values are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// Between two cells; one ASCII byte.
    pub delimiter: u8,
    /// Around a cell that needs it; `None` when cells are never quoted.
    pub quote: Option<u8>,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Unquoted cells that are null; the first is the one that is written.
    pub null: Vec<String>,
}

impl CsvOptions {
    /// What is usual for a format.
    pub fn of(format: Format) -> Self {
        let delimiter = if format == Format::Tsv { b'\t' } else { b',' };
        CsvOptions {
            delimiter,
            quote: Some(b'"'),
            header: true,
            null: vec![String::new()],
        }
    }
}

/// What both ends have in common.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// As the job says it.
    pub path: String,
    /// Where it says so.
    pub path_span: Span,
    /// The word of `format`.
    pub format: Option<Format>,
    /// Where the format stands, else where the path stands.
    pub format_span: Span,
    /// The word of `compression`.
    pub compression: Option<Compression>,
    /// Where the compression stands, else where the path stands.
    pub compression_span: Span,
    /// The table `csv`; read with [`FileOptions::csv`] once the format is known.
    csv: Option<Node>,
    /// The word of `layout`.
    pub layout: Layout,
}

impl FileOptions {
    fn read(options: &mut Options) -> Result<Self> {
        let path_span = options.span_of("path");
        let path: String = options.require("path")?;
        if path.is_empty() {
            return Err(
                Error::config("file::no_path", "`path` is empty").at(path_span, "name a file")
            );
        }
        Self::read_at(options, path, path_span)
    }

    /// Consumes the keys that say what a file is; where it is, others say.
    pub fn read_at(options: &mut Options, path: String, path_span: Span) -> Result<Self> {
        let or_path =
            |span: Option<&Node>| span.map_or(path_span.clone(), |node| node.span.clone());
        let format_span = or_path(options.get("format"));
        let compression_span = or_path(options.get("compression"));
        let format = word(options, "format", Format::WORDS)?.and_then(|w| Format::from_word(&w));
        let compression = word(options, "compression", Compression::WORDS)?
            .and_then(|w| Compression::from_word(&w));
        let layout = match word(options, "layout", &["dataknobs"])? {
            Some(_) => Layout::Dataknobs,
            None => Layout::Plain,
        };
        let csv = options.take_node("csv");
        Ok(FileOptions {
            path,
            path_span,
            format,
            format_span,
            compression,
            compression_span,
            csv,
            layout,
        })
    }

    /// The format and compression of a file with this name.
    ///
    /// *Errors* – `file::unknown_format` when neither the job nor the name says one.
    pub fn format_of(&self, path: &std::path::Path) -> Result<(Format, Compression)> {
        let (by_name, compression) = format::from_name(path);
        let Some(format) = self.format.or(by_name) else {
            return Err(Error::config(
                "file::unknown_format",
                format!("the name of `{}` does not say its format", path.display()),
            )
            .at(self.path_span.clone(), "no known extension")
            .help(format!(
                "say it with `format` ({}), or use one of {}",
                Format::WORDS.join(", "),
                format::EXTENSIONS
            )));
        };
        Ok((format, self.compression.unwrap_or(compression)))
    }

    /// The table `csv` over what is usual for `format`.
    ///
    /// *Errors* – if the table is there and the format has no use for it.
    pub fn csv(&self, format: Format) -> Result<CsvOptions> {
        let mut usual = CsvOptions::of(format);
        if self.layout == Layout::Dataknobs {
            // What dataknobs-data calls `.tsv` has commas.
            usual.delimiter = b',';
        }
        match &self.csv {
            None => Ok(usual),
            Some(node) if !format.is_delimited() => {
                Err(not_for("csv", &node.span, format, "CSV and TSV"))
            }
            Some(node) => read_csv(usual, node),
        }
    }
}

/// The keys of `[source]`, read.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// What both ends have in common.
    pub file: FileOptions,
    /// JSON pointer to the records, and where it stands.
    pub records: Option<(String, Span)>,
    /// The field that is the id, and where it stands.
    pub id: Option<(String, Span)>,
    /// Declared types, in the order written, and where their names stand.
    pub fields: Vec<(String, LogicalType, Span)>,
    /// How many records types are inferred from.
    pub infer: usize,
}

impl SourceOptions {
    /// A sample is kept in memory; a larger one is no sample.
    const INFER_MAX: i64 = 10_000_000;

    /// Records types are inferred from unless the job says otherwise.
    pub const INFER_RECORDS: usize = 10_000;

    /// Consumes the keys of `[source]`.
    pub fn read(mut options: Options) -> Result<Self> {
        let file = FileOptions::read(&mut options)?;
        Self::read_with(options, file)
    }

    /// Consumes the other keys of `[source]`.
    pub fn read_with(mut options: Options, file: FileOptions) -> Result<Self> {
        let infer_span = options.span_of("infer");
        let infer = match options.take::<i64>("infer")? {
            None => Self::INFER_RECORDS,
            Some(n @ 1..=Self::INFER_MAX) => n as usize,
            Some(n) => {
                let bound = match n {
                    ..1 => "at least 1".to_owned(),
                    _ => format!("at most {}", Self::INFER_MAX),
                };
                return Err(
                    Error::config("job::wrong_value", format!("`infer` must be {bound}"))
                        .at(infer_span, "types are inferred from this many records")
                        .help("leave it out for 10000"),
                );
            }
        };
        Ok(SourceOptions {
            records: take_with_span(&mut options, "records")?,
            id: take_with_span(&mut options, "id")?,
            fields: read_fields(&mut options)?,
            file,
            infer,
        })
    }
}

/// The keys of `[target]`, read.
#[derive(Debug, Clone)]
pub struct TargetOptions {
    /// What both ends have in common.
    pub file: FileOptions,
}

impl TargetOptions {
    /// Consumes the keys of `[target]`.
    pub fn read(mut options: Options) -> Result<Self> {
        Ok(TargetOptions {
            file: FileOptions::read(&mut options)?,
        })
    }
}

/// The error for a key that a format has no use for.
pub fn not_for(key: &str, span: &Span, format: Format, only: &str) -> Error {
    Error::config(
        "file::not_for_format",
        format!("`{key}` means nothing for {format}"),
    )
    .at(span.clone(), format!("only for {only}"))
    .help(format!(
        "remove `{key}`, or say `format` if this file is something else"
    ))
}

fn take_with_span(options: &mut Options, name: &str) -> Result<Option<(String, Span)>> {
    let span = options.span_of(name);
    Ok(options.take::<String>(name)?.map(|text| (text, span)))
}

fn word(
    options: &mut Options,
    name: &str,
    known: &'static [&'static str],
) -> Result<Option<String>> {
    let span = options.span_of(name);
    let Some(word) = options.take::<String>(name)? else {
        return Ok(None);
    };
    if known.contains(&word.as_str()) {
        return Ok(Some(word));
    }
    let label = match dkhost_core::error::nearest(&word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("not one of {}", known.join(", ")),
    };
    Err(
        Error::config("job::wrong_value", format!("`{name}` cannot be `{word}`"))
            .at(span, label)
            .help(format!("`{name}` is one of {}", known.join(", "))),
    )
}

fn read_fields(options: &mut Options) -> Result<Vec<(String, LogicalType, Span)>> {
    let Some(node) = options.take_node("fields") else {
        return Ok(Vec::new());
    };
    let NodeKind::Table(entries) = node.kind else {
        return Err(
            Error::config("job::wrong_type", "`fields` must be a table of types")
                .at(node.span.clone(), format!("this is {}", node.what()))
                .help("write `fields = { price = \"decimal(10, 2)\", born = \"date32\" }`"),
        );
    };
    let read = |(name, key_span, node): (String, Span, Node)| {
        let text: String = node.parse(&format!("fields.{name}"))?;
        let logical = text.parse::<LogicalType>().map_err(|message| {
            Error::config("job::wrong_value", message)
                .at(node.span.clone(), format!("the type of `{name}`"))
        })?;
        Ok((name, logical, key_span))
    };
    entries.into_iter().map(read).collect()
}

const CSV_KEYS: &[&str] = &["delimiter", "quote", "header", "null"];

fn read_csv(mut csv: CsvOptions, node: &Node) -> Result<CsvOptions> {
    let mut table = Options::new("`csv`", node.clone())?;
    if let Some((key, span)) = table.keys().find(|(key, _)| !CSV_KEYS.contains(key)) {
        return Err(unknown_key("`csv`", key, span, CSV_KEYS.iter().copied()));
    }
    let delimiter_span = table.span_of("delimiter");
    if let Some(text) = table.take::<String>("delimiter")? {
        csv.delimiter = one_byte("delimiter", &text, delimiter_span)?;
    }
    let quote_span = table.span_of("quote");
    if let Some(text) = table.take::<String>("quote")? {
        csv.quote = if text.is_empty() {
            None
        } else {
            Some(one_byte("quote", &text, quote_span.clone())?)
        };
    }
    if csv.quote == Some(csv.delimiter) {
        return Err(Error::config(
            "job::wrong_value",
            "`delimiter` and `quote` are the same character",
        )
        .at(quote_span, "choose another one"));
    }
    csv.header = table.take("header")?.unwrap_or(csv.header);
    if let Some(node) = table.take_node("null") {
        csv.null = match node.kind {
            NodeKind::Text(text) => vec![text],
            _ => node.parse("null")?,
        };
    }
    Ok(csv)
}

fn one_byte(name: &str, text: &str, span: Span) -> Result<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
        _ => Err(Error::config(
            "job::wrong_value",
            format!("`{name}` must be one ASCII character"),
        )
        .at(span, "not one character")
        .help("for a tab write \"\\t\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source(value: serde_json::Value) -> Result<SourceOptions> {
        SourceOptions::read(Options::from_json("[source]", &value)?)
    }

    fn refused(value: serde_json::Value) -> String {
        let error = source(value)
            .and_then(|s| s.file.csv(Format::Csv).map(|_| s))
            .unwrap_err();
        match error.place() {
            Some((_, label)) => format!("{error} ({label})"),
            None => error.to_string(),
        }
    }

    #[test]
    fn declared_types_are_read_in_the_order_written() {
        let options =
            source(json!({"path": "x.csv", "fields": {"b": "date32", "a": "decimal(10,2)"}}))
                .unwrap();
        let fields: Vec<_> = options
            .fields
            .iter()
            .map(|(name, ty, _)| format!("{name} {ty}"))
            .collect();
        assert_eq!(fields, ["b date32", "a decimal(10, 2)"]);
    }

    #[test]
    fn csv_options_replace_what_is_usual() {
        let options = source(json!({"path": "x.csv", "csv": {"delimiter": ";", "quote": "", "header": false, "null": ["", "NA"]}})).unwrap();
        let csv = options.file.csv(Format::Csv).unwrap();
        assert_eq!(
            csv,
            CsvOptions {
                delimiter: b';',
                quote: None,
                header: false,
                null: vec!["".into(), "NA".into()]
            }
        );
        assert_eq!(
            source(json!({"path": "x"}))
                .unwrap()
                .file
                .csv(Format::Tsv)
                .unwrap()
                .delimiter,
            b'\t'
        );
    }

    #[test]
    fn wrong_values_name_what_is_meant() {
        assert_eq!(
            refused(json!({"path": "x", "format": "jsnol"})),
            "`format` cannot be `jsnol` (did you mean `jsonl`?)"
        );
        assert_eq!(
            refused(json!({"path": "x", "csv": {"delimeter": ";"}})),
            "`csv` has no key `delimeter` (did you mean `delimiter`?)"
        );
        assert_eq!(
            refused(json!({"path": "x", "csv": {"delimiter": "||"}})),
            "`delimiter` must be one ASCII character (not one character)"
        );
        assert_eq!(
            refused(json!({"path": "x", "fields": {"a": "string"}})),
            "unknown type `string`; did you mean `utf8`? (the type of `a`)"
        );
        assert_eq!(
            refused(json!({"path": "x", "infer": 0})),
            "`infer` must be at least 1 (types are inferred from this many records)"
        );
        assert_eq!(
            source(json!({"path": "x", "csv": {}}))
                .unwrap()
                .file
                .csv(Format::Json)
                .unwrap_err()
                .code(),
            "file::not_for_format"
        );
    }
}
