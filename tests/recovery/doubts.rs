//! The oracle itself: each thing it is there for is done on purpose, and must be noticed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;

use super::oracle::{check_end, check_meanwhile, undisturbed};
use super::targets::target;
use super::world::{Load, World};

type Tamper = fn(&World);

fn in_target(world: &World, sql: &str) {
    Connection::open(world.result())
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

fn in_history(world: &World, sql: &str) {
    Connection::open(world.path(".dkhost/state.db"))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

#[track_caller]
fn must_panic(what: &str, check: impl FnOnce()) {
    assert!(
        catch_unwind(AssertUnwindSafe(check)).is_err(),
        "nobody noticed: {what}"
    );
}

#[test]
fn a_wrong_end_is_noticed() {
    let cases: [(&str, Tamper); 6] = [
        ("a doubled row", |world| {
            in_target(world, "INSERT INTO t SELECT * FROM t LIMIT 1")
        }),
        ("a lost row", |world| {
            in_target(world, "DELETE FROM t WHERE id = 5")
        }),
        ("another value", |world| {
            in_target(world, "UPDATE t SET name = 'x' WHERE id = 5")
        }),
        ("a lost letter", |world| {
            in_history(world, "DELETE FROM dead_letter WHERE number = 1")
        }),
        ("another payload", |world| {
            in_history(world, "UPDATE dead_letter SET payload = x'00'")
        }),
        ("a leftover", |world| world.write("out/.t.db.part", "")),
    ];
    for (what, tamper) in cases {
        let world = World::new(target("sqlite"), Load::TINY);
        let wanted = undisturbed(world.target, world.load);
        assert_eq!(world.run().code, 3);
        tamper(&world);
        must_panic(what, || check_end(&world, &wanted, what));
    }
}

#[test]
fn a_wrong_moment_is_noticed() {
    let cases: [(&str, &'static str, Tamper); 4] = [
        ("half a file", "jsonl", |world| {
            world.write("out/t.jsonl", super::world::line(1))
        }),
        ("half a replaced file", "jsonl-replace", |world| {
            world.write("out/t.jsonl", "")
        }),
        ("rows out of order", "sqlite", |world| {
            in_target(world, "DELETE FROM t WHERE id = 1")
        }),
        ("a history that leads", "sqlite", |world| {
            in_history(
                world,
                "UPDATE checkpoint SET body = json_set(body, '$.seq', 1000)",
            );
        }),
    ];
    for (what, name, tamper) in cases {
        let world = World::new(target(name), Load::SMALL);
        let wanted = undisturbed(world.target, world.load);
        assert_eq!(world.run_failing("run.batch.committed:140:kill").code, -9);
        check_meanwhile(&world, &wanted, what);
        tamper(&world);
        must_panic(what, || check_meanwhile(&world, &wanted, what));
    }
}
