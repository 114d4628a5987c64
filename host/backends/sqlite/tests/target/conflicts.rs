//! A record whose key is there already: insert, upsert, skip, replace-all.

use serde_json::json;

use super::{Cells, definition, load};
use crate::support::{Folder, Run, fates, rows, schema};
use dkhost_core::content::row_hashes;
use dkhost_core::{Class, Conflict, ContentSum};

#[test]
fn an_upsert_replaces_keeps_and_folds() {
    for table in [
        "CREATE TABLE t (a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b))",
        "CREATE TABLE t (a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE TABLE t (rowid TEXT, v TEXT, b INTEGER, a TEXT); CREATE UNIQUE INDEX i ON t(b, a)",
    ] {
        let folder = Folder::with(&format!(
            "{table}; INSERT INTO t (a, b, v) VALUES ('x', 1, 'old'), ('x', 2, 'same'), ('y', 1, 'other');"
        ));
        let schema = schema(&["v utf8", "!a utf8", "!b int64"]);
        let row = |v: &'static str, a: &'static str, b: &'static str| [Some(v), Some(a), Some(b)];
        let cells = [
            row("1st", "x", "1"),
            row("same", "x", "2"),
            row("2nd", "x", "1"),
            row("new", "z", "1"),
            row("newer", "z", "1"),
            row("other", "y", "1"),
            row("only", "q", "1"),
        ];
        let cells: Vec<&[Option<&str>]> = cells.iter().map(|cells| &cells[..]).collect();
        let mut run = Run::start(
            folder
                .sink(json!({"table": "t"}), &schema, Conflict::Upsert)
                .unwrap(),
            1,
        );
        let report = run.write(&rows(&schema, &cells));
        assert_eq!(fates(&report, 7), "duwdwuw", "{table}");
        let old = rows(&schema, &[&row("old", "x", "1")]);
        assert_eq!(
            (report.replaced, report.replaced_rows),
            (ContentSum::of(&old).unwrap(), 1)
        );
        let written = rows(&schema, &[cells[2], cells[4], cells[6]]);
        assert_eq!(
            row_hashes(&run.writer.read_back().unwrap()).unwrap(),
            row_hashes(&written).unwrap()
        );
        run.commit();
        run.finish();
        let held = folder.dump("SELECT a, b, v FROM t ORDER BY a, b");
        assert_eq!(
            held,
            [
                "'q' | 1 | 'only'",
                "'x' | 1 | '2nd'",
                "'x' | 2 | 'same'",
                "'y' | 1 | 'other'",
                "'z' | 1 | 'newer'"
            ]
        );
    }
}

#[test]
fn the_same_key_is_what_the_index_says() {
    let folder = Folder::with(
        "CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, v INTEGER); INSERT INTO t VALUES ('Ada', 1)",
    );
    let schema = schema(&["!k utf8", "v int64"]);
    let cells: Cells<'_> = &[
        &[Some("ADA"), Some("2")],
        &[Some("bob"), Some("1")],
        &[Some("ada"), Some("3")],
        &[Some("BOB"), Some("1")],
    ];
    let (fates, _) = load(&folder, &schema, Conflict::Upsert, 1, cells);
    assert_eq!(fates, "ddww");
    assert_eq!(
        folder.dump("SELECT * FROM t ORDER BY k"),
        ["'ada' | 3", "'BOB' | 1"]
    );
    let (fates, _) = load(
        &folder,
        &schema,
        Conflict::Skip,
        2,
        &[
            &[Some("Bob"), None],
            &[Some("cy"), None],
            &[Some("CY"), Some("1")],
        ],
    );
    assert_eq!(fates, "uwu");
}

#[test]
fn a_replacement_the_table_refuses_leaves_the_row_before_it() {
    let folder = Folder::with(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER CHECK (v < 10)); INSERT INTO t VALUES (1, 1)",
    );
    let schema = schema(&["!k int64", "v int64"]);
    let cells: Cells<'_> = &[
        &[Some("1"), Some("5")],
        &[Some("1"), Some("50")],
        &[Some("2"), Some("6")],
        &[Some("2"), Some("60")],
    ];
    let (fates, rejects) = load(&folder, &schema, Conflict::Upsert, 1, cells);
    assert_eq!((fates.as_str(), rejects.len()), ("wxwx", 2));
    assert_eq!(folder.dump("SELECT * FROM t"), ["1 | 5", "2 | 6"]);
}

#[test]
fn replace_all_swaps_and_keeps_the_definition_and_what_hangs_on_it() {
    let folder = Folder::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT 'none', CHECK (name <> 'bad'));
         CREATE UNIQUE INDEX by_name ON t (name COLLATE NOCASE); CREATE INDEX plain ON t(name) WHERE id > 1;
         CREATE TABLE log (n); CREATE TRIGGER trail AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END;
         CREATE TABLE child (t INTEGER REFERENCES t(id) ON DELETE CASCADE); CREATE VIEW seen AS SELECT name FROM t;
         INSERT INTO t VALUES (1, 'old'), (2, 'older'); INSERT INTO child VALUES (1);",
    );
    let before = definition(&folder);
    let schema = schema(&["!id int64", "name utf8"]);
    let mut run = Run::start(
        folder
            .sink(json!({"table": "t"}), &schema, Conflict::ReplaceAll)
            .unwrap(),
        1,
    );
    let cells: Cells<'_> = &[
        &[Some("1"), Some("new")],
        &[Some("5"), Some("NEW")],
        &[Some("6"), Some("bad")],
        &[Some("7"), Some("newer")],
    ];
    assert_eq!(fates(&run.write(&rows(&schema, cells)), 4), "wxxw");
    run.commit();
    assert_eq!(folder.dump("SELECT name FROM seen"), ["'old'", "'older'"]);
    run.finish();
    assert_eq!(folder.dump("SELECT * FROM t"), ["1 | 'new'", "7 | 'newer'"]);
    assert_eq!(folder.dump("SELECT name FROM seen"), ["'new'", "'newer'"]);
    assert_eq!(folder.dump("SELECT * FROM child"), ["1"]);
    let sorted = |text: String| {
        let mut parts: Vec<String> = text
            .replace("TABLE \"t\"", "TABLE t")
            .split("; ")
            .map(str::to_owned)
            .collect();
        parts.sort();
        parts
    };
    assert_eq!(sorted(definition(&folder)), sorted(before));
    assert_eq!(folder.dump("PRAGMA integrity_check"), ["'ok'"]);
}

#[test]
fn two_jobs_do_not_replace_one_table_at_once() {
    let folder = Folder::with("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (0)");
    let schema = schema(&["n int64"]);
    let open = |table: &str, conflict| {
        folder
            .sink(json!({"table": table}), &schema, conflict)
            .unwrap()
    };
    let other = dkhost_core::Claim {
        job: "other".into(),
        run: "o".into(),
        plan_hash: "h".into(),
        epoch_floor: 0,
    };
    let mut killed = Run::start(open("t", Conflict::ReplaceAll), 1);
    killed.write(&rows(&schema, &[&[Some("1")]]));
    killed.commit();
    drop(killed);
    let error = open("T", Conflict::ReplaceAll).claim(&other).unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("target::busy", Class::Locked)
    );
    let help = error.help_text().unwrap();
    assert!(
        help.contains("`job`") && help.contains("--no-resume"),
        "{help}"
    );
    // Other tables, and the same one in another mode, are none of its business.
    open("u", Conflict::ReplaceAll).claim(&other).unwrap();
    open("t", Conflict::Insert).claim(&other).unwrap();
    let mut resumed = Run::start(open("t", Conflict::ReplaceAll), 1);
    assert_eq!(resumed.checkpoint.seq, 1);
    resumed.write(&rows(&schema, &[&[Some("2")]]));
    resumed.commit();
    // Another run of the job that inserts takes nobody's staging table along.
    open("t", Conflict::Insert)
        .claim(&dkhost_core::Claim {
            run: "p".into(),
            ..other.clone()
        })
        .unwrap();
    let Run { writer, sink, .. } = resumed;
    drop(writer);
    sink.publish().unwrap();
    // Published, it is in nobody's way, retired or not.
    open("t", Conflict::ReplaceAll)
        .claim(&dkhost_core::Claim {
            run: "q".into(),
            ..other
        })
        .unwrap();
    assert_eq!(folder.dump("SELECT n FROM t"), ["1", "2"]);
}
