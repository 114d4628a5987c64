//! A store that is brought to another version by a migration that attacks: nothing of it changes, the
//! error is the one named for the misdeed, and a good migration brings all of it there.

use crate::common::{Answer, World};
use crate::guests;
use crate::world::{all, harmless, held, names};

const JOB: &str = r#"name = "attacked"

[source]
backend = "memory"
records = [{ id = 1 }]

[target]
backend = "sqlite"
path    = "out.db"
table   = "t"

[plugins.attack]
path   = "attack.wasm"
limits = { call_timeout_ms = TIMEOUT }

[run]
batch  = { rows = 20 }
verify = "full"
"#;

const VERSION: &str = "key = [\"id\"]\n[fields.id]\ntype = \"int64\"\nrequired = true\n[fields.name]\ntype = \"utf8\"\n";

/// A table of version 1.0.0, a job that writes to it, and the guest.
fn attacked(guest: &[u8], timeout: &str) -> World {
    let world = World::with_job(&JOB.replace("TIMEOUT", timeout));
    for version in ["1.0.0", "2.0.0"] {
        world.write(&format!("schemas/user/{version}.toml"), VERSION);
    }
    world.write("attack.wasm", guest);
    let database = rusqlite::Connection::open(world.path("out.db")).unwrap();
    let table = "create table t (id integer primary key, name text)";
    database.execute(table, []).unwrap();
    for (id, name) in names() {
        let insert = "insert into t values (?1, ?2)";
        database.execute(insert, (id, name)).unwrap();
    }
    world
}

fn apply(world: &World, to: &str, more: &[&str]) -> Answer {
    let words = ["schema", "apply", "user", "--job", "job.toml", "--to", to];
    world.run(&[&words[..], more].concat())
}

#[test]
fn a_migration_that_attacks_leaves_the_store_as_it_was() {
    let attacks = guests::GUESTS.iter().filter(|(name, _, code)| {
        let goes_up = ["migration_one_way", "migration_trap_on_the_way_down"].contains(name);
        name.starts_with("migration_") && !code.is_empty() && !goes_up
    });
    let mut met = 0;
    for (name, _, code) in attacks {
        let timeout = match *code {
            "plugin::out_of_time" => "400",
            _ => "60000",
        };
        let world = attacked(&guests::guest(name), timeout);
        let answer = apply(&world, "2.0.0", &["--from", "1.0.0"]);
        harmless(name, &answer);
        assert_eq!(answer.code, 6, "`{name}`: {}{}", answer.out, answer.err);
        let named = format!("error[{code}]");
        assert!(answer.err.contains(&named), "`{name}`: {}", answer.err);
        assert_eq!(held(&world), all(), "`{name}`");
        world.write("attack.wasm", guests::good_migration());
        world.write("job.toml", JOB.replace("TIMEOUT", "60000"));
        let answer = apply(&world, "2.0.0", &["--from", "1.0.0", "--no-resume"]);
        assert_eq!(answer.code, 0, "`{name}`: {}{}", answer.out, answer.err);
        assert_eq!(held(&world), all(), "`{name}`");
        met += 1;
    }
    assert!(met >= 15, "only {met} guests were met");
}

#[test]
fn a_migration_without_a_way_down_is_not_asked_for_one() {
    let world = attacked(&guests::guest("migration_one_way"), "60000");
    let answer = apply(&world, "2.0.0", &["--from", "1.0.0"]);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    let answer = apply(&world, "1.0.0", &["--from", "2.0.0"]);
    assert_eq!(answer.code, 2, "{}{}", answer.out, answer.err);
    assert!(answer.err.contains("2.0.0"), "{}", answer.err);
    assert_eq!(held(&world), all());
}
