//! Documents with fields that no document has among those the columns were made of, and a migration
//! that makes a field of that name: nothing of them is overwritten, each is refused by name.

use expect_test::{Expect, expect};

use crate::world::World;

/// What became of these lines, of which only the first is looked at for columns: records, then
/// refusals.
fn becomes(open: bool, source: &str, migrate: &str, lines: &str, expected: Expect) {
    let world = World::new();
    let version = |fields: &str| {
        let names = fields.split_whitespace();
        let fields = names.map(|name| format!("[fields.{name}]\ntype = \"utf8\"\n"));
        format!(
            "open = {open}\n[fields.id]\ntype = \"int64\"\n{}",
            fields.collect::<String>()
        )
    };
    world.write("schemas/user/1.0.0.toml", version("old"));
    world.write("schemas/user/2.0.0.toml", version("new"));
    world.write(
        "schemas/user/1.0.0--2.0.0.toml",
        "[[up]]\nremove = [\"old\"]\nkeep_values = true\n[[up]]\nadd = { new = \"'new'\" }\n\
         [[down]]\nremove = [\"new\"]\n[[down]]\nrestore = [\"old\"]\n",
    );
    world.write("in.jsonl", lines);
    world.write(
        "job.toml",
        format!(
            "name = \"t\"\n[source]\nbackend = \"file\"\npath = \"in.jsonl\"\ninfer = 1\n{source}\n\
             [[steps]]\nmigrate = {migrate}\n[target]\nbackend = \"file\"\npath = \"out.jsonl\"\n\
             [run]\non_error = \"dead-letter\"\n"
        ),
    );
    world.run(&["run", "job.toml"]);
    let letters = world.expect(0, &["errors", "list", "job.toml", "--json"]);
    let refused = letters.objects().into_iter().filter_map(|letter| {
        let message = letter["message"].as_str()?.to_owned();
        Some(format!("{} {message}\n", letter["locator"]["line"]))
    });
    let seen = world.read("out.jsonl") + &refused.collect::<String>();
    expected.assert_eq(&seen);
}

const UP: &str = "{ schema = \"user\", from = \"1.0.0\", to = \"2.0.0\" }";
const DOWN: &str = "{ schema = \"user\", from = \"2.0.0\", to = \"1.0.0\" }";

const LINES: &str = "{\"id\":1,\"old\":\"a\"}\n{\"id\":2,\"new\":\"mine\"}\n{\"id\":3,\"other\":1}\n{\"id\":4,\"new\":null}\n";

#[test]
fn a_closed_version_knows_none_of_them() {
    becomes(
        false,
        "",
        UP,
        LINES,
        expect![[r#"
        {"id":1,"new":"new","_removed":{"old":"a"}}
        {"id":4,"new":"new"}
        2 user@1.0.0 has no field `new`
        3 user@1.0.0 has no field `other`
    "#]],
    );
}

#[test]
fn an_open_version_lets_pass_what_no_migration_makes() {
    becomes(
        true,
        "",
        UP,
        LINES,
        expect![[r#"
        {"id":1,"new":"new","_removed":{"old":"a"}}
        {"id":3,"new":"new","other":1}
        {"id":4,"new":"new"}
        2 user@1.0.0 has no field `new`
    "#]],
    );
}

#[test]
fn a_record_that_says_its_version_where_nobody_asks_is_not_migrated_twice() {
    let lines = "{\"id\":1}\n{\"id\":2,\"new\":\"mine\",\"_schema_version\":\"2.0.0\"}\n{\"id\":3,\"_schema_version\":\"2.0.0\"}\n";
    becomes(
        false,
        "",
        UP,
        lines,
        expect![[r#"
        {"id":1,"new":"new"}
        2 user@1.0.0 has no field `new`
        3 the record says its version, and others do not: declare it in the source, fields = { _schema_version = "utf8" }
    "#]],
    );
    let asked = "fields = { _schema_version = \"utf8\" }";
    becomes(
        false,
        asked,
        UP,
        lines,
        expect![[r#"
        {"id":1,"new":"new","_schema_version":"2.0.0"}
        {"id":2,"new":"mine","_schema_version":"2.0.0"}
        {"id":3,"_schema_version":"2.0.0"}
    "#]],
    );
}

#[test]
fn what_was_kept_before_stays_kept_and_comes_back() {
    let lines = "{\"id\":1}\n{\"id\":2,\"old\":\"a\",\"_removed\":{\"older\":1,\"old\":\"b\"}}\n";
    becomes(
        false,
        "",
        UP,
        lines,
        expect![[r#"
        {"id":1,"new":"new"}
        {"id":2,"new":"new","_removed":{"older":1,"old":"a","_removed":{"old":"b"}}}
    "#]],
    );
    let lines = "{\"id\":1,\"new\":\"x\"}\n{\"id\":2,\"_removed\":{\"older\":1,\"old\":\"b\"}}\n{\"id\":3,\"_removed\":5}\n";
    becomes(
        false,
        "",
        DOWN,
        lines,
        expect![[r#"
        {"id":1}
        {"id":2,"old":"b","_removed":{"older":1}}
        3 `_removed` is no object of kept values
    "#]],
    );
}
