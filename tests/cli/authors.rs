//! From nothing to a plugin that runs in a job, as its author types it.

use expect_test::expect;
use serde_json::json;

use crate::world::{World, check, clean, root};

const MAIL: &str = "name = \"mail\"\n[source]\nbackend = \"memory\"\nrecords = [{ email = \" A@B.example \" }]\n[target]\nbackend = \"file\"\npath = \"out.jsonl\"\n";

#[test]
fn a_new_plugin_builds_passes_its_case_and_runs() {
    let world = World::new();
    let sdk = root().join("sdk/rust");
    check(
        &world
            .expect(
                0,
                &["plugin", "new", "shout", "--sdk", sdk.to_str().unwrap()],
            )
            .out,
        expect![[r#"
            wrote the plugin shout; what to do next:

              cd shout                                    src/lib.rs is the plugin, case.*.jsonl what it must do
              dkhost plugin test                          builds it and runs its cases
              dkhost plugin build                         writes the component
              dkhost run ../job.toml --plugin shout.wasm  uses it in a job
        "#]],
    );
    let tested = world.expect(0, &["plugin", "test", "shout"]);
    assert!(
        tested.out.contains("1 passed, 0 failed"),
        "{}{}",
        tested.out,
        tested.err
    );
    let built = world.expect(0, &["plugin", "build", "shout"]);
    assert!(
        built.out.starts_with("wrote shout/shout.wasm ("),
        "{}",
        built.out
    );
    let inspected = world
        .expect(0, &["plugin", "inspect", "shout/shout.wasm", "--json"])
        .last();
    assert_eq!(inspected["plugins"][0]["name"], "shout");
    assert_eq!(inspected["requests"], json!([]));

    world.write("job.toml", MAIL);
    let report = world
        .expect(
            0,
            &["run", "job.toml", "--plugin", "shout/shout.wasm", "--json"],
        )
        .last();
    assert_eq!(report["plugins"][0]["digest"], inspected["digest"]);

    world.write("shout/case.out.jsonl", "{}\n");
    let differs = world.expect(
        6,
        &["plugin", "test", "shout", "--component", "shout/shout.wasm"],
    );
    assert!(
        differs.out.contains("differs case") && differs.out.contains("0 passed, 1 failed"),
        "{}",
        differs.out
    );
    world.expect(
        0,
        &[
            "plugin",
            "test",
            "shout",
            "--component",
            "shout/shout.wasm",
            "--bless",
        ],
    );
    world.expect(
        0,
        &["plugin", "test", "shout", "--component", "shout/shout.wasm"],
    );
}

#[test]
fn a_component_is_inspected_before_it_is_used() {
    let world = World::new();
    world.copy(clean(), "clean.wasm");
    let seen = world.expect(0, &["plugin", "inspect", "clean.wasm"]).out;
    for expected in [
        "digest    sha256:",
        "contract  dkhost:plugin 0.1",
        "worlds    transformer",
        "asks for  nothing",
        "clean 0.",
    ] {
        assert!(seen.contains(expected), "{expected:?} is not in {seen}");
    }
    world.write("core.wasm", b"\0asm\x01\0\0\0");
    check(
        &world.expect(6, &["plugin", "inspect", "core.wasm"]).err,
        expect![[r#"
            error[plugin::core_module]: `core.wasm` is a core WebAssembly module, not a component
              help: `dkhost plugin build DIR` makes a component of a plugin's source folder
        "#]],
    );
}

#[test]
fn what_cannot_be_started_or_built_is_refused_by_name() {
    let world = World::new();
    check(
        &world.expect(2, &["plugin", "new", "Shout!"]).err,
        expect![[r#"
            error[plugin::bad_name]: `Shout!` cannot be a plugin's name
              help: a name begins with a-z and goes on with a-z, 0-9 and -, at most 64 characters
        "#]],
    );
    check(
        &world
            .expect(2, &["plugin", "new", "shout", "--lang", "python"])
            .err,
        expect![[r#"
            error[cli::later]: plugins in `python` are not in this version of dkhost
              help: --lang rust works today
        "#]],
    );
    check(
        &world
            .expect(2, &["plugin", "new", "shout", "--world", "transfromer"])
            .err,
        expect![[r#"
            error[plugin::unknown_world]: there is no world `transfromer`
              help: known: transformer, record-filter, schema-migration
        "#]],
    );
    check(
        &world.expect(2, &["plugin", "build", "nowhere"]).err,
        expect![[r#"
            error[plugin::no_source]: there is no Cargo.toml in `nowhere`
              help: `dkhost plugin new NAME` starts a plugin in Rust, the one language this dkhost builds
        "#]],
    );
}

#[test]
fn a_plugins_mistake_in_its_config_points_at_the_step() {
    let world = World::with_job(concat!(
        "name = \"mail\"\n[source]\nbackend = \"memory\"\nrecords = [{ email = \"a@b.example\" }]\n",
        "[[steps]]\nplugin = \"clean\"\nconfig = { emial = [\"email\"] }\n[target]\nbackend = \"memory\"\n",
    ));
    check(
        &world
            .expect(
                2,
                &["plan", "job.toml", "--plugin", clean().to_str().unwrap()],
            )
            .err,
        expect![[r#"
            error[plugin::config]: the config of plugin `clean` is refused: Additional properties are not allowed ('emial' was unexpected)
               ╭─[job.toml:7:10]
             7 │ config = { emial = ["email"] }
               ·          ──────────┬──────────
               ·                    ╰── here
              help: the plugin takes email, phone, name, country, country_code, country_format, recognise, strict
        "#]],
    );
}

#[test]
fn a_plugin_is_bound_by_name_or_by_its_files_stem() {
    let job = "name = \"mail\"\n[source]\nbackend = \"memory\"\nrecords = [{ email = \" A@B.example \" }]\n[[steps]]\nplugin = \"tidy\"\n[target]\nbackend = \"file\"\npath = \"out.jsonl\"\n";
    let world = World::with_job(job);
    let named = format!("tidy={}", clean().display());
    world.expect(0, &["run", "job.toml", "--plugin", &named]);
    assert_eq!(world.read("out.jsonl"), "{\"email\":\"a@b.example\"}\n");
}

#[test]
fn a_component_is_compiled_by_a_child_into_a_cache_of_the_users_own() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let file = clean().to_str().unwrap();
    let fresh = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.env("XDG_CACHE_HOME", world.path("cache"));
        crate::world::answer(command.output().unwrap())
    };
    assert_eq!(fresh(&["plugin", "inspect", file]).code, 0);
    let cache = world.path("cache/dkhost");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache), 0o700);
    let entries: Vec<_> = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(
        entries.len(),
        1,
        "the child left something behind: {entries:?}"
    );
    assert_eq!(mode(&entries[0]), 0o600);
    // A damaged entry is noticed and compiled again, not executed.
    let mut machine_code = std::fs::read(&entries[0]).unwrap();
    machine_code[1000] ^= 1;
    std::fs::write(&entries[0], machine_code).unwrap();
    assert_eq!(fresh(&["plugin", "inspect", file]).code, 0);
}
