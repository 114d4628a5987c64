//! Every pair of versions whose types can be converted gets a migration that leads from the one to
//! the other, and back where it says so.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use dkhost_schema::migration::generate::{Generate, generate};
use dkhost_schema::migration::lossless::promise;
use dkhost_schema::migration::{self, check::check};
use dkhost_schema::{Registry, SchemaId, SchemaVersion};

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
