//! Row security on the side that is read: rows are hidden with the owner's word, or not at all.

use dkhost_core::{Result, Source};
use dkhost_servers::Database;
use serde_json::{Value, json};

use crate::support::*;

/// A table of which others than its owner see one row of two.
const MINE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'mine'), (2, 'theirs'); \
    ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (v = 'mine'); \
    CREATE VIEW w AS SELECT id AS n FROM t; CREATE TABLE open (id int); CREATE VIEW o AS SELECT * FROM open;";

/// Opens a source as another user, who may read everything that policies show.
fn as_somebody(database: &Database, options: Value) -> Result<Box<dyn Source>> {
    let (_, host) = database.url.split_once('@').unwrap();
    let url = format!("postgres://{}@{host}", user(database));
    source_with(&url, options, |_| ())
}

fn user(database: &Database) -> String {
    format!("reader_{}", database.name)
}

fn hidden() -> Database {
    let database = with(MINE);
    let user = user(&database);
    // A view reads with its owner's eyes, and this owner's are as good as anybody's.
    database.sql(&format!(
        "CREATE ROLE {user} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}; ALTER VIEW w OWNER TO {user}"
    ));
    database
}

fn forget(database: &Database) {
    let user = user(database);
    database.sql(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}"));
}

#[test]
fn a_source_whose_rows_may_be_hidden_is_refused() {
    let database = hidden();
    for options in [
        json!({"table": "t"}),
        json!({"table": "w"}),
        json!({"query": "SELECT count(*) FROM t"}),
    ] {
        let error = refused(as_somebody(&database, options.clone()));
        assert_eq!(error.code(), "postgres::rows_hidden", "{options}");
    }
    // Nothing is hidden from the owner, nor where there are no policies.
    source(&database, json!({"table": "t"})).unwrap();
    for options in [
        json!({"table": "open"}),
        json!({"table": "o"}),
        json!({"query": "SELECT 1 AS n"}),
    ] {
        as_somebody(&database, options).unwrap();
    }
    forget(&database);
}

#[test]
fn rows_that_row_security_shows_are_read_where_the_job_says_so() {
    let database = hidden();
    for (options, row) in [
        (json!({"table": "t"}), r#"{"id":1,"v":"mine"}"#),
        (json!({"table": "w"}), r#"{"n":1}"#),
        (json!({"query": "SELECT id AS n FROM t"}), r#"{"n":1}"#),
    ] {
        let mut options = options;
        options["row_security"] = true.into();
        let source = as_somebody(&database, options).unwrap();
        let notes = source.notes();
        assert!(
            notes
                .iter()
                .any(|note| note.contains("row security hides rows")),
            "{notes:?}"
        );
        assert_eq!(read(source.as_ref()), [row]);
    }
    forget(&database);
}
