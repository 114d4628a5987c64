//! The limit of each route: PostgreSQL's own client passes bytes on, knows no types and checks
//! nothing.

use std::path::Path;

use super::super::routes::Role;
use super::contender::{Contender, Output, Work};
use super::peers::Move;
use super::rows::Prepared;

/// `psql` on a route.
pub fn on(way: &Move<'_>) -> Contender {
    let (what, finds) = match way.route {
        "pg-pg" => ("COPY binary → COPY binary", Prepared::Empty),
        "pg-pg-upsert" => (
            "COPY binary → COPY binary, then ON CONFLICT",
            Prepared::Full,
        ),
        "pg-parquet" => ("COPY csv into a file", Prepared::Nothing),
        "pg-jsonl" => ("COPY row_to_json into a file", Prepared::Nothing),
        _ => ("\\copy from a CSV, types given", Prepared::Empty),
    };
    let output = match way.route {
        "pg-parquet" => Output::Lines(way.folder.join("psql-out.csv")),
        "pg-jsonl" => Output::Lines(way.folder.join("psql-out.jsonl")),
        _ => Output::Table,
    };
    // Debian's `psql` on the path is a script that looks for this one.
    let program = dkhost_servers::programs::postgres("psql");
    let work = program.map(|psql| Work {
        arguments: vec!["sh".to_owned(), "-c".to_owned(), line(&psql, way, &output)],
        environment: Vec::new(),
        finds,
        output,
        leaves: Vec::new(),
    });
    Contender {
        name: format!("psql: {what}"),
        role: Role::Limit,
        work,
    }
}

fn line(psql: &Path, way: &Move<'_>, output: &Output) -> String {
    let psql = format!("'{}' -XqAt '{}'", psql.display(), way.url);
    let table = &way.table.name;
    let pipe = format!("{psql} -c 'copy {table} to stdout (format binary)' | {psql}");
    let file = output.path().map(|path| path.display().to_string());
    let file = file.unwrap_or_default();
    match way.route {
        "pg-pg" => format!("{pipe} -c 'copy target.rows from stdin (format binary)'"),
        "pg-pg-upsert" => format!("{pipe} {}", upsert()),
        "pg-parquet" => format!("{psql} -c 'copy {table} to stdout (format csv)' > '{file}'"),
        "pg-jsonl" => {
            let query = format!("copy (select row_to_json(r) from {table} r) to stdout");
            format!("{psql} -c '{query}' > '{file}'")
        }
        _ => {
            let csv = way.table.csv.display();
            format!("{psql} -c \"\\copy target.rows from '{csv}' csv header\"")
        }
    }
}

/// One session that takes the rows into a table of its own and lets them overwrite the others.
fn upsert() -> String {
    let columns = "name email phone country visits amount score active updated_at";
    let changes: Vec<String> = columns
        .split(' ')
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    format!(
        "-c 'create temporary table staged (like target.rows)' \
         -c 'copy staged from stdin (format binary)' \
         -c 'insert into target.rows select * from staged \
             on conflict (id) do update set {}'",
        changes.join(", ")
    )
}
