//! Documents to columns, losslessly.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use super::names::{Key, Names};
use super::scan::{Kind, Scanner, Token, valid};
use super::strings::escape_inner;
use super::{RowError, Stop};
use crate::text::Appender;
use crate::text::appender::COLUMN_MAX_BYTES;
use crate::{Field, LogicalType, Result, Role, Schema};

/// How a [`Decoder`] reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Keep explicit nulls of known columns in the rest, so that they can be told from absent
    /// fields ([`crate::OpenSource::explicit_nulls`]).
    pub explicit_nulls: bool,
    /// Take Python's bare `NaN`, `Infinity` and `-Infinity` as values of float columns; elsewhere
    /// they are refused.
    pub bare_nan: bool,
    /// Drop fields the schema does not know instead of keeping them in the rest: for a source that
    /// was asked for some columns only.
    pub skip_unknown: bool,
}

/// Appends documents to columns.
///
/// ```
/// use dkhost_core::json::{DecodeOptions, Decoder};
/// use dkhost_core::{Field, LogicalType, Role, Schema};
///
/// let schema = Schema::new(vec![Field::new("n", LogicalType::Int64), Field::reserved(Role::Rest)]);
/// let mut decoder = Decoder::new(&schema, DecodeOptions::default());
/// decoder.push(br#"{"n": 1, "other": true}"#).unwrap();
/// assert!(decoder.push(br#"{"n": 1"#).is_err()); // nothing was appended
/// let records = decoder.finish().unwrap();
/// assert_eq!((records.num_rows(), records.num_columns()), (1, 2));
/// ```
#[derive(Debug)]
pub struct Decoder {
    fields: Vec<Field>,
    arrow: SchemaRef,
    columns: Vec<Appender>,
    names: Names,
    /// Column of each name.
    targets: Vec<usize>,
    /// The row in which each column was last filled, counted from 1.
    filled: Vec<u64>,
    row: u64,
    rows: usize,
    /// At most this many bytes went into any column since the last batch.
    taken: usize,
    id: Option<usize>,
    meta: Option<usize>,
    rest: Option<usize>,
    rest_row: RestRow,
    options: DecodeOptions,
}

/// The rest of the row that is being read.
#[derive(Debug, Default)]
struct RestRow {
    /// `{"a":1,"b":2`, or empty.
    text: Vec<u8>,
    /// Where the keys of unknown fields lie in it, and in the document.
    unknown: Vec<(usize, usize, usize)>,
}

impl Decoder {
    /// A decoder into the columns of `schema`, told apart by role.
    pub fn new(schema: &Schema, options: DecodeOptions) -> Self {
        let (mut names, mut targets) = (Names::new(), Vec::new());
        for (column, field) in schema.fields.iter().enumerate() {
            if field.role != Some(Role::Rest) {
                names.push(&field.name);
                targets.push(column);
            }
        }
        Decoder {
            fields: schema.fields.clone(),
            arrow: schema.to_arrow(),
            columns: schema
                .fields
                .iter()
                .map(|field| Appender::new(&field.logical))
                .collect(),
            names,
            targets,
            filled: vec![0; schema.fields.len()],
            row: 0,
            rows: 0,
            taken: 0,
            id: schema.role(Role::Id),
            meta: schema.role(Role::Meta),
            rest: schema.role(Role::Rest),
            rest_row: RestRow::default(),
            options,
        }
    }

    /// Rows taken since the last [`Decoder::finish`].
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Memory the rows take, in bytes, more or less.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Appender::value_bytes).sum()
    }

    /// Appends a document: one JSON object with nothing but whitespace around it. The id and
    /// the metadata are fields like any other here.
    ///
    /// *Errors* – nothing was appended.
    pub fn push(&mut self, object: &[u8]) -> Result<(), RowError> {
        self.push_row(object, None)
    }

    /// Appends a document whose id and metadata (a JSON object) the store gives beside its fields.
    /// A field called like one of their columns is an unknown field here.
    ///
    /// *Errors* – nothing was appended.
    pub fn push_document(
        &mut self,
        fields: &[u8],
        id: Option<&str>,
        meta: Option<&str>,
    ) -> Result<(), RowError> {
        self.push_row(fields, Some((id, meta)))
    }

    fn push_row(&mut self, object: &[u8], beside: Option<Beside<'_>>) -> Result<(), RowError> {
        self.row += 1;
        let result = self.fill(object, beside);
        match result {
            Ok(()) => self.rows += 1,
            Err(_) => self
                .columns
                .iter_mut()
                .for_each(|column| column.truncate(self.rows)),
        }
        self.rest_row.text.clear();
        self.rest_row.unknown.clear();
        result.map_err(RowError::from)
    }

    fn fill(&mut self, object: &[u8], beside: Option<Beside<'_>>) -> Result<(), Stop> {
        self.make_room(2 * object.len() + 2)?;
        let mut scanner = Scanner::of(object)?.bare_nan(self.options.bare_nan);
        let reserved = match beside {
            Some((id, meta)) => {
                self.fill_beside(id, meta)?;
                [self.id, self.meta]
            }
            None => [None; 2],
        };
        self.names.restart();
        let mut more = scanner.enter_object()?;
        while more {
            self.fill_member(&mut scanner, reserved)?;
            more = scanner.scan_comma()?;
        }
        scanner.end().map_err(Box::new)?;
        self.fill_rest()?;
        self.fill_nulls()
    }

    /// Refuses a document when a column could overflow with it.
    #[inline]
    fn make_room(&mut self, length: usize) -> Result<(), Stop> {
        self.taken += length;
        let all_fit = || self.columns.iter().all(|column| column.has_room(length));
        if self.taken < COLUMN_MAX_BYTES || all_fit() {
            return Ok(());
        }
        Err(RowError::new("json::too_large", "more text than a batch can hold").into())
    }

    #[inline]
    fn fill_member(
        &mut self,
        scanner: &mut Scanner<'_>,
        reserved: [Option<usize>; 2],
    ) -> Result<(), Stop> {
        scanner.skip_space();
        let at = scanner.position();
        let column = match self.names.scan(scanner)? {
            Key::Known(index) => self.targets[index],
            Key::Unknown(name) => return self.keep_unknown(&name, &scanner.scan_value()?, at),
        };
        if reserved.contains(&Some(column)) {
            let name = self.fields[column].name.clone();
            return self.keep_unknown(&name, &scanner.scan_value()?, at);
        }
        if self.filled[column] == self.row {
            return Err(duplicate(&self.fields[column].name, at));
        }
        self.filled[column] = self.row;
        self.fill_value(scanner, column, at)
    }

    /// Strings and numbers go straight to their column, without a token to copy about.
    #[inline(always)]
    fn fill_value(
        &mut self,
        scanner: &mut Scanner<'_>,
        column: usize,
        at: usize,
    ) -> Result<(), Stop> {
        let ahead = scanner.ahead();
        let start = scanner.position();
        let token = match ahead {
            b'"' => {
                let (inner, escaped) = scanner.scan_text()?;
                let raw = scanner.text_from(start);
                if self.columns[column].append_text(inner, escaped, raw) {
                    return Ok(());
                }
                Token {
                    kind: Kind::Text(inner, escaped),
                    raw,
                }
            }
            b'-' | b'0'..=b'9' => match scanner.scan_number() {
                Some(number) if self.columns[column].append_number(&number) => return Ok(()),
                Some(number) => Token {
                    kind: Kind::Number(number),
                    raw: number.text,
                },
                None => scanner.scan_value()?,
            },
            _ => scanner.scan_value()?,
        };
        match token.kind {
            Kind::Null => self.fill_explicit_null(column),
            Kind::Text(..) | Kind::Number(_) => self.keep_misfit(column, &token, at),
            _ if self.columns[column].append_json(&token) => Ok(()),
            _ => self.keep_misfit(column, &token, at),
        }
    }

    fn fill_beside(&mut self, id: Option<&str>, meta: Option<&str>) -> Result<(), Stop> {
        if let (Some(column), Some(id)) = (self.id, id) {
            self.filled[column] = self.row;
            if !self.columns[column].append(id) {
                return Err(self.mismatch(column, "the id"));
            }
        }
        if let (Some(column), Some(meta)) = (self.meta, meta) {
            self.filled[column] = self.row;
            if valid(meta).is_none_or(|text| !text.starts_with('{'))
                || !self.columns[column].append(meta)
            {
                return Err(self.mismatch(column, "the metadata"));
            }
        }
        Ok(())
    }

    fn fill_explicit_null(&mut self, column: usize) -> Result<(), Stop> {
        let field = &self.fields[column];
        // Without the mark a null in the column is an explicit one already.
        if self.options.explicit_nulls && self.rest.is_some() && field.null_is_absent {
            self.rest_row.add(&field.name, "null");
        }
        self.fill_null(column)
    }

    fn fill_null(&mut self, column: usize) -> Result<(), Stop> {
        let field = &self.fields[column];
        if !field.nullable {
            let message = format!("no value for `{}`, which must have one", field.name);
            return Err(RowError::new("json::missing_value", message)
                .in_column(&field.name)
                .into());
        }
        self.columns[column].append_null();
        Ok(())
    }

    fn fill_nulls(&mut self) -> Result<(), Stop> {
        for column in 0..self.columns.len() {
            if self.filled[column] != self.row {
                self.fill_null(column)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn keep_misfit(&mut self, column: usize, token: &Token<'_>, at: usize) -> Result<(), Stop> {
        let field = &self.fields[column];
        if let Kind::NotFinite(_) = token.kind {
            let message = format!("`{}` holds NaN or infinity at byte {at}", field.name);
            return Err(RowError::new("json::not_a_number", message)
                .in_column(&field.name)
                .into());
        }
        if self.rest.is_none() {
            let what = token.kind.what();
            return Err(self.mismatch(column, &format!("{what} at byte {at}")));
        }
        self.rest_row.add(&field.name, token.raw);
        self.fill_null(column)
    }

    #[cold]
    fn mismatch(&self, column: usize, what: &str) -> Stop {
        let Field { name, logical, .. } = &self.fields[column];
        let message = match logical {
            LogicalType::Utf8 => format!("`{name}` holds {what}, which is not text"),
            _ => format!("`{name}` holds {what}, which is not exactly a value of type {logical}"),
        };
        RowError::new("json::type_mismatch", message)
            .in_column(name)
            .into()
    }

    fn keep_unknown(&mut self, name: &str, token: &Token<'_>, at: usize) -> Result<(), Stop> {
        if self.options.skip_unknown {
            return Ok(());
        }
        if let Kind::NotFinite(_) = token.kind {
            let message = format!("`{name}` holds NaN or infinity at byte {at}");
            return Err(RowError::new("json::not_a_number", message)
                .in_column(name)
                .into());
        }
        if self.rest.is_none() {
            let message = format!("the field `{name}` at byte {at} is not in the schema");
            return Err(RowError::new("json::unknown_field", message)
                .in_column(name)
                .into());
        }
        let (from, to) = self.rest_row.add(name, token.raw);
        self.rest_row.unknown.push((from, to, at));
        Ok(())
    }

    fn fill_rest(&mut self) -> Result<(), Stop> {
        let Some(column) = self.rest.filter(|_| !self.rest_row.text.is_empty()) else {
            return Ok(());
        };
        self.rest_row.refuse_duplicates()?;
        self.rest_row.text.push(b'}');
        self.filled[column] = self.row;
        let Ok(text) = simdutf8::basic::from_utf8(&self.rest_row.text) else {
            return Err(RowError::new("json::not_utf8", "the rest is not UTF-8").into());
        };
        self.columns[column].append_checked_json(text);
        Ok(())
    }

    /// What was pushed since the last time, as columns of the schema.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let columns = self
            .columns
            .iter_mut()
            .map(Appender::finish)
            .collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.taken) = (0, 0);
        Ok(RecordBatch::try_new_with_options(
            self.arrow.clone(),
            columns,
            &options,
        )?)
    }
}

/// The id and the metadata a store gives beside the fields.
type Beside<'a> = (Option<&'a str>, Option<&'a str>);

impl RestRow {
    /// Adds a member; where its key lies, between the quotes.
    fn add(&mut self, name: &str, raw: &str) -> (usize, usize) {
        self.text
            .extend_from_slice(if self.text.is_empty() { b"{\"" } else { b",\"" });
        let from = self.text.len();
        escape_inner(name, &mut self.text);
        let to = self.text.len();
        self.text.extend_from_slice(b"\":");
        self.text.extend_from_slice(raw.as_bytes());
        (from, to)
    }

    fn refuse_duplicates(&mut self) -> Result<(), Stop> {
        if self.unknown.len() < 2 {
            return Ok(());
        }
        let text = &self.text;
        let key = |member: &(usize, usize, usize)| &text[member.0..member.1];
        self.unknown
            .sort_by(|a, b| key(a).cmp(key(b)).then(a.2.cmp(&b.2)));
        match self
            .unknown
            .windows(2)
            .find(|pair| key(&pair[0]) == key(&pair[1]))
        {
            Some(pair) => Err(duplicate(
                &String::from_utf8_lossy(key(&pair[1])),
                pair[1].2,
            )),
            None => Ok(()),
        }
    }
}

#[cold]
fn duplicate(name: &str, at: usize) -> Stop {
    RowError::new(
        "json::duplicate_key",
        format!("the key `{name}` comes again at byte {at}"),
    )
    .in_column(name)
    .into()
}
