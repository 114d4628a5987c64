//! A migration of a table that is interrupted at every point it passes. A binary of its own: what
//! happens at a point is said once for a process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

#[path = "target/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the target")]
mod support;
#[path = "target/versions.rs"]
#[allow(dead_code, reason = "shared with the tests of the target")]
mod versions;

use dkhost_drive::interrupted_anywhere;

use support::{database, rows};
use versions::{NEW_ROWS, OLD, definition, new_version, open};

#[test]
fn whoever_dies_at_whichever_point_leaves_the_old_table_or_the_new_one() {
    let (to, reshape) = new_version();
    let batches: Vec<_> = NEW_ROWS
        .iter()
        .map(|row| rows(&to, std::slice::from_ref(row)))
        .collect();
    for before in [OLD, "SELECT"] {
        let points = interrupted_anywhere(
            &batches,
            || database(before),
            |database| open(database, &to, &reshape),
            |database| {
                let rows = database.sql("SELECT id, age, price, code, status FROM t ORDER BY id");
                let stamps =
                    database.sql("SELECT target, schema, version, run FROM dkhost.schema_version");
                let ours = database.sql("SELECT relname FROM pg_class WHERE relnamespace = 'dkhost'::regnamespace AND relkind = 'r'");
                let unchecked =
                    database.sql("SELECT count(*) FROM pg_constraint WHERE NOT convalidated");
                assert_eq!(unchecked, "0");
                [definition(database), rows, stamps, ours]
            },
        );
        assert!(points.contains("postgres.publish.committed"), "{points:?}");
    }
}
