//! `validate` in a job: what planning refuses, what the records' own documents say, who hears of it.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use dkhost_core::Class;
use dkhost_engine::history::LetterFilter;
use support::*;

const USER: &str = r#"
    [fields.id]
    type = "int64"
    required = true
    [fields.age]
    type = "int64"
    range = { max = 150 }
"#;

/// A job that validates `records`; its schema was inferred from the first two.
fn validating(world: &World, table: &str, records: &str, lines: &str) -> String {
    let folder = world.folder.path().join("schemas/user");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("1.0.0.toml"), USER).unwrap();
    let rest = format!(
        "[run]\non_error = \"dead-letter\"\n[[steps]]\nvalidate = \"user@1.0.0\"\n{lines}\n"
    );
    job(table, records, &rest).replace("[target]", "infer = 2\n[target]")
}

fn letters(world: &World) -> Vec<String> {
    let filter = LetterFilter {
        limit: 100,
        ..LetterFilter::default()
    };
    let letters = world.history().letters(filter).unwrap();
    let mut letters: Vec<String> = letters
        .iter()
        .map(|one| {
            format!(
                "{} {} {}",
                one.letter.stage, one.letter.code, one.letter.message
            )
        })
        .collect();
    letters.sort();
    letters
}

/// Of the last, the source's schema knows less than the records say.
const RECORDS: &str = r#"[{"id": 1, "age": 5}, {"id": 2, "age": 151}, {"id": 3, "age": "7"}, {"id": 4, "age": "old", "nick": "x"}]"#;

#[test]
fn what_did_not_fit_its_column_is_told_with_all_else_that_is_wrong() {
    let world = World::new();
    let ended = world.run(&validating(&world, "told", RECORDS, "")).unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert_eq!(rows("told"), [r#"{"age":5,"id":1}"#]);
    assert_eq!(
        letters(&world),
        [
            "1:validate schema::range `age` is 151, more than 150",
            "1:validate schema::violations 2 violations: `age` is \"old\", which is no int64; `nick` is no field of user@1.0.0",
            "1:validate schema::wrong_type `age` is \"7\", which is no int64",
        ]
    );
}

#[test]
fn what_did_not_fit_its_column_is_converted_where_that_is_asked_for() {
    let world = World::new();
    let toml = validating(&world, "converted", RECORDS, "coerce = true");
    let ended = world.run(&toml).unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert_eq!(
        rows("converted"),
        [r#"{"age":5,"id":1}"#, r#"{"age":7,"id":3}"#]
    );
    assert_eq!(ended.report.counts.dead_lettered, 2);
}

#[test]
fn before_a_table_drift_is_decided_first() {
    let world = World::new();
    let toml = validating(&world, "table", RECORDS, "");
    let toml = toml.replace("[target]", "[target]\ndocuments = false");
    let ended = world.run(&toml).unwrap();
    assert_eq!(ended.error.unwrap().code(), "drift::type_mismatch");
}

#[test]
fn steps_that_do_not_lead_to_the_version_are_refused_before_a_row_is_read() {
    let world = World::new();
    let refused = |records: &str, steps: &str| {
        let toml = validating(&world, "leads", records, "");
        let toml = toml.replace("[[steps]]", &format!("{steps}[[steps]]"));
        let error = world.plan(&toml).map(|_| ()).unwrap_err();
        assert_eq!(error.class(), Class::Config);
        let (span, _) = error.place().unwrap();
        assert_eq!(&toml[span.clone()], "\"user@1.0.0\"");
        format!("{} {error}", error.code())
    };
    assert_eq!(
        refused(r#"[{"number": 1}]"#, ""),
        "schema::missing_field stage `1:validate` needs the field `id` of user@1.0.0, which its input does not have"
    );
    assert_eq!(
        refused(r#"[{"id": 1}]"#, "[[steps]]\nset = { age = \"'old'\" }\n"),
        "schema::wrong_type stage `2:validate` gets `age` as utf8, and user@1.0.0 has it as int64"
    );
    assert_eq!(
        refused(r#"[{"id": 1}]"#, "[[steps]]\nset = { nick = \"'x'\" }\n"),
        "schema::unknown_field stage `2:validate` gets the column `nick`, which is no field of user@1.0.0"
    );
}

#[test]
fn a_record_that_is_not_valid_stops_the_run_unless_the_job_says_otherwise() {
    let world = World::new();
    let toml = validating(&world, "stops", RECORDS, "").replace("on_error = \"dead-letter\"\n", "");
    let error = world.run(&toml).unwrap().error.unwrap();
    assert_eq!(error.code(), "run::refused_record");
    assert!(
        error.chain().contains("`age` is 151, more than 150"),
        "{}",
        error.chain()
    );
}
