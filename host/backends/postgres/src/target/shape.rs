//! How batches of one schema are written: the statements, put together once.

use dkhost_core::{Conflict, Result, Schema};

use super::columns::{self, Held};
use super::{Target, keys, sql, times};
use crate::catalog::{Identity, Kind, Table};
use crate::copy::Wire;
use crate::name::quote_all;

/// The temporary table that a batch goes to first.
pub(super) const BATCH: &str = "pg_temp.dkhost_batch";

/// What is prepared for batches of a schema.
pub(super) struct Shape {
    pub schema: Schema,
    pub held: Vec<Held>,
    pub wires: Vec<Wire>,
    /// The table rows go to, as it stands in SQL.
    pub table: String,
    /// The columns of the plan, as a list.
    columns: String,
    /// Indexes of the columns that tell rows apart; empty where nothing is met by key.
    pub key: Vec<usize>,
    /// Columns that are replaced when a row meets another.
    replaced: Vec<usize>,
    /// Whether every column takes what is sent as it is, and COPY may be used on the table.
    pub direct: bool,
    /// Whether triggers may keep rows out.
    pub has_triggers: bool,
    is_partitioned: bool,
    /// Whether it can be seen here that the rows of a batch have different keys ([`keys`]).
    pub tells_keys: bool,
    /// Whether policies may refuse rows.
    pub row_security: bool,
    pub conflict: Conflict,
    /// Whether the table is a dataknobs store that tells when records were written.
    has_times: bool,
}

impl Shape {
    /// The statements for batches of `schema` into `table`.
    pub(super) fn new(target: &Target, table: &Table, schema: &Schema) -> Result<Self> {
        let held = columns::find(table, &schema.fields)?;
        let names = schema.fields.iter().map(|field| field.name.as_str());
        let meets = matches!(target.conflict, Conflict::Upsert | Conflict::Skip);
        let key = match meets {
            true => target
                .key
                .iter()
                .filter_map(|name| schema.index_of(name))
                .collect(),
            false => Vec::new(),
        };
        let has_times = target.store.as_ref().is_some_and(|store| store.has_times());
        let sends_times = has_times && held.iter().any(|held| times::is_time(&held.field.name));
        let replaced =
            (0..held.len()).filter(|index| is_replaced(&held[*index], table, &key, *index));
        Ok(Shape {
            wires: held.iter().map(|held| held.writing.wire).collect(),
            table: table.sql()?,
            columns: quote_all(names)?,
            direct: !meets
                && !sends_times
                && !table.row_security
                && held.iter().all(Held::is_direct),
            has_triggers: table.triggers > 0 || table.kind == Kind::Partitioned,
            is_partitioned: table.kind == Kind::Partitioned,
            row_security: table.row_security,
            conflict: target.conflict,
            replaced: replaced
                .filter(|index| !has_times || !times::is_time(&held[*index].field.name))
                .collect(),
            has_times,
            tells_keys: !key.is_empty()
                && table.kind != Kind::Partitioned
                && key.iter().all(|index| keys::are_told_apart(&held[*index])),
            schema: schema.clone(),
            held,
            key,
        })
    }

    /// COPY into the table itself.
    pub(super) fn copy_direct(&self) -> String {
        match self.held.is_empty() {
            true => format!("COPY {} FROM STDIN (FORMAT binary)", self.table),
            false => format!(
                "COPY {} ({}) FROM STDIN (FORMAT binary)",
                self.table, self.columns
            ),
        }
    }

    /// The temporary table for a batch: the row's number, and each value as it is sent.
    pub(super) fn create_batch(&self) -> String {
        let columns: String = (0..self.held.len())
            .map(|index| {
                let writing = &self.held[index].writing;
                let rounded = writing.rounded.as_ref();
                let rounded = rounded.filter(|_| self.key.contains(&index));
                format!(", c{index} {}", rounded.unwrap_or(&writing.stage))
            })
            .collect();
        format!("CREATE TEMPORARY TABLE dkhost_batch (n integer NOT NULL{columns}) ON COMMIT DROP")
    }

    /// The value of a column, from the row `s` of the temporary table.
    pub(super) fn value(&self, index: usize) -> String {
        let held = &self.held[index];
        let value = held.value(&format!("s.c{index}"), &self.table);
        match self.has_times {
            true => times::inserted(&held.field.name, value),
            false => value,
        }
    }

    fn values(&self) -> String {
        let values: Vec<String> = (0..self.held.len())
            .map(|index| self.value(index))
            .collect();
        values.join(", ")
    }

    /// The key's values, from the row `s` of the temporary table.
    pub(super) fn key_values(&self) -> String {
        self.of_key(", ", |index, _| self.key_value(index))
    }

    fn key_value(&self, index: usize) -> String {
        format!("({}){}", self.value(index), self.held[index].collate)
    }

    /// Whether row `t` of the table has the key of row `s`.
    pub(super) fn meets(&self) -> String {
        self.of_key(" AND ", |index, held| {
            format!("t.{} = {}", held.quoted, self.key_value(index))
        })
    }

    /// What finds rows whose value its column would change: row number and column. `None` where
    /// no column does.
    pub(super) fn changed(&self) -> Option<String> {
        self.failing(Held::keeps)
    }

    /// What fails for rows with a value that its column cannot read; finds none itself.
    pub(super) fn unreadable(&self) -> Option<String> {
        self.failing(Held::readable)
    }

    /// Row number and column where `check` is false.
    fn failing(&self, check: impl Fn(&Held, &str, &str) -> Option<String>) -> Option<String> {
        let cases: String = (0..self.held.len())
            .filter_map(|index| {
                let holds = check(&self.held[index], &format!("s.c{index}"), &self.table)?;
                Some(format!(" WHEN ({holds}) IS FALSE THEN {index}"))
            })
            .collect();
        (!cases.is_empty()).then(|| {
            format!("SELECT n, changed FROM (SELECT s.n, CASE{cases} END AS changed FROM {{from}}) x WHERE changed IS NOT NULL")
        })
    }

    /// Each column whose type can be tried on what was sent: its name, and what tries it.
    pub(super) fn trials(&self) -> impl Iterator<Item = (&str, String)> {
        self.held.iter().enumerate().filter_map(|(index, held)| {
            let trial = held.trial(&format!("s.c{index}"), &self.table)?;
            Some((held.field.name.as_str(), trial))
        })
    }

    /// Inserts the rows of `from` in the order of `by`.
    pub(super) fn insert(&self, from: &str, by: &str) -> String {
        let order = match self.held.is_empty() {
            true => String::new(),
            false => format!(" ORDER BY {by}"),
        };
        match self.held.is_empty() {
            // A table without a column of ours takes rows of defaults.
            true => format!("INSERT INTO {} SELECT FROM {from}{order}", self.table),
            false => format!(
                "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {from}{order}",
                self.table,
                self.columns,
                self.values()
            ),
        }
    }

    /// The order in which rows are inserted: by key, so that two writers meet in one order.
    pub(super) fn insert_order(&self, target_key: &[usize]) -> String {
        let mut by: Vec<String> = target_key.iter().map(|index| self.value(*index)).collect();
        by.push("s.n".to_owned());
        by.join(", ")
    }

    /// Writes the rows of `from` that are the last (under `skip` the first) of their key, and says
    /// of each row what became of it: `d` folded, `i` inserted, `r` put in another's place, `u`
    /// kept out. `tail` is the SELECT or INSERT … SELECT over `s` and `up`.
    pub(super) fn merge(&self, from: &str, rank: &str, tail: &str) -> String {
        let columns: String = (0..self.held.len())
            .map(|index| format!(", {} AS v{index}", self.value(index)))
            .collect();
        let met = match self.is_partitioned {
            true => format!(
                ", EXISTS (SELECT FROM {} t WHERE {}) AS met",
                self.table,
                self.meets()
            ),
            false => String::new(),
        };
        let values: Vec<String> = (0..self.held.len())
            .map(|index| format!("v{index}"))
            .collect();
        let order = self.of_key(", ", |index, held| format!("v{index}{}", held.collate));
        format!(
            "WITH s AS MATERIALIZED (SELECT s.n, {rank}{columns}{met} FROM {from}), up AS ({}) {tail}",
            self.upsert(
                &values.join(", "),
                &format!("s WHERE r = 1 ORDER BY {order}")
            ),
        )
    }

    /// The same for the whole batch, where all its rows have different keys: `tail` is over the
    /// batch and `up`.
    pub(super) fn merge_apart(&self, tail: &str) -> String {
        let from = format!("{BATCH} s ORDER BY {}", self.key_values());
        format!("WITH up AS ({}) {tail}", self.upsert(&self.values(), &from))
    }

    /// Writes the rows of `from`, and returns the keys of those that were and whether each is new.
    fn upsert(&self, values: &str, from: &str) -> String {
        // The columns of a partitioned table's new row do not say whether it is one.
        let new = match self.is_partitioned {
            true => "true",
            false => "(t.xmax = 0)",
        };
        format!(
            "INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {from} \
             ON CONFLICT ({}) {} RETURNING {}, {new} AS new",
            self.table,
            self.columns,
            self.of_key(", ", |_, held| held.quoted.clone()),
            self.action(),
            self.of_key(", ", |index, held| format!("t.{} AS v{index}", held.quoted)),
        )
    }

    /// Something about each column of the key.
    fn of_key(&self, between: &str, each: impl Fn(usize, &Held) -> String) -> String {
        let all = self
            .key
            .iter()
            .map(|index| each(*index, &self.held[*index]));
        all.collect::<Vec<_>>().join(between)
    }

    /// What became of a row of [`Shape::merge`], and the join that tells.
    pub(super) fn fate(&self) -> (String, String) {
        let new = match self.is_partitioned {
            true => "NOT s.met",
            false => "up.new",
        };
        let folded = if self.conflict == Conflict::Skip {
            'u'
        } else {
            'd'
        };
        let fate = format!(
            "CASE WHEN s.r > 1 THEN '{folded}' WHEN up.new IS NULL THEN 'u' WHEN {new} THEN 'i' ELSE 'r' END"
        );
        let on = self.of_key(" AND ", |index, held| {
            format!("up.v{index} = s.v{index}{}", held.collate)
        });
        (fate, format!("s LEFT JOIN up ON s.r = 1 AND {on}"))
    }

    /// The same for a row of [`Shape::merge_apart`].
    pub(super) fn fate_apart(&self) -> (String, String) {
        let fate = "CASE WHEN up.new IS NULL THEN 'u' WHEN up.new THEN 'i' ELSE 'r' END";
        let on = self.of_key(" AND ", |index, _| {
            format!("up.v{index} = {}", self.key_value(index))
        });
        (fate.to_owned(), format!("{BATCH} s LEFT JOIN up ON {on}"))
    }

    /// Rows that were written under a key that no record of the batch has, after
    /// [`Shape::merge`] or, if the rows are `apart`, [`Shape::merge_apart`].
    pub(super) fn moved(&self, apart: bool) -> String {
        let on = self.of_key(" AND ", |index, held| match apart {
            true => format!("up.v{index} = {}", self.key_value(index)),
            false => format!("up.v{index} = s.v{index}{}", held.collate),
        });
        let records = match apart {
            true => format!("{BATCH} s WHERE {on}"),
            false => format!("s WHERE s.r = 1 AND {on}"),
        };
        format!("up WHERE NOT EXISTS (SELECT FROM {records})")
    }

    /// How rows of one key are numbered: 1 for the one that counts.
    pub(super) fn rank(&self) -> String {
        let order = if self.conflict == Conflict::Skip {
            "ASC"
        } else {
            "DESC"
        };
        format!(
            "row_number() OVER (PARTITION BY {} ORDER BY s.n {order}) AS r",
            self.key_values()
        )
    }

    fn action(&self) -> String {
        if self.conflict == Conflict::Skip || self.replaced.is_empty() {
            return "DO NOTHING".to_owned();
        }
        let list = |from: &str| {
            let columns = self
                .replaced
                .iter()
                .map(|index| format!("{from}.{}", self.held[*index].quoted));
            columns.collect::<Vec<_>>().join(", ")
        };
        let mut set: Vec<String> = self
            .replaced
            .iter()
            .map(|index| {
                let name = &self.held[*index].quoted;
                format!("{name} = excluded.{name}")
            })
            .collect();
        let mut also = "";
        if self.has_times {
            let sent = self
                .held
                .iter()
                .any(|held| times::is_time(&held.field.name));
            let (times, differ) = times::touched(sent);
            set.extend(times.map(str::to_owned));
            also = differ;
        }
        // Byte for byte, also where a type has no equality or one that is blind to case or scale;
        // where a value differs anyway, the rest need not be looked at.
        let quick: String = self
            .replaced
            .iter()
            .map(|index| &self.held[*index])
            .filter(|held| keys::is_quickly_compared(held))
            .map(|held| format!("t.{0} IS DISTINCT FROM excluded.{0} OR ", held.quoted))
            .collect();
        format!(
            "DO UPDATE SET {} WHERE {quick}pg_catalog.record_image_ne(ROW({}), ROW({})){also}",
            set.join(", "),
            list("t"),
            list("excluded")
        )
    }

    /// Reads rows `t` of the table back, in the plan's schema or, with `fields`, its first columns.
    pub(super) fn reads(&self, fields: usize) -> String {
        let reads = self.held[..fields].iter().map(|held| held.read());
        reads.collect::<Vec<_>>().join(", ")
    }
}

/// Whether a column is set when a row meets another: a key's value is there already, unless equal
/// does not mean the same; and what counts up by itself cannot be set.
fn is_replaced(held: &Held, table: &Table, key: &[usize], index: usize) -> bool {
    let Some(column) = table.column(&held.field.name) else {
        return false;
    };
    column.identity != Some(Identity::Always) && (!key.contains(&index) || !held.equal_is_same)
}

/// The statement for a name and columns of ours, used where there is no table yet.
pub(super) fn create_table(name: &crate::catalog::Name, body: &str) -> Result<String> {
    Ok(format!("CREATE TABLE {} ({body})", sql(name)?))
}
