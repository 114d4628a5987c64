//! A table that takes the shape of another version of its schema.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use dkhost_core::{Backend, Constraint, ConstraintRule, Options, Reshape, Sink, Stamp};
use dkhost_sqlite::SqliteBackend;
use serde_json::json;
use support::{Folder, Run, rows, schema};

const USERS: &str = "
    CREATE TABLE users (
      id INTEGER PRIMARY KEY AUTOINCREMENT, -- the number
      years TEXT, legacy TEXT DEFAULT 'x',
      name VARCHAR(20) NOT NULL COLLATE NOCASE CHECK (name <> ''),
      note TEXT DEFAULT 'none'
    );
    CREATE INDEX users_years ON users (years);
    CREATE INDEX users_legacy ON users (legacy);
    CREATE UNIQUE INDEX users_name ON users (name);
    CREATE TRIGGER told AFTER DELETE ON users BEGIN SELECT 1; END;
    INSERT INTO users (id, years, name) VALUES (7, '36', 'Ada');";

fn reshape() -> Reshape {
    Reshape {
        schema: "user".into(),
        version: "2.0.0".into(),
        renamed: vec![("years".into(), "age".into())],
        removed: vec!["legacy".into()],
        required: vec!["id".into(), "name".into(), "note".into()],
        constraints: vec![
            Constraint {
                name: "user_age_range".into(),
                column: "age".into(),
                logical: "int64".parse().unwrap(),
                rule: ConstraintRule::Range {
                    min: Some("0".into()),
                    max: Some("150".into()),
                },
            },
            Constraint {
                name: "user_email_unique".into(),
                column: "email".into(),
                logical: "utf8".parse().unwrap(),
                rule: ConstraintRule::Unique,
            },
        ],
    }
}

const NEW: [&str; 5] = [
    "!id int64",
    "age int64",
    "name utf8",
    "note utf8",
    "email utf8",
];

fn stamp(folder: &Folder) -> Option<Stamp> {
    let options = json!({ "path": "a.db", "table": "USERS" });
    let options = Options::from_json("[target]", &options).unwrap();
    SqliteBackend.stamp(options, folder.path()).unwrap()
}

/// What the catalog says of the table and what hangs on it.
fn catalog(folder: &Folder) -> Vec<String> {
    folder.dump(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'dkhost%' \
         AND name NOT LIKE 'sqlite%' ORDER BY type DESC, name",
    )
}

fn fill(sink: Box<dyn Sink>, run: u32) {
    let schema = schema(&NEW);
    let mut run = Run::start(sink, run);
    let row: &[Option<&str>] = &[Some("7"), Some("36"), Some("Ada"), Some("n"), Some("a@b")];
    let report = run.write(&rows(&schema, &[row]));
    assert!(report.rejects.is_empty(), "{:?}", report.rejects);
    run.commit();
    run.finish();
}

#[test]
fn a_table_takes_the_shape_of_the_other_version_and_says_so() {
    let folder = Folder::with(USERS);
    assert_eq!(stamp(&folder), None);
    let sink = folder
        .reshaping(json!({"table": "users"}), &schema(&NEW), reshape())
        .unwrap();
    assert_eq!(
        sink.plan().effects,
        [
            "builds table users anew beside the old one, with its definition and indexes, and swaps the two at the end",
            "renames column years to age",
            "drops column legacy",
            "changes column age to INTEGER",
            "changes column note to TEXT NOT NULL",
            "adds column email TEXT",
            "adds the check user_age_range",
            "adds the unique index user_email_unique",
            "drops index users_legacy, whose column goes",
            "says in table dkhost_schema_version that its records are of user@2.0.0",
            "keeps checkpoints in table dkhost_checkpoint until the run is done",
        ]
    );
    fill(sink, 1);
    assert_eq!(
        folder.dump("SELECT * FROM users"),
        ["7 | 36 | 'Ada' | 'n' | 'a@b'"]
    );
    let text = catalog(&folder).join("\n");
    expect_test::expect![[r#"
        'CREATE TRIGGER told AFTER DELETE ON users BEGIN SELECT 1; END'
        'CREATE TABLE "users" (
              id INTEGER PRIMARY KEY AUTOINCREMENT, -- the number
              "age" INTEGER, name VARCHAR(20) NOT NULL COLLATE NOCASE CHECK (name <> ''),
              note TEXT NOT NULL DEFAULT 'none'
            , "email" TEXT, CONSTRAINT "user_age_range" /* dkhost */ CHECK ("age" >= 0 AND "age" <= 150))'
        'CREATE UNIQUE INDEX "user_email_unique" ON "users" /* dkhost */ ("email")'
        'CREATE UNIQUE INDEX users_name ON users (name)'
        'CREATE INDEX users_years ON users ("age")'"#]].assert_eq(&text);
    let stamp = stamp(&folder).unwrap();
    assert_eq!(
        (stamp.schema.as_str(), stamp.version.as_str()),
        ("user", "2.0.0")
    );
    assert_eq!(folder.dump("PRAGMA integrity_check"), ["'ok'"]);
    let refused = folder.db().execute("UPDATE users SET age = 151", []);
    assert!(refused.unwrap_err().to_string().contains("user_age_range"));
}

#[test]
fn what_an_earlier_version_brought_goes_and_what_is_somebody_elses_stays() {
    let folder = Folder::with(USERS);
    let to = |folder: &Folder, reshape| {
        folder
            .reshaping(json!({"table": "users"}), &schema(&NEW), reshape)
            .unwrap()
    };
    fill(to(&folder, reshape()), 1);
    let before = catalog(&folder);
    fill(to(&folder, reshape()), 2);
    assert_eq!(catalog(&folder), before, "the same again changes nothing");
    let bare = Reshape {
        constraints: Vec::new(),
        version: "3.0.0".into(),
        ..reshape()
    };
    fill(to(&folder, bare), 3);
    let text = catalog(&folder).join("\n");
    assert!(
        !text.contains("user_age_range") && !text.contains("user_email_unique"),
        "{text}"
    );
    assert!(
        text.contains("CHECK (name <> '')") && text.contains("users_name"),
        "{text}"
    );
    assert_eq!(stamp(&folder).unwrap().version, "3.0.0");
}

#[test]
fn a_table_that_is_replaced_by_others_says_nothing_any_more() {
    let folder = Folder::with(USERS);
    fill(
        folder
            .reshaping(json!({"table": "users"}), &schema(&NEW), reshape())
            .unwrap(),
        1,
    );
    let sink = folder.sink(
        json!({"table": "users"}),
        &schema(&NEW),
        dkhost_core::Conflict::ReplaceAll,
    );
    fill(sink.unwrap(), 2);
    assert_eq!(stamp(&folder), None);
}

#[test]
fn what_hangs_on_a_column_that_changes_is_named() {
    for (more, why) in [
        (
            "CREATE VIEW elders AS SELECT id FROM users WHERE years > '60';",
            "column `years` of table `users` changes, and view `elders` speaks of it",
        ),
        (
            "CREATE TRIGGER old AFTER UPDATE OF legacy ON users BEGIN SELECT 1; END;",
            "column `legacy` of table `users` changes, and trigger `old` speaks of it",
        ),
        (
            "CREATE UNIQUE INDEX u ON users (legacy); CREATE TABLE f (l TEXT REFERENCES users (legacy));",
            "column `legacy` of table `users` changes, and a foreign key of table `f` speaks of it",
        ),
        (
            "CREATE UNIQUE INDEX u ON users (years); ALTER TABLE users ADD COLUMN peer TEXT REFERENCES users (years);",
            "column `years` of table `users` changes, and a foreign key of table `users` speaks of it",
        ),
    ] {
        let folder = Folder::with(&format!("{USERS}{more}"));
        let refused = folder.reshaping(json!({"table": "users"}), &schema(&NEW), reshape());
        let error = refused.map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), why);
        assert_eq!(error.code(), "sqlite::cannot_reshape");
    }
    let folder = Folder::with(USERS);
    let text_key = schema(&[
        "!id utf8",
        "age int64",
        "name utf8",
        "note utf8",
        "email utf8",
    ]);
    let refused = folder.reshaping(json!({"table": "users"}), &text_key, reshape());
    assert!(
        refused
            .map(|_| ())
            .unwrap_err()
            .to_string()
            .contains("part of the primary key"),
    );
    let checked = Folder::with(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, years TEXT, legacy TEXT, name TEXT, note TEXT, CHECK (legacy <> years))",
    );
    let refused = checked.reshaping(json!({"table": "users"}), &schema(&NEW), reshape());
    let error = refused.map(|_| ()).unwrap_err().to_string();
    assert!(
        error.contains("SQLite cannot drop column `legacy`"),
        "{error}"
    );
}

#[test]
fn a_run_that_dies_before_the_swap_leaves_the_old_table_and_goes_on() {
    let folder = Folder::with(USERS);
    let sink = || {
        folder
            .reshaping(json!({"table": "users"}), &schema(&NEW), reshape())
            .unwrap()
    };
    let before = catalog(&folder);
    let mut run = Run::start(sink(), 1);
    let row: &[Option<&str>] = &[Some("7"), Some("36"), Some("Ada"), Some("n"), Some("a@b")];
    run.write(&rows(&schema(&NEW), &[row]));
    run.commit();
    drop(run);
    assert_eq!(catalog(&folder), before);
    assert_eq!(folder.dump("SELECT years FROM users"), ["'36'"]);
    let run = Run::start(sink(), 1);
    assert_eq!(run.checkpoint.seq, 1);
    run.finish();
    assert_eq!(folder.dump("SELECT age FROM users"), ["36"]);
    assert_eq!(stamp(&folder).unwrap().version, "2.0.0");
}

/// What becomes of one table, told by its plan, and carried out with a row.
fn becomes(
    table: &str,
    columns: &[&str],
    row: &[Option<&str>],
    to: Reshape,
) -> (Vec<String>, String, Folder) {
    let folder = Folder::with(table);
    let sink = folder
        .reshaping(json!({"table": "users"}), &schema(columns), to)
        .unwrap();
    let told = sink.plan().effects[1..].to_vec();
    let mut run = Run::start(sink, 1);
    let report = run.write(&rows(&schema(columns), &[row]));
    assert!(report.rejects.is_empty(), "{:?}", report.rejects);
    run.commit();
    run.finish();
    assert_eq!(folder.dump("PRAGMA integrity_check"), ["'ok'"]);
    assert_eq!(
        folder.dump("PRAGMA foreign_key_check"),
        Vec::<String>::new()
    );
    let sql = folder.dump("SELECT sql FROM sqlite_schema WHERE name = 'users' COLLATE NOCASE");
    (told, sql[0].clone(), folder)
}

fn plain(required: &[&str]) -> Reshape {
    Reshape {
        schema: "user".into(),
        version: "2.0.0".into(),
        required: required.iter().map(|name| (*name).to_owned()).collect(),
        ..Reshape::default()
    }
}

#[test]
fn what_else_a_column_says_stays_when_its_type_changes() {
    let (told, sql, _) = becomes(
        "CREATE TABLE p (k INTEGER PRIMARY KEY); INSERT INTO p VALUES (5);
         CREATE TABLE users (id INTEGER PRIMARY KEY, n TEXT DEFAULT '5' COLLATE NOCASE
           CHECK (n <> 9) UNIQUE REFERENCES p (k) ON DELETE CASCADE, /* behind */ note TEXT NOT NULL)",
        &["!id int64", "n int64", "note utf8"],
        &[Some("1"), Some("5"), None],
        plain(&["id", "n"]),
    );
    assert_eq!(
        told[..2],
        [
            "changes column n to INTEGER NOT NULL",
            "changes column note to TEXT"
        ]
    );
    assert!(
        sql.contains("n INTEGER NOT NULL DEFAULT '5' COLLATE NOCASE")
            && sql.contains(
                "CHECK (n <> 9) UNIQUE REFERENCES p (k) ON DELETE CASCADE, /* behind */ note TEXT)"
            ),
        "{sql}"
    );
}

#[test]
fn a_strict_table_without_rowid_stays_one() {
    let (told, sql, folder) = becomes(
        "CREATE TABLE users (a TEXT, b INT, n TEXT, twice INT AS (b * 2) STORED, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID",
        &["!a utf8", "!b int64", "n int64", "f float64"],
        &[Some("x"), Some("3"), Some("4"), Some("0.5")],
        plain(&["a", "b"]),
    );
    assert_eq!(
        told[..2],
        ["changes column n to INTEGER", "adds column f REAL"]
    );
    assert!(
        sql.contains(
            "twice INT AS (b * 2) STORED, \"f\" REAL, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID"
        ),
        "{sql}"
    );
    let held = folder.dump("SELECT a, b, n, twice, f FROM users");
    assert_eq!(held, ["'x' | 3 | 4 | 6 | 0.5"]);
}

#[test]
fn a_table_that_refers_to_itself_still_does() {
    let (_, sql, folder) = becomes(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, boss INT REFERENCES users (id), n TEXT);
         CREATE TABLE child (u INT REFERENCES users); INSERT INTO users VALUES (1, 1, 'a'); INSERT INTO child VALUES (1);",
        &["!id int64", "boss int64", "m int64"],
        &[Some("1"), Some("1"), Some("2")],
        Reshape {
            renamed: vec![("n".into(), "m".into())],
            ..plain(&["id"])
        },
    );
    assert!(sql.contains("REFERENCES users (id)"), "{sql}");
    let child = folder.dump("SELECT sql FROM sqlite_schema WHERE name = 'child'");
    assert_eq!(child, ["'CREATE TABLE child (u INT REFERENCES users)'"]);
}

#[test]
fn two_columns_can_change_names() {
    let swap = Reshape {
        renamed: vec![("a".into(), "b".into()), ("b".into(), "a".into())],
        ..plain(&["id"])
    };
    let (told, sql, _) = becomes(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, CHECK (b > 0))",
        &["!id int64", "b utf8", "a int64"],
        &[Some("1"), Some("x"), Some("2")],
        swap,
    );
    assert_eq!(
        told[..2],
        ["renames column a to b", "renames column b to a"]
    );
    assert!(
        sql.contains("\"b\" TEXT, \"a\" INTEGER, CHECK (\"a\" > 0)"),
        "{sql}"
    );
}

#[test]
fn what_sqlite_cannot_check_is_told() {
    let folder = Folder::with("CREATE TABLE users (id INTEGER PRIMARY KEY, price)");
    let to = Reshape {
        constraints: vec![Constraint {
            name: "user_price_range".into(),
            column: "price".into(),
            logical: "decimal(10,2)".parse().unwrap(),
            rule: ConstraintRule::Range {
                min: Some("0".into()),
                max: None,
            },
        }],
        ..plain(&["id"])
    };
    let columns = schema(&["!id int64", "price decimal(10,2)"]);
    let sink = folder
        .reshaping(json!({"table": "users"}), &columns, to)
        .unwrap();
    assert_eq!(
        sink.plan().notes,
        [
            "the table itself does not check user_price_range: SQLite compares decimal(10, 2) in another way"
        ]
    );
}

#[test]
fn a_repeated_publish_changes_nothing_and_looking_creates_nothing() {
    let folder = Folder::empty();
    assert_eq!(stamp(&folder), None);
    assert!(!folder.path().join("a.db").exists());
    let folder = Folder::with(USERS);
    let sink = folder
        .reshaping(json!({"table": "users"}), &schema(&NEW), reshape())
        .unwrap();
    let mut run = Run::start(sink, 1);
    let row: &[Option<&str>] = &[Some("7"), Some("36"), Some("Ada"), Some("n"), Some("a@b")];
    run.write(&rows(&schema(&NEW), &[row]));
    run.commit();
    run.sink.publish().unwrap();
    let at = || {
        (
            catalog(&folder),
            folder.dump("SELECT * FROM dkhost_schema_version"),
        )
    };
    let before = at();
    run.sink.publish().unwrap();
    assert_eq!(at(), before);
}

#[test]
fn an_index_that_cannot_be_made_is_refused_and_not_left_out() {
    for (more, why) in [
        (
            "CREATE TABLE t (a); CREATE INDEX user_email_unique ON t (a);",
            "table `users` is to get a unique index `user_email_unique`, and something else in the database is called so",
        ),
        (
            "CREATE INDEX user_email_unique ON users (name);",
            "table `users` cannot be migrated: SQLite cannot create index `user_email_unique`: index user_email_unique already exists",
        ),
    ] {
        let folder = Folder::with(&format!("{USERS}{more}"));
        let refused = folder.reshaping(json!({"table": "users"}), &schema(&NEW), reshape());
        let error = refused.map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), why);
        assert_eq!(error.code(), "sqlite::cannot_reshape");
    }
}
