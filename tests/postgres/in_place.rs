//! A job whose target is the table it reads.

use dkhost_servers::postgres;

use crate::support::{job, run, table};
use crate::world::World;

#[test]
fn a_table_is_read_and_replaced_in_one_run() {
    let (database, world) = (postgres(), World::new());
    database.sql(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 5000) i",
    );
    // A run that waits for itself says so soon.
    let place = table(&database, "t") + "lock_timeout_ms = 3000\n";
    let target = format!("{place}on_conflict = \"replace-all\"\n");
    let steps = "batch = { rows = 100 }\nparallel = 2\n[[steps]]\nset = { v = \"v * 2\" }";
    let job = job(&world, "double", &place, &target, steps);
    for doubled in [2, 4] {
        assert_eq!(run(&world, &job), 0);
        let held = format!("SELECT count(*), sum(v) = {doubled} * sum(id) FROM t");
        assert_eq!(database.sql(&held), "5000|t");
    }
}
