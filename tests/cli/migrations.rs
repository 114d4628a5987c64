//! A custom migration at work: the component `customers-v2` in one way with a migration file, on a
//! table and on documents of several versions, and what is said when it cannot be used.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use expect_test::expect;

use crate::world::{World, check, root};

/// The plugin `customers-v2`, built once.
fn component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("customers-v2.wasm");
        let source = root().join("plugins/customers-v2");
        let (source, to) = (source.to_str().unwrap(), path.to_str().unwrap());
        World::new().expect(0, &["plugin", "build", source, "-o", to]);
        path
    })
}

/// The component and its schemas, and a job whose `[plugins.customers-v2]` ends with `config`.
fn world(ends: &str, config: &str) -> World {
    let world = World::new();
    let schemas = root().join("plugins/customers-v2/schemas/customers");
    for version in ["1.0.0", "2.0.0"] {
        let name = format!("{version}.toml");
        world.copy(&schemas.join(&name), &format!("schemas/customers/{name}"));
    }
    world.copy(component(), "customers-v2.wasm");
    let job = format!(
        "name = \"customers\"\n{ends}\n[plugins.customers-v2]\npath = \"customers-v2.wasm\"\n{config}"
    );
    world.write("job.toml", job);
    world
}

const TODAY: &str = "config = { today = \"2026-01-31\" }\n";

const TABLE: &str = "[source]\nbackend = \"memory\"\nrecords = [{ id = 1 }]\n\
    [target]\nbackend = \"sqlite\"\npath = \"out.db\"\ntable = \"customers\"\n\
    [run]\nverify = \"full\"\nbatch = { rows = 2 }\n";

const DOCUMENTS: &str = "[source]\nbackend = \"file\"\npath = \"in.jsonl\"\n\
    [target]\nbackend = \"file\"\npath = \"out.jsonl\"\n\
    [[steps]]\nmigrate = { schema = \"customers\", to = \"2.0.0\" }\n\
    [run]\non_error = \"dead-letter\"\n";

fn rows(world: &World, columns: &str) -> String {
    let db = rusqlite::Connection::open(world.path("out.db")).unwrap();
    let select = format!("select json_array({columns}) from customers order by id");
    let mut statement = db.prepare(&select).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0));
    let rows: Vec<String> = rows.unwrap().map(Result::unwrap).collect();
    rows.join("\n") + "\n"
}

fn filled(world: &World) {
    let db = rusqlite::Connection::open(world.path("out.db")).unwrap();
    db.execute_batch(
        "create table customers (id integer primary key, name text, birthdate date);
         insert into customers values
           (1, 'Ada Lovelace', '1815-12-10'), (2, 'Plato', null), (3, '  Grace   Hopper ', '1906-12-09'),
           (4, '', '2000-02-29'), (5, null, null), (6, '山田 太郎', '1990-02-01');",
    )
    .unwrap();
}

#[test]
fn a_component_and_a_file_are_hops_of_one_way_up_and_down() {
    let world = world(TABLE, TODAY);
    filled(&world);
    let was = rows(&world, "id, name, birthdate");
    let two = world.read("schemas/customers/2.0.0.toml");
    let country = "\n[fields.country]\ntype = \"utf8\"\nrequired = true\ndefault = \"Atlantis\"\n";
    world.write("schemas/customers/2.1.0.toml", two + country);
    world.expect(0, &["schema", "generate", "customers", "2.0.0", "2.1.0"]);

    let apply = ["schema", "apply", "customers", "--job", "job.toml", "--to"];
    let told = world.expect(0, &[&apply[..], &["2.1.0", "--from", "1.0.0"]].concat());
    assert!(
        (told.out.clone() + &told.err).contains("up from 1.0.0 to 2.0.0 by plugin customers-v2"),
        "{}{}",
        told.out,
        told.err
    );
    let columns = "id, first_name, last_name, full_name, age, birthdate, country";
    expect![[r#"
        [1,"Ada","Lovelace",null,210,"1815-12-10","Atlantis"]
        [2,"Plato",null,null,null,null,"Atlantis"]
        [3,"Grace","Hopper","  Grace   Hopper ",119,"1906-12-09","Atlantis"]
        [4,null,null,"",25,"2000-02-29","Atlantis"]
        [5,null,null,null,null,null,"Atlantis"]
        [6,"山田","太郎",null,35,"1990-02-01","Atlantis"]
    "#]]
    .assert_eq(&rows(&world, columns));

    world.expect(0, &[&apply[..], &["1.0.0"]].concat());
    assert_eq!(rows(&world, "id, name, birthdate"), was);
    let history = ["schema", "history", "--job", "job.toml", "--json"];
    let listed = world.expect(0, &history).objects();
    let last = &listed[0];
    assert_eq!(
        (&last["from"], &last["to"]),
        (&"2.1.0".into(), &"1.0.0".into())
    );
    assert_eq!(last["counts"]["changed"], 6);
    let inspected = world.expect(0, &["plugin", "inspect", "customers-v2.wasm", "--json"]);
    let steps = last["steps"].as_array().unwrap();
    let ours = |step: &&serde_json::Value| step["by"]["plugin"] == "customers-v2";
    let ours = steps.iter().find(ours).unwrap();
    assert_eq!(ours["digest"], inspected.last()["digest"]);
}

#[test]
fn documents_of_several_versions_are_brought_to_one() {
    let world = world(DOCUMENTS, TODAY);
    world.write(
        "in.jsonl",
        r#"{"id": 1, "_schema_version": "1.0.0", "name": "Ada Lovelace", "birthdate": "1815-12-10"}
{"id": 2, "_schema_version": "2.0.0", "first_name": "Plato", "age": 2400}
{"id": 3, "_schema_version": "1.0.0", "name": null, "birthdate": "2000-02-29"}
{"id": 4, "_schema_version": "1.0.0", "name": "From Tomorrow", "birthdate": "2027-01-01"}
"#,
    );
    world.expect(3, &["run", "job.toml"]);
    expect![[r#"
        {"id":1,"birthdate":"1815-12-10","first_name":"Ada","last_name":"Lovelace","age":210,"_schema_version":"2.0.0"}
        {"id":2,"first_name":"Plato","age":2400,"_schema_version":"2.0.0"}
        {"id":3,"birthdate":"2000-02-29","age":25,"_schema_version":"2.0.0"}
    "#]]
    .assert_eq(&world.read("out.jsonl"));
    let letters = world.expect(0, &["errors", "list", "job.toml", "--json"]);
    let letter = letters.last();
    assert!(
        letter
            .to_string()
            .contains("the birthdate is after `today`"),
        "{letter}"
    );
}

/// Nor does anything else of theirs get lost behind what the component makes.
#[test]
fn a_document_of_an_open_version_with_a_field_that_the_component_makes_is_refused() {
    let world = world(DOCUMENTS, TODAY);
    for version in ["1.0.0", "2.0.0"] {
        let path = format!("schemas/customers/{version}.toml");
        let text = world.read(&path);
        world.write(&path, format!("open = true\n{text}"));
    }
    let job = world.read("job.toml");
    let one = job.replace("path = \"in.jsonl\"", "path = \"in.jsonl\"\ninfer = 1");
    world.write(
        "job.toml",
        one.replace("to = \"2.0.0\"", "from = \"1.0.0\", to = \"2.0.0\""),
    );
    world.write(
        "in.jsonl",
        r#"{"id": 1, "name": "Ada Lovelace", "birthdate": "1815-12-10"}
{"id": 2, "name": "Plato", "birthdate": "2000-02-29", "age": 2400}
{"id": 3, "name": "Plato", "birthdate": "2000-02-29", "town": "Athens"}
"#,
    );
    world.expect(3, &["run", "job.toml"]);
    expect![[r#"
        {"id":1,"birthdate":"1815-12-10","first_name":"Ada","last_name":"Lovelace","age":210}
        {"id":3,"birthdate":"2000-02-29","first_name":"Plato","age":25,"town":"Athens"}
    "#]]
    .assert_eq(&world.read("out.jsonl"));
    let letter = world
        .expect(0, &["errors", "list", "job.toml", "--json"])
        .last();
    assert_eq!(
        letter["message"], "customers@1.0.0 has no field `age`",
        "{letter}"
    );
}

#[test]
fn a_config_that_is_refused_is_the_jobs_mistake_and_no_records() {
    let document = r#"{"id": 1, "_schema_version": "1.0.0", "name": "Ada Lovelace"}"#;
    for (config, says) in [
        ("", "\"today\" is a required property"),
        ("config = { today = \"soon\" }\n", "does not match"),
        (
            "config = { today = \"2026-02-30\" }\n",
            "is a day of the calendar",
        ),
        ("config = { today = \"2026-01-31\", now = 1 }\n", "'now'"),
    ] {
        let world = world(DOCUMENTS, config);
        world.write("in.jsonl", document);
        let told = world.expect(2, &["plan", "job.toml"]);
        assert!(
            told.err.contains("plugin::config") && told.err.contains(says),
            "{}",
            told.err
        );
    }
}

#[test]
fn inspect_shows_the_steps_of_a_history() {
    let world = world(TABLE, TODAY);
    let told = world.expect(0, &["plugin", "inspect", "customers-v2.wasm"]);
    let steps = told
        .out
        .lines()
        .skip_while(|line| !line.starts_with("customers-v2 "));
    let steps: Vec<&str> = steps.take(4).collect();
    check(
        &(steps.join("\n") + "\n"),
        expect![[r#"
            customers-v2 0.1.0  migration
              splits names, computes ages
              license  Apache-2.0 OR MIT
              migrates customers 1.0.0 to 2.0.0: reversible, lossless
        "#]],
    );
}

#[test]
fn a_new_migration_says_how_it_is_used() {
    let (world, sdk) = (World::new(), root().join("sdk/rust"));
    let sdk = sdk.to_str().unwrap();
    let new = ["plugin", "new", "users-v2", "--world", "schema-migration"];
    check(
        &world.expect(0, &[&new[..], &["--sdk", sdk]].concat()).out,
        expect![[r#"
            wrote the plugin users-v2; what to do next:

              cd users-v2                                                                   src/lib.rs is the plugin, case.*.jsonl what it must do
              dkhost plugin test                                                            builds it and runs its cases
              dkhost plugin build                                                           writes the component
              dkhost schema apply user --to 2.0.0 --job ../job.toml --plugin users-v2.wasm  brings a store to the newer version
        "#]],
    );
}

#[test]
fn two_components_with_one_step_are_refused() {
    let world = world(DOCUMENTS, TODAY);
    world.write(
        "in.jsonl",
        "{\"id\":1,\"name\":\"Ada\",\"_schema_version\":\"1.0.0\"}\n",
    );
    world.copy(component(), "other.wasm");
    let answer = world.expect(2, &["plan", "job.toml", "--plugin", "other.wasm"]);
    assert!(
        answer.err.contains("error[schema::two_offers]: the components `customers-v2` and `other` both offer to bring customers from 1.0.0 to 2.0.0"),
        "{}",
        answer.err
    );
}
