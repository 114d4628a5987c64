//! A job that reads only what changed, run again and again: what the plan, the report and the history
//! say about it, and how to start over.

use crate::world::World;

const JOB: &str = r#"name = "people"
[source]
backend = "memory"
records = [{ id = 1, at = 10 }, { id = 2, at = 20 }, { id = 3, at = 20 }, { id = 4, at = 5 }]
filter = "id < 4 and id % 5 > 0"
incremental = { column = "at", lookback = 5 }
[target]
backend = "sqlite"
path = "people.db"
table = "people"
key = ["id"]
on_conflict = "upsert"
"#;

fn read(world: &World, arguments: &[&str]) -> u64 {
    let answer = world.expect(0, &[&["run", "job.toml", "--json"], arguments].concat());
    answer.last()["counts"]["read"].as_u64().unwrap()
}

fn plan(world: &World) -> String {
    world.expect(0, &["plan", "job.toml"]).out
}

#[test]
fn an_incremental_job_says_from_where_it_reads_and_reads_all_when_asked() {
    let world = World::with_job(JOB);
    let first = plan(&world);
    for line in [
        "  - incremental by `at`: reads all records (no cursor is kept yet)",
        "  - the source itself checks: id < 4; other records are not read",
        "source.filter  where id % 5 > 0",
    ] {
        assert!(first.contains(line), "{line}\n{first}");
    }
    assert_eq!(read(&world, &[]), 3);
    let second = "  - incremental by `at`: reads from 20 less 5 on (the cursor of the last run)";
    assert!(plan(&world).contains(second));
    let json = world.expect(0, &["plan", "job.toml", "--json"]).last();
    assert_eq!(json["source_checks"], serde_json::json!(["id < 4"]));
    assert_eq!(
        (&json["cursor"]["from"], &json["cursor"]["column"]),
        (&"20".into(), &"at".into())
    );
    assert_eq!(read(&world, &[]), 2);
    let history = world.expect(0, &["history", "people"]).out;
    assert!(history.contains("at from 20 to 20"), "{history}");
    assert_eq!(read(&world, &["--full"]), 3);
    let history = world.expect(0, &["history", "people", "--json"]).last();
    assert!(history["cursor"]["from"].is_null(), "{history}");
    assert_eq!(read(&world, &["--no-resume"]), 2);
    let both = world.expect(2, &["run", "job.toml", "--full", "--no-resume"]);
    assert!(both.err.contains("--no-resume"), "{}", both.err);
}

#[test]
fn where_a_store_cannot_tell_what_changed_the_way_out_is_named() {
    let world = World::with_job(&JOB.replace(
        "backend = \"memory\"\nrecords",
        "backend = \"file\"\npath = \"in.jsonl\"\n# records",
    ));
    world.write("in.jsonl", "{\"id\":1,\"at\":1}\n");
    let refused = world.expect(2, &["plan", "job.toml"]);
    assert!(
        refused.err.contains("error[plan::not_incremental]: a file source cannot tell what changed since the last run"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("leave it out"), "{}", refused.err);
}
