//! What a table's definition says beside what changes stays as it was typed.

use dkhost_core::{Constraint, ConstraintRule, Reshape};
use serde_json::json;

use super::plain;
use super::support::{Folder, Run, rows, schema};

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
            "changes column note to TEXT, no longer NOT NULL"
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
fn a_column_without_a_type_becomes_one_of_json_text_in_the_open() {
    for declared in ["", "NUMERIC"] {
        let (told, sql, folder) = becomes(
            &format!("CREATE TABLE users (id INTEGER PRIMARY KEY, any {declared})"),
            &["!id int64", "any json"],
            &[Some("1"), Some("\"5\"")],
            plain(&["id"]),
        );
        assert_eq!(told[0], "changes column any to JSON TEXT", "{declared}");
        assert!(sql.contains("any JSON TEXT"), "{sql}");
        assert_eq!(folder.dump("SELECT any FROM users"), ["'\"5\"'"]);
    }
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
