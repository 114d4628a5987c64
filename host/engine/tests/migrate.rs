//! `migrate` over the memory backend: ways up and down, records of several versions, what is refused.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::*;

const V1: &str = "
key = ['id']
[fields.id]
type = 'int64'
[fields.name]
type = 'utf8'
required = true
[fields.years]
type = 'utf8'
[fields.legacy]
type = 'utf8'
";

const V11: &str = "
key = ['id']
[fields.id]
type = 'int64'
[fields.name]
type = 'utf8'
required = true
[fields.years]
type = 'utf8'
[fields.legacy]
type = 'utf8'
[fields.email]
type = 'utf8'
default = 'none@example.com'
pattern = '@'
";

const V2: &str = "
key = ['id']
[fields.id]
type = 'int64'
[fields.name]
type = 'utf8'
required = true
[fields.age]
type = 'int64'
was = 'years'
range = { min = 0, max = 150 }
[fields.email]
type = 'utf8'
pattern = '@'
";

const TO_V11: &str = "
[[up]]
add = { email = \"'none@example.com'\" }
[[down]]
remove = ['email']
";

const TO_V2: &str = "
[[up]]
rename = { years = 'age' }
[[up]]
cast = { age = 'int64' }
[[up]]
remove = ['legacy']
keep_values = true
[[up]]
constrain = ['age']
[[down]]
cast = { age = 'utf8' }
[[down]]
rename = { age = 'years' }
[[down]]
restore = ['legacy']
";

/// A world with the schema `user` in three versions and the migrations between them.
fn world() -> World {
    world_of(&[
        ("1.0.0", V1),
        ("1.1.0", V11),
        ("2.0.0", V2),
        ("1.0.0--1.1.0", TO_V11),
        ("1.1.0--2.0.0", TO_V2),
    ])
}

/// A world with these files of the schema `user`.
fn world_of(files: &[(&str, &str)]) -> World {
    let world = World::new();
    let folder = world.folder.path().join("schemas/user");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    }
    world
}

fn migrated(table: &str, records: &str, migrate: &str) -> Vec<String> {
    migrated_in(&world(), table, records, migrate)
}

fn migrated_in(world: &World, table: &str, records: &str, migrate: &str) -> Vec<String> {
    let steps = format!("[[steps]]\nmigrate = {migrate}\n[run]\non_error = \"dead-letter\"\n");
    let ended = world.run(&job(table, records, &steps)).unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
    rows(table)
}

/// Row and reason of each dead letter.
fn refusals(world: &World) -> Vec<String> {
    let filter = dkhost_engine::history::LetterFilter {
        limit: 10,
        ..Default::default()
    };
    let letters = world.history().letters(filter).unwrap();
    letters
        .iter()
        .map(|letter| format!("{} {}", letter.letter.row, letter.letter.message))
        .collect()
}

const OLD: &str = r#"[
    {"id": 1, "name": "Ada", "years": "36", "legacy": "x"},
    {"id": 2, "name": "Grace", "legacy": null}
]"#;

#[test]
fn two_hops_up_go_up_both() {
    assert_eq!(
        migrated(
            "two-up",
            OLD,
            r#"{ schema = "user", from = "1.0.0", to = "2.0.0" }"#
        ),
        [
            r#"{"id":1,"name":"Ada","age":36,"email":"none@example.com","_removed":{"legacy":"x"}}"#,
            r#"{"id":2,"name":"Grace","email":"none@example.com"}"#,
        ]
    );
}

#[test]
fn two_hops_down_go_down_both_and_bring_back_what_was_kept() {
    let new =
        r#"[{"id": 1, "name": "Ada", "age": 36, "email": "a@b", "_removed": {"legacy": "x"}}]"#;
    assert_eq!(
        migrated(
            "two-down",
            new,
            r#"{ schema = "user", from = "2.0.0", to = "1.0.0" }"#
        ),
        [r#"{"id":1,"name":"Ada","years":"36","legacy":"x"}"#]
    );
}

#[test]
fn records_of_all_versions_are_brought_to_one_in_their_order() {
    let mixed = r#"[
        {"id": 1, "name": "Ada", "years": "36", "legacy": "x"},
        {"id": 2, "name": "Grace", "age": 85, "email": "g@navy", "_schema_version": "2.0.0"},
        {"id": 3, "name": "Edsger", "years": "72", "email": "e@nl", "_schema_version": "1.1.0"},
        {"id": 4, "name": "Alan", "years": "41", "_schema_version": "1.0"}
    ]"#;
    assert_eq!(
        migrated(
            "mixed",
            mixed,
            r#"{ schema = "user", from = "1.0.0", to = "2.0.0" }"#
        ),
        [
            r#"{"id":1,"name":"Ada","age":36,"email":"none@example.com","_schema_version":"2.0.0","_removed":{"legacy":"x"}}"#,
            r#"{"id":2,"name":"Grace","age":85,"email":"g@navy","_schema_version":"2.0.0"}"#,
            r#"{"id":3,"name":"Edsger","age":72,"email":"e@nl","_schema_version":"2.0.0"}"#,
            r#"{"id":4,"name":"Alan","age":41,"email":"none@example.com","_schema_version":"2.0.0"}"#,
        ]
    );
}

#[test]
fn what_cannot_be_migrated_is_refused_by_name() {
    let records = r#"[
        {"id": 1, "name": "Ada", "years": "many"},
        {"id": 2, "name": "Grace", "years": "151"},
        {"id": 3, "years": "3"},
        {"id": 4, "name": "Alan", "_schema_version": "7.0.0"},
        {"id": 5, "name": "Barbara", "age": 30},
        {"id": 6, "name": "Edsger", "colour": "red"},
        {"id": 7, "name": "Tony", "years": "90"}
    ]"#;
    let world = world();
    let steps = "[[steps]]\nmigrate = { schema = \"user\", from = \"1.0.0\", to = \"2.0.0\" }\n[run]\non_error = \"dead-letter\"\n";
    let ended = world.run(&job("refused", records, steps)).unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert_eq!(rows("refused").len(), 1);
    let why = refusals(&world);
    for (row, words) in [
        (0, "\"many\""),
        (1, "150"),
        (2, "name"),
        (3, "7.0.0"),
        (4, "age"),
        (5, "colour"),
    ] {
        assert!(
            why.iter()
                .any(|why| why.starts_with(&row.to_string()) && why.contains(words)),
            "{row} {words}: {why:#?}"
        );
    }
}

#[test]
fn a_way_that_is_missing_and_steps_that_do_not_lead_there_are_refused_before_a_row_is_read() {
    let world = world();
    let refused = |migrate: &str, steps: &str| {
        let steps = format!("{steps}[[steps]]\nmigrate = {migrate}\n");
        let error = world.plan(&job("plan", OLD, &steps)).map(drop).unwrap_err();
        assert!(error.place().is_some(), "{error}");
        format!("{}: {error}", error.code())
    };
    std::fs::remove_file(world.folder.path().join("schemas/user/1.0.0--1.1.0.toml")).unwrap();
    assert_eq!(
        refused(r#"{ schema = "user", from = "1.0.0", to = "2.0.0" }"#, ""),
        "schema::no_way: there is no way from user 1.0.0 to 2.0.0: nothing leads from 1.0.0 to 1.1.0"
    );
    assert_eq!(
        refused(r#"{ schema = "usr", to = "2.0.0" }"#, ""),
        "schema::unknown_schema: there is no schema `usr`"
    );
    assert_eq!(
        refused(r#"{ schema = "user", to = "2.0.0" }"#, ""),
        "schema::no_version: stage `1:migrate` does not know which version the records are of"
    );
    assert_eq!(
        refused(r#"{ schema = "user", from = "0.9.0", to = "2.0.0" }"#, ""),
        "schema::unknown_version: there is no user@0.9.0"
    );
    assert_eq!(
        refused(r#"{ schema = "user", from = "1.1", to = "2.0.0" }"#, ""),
        "schema::wrong_id: `from` is no version: unexpected end of input while parsing minor version number"
    );
}

#[test]
fn a_mistake_in_a_migration_points_into_its_file() {
    let world = world();
    let path = world.folder.path().join("schemas/user/1.1.0--2.0.0.toml");
    let broken = TO_V2.replace("years = 'age'", "yeers = 'age'");
    std::fs::write(&path, &broken).unwrap();
    let steps = "[[steps]]\nmigrate = { schema = \"user\", from = \"1.1.0\", to = \"2.0.0\" }\n";
    let error = world
        .plan(&job("broken", OLD, steps))
        .map(drop)
        .unwrap_err();
    assert_eq!(error.file(), Some(path.as_path()), "{error}");
    assert_eq!(&broken[error.place().unwrap().0.clone()], "rename");
}

/// `id`, and what else a version has.
fn fields(open: bool, more: &[&str]) -> String {
    let more: Vec<String> = more
        .iter()
        .map(|field| match field.split_once(' ') {
            Some((name, rest)) => format!("[fields.{name}]\n{rest}\n"),
            None => format!("[fields.{field}]\ntype = 'utf8'\n"),
        })
        .collect();
    format!(
        "open = {open}\n[fields.id]\ntype = 'int64'\n{}",
        more.concat()
    )
}

#[test]
fn a_field_of_a_later_version_does_not_stop_records_of_an_open_one() {
    let world = world_of(&[
        ("1.0.0", &fields(true, &[])),
        ("2.0.0", &fields(true, &["b"])),
        (
            "1.0.0--2.0.0",
            "[[up]]\nadd = { b = \"'new'\" }\n[[down]]\nremove = ['b']\n",
        ),
    ]);
    let records = r#"[
        {"id": 1, "_schema_version": "1.0.0"},
        {"id": 2, "b": "its own", "_schema_version": "2.0.0"},
        {"id": 3, "b": "lost?", "_schema_version": "1.0.0"},
        {"id": 4, "c": "stays", "_schema_version": "1.0.0"}
    ]"#;
    let to = r#"{ schema = "user", from = "1.0.0", to = "2.0.0" }"#;
    assert_eq!(
        migrated_in(&world, "open", records, to),
        [
            r#"{"id":1,"b":"new","_schema_version":"2.0.0"}"#,
            r#"{"id":2,"b":"its own","_schema_version":"2.0.0"}"#,
            r#"{"id":4,"b":"new","_schema_version":"2.0.0","c":"stays"}"#,
        ]
    );
    assert_eq!(refusals(&world), ["2 user@1.0.0 has no field `b`"]);
}

#[test]
fn rules_between_two_hops_are_asked_of_the_types_of_that_version() {
    let world = world_of(&[
        ("1.0.0", &fields(false, &[])),
        (
            "1.1.0",
            &fields(false, &["n type = 'int32'\nrange = { max = 5 }"]),
        ),
        ("2.0.0", &fields(false, &["m type = 'int32'\nwas = 'n'"])),
        (
            "1.0.0--1.1.0",
            "[[up]]\nadd = { n = 'id + 4' }\n[[up]]\nconstrain = ['n']\n[[down]]\nremove = ['n']\n",
        ),
        (
            "1.1.0--2.0.0",
            "[[up]]\nrename = { n = 'm' }\n[[down]]\nrename = { m = 'n' }\n",
        ),
    ]);
    let to = r#"{ schema = "user", from = "1.0.0", to = "2.0.0" }"#;
    assert_eq!(
        migrated_in(&world, "between", r#"[{"id": 1}, {"id": 2}]"#, to),
        [r#"{"id":1,"m":5}"#]
    );
    assert_eq!(refusals(&world).len(), 1, "{:?}", refusals(&world));
}

#[test]
fn what_two_migrations_keep_under_one_name_goes_back_to_both() {
    let kept = "keep_values = true\n";
    let world = world_of(&[
        ("1.0.0", &fields(false, &["a", "b"])),
        ("2.0.0", &fields(false, &["a"])),
        ("3.0.0", &fields(false, &[])),
        (
            "1.0.0--2.0.0",
            &format!(
                "[[up]]\nremove = ['a']\n{kept}[[up]]\nrename = {{ b = 'a' }}\n[[down]]\nrename = {{ a = 'b' }}\n[[down]]\nrestore = ['a']\n"
            ),
        ),
        (
            "2.0.0--3.0.0",
            &format!("[[up]]\nremove = ['a']\n{kept}[[down]]\nrestore = ['a']\n"),
        ),
    ]);
    let records = r#"[
        {"id": 1, "a": "first", "b": "second"},
        {"id": 2, "a": "alone"},
        {"id": 3, "b": "alone"}
    ]"#;
    let up = r#"{ schema = "user", from = "1.0.0", to = "3.0.0" }"#;
    let there = migrated_in(&world, "kept-up", records, up);
    assert_eq!(
        there,
        [
            r#"{"id":1,"_removed":{"a":"second","_removed":{"a":"first"}}}"#,
            r#"{"id":2,"_removed":{"_removed":{"a":"alone"}}}"#,
            r#"{"id":3,"_removed":{"a":"alone"}}"#,
        ]
    );
    let down = r#"{ schema = "user", from = "3.0.0", to = "1.0.0" }"#;
    assert_eq!(
        migrated_in(&world, "kept-down", &format!("[{}]", there.join(",")), down),
        [
            r#"{"id":1,"a":"first","b":"second"}"#,
            r#"{"id":2,"a":"alone"}"#,
            r#"{"id":3,"b":"alone"}"#,
        ]
    );
}

#[test]
fn a_field_removed_that_is_no_object_of_kept_values_is_not_overwritten() {
    let world = world_of(&[
        ("1.0.0", &fields(false, &["a"])),
        ("2.0.0", &fields(false, &[])),
        (
            "1.0.0--2.0.0",
            "[[up]]\nremove = ['a']\nkeep_values = true\n[[down]]\nrestore = ['a']\n",
        ),
    ]);
    let to = r#"{ schema = "user", from = "1.0.0", to = "2.0.0" }"#;
    let records = r#"[{"id": 1, "a": "x", "_removed": "mine"}, {"id": 2, "a": "x"}]"#;
    assert_eq!(
        migrated_in(&world, "mine", records, to),
        [r#"{"id":2,"_removed":{"a":"x"}}"#]
    );
    assert_eq!(
        refusals(&world),
        ["0 `_removed` is no object of kept values"]
    );
    let steps = format!("[[steps]]\nmigrate = {to}\n");
    let numbers = r#"[{"id": 1, "a": "x", "_removed": 5}]"#;
    let error = world
        .plan(&job("five", numbers, &steps))
        .map(drop)
        .unwrap_err();
    assert_eq!(error.code(), "schema::cannot_keep", "{error}");
}
