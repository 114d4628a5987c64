//! A table of SQLite that is source and target of one run, killed at every step.
//!
//! Beside the records it keeps what somebody made by hand: indexes, triggers, keys of other tables.
//! Nothing of the run is left in the database but what it says of the version of its records.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::applied::{APPLY, all, check as check_applied, seeded};
use super::in_place::{OF_THE_RUN, World, check};

const TABLE: &str = "
    CREATE TABLE book (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER CHECK (n >= 0), t TEXT COLLATE NOCASE);
    CREATE UNIQUE INDEX book_t ON book (t);
    CREATE TABLE gone (id INTEGER);
    CREATE TRIGGER told AFTER DELETE ON book BEGIN INSERT INTO gone VALUES (old.id); END;
    CREATE TABLE child (of INTEGER REFERENCES book (id));
    CREATE VIEW ids AS SELECT id FROM book;";

const OF_SQLITE: [&str; 8] = [
    "sqlite.claim.committed:1",
    "sqlite.claim.journal-changed:1",
    "sqlite.write.staged:2",
    "sqlite.commit.prepared:3",
    "sqlite.swap.dropped:1",
    "sqlite.swap.renamed:1",
    "sqlite.publish.prepared:1",
    "sqlite.publish.committed:1",
];

const STORE: &str = "backend = \"sqlite\"\npath = \"store.db\"\ntable = \"book\"\n";

fn database(world: &World) -> Connection {
    Connection::open(world.path("store.db")).unwrap()
}

/// The same with what was done by hand since.
fn filled(mut world: World, sound: fn(&World)) -> World {
    world.sound = sound;
    let more = "INSERT INTO child SELECT id FROM book; UPDATE sqlite_sequence SET seq = 900;";
    database(&world).execute_batch(more).unwrap();
    world
}

/// A database with an empty table.
fn table() -> World {
    let world = World::at(STORE);
    database(&world).execute_batch(TABLE).unwrap();
    world
}

/// The first column of a query, in words.
fn asked(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Value>(0));
    rows.unwrap()
        .map(|value| match value.unwrap() {
            Value::Text(text) => text,
            other => format!("{other:?}"),
        })
        .collect()
}

/// Sees that the database is whole, and that nothing of the run is left in it.
fn sound(world: &World, ours: &[&str]) {
    let db = database(world);
    assert_eq!(asked(&db, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(asked(&db, "PRAGMA foreign_key_check"), Vec::<String>::new());
    let names = "SELECT name FROM sqlite_schema WHERE name LIKE 'dkhost%' ORDER BY name";
    assert_eq!(asked(&db, names), ours);
    assert_eq!(asked(&db, "PRAGMA journal_mode"), ["delete"]);
    assert_eq!(asked(&db, "SELECT * FROM gone"), Vec::<String>::new());
    let by_hand =
        "SELECT name FROM sqlite_schema WHERE name IN ('book_t', 'told', 'ids') ORDER BY name";
    assert_eq!(asked(&db, by_hand), ["book_t", "ids", "told"]);
    let text = asked(&db, "SELECT sql FROM sqlite_schema WHERE name = 'book'");
    for kept in ["AUTOINCREMENT", "CHECK (n >= 0)", "COLLATE NOCASE"] {
        assert!(text[0].contains(kept), "{text:?}");
    }
    let next = "SELECT seq FROM sqlite_sequence WHERE name = 'book'";
    assert_eq!(asked(&db, next), ["Integer(900)"], "no id is given twice");
}

#[test]
fn a_table_is_replaced_by_what_became_of_it() {
    let fresh = || {
        let world = table();
        let more = "ALTER TABLE book ADD COLUMN seen TEXT";
        database(&world).execute_batch(more).unwrap();
        world.seed("insert");
        filled(world, |world| sound(world, &[]))
    };
    // Before its first commit a run begins anew.
    let points = OF_SQLITE
        .into_iter()
        .filter(|point| !point.starts_with("sqlite.claim"));
    let points: Vec<&str> = OF_THE_RUN.into_iter().chain(points).collect();
    check(&fresh, &points);
}

#[test]
fn a_version_is_applied_to_a_table() {
    let says = |world: &World| sound(world, &["dkhost_schema_version"]);
    let fresh = || filled(seeded(table(), "replace-all"), says);
    let points: Vec<&str> = OF_SQLITE
        .into_iter()
        .chain(["run.end.published:1"])
        .collect();
    check_applied(&fresh, true, &points);
}

/// The history knows by then that all is done: the same command has nothing to do, and what the run
/// remembered goes with the next run of the job.
#[test]
fn whoever_is_killed_while_tidying_up_has_done_it_all() {
    let (checkpoint, version) = ("dkhost_checkpoint", "dkhost_schema_version");
    for (point, left) in [
        ("journal-changed", vec![checkpoint, version]),
        ("prepared", vec![checkpoint, version]),
        ("forgotten", vec![version]),
    ] {
        let world = filled(seeded(table(), "replace-all"), |_| ());
        let killed = world.run(&APPLY, &format!("sqlite.retire.{point}:1:kill"));
        assert_eq!(killed.code, -9, "{point}: {} {}", killed.last, killed.err);
        let again = world.run(&APPLY, "");
        assert_eq!(again.code, 0, "{point}: {} {}", again.last, again.err);
        assert_eq!(world.records(), all(false), "{point}");
        sound(&world, &left);
    }
}

/// Whose application was killed finds out that somebody wrote meanwhile, and begins anew.
#[test]
fn a_table_that_somebody_wrote_to_meanwhile_is_not_swapped() {
    let world = filled(seeded(table(), "replace-all"), |_| ());
    let killed = world.run(&APPLY, "run.batch.committed:2:kill");
    assert_eq!(killed.code, -9, "{} {}", killed.last, killed.err);
    let more = "UPDATE book SET n = 70 WHERE id = 7; UPDATE book SET n = 71 WHERE id = 7";
    database(&world).execute_batch(more).unwrap();
    let refused = world.run(&APPLY, "");
    assert_eq!(refused.error(), "target::changed", "{}", refused.last);
    let back = "UPDATE book SET n = 70 WHERE id = 7";
    database(&world).execute_batch(back).unwrap();
    let ended = world.run(&APPLY, "");
    assert_eq!(ended.code, 0, "{} {}", ended.last, ended.err);
    assert_eq!(world.records(), all(false));
    sound(&world, &["dkhost_schema_version"]);
}
