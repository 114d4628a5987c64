//! `dkhost schema history`: what was applied to which store, and files that were edited afterwards.

use dkhost_engine::history::{
    Application, ApplicationCounts, ApplicationEnd, Author, History, Hop, NewRun, RunEnd, StateUrl,
    Status, digest,
};
use dkhost_schema::Direction;
use expect_test::{Expect, expect};
use serde_json::json;

use crate::escapes::{HOSTILE, told};
use crate::world::{SMALL, World, check};

const UP: &str = "[[up]]\nadd = { age = \"0\" }\n";

/// A world with `job.toml`, an open history and a folder of schemas.
struct Applied {
    world: World,
    history: History,
}

impl Applied {
    fn new() -> Applied {
        let world = World::with_job(SMALL);
        world.write("schemas/user/1.0.0--2.0.0.toml", UP);
        let place = StateUrl::parse("sqlite:.dkhost/state.db", &world.path("")).unwrap();
        Applied {
            history: History::open(&place).unwrap(),
            world,
        }
    }

    /// A run that has begun, and what it applies.
    fn begin(&self, application: &Application) {
        let run = NewRun {
            id: application.run.clone(),
            job: application.job.clone(),
            kind: "run",
            plan_hash: "plan".into(),
            fingerprint: json!(null),
            partitions: Vec::new(),
            source: String::new(),
            target: String::new(),
            delivery: String::new(),
            job_path: "job.toml".into(),
            plugins: Vec::new(),
            cursor: None,
        };
        self.history.begin(&run, 1, None).unwrap();
        self.history.begin_application(application).unwrap();
    }

    fn end(&self, run: &str, status: Status, counts: [u64; 3], message: Option<&str>) {
        let message = message.map(str::to_owned);
        let end = RunEnd {
            status,
            exit_code: 0,
            message: message.clone(),
            report: json!(null),
            busy_ms: 0,
            cpu_ms: 0,
            resolves: Vec::new(),
        };
        self.history.end(run, 1, &end).unwrap();
        let [changed, unchanged, rejected] = counts;
        let end = ApplicationEnd {
            status,
            counts: ApplicationCounts {
                changed,
                unchanged,
                rejected,
            },
            duration_ms: 1_234,
            message,
        };
        self.history.end_application(run, 1, &end).unwrap();
    }

    /// Every application on a day of its own, so that they can be shown without masks.
    fn dated(self) -> World {
        let Applied { world, history } = self;
        drop(history);
        sql(
            &world,
            "update schema_application set started_at = '2026-01-0' || id || 'T12:00:00.000Z',
             ended_at = case when ended_at is not null then '2026-01-0' || id || 'T12:00:02.000Z' end",
        );
        world
    }
}

fn sql(world: &World, text: &str) {
    let db = rusqlite::Connection::open(world.path(".dkhost/state.db")).unwrap();
    db.execute_batch(text).unwrap();
}

fn hop(from: &str, to: &str, by: Author, text: &str) -> Hop {
    Hop {
        from: from.into(),
        to: to.into(),
        direction: Direction::Up,
        by,
        digest: digest(text.as_bytes()),
        from_digest: digest(from.as_bytes()),
        to_digest: digest(to.as_bytes()),
    }
}

fn file(from: &str, to: &str, text: &str) -> Hop {
    hop(from, to, Author::File(format!("{from}--{to}.toml")), text)
}

fn to_2(run: &str, job: &str, table: &str) -> Application {
    Application {
        run: run.into(),
        schema: "user".into(),
        from: Some("1.0.0".into()),
        to: "2.0.0".into(),
        direction: Direction::Up,
        job: job.into(),
        store: format!("table {table} in out.db"),
        who: "ada@build-7".into(),
        hops: vec![file("1.0.0", "2.0.0", UP)],
    }
}

/// Up, back, refused, and one that was killed on its way.
fn a_few() -> Applied {
    let applied = Applied::new();
    applied.begin(&to_2("a", "small", "t"));
    applied.end("a", Status::Done, [3_201, 0, 0], None);
    applied.begin(&Application {
        from: Some("2.0.0".into()),
        to: "1.0.0".into(),
        direction: Direction::Down,
        who: "bob@laptop".into(),
        ..to_2("b", "small", "t")
    });
    applied.end("b", Status::Done, [3_201, 0, 0], None);
    applied.begin(&to_2("c", "other", "u"));
    applied.end(
        "c",
        Status::Failed,
        [0, 0, 1],
        Some("record 7: age is no int64"),
    );
    let plugin = Author::Plugin("users-v3@0.1.0".into());
    applied.begin(&Application {
        from: None,
        to: "3.0.0".into(),
        hops: vec![
            file("1.0.0", "2.0.0", UP),
            hop("2.0.0", "3.0.0", plugin, "a component"),
        ],
        ..to_2("d", "small", "t")
    });
    applied
}

fn shown(world: &World, arguments: &[&str], expected: Expect) {
    let arguments = [&["schema", "history"], arguments].concat();
    expected.assert_eq(&world.expect(0, &arguments).out);
}

#[test]
fn applications_are_listed_latest_first() {
    let world = a_few().dated();
    shown(
        &world,
        &[],
        expect![[r#"
            when                 schema  from -> to              job    store              who          by                                 changed  unchanged  rejected    took  status
            2026-01-04 12:00:00  user    several -> 3.0.0  up    small  table t in out.db  ada@build-7  1.0.0--2.0.0.toml, users-v3@0.1.0                                        running
            2026-01-03 12:00:00  user    1.0.0 -> 2.0.0    up    other  table u in out.db  ada@build-7  1.0.0--2.0.0.toml                        0          0         1  1.23 s  failed
            2026-01-02 12:00:00  user    2.0.0 -> 1.0.0    down  small  table t in out.db  bob@laptop   1.0.0--2.0.0.toml                    3,201          0         0  1.23 s  done
            2026-01-01 12:00:00  user    1.0.0 -> 2.0.0    up    small  table t in out.db  ada@build-7  1.0.0--2.0.0.toml                    3,201          0         0  1.23 s  done

            user@2.0.0 failed on table u in out.db: record 7: age is no int64
        "#]],
    );
    shown(
        &world,
        &["--limit", "1"],
        expect![[r#"
            when                 schema  from -> to            job    store              who          by                                 changed  unchanged  rejected  took  status
            2026-01-04 12:00:00  user    several -> 3.0.0  up  small  table t in out.db  ada@build-7  1.0.0--2.0.0.toml, users-v3@0.1.0                                      running
            older applications: --limit N
        "#]],
    );
    let other = SMALL.replace("\"small\"", "\"other\"");
    world.write("other.toml", other);
    shown(
        &world,
        &["user", "--job", "other.toml"],
        expect![[r#"
            when                 schema  from -> to          job    store              who          by                 changed  unchanged  rejected    took  status
            2026-01-03 12:00:00  user    1.0.0 -> 2.0.0  up  other  table u in out.db  ada@build-7  1.0.0--2.0.0.toml        0          0         1  1.23 s  failed

            user@2.0.0 failed on table u in out.db: record 7: age is no int64
        "#]],
    );
    let state = format!("sqlite:{}", world.path(".dkhost/state.db").display());
    let by_state = world
        .expect(0, &["schema", "history", "--state", &state])
        .out;
    assert_eq!(by_state, world.expect(0, &["schema", "history"]).out);
}

#[test]
fn a_file_that_was_edited_or_removed_after_it_was_applied_is_named() {
    let world = a_few().dated();
    world.write("schemas/user/1.0.0--2.0.0.toml", format!("{UP}\n"));
    shown(
        &world,
        &[],
        expect![[r#"
            when                 schema  from -> to              job    store              who          by                                 changed  unchanged  rejected    took  status
            2026-01-04 12:00:00  user    several -> 3.0.0  up    small  table t in out.db  ada@build-7  1.0.0--2.0.0.toml, users-v3@0.1.0                                        running
            2026-01-03 12:00:00  user    1.0.0 -> 2.0.0    up    other  table u in out.db  ada@build-7  1.0.0--2.0.0.toml                        0          0         1  1.23 s  failed
            2026-01-02 12:00:00  user    2.0.0 -> 1.0.0    down  small  table t in out.db  bob@laptop   1.0.0--2.0.0.toml                    3,201          0         0  1.23 s  done
            2026-01-01 12:00:00  user    1.0.0 -> 2.0.0    up    small  table t in out.db  ada@build-7  1.0.0--2.0.0.toml                    3,201          0         0  1.23 s  done

            user@2.0.0 failed on table u in out.db: record 7: age is no int64
            user/1.0.0--2.0.0.toml was edited after it was applied on 2026-01-02 12:00:02 to table t in out.db
        "#]],
    );
    // Also of what is not listed.
    let latest = world.expect(0, &["schema", "history", "--limit", "1"]).out;
    assert!(latest.contains("was edited after"), "{latest}");
    let objects = world.expect(0, &["schema", "history", "--json"]).objects();
    let edited: Vec<_> = objects.iter().map(|one| one["edited"].clone()).collect();
    let change = json!([{
        "file": "1.0.0--2.0.0.toml",
        "digest": digest(UP.as_bytes()),
        "now": digest(format!("{UP}\n").as_bytes()),
    }]);
    assert_eq!(edited, [json!([]), json!([]), change.clone(), change]);

    let file = world.path("schemas/user/1.0.0--2.0.0.toml");
    std::fs::remove_file(&file).unwrap();
    let last = |world: &World| {
        let answer = world.expect(0, &["schema", "history", "user"]);
        answer.out.lines().last().unwrap().to_owned()
    };
    expect!["user/1.0.0--2.0.0.toml was removed after it was applied on 2026-01-02 12:00:02 to table t in out.db"].assert_eq(&last(&world));
    std::fs::remove_dir_all(world.path("schemas")).unwrap();
    expect!["whether migration files were edited later is not known: there is no folder schemas"]
        .assert_eq(&last(&world));
    // It may lie elsewhere.
    world.write("elsewhere/user/1.0.0--2.0.0.toml", UP);
    let elsewhere = world.expect(0, &["schema", "history", "--schemas", "elsewhere"]);
    assert!(
        !elsewhere.out.contains("after it was applied"),
        "{}",
        elsewhere.out
    );
}

#[test]
fn programs_get_an_object_for_each_application() {
    let world = a_few().dated();
    let objects = world.expect(0, &["schema", "history", "--json"]).objects();
    assert_eq!(objects.len(), 4);
    assert_eq!(
        objects[0],
        json!({
            "run": "d", "schema": "user", "from": null, "to": "3.0.0", "direction": "up",
            "job": "small", "store": "table t in out.db", "who": "ada@build-7",
            "steps": [
                {
                    "from": "1.0.0", "to": "2.0.0", "direction": "up",
                    "by": { "file": "1.0.0--2.0.0.toml" }, "digest": digest(UP.as_bytes()),
                    "from_digest": digest(b"1.0.0"), "to_digest": digest(b"2.0.0"),
                },
                {
                    "from": "2.0.0", "to": "3.0.0", "direction": "up",
                    "by": { "plugin": "users-v3@0.1.0" }, "digest": digest(b"a component"),
                    "from_digest": digest(b"2.0.0"), "to_digest": digest(b"3.0.0"),
                },
            ],
            "status": "running", "started_at": "2026-01-04T12:00:00.000Z", "ended_at": null,
            "counts": null, "duration_ms": 0, "message": null, "edited": [],
        })
    );
    assert_eq!(
        objects[2]["counts"],
        json!({ "changed": 3201, "unchanged": 0, "rejected": 0 })
    );
}

#[test]
fn an_empty_history_says_what_to_type_next() {
    let Applied { world, history } = Applied::new();
    drop(history);
    shown(
        &world,
        &[],
        expect![[r#"
        no schema was applied yet

          dkhost schema apply NAME --to VERSION --job job.toml
    "#]],
    );
    shown(
        &world,
        &["user", "--job", "job.toml"],
        expect![[r#"
        small applied no version of user yet

          dkhost schema apply user --to VERSION --job job.toml
    "#]],
    );
    shown(&world, &["--json"], expect![""]);
}

#[test]
fn looking_makes_no_history() {
    let world = World::new();
    check(
        &world.expect(2, &["schema", "history"]).err,
        expect![[r#"
            error[history::empty]: there is no history at `.dkhost/state.db`
              help: name the job (`dkhost schema history --job job.toml`) or the history (--state URL); the first `dkhost schema apply` makes it
        "#]],
    );
    assert!(!world.path(".dkhost").exists());
}

#[test]
fn hostile_names_of_applications_are_shown_as_text() {
    let applied = Applied::new();
    let author = [
        Author::File(HOSTILE.into()),
        Author::Plugin(HOSTILE.into()),
        Author::File("../../../../etc/passwd".into()),
    ];
    applied.begin(&Application {
        run: HOSTILE.into(),
        schema: HOSTILE.into(),
        from: Some(HOSTILE.into()),
        to: HOSTILE.into(),
        direction: Direction::Up,
        job: HOSTILE.into(),
        store: HOSTILE.into(),
        who: HOSTILE.into(),
        hops: author.map(|by| hop(HOSTILE, HOSTILE, by, HOSTILE)).into(),
    });
    applied.end(HOSTILE, Status::Done, [1, 0, 0], Some(HOSTILE));
    let Applied { world, history } = applied;
    drop(history);
    for arguments in [&["schema", "history"][..], &["schema", "history", HOSTILE]] {
        let out = told(&world, 0, arguments).out;
        assert!(out.contains("was removed after it was applied"), "{out}");
    }
    let objects = told(&world, 0, &["schema", "history", "--json"]).objects();
    assert_eq!(objects[0]["who"], HOSTILE);
    told(&world, 0, &["schema", "history", &format!("{HOSTILE}2")]);
    // What no program of ours wrote is refused, and shown as text as well.
    for column in ["started_at", "direction", "steps", "counts"] {
        let genuine = std::fs::read(world.path(".dkhost/state.db")).unwrap();
        let text = HOSTILE.replace('\'', "''");
        sql(
            &world,
            &format!("update schema_application set {column} = '{text}'"),
        );
        let code = if column == "started_at" { 0 } else { 8 };
        told(&world, code, &["schema", "history"]);
        told(&world, code, &["schema", "history", "--json"]);
        std::fs::write(world.path(".dkhost/state.db"), genuine).unwrap();
    }
}

#[test]
fn the_schema_of_the_readme_keeps_what_it_declares() {
    let world = World::new();
    let folder = crate::world::root().join("tests/data/jobs/schemas");
    let folder = folder.display().to_string();
    let answer = world.expect(0, &["schema", "check", "--schemas", &folder]);
    assert_eq!(answer.out.matches("ok ").count(), 3, "{}", answer.out);
    assert!(answer.out.contains("a major version after 1.0.0, backward"));
}
