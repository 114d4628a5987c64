//! Finds the rows the server refuses, on the server.
//!
//! One statement for a whole batch fails as a whole, so the batch is written again in pieces, each
//! in a subtransaction of a `DO` block: a piece that is refused is halved until one row is left,
//! whose refusal is kept; pieces grow again while all goes well. Nothing travels but the outcome,
//! and thousands of bad rows cost seconds.
//!
//! Rows that refer to others of their batch may fail because those came later: they are tried again
//! together and then in both directions, until nothing moves.

use dkhost_core::{Error, Outcome, Result, fail};

use super::reasons::{blame, outcomes, reject};
use super::shape::{BATCH, Shape};
use super::stage::{CHECK_NOW, Stage, swallowed};
use crate::fault::refusal;

/// Rows of the first piece.
const FIRST: u32 = 256;

/// States that are about a row: as [`super::stage::is_about_a_row`].
const ABOUT_A_ROW: &str = "left(dk_state, 2) IN ('21', '22', '23', '27', '38', '39', '44', '45', '54', 'P0') OR dk_state = '40002'";

/// States of a text that is no value of its type, which a wrong statement has too.
///
/// *Source* – PostgreSQL 15, `utils/adt/regproc.c`, `utils/adt/acl.c`, `utils/adt/tsquery.c`,
/// `utils/adt/tsvector_parser.c`, `utils/adt/jsonpath_scan.l`.
pub(super) const NO_VALUE: [&str; 8] = [
    "42601", "42602", "42704", "42725", "42883", "42P01", "3D000", "3F000",
];

/// What became of each row.
const CREATE_FATE: &str = "CREATE TEMPORARY TABLE dkhost_fate (n integer, ord integer, g integer, fate text, state text, \
     message text, detail text, constraint_name text, column_name text, changed integer) ON COMMIT DROP; \
     CREATE INDEX ON pg_temp.dkhost_fate (g)";

/// Writes the batch piece by piece and gathers what became of each row.
pub(super) fn find(stage: &mut Stage<'_>) -> Result<()> {
    let shape = stage.shape;
    let keyed = !shape.key.is_empty();
    let rank = match keyed {
        true => format!(
            "{}, first_value(s.n) OVER (PARTITION BY {} ORDER BY s.n {}) AS g, {} AS by_key",
            shape.rank(),
            shape.key_values(),
            direction(shape),
            "row_number() OVER (ORDER BY ".to_owned() + &shape.key_values() + ", s.n)",
        ),
        false => format!(
            "1 AS r, s.n AS g, row_number() OVER (ORDER BY {}) AS by_key",
            shape.insert_order(&[])
        ),
    };
    let sorted = format!(
        "CREATE TEMPORARY TABLE dkhost_sorted ON COMMIT DROP AS \
         SELECT (row_number() OVER (ORDER BY r, by_key))::integer AS ord, x.* FROM (SELECT s.*, {rank} FROM {BATCH} s) x; \
         CREATE UNIQUE INDEX ON pg_temp.dkhost_sorted (ord); {CREATE_FATE}"
    );
    stage.session.run(stage.doing, &sorted)?;
    let attempt = match keyed {
        true => merge(shape),
        false => insert(shape),
    };
    let attempt = format!("{attempt}; {CHECK_NOW}");
    let refusable = match shape.row_security {
        true => format!("{ABOUT_A_ROW} OR dk_state = '42501'"),
        false => ABOUT_A_ROW.to_owned(),
    };
    let table = "pg_temp.dkhost_sorted";
    let block = Pieces {
        table,
        number: "ord",
        attempt: &attempt,
        refusable: &refusable,
        blame: &blame(shape, table, "ord"),
        again: true,
    }
    .block();
    search(stage, &block)?;
    fail::point("postgres.write.culprits-found")?;
    settle(stage, keyed)
}

/// Runs the block of [`Pieces`].
fn search(stage: &mut Stage<'_>, block: &str) -> Result<()> {
    stage.session.run(stage.doing, block).map_err(|error| {
        let said = refusal(&error).filter(|said| !said.by_policy);
        match said.map(|said| said.state.code()) {
            Some("42501" | "42704") => Error::config(
                "postgres::no_plpgsql",
                "the server refuses rows, and which ones can only be found with its language plpgsql",
            )
            .help("GRANT USAGE ON LANGUAGE plpgsql TO …, or CREATE EXTENSION plpgsql")
            .caused_by(error),
            _ => error,
        }
    })
}

fn direction(shape: &Shape) -> &'static str {
    match shape.conflict {
        dkhost_core::Conflict::Skip => "ASC",
        _ => "DESC",
    }
}

/// A piece of rows that meet no others by key.
fn insert(shape: &Shape) -> String {
    let from = "pg_temp.dkhost_sorted s WHERE s.ord BETWEEN dk_lo AND dk_hi AND (dk_pick IS NULL OR s.ord = ANY(dk_pick))";
    format!(
        "{}; GET DIAGNOSTICS dk_done = ROW_COUNT; dk_wanted := coalesce(cardinality(dk_pick), dk_hi - dk_lo + 1); \
         IF dk_done < dk_wanted AND dk_wanted > 1 THEN RAISE EXCEPTION USING ERRCODE = 'P0DKH', MESSAGE = 'a trigger keeps rows out'; END IF; \
         IF dk_done < dk_wanted THEN INSERT INTO pg_temp.dkhost_fate (n, ord, g, fate) SELECT n, ord, g, 'k' FROM pg_temp.dkhost_sorted s \
           WHERE s.ord BETWEEN dk_lo AND dk_hi AND (dk_pick IS NULL OR s.ord = ANY(dk_pick)); END IF",
        shape.insert(from, "s.ord")
    )
}

/// A piece of rows that may meet others: of each key the next that is not refused.
fn merge(shape: &Shape) -> String {
    let from = "pg_temp.dkhost_sorted s WHERE s.ord BETWEEN dk_lo AND dk_hi AND (dk_pick IS NULL OR s.ord = ANY(dk_pick)) \
                AND (s.r = 1 OR NOT EXISTS (SELECT FROM pg_temp.dkhost_fate f WHERE f.g = s.g AND f.fate <> 'x'))";
    let (fate, joined) = shape.fate();
    shape.merge(
        from,
        "1::bigint AS r, s.ord, s.g",
        &format!(
            "INSERT INTO pg_temp.dkhost_fate (n, ord, g, fate) SELECT s.n, s.ord, s.g, {fate} FROM {joined}{}",
            match shape.has_triggers {
                true => format!(" UNION ALL SELECT 0, -1, -1, 'm' FROM {}", shape.moved(false)),
                false => String::new(),
            }
        ),
    )
}

/// A block that does `attempt` for the rows of `table`, counted by `number`, in pieces.
struct Pieces<'a> {
    table: &'a str,
    number: &'a str,
    attempt: &'a str,
    /// Which states are about a row.
    refusable: &'a str,
    /// What finds the column of a refusal ([`blame`]).
    blame: &'a str,
    /// Whether rows that refer to others are tried again.
    again: bool,
}

impl Pieces<'_> {
    fn block(&self) -> String {
        let Pieces {
            table,
            number,
            attempt,
            refusable,
            ..
        } = self;
        let keep = self.keep();
        let body = format!(
            "#variable_conflict use_variable\n\
             DECLARE dk_lo integer := 0; dk_hi integer; dk_last integer; dk_step integer := {FIRST}; dk_pick integer[]; dk_one integer; \
               dk_done integer; dk_wanted integer; dk_moved boolean; dk_state text; dk_message text; dk_detail text; dk_constraint text; dk_column text; \
             BEGIN \
               SELECT min({number}), max({number}) INTO dk_lo, dk_last FROM {table}; \
               WHILE dk_lo <= dk_last LOOP \
                 dk_hi := least(dk_lo + dk_step - 1, dk_last); \
                 BEGIN {attempt}; dk_lo := dk_hi + 1; dk_step := least(dk_step * 2, 8192); \
                 EXCEPTION WHEN OTHERS THEN \
                   dk_state := SQLSTATE; \
                   IF NOT ({refusable}) THEN RAISE; END IF; \
                   IF dk_lo = dk_hi THEN {keep}; dk_lo := dk_lo + 1; END IF; \
                   dk_step := greatest(1, (dk_hi - dk_lo + 1) / 2); \
                 END; \
               END LOOP; {} \
             END",
            if self.again {
                self.once_more()
            } else {
                String::new()
            }
        );
        format!("DO {}", quoted_body(&body))
    }

    /// Puts down why the row `dk_lo` was refused.
    fn keep(&self) -> String {
        let Pieces {
            table,
            number,
            blame,
            ..
        } = self;
        format!(
            "GET STACKED DIAGNOSTICS dk_message = MESSAGE_TEXT, dk_detail = PG_EXCEPTION_DETAIL, \
               dk_constraint = CONSTRAINT_NAME, dk_column = COLUMN_NAME; {blame}\
             INSERT INTO pg_temp.dkhost_fate (n, ord, g, fate, state, message, detail, constraint_name, column_name) \
             SELECT s.n, s.{number}, {}, 'x', dk_state, dk_message, dk_detail, dk_constraint, dk_column FROM {table} s WHERE s.{number} = dk_lo",
            if self.again { "s.g" } else { "s.n" }
        )
    }

    /// Tries again what was refused for a row it refers to.
    fn once_more(&self) -> String {
        let Pieces {
            attempt, refusable, ..
        } = self;
        let one = format!(
            "BEGIN DELETE FROM pg_temp.dkhost_fate f WHERE f.ord = dk_one; dk_pick := NULL; dk_lo := dk_one; dk_hi := dk_one; {attempt}; dk_moved := true; \
             EXCEPTION WHEN OTHERS THEN dk_state := SQLSTATE; IF NOT ({refusable}) THEN RAISE; END IF; END;"
        );
        let waiting = "SELECT f.ord FROM pg_temp.dkhost_fate f WHERE f.fate = 'x' AND f.state = '23503' ORDER BY f.ord";
        format!(
            "LOOP \
               dk_moved := false; \
               SELECT array_agg(w.ord) INTO dk_pick FROM ({waiting}) w; \
               EXIT WHEN dk_pick IS NULL; \
               BEGIN DELETE FROM pg_temp.dkhost_fate f WHERE f.ord = ANY(dk_pick); dk_lo := 1; dk_hi := dk_last; {attempt}; EXIT; \
               EXCEPTION WHEN OTHERS THEN dk_state := SQLSTATE; IF NOT ({refusable}) THEN RAISE; END IF; END; \
               FOR dk_one IN {waiting} LOOP {one} END LOOP; \
               FOR dk_one IN {waiting} DESC LOOP {one} END LOOP; \
               EXIT WHEN NOT dk_moved; \
             END LOOP;"
        )
    }
}

/// A body between dollar quotes that are not in it.
fn quoted_body(body: &str) -> String {
    let tag = (0..)
        .map(|number| format!("$dkhost{number}$"))
        .find(|tag| !body.contains(tag.as_str()))
        .unwrap_or_default();
    format!("{tag}{body}{tag}")
}

/// Reads what became of the rows, and lets the temporary tables go.
fn settle(stage: &mut Stage<'_>, keyed: bool) -> Result<()> {
    let mut kept_out = Vec::new();
    stage.fates.replaced.clear();
    stage.fates.replaced_rows = 0;
    let sql = "SELECT f.n, f.fate, f.g, f.changed, f.state, f.message, f.detail, f.constraint_name, f.column_name \
               FROM pg_temp.dkhost_fate f WHERE f.fate <> 'i' ORDER BY f.n";
    for (told, group) in outcomes(stage, sql)? {
        match told.fate {
            'x' => stage.fates.reject(reject(stage, told)),
            'k' => stage.fates.reject(swallowed(told.row)),
            'u' => kept_out.push(told.row),
            'm' => return Err(stage.key_changed()),
            'r' => {
                stage.fates.replaced_rows += 1;
                if stage.target.content {
                    // Its content was looked up for the first of its key.
                    stage
                        .fates
                        .replaced
                        .push(group.unwrap_or(told.row) as usize);
                }
            }
            _ => {}
        }
    }
    if keyed {
        untried(stage, &mut kept_out)?;
        stage.kept_out(kept_out)?;
    }
    stage.session.run(
        stage.doing,
        "DROP TABLE pg_temp.dkhost_sorted, pg_temp.dkhost_fate",
    )
}

/// Rows that were not even tried, as another of their key was written before.
fn untried(stage: &mut Stage<'_>, kept_out: &mut Vec<i32>) -> Result<()> {
    let sql = "SELECT s.n FROM pg_temp.dkhost_sorted s WHERE NOT EXISTS (SELECT FROM pg_temp.dkhost_fate f WHERE f.n = s.n)";
    let folded: Vec<i32> = stage
        .session
        .rows(stage.doing, sql, &[])?
        .iter()
        .map(|row| row.get(0))
        .collect();
    match stage.shape.conflict {
        dkhost_core::Conflict::Skip => kept_out.extend(folded),
        _ => folded
            .iter()
            .for_each(|row| stage.fates.outcomes[*row as usize] = Outcome::Deduplicated),
    }
    Ok(())
}

/// Finds the rows whose values a column cannot read or would change, and takes them out of the
/// batch. `query` is [`Shape::changed`].
pub(super) fn unreadable(stage: &mut Stage<'_>, query: &str) -> Result<()> {
    stage.session.run(
        stage.doing,
        &format!("CREATE INDEX ON {BATCH} (n); {CREATE_FATE}"),
    )?;
    let query = query.replace(
        "{from}",
        &format!("{BATCH} s WHERE s.n BETWEEN dk_lo AND dk_hi"),
    );
    let attempt = format!(
        "INSERT INTO pg_temp.dkhost_fate (n, fate, changed) SELECT c.n, 'x', c.changed FROM ({query}) c"
    );
    let states = NO_VALUE.map(|state| format!("'{state}'")).join(", ");
    let block = Pieces {
        table: BATCH,
        number: "n",
        attempt: &attempt,
        refusable: &format!("{ABOUT_A_ROW} OR dk_state IN ({states})"),
        blame: &blame(stage.shape, BATCH, "n"),
        again: false,
    }
    .block();
    search(stage, &block)?;
    let sql = "SELECT f.n, f.fate, f.g, f.changed, f.state, f.message, f.detail, f.constraint_name, f.column_name \
               FROM pg_temp.dkhost_fate f ORDER BY f.n";
    let mut rows = Vec::new();
    for (told, _) in outcomes(stage, sql)? {
        rows.push(told.row);
        let reject = reject(stage, told);
        stage.fates.reject(reject);
    }
    stage.drop_from_batch(rows)?;
    stage
        .session
        .run(stage.doing, "DROP TABLE pg_temp.dkhost_fate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_hold_any_name() {
        assert_eq!(
            quoted_body("a $dkhost0$ b"),
            "$dkhost1$a $dkhost0$ b$dkhost1$"
        );
    }
}
