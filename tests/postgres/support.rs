//! Jobs from and to tables, and two tables compared cell by cell.

use std::collections::BTreeMap;

use dkhost_servers::Database;
use serde_json::Value;

use crate::world::{Answer, World};

/// The extensions and types that the tables need.
pub const TYPES: &str = include_str!("types.sql");

/// A database with the types, and what else is to be there.
pub fn database(sql: &str) -> Database {
    let database = dkhost_servers::postgres();
    database.sql(&format!("SET client_min_messages = error; {TYPES}\n{sql}"));
    database
}

/// The lines that name a table of a database in a job.
pub fn table(database: &Database, table: &str) -> String {
    format!(
        "backend = \"postgres\"\nurl = \"{}?sslmode=disable\"\ntable = \"{table}\"\n",
        database.url
    )
}

/// A job named `name`; `run` are the lines of its `[run]`, and may go on with steps.
pub fn job(world: &World, name: &str, source: &str, target: &str, run: &str) -> String {
    let file = format!("{name}.toml");
    world.write(
        &file,
        format!("name = \"{name}\"\n[source]\n{source}\n[target]\n{target}\n[run]\n{run}\n"),
    );
    file
}

/// Runs a job that finishes, with refused records or without; how many were refused.
pub fn run(world: &World, job: &str) -> u64 {
    let answer = world.run(&["run", job, "--json"]);
    let report = answer.last();
    let counts = &report["counts"];
    let refused = counts["dead_lettered"].as_u64().unwrap_or_default();
    let code = if refused > 0 { 3 } else { 0 };
    assert_eq!(answer.code, code, "{}\n{}", answer.out, answer.err);
    refused
}

/// The refused records: the key as the place says it, the column, and why.
pub fn letters(world: &World, job: &str) -> Vec<(String, String, String)> {
    let answer: Answer = world.expect(0, &["errors", "list", job, "--json", "--limit", "10000"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let letters = answer.objects().into_iter().map(|letter| {
        let key = letter["locator"]["key"][0].to_string();
        (key, text(&letter["column"]), text(&letter["code"]))
    });
    letters.collect()
}

/// Every cell by row and column, as its type prints it; nulls as `NULL`.
pub fn cells(database: &Database, table: &str) -> BTreeMap<(u32, String), String> {
    // format() prints by the type's own output: blanks of a char(n) are kept, and a row of nulls
    // is not a null.
    let sql = format!(
        "SELECT format('SELECT id, k, v FROM {table}, LATERAL (VALUES %s) x(k, v)', string_agg(format(\
           '(%L, CASE WHEN %I IS NOT DISTINCT FROM NULL THEN ''NULL'' ELSE quote_literal(translate(format(''%%s'', %I), E''\\n\\r'', ''␤␍'')) END)', \
           translate(attname, '|', ' '), attname, attname), ',' ORDER BY attnum)) \
         FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 \\gexec\n"
    );
    let answer = database.sql(&sql);
    let cells = answer.lines().map(|line| {
        let mut parts = line.splitn(3, '|');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        ((part().parse().unwrap(), part()), part())
    });
    cells.collect()
}

/// The cells in which two tables differ, either way; long values are cut.
pub fn differences(one: (&Database, &str), other: (&Database, &str)) -> Vec<String> {
    let (here, there) = (cells(one.0, one.1), cells(other.0, other.1));
    assert!(!here.is_empty());
    let absent = "no row".to_owned();
    let cut = |value: &str| value.chars().take(120).collect::<String>();
    let mut all: Vec<&(u32, String)> = here.keys().chain(there.keys()).collect();
    all.sort();
    all.dedup();
    let pairs = all.into_iter().filter_map(|place| {
        let value = here.get(place).unwrap_or(&absent);
        let other = there.get(place).unwrap_or(&absent);
        (value != other)
            .then(|| format!("{} {}: {} -> {}", place.0, place.1, cut(value), cut(other)))
    });
    pairs.collect()
}

/// The columns of a table and their types, a line each.
pub fn columns(database: &Database, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute \
         WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    );
    database.sql(&sql).lines().map(str::to_owned).collect()
}
