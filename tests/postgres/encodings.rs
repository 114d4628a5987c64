//! Databases whose encoding is not UTF-8.

use dkhost_servers::{Database, postgres, query};

use crate::support::{job, letters, run, table};
use crate::world::World;

/// A database of this encoding beside a fresh one; it goes with the server, or when told to.
struct Encoded {
    beside: Database,
    database: Database,
}

impl Encoded {
    fn new(encoding: &str) -> Self {
        let beside = postgres();
        let mut database = postgres();
        let name = database.name.clone();
        query(
            &beside.url,
            &format!("DROP DATABASE {name}; CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"),
        )
        .unwrap();
        database.name = name;
        Encoded { beside, database }
    }
}

#[test]
fn a_text_that_the_target_cannot_spell_is_refused_by_record() {
    let from = postgres();
    from.sql("CREATE TABLE t (id int PRIMARY KEY, v text, j json); INSERT INTO t VALUES (1, 'für', '\"é\"'), (2, '漢字', NULL), (3, 'ok', '\"漢\"'), (4, 'end', '{}')");
    let latin = Encoded::new("LATIN1");
    latin
        .database
        .sql("CREATE TABLE u (id int PRIMARY KEY, v text, j json)");
    let world = World::new();
    for name in ["t", "u"] {
        let target = table(&latin.database, name) + "create = true\n";
        let job = job(
            &world,
            name,
            &table(&from, "t"),
            &target,
            "verify = \"full\"\non_error = \"dead-letter\"",
        );
        assert_eq!(run(&world, &job), 2);
        let keys: Vec<String> = letters(&world, &job)
            .into_iter()
            .map(|(key, ..)| key)
            .collect();
        assert_eq!(keys, ["2", "3"]);
        let held = latin.database.sql(&format!("SELECT string_agg(id || ' ' || encode(convert_to(v, 'LATIN1'), 'hex'), ',' ORDER BY id) FROM {name}"));
        assert_eq!(held, "1 66fc72,4 656e64");
    }
    assert!(latin.beside.sql("SELECT 1") == "1");
}

/// Bytes without an encoding are read as UTF-8, which the server does not check there: what is
/// none is refused by record.
#[test]
fn bytes_that_are_no_utf8_are_refused_by_record() {
    let ascii = Encoded::new("SQL_ASCII");
    ascii.database.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'ok'), (2, E'\\xe9'), (3, 'é')");
    let (to, world) = (postgres(), World::new());
    let target = table(&to, "t") + "create = true\n";
    let job = job(
        &world,
        "bytes",
        &table(&ascii.database, "t"),
        &target,
        "verify = \"full\"\non_error = \"dead-letter\"",
    );
    assert_eq!(run(&world, &job), 1);
    assert_eq!(letters(&world, &job)[0].0, "2");
    assert_eq!(
        to.sql("SELECT string_agg(id || v, ',' ORDER BY id) FROM t"),
        "1ok,3é"
    );
}
