//! Migrations that lie about their steps, and migrations that misbehave as a transformer may: the
//! same border stands before both.

use dkhost_plugin::golden::{Verdict, cases};
use dkhost_plugin::{Component, Direction, Migration};

use crate::guests::{good_migration, guest};
use crate::support::{batch, bind, bind_down, options, said};

each! {
    migration_wrong_type: "column `name`: has 4 bytes, and 5 rows of 8 bytes need 40",
    migration_wrong_rows: "an origin that names row 99 of 5",
    migration_hidden_state: "gave two answers for the same rows in batch 2 of partition 0: column `name` differs",
    migration_another_schema_in_the_run: "promises one schema to the plan and another to the run",

    migration_trap_in_steps: "`attack.wasm` crashed when asked for its migrations",
    migration_trap_in_apply: "crashed in batch 1 of partition 0",
    migration_loop_in_steps: "`attack.wasm` was stopped after 500 ms when asked for its migrations",
    migration_loop_in_apply: "was stopped after 500 ms in batch 1 of partition 0",

    migration_of_nobody: "a step belongs to `nobody`, which is no migration of it",
    migration_backwards: "leads from 3.0.0 to 2.0.0, which is not newer",
    migration_from_nowhere: "`first` is no semantic version",
    migration_of_a_path: "`../\\u{1b}[2Juse` is no name of a schema",
    migration_in_bad_utf8: "what is no value of the contract (invalid utf-8",
    migration_twice: "user 1.0.0 to 2.0.0 stands there twice",
    migration_of_two_plugins: "user 1.0.0 to 2.0.0 stands there twice",
    migration_by_the_thousand: "it names 1001 steps",
    migration_lossless_one_way: "user 1.0.0 to 2.0.0 is lossless and has no way down",
    migration_that_changes: "named other migrations when it was asked again",
}

#[test]
pub fn migration_one_way() {
    let error = bind_down(&guest("migration_one_way")).err().unwrap();
    said(
        "migration_one_way",
        &error,
        "plugin::one_way",
        "cannot go back from user 2.0.0 to 1.0.0",
    );
    let up = bind(&guest("migration_one_way"), &options()).unwrap();
    let changed = up.open(0).unwrap().apply(&batch()).unwrap();
    assert_eq!(changed.records, batch().records);
}

#[test]
pub fn migration_trap_on_the_way_down() {
    let bytes = guest("migration_trap_on_the_way_down");
    let error = bind_down(&bytes).err().unwrap();
    said(
        "migration_trap_on_the_way_down",
        &error,
        "plugin::trap",
        "crashed when it was opened for step `1:attack`",
    );
    let up = bind(&bytes, &options()).unwrap();
    assert!(up.open(0).unwrap().apply(&batch()).is_ok());
}

#[test]
pub fn migration_loses_a_record() {
    // A run may leave records out, and counts them; a lossless migration may not.
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text| std::fs::write(folder.path().join(file), text).unwrap();
    write(
        "case.in.jsonl",
        "{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":\"b\"}\n",
    );
    let tried = |bytes: Vec<u8>, out| {
        write("case.out.jsonl", out);
        let component = Component::from_bytes("attack.wasm", &bytes, &options()).unwrap();
        cases(folder.path()).unwrap()[0]
            .run(&component, false)
            .unwrap()
    };
    let both = "{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":\"b\"}\n";
    let same = Verdict::Same {
        records: 2,
        rejects: 0,
    };
    assert_eq!(tried(good_migration(), both), same);
    let Verdict::Different { diff } = tried(
        guest("migration_loses_a_record"),
        "{\"id\":2,\"name\":\"b\"}\n",
    ) else {
        panic!("a record was lost and nobody missed it")
    };
    assert!(
        diff.contains("lossless") && diff.contains("- {\"id\":1,\"name\":\"a\"}"),
        "{diff}"
    );
}

#[test]
fn a_migration_that_changes_nothing_gives_the_rows_back_both_ways() {
    let component = Component::from_bytes("attack.wasm", &good_migration(), &options()).unwrap();
    let expected = Migration {
        plugin: "attack".into(),
        schema: "user".into(),
        from: "1.0.0".parse().unwrap(),
        to: "2.0.0".parse().unwrap(),
        reversible: true,
        lossless: true,
    };
    assert_eq!(component.migrations(), [expected]);
    assert_eq!(component.inspect().worlds.last(), Some(&"schema-migration"));
    for step in [
        bind(&good_migration(), &options()),
        bind_down(&good_migration()),
    ] {
        let mut stage = step.unwrap().open(0).unwrap();
        // Batch 2 is run twice, on a fresh instance.
        for _ in 0..3 {
            let changed = stage.apply(&batch()).unwrap();
            assert_eq!(changed.records, batch().records);
            assert!(changed.origin.is_none() && changed.rejects.is_empty());
        }
    }
}

#[test]
fn a_migration_is_no_step_of_its_own_and_says_how_it_is_used() {
    let component = Component::from_bytes("attack.wasm", &good_migration(), &options()).unwrap();
    let spec = dkhost_plugin::StageSpec {
        name: "1:attack".into(),
        plugin: None,
        config: serde_json::json!({}),
        input: &crate::support::schema(),
    };
    let error = component.bind(&spec).err().unwrap();
    assert_eq!(error.code(), "plugin::not_a_step");
    assert!(error.help_text().unwrap().contains("migrate = "));
    let error = component
        .bind_migration(7, Direction::Up, &spec)
        .err()
        .unwrap();
    assert!(error.chain().contains("does not offer"), "{error}");
}
