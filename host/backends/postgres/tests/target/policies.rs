//! Tables with row security, whose policies hide rows and refuse rows; and a database without
//! plpgsql.

use dkhost_core::{Conflict, Result, Schema, Sink};
use dkhost_servers::Database;

use crate::support::{Cells, Run, database, fates, refused, rows, schema, sink, sink_at, whys};
use crate::tables::{as_user, forget_user};

/// A table whose policy shows and takes the rows that are `mine`; it holds one that is hidden.
const MINE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (9, 'theirs'); \
    ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (v = 'mine')";

/// Opens the table as somebody who sees only what the policy shows.
fn as_somebody(database: &Database, schema: &Schema, conflict: Conflict) -> Result<Box<dyn Sink>> {
    let rights = format!(
        "GRANT ALL ON t TO USER_; GRANT CREATE ON DATABASE {} TO USER_",
        database.name
    );
    sink_at(as_user(database, &rights), schema, conflict, |_| ())
}

#[test]
fn a_row_that_row_security_forbids_is_refused() {
    for conflict in [Conflict::Insert, Conflict::Upsert, Conflict::Skip] {
        let database = database(MINE);
        let schema = schema(&["!id int32", "v utf8"]);
        let open = as_somebody(&database, &schema, conflict).unwrap();
        let notes = &open.plan().notes;
        assert!(
            notes.iter().any(|note| note.contains("row security")),
            "{notes:?}"
        );
        let mut run = Run::start(open, 1);
        let cells: Cells<'_> = &[
            &[Some("1"), Some("mine")],
            &[Some("2"), Some("theirs")],
            &[Some("3"), Some("mine")],
        ];
        let report = run.write(&rows(&schema, cells));
        assert_eq!(fates(&report, 3), "wxw", "{conflict:?}");
        let why = &whys(&report)[0];
        assert!(why.starts_with("1 postgres::row_security -: "), "{why}");
        run.commit();
        run.finish();
        assert_eq!(database.sql("SELECT id FROM t ORDER BY id"), "1\n3\n9");
        forget_user(&database);
    }
}

#[test]
fn a_row_that_row_security_hides_stays_in_its_place() {
    let database = database(MINE);
    let schema = schema(&["!id int32", "v utf8"]);
    let mut run = Run::start(
        as_somebody(&database, &schema, Conflict::Upsert).unwrap(),
        1,
    );
    let cells: Cells<'_> = &[&[Some("9"), Some("mine")], &[Some("1"), Some("mine")]];
    let report = run.write(&rows(&schema, cells));
    assert_eq!(fates(&report, 2), "xw");
    run.commit();
    run.finish();
    assert_eq!(
        database.sql("SELECT * FROM t ORDER BY id"),
        "1|mine\n9|theirs"
    );
    forget_user(&database);
}

#[test]
fn rows_that_row_security_hides_are_not_emptied_away() {
    let database = database(MINE);
    let schema = schema(&["!id int32", "v utf8"]);
    let error = refused(as_somebody(&database, &schema, Conflict::ReplaceAll));
    assert_eq!(error.code(), "postgres::row_security");
    forget_user(&database);
}

#[test]
fn a_database_without_the_language_that_finds_bad_rows_is_refused_in_the_plan() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY); DROP EXTENSION plpgsql");
    let error = refused(sink(
        &database,
        "t",
        &schema(&["!id int32"]),
        Conflict::Upsert,
    ));
    assert_eq!(error.code(), "postgres::no_plpgsql");
    assert_eq!(error.help_text(), Some("CREATE EXTENSION plpgsql"));
}
