//! The partitions of a relation: ranges of its key, of its blocks, or values of a column.
//!
//! Ranges of the first column of the key come from the statistics where there are some, else from
//! a sample, so that each holds about as many rows however skewed the keys are. They touch and do
//! not overlap, and the last ends at the greatest key of this moment, so that a table that grows is
//! not read forever. All of that is kept in the slice.

use dkhost_core::{Error, Partition, Result};
use serde_json::{Map, Value as Json, json};
use tokio_postgres::types::Type;

use super::order::{Order, Part};
use super::relation::Relation;
use super::since::one;
use crate::catalog::{Kind, Table};
use crate::fault::refusal;
use crate::name::literal;
use crate::session::Session;

/// Blocks that are sampled for the ranges of a table without statistics.
const SAMPLED_PAGES: u64 = 512;

/// What slices are made from.
pub(crate) struct Slicing<'a> {
    pub relation: &'a Relation,
    pub order: &'a Order,
    pub wanted: usize,
    pub by: Option<&'a (String, Vec<String>)>,
    /// What an incremental run reads.
    pub since: Option<&'a str>,
}

impl Slicing<'_> {
    /// The partitions, in the order of the rows.
    pub(crate) fn partitions(&self, session: &mut Session) -> Result<Vec<Partition>> {
        let mut slices = match self.order {
            Order::Key(parts) => self.by_key(session, &parts[0])?,
            Order::Ctid if self.by.is_none() => self.by_blocks(session)?,
            Order::Ctid | Order::None => vec![(self.relation.label.clone(), Map::new())],
        };
        if let Some((column, values)) = self.by {
            let whole = slices.pop().map(|(_, slice)| slice).unwrap_or_default();
            slices = self.by_values(session, column, values, &whole)?;
        }
        let finish = |(index, (label, mut slice)): (usize, (String, Map<String, Json>))| {
            if let Some(since) = self.since {
                slice.insert("since".to_owned(), json!({ "sql": since }));
            }
            Partition {
                index: index as u32,
                label,
                slice: Json::Object(slice),
            }
        };
        Ok(slices.into_iter().enumerate().map(finish).collect())
    }

    /// Ranges of the key.
    fn by_key(
        &self,
        session: &mut Session,
        part: &Part,
    ) -> Result<Vec<(String, Map<String, Json>)>> {
        let Some(table) = self
            .relation
            .table
            .as_ref()
            .filter(|table| table.kind != Kind::View)
        else {
            // Asking a view or query for its ends would run it.
            return Ok(vec![(self.relation.label.clone(), Map::new())]);
        };
        let sql = format!(
            "SELECT ({})::text FROM {} WHERE {0} IS NOT NULL ORDER BY {0} DESC LIMIT 1",
            part.sql, self.relation.from
        );
        let Some(ceiling) = one(session, &sql, "find the greatest key")? else {
            return Ok(vec![(self.relation.label.clone(), Map::new())]);
        };
        let wanted = if self.by.is_some() { 1 } else { self.wanted };
        let mut ends = self.ends(session, table, part, wanted)?;
        ends.retain(|end| *end != ceiling);
        ends.push(ceiling);
        let label = &self.relation.label;
        let mut slices = Vec::with_capacity(ends.len());
        let mut after: Option<String> = None;
        let alone = ends.len() == 1;
        for end in ends {
            let mut slice = Map::new();
            let text = match &after {
                _ if alone => label.clone(),
                Some(after) => format!("{label}, {} after {after} to {end}", part.name),
                None => format!("{label}, {} to {end}", part.name),
            };
            if let Some(after) = after {
                slice.insert("after".to_owned(), after.into());
            }
            slice.insert("through".to_owned(), end.clone().into());
            after = Some(end);
            slices.push((text, slice));
        }
        Ok(slices)
    }

    /// Where all ranges but the last end, ascending and each once.
    fn ends(
        &self,
        session: &mut Session,
        table: &Table,
        part: &Part,
        wanted: usize,
    ) -> Result<Vec<String>> {
        if wanted < 2 || table.kind == Kind::Foreign {
            return Ok(Vec::new());
        }
        let known = histogram(session, table, part)?;
        if known.len() > wanted {
            let mut ends: Vec<String> = (1..wanted)
                .map(|i| known[i * (known.len() - 1) / wanted].clone())
                .collect();
            ends.dedup();
            return Ok(ends);
        }
        let pages = pages(session, table)?.max(1);
        let percent = (SAMPLED_PAGES as f64 * 100.0 / pages as f64).min(100.0);
        let shares: Vec<String> = (1..wanted)
            .map(|i| format!("{}", i as f64 / wanted as f64))
            .collect();
        let sql = format!(
            "SELECT array(SELECT a.at::text FROM unnest(s.ends) AS a(at) WHERE a.at IS NOT NULL) \
             FROM (SELECT percentile_disc(ARRAY[{}]::float8[]) WITHIN GROUP (ORDER BY {}) AS ends \
               FROM {} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (1)) AS s",
            shares.join(", "),
            part.sql,
            self.relation.from
        );
        let rows = session.rows("sample the keys", &sql, &[])?;
        let ends: Vec<String> = texts(rows.first())?;
        sorted(session, part, &ends)
    }

    /// Ranges of blocks.
    fn by_blocks(&self, session: &mut Session) -> Result<Vec<(String, Map<String, Json>)>> {
        let whole = vec![(self.relation.label.clone(), Map::new())];
        let Some(table) = &self.relation.table else {
            return Ok(whole);
        };
        let pages = pages(session, table)?;
        let count = (self.wanted as u64).min(pages);
        if count < 2 {
            return Ok(whole);
        }
        let slice = |i: u64| {
            let (from, to) = (pages * i / count, pages * (i + 1) / count);
            let mut slice = Map::new();
            if i > 0 {
                slice.insert("from_block".to_owned(), from.into());
            }
            // The last has no end: the file may have grown before the snapshot was taken.
            if i + 1 < count {
                slice.insert("to_block".to_owned(), to.into());
            }
            (
                format!("{}, blocks {from} to {to}", self.relation.label),
                slice,
            )
        };
        Ok((0..count).map(slice).collect())
    }

    /// A slice for each value, and one for all other rows.
    fn by_values(
        &self,
        session: &mut Session,
        column: &str,
        values: &[String],
        whole: &Map<String, Json>,
    ) -> Result<Vec<(String, Map<String, Json>)>> {
        let place = self.relation.places("partitions", &[column])?;
        let column = &self.relation.columns[place[0]];
        let (operand, cast) = (column.comparable()?, column.cast()?);
        let terms: Vec<String> = values
            .iter()
            .map(|value| format!("{}::{cast}", literal(value)))
            .collect();
        distinct(session, &column.name, &column.ty.spelled, &terms)?;
        let slice = |condition: String| {
            let mut slice = whole.clone();
            slice.insert("by".to_owned(), json!({ "sql": condition }));
            slice
        };
        let mut slices: Vec<(String, Map<String, Json>)> = values
            .iter()
            .zip(&terms)
            .map(|(value, term)| {
                let label = format!("{}, {} = {value}", self.relation.label, column.name);
                (label, slice(format!("{operand} = {term}")))
            })
            .collect();
        let others = match terms.is_empty() {
            true => "true".to_owned(),
            false => format!("({operand} IN ({})) IS NOT TRUE", terms.join(", ")),
        };
        slices.push((
            format!(
                "{}, {} of any other value",
                self.relation.label, column.name
            ),
            slice(others),
        ));
        Ok(slices)
    }
}

/// Refuses values that the column cannot have, and those that are the same to it.
fn distinct(session: &mut Session, column: &str, spelled: &str, terms: &[String]) -> Result<()> {
    if terms.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT count(DISTINCT v)::text FROM (VALUES ({})) AS given(v)",
        terms.join("), (")
    );
    let count = one(session, &sql, "compare the values of `partitions`").map_err(|error| {
        match refusal(&error).is_some() && !error.class().is_retryable() {
            true => Error::config(
                "source::partition_value",
                format!("the values of `partitions` do not fit `{column}`, which is {spelled}"),
            )
            .help("write each value as the server would")
            .caused_by(error),
            false => error,
        }
    })?;
    match count == Some(terms.len().to_string()) {
        true => Ok(()),
        false => Err(Error::config(
            "source::partition_value",
            format!("two values of `partitions` are the same {spelled} to `{column}`"),
        )
        .help("name each value once, or rows would be read twice")),
    }
}

/// The bounds of equally many rows each, as the server last found them; ascending.
fn histogram(session: &mut Session, table: &Table, part: &Part) -> Result<Vec<String>> {
    let sql = "SELECT s.histogram_bounds::text::text[] FROM pg_catalog.pg_stats s \
               WHERE s.schemaname = $1 AND s.tablename = $2 AND s.attname = $3 AND s.inherited = $4";
    let inherited = table.children > 0;
    let rows = session.rows(
        "read the statistics",
        sql,
        &[
            (&table.schema, Type::TEXT),
            (&table.name, Type::TEXT),
            (&part.name, Type::TEXT),
            (&inherited, Type::BOOL),
        ],
    )?;
    let bounds = texts(rows.first())?;
    sorted(session, part, &bounds)
}

/// Values in the order of the key, each once: the statistics are in the column's own order.
fn sorted(session: &mut Session, part: &Part, values: &[String]) -> Result<Vec<String>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let collate = if part.sql.ends_with("COLLATE \"C\"") {
        " COLLATE \"C\""
    } else {
        ""
    };
    let sql = format!(
        "SELECT array(SELECT v::text FROM (SELECT DISTINCT v::{}{collate} AS v FROM unnest($1::text[]) AS given(v)) AS d \
         ORDER BY d.v{collate})",
        part.cast
    );
    let rows = session.rows("order the keys", &sql, &[(&values, Type::TEXT_ARRAY)])?;
    texts(rows.first())
}

fn texts(row: Option<&tokio_postgres::Row>) -> Result<Vec<String>> {
    let Some(row) = row else {
        return Ok(Vec::new());
    };
    let found: Option<Vec<String>> = row
        .try_get(0)
        .map_err(|cause| Error::bug("an answer that is no list of texts").caused_by(cause))?;
    Ok(found.unwrap_or_default())
}

/// Blocks of the table as it is now, partitions included.
pub(crate) fn pages(session: &mut Session, table: &Table) -> Result<u64> {
    let sql = "WITH RECURSIVE tree(oid) AS (SELECT $1::oid UNION \
                 SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree t ON t.oid = i.inhparent) \
               SELECT coalesce(sum(pg_catalog.pg_relation_size(tree.oid)), 0)::int8 FROM tree";
    let rows = session.rows(
        "measure the table",
        sql,
        &[(&i64::from(table.oid), Type::INT8)],
    )?;
    let bytes: i64 = match rows.first() {
        None => 0,
        Some(row) => row
            .try_get(0)
            .map_err(|cause| Error::bug("a size that is no number").caused_by(cause))?,
    };
    Ok(bytes.max(0) as u64 / table.page_bytes)
}
