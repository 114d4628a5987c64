//! A table that takes the shape of another version of its schema.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod definitions;
#[path = "../support/mod.rs"]
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

fn plain(required: &[&str]) -> Reshape {
    Reshape {
        schema: "user".into(),
        version: "2.0.0".into(),
        required: required.iter().map(|name| (*name).to_owned()).collect(),
        ..Reshape::default()
    }
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

#[test]
fn what_somebody_writes_to_the_table_meanwhile_is_not_lost() {
    let row: &[Option<&str>] = &[Some("7"), Some("36"), Some("Ada"), Some("n"), Some("a@b")];
    for change in [
        "INSERT INTO users (id, years, name) VALUES (8, '40', 'Bob')",
        "UPDATE users SET years = '37'",
        "DELETE FROM users",
    ] {
        let folder = Folder::with(USERS);
        let sink = || {
            folder
                .reshaping(json!({"table": "users"}), &schema(&NEW), reshape())
                .unwrap()
        };
        let mut run = Run::start(sink(), 1);
        run.write(&rows(&schema(&NEW), &[row]));
        run.commit();
        folder.db().execute(change, []).unwrap();
        let written = folder.dump("SELECT * FROM users");
        let refused = run.sink.publish().unwrap_err();
        assert_eq!(refused.code(), "target::changed", "{change}");
        assert_eq!(
            refused.to_string(),
            "table `users` in a.db was written to since the run began to read it, and replacing its rows would lose that"
        );
        assert_eq!(folder.dump("SELECT * FROM users"), written);
        drop(run);
        fill(sink(), 2);
        assert_eq!(stamp(&folder).unwrap().version, "2.0.0", "{change}");
    }
}

#[test]
fn a_store_of_dataknobs_says_its_version_and_keeps_its_table() {
    let folder = Folder::with(
        "CREATE TABLE records (id TEXT PRIMARY KEY, data TEXT NOT NULL, metadata TEXT,
           created_at TEXT DEFAULT CURRENT_TIMESTAMP, updated_at TEXT DEFAULT CURRENT_TIMESTAMP, owner TEXT DEFAULT 'me');
         CREATE INDEX theirs ON records (owner);
         INSERT INTO records (id, data, created_at, owner) VALUES ('1', '{\"years\":36}', '2020-01-31 01:02:03', 'you');",
    );
    let options = json!({"layout": "dataknobs"});
    let columns = schema(&["!id utf8", "age int64"]);
    let before = catalog_of(&folder, "records");
    let sink = folder.reshaping(options, &columns, plain(&["id"])).unwrap();
    assert!(sink.plan().effects.contains(
        &"says in table dkhost_schema_version that its records are of user@2.0.0".to_owned()
    ));
    assert!(sink.plan().notes.contains(
        &"updated_at is set to the time of writing; the other columns of the store stay as they are".to_owned()
    ));
    let mut run = Run::start(sink, 1);
    run.write(&rows(&columns, &[&[Some("1"), Some("37")]]));
    run.commit();
    run.finish();
    assert_eq!(catalog_of(&folder, "records"), before);
    let held = folder.dump(
        "SELECT id, json_extract(data, '$.age.value', '$.age'), created_at, owner FROM records",
    );
    assert!(
        held.len() == 1
            && held[0].contains("37")
            && held[0].ends_with("'2020-01-31 01:02:03' | 'you'"),
        "{held:?}"
    );
    let said = folder.dump("SELECT \"table\", \"schema\", version FROM dkhost_schema_version");
    assert_eq!(said, ["'records' | 'user' | '2.0.0'"]);
}

fn catalog_of(folder: &Folder, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT type, name, replace(sql, '\"', '') FROM sqlite_schema WHERE tbl_name = '{table}' ORDER BY name"
    );
    folder.dump(&sql)
}

/// And what hangs on it goes with it.
#[test]
fn a_column_goes_and_another_one_gets_its_name() {
    let folder = Folder::with(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, a TEXT, b TEXT);
         CREATE INDEX of_a ON users (a); CREATE INDEX of_b ON users (b);",
    );
    let reshape = Reshape {
        renamed: vec![("b".into(), "a".into())],
        removed: vec!["a".into()],
        ..plain(&[])
    };
    let sink = folder
        .reshaping(
            json!({"table": "users"}),
            &schema(&["!id int64", "a utf8"]),
            reshape,
        )
        .unwrap();
    let changes = &sink.plan().effects[1..4];
    assert_eq!(
        changes,
        [
            "renames column b to a",
            "drops column a",
            "drops index of_a, whose column goes",
        ]
    );
}
