//! Which format a file has: by the word in the job, else by its name.

use std::fmt;
use std::path::Path;

use crate::compression::Compression;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON text holding all records: an array, an object keyed by id, or either of them
    /// somewhere inside.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// Values separated by commas.
    Csv,
    /// Values separated by tabs.
    Tsv,
    /// Apache Parquet.
    Parquet,
    /// Apache Arrow IPC, file or stream.
    Arrow,
}

impl Format {
    /// The words of the option `format`.
    pub const WORDS: &'static [&'static str] = &["json", "jsonl", "csv", "tsv", "parquet", "arrow"];

    /// The format of a word of the option `format`.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "json" => Format::Json,
            "jsonl" => Format::Jsonl,
            "csv" => Format::Csv,
            "tsv" => Format::Tsv,
            "parquet" => Format::Parquet,
            "arrow" => Format::Arrow,
            _ => return None,
        })
    }

    /// The word of the option `format`.
    pub fn word(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
        }
    }

    /// Records are documents: fields may be absent, and what the schema does not know is kept.
    pub fn is_document(self) -> bool {
        matches!(self, Format::Json | Format::Jsonl)
    }

    /// Records are lines of separated values.
    pub fn is_delimited(self) -> bool {
        matches!(self, Format::Csv | Format::Tsv)
    }

    /// The format compresses inside, and is never wrapped in gzip or zstd.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Parquet | Format::Arrow)
    }

    fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "json" => Format::Json,
            "jsonl" | "ndjson" => Format::Jsonl,
            "csv" => Format::Csv,
            "tsv" => Format::Tsv,
            "parquet" | "pq" => Format::Parquet,
            "arrow" | "feather" | "ipc" => Format::Arrow,
            _ => return None,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Json => "JSON",
            Format::Jsonl => "JSON Lines",
            Format::Csv => "CSV",
            Format::Tsv => "TSV",
            Format::Parquet => "Parquet",
            Format::Arrow => "Arrow",
        })
    }
}

/// Every extension that says a format, for help texts.
pub const EXTENSIONS: &str = ".json, .jsonl, .ndjson, .csv, .tsv, .parquet, .pq, .arrow, .feather, .ipc, each also before .gz, .zst or .zstd";

/// What a file's name says: `movies.json.gz` is JSON in gzip. Upper and lower case are one.
pub fn from_name(path: &Path) -> (Option<Format>, Compression) {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let mut stem = name.as_str();
    let mut compression = Compression::None;
    if let Some((before, last)) = name.rsplit_once('.')
        && let Some(found) = Compression::from_extension(last)
    {
        (stem, compression) = (before, found);
    }
    let format = stem
        .rsplit_once('.')
        .and_then(|(_, last)| Format::from_extension(last));
    (format, compression)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_format_and_compression() {
        let check = |name: &str, format, compression| {
            assert_eq!(from_name(Path::new(name)), (format, compression), "{name}");
        };
        check("a/movies.json", Some(Format::Json), Compression::None);
        check("MOVIES.JSONL.GZ", Some(Format::Jsonl), Compression::Gzip);
        check("x.ndjson.zst", Some(Format::Jsonl), Compression::Zstd);
        check("x.tsv.zstd", Some(Format::Tsv), Compression::Zstd);
        check("x.pq", Some(Format::Parquet), Compression::None);
        check("x.feather", Some(Format::Arrow), Compression::None);
        check("x.gz", None, Compression::Gzip);
        check("json", None, Compression::None);
        check("x.txt", None, Compression::None);
    }
}
