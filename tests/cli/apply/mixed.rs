//! Records of several versions side by side, brought to one, and versions that steps of a job ask for.

use expect_test::expect;
use serde_json::json;

use super::applying::{Applying, JSONL, SCHEMAS, lines};
use crate::world::check;

/// With a version in between, that has the email already.
fn three_versions() -> Applying {
    let applying = Applying::to(JSONL);
    let world = &applying.world;
    let email =
        "[fields.email]\ntype = \"utf8\"\nrequired = true\ndefault = \"none@example.com\"\n";
    world.write(
        "schemas/user/1.1.0.toml",
        format!("{}{email}", SCHEMAS[0].1),
    );
    std::fs::remove_file(world.path("schemas/user/1.0.0--2.0.0.toml")).unwrap();
    world.write(
        "schemas/user/1.0.0--1.1.0.toml",
        "[[up]]\nadd = { email = \"'none@example.com'\" }\n[[down]]\nremove = [\"email\"]\nkeep_values = true\n",
    );
    world.write(
        "schemas/user/1.1.0--2.0.0.toml",
        "[[up]]\nrename = { years = \"age\" }\n[[up]]\ncast = { age = \"int64\" }\n\
         [[up]]\nremove = [\"legacy\"]\nkeep_values = true\n[[up]]\nconstrain = [\"age\"]\n\
         [[down]]\ncast = { age = \"utf8\" }\n[[down]]\nrename = { age = \"years\" }\n[[down]]\nrestore = [\"legacy\"]\n",
    );
    applying
}

const MIXED: &str = r#"{"id":1,"name":"Ada","years":"36","legacy":"x","price":1.5}
{"id":2,"name":"Grace","age":85,"email":"g@navy","_schema_version":"2.0.0","_removed":{"legacy":"kept"}}
{"id":3,"name":"Edsger","years":"72","email":"e@nl","price":2.25,"_schema_version":"1.1.0"}
{"id":4,"years":"41","_schema_version":"1.0.0"}
"#;

#[test]
fn a_store_of_three_versions_is_brought_to_one_and_back() {
    let applying = three_versions();
    let world = &applying.world;
    world.write("store/t.jsonl", MIXED);
    let told = applying.apply(0, "--from 1.0.0 --to 2.0.0").err;
    check(
        &told,
        expect![[r#"
        file store/t.jsonl (JSON Lines): user 1.0.0 to user 2.0.0
          up from 1.0.0 to 1.1.0 by 1.0.0--1.1.0.toml
          up from 1.1.0 to 2.0.0 by 1.1.0--2.0.0.toml
          replaces `store/t.jsonl` (305 bytes) when the run is done
          says in `.t.jsonl.dkhost-schema.json`, beside `store/t.jsonl`, that its records are of user@2.0.0
    "#]],
    );
    let up = lines(
        r#"{"id":1,"name":"Ada","age":36,"price":1.5,"email":"none@example.com","_schema_version":"2.0.0","_removed":{"legacy":"x"}}
{"id":2,"name":"Grace","age":85,"email":"g@navy","_schema_version":"2.0.0","_removed":{"legacy":"kept"}}
{"id":3,"name":"Edsger","age":72,"price":2.25,"email":"e@nl","_schema_version":"2.0.0"}
{"id":4,"age":41,"email":"none@example.com","_schema_version":"2.0.0"}"#,
    );
    assert_eq!(lines(&world.read("store/t.jsonl")), up);
    let told = applying.apply(0, "--to 1.0.0").err;
    check(
        &told,
        expect![[r#"
            file store/t.jsonl (JSON Lines): user 2.0.0 to user 1.0.0
              down from 2.0.0 to 1.1.0 by 1.1.0--2.0.0.toml
              down from 1.1.0 to 1.0.0 by 1.0.0--1.1.0.toml
              replaces `store/t.jsonl` (387 bytes) when the run is done
              says in `.t.jsonl.dkhost-schema.json`, beside `store/t.jsonl`, that its records are of user@1.0.0
        "#]],
    );
    let down = lines(
        r#"{"id":1,"name":"Ada","years":"36","legacy":"x","price":1.5,"_schema_version":"1.0.0","_removed":{"email":"none@example.com"}}
{"id":2,"name":"Grace","years":"85","legacy":"kept","_schema_version":"1.0.0","_removed":{"email":"g@navy"}}
{"id":3,"name":"Edsger","years":"72","price":2.25,"_schema_version":"1.0.0","_removed":{"email":"e@nl"}}
{"id":4,"years":"41","_schema_version":"1.0.0","_removed":{"email":"none@example.com"}}"#,
    );
    assert_eq!(lines(&world.read("store/t.jsonl")), down);
    let applied = world.expect(0, &["schema", "history", "--json"]).objects();
    let counts = applied.iter().map(|one| one["counts"].clone());
    assert_eq!(
        counts.collect::<Vec<_>>(),
        [
            json!({ "changed": 4, "unchanged": 0, "rejected": 0 }),
            json!({ "changed": 3, "unchanged": 1, "rejected": 0 }),
        ]
    );
}

#[test]
fn records_that_do_not_say_their_version_are_refused_where_nobody_says_it() {
    let applying = three_versions();
    let world = &applying.world;
    world.write("store/t.jsonl", MIXED);
    let aside = "--to 2.0.0 --set run.on_error=dead-letter --quiet";
    applying.apply(3, aside);
    let ids: Vec<_> = applying
        .records()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(ids, [2, 3, 4]);
    let letters = world
        .expect(0, &["errors", "list", "users.user", "--json"])
        .objects();
    assert_eq!(letters[0]["payload"]["id"], 1);
}

#[test]
fn documents_that_were_added_since_are_brought_to_the_version_too() {
    let applying = three_versions();
    let world = &applying.world;
    world.write("store/t.jsonl", MIXED);
    applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
    let mut text = world.read("store/t.jsonl");
    text.push_str("{\"id\":5,\"years\":\"7\"}\n");
    world.write("store/t.jsonl", text);
    applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
    let last = applying.records().pop().unwrap();
    assert_eq!(
        last,
        json!({ "id": 5, "age": 7, "email": "none@example.com", "_schema_version": "2.0.0" })
    );
    let applied = world.expect(0, &["schema", "history", "--json"]).objects();
    let counts = json!({ "changed": 1, "unchanged": 4, "rejected": 0 });
    assert_eq!(applied[0]["counts"], counts);
}

/// A job whose steps are to lead to a version.
fn planned(steps: &str) -> (i32, String) {
    let applying = three_versions();
    let world = &applying.world;
    world.write(
        "in.csv",
        "id,name,years,legacy,price,born\n1,Ada,36,x,1.50,1815-12-10\n2,Alan,7,,,\n",
    );
    let job = format!(
        "name = \"steps\"\n[source]\nbackend = \"file\"\npath = \"in.csv\"\nkey = [\"id\"]\n\
         fields = {{ years = \"utf8\", price = \"decimal(10, 2)\", born = \"date32\" }}\n{steps}\
         [target]\nbackend = \"sqlite\"\npath = \"out.db\"\ntable = \"t\"\n"
    );
    world.write("job.toml", job);
    let answer = world.run(&["run", "job.toml"]);
    if answer.code == 0 {
        let db = rusqlite::Connection::open(world.path("out.db")).unwrap();
        let select = "select group_concat(id || ' ' || age || ' ' || email, ', ') from t";
        return (0, db.query_row(select, [], |row| row.get(0)).unwrap());
    }
    assert!(!world.path("out.db").exists());
    assert!(!world.path(".dkhost").exists());
    (answer.code, answer.err)
}

#[test]
fn a_job_migrates_and_validates_what_it_writes() {
    let (code, rows) = planned(
        "[[steps]]\nmigrate = { schema = \"user\", from = \"1.0.0\", to = \"2.0.0\" }\n\
         [[steps]]\nvalidate = \"user@2.0.0\"\n[[steps]]\ndrop = [\"_removed\"]\n",
    );
    assert_eq!(
        (code, rows.as_str()),
        (0, "1 36 none@example.com, 2 7 none@example.com")
    );
}

#[test]
fn steps_that_do_not_lead_to_the_version_are_refused_before_a_row_is_read() {
    let (code, told) = planned("[[steps]]\nvalidate = \"user@2.0.0\"\n");
    assert_eq!(code, 2);
    check(
        &told,
        expect![[r#"
        error[schema::missing_field]: stage `1:validate` needs the field `email` of user@2.0.0, which its input does not have
           ╭─[job.toml:8:12]
         8 │ validate = "user@2.0.0"
           ·            ──────┬─────
           ·                  ╰── no column `email`
          help: coerce = true fills in its default, none@example.com
    "#]],
    );
    let (code, told) = planned(
        "[[steps]]\nset = { age = \"true\", email = \"'e'\" }\n[[steps]]\ndrop = [\"years\"]\n[[steps]]\nvalidate = \"user@2.0.0\"\n",
    );
    assert_eq!(code, 2);
    check(
        &told,
        expect![[r#"
        error[schema::wrong_type]: stage `3:validate` gets `age` as boolean, and user@2.0.0 has it as int64
            ╭─[job.toml:12:12]
         12 │ validate = "user@2.0.0"
            ·            ──────┬─────
            ·                  ╰── `age` is boolean here
          help: write coerce = true, or cast it in a step before: apply = { age = { type_cast = { to = "int64" } } }
    "#]],
    );
    let (code, told) = planned(
        "[[steps]]\nset = { colour = \"'red'\" }\n[[steps]]\nmigrate = { schema = \"user\", from = \"1.0.0\", to = \"2.0.0\" }\n",
    );
    assert_eq!(code, 2);
    check(
        &told,
        expect![[r#"
            error[schema::unknown_field]: stage `2:migrate` gets the field `colour`, which user@1.0.0 does not know
                ╭─[job.toml:10:11]
             10 │ migrate = { schema = "user", from = "1.0.0", to = "2.0.0" }
                ·           ────────────────────────┬────────────────────────
                ·                                   ╰── no such field
              help: leave it out: drop = ["colour"]; or say open = true in the schema
        "#]],
    );
}
