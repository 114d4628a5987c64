//! SQLite as a source: a table, a view or a query, its types found from declarations and a sample.

mod decode;
mod infer;
mod knobs;
mod read;
pub(crate) mod relation;
mod rows;

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use dkhost_core::json::DecodeOptions;
use dkhost_core::source::Estimate;
use dkhost_core::{
    Batch, BatchReader, BatchSize, DeadLetter, Error, Field, OpenSource, Options, Partition,
    Position, Result, Role, Schema, Source,
};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value as Json, json};

use crate::fault::fault;
use crate::name::same;
use crate::place::Place;
use decode::{RowDecoder, TableDecoder};
use infer::{Candidates, Typed};
use read::{Query, Reader};
use relation::{Order, Relation};
use rows::{Places, Rows};

/// Rows whose values decide about types.
const SAMPLE_ROWS: usize = 10_000;

/// Bytes of values after which the sample ends: a table of films should not be read for its types.
const SAMPLE_BYTES: usize = 64 << 20;

/// Below this a database is counted rather than guessed at.
const COUNTED_BYTES: u64 = 64 << 20;

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
        Error::infrastructure(
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

    fn fingerprint(&self) -> Result<Json> {
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

fn infer(db: &Connection, relation: &Relation, columns: &[usize]) -> Result<Vec<Typed>> {
    let mut candidates: Vec<Candidates> = columns
        .iter()
        .map(|column| Candidates::new(&relation.columns[*column]))
        .collect();
    sample(db, relation, columns, &mut |value| {
        candidates
            .iter_mut()
            .enumerate()
            .for_each(|(i, candidates)| candidates.observe(value(i)));
    })?;
    let named = columns.iter().zip(candidates);
    Ok(named
        .map(|(column, candidates)| candidates.decide(&relation.columns[*column].name))
        .collect())
}

/// Shows the sample's rows to `each`.
fn sample(
    db: &Connection,
    relation: &Relation,
    columns: &[usize],
    each: &mut dyn FnMut(decode::Values<'_, '_>),
) -> Result<()> {
    // A query by key would be sorted for its sample; any rows of it will do.
    let order = if relation.is_table {
        relation.order.clone()
    } else {
        Order::None
    };
    let (sql, _) = relation.select(columns, &order, &Json::Null, &Position::start())?;
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = db.prepare(&format!("{sql} LIMIT {SAMPLE_ROWS}"))?;
        let mut rows = statement.query([])?;
        let mut bytes = 0;
        while let Some(row) = rows.next()?.filter(|_| bytes < SAMPLE_BYTES) {
            each(&|column| {
                row.get_ref(order.width() + column)
                    .unwrap_or(ValueRef::Null)
            });
            bytes += (0..columns.len())
                .map(|column| match row.get_ref(order.width() + column) {
                    Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => bytes.len(),
                    _ => 8,
                })
                .sum::<usize>();
        }
        Ok(())
    };
    read().map_err(|cause| fault(format!("read the sample of {}", relation.label), cause))
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

fn partitions(db: &Connection, relation: &Relation, wanted: usize) -> Result<Vec<Partition>> {
    let whole = Partition {
        index: 0,
        label: relation.label.clone(),
        slice: json!({}),
    };
    let Order::Rowid(rowid) = &relation.order else {
        return Ok(vec![whole]);
    };
    if wanted < 2 {
        return Ok(vec![whole]);
    }
    let (least, most) = (
        relation.ask(db, &format!("min({rowid})"))?,
        relation.ask(db, &format!("max({rowid})"))?,
    );
    let (Some(least), Some(most)) = (least, most) else {
        return Ok(vec![whole]);
    };
    let (least, span) = (i128::from(least), i128::from(most) - i128::from(least) + 1);
    let count = span.min(wanted as i128);
    // The last rowid of slice `i`. The first and the last slice are open at their ends, so that
    // together they are the whole table, whatever is added before they are read.
    let end = |i: i128| (least - 1 + span * i / count) as i64;
    let slice = |i: i128| {
        let mut slice = serde_json::Map::new();
        if i > 0 {
            slice.insert("after".to_owned(), end(i).into());
        }
        if i + 1 < count {
            slice.insert("through".to_owned(), end(i + 1).into());
        }
        let label = format!(
            "{}, rowid {} to {}",
            relation.label,
            i128::from(end(i)) + 1,
            end(i + 1)
        );
        Partition {
            index: i as u32,
            label,
            slice: Json::Object(slice),
        }
    };
    Ok((0..count).map(slice).collect())
}

fn order_notes(relation: &Relation, partitions: usize) -> Vec<String> {
    let mut notes = Vec::new();
    match &relation.order {
        Order::Rowid(_) => notes.push(format!("{} is read by rowid", relation.label)),
        Order::Key(_) => notes.push(format!("{} is read by its key ({})", relation.label, relation.key.join(", "))),
        Order::None => notes.push(format!(
            "{} has no key to go on from: a resumed run reads it from its start again, and only if nobody wrote to the database meanwhile; give `key` to avoid both",
            relation.label
        )),
    }
    notes.push(match partitions {
        1 => "rows are those of the moment the reading begins; a resumed run goes on with those of its own moment".to_owned(),
        _ => "each partition sees the rows of the moment its reading begins: let nobody write meanwhile, or read in one partition".to_owned(),
    });
    notes
}

/// How many records there are, if that is cheap to know.
fn estimate(db: &Connection, place: &Place, relation: &Relation) -> Result<Option<u64>> {
    if !relation.is_table {
        return Ok(None);
    }
    let size = std::fs::metadata(&place.path).map_or(u64::MAX, |file| file.len());
    let rows = match &relation.order {
        _ if size <= COUNTED_BYTES => relation.ask(db, "count(*)")?,
        Order::Rowid(rowid) => {
            let (least, most) = (
                relation.ask(db, &format!("min({rowid})"))?,
                relation.ask(db, &format!("max({rowid})"))?,
            );
            least
                .zip(most)
                .and_then(|(least, most)| most.checked_sub(least)?.checked_add(1))
        }
        _ => None,
    };
    Ok(rows.and_then(|rows| u64::try_from(rows).ok()))
}

/// What makes this the same source in a later process. The schema version is not in it: it also
/// changes when another table does, our own checkpoints among them.
fn fingerprint(place: &Place, relation: &Relation) -> Result<Json> {
    let file =
        std::fs::metadata(&place.path).map_err(|cause| Error::io("look at", &place.name, cause))?;
    Ok(
        json!({ "path": place.name, "device": file.dev(), "inode": file.ino(), "relation": relation.definition }),
    )
}

/// The definition as it is now; `None` for a query, which brings its own.
fn definition(db: &Connection, place: &Place, relation: &Relation) -> Result<Option<Json>> {
    if relation.definition.get("table").is_none() {
        return Ok(None);
    }
    let now = crate::catalog::Table::find(db, place, &relation.name)?;
    Ok(Some(now.map_or(
        Json::Null,
        |table| json!({ "table": table.name, "sql": table.sql }),
    )))
}

/// What changes when somebody writes to the database: the file's change counter and the log.
fn file_state(place: &Place) -> Result<Json> {
    use std::io::Read;
    let failed = |cause| Error::io("look at", &place.name, cause);
    let mut header = [0; 28];
    let mut file = std::fs::File::open(&place.path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let counter = match file.read_exact(&mut header) {
        Ok(()) => u32::from_be_bytes([header[24], header[25], header[26], header[27]]),
        Err(_) => 0,
    };
    let mut log = place.path.clone().into_os_string();
    log.push("-wal");
    let log = std::fs::metadata(log).map_or(0, |log| log.len());
    Ok(json!([length, counter, log]))
}
