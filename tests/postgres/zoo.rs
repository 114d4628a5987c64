//! A table of every type, with the ends of each: to another database, and through files and back.
//!
//! Whatever differs afterwards is listed here, and was said beforehand.

use expect_test::expect_file;

use crate::support::{columns, database, differences, job, letters, run, table};
use crate::world::{World, masked};

const ZOO: &str = include_str!("zoo.sql");
const ROWS: &str = include_str!("rows.sql");

/// What a table that has a generated column needs.
const NOT_GENERATED: &str = "\n[[steps]]\ndrop = [\"doubled\"]\n";

/// What the server may spell otherwise than a file does, or rounds, or pads.
const MAY_CHANGE: &str = r#"allow_lossy = ["huge", "rounded", "tiny", "char(5)", "coarse", "coarse_moment", "jsonb",
  "hour_zone", "span", "years", "hstore", "tsvector", "tsquery", "point", "line", "lseg", "box", "path", "polygon", "circle"]"#;

fn full() -> dkhost_servers::Database {
    database(&format!("{ZOO}\n{ROWS}"))
}

#[test]
fn a_created_table_has_the_same_types_and_cells() {
    let (from, to, world) = (full(), database(""), World::new());
    let target = table(&to, "zoo") + "create = true\n";
    let job = job(
        &world,
        "copy",
        &table(&from, "zoo"),
        &target,
        "verify = \"full\"",
    );
    assert_eq!(run(&world, &job), 0);
    assert_eq!(differences((&from, "zoo"), (&to, "zoo")), [""; 0]);
    assert_eq!(columns(&from, "zoo"), columns(&to, "zoo"));
}

#[test]
fn a_server_without_the_types_gets_their_texts() {
    let (from, to, world) = (full(), dkhost_servers::postgres(), World::new());
    let target = table(&to, "zoo") + "create = true\n";
    let job = job(
        &world,
        "plain",
        &table(&from, "zoo"),
        &target,
        "verify = \"full\"",
    );
    assert_eq!(run(&world, &job), 0);
    let (had, has) = (columns(&from, "zoo"), columns(&to, "zoo"));
    let other: Vec<&String> = has.iter().filter(|column| !had.contains(column)).collect();
    assert_eq!(
        other,
        [
            "citext text",
            "moods json",
            "mood text",
            "colour text",
            "percent integer",
            "email text",
            "own_range text",
            "hstore text",
            "ltree text",
            "address json",
            "addresses json",
        ]
    );
    assert_eq!(to.sql("SELECT mood, colour, percent, email, hstore, address ->> 'street' FROM zoo WHERE id = 3"),
        "it's \"fine\"|green|100|Someone@Example.org|\"a\"=>\"1\", \"q\\\"\"=>\"x=>y\", \"b c\"=>NULL|Main \"St\", 1");
}

#[test]
fn a_table_of_the_same_definition_is_filled_with_the_same_cells() {
    let (from, to, world) = (full(), database(ZOO), World::new());
    let source = table(&from, "zoo");
    let straight = job(
        &world,
        "into",
        &source,
        &table(&to, "zoo"),
        "verify = \"full\"",
    );
    let refused = world.expect(2, &["plan", &straight]);
    assert!(
        refused
            .err
            .contains("`doubled` of table `zoo` is generated"),
        "{}",
        refused.err
    );
    assert!(
        refused.err.contains("drop = [\"doubled\"]"),
        "{}",
        refused.err
    );
    let run_lines = format!("verify = \"full\"{NOT_GENERATED}");
    let job = job(&world, "into", &source, &table(&to, "zoo"), &run_lines);
    assert_eq!(run(&world, &job), 0);
    assert_eq!(differences((&from, "zoo"), (&to, "zoo")), [""; 0]);
    // Identity and serial columns go on behind what was written.
    let next = to.sql("INSERT INTO zoo (small) VALUES (1) RETURNING id > 13, serial > 10");
    assert_eq!(next, "t|t");
}

#[test]
fn through_parquet_and_back_nothing_changes() {
    let (from, to, world) = (full(), database(ZOO), World::new());
    let out = job(
        &world,
        "out",
        &table(&from, "zoo"),
        "backend = \"file\"\npath = \"zoo.parquet\"",
        "verify = \"full\"",
    );
    assert_eq!(run(&world, &out), 0);
    let lines = format!("verify = \"full\"{NOT_GENERATED}");
    let back = job(
        &world,
        "back",
        "backend = \"file\"\npath = \"zoo.parquet\"\nkey = [\"id\"]",
        &table(&to, "zoo"),
        &lines,
    );
    assert_eq!(run(&world, &back), 0);
    assert_eq!(differences((&from, "zoo"), (&to, "zoo")), [""; 0]);
}

/// SQLite has no NaN, and keeps -0.0 as 0: such records are refused, each with its column.
#[test]
fn through_sqlite_and_back_only_what_it_cannot_hold_is_refused() {
    let (from, to, world) = (full(), database(ZOO), World::new());
    let target = "backend = \"sqlite\"\npath = \"zoo.db\"\ntable = \"zoo\"\ncreate = true";
    let out = job(
        &world,
        "out",
        &table(&from, "zoo"),
        target,
        "verify = \"checksum\"\non_error = \"dead-letter\"",
    );
    run(&world, &out);
    assert_eq!(
        refused(&world, &out),
        [
            ("6", "single"),
            ("9", "single"),
            ("10", "double"),
            ("13", "double")
        ]
        .map(owned)
    );
    let held = "backend = \"sqlite\"\npath = \"zoo.db\"\ntable = \"zoo\"";
    let unasked = job(&world, "back", held, &table(&to, "zoo"), NOT_GENERATED);
    let all = world.expect(2, &["plan", &unasked]).err;
    for said in [
        "values of `huge` may change",
        "; of `rounded` may change on the way: numbers are rounded",
        "convert the columns in a step",
        "\"polygon\", \"circle\"]",
    ] {
        assert!(all.contains(said), "{said}: {all}");
    }
    let lines = format!("verify = \"count\"\n{MAY_CHANGE}{NOT_GENERATED}");
    let back = job(
        &world,
        "back",
        "backend = \"sqlite\"\npath = \"zoo.db\"\ntable = \"zoo\"",
        &table(&to, "zoo"),
        &lines,
    );
    assert_eq!(run(&world, &back), 0);
    from.sql("DELETE FROM zoo WHERE id IN (6, 9, 10, 13)");
    assert_eq!(differences((&from, "zoo"), (&to, "zoo")), [""; 0]);
}

/// JSON has no NaN and no infinity; and its null is what a record without a value has too.
#[test]
fn through_json_lines_and_back_only_what_json_cannot_say_is_refused() {
    let (from, to, world) = (full(), database(ZOO), World::new());
    let target = "backend = \"file\"\npath = \"zoo.jsonl\"";
    let out = job(
        &world,
        "out",
        &table(&from, "zoo"),
        target,
        "verify = \"count\"\non_error = \"dead-letter\"",
    );
    run(&world, &out);
    assert_eq!(
        refused(&world, &out),
        [
            ("6", "single"),
            ("7", "single"),
            ("8", "single"),
            ("10", "double"),
            ("11", "double"),
            ("12", "double")
        ]
        .map(owned)
    );
    let source = format!("{target}\nkey = [\"id\"]\n{}", include_str!("fields.toml"));
    let lines = format!("verify = \"count\"\n{MAY_CHANGE}{NOT_GENERATED}");
    let back = job(&world, "back", &source, &table(&to, "zoo"), &lines);
    assert_eq!(run(&world, &back), 0);
    from.sql("DELETE FROM zoo WHERE id IN (6, 7, 8, 10, 11, 12)");
    assert_eq!(
        differences((&from, "zoo"), (&to, "zoo")),
        ["2 json: 'null' -> NULL", "2 jsonb: 'null' -> NULL"]
    );
}

#[test]
fn the_plan_says_of_every_column_how_it_is_read_and_written() {
    let (from, to, world) = (full(), database(ZOO), World::new());
    let lines = format!("verify = \"full\"{NOT_GENERATED}");
    let job = job(
        &world,
        "plan",
        &table(&from, "zoo"),
        &table(&to, "zoo"),
        &lines,
    );
    let plan = world.expect(0, &["plan", &job]).out;
    let seen = masked(&plan)
        .replace(&to.name, "TO")
        .replace(&from.name, "FROM");
    let port = regex::Regex::new(r"127\.0\.0\.1:\d+|postgres, [\d.]+ [KM]iB").unwrap();
    expect_file!["plan.txt"].assert_eq(&port.replace_all(&seen, "PLACE"));
}

fn refused(world: &World, job: &str) -> Vec<(String, String)> {
    let letters = letters(world, job).into_iter();
    letters.map(|(key, column, _)| (key, column)).collect()
}

fn owned((key, column): (&str, &str)) -> (String, String) {
    (key.to_owned(), column.to_owned())
}
