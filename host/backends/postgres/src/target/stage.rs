//! Writes one batch inside an open transaction, and says what became of every row.
//!
//! ```text
//! nothing to convert, no keys to meet:   COPY → table
//! otherwise:                             COPY → temporary table → INSERT … SELECT → table
//! the server refuses a row:              back to the savepoint, then [`culprits`]
//! ```
//!
//! Errors leave the savepoint open: the writer goes back to it.

use std::collections::HashMap;

use arrow::array::{AsArray, RecordBatch};
use dkhost_core::content::row_hashes;
use dkhost_core::{
    Class, Conflict, ContentSum, Error, Outcome, Outcomes, Result, RowReject, WriteReport, fail,
};

use super::culprits;
use super::halves;
use super::keys;
use super::scan;
use super::shape::{BATCH, Shape};
use super::{Target, columns};
use crate::copy::{Encoder, Wire};
use crate::fault::refusal;
use crate::session::Session;

/// Checks at once what a trigger of the table had put off to the end of the transaction, where it
/// could not be told any more which row is refused.
pub(super) const CHECK_NOW: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// A batch on its way into the table.
pub(super) struct Stage<'a> {
    pub session: &'a mut Session,
    pub target: &'a Target,
    pub shape: &'a Shape,
    pub records: &'a RecordBatch,
    /// `write to table `people` in crm on db:5432`.
    pub doing: &'a str,
    /// Where this batch's outcomes are gathered.
    pub fates: Fates,
    /// Whether its rows are known to have different keys.
    apart: bool,
}

/// What became of the rows of a batch.
#[derive(Clone)]
pub(super) struct Fates {
    pub outcomes: Vec<Outcome>,
    pub rejects: Vec<RowReject>,
    /// Rows that took another's place.
    pub replaced: Vec<usize>,
    pub replaced_rows: u64,
}

impl Fates {
    fn new(rows: usize) -> Self {
        Fates {
            outcomes: vec![Outcome::Written; rows],
            rejects: Vec::new(),
            replaced: Vec::new(),
            replaced_rows: 0,
        }
    }

    /// Puts a refused row down.
    pub(super) fn reject(&mut self, reject: RowReject) {
        self.outcomes[reject.row as usize] = Outcome::Rejected;
        self.rejects.push(reject);
    }
}

/// How the batch before this one went: one that was refused is not tried the short way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Way {
    /// COPY into the table.
    #[default]
    Short,
    /// By the temporary table.
    Long,
}

/// Writes `stage.records`; `way` says how to begin, and is changed for the next batch.
pub(super) fn write(
    session: &mut Session,
    target: &Target,
    shape: &Shape,
    records: &RecordBatch,
    way: &mut Way,
) -> Result<WriteReport> {
    let doing = format!("write to {}", target.label());
    let mut stage = Stage {
        session,
        target,
        shape,
        records,
        doing: &doing,
        fates: Fates::new(records.num_rows()),
        apart: shape.tells_keys && keys::are_apart(&records.project(&shape.key)?)?,
    };
    columns::guard(shape, records, &mut stage.fates);
    let begin = std::mem::take(way);
    if shape.direct && begin == Way::Short && stage.straight()? {
        return Ok(stage.report(ContentSum::default()));
    }
    let mut replaced = ContentSum::default();
    let went_well = stage.by_batch_table(&mut replaced)?;
    *way = if went_well { Way::Short } else { Way::Long };
    Ok(stage.report(replaced))
}

impl Stage<'_> {
    /// Rows that are not refused yet.
    fn kept(&self) -> Vec<bool> {
        let kept = |outcome: &Outcome| *outcome != Outcome::Rejected;
        self.fates.outcomes.iter().map(kept).collect()
    }

    /// Rows that are refused already.
    pub(super) fn skipped(&self) -> Vec<bool> {
        self.kept().iter().map(|kept| !kept).collect()
    }

    /// COPY into the table; false if the server refused a row, and nothing was written.
    fn straight(&mut self) -> Result<bool> {
        let refused_here = self.fates.rejects.len();
        let skip = self.skipped();
        let mut data = Vec::new();
        let refused = Encoder::new(&self.shape.wires).encode(self.records, &skip, &mut data)?;
        refused.into_iter().for_each(|row| self.fates.reject(row));
        let rows = self.records.num_rows() - self.fates.rejects.len();
        let sql = self.shape.copy_direct();
        let copied = self
            .session
            .copy_in(self.doing, &sql, data.into())
            .and_then(|written| {
                if self.shape.has_triggers {
                    self.session.run(self.doing, CHECK_NOW)?;
                }
                Ok(written)
            });
        match copied {
            Ok(written) if written == rows as u64 => Ok(true),
            Err(error) if !is_about_a_row(&error) => Err(error),
            // Refused, or a trigger kept rows out and does not say which.
            _ => {
                self.fates.rejects.truncate(refused_here);
                self.session.run(self.doing, "ROLLBACK TO batch")?;
                self.fates = Fates::new(self.records.num_rows());
                columns::guard(self.shape, self.records, &mut self.fates);
                Ok(false)
            }
        }
    }

    /// By the temporary table; false if the server refused a row.
    fn by_batch_table(&mut self, replaced: &mut ContentSum) -> Result<bool> {
        let create = format!("{}; SAVEPOINT merge", self.shape.create_batch());
        self.session.run(self.doing, &create)?;
        let mut went_well = self.copy_to_batch_table()?;
        fail::point("postgres.write.copied")?;
        self.session.run(self.doing, "SAVEPOINT merge")?;
        went_well &= self.drop_changed()?;
        let mut old = self.lock_old();
        if let Err(error) = old {
            went_well = false;
            self.drop_unreadable(error)?;
            old = self.lock_old();
        }
        let old = old?;
        let before = self.fates.clone();
        let merged = self.merge().and_then(|all| {
            if all {
                self.drop_batch()?;
            }
            Ok(all)
        });
        match merged {
            Ok(true) => {}
            outcome => {
                went_well = false;
                self.fates = before;
                if let Err(error) = outcome
                    && !is_about_a_row(&error)
                {
                    self.drop_unreadable(error)?;
                }
                self.session.run(self.doing, "ROLLBACK TO merge")?;
                culprits::find(self)?;
                self.drop_batch()?;
            }
        }
        for row in &self.fates.replaced {
            *replaced += ContentSum(*old.get(row).ok_or_else(changed_meanwhile)?);
        }
        Ok(went_well)
    }

    /// Checks what triggers put off, and lets the temporary table go.
    fn drop_batch(&mut self) -> Result<()> {
        let sql = format!("{CHECK_NOW}; DROP TABLE {BATCH}");
        self.session.run(self.doing, &sql)
    }

    /// Sends the rows that are left, each with its number; false if the server refused any.
    fn copy_to_batch_table(&mut self) -> Result<bool> {
        let numbered = scan::numbered(self.records)?;
        let mut data = Vec::new();
        let skip = self.skipped();
        let refused = Encoder::new(&self.wires()).encode(&numbered, &skip, &mut data)?;
        refused.into_iter().for_each(|row| self.fates.reject(row));
        match self.copy(data) {
            Ok(()) => Ok(true),
            Err(error) if !is_about_a_row(&error) => Err(error),
            Err(_) => halves::send(self).map(|()| false),
        }
    }

    /// The forms of a row's number and its columns.
    pub(super) fn wires(&self) -> Vec<Wire> {
        let columns = self.shape.wires.iter().copied();
        std::iter::once(Wire::Int4).chain(columns).collect()
    }

    /// A stream of rows into the temporary table.
    pub(super) fn copy(&mut self, data: Vec<u8>) -> Result<()> {
        let sql = "COPY pg_temp.dkhost_batch FROM STDIN (FORMAT binary)";
        self.session.copy_in(self.doing, sql, data.into()).map(drop)
    }

    /// Refuses the rows that a column would change or cannot read; false if there were any.
    fn drop_changed(&mut self) -> Result<bool> {
        let Some(query) = self.shape.changed() else {
            return Ok(true);
        };
        let all = query.replace("{from}", &format!("{BATCH} s"));
        let rows = match self.session.rows(self.doing, &all, &[]) {
            Ok(rows) => rows,
            Err(error) => return self.drop_failing(&query, error).map(|()| false),
        };
        let changed: Vec<(i32, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        for (row, column) in &changed {
            self.fates.reject(self.shape.would_change(*row, *column));
        }
        self.drop_from_batch(changed.iter().map(|(row, _)| *row).collect())?;
        Ok(changed.is_empty())
    }

    /// Refuses the rows with a value that its column cannot read, because of which the server gave
    /// `error`.
    ///
    /// *Errors* – `error`, if it has another reason.
    fn drop_unreadable(&mut self, error: Error) -> Result<()> {
        match self.shape.unreadable() {
            Some(query) => self.drop_failing(&query, error),
            None => Err(error),
        }
    }

    /// Refuses the rows for which `query` fails; `error` if there are none.
    fn drop_failing(&mut self, query: &str, error: Error) -> Result<()> {
        if !may_be_no_value(&error) {
            return Err(error);
        }
        self.session.run(self.doing, "ROLLBACK TO merge")?;
        // What fails without a row is the statement.
        let none = query.replace("{from}", &format!("{BATCH} s WHERE false"));
        self.session.rows(self.doing, &none, &[])?;
        let before = self.fates.rejects.len();
        culprits::unreadable(self, query)?;
        if self.fates.rejects.len() == before {
            return Err(error);
        }
        self.session.run(self.doing, "SAVEPOINT merge")
    }

    /// Takes rows out of the temporary table.
    pub(super) fn drop_from_batch(&mut self, rows: Vec<i32>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let sql = format!("DELETE FROM {BATCH} WHERE n = ANY($1)");
        let parameter = (&rows as _, tokio_postgres::types::Type::INT4_ARRAY);
        self.session
            .execute(self.doing, &sql, &[parameter])
            .map(drop)
    }

    /// Hashes of the rows that will be met, by the row that meets them; they stay as they are
    /// until the transaction ends. Empty where nobody asks for their content.
    fn lock_old(&mut self) -> Result<HashMap<usize, u128>> {
        if !self.target.content || self.shape.conflict != Conflict::Upsert {
            return Ok(HashMap::new());
        }
        let fields = self.target.schema.fields.len().min(self.shape.held.len());
        let shape = self.shape;
        let sql = format!(
            "SELECT s.n{} FROM (SELECT s.*, {} FROM {BATCH} s) s JOIN {} t ON {} \
             WHERE s.r = 1 ORDER BY {} FOR UPDATE OF t",
            comma(shape.reads(fields)),
            match self.apart {
                true => "1 AS r".to_owned(),
                false => shape.rank(),
            },
            shape.table,
            shape.meets(),
            shape.key_values(),
        );
        let mut old = HashMap::new();
        scan::read(
            self.session,
            self.doing,
            &sql,
            &shape.numbered(fields),
            &mut |records| {
                let numbers = records
                    .column(0)
                    .as_primitive::<arrow::datatypes::Int32Type>();
                let rest: Vec<usize> = (1..records.num_columns()).collect();
                let hashes = row_hashes(&self.target.planned(records.project(&rest)?)?)?;
                old.extend(numbers.values().iter().map(|n| *n as usize).zip(hashes));
                Ok(())
            },
        )?;
        Ok(old)
    }

    /// Everything in one statement; false if a trigger kept rows out and does not say which.
    fn merge(&mut self) -> Result<bool> {
        let shape = self.shape;
        if shape.key.is_empty() {
            let left = self.kept().iter().filter(|kept| **kept).count();
            let order = shape.insert_order(&self.ordering());
            let sql = shape.insert(&format!("{BATCH} s"), &order);
            return Ok(self.session.execute(self.doing, &sql, &[])? == left as u64);
        }
        let (fate, joined) = match self.apart {
            true => shape.fate_apart(),
            false => shape.fate(),
        };
        // The rows themselves are told where somebody asks for them, or they are not the rule.
        let tail = format!(
            "SELECT fate, count(*), CASE WHEN fate <> 'i' AND (fate <> 'r' OR {}) THEN array_agg(n) END \
             FROM (SELECT s.n, {fate} AS fate FROM {joined}) x GROUP BY fate{}",
            self.target.content,
            match shape.has_triggers {
                true => format!(
                    " UNION ALL SELECT 'm', count(*), NULL FROM {}",
                    shape.moved(self.apart)
                ),
                false => String::new(),
            },
        );
        let sql = match self.apart {
            true => shape.merge_apart(&tail),
            false => shape.merge(&format!("{BATCH} s"), &shape.rank(), &tail),
        };
        let rows = self.session.rows(self.doing, &sql, &[])?;
        let mut kept_out = Vec::new();
        for row in &rows {
            let (fate, count): (&str, i64) = (row.get(0), row.get(1));
            let numbers: Vec<i32> = row.get::<_, Option<Vec<i32>>>(2).unwrap_or_default();
            match fate {
                "r" => {
                    self.fates.replaced_rows = count as u64;
                    self.fates.replaced = numbers.iter().map(|n| *n as usize).collect();
                }
                "d" => self.set(&numbers, Outcome::Deduplicated),
                "u" => kept_out = numbers,
                "m" if count > 0 => return Err(self.key_changed()),
                _ => {}
            }
        }
        self.kept_out(kept_out)?;
        Ok(true)
    }

    /// A trigger put a row under another key than its record's.
    pub(super) fn key_changed(&self) -> Error {
        Error::config(
            "postgres::trigger",
            format!(
                "a trigger changes the key of rows that are written to {}, so that it cannot be told which record is where",
                self.target.label()
            ),
        )
        .help("change the key in a step as the trigger does, or disable the trigger for the time of the run")
    }

    /// Columns to insert by: those of the key.
    fn ordering(&self) -> Vec<usize> {
        let key = self.target.schema.key();
        key.into_iter()
            .filter(|index| self.shape.held[*index].is_ordered)
            .collect()
    }

    fn set(&mut self, rows: &[i32], outcome: Outcome) {
        rows.iter()
            .for_each(|row| self.fates.outcomes[*row as usize] = outcome);
    }

    /// Rows that were not written: they met one that stays, or a trigger would not have them.
    pub(super) fn kept_out(&mut self, rows: Vec<i32>) -> Result<()> {
        self.set(&rows, Outcome::Unchanged);
        if rows.is_empty() || !self.shape.has_triggers {
            return Ok(());
        }
        let sql = format!(
            "SELECT s.n FROM {BATCH} s WHERE s.n = ANY($1) AND NOT EXISTS (SELECT FROM {} t WHERE {})",
            self.shape.table,
            self.shape.meets()
        );
        let parameter = (&rows as _, tokio_postgres::types::Type::INT4_ARRAY);
        for row in self.session.rows(self.doing, &sql, &[parameter])? {
            self.fates.reject(swallowed(row.get(0)));
        }
        Ok(())
    }

    fn report(self, replaced: ContentSum) -> WriteReport {
        let Fates {
            outcomes,
            mut rejects,
            replaced_rows,
            ..
        } = self.fates;
        rejects.sort_by_key(|reject| reject.row);
        let each = outcomes.iter().any(|outcome| *outcome != Outcome::Written);
        WriteReport {
            outcomes: match each {
                true => Outcomes::Each(outcomes),
                false => Outcomes::AllWritten,
            },
            rejects,
            replaced,
            replaced_rows,
        }
    }
}

/// A list that follows another.
fn comma(list: String) -> String {
    match list.is_empty() {
        true => list,
        false => format!(", {list}"),
    }
}

/// Whether the server refused a row, and not the statement. Rows that are too large for an index or
/// a page (54) and what triggers raise under states of their own (45) are refused alone too.
pub(super) fn is_about_a_row(error: &Error) -> bool {
    refusal(error).is_some_and(|said| {
        said.is_about_a_record() || matches!(&said.state.code()[..2], "54" | "45")
    })
}

/// Whether the error may be about a text that is no value of a type. Some types answer as the
/// server does to a wrong statement: names of things that are not there, queries of text search.
fn may_be_no_value(error: &Error) -> bool {
    is_about_a_row(error)
        || refusal(error).is_some_and(|said| culprits::NO_VALUE.contains(&said.state.code()))
}

/// The reject of a row that a trigger of the table would not have.
pub(super) fn swallowed(row: i32) -> RowReject {
    RowReject {
        row: row as u32,
        column: None,
        code: "postgres::ignored".to_owned(),
        message: "a trigger of the table kept the row out without a word".to_owned(),
    }
}

/// A row was met that was not there when the batch's keys were looked up.
fn changed_meanwhile() -> Error {
    Error::new(
        Class::Transient,
        "postgres::conflict",
        "somebody else wrote a row with the same key meanwhile",
    )
}
