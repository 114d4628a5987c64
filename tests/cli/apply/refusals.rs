//! Records that do not fit the other version, stores that say another one, jobs at work.

use expect_test::expect;
use rustix::process::Signal;
use serde_json::json;

use super::applying::{Applying, JSONL, OLD, TABLE, files, lines};
use crate::world::check;

/// Two of them cannot be of 2.0.0.
const BAD: &str = r#"{"id":1,"name":"Ada","years":"36","legacy":"x","price":1.5,"born":"1815-12-10"}
{"id":2,"name":"Many","years":"many"}
{"id":3,"name":"Old","years":"151"}
{"id":4,"name":"Ünï","years":"150"}
"#;

const STORES: [&str; 3] = [
    TABLE,
    JSONL,
    "backend = \"file\"\npath = \"store/t.parquet\"\n",
];

#[test]
fn a_dry_run_shows_the_plan_and_who_would_be_refused_and_writes_nothing() {
    let applying = Applying::filled(TABLE, BAD);
    let before = (
        files(&applying.world, "store"),
        files(&applying.world, ".dkhost"),
    );
    let answer = applying.apply(4, "--from 1.0.0 --to 2.0.0 --dry-run");
    check(
        &answer.out,
        expect![[r#"
        users.user  the plan; nothing was written

        source  sqlite, 4 records
          1 partition: table `t`
          - table `t` is read by rowid
          - rows are those of the moment the reading begins; a resumed run goes on with those of its own moment
            id      int64 not null  key
            name    utf8
            years   utf8
            legacy  utf8
            price   decimal(10, 2)
            born    date32
            _rest   json  everything the columns do not hold

        1:migrate  user@1.0.0 to 2.0.0: years as age; age: type_cast; 'none@example.com' as email; without legacy (kept in _removed); user@2.0.0
            -  years     utf8
            -  legacy    utf8
            +  age       int64
            +  email     utf8 not null
            +  _removed  json

        target  table t in store/t.db
          - builds table t anew beside the old one, with its definition and indexes, and swaps the two at the end
          - renames column years to age
          - drops column legacy
          - changes column age to INTEGER
          - adds column email TEXT NOT NULL
          - adds column _removed JSON TEXT
          - adds the check user_age_range
          - says in table dkhost_schema_version that its records are of user@2.0.0
          - keeps checkpoints in table dkhost_checkpoint until the run is done
            id        INTEGER
            name      TEXT
            age       INTEGER
            price     DECIMAL TEXT(10, 2)  as decimal text
            born      DATE TEXT            as ISO 8601 text
            email     TEXT
            _removed  JSON TEXT            as JSON text

        conflicts:  on_conflict = "replace-all", key id
        delivery:   effectively-once (rows and checkpoint in one transaction of the database)
        drift:      schema_drift = "freeze"
        verify:     verify = "count"
        plan:       HASH
        users.user 2 records would be refused  nothing was written

          valid     2
          filtered  0
          refused   2
          read      4  every record is accounted for

        refused, by reason
          1  1:migrate  step::cast
          1  1:migrate  schema::range

        one by one
          table t, rowid 2, column `age`: "many" cannot be cast to int64
          table t, rowid 3, column `age`: `age` is 151, not in 0 to 150
    "#]],
    );
    let after = (
        files(&applying.world, "store"),
        files(&applying.world, ".dkhost"),
    );
    assert_eq!(before, after);
    for target in STORES {
        let applying = Applying::filled(target, BAD);
        let before = files(&applying.world, "store");
        let answer = applying.apply(4, "--from 1.0.0 --to 2.0.0 --dry-run --json");
        assert_eq!(files(&applying.world, "store"), before, "{target}");
        assert_eq!(answer.last()["refused"], 2, "{}", answer.out);
    }
}

#[test]
fn the_plan_is_told_before_it_is_carried_out() {
    let applying = Applying::filled(TABLE, OLD);
    let told = applying.apply(0, "--from 1.0.0 --to 2.0.0").err;
    check(
        &told,
        expect![[r#"
        table t in store/t.db: user 1.0.0 to user 2.0.0
          up from 1.0.0 to 2.0.0 by 1.0.0--2.0.0.toml
          builds table t anew beside the old one, with its definition and indexes, and swaps the two at the end
          renames column years to age
          drops column legacy
          changes column age to INTEGER
          adds column email TEXT NOT NULL
          adds column _removed JSON TEXT
          adds the check user_age_range
          says in table dkhost_schema_version that its records are of user@2.0.0
          keeps checkpoints in table dkhost_checkpoint until the run is done
    "#]],
    );
    let told = applying.apply(0, "--to 1.0.0").err;
    check(
        &told,
        expect![[r#"
        table t in store/t.db: user 2.0.0 to user 1.0.0
          down from 2.0.0 to 1.0.0 by 1.0.0--2.0.0.toml
          builds table t anew beside the old one, with its definition and indexes, and swaps the two at the end
          renames column age to years
          drops column email
          changes column years to TEXT
          adds column legacy TEXT
          says in table dkhost_schema_version that its records are of user@1.0.0
          keeps checkpoints in table dkhost_checkpoint until the run is done
    "#]],
    );
    let applying = Applying::filled(JSONL, OLD);
    let told = applying.apply(0, "--from 1.0.0 --to 2.0.0").err;
    check(
        &told,
        expect![[r#"
        file store/t.jsonl (JSON Lines): user 1.0.0 to user 2.0.0
          up from 1.0.0 to 2.0.0 by 1.0.0--2.0.0.toml
          replaces `store/t.jsonl` (338 bytes) when the run is done
          says in `.t.jsonl.dkhost-schema.json`, beside `store/t.jsonl`, that its records are of user@2.0.0
    "#]],
    );
}

#[test]
fn a_record_that_is_refused_stops_it_and_the_store_is_as_it_was() {
    for target in STORES {
        let applying = Applying::filled(target, BAD);
        let before = applying.records();
        let (code, _) = applying.refused(4, "--from 1.0.0 --to 2.0.0");
        assert_eq!(code, "run::refused_record", "{target}");
        assert_eq!(applying.records(), before, "{target}");
        assert_eq!(before, lines(BAD), "{target}");

        // The same command goes on, told to keep them aside.
        let aside = "--set run.on_error=dead-letter --json";
        let ended = applying.apply(3, &format!("--from 1.0.0 --to 2.0.0 {aside}"));
        let report = ended.last();
        assert_eq!(report["resumed"], true, "{target}");
        assert_eq!(report["counts"]["dead_lettered"], 2, "{target}");
        let ages: Vec<_> = applying
            .records()
            .iter()
            .map(|one| one["age"].clone())
            .collect();
        assert_eq!(ages, [36, 150], "{target}");
        let applied = applying
            .world
            .expect(0, &["schema", "history", "--json"])
            .objects();
        assert_eq!(applied.len(), 1, "{target}: {applied:?}");
        let counts = json!({ "changed": 2, "unchanged": 0, "rejected": 2 });
        assert_eq!(
            (&applied[0]["status"], &applied[0]["counts"]),
            (&json!("done"), &counts)
        );
        let letters = applying
            .world
            .expect(0, &["errors", "list", "users.user", "--json"]);
        let why: Vec<_> = letters
            .objects()
            .iter()
            .map(|one| one["code"].clone())
            .collect();
        assert_eq!(why, ["step::cast", "schema::range"], "{target}");
    }
}

#[test]
fn what_was_refused_is_written_down_and_not_taken_through_the_job() {
    let applying = Applying::filled(TABLE, BAD);
    let up = "--from 1.0.0 --to 2.0.0";
    applying.apply(4, &format!("{up} --quiet"));
    let world = &applying.world;
    let told = world.expect(0, &["history", "users.user"]).out;
    assert!(
        told.contains("the same `dkhost schema apply` goes on"),
        "{told}"
    );
    applying.apply(3, &format!("{up} --quiet --set run.on_error=dead-letter"));
    check(
        &world.expect(0, &["errors", "list", "users.user"]).out,
        expect![[r#"
            users.user  run RUN: 2 refused records, 2 open

              #  where             stage      column  why
              1  table t, rowid 2  1:migrate  age     "many" cannot be cast to int64
              2  table t, rowid 3  1:migrate  age     `age` is 151, not in 0 to 150

              dkhost errors show 1 job.toml                                            one record with all that is known
              dkhost errors export refused.jsonl RUN  writes them down as they were: the store holds them no more
        "#]],
    );
    let told = world.expect(0, &["history", "users.user"]).out;
    let first = told.lines().next().unwrap();
    let run = first.split_whitespace().nth(1).unwrap();
    let list = format!("dkhost errors list {run}");
    assert!(told.contains(&list), "{told}");
    let refused = world.expect(2, &["errors", "retry", "users.user"]).err;
    assert!(refused.contains("error[errors::of_a_schema]"), "{refused}");
    world.expect(0, &["errors", "export", "refused.jsonl", "users.user"]);
    let kept = world.read("refused.jsonl");
    let names: Vec<_> = lines(&kept)
        .iter()
        .map(|one| one["payload"]["name"].clone())
        .collect();
    assert_eq!(names, ["Many", "Old"]);
}

#[test]
fn a_store_is_believed_when_it_says_its_version() {
    for target in STORES {
        let applying = Applying::filled(target, OLD);
        let (code, answer) = applying.refused(2, "--to 2.0.0");
        assert_eq!(code, "schema::no_version", "{target}");
        let help = answer.last()["help"].to_string();
        assert!(help.contains("--from"), "{target}: {help}");
        applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
        let before = files(&applying.world, "store");
        for words in ["--from 1.0.0 --to 1.0.0", "--from 3.0.0 --to 1.0.0"] {
            let (code, _) = applying.refused(2, words);
            assert_eq!(code, "schema::other_version", "{target}");
        }
        assert_eq!(files(&applying.world, "store"), before, "{target}");
    }
}

#[test]
fn a_store_that_is_there_already_is_left_alone() {
    let applying = Applying::filled(TABLE, OLD);
    applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
    let before = files(&applying.world, "store");
    let told = applying.apply(0, "--from 1.0.0 --to 2.0.0").out;
    assert_eq!(told, "the store is at user 2.0.0 already\n");
    let nothing = applying.apply(0, "--to 2.0.0 --json").last();
    assert_eq!(
        nothing,
        json!({ "event": "nothing", "schema": "user", "version": "2.0.0" })
    );
    assert_eq!(files(&applying.world, "store"), before);
}

#[test]
fn a_job_that_is_running_is_not_applied_to() {
    let applying = Applying::filled(JSONL, OLD);
    let before = applying.records();
    let many: String = (0..50_000)
        .map(|id| format!("{{\"id\":{id},\"years\":\"1\"}}\n"))
        .collect();
    applying.world.write("in.jsonl", many);
    let running = applying.world.start(&["run", "job.toml", "--json"]);
    running.signal(Signal::STOP);
    let (code, answer) = applying.refused(7, "--from 1.0.0 --to 2.0.0");
    running.signal(Signal::KILL);
    running.signal(Signal::CONT);
    running.end();
    assert_eq!(code, "run::locked", "{}", answer.out);
    assert_eq!(applying.records(), before);
}

#[test]
fn a_store_of_another_schema_is_not_called_something_else() {
    for store in STORES {
        let applying = Applying::filled(store, OLD);
        for (name, text) in super::applying::SCHEMAS {
            let path = format!("schemas/orders/{name}.toml");
            applying.world.write(&path, text);
        }
        applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
        let before = applying.records();
        let words = "schema apply orders --job job.toml --from 2.0.0 --to 1.0.0";
        let words: Vec<&str> = words.split(' ').collect();
        let answer = applying.world.expect(2, &words);
        let said = "error[schema::other_schema]: the store says that its records are of user 2.0.0, and not of orders";
        assert!(answer.err.starts_with(said), "{}", answer.err);
        assert_eq!(applying.records(), before);
    }
}

#[test]
fn a_store_that_says_no_version_of_its_schema_is_not_taken_to_say_nothing() {
    let applying = Applying::filled(TABLE, OLD);
    applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
    let database = rusqlite::Connection::open(applying.world.path("store/t.db")).unwrap();
    let says = "UPDATE dkhost_schema_version SET version = 'two'";
    assert_eq!(database.execute(says, ()).unwrap(), 1);
    let (code, answer) = applying.refused(2, "--from 1.0.0 --to 2.0.0");
    assert_eq!(code, "schema::wrong_id", "{}", answer.out);
}

#[test]
fn a_job_that_was_interrupted_is_finished_first() {
    let applying = Applying::filled(TABLE, OLD);
    let more = format!("{OLD}{{\"id\":10}}\n{{\"id\":11}}\n{{\"id\":\"x\"}}\n");
    applying.world.write("in.jsonl", &more);
    applying.world.expect(4, &["run", "job.toml", "--quiet"]);
    let (code, _) = applying.refused(2, "--from 1.0.0 --to 2.0.0");
    assert_eq!(code, "schema::interrupted_job");
    applying
        .world
        .write("in.jsonl", more.replace("\"x\"", "12"));
    let again = ["run", "job.toml", "--no-resume", "--quiet"];
    applying.world.expect(0, &again);
    applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
    assert_eq!(applying.records().len(), 8);
}

#[test]
fn what_the_store_lacks_or_has_too_much_is_answered_without_a_step_to_write() {
    let text = "schemas/user/1.0.0.toml";
    for (change, code) in [
        (
            "\n[fields.more]\ntype = \"int64\"\n",
            "schema::missing_field",
        ),
        ("", "schema::unknown_field"),
    ] {
        let applying = Applying::filled(TABLE, OLD);
        let world = &applying.world;
        let fields = match change {
            "" => "[fields.id]\ntype = \"int64\"\n".to_owned(),
            more => format!("{}{more}", world.read(text)),
        };
        world.write(text, fields);
        world.write("schemas/user/1.0.0--2.0.0.toml", "reversible = false\n");
        world.write("schemas/user/2.0.0.toml", world.read(text));
        let (found, answer) = applying.refused(2, "--from 1.0.0 --to 2.0.0");
        let help = answer.last()["help"].to_string();
        assert_eq!(found, code, "{}", answer.out);
        assert!(
            help.contains("--from VERSION") && !help.contains(" = {"),
            "{help}"
        );
        assert!(!help.contains("drop"), "{help}");
    }
}

#[test]
fn a_generated_column_is_refused_without_a_step_to_write() {
    let applying = Applying::filled(TABLE, OLD);
    let db = rusqlite::Connection::open(applying.world.path("store/t.db")).unwrap();
    db.execute_batch("ALTER TABLE t ADD COLUMN twice INT AS (id * 2)")
        .unwrap();
    let version = applying.world.read("schemas/user/1.0.0.toml");
    for name in ["1.0.0", "2.0.0"] {
        let version = format!("{version}\n[fields.twice]\ntype = \"int64\"\n");
        let path = format!("schemas/user/{name}.toml");
        applying.world.write(&path, version);
    }
    let migration = "down = []\n[[up]]\nset = { name = \"upper(name)\" }\n";
    let path = "schemas/user/1.0.0--2.0.0.toml";
    applying.world.write(path, migration);
    let (code, answer) = applying.refused(2, "--from 1.0.0 --to 2.0.0");
    assert_eq!(code, "sqlite::generated_column", "{}", answer.out);
    let help = answer.last()["help"].to_string();
    assert!(help.contains("add it again"), "{help}");
}
