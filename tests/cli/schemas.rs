//! `dkhost schema`: versions listed, shown, compared, checked, generated between, exported, imported.

use expect_test::expect;

use crate::world::{World, check};

const OLD: &str = "description = \"a user\"\nkey = [\"id\"]\n\n[fields.id]\ntype = \"int64\"\n\n\
    [fields.years]\ntype = \"int64\"\n\n[fields.legacy]\ntype = \"utf8\"\n";

const NEW: &str = "key = [\"id\"]\n\n[fields.id]\ntype = \"int64\"\n\n\
    [fields.age]\ntype = \"int64\"\nwas = \"years\"\nrange = { min = 0, max = 150 }\n\n\
    [fields.email]\ntype = \"utf8\"\ndefault = \"none@example.com\"\npattern = \"@\"\n";

/// A world with `user` in two versions.
fn users() -> World {
    let world = World::new();
    world.write("schemas/user/1.0.0.toml", OLD);
    world.write("schemas/user/2.0.0.toml", NEW);
    world
}

#[test]
fn versions_are_listed_and_shown() {
    let world = users();
    check(
        &world.expect(0, &["schema", "list"]).out,
        expect![[r#"
        user@1.0.0  3 fields  key id    a user
        user@2.0.0  3 fields  key id
    "#]],
    );
    check(
        &world.expect(0, &["schema", "show", "user"]).out,
        expect![[r#"
            user@2.0.0  key id

              id     int64  required
              age    int64  was years, range 0 to 150
              email  utf8   default none@example.com, pattern @
        "#]],
    );
    check(
        &world.expect(0, &["schema", "show", "user@1.0.0"]).out,
        expect![[r#"
            user@1.0.0  key id
            a user

              id      int64  required
              years   int64
              legacy  utf8
        "#]],
    );
    let lines = world.expect(0, &["schema", "list", "--json"]).out;
    assert_eq!(lines.lines().count(), 2);
    check(
        &World::new().expect(2, &["schema", "list"]).err,
        expect![[r#"
            error[schema::no_folder]: there is no folder of schemas at schemas
              help: make it, with a file schemas/NAME/1.0.0.toml for each version; `[schemas] path` of a job names another
        "#]],
    );
}

#[test]
fn a_broken_version_is_named_and_hides_no_other() {
    let world = users();
    world.write("schemas/user/1.5.0.toml", "[fields.id]\ntype = \"int46\"\n");
    let answer = world.expect(2, &["schema", "list"]);
    check(
        &answer.out,
        expect![[r#"
        user@1.0.0  3 fields  key id    a user
        user@1.5.0  wrong
        user@2.0.0  3 fields  key id
    "#]],
    );
    check(
        &answer.err,
        expect![[r#"
        error[schema::unknown_type]: unknown type `int46`; did you mean `int64`?
           ╭─[schemas/user/1.5.0.toml:2:8]
         2 │ type = "int46"
           ·        ───┬───
           ·           ╰── this type
    "#]],
    );
}

#[test]
fn differences_have_verdicts_and_deserve_a_number() {
    let world = users();
    let diff = ["schema", "diff", "user@1.0.0", "user@2.0.0"];
    check(
        &world.expect(0, &diff).out,
        expect![[r#"
        user@1.0.0 to 2.0.0
          (record)  description      was a user    safe
          age       renamed          years -> age  safe
          age       range tightened  0 to 150      may reject
          email     added            utf8          safe        records get none@example.com
          legacy    removed          was utf8      loses data  if it is `email` now, say so: [fields.email] was = "legacy"
        it deserves a major version
    "#]],
    );
    let lines = world.expect(0, &[&diff[..], &["--json"]].concat()).out;
    assert_eq!(lines.lines().count(), 6, "{lines}");
    world.write("schemas/user/1.0.1.toml", NEW);
    let small = world.expect(2, &["schema", "diff", "user@1.0.0", "user@1.0.1"]);
    check(
        &small.err,
        expect![[r#"
        error[schema::too_small_bump]: user@1.0.1 is a patch version after user@1.0.0, and its differences are of a major one
          help: call it 2.0.0
    "#]],
    );
    check(
        &world
            .expect(2, &["schema", "diff", "usr@1.0.0", "user@2.0.0"])
            .err,
        expect![[r#"
            error[schema::two_schemas]: usr@1.0.0 and user@2.0.0 are versions of two schemas
              help: compare versions of one: `dkhost schema diff user@1.0.0 user@2.0.0`
        "#]],
    );
}

#[test]
fn a_migration_is_generated_once_and_checked() {
    let world = users();
    let generate = [
        "schema",
        "generate",
        "user",
        "1.0.0",
        "2.0.0",
        "--keep-removed",
    ];
    check(
        &world.expect(0, &generate).out,
        expect![[r#"
        wrote schemas/user/1.0.0--2.0.0.toml
        down after up gives every record back
          - age: range tightened, may reject
          - legacy: removed, loses data

          dkhost schema check user  tries it on made-up records
    "#]],
    );
    check(
        &world.expect(2, &generate).err,
        expect![[r#"
        error[schema::exists]: there is a migration already: schemas/user/1.0.0--2.0.0.toml
          help: look at what would be written with --stdout; --force writes it anew
    "#]],
    );
    check(
        &world.expect(0, &["schema", "check"]).out,
        expect![[r#"
        ok schemas/user/1.0.0.toml  the first version
        ok schemas/user/2.0.0.toml  a major version after 1.0.0
        ok schemas/user/1.0.0--2.0.0.toml  reversible, lossless; 581 of 1000 made-up records are refused: `age` is -6142120340824176069, not in 0 to 150
    "#]],
    );
    let path = world.path("schemas/user/1.0.0--2.0.0.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("years = \"age\"", "yeers = \"age\"")).unwrap();
    let answer = world.expect(2, &["schema", "check", "user"]);
    check(
        &answer.out,
        expect![[r#"
        ok schemas/user/1.0.0.toml  the first version
        ok schemas/user/2.0.0.toml  a major version after 1.0.0
        wrong schemas/user/1.0.0--2.0.0.toml
        error[schema::migration_field]: the migration speaks of a field `yeers` that is not there
            ╭─[schemas/user/1.0.0--2.0.0.toml:11:1]
         11 │ rename = { yeers = "age" }
            · ───┬──
            ·    ╰── did you mean `years`?
    "#]],
    );
    world.write(
        "schemas/user/3.0.0.toml",
        NEW.replace(
            "[fields.age]\ntype = \"int64\"\nwas = \"years\"\nrange = { min = 0, max = 150 }",
            "[fields.age]\ntype = \"date32\"",
        ),
    );
    let refused = world.expect(2, &["schema", "generate", "user", "2.0.0", "3.0.0"]);
    check(
        &refused.err,
        expect![[r#"
        error[schema::no_conversion]: no rule says which date32 a value of `age` is, which was int64
          help: say it yourself in user/2.0.0--3.0.0.toml: [[up]] set = { age = "…" }, with reversible = false or [[down]]; or in a component (`dkhost plugin new NAME --world schema-migration`)
    "#]],
    );
}

#[test]
fn a_promise_that_is_broken_ends_with_an_exit_code() {
    let world = users();
    let answer = world.expect(2, &["schema", "check", "--mode", "backward"]);
    check(
        &answer.out,
        expect![[r#"
        ok schemas/user/1.0.0.toml  the first version
        wrong schemas/user/2.0.0.toml
        error[schema::incompatible]: user@2.0.0 does not keep compatibility = "backward" with 1.0.0: not backward: `age` range tightened (0 to 150), may reject
          help: undo the difference, give a default, or declare another compatibility in the version
    "#]],
    );
    world.write(
        "schemas/user/2.0.0.toml",
        format!("compatibility = \"full\"\n{NEW}"),
    );
    check(
        &world.expect(2, &["schema", "show", "user@2.0.0"]).err,
        expect![[r#"
            error[schema::incompatible]: user@2.0.0 does not keep compatibility = "full" with 1.0.0: not backward: `age` range tightened (0 to 150), may reject
              help: undo the difference, give a default, or declare another compatibility in the version
        "#]],
    );
}

#[test]
fn versions_go_out_and_come_in() {
    let world = users();
    world.expect(0, &["schema", "export", "user@2.0.0", "-o", "user.json"]);
    world.expect(
        0,
        &["schema", "import", "again@1.0.0", "--from", "user.json"],
    );
    let read = |path: &str| std::fs::read_to_string(world.path(path)).unwrap();
    assert_eq!(read("schemas/again/1.0.0.toml"), NEW);
    assert_eq!(
        world
            .expect(0, &["schema", "export", "user@1.0.0", "--format", "toml"])
            .out,
        OLD
    );

    world.expect(
        0,
        &[
            "schema",
            "export",
            "user",
            "--format",
            "arrow",
            "-o",
            "user.arrow",
        ],
    );
    world.expect(
        0,
        &["schema", "import", "arrow@1.0.0", "--from", "user.arrow"],
    );
    check(
        &read("schemas/arrow/1.0.0.toml"),
        expect![[r#"
        key = ["id"]

        [fields.id]
        type = "int64"

        [fields.age]
        type = "int64"

        [fields.email]
        type = "utf8"
    "#]],
    );

    world.write(
        "in.jsonl",
        "{\"id\":1,\"name\":\"Ada\",\"born\":\"1815-12-10\"}\n",
    );
    let printed = world.expect(
        0,
        &[
            "schema",
            "import",
            "user@3.0.0",
            "--from",
            "in.jsonl",
            "--stdout",
        ],
    );
    check(
        &printed.out,
        expect![[r#"
        open = true

        [fields.id]
        type = "int64"

        [fields.name]
        type = "utf8"

        [fields.born]
        type = "utf8"
    "#]],
    );

    let db = rusqlite::Connection::open(world.path("a.db")).unwrap();
    db.execute_batch(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price DECIMAL TEXT(10, 2))",
    )
    .unwrap();
    world.write("job.toml", "name = \"j\"\n[source]\nbackend = \"sqlite\"\npath = \"a.db\"\ntable = \"t\"\n[target]\nbackend = \"memory\"\n");
    world.expect(
        0,
        &["schema", "import", "table@1.0.0", "--from", "job.toml"],
    );
    check(
        &read("schemas/table/1.0.0.toml"),
        expect![[r#"
        key = ["id"]

        [fields.id]
        type = "int64"

        [fields.name]
        type = "utf8"

        [fields.price]
        type = "decimal(10, 2)"
    "#]],
    );
    let again = world.expect(
        2,
        &["schema", "import", "table@1.0.0", "--from", "job.toml"],
    );
    check(
        &again.err,
        expect![[r#"
        error[schema::exists]: there is table@1.0.0 already: schemas/table/1.0.0.toml
          help: look at what would be written with --stdout; --force writes it anew
    "#]],
    );
    world.write(
        "odd.json",
        "{\"properties\": {\"a\": {\"type\": \"string\", \"contentEncoding\": \"base64\"}}}",
    );
    let odd = world.expect(0, &["schema", "import", "odd@1.0.0", "--from", "odd.json"]);
    check(
        &odd.err,
        expect![[r#"
        warning: `a`: `contentEncoding` has no counterpart and is left out
    "#]],
    );
}
