//! Opens a source: finds the relation, takes the snapshot, slices it, freezes the schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use dkhost_core::source::Estimate;
use dkhost_core::{Error, OpenSource, Options, Partition, Result, Schema, Span};
use serde_json::json;

use super::PostgresSource;
use super::columns::{self, Selection};
use super::filter::Renderer;
use super::keys::{self, Known};
use super::knobs::{Columns, Store};
use super::order::Order;
use super::relation::Relation;
use super::since::{Since, one};
use super::slices::{self, Slicing};
use super::snapshot::{BEGIN, Moment, Snapshots};
use crate::server::Server;
use crate::session::Session;

/// What the job says about the source, beside where it is.
struct Wanted {
    /// Types of columns that are read in another way.
    declared: BTreeMap<String, String>,
    declared_at: Span,
    /// Whether it is a dataknobs store, and whether its times are taken along.
    layout: bool,
    timestamps: bool,
    /// Whether it is enough to read what row security shows.
    row_security: bool,
}

impl Wanted {
    fn take(options: &mut Options) -> Result<Self> {
        Ok(Wanted {
            declared: options.take("fields")?.unwrap_or_default(),
            declared_at: options.span_of("fields"),
            layout: crate::backend::take_layout(options)?,
            timestamps: options.take("timestamps")?.unwrap_or_default(),
            row_security: options.take("row_security")?.unwrap_or_default(),
        })
    }

    /// What every transaction that reads is told: rows are either shown or the statement fails.
    fn settings(&self) -> &'static str {
        match self.row_security {
            true => "SET LOCAL row_security = on",
            false => "SET LOCAL row_security = off",
        }
    }
}

/// The relation, and what the server says about reading it.
struct There {
    relation: Arc<Relation>,
    encoding: String,
    hides_rows: bool,
}

impl There {
    fn find(
        server: &Server,
        options: &mut Options,
        wanted: &Wanted,
        open: &OpenSource,
    ) -> Result<Self> {
        let mut session = Session::open(server)?;
        session.run("begin to read", &format!("{BEGIN}; {}", server.settings()))?;
        let relation = find_relation(&mut session, server, options, wanted.layout, open)?;
        let hides_rows = relation.hides_rows(&mut session)?;
        if hides_rows && !wanted.row_security {
            return Err(rows_hidden(&relation));
        }
        let encoding = one(
            &mut session,
            "SELECT current_setting('server_encoding')",
            "ask for the encoding",
        )?;
        Ok(There {
            relation: Arc::new(relation),
            encoding: encoding.unwrap_or_default(),
            hides_rows,
        })
    }
}

fn rows_hidden(relation: &Relation) -> Error {
    Error::config(
        "postgres::rows_hidden",
        format!("row security hides rows of {} from this user", relation.label),
    )
    .help("connect as its owner or a role with BYPASSRLS, or say row_security = true in [source] if what this user may see is all that is wanted")
}

impl PostgresSource {
    /// Opens a source.
    pub(crate) fn open(mut options: Options, open: &OpenSource) -> Result<Self> {
        let server = Server::take(&mut options, &open.base)?;
        let wanted = Wanted::take(&mut options)?;
        let there = There::find(&server, &mut options, &wanted, open)?;
        let relation = there.relation.clone();
        let order = Order::of(&relation)?;
        let (stored, selection) = wanted.select(&relation, &order, open)?;
        let snapshots = Snapshots::of(server, &relation, wanted.settings(), open.in_place)?;
        // A filter is about fields of the documents, which have the names of other columns.
        let (conditions, pushed) = match wanted.layout {
            true => (Vec::new(), Vec::new()),
            false => push(&relation, &wanted.declared, there.encoding == "UTF8", open),
        };
        let found = snapshots.ask(|session, moment| {
            Found::find(session, moment, &relation, &order, &wanted.declared, open)
        })?;
        let infer = |stored| {
            snapshots.ask(|session, _| Store::infer(session, &relation, &order, stored, open))
        };
        let store = stored.map(infer).transpose()?;
        let notes = notes(&there, &selection, store.as_ref(), &order, &found);
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
            any_bytes: there.encoding == "SQL_ASCII",
        })
    }
}

impl Wanted {
    /// The columns that are read; of a store, which of its columns they are.
    fn select(
        &self,
        relation: &Relation,
        order: &Order,
        open: &OpenSource,
    ) -> Result<(Option<Columns>, Selection)> {
        if !self.layout {
            let at = self.declared_at.clone();
            let selection = Selection::of(relation, order, open, &self.declared, at)?;
            return Ok((None, selection));
        }
        let stored = Columns::of(relation, self.timestamps, open, &self.declared)?;
        let selection = stored.selection(relation, order, open)?;
        Ok((Some(stored), selection))
    }
}

/// What the plan says about the source.
fn notes(
    there: &There,
    selection: &Selection,
    store: Option<&Store>,
    order: &Order,
    found: &Found,
) -> Vec<String> {
    let mut notes = match store {
        Some(store) => store.notes(),
        None => selection.notes.clone(),
    };
    notes.extend(found.notes.iter().cloned());
    notes.extend(order_notes(&there.relation, order, found));
    if there.hides_rows {
        notes.push(format!(
            "row security hides rows of {} from this user: only those he may see are read",
            there.relation.label
        ));
    }
    notes
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
fn order_notes(relation: &Relation, order: &Order, found: &Found) -> Vec<String> {
    let label = &relation.label;
    let mut notes = Vec::new();
    match order {
        Order::Key(_) => {
            notes.push(format!("{label} is read by its key ({})", relation.key_names().join(", ")));
            if found.known == Known::Unproven {
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
    if found.partitions.len() > 1 {
        notes.push(format!(
            "{} partitions are read in one snapshot",
            found.partitions.len()
        ));
    }
    notes
}
