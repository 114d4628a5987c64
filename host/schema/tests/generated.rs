//! Every pair of versions whose types can be converted gets a migration that leads from the one to
//! the other, and back where it says so.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;

use dkhost_schema::migration::generate::{Generate, generate};
use dkhost_schema::migration::lossless::promise;
use dkhost_schema::migration::{self, check::check};
use dkhost_schema::{Migration, Registry, SchemaId, SchemaVersion, Verb, read};

fn pairs() -> Vec<(String, [SchemaVersion; 2])> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/schemas");
    let registry = Registry::open(&folder).unwrap();
    let read = |name: &String| {
        let versions = registry.versions(name).unwrap();
        [0, 1].map(|at: usize| {
            let version = versions[at].clone();
            let name = name.clone();
            registry.version(&SchemaId { name, version }).unwrap()
        })
    };
    let names = registry.names().unwrap();
    names
        .iter()
        .map(|name| (name.clone(), read(name)))
        .collect()
}

#[test]
fn what_is_generated_is_read_and_leads_to_the_other_version() {
    let (mut generated, mut refused) = (0, 0);
    for (name, [from, to]) in pairs() {
        for keep_removed in [false, true] {
            let file = match generate(&from, &to, Generate { keep_removed }) {
                Ok(file) => file,
                Err(error) => {
                    assert_eq!(error.code(), "schema::no_conversion", "{name}: {error}");
                    refused += 1;
                    continue;
                }
            };
            let (one, two) = (from.id.version.clone(), to.id.version.clone());
            let migration = migration::read(&name, one, two, &file.text)
                .unwrap_or_else(|error| panic!("{name}: {error}\n{}", file.text));
            check(&migration, &from, &to)
                .unwrap_or_else(|error| panic!("{name}: {error}\n{}", file.text));
            if keep_removed && migration.down.is_some() {
                let lost = promise(&migration, &from).why;
                let is_lost = |why: &String| why.contains("do not come back");
                assert!(!lost.iter().any(is_lost), "{name}: {lost:?}");
            }
            generated += 1;
        }
    }
    assert!(
        generated > 80 && refused > 2,
        "{generated} generated, {refused} refused"
    );
}

#[test]
fn a_generated_file_says_what_it_is_for() {
    let pairs = pairs();
    let text = |name: &str, keep_removed| {
        let (_, [from, to]) = pairs.iter().find(|(known, _)| known == name).unwrap();
        generate(from, to, Generate { keep_removed }).unwrap().text
    };
    expect_test::expect![[r##"
        # removed@1.0.0 to 2.0.0, written by `dkhost schema generate`.
        # Edit it where it does not say what you mean; `dkhost schema check removed` looks at it again.

        # gone; their values are kept in `_removed`
        [[up]]
        remove = ["name"]
        keep_values = true

        # with the values that were kept
        [[down]]
        restore = ["name"]
    "##]].assert_eq(&text("removed", true));
    expect_test::expect![[r##"
        # required-with-default@1.0.0 to 2.0.0, written by `dkhost schema generate`.
        # Edit it where it does not say what you mean; `dkhost schema check required-with-default` looks at it again.

        # Down, nothing has to be done.
        down = []

        # records without a value get its default
        [[up]]
        set = { age = "coalesce(age, 0)" }
    "##]].assert_eq(&text("required-with-default", false));
    expect_test::expect![[r##"
        # renamed-and-narrowed@1.0.0 to 2.0.0, written by `dkhost schema generate`.
        # Edit it where it does not say what you mean; `dkhost schema check renamed-and-narrowed` looks at it again.

        # under another name
        [[up]]
        rename = { years = "age" }

        # records with a value that is no int32 are refused
        [[up]]
        cast = { age = "int32" }

        # records that renamed-and-narrowed@2.0.0 does not allow are refused
        [[up]]
        constrain = ["age"]

        # was int64
        [[down]]
        cast = { age = "int64" }

        # under another name
        [[down]]
        rename = { age = "years" }
    "##]].assert_eq(&text("renamed-and-narrowed", false));
    expect_test::expect![[r#"
        # nothing@1.0.0 to 2.0.0, written by `dkhost schema generate`.
        # Edit it where it does not say what you mean; `dkhost schema check nothing` looks at it again.

        # Down, nothing has to be done.
        down = []
    "#]].assert_eq(&text("nothing", false));
}

fn version(number: &str, text: &str) -> SchemaVersion {
    read(format!("user@{number}").parse().unwrap(), text).unwrap()
}

/// What is generated, read again and checked.
fn led(from: &SchemaVersion, to: &SchemaVersion, keep_removed: bool) -> (String, Migration) {
    let file = generate(from, to, Generate { keep_removed }).unwrap();
    let (one, two) = (from.id.version.clone(), to.id.version.clone());
    let migration = migration::read("user", one, two, &file.text)
        .unwrap_or_else(|error| panic!("{error}\n{}", file.text));
    check(&migration, from, to).unwrap_or_else(|error| panic!("{error}\n{}", file.text));
    (file.text, migration)
}

/// Names that mean something to TOML, to SQL or to a comment.
const HOSTILE: [&str; 6] = [
    "select",
    "a.b",
    "it's",
    "\"quoted\"",
    "ünï",
    "two\nlines = [\\",
];

#[test]
fn any_name_and_any_default_may_be_written() {
    let field = |name: &str, rest: &str| {
        let name = serde_json::Value::from(name);
        format!("[fields.{name}]\ntype = \"utf8\"\n{rest}\n")
    };
    for name in HOSTILE {
        let value = serde_json::Value::from(name);
        let id = "[fields.id]\ntype = \"int64\"\n";
        let other = format!("{name}2");
        let versions = [
            id.to_owned(),
            format!("{id}{}", field(name, "required = true")),
            format!("{id}{}", field(name, &format!("default = {value}"))),
            format!(
                "{id}{}",
                field(&other, &format!("was = {value}\nlength = {{ max = 3 }}"))
            ),
        ];
        for one in &versions {
            for two in &versions {
                for keep in [false, true] {
                    led(&version("1.0.0", one), &version("2.0.0", two), keep);
                }
            }
        }
    }
}

#[test]
fn values_that_no_json_holds_are_not_said_to_be_kept() {
    for (logical, kept) in [
        ("vector(3)", false),
        ("binary", false),
        ("decimal(10, 2)", true),
    ] {
        let id = "[fields.id]\ntype = \"int64\"\n[fields.note]\ntype = \"utf8\"\n";
        let field = format!("{id}[fields.gone]\ntype = \"{logical}\"\n");
        let to = version("2.0.0", "[fields.id]\ntype = \"int64\"\n");
        let (text, migration) = led(&version("1.0.0", &field), &to, true);
        let restored = migration.down.unwrap().into_iter().any(|operation| {
            matches!(operation.verb, Verb::Restore(names) if names.contains(&"gone".to_owned()))
        });
        assert_eq!(restored, kept, "{logical}\n{text}");
        // What needs a value that cannot be kept has no way back.
        let needed = version("1.0.0", &format!("{field}required = true\n"));
        let (text, migration) = led(&needed, &to, true);
        assert_eq!(migration.down.is_some(), kept, "{logical}\n{text}");
    }
}

#[test]
fn one_default_for_all_is_no_way_back_to_values_that_differ() {
    let to = version("2.0.0", "[fields.id]\ntype = \"int64\"\n");
    for (rest, down) in [("", true), ("unique = true", false)] {
        let text = format!(
            "[fields.id]\ntype = \"int64\"\n[fields.code]\ntype = \"utf8\"\nrequired = true\ndefault = \"x\"\n{rest}\n"
        );
        let from = version("1.0.0", &text);
        assert_eq!(led(&from, &to, false).1.down.is_some(), down, "{rest}");
        assert!(led(&from, &to, true).1.down.is_some());
    }
}

/// Another version may come behind, and then nobody asks all rules of this one.
#[test]
fn a_field_that_joins_the_key_is_asked_for_a_value() {
    let field = "[fields.a]\ntype = \"int64\"\n";
    let (one, two) = (version("1.0.0", field), format!("key = [\"a\"]\n{field}"));
    let (text, migration) = led(&one, &version("2.0.0", &two), false);
    let is_asked = |verb: &Verb| matches!(verb, Verb::Constrain(fields) if *fields == ["a"]);
    assert!(migration.up.iter().any(|one| is_asked(&one.verb)), "{text}");
    let (text, migration) = led(&version("2.0.0", &two), &version("3.0.0", &two), false);
    assert!(
        !migration.up.iter().any(|one| is_asked(&one.verb)),
        "{text}"
    );
}
