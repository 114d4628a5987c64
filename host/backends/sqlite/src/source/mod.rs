//! SQLite as a source: a table, a view or a query, its types found from declarations and a sample.

mod decode;
mod identity;
mod infer;
mod knobs;
mod read;
pub(crate) mod relation;
mod rows;
mod slices;

use std::sync::Arc;

use dkhost_core::json::DecodeOptions;
use dkhost_core::source::Estimate;
use dkhost_core::{
    Batch, BatchReader, BatchSize, DeadLetter, Error, Field, OpenSource, Options, Partition,
    Position, Result, Role, Schema, Source,
};
use rusqlite::Connection;
use serde_json::Value as Json;

use crate::name::same;
use crate::place::Place;
use decode::{RowDecoder, TableDecoder};
use identity::{definition, file_state, fingerprint};
use infer::{Typed, infer};
use read::{Query, Reader};
use relation::{Order, Relation};
use rows::{Places, Rows};
use slices::{estimate, order_notes, partitions};

/// A source that is open.
pub(crate) struct SqliteSource {
    place: Place,
    relation: Relation,
    /// The columns that are read, by place in the relation.
    columns: Vec<usize>,
    schema: Schema,
    decoding: Decoding,
    partitions: Vec<Partition>,
    batch: BatchSize,
    notes: Vec<String>,
    estimate: Estimate,
    fingerprint: Json,
}

/// How rows become records.
#[derive(Clone)]
enum Decoding {
    Table(Vec<Typed>),
    Dataknobs {
        timestamps: bool,
        options: DecodeOptions,
    },
}

impl SqliteSource {
    /// Opens a source: finds the table, reads the sample, freezes the schema.
    pub(crate) fn open(mut options: Options, open: &OpenSource) -> Result<Self> {
        let place = Place::take(&mut options, &open.base)?;
        let layout = crate::take_layout(&mut options)?;
        let timestamps = options.take("timestamps")?.unwrap_or(false);
        let db = place.open_to_read()?;
        let relation = find_relation(&db, &place, &mut options, layout, open)?;
        let mut notes = Vec::new();
        let (columns, schema, decoding) = if layout {
            let columns = knobs::columns(&relation)?;
            let (schema, more) = knobs::infer(&db, &relation, &columns, open, timestamps)?;
            notes.extend(more);
            let options = DecodeOptions {
                explicit_nulls: open.explicit_nulls,
                skip_unknown: open.columns.is_some(),
                ..DecodeOptions::default()
            };
            (
                columns,
                schema,
                Decoding::Dataknobs {
                    timestamps,
                    options,
                },
            )
        } else {
            let columns = chosen(&relation, open)?;
            let typed = infer(&db, &relation, &columns)?;
            notes.extend(typed.iter().filter_map(|typed| typed.note.clone()));
            (
                columns.clone(),
                schema(&relation, &columns, &typed),
                Decoding::Table(typed),
            )
        };
        let estimate = Estimate {
            records: estimate(&db, &place, &relation)?,
            bytes: None,
        };
        let partitions = partitions(&db, &relation, open.partitions)?;
        notes.extend(order_notes(&relation, partitions.len()));
        let fingerprint = fingerprint(&place, &relation)?;
        Ok(SqliteSource {
            place,
            relation,
            columns,
            schema,
            decoding,
            partitions,
            batch: open.batch,
            notes,
            estimate,
            fingerprint,
        })
    }

    fn decoder(&self) -> Box<dyn RowDecoder> {
        match &self.decoding {
            Decoding::Table(typed) => Box::new(TableDecoder::new(&self.schema, typed)),
            Decoding::Dataknobs {
                timestamps,
                options,
            } => Box::new(knobs::KnobsDecoder::new(
                &self.schema,
                *timestamps,
                *options,
            )),
        }
    }

    fn changed(&self, what: &str) -> Error {
        Error::data(
            "source::changed",
            format!(
                "{} in {} {what} since the run began",
                self.relation.label, self.place.name
            ),
        )
        .help("start anew with `dkhost run --no-resume`")
    }
}

impl Source for SqliteSource {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        Ok(self.partitions.clone())
    }

    fn fingerprint(&self, _partitions: &[Partition]) -> Result<Json> {
        Ok(self.fingerprint.clone())
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn read(&self, partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>> {
        if fingerprint(&self.place, &self.relation)? != self.fingerprint {
            return Err(self.changed("is another file"));
        }
        let db = self.place.open_to_read()?;
        if definition(&db, &self.place, &self.relation)?
            .is_some_and(|now| now != self.relation.definition)
        {
            return Err(self.changed("was altered"));
        }
        let order = self.relation.order.clone();
        let (sql, values) = self
            .relation
            .select(&self.columns, &order, &partition.slice, from)?;
        let ordinal = match (&order, from.0["row"].as_u64()) {
            (Order::None, Some(row)) => {
                let file = file_state(&self.place)?;
                if from.0["file"] != file {
                    return Err(self
                        .changed("has no key to go on from, and the database was written to")
                        .help(
                            "give the source a `key`, or start anew with `dkhost run --no-resume`",
                        ));
                }
                (row, file)
            }
            (Order::None, None) => (0, file_state(&self.place)?),
            _ => (0, Json::Null),
        };
        let query = Query {
            sql,
            values,
            order,
            limits: self.batch,
            relation: Arc::from(self.relation.name.as_str()),
            label: format!("{} in {}", self.relation.label, self.place.name),
            ordinal,
        };
        Ok(Box::new(Reader::open(db, query, self.decoder())?))
    }

    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        let mut decoder = self.decoder();
        for letter in letters {
            decoder.push_payload(&letter.payload);
        }
        let decoded = decoder.finish()?;
        let places = Places::Known(
            letters
                .iter()
                .map(|letter| letter.locator.clone())
                .collect(),
        );
        let relation = Arc::from(self.relation.name.as_str());
        Ok(Batch {
            records: decoded.records,
            origin: decoded.origin.map(Arc::from),
            source: Arc::new(Rows {
                relation,
                places,
                payloads: decoded.payloads,
            }),
            rejects: decoded.rejects,
            until: Position::start(),
            source_bytes: letters
                .iter()
                .map(|letter| letter.payload.len() as u64)
                .sum(),
        })
    }
}

fn find_relation(
    db: &Connection,
    place: &Place,
    options: &mut Options,
    layout: bool,
    open: &OpenSource,
) -> Result<Relation> {
    let (table_span, query_span) = (options.span_of("table"), options.span_of("query"));
    let table: Option<String> = options.take("table")?;
    let query: Option<String> = options.take("query")?;
    match (table, query) {
        (Some(_), Some(_)) => Err(Error::config(
            "sqlite::table_and_query",
            "the source has both `table` and `query`",
        )
        .at(query_span, "one of them is needed")),
        (Some(table), None) => Relation::table(db, place, &table, table_span, open),
        (None, Some(query)) => Relation::query(db, &query, query_span, open),
        (None, None) if layout => {
            Relation::table(db, place, crate::DATAKNOBS_TABLE, table_span, open)
        }
        (None, None) => {
            let names = crate::catalog::names(db);
            Err(Error::config(
                "sqlite::no_table_named",
                format!("which table of {} is to be read?", place.name),
            )
            .at(options.span.clone(), "`table` or `query` is missing here")
            .help(format!("the database has: {}", names.join(", "))))
        }
    }
}

/// The columns to read, by place in the relation.
fn chosen(relation: &Relation, open: &OpenSource) -> Result<Vec<usize>> {
    let Some(wanted) = &open.columns else {
        return Ok((0..relation.columns.len()).collect());
    };
    let names: Vec<&str> = relation
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let find = |name: &String| {
        let exact = names.iter().position(|known| *known == name.as_str());
        exact
            .or_else(|| names.iter().position(|known| same(known, name)))
            .ok_or_else(|| relation::no_column("columns", name, &names, &relation.label))
    };
    wanted.iter().map(find).collect()
}

fn schema(relation: &Relation, columns: &[usize], typed: &[Typed]) -> Schema {
    let mut fields: Vec<Field> = columns
        .iter()
        .zip(typed)
        .map(|(column, typed)| {
            let column = &relation.columns[*column];
            let mut field = Field::new(&column.name, typed.logical.clone());
            // Any other column can hold what its type cannot; that is null here and in the rest.
            field.nullable = !column.is_rowid;
            field.source_type =
                Some(column.declared.clone()).filter(|declared| !declared.is_empty());
            field
        })
        .collect();
    mark_key(&mut fields, &relation.key);
    let mut rest = Field::reserved(Role::Rest);
    while fields.iter().any(|field| same(&field.name, &rest.name)) {
        rest.name.push('_');
    }
    fields.push(rest);
    Schema::new(fields)
}

/// Marks the key, if all of it is read.
fn mark_key(fields: &mut [Field], key: &[String]) {
    let places: Option<Vec<usize>> = key
        .iter()
        .map(|name| fields.iter().position(|field| field.name == *name))
        .collect();
    for (place, index) in places.into_iter().flatten().enumerate() {
        fields[index].key = Some(place as u32);
    }
}
