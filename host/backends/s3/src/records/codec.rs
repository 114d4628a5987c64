//! Rows to the bodies of objects, and back: one JSON object each, plain or of dataknobs-data.

use arrow::array::{RecordBatch, RecordBatchOptions};
use dkhost_core::dataknobs::{Form, Reader, Writer};
use dkhost_core::json::{DecodeOptions, Decoder, Encoder, RowError};
use dkhost_core::{Error, Field, Nulls, Result, Role, Schema};

/// A row as its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// The record's id.
    pub id: String,
    /// The object's content.
    pub body: Vec<u8>,
}

/// What the objects of a target look like.
pub(crate) struct Codec {
    schema: Schema,
    /// Knows the id of a row, and the records of dataknobs.
    records: Writer,
    /// Plain documents; `None` for dataknobs.
    plain: Option<Encoder>,
}

impl Codec {
    /// For rows of a schema.
    pub(crate) fn new(schema: &Schema, nulls: Nulls, dataknobs: bool) -> Self {
        Codec {
            schema: schema.clone(),
            records: Writer::new(schema, Form::Object, nulls),
            plain: (!dataknobs).then(|| Encoder::new(schema, nulls).id_as(None)),
        }
    }

    /// Every row as its object, or why it can be none.
    pub(crate) fn encode(&self, records: &RecordBatch) -> Result<Vec<Result<Encoded, RowError>>> {
        let mut bound = self.records.bind(records)?;
        let plain = match &self.plain {
            Some(encoder) => Some(encoder.bind(records)?),
            None => None,
        };
        let one = |row: usize| {
            let id = bound.id(row).ok_or_else(|| {
                RowError::new(
                    "s3::no_id",
                    "the record has no id, and its key is made of that",
                )
            })?;
            let mut body = Vec::new();
            match &plain {
                Some(plain) => plain.row(row, &mut body)?,
                None => bound.record(row, &id, &mut body)?,
            }
            Ok(Encoded { id, body })
        };
        Ok((0..records.num_rows()).map(one).collect())
    }

    /// Objects as rows of the plan's columns, any of which may be null.
    pub(crate) fn decode<'a>(
        &self,
        objects: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<RecordBatch> {
        let is_dataknobs = self.plain.is_none();
        let options = DecodeOptions {
            explicit_nulls: true,
            bare_nan: is_dataknobs,
            ..DecodeOptions::default()
        };
        let held = self.held();
        let mut decoder = Decoder::new(&held, options);
        let mut reader = Reader::new(&self.schema);
        for (id, body) in objects {
            let pushed = match is_dataknobs {
                true => reader.record(Some(id), body).and_then(|record| {
                    decoder.push_document(record.fields, record.id, record.meta)
                }),
                false => decoder.push_document(body, Some(id), None),
            };
            pushed.map_err(|cause| unreadable(id, cause))?;
        }
        let rows = decoder.finish()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let columns = rows.columns().to_vec();
        Ok(RecordBatch::try_new_with_options(
            as_found(&self.schema).to_arrow(),
            columns,
            &options,
        )?)
    }

    /// The columns as an object holds them: metadata is a field of a plain document.
    fn held(&self) -> Schema {
        let schema = as_found(&self.schema);
        if self.plain.is_none() {
            return schema;
        }
        let field = |field: &Field| match field.role {
            Some(Role::Meta) => Field {
                role: None,
                null_is_absent: true,
                ..field.clone()
            },
            _ => field.clone(),
        };
        Schema::new(schema.fields.iter().map(field).collect())
    }
}

/// The columns as records of others have them, which may lack what the plan's never do.
fn as_found(schema: &Schema) -> Schema {
    let fields = schema.fields.iter().cloned();
    let fields = fields.map(|field| Field {
        nullable: true,
        ..field
    });
    Schema::new(fields.collect())
}

fn unreadable(id: &str, cause: RowError) -> Error {
    Error::data(
        "s3::unreadable",
        format!(
            "the record `{id}` in the target cannot be read: {}",
            cause.message
        ),
    )
    .help("it is compared before it is replaced; remove or correct it")
}
