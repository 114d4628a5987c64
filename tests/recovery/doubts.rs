//! The oracle itself: each thing it is there for is done on purpose, and must be noticed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dkhost_servers::Ask;
use rusqlite::Connection;

use super::objects::PREFIX;
use super::oracle::{check_end, check_meanwhile, check_result, content, leftovers, undisturbed};
use super::places::Place;
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

fn on_cluster(world: &World, method: &str, path: &str, body: &str) {
    let Some(Place::Indices(on)) = world.place() else {
        panic!("no cluster")
    };
    on.ask(method, &format!("/{}{path}", on.name("t")), body);
}

fn bucket(world: &World) -> &dkhost_servers::Bucket {
    match world.place() {
        Some(Place::Bucket(bucket)) => bucket,
        _ => panic!("no bucket"),
    }
}

fn ended_with(name: &'static str, cases: &[(&str, Tamper)]) {
    for (what, tamper) in cases {
        let world = World::new(target(name), Load::TINY);
        let wanted = undisturbed(world.target, world.load);
        assert_eq!(world.run().code, 3);
        check_result(&world, &wanted, what);
        tamper(&world);
        must_panic(what, || {
            check_result(&world, &wanted, what);
            assert_eq!(leftovers(&world), wanted.tree);
        });
    }
}

#[test]
fn a_wrong_end_in_an_index_is_noticed() {
    let doubled: Tamper = |world| {
        let known = String::from_utf8(content(world)[0].1.clone()).unwrap();
        on_cluster(world, "POST", "/_doc?refresh=true", &known);
    };
    ended_with("elasticsearch", &[("a doubled document", doubled)]);
    let cases: [(&str, Tamper); 5] = [
        ("a lost document", |world| {
            on_cluster(world, "DELETE", "/_doc/12?refresh=true", "")
        }),
        ("another value", |world| {
            on_cluster(world, "PUT", "/_doc/12?refresh=true", "{\"id\":12}")
        }),
        ("settings of a load", |world| {
            let load = "{\"refresh_interval\": \"-1\"}";
            on_cluster(world, "PUT", "/_settings", load);
        }),
        ("an alias", |world| {
            on_cluster(world, "PUT", "/_alias/dkhost-writer-x", "")
        }),
        ("an index", |world| {
            on_cluster(world, "PUT", "-dkhost-x", "")
        }),
    ];
    ended_with("elasticsearch-upsert", &cases);
}

#[test]
fn a_wrong_end_in_a_bucket_is_noticed() {
    let of_records: [(&str, Tamper); 3] = [
        ("a lost object", |world| {
            bucket(world).delete(&format!("{PREFIX}5.json"))
        }),
        ("another value", |world| {
            bucket(world).put(&format!("{PREFIX}5.json"), b"{\"id\":5}")
        }),
        ("a note", |world| {
            bucket(world).put(&format!("{PREFIX}.dkhost/note-0"), b"{}")
        }),
    ];
    ended_with("s3-records-upsert", &of_records);
    let of_parts: [(&str, Tamper); 3] = [
        ("another part", |world| {
            let bucket = bucket(world);
            let keys = bucket.keys(PREFIX).into_iter();
            let parts = keys
                .filter(|key| key.contains("/part-"))
                .collect::<Vec<_>>();
            bucket.put(&parts[0], &bucket.get(&parts[1]));
        }),
        ("a part that does not count", |world| {
            bucket(world).put(&format!("{PREFIX}run/part-00000-00009.jsonl"), b"{}\n")
        }),
        ("an unfinished upload", |world| {
            let key = format!("{PREFIX}run/part-00000-00009.jsonl");
            let begin = Ask {
                key: &key,
                query: &[("uploads", "")],
                ..Ask::default()
            };
            assert!(bucket(world).ask("POST", begin).unwrap().is_fine());
        }),
    ];
    ended_with("s3", &of_parts);
}

#[test]
fn a_wrong_moment_over_http_is_noticed() {
    let leads: Tamper = |world| {
        let sql = "UPDATE checkpoint SET body = json_set(body, '$.seq', 1000)";
        in_history(world, sql);
    };
    let cases: [(&str, &'static str, Tamper); 6] = [
        ("a document of nobody", "elasticsearch-upsert", |world| {
            on_cluster(world, "PUT", "/_doc/5", "{\"id\":5}")
        }),
        (
            "a lost document of somebody",
            "elasticsearch-insert",
            |world| on_cluster(world, "DELETE", "/_doc/-1", ""),
        ),
        ("half a replaced index", "elasticsearch-replace", |world| {
            on_cluster(world, "DELETE", "/_doc/-1", "")
        }),
        ("half an object", "s3-records", |world| {
            bucket(world).put(&format!("{PREFIX}5.json"), b"{\"id\":5")
        }),
        ("a history that leads a cluster", "elasticsearch", leads),
        ("a history that leads a bucket", "s3-records-upsert", leads),
    ];
    for (what, name, tamper) in cases {
        let world = World::new(target(name), Load::TINY);
        let wanted = undisturbed(world.target, world.load);
        assert_eq!(world.run_failing("run.batch.committed:4:kill").code, -9);
        check_meanwhile(&world, &wanted, what);
        tamper(&world);
        must_panic(what, || check_meanwhile(&world, &wanted, what));
    }
}
