//! PostgreSQL as a source: a table, a view or a query, read by COPY in one snapshot.
//!
//! | part | what it decides |
//! |---|---|
//! | [`relation`], [`columns`] | what is read, and how each column is |
//! | [`order`], [`keys`] | the order of rows, and whether they can be found again |
//! | [`slices`], [`since`], [`filter`] | which rows, in how many partitions |
//! | [`snapshot`] | the moment they are of |
//! | [`read`], [`stream`], [`rows`], [`letters`] | rows to batches, and back to what they were |
//! | [`knobs`] | rows of a dataknobs store to documents |

mod columns;
mod filter;
mod keys;
mod knobs;
mod letters;
mod order;
mod read;
mod relation;
mod rows;
mod since;
mod slices;
mod snapshot;
mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use dkhost_core::source::Estimate;
use dkhost_core::{
    Batch, BatchReader, BatchSize, DeadLetter, Error, OpenSource, Options, Partition, Position,
    Result, Schema, Source,
};
use serde_json::{Value as Json, json};

use crate::server::Server;
use crate::session::Session;
use columns::Selection;
use filter::Renderer;
use keys::Known;
use knobs::{Columns, Store};
use order::Order;
use read::{Phase, Plan, Reader};
use relation::Relation;
use since::{Since, one};
use slices::Slicing;
use snapshot::{BEGIN, Moment, Snapshots};

/// A source that is open.
pub(crate) struct PostgresSource {
    relation: Arc<Relation>,
    selection: Selection,
    /// What rows become, where they are a store's.
    store: Option<Store>,
    schema: Schema,
    order: Order,
    snapshots: Snapshots,
    /// Conditions that every row passes.
    conditions: Vec<String>,
    pushed: Vec<usize>,
    known: Known,
    partitions: Vec<Partition>,
    cursor: Option<String>,
    estimate: Estimate,
    notes: Vec<String>,
    batch: BatchSize,
    repeatable: bool,
    /// Whether the server knows no encoding, so that any bytes may be text.
    any_bytes: bool,
}

impl PostgresSource {
    /// Opens a source: finds the relation, takes the snapshot, slices it, freezes the schema.
    pub(crate) fn open(mut options: Options, open: &OpenSource) -> Result<Self> {
        let server = Server::take(&mut options, &open.base)?;
        let declared: BTreeMap<String, String> = options.take("fields")?.unwrap_or_default();
        let span = options.span_of("fields");
        let layout = crate::backend::take_layout(&mut options)?;
        let timestamps: bool = options.take("timestamps")?.unwrap_or_default();
        let (relation, encoding) = {
            let mut session = Session::open(&server)?;
            session.run("begin to read", &format!("{BEGIN}; {}", server.settings()))?;
            let relation = find_relation(&mut session, &server, &mut options, layout, open)?;
            let encoding = one(
                &mut session,
                "SELECT current_setting('server_encoding')",
                "ask for the encoding",
            )?;
            (Arc::new(relation), encoding.unwrap_or_default())
        };
        let order = Order::of(&relation)?;
        let stored = match layout {
            true => Some(Columns::of(&relation, timestamps, open, &declared)?),
            false => None,
        };
        let selection = match &stored {
            Some(stored) => stored.selection(&relation, &order, open)?,
            None => Selection::of(&relation, &order, open, &declared, span)?,
        };
        let checked = relation.clone();
        let snapshots = Snapshots::new(
            server,
            relation.lock()?,
            Box::new(move |session| checked.verify(session)),
        );
        // A filter is about fields of the documents, which have the names of other columns.
        let (conditions, pushed) = match layout {
            true => (Vec::new(), Vec::new()),
            false => push(&relation, &declared, encoding == "UTF8", open),
        };
        let found = snapshots.ask(|session, moment| {
            Found::find(session, moment, &relation, &order, &declared, open)
        })?;
        let store = match stored {
            Some(stored) => Some(
                snapshots
                    .ask(|session, _| Store::infer(session, &relation, &order, stored, open))?,
            ),
            None => None,
        };
        let mut notes = match &store {
            Some(store) => store.notes(),
            None => selection.notes.clone(),
        };
        notes.extend(found.notes);
        notes.extend(order_notes(
            &relation,
            &order,
            found.known,
            found.partitions.len(),
        ));
        Ok(PostgresSource {
            schema: match &store {
                Some(store) => store.schema.clone(),
                None => Schema::new(selection.fields.clone()),
            },
            store,
            relation,
            selection,
            order,
            snapshots,
            conditions,
            pushed,
            known: found.known,
            partitions: found.partitions,
            cursor: found.cursor,
            estimate: found.estimate,
            notes,
            batch: open.batch,
            repeatable: open.repeatable,
            any_bytes: encoding == "SQL_ASCII",
        })
    }

    /// The SELECT of the rows that pass `conditions` and everything that all rows must.
    fn select(&self, mut conditions: Vec<String>) -> String {
        conditions.extend(self.conditions.iter().cloned());
        let filter = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        format!(
            "SELECT {} FROM {}{filter}{}",
            self.selection.expressions.join(", "),
            self.relation.from,
            self.order.by()
        )
    }

    /// What is read in this moment, for a position or a slice that was made in another.
    fn phases(
        &self,
        session: &mut Session,
        moment: &Moment,
        slice: &Json,
        from: &Position,
    ) -> Result<VecDeque<Phase>> {
        let rest = Phase {
            select: self.select(self.order.rest(slice, from)?),
            catches_up: false,
        };
        let made = if from.is_start() {
            &slice["moment"]
        } else {
            &from.0["moment"]
        };
        let is_whole = from.is_start() && slice["whole"] == true;
        let by_key = matches!(self.order, Order::Key(_));
        // A partition that begins anew by its key sees every row of its own moment.
        if moment.is(made) || is_whole || (by_key && from.is_start()) || !self.relation.has_xmin() {
            return Ok(VecDeque::from([rest]));
        }
        let mut passed = self.order.passed(slice, from)?;
        passed.push(moment.since(made)?);
        let (select, repeats) = (self.select(passed.clone()), by_key && self.repeatable);
        if repeats {
            let catch_up = Phase {
                select,
                catches_up: true,
            };
            return Ok(VecDeque::from([catch_up, rest]));
        }
        let sql = format!(
            "SELECT '' FROM {} WHERE {} LIMIT 1",
            self.relation.from,
            [passed, self.conditions.clone()].concat().join(" AND ")
        );
        match one(session, &sql, "look for rows that were written since")? {
            None => Ok(VecDeque::from([rest])),
            Some(_) => Err(self.written_since(by_key)),
        }
    }

    fn written_since(&self, by_key: bool) -> Error {
        let error = Error::data(
            "source::changed",
            format!(
                "{} was written to since the run began, in places that were read already",
                self.relation.label
            ),
        );
        error.help(match by_key {
            true => "start anew with `dkhost run --no-resume`; with a target that takes records again (on_conflict = \"upsert\") the run would go on",
            false => "start anew with `dkhost run --no-resume`, or give the source a `key`",
        })
    }
}

impl Source for PostgresSource {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        Ok(self.partitions.clone())
    }

    fn fingerprint(&self, _partitions: &[Partition]) -> Result<Json> {
        Ok(self.relation.definition.clone())
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn pushed(&self) -> Vec<usize> {
        self.pushed.clone()
    }

    fn cursor(&self) -> Option<String> {
        self.cursor.clone()
    }

    fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn read(&self, partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>> {
        let slice = &partition.slice;
        let filenode = self
            .relation
            .table
            .as_ref()
            .map_or(0, |table| table.filenode);
        let kept = if from.is_start() {
            &slice["filenode"]
        } else {
            &from.0["filenode"]
        };
        if self.order == Order::Ctid && *kept != json!(filenode) {
            return Err(self.written_since(false));
        }
        let (mut session, moment) = self.snapshots.join()?;
        let doing = format!("read {}", self.relation.label);
        if let Some(settings) = self.order.settings() {
            session.run(&doing, settings)?;
        }
        if self.any_bytes {
            // Else the server would check the text and end the whole COPY at the first that is not
            // UTF-8.
            session.run(&doing, "SET LOCAL client_encoding = 'SQL_ASCII'")?;
        }
        let phases = self.phases(&mut session, &moment, slice, from)?;
        let plan = Plan {
            phases,
            layout: self.selection.layout.clone(),
            documents: self.store.as_ref().map(Store::documents),
            arrow: self.schema.to_arrow(),
            limits: self.batch,
            doing,
            from: from.clone(),
            checks_key: self.known == Known::Unproven,
            filenode,
            moment,
        };
        Ok(Box::new(Reader::open(
            session,
            plan,
            self.selection.decoder()?,
        )?))
    }

    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        match &self.store {
            Some(store) => store.decode(letters),
            None => letters::decode(&self.schema, letters),
        }
    }
}

/// What is found out in the snapshot.
struct Found {
    known: Known,
    partitions: Vec<Partition>,
    cursor: Option<String>,
    estimate: Estimate,
    notes: Vec<String>,
}

impl Found {
    fn find(
        session: &mut Session,
        moment: &Moment,
        relation: &Relation,
        order: &Order,
        declared: &BTreeMap<String, String>,
        open: &OpenSource,
    ) -> Result<Self> {
        let known = keys::prove(session, relation, order)?;
        let since = match &open.incremental {
            None => None,
            Some(wanted) => {
                let place = relation.places("incremental", &[&wanted.column])?;
                let column = columns::filterable(&relation.columns[place[0]], declared)?;
                Some(Since::find(session, relation, &column, wanted)?)
            }
        };
        let slicing = Slicing {
            relation,
            order,
            wanted: open.partitions,
            by: open.partition_by.as_ref(),
            since: since.as_ref().map(|since| since.condition.as_str()),
        };
        let mut partitions = slicing.partitions(session)?;
        let count = partitions.len();
        for partition in &mut partitions {
            // One that is read by key needs no moment to begin in; so it is the same slice in every
            // process, and a run is known again by its slices where its history is gone.
            if !matches!(order, Order::Key(_)) {
                partition.slice["moment"] = moment.to_json();
            }
            if *order == Order::Ctid {
                partition.slice["whole"] = (count == 1).into();
                partition.slice["filenode"] =
                    json!(relation.table.as_ref().map(|table| table.filenode));
            }
        }
        Ok(Found {
            known,
            partitions,
            cursor: since.as_ref().and_then(|since| since.until.clone()),
            estimate: estimate(session, relation, open)?,
            notes: since.map(|since| since.notes).unwrap_or_default(),
        })
    }
}

fn find_relation(
    session: &mut Session,
    server: &Server,
    options: &mut Options,
    layout: bool,
    open: &OpenSource,
) -> Result<Relation> {
    let (table_span, query_span) = (options.span_of("table"), options.span_of("query"));
    let table: Option<String> = options.take("table")?;
    let query: Option<String> = options.take("query")?;
    match (table, query) {
        (Some(_), Some(_)) => Err(Error::config(
            "postgres::table_and_query",
            "the source has both `table` and `query`",
        )
        .at(query_span, "one of them is needed")),
        (Some(table), None) => Relation::table(session, server, &table, table_span, open),
        (None, Some(query)) => Relation::query(session, &query, query_span, open),
        (None, None) if layout => {
            let table = crate::backend::DATAKNOBS_TABLE;
            Relation::table(session, server, table, table_span, open)
        }
        (None, None) => Err(Error::config(
            "postgres::no_table_named",
            format!("which table of {} is to be read?", server.name),
        )
        .at(options.span.clone(), "`table` or `query` is missing here")
        .help("add a line `table = \"…\"`")),
    }
}

/// The conditions that the server checks, and which parts of the job's filter they are.
fn push(
    relation: &Relation,
    declared: &BTreeMap<String, String>,
    utf8: bool,
    open: &OpenSource,
) -> (Vec<String>, Vec<usize>) {
    let columns = relation.columns.iter();
    let renderer = Renderer {
        columns: columns
            .filter_map(|column| columns::filterable(column, declared).ok())
            .collect(),
        utf8,
    };
    open.filter
        .iter()
        .enumerate()
        .filter_map(|(at, part)| Some((renderer.render(part)?, at)))
        .unzip()
}

fn estimate(session: &mut Session, relation: &Relation, open: &OpenSource) -> Result<Estimate> {
    let Some(table) = &relation.table else {
        return Ok(Estimate::default());
    };
    let bytes = slices::pages(session, table)? * table.page_bytes;
    // What is left of a filter or since a cursor is not known.
    let whole = open.filter.is_empty() && open.incremental.is_none();
    Ok(Estimate {
        records: table.rows.filter(|_| whole),
        bytes: Some(bytes).filter(|bytes| whole && *bytes > 0),
    })
}

/// What the plan says about the order of reading, and about reading on.
fn order_notes(relation: &Relation, order: &Order, known: Known, partitions: usize) -> Vec<String> {
    let label = &relation.label;
    let mut notes = Vec::new();
    match order {
        Order::Key(_) => {
            notes.push(format!("{label} is read by its key ({})", relation.key_names().join(", ")));
            if known == Known::Unproven {
                notes.push("no index says that the key is unique: that is seen while reading".to_owned());
            }
            if !relation.has_xmin() {
                notes.push(format!("a resumed run goes on in {label} as it then is: rows that came before that place meanwhile are not seen"));
            }
        }
        Order::Ctid => notes.push(format!(
            "{label} has no key and is read by its blocks: a resumed run goes on only if nobody wrote to it meanwhile, else it begins anew; give `key` to avoid that"
        )),
        Order::None => notes.push(format!(
            "{label} has no key to go on from and is read in one pass: what stops in the middle begins anew; give `key` to avoid that"
        )),
    }
    if relation
        .table
        .as_ref()
        .is_some_and(|table| table.row_security)
    {
        notes.push(format!(
            "row security hides rows of {label} from this user: only those he may see are read"
        ));
    }
    if partitions > 1 {
        notes.push(format!("{partitions} partitions are read in one snapshot"));
    }
    notes
}
