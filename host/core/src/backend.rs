//! What a backend is: a name, the options it takes, and how to open it at either end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::text::Number;
use crate::{
    Conflict, Field, OptionSpec, Options, Predicate, Reshape, Result, Schema, Sink, Source, Stamp,
};

/// A kind of store.
pub trait Backend: Send + Sync {
    /// The word in job files: `file`.
    fn name(&self) -> &'static str;

    /// One line for `dkhost backends`.
    fn summary(&self) -> &'static str;

    /// The options of `[source]` beside the common ones: docs, linter and JSON Schema in one.
    fn source_options(&self) -> &'static [OptionSpec];

    /// The options of `[target]` beside the common ones.
    fn target_options(&self) -> &'static [OptionSpec];

    /// What a source can do beyond reading everything; nothing unless said.
    fn source_capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default()
    }

    /// What a target with these options can hold; asked before the source is opened.
    fn target_capabilities(&self, options: &Options) -> Result<Capabilities>;

    /// Opens a source: reads the sample, freezes the schema.
    fn open_source(&self, options: Options, open: &OpenSource) -> Result<Box<dyn Source>>;

    /// Opens a target for the plan's schema. Nothing is written.
    fn open_target(&self, options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>>;

    /// What the store that a `[target]` with these options names says of its records' version;
    /// `None` when it says nothing, or there is no such store. Relative paths start at `base`.
    ///
    /// *Errors* – as [`Backend::open_target`], where the store cannot be asked.
    fn stamp(&self, options: Options, base: &Path) -> Result<Option<Stamp>> {
        let _ = (options, base);
        Ok(None)
    }
}

/// What a source can do beyond reading everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceCapabilities {
    /// Checks parts of the job's filter itself ([`OpenSource::filter`]).
    pub filters: bool,
    /// Reads what changed since the last run ([`OpenSource::incremental`]).
    pub incremental: bool,
    /// Slices by the values of a column ([`OpenSource::partition_by`]).
    pub partitions_by_values: bool,
}

/// What a target can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Documents: the rest is merged into each record, so nothing can drift.
    pub documents: bool,
    /// Columns can be added during a run (`schema_drift = "evolve"`).
    pub evolves: bool,
    /// Records can only be replaced one by one: `replace-all` is refused.
    pub only_one_by_one: bool,
}

/// The bounds of a batch: bytes first, rows second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize {
    /// Rows at most.
    pub rows: usize,
    /// Bytes of decoded records at about the most; a batch holds at least one record.
    pub bytes: usize,
}

impl Default for BatchSize {
    /// 8192 rows or 8 MiB: beyond this nothing is gained.
    fn default() -> Self {
        BatchSize {
            rows: 8192,
            bytes: 8 << 20,
        }
    }
}

/// What the engine tells a source that is opened.
#[derive(Debug, Clone, Default)]
pub struct OpenSource {
    /// Relative paths start here: the folder of the job file.
    pub base: PathBuf,
    /// The bounds of a batch.
    pub batch: BatchSize,
    /// Only these columns, in this order; all of them when `None`.
    pub columns: Option<Vec<String>>,
    /// The declared key; empty for the store's own.
    pub key: Vec<String>,
    /// How many partitions are wanted; a source may give fewer or, one per file, more.
    pub partitions: usize,
    /// Whether explicit nulls are told from absent fields (the target holds documents).
    pub explicit_nulls: bool,
    /// Parts of the job's filter, all of which a record must pass; the source may check some.
    pub filter: Vec<Predicate>,
    /// Only records that changed since the last run.
    pub incremental: Option<Incremental>,
    /// A column and values: a slice for each value, and one for all other records.
    pub partition_by: Option<(String, Vec<String>)>,
    /// Whether the target takes a record a second time without harm (upsert, skip): then a source
    /// that changes while it is read may yield the changed records again.
    pub repeatable: bool,
    /// Whether the records go back to where they are read from: then a source that can keeps others
    /// from writing there until it is released, as what they write would be lost.
    pub in_place: bool,
}

/// What `incremental` asks of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Incremental {
    /// The column that grows with every change.
    pub column: String,
    /// How far before the cursor reading begins, for rows that were committed late: `10m` for a
    /// time, a number for a number; [`Lookback::parse`] reads it. The engine has checked that it can,
    /// and that it fits the column's type where that is among the columns read.
    pub lookback: Option<String>,
    /// Up to where the last run read, as [`crate::Source::cursor`] gave it; `None` reads all,
    /// records without a value included.
    pub cursor: Option<String>,
    /// For a run that is taken up again: up to where it reads, as [`crate::Source::cursor`] gave it
    /// when the run began. `None` for a run that begins, which reads up to what is there now.
    pub until: Option<String>,
}

/// What [`Incremental::lookback`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookback {
    /// For a column of dates or timestamps.
    Time(Duration),
    /// For a column of numbers: a decimal number, zero or more.
    Number(String),
}

impl Lookback {
    /// Reads `90s`, `10m`, `2h`, `1d`, `500ms`, or a plain number.
    ///
    /// *Errors* – `None` for anything else.
    pub fn parse(text: &str) -> Option<Lookback> {
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let millis = match &text[digits..] {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => {
                let number = Number::parse(text).filter(|number| !number.is_negative());
                return number.map(|_| Lookback::Number(text.to_owned()));
            }
        };
        let count: u64 = text[..digits].parse().ok()?;
        count
            .checked_mul(millis)
            .filter(|millis| *millis <= LOOKBACK_MAX_MILLIS)
            .map(|millis| Lookback::Time(Duration::from_millis(millis)))
    }
}

/// A thousand years: what is longer is a typing mistake, and no date minus it is out of range.
const LOOKBACK_MAX_MILLIS: u64 = 365_250 * 86_400_000;

/// What a document target writes for a null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nulls {
    /// `"field": null`; a field that was absent in its source stays absent.
    #[default]
    Keep,
    /// Nothing.
    Omit,
}

/// What the engine tells a target that is opened.
#[derive(Debug, Clone)]
pub struct OpenTarget {
    /// Relative paths start here: the folder of the job file.
    pub base: PathBuf,
    /// The job's name.
    pub job: String,
    /// The columns of every batch, key columns marked.
    pub schema: Schema,
    /// What happens when a record meets one with the same key.
    pub conflict: Conflict,
    /// Whether an absent target is created.
    pub create: bool,
    /// What a document target writes for a null.
    pub nulls: Nulls,
    /// Whether the content of rows that are overwritten is to be summed
    /// ([`crate::WriteReport::replaced`]): it is compared in the end.
    pub content: bool,
    /// What becomes of the store itself, when its records are brought to another version of their
    /// schema; only under `replace-all`, and carried out by [`Sink::publish`].
    pub reshape: Option<Reshape>,
}

impl OpenTarget {
    /// The key columns of the plan's schema, in key order.
    pub fn key(&self) -> Vec<&Field> {
        self.schema
            .key()
            .into_iter()
            .map(|i| &self.schema.fields[i])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookback_is_a_length_of_time_or_a_number() {
        let time = |seconds| Some(Lookback::Time(Duration::from_secs(seconds)));
        let number = |text: &str| Some(Lookback::Number(text.to_owned()));
        assert_eq!(Lookback::parse("10m"), time(600));
        assert_eq!(Lookback::parse("2h"), time(7_200));
        assert_eq!(Lookback::parse("1d"), time(86_400));
        assert_eq!(Lookback::parse("1000"), number("1000"));
        assert_eq!(Lookback::parse("0.5"), number("0.5"));
        for wrong in [
            "",
            "-1",
            "-1d",
            "m",
            "1.5h",
            "ten",
            "1 week",
            "99999999d",
            "1e999x",
        ] {
            assert_eq!(Lookback::parse(wrong), None, "{wrong}");
        }
    }
}
