//! What the program says about itself, and how it refuses what it does not know.

use expect_test::expect;

use crate::world::{World, check};

#[test]
fn the_help_fits_a_screen_and_names_only_what_works() {
    let answer = World::new().expect(0, &["--help"]);
    check(
        &answer.out,
        expect![[r#"
            Moves records between stores, through sandboxed plugins

            Usage: dkhost [OPTIONS] <COMMAND>

            Commands:
              run          Do what the job says; takes up a run that was interrupted
              plan         Show everything that would happen, typed; nothing is written
              preview      Show the first records before and after every step
              validate     Check every record against every step; nothing is written
              history      List runs, or show one: partitions, checkpoints, steps, plugins
              errors       Refused records: list, show, export, retry
              backends     List the backends and their options
              job          Job files: write one, check one, print their JSON Schema
              plugin       Plugins: start, build, test and inspect them
              schema       Versions of schemas: bring stores to them, look at what was done
              completions  Print a completion script for a shell
              doctor       Check what dkhost needs on this machine
              help         Print this message or the help of the given subcommand(s)

            Options:
                  --color <WHEN>  Colours: auto follows the terminal and NO_COLOR [default: auto]
              -h, --help          Print help
              -V, --version       Print version

            A first job:
              dkhost job init               writes job.toml, which runs as it stands
              dkhost plan job.toml          what would happen, nothing written
              dkhost run job.toml           makes it happen; after an interruption, the same command goes on

            Exit codes: 0 done, 2 usage or job, 3 done with dead letters, 4 stopped by the data, 5 environment,
            6 plugin, 7 locked by another run, 8 state corrupt, 130/143 stopped by a signal, 101 a bug.
        "#]],
    );
    for later in [
        "rollback",
        "replay",
        "verify",
        "tune",
        "serve",
        "cluster",
        "compile-plugin",
    ] {
        assert!(!answer.out.contains(&format!("  {later} ")), "{later}");
    }
}

#[test]
fn run_shows_its_options_and_examples() {
    check(
        &World::new().expect(0, &["run", "--help"]).out,
        expect![[r#"
        Do what the job says; takes up a run that was interrupted

        Usage: dkhost run [OPTIONS] <JOB>

        Arguments:
          <JOB>  The job file

        Options:
              --color <WHEN>          Colours: auto follows the terminal and NO_COLOR [default: auto]
              --plugin <[NAME=]PATH>  Bind a component to the steps that name it; NAME is the file's stem
                                      when left out
              --set <KEY=VALUE>       Override a key of the job: --set run.parallel=4
              --json                  JSON instead of text
              --dry-run               Plan, and check every record, but write nothing
              --no-resume             Start over although an interrupted run could go on
              --full                  Start over and read everything, wherever the cursor of an incremental
                                      job stands
              --accept-plan-change    Go on with an interrupted run although the job or a plugin changed
          -q, --quiet                 Print errors only
          -h, --help                  Print help

        Examples:
          dkhost run job.toml
          dkhost run job.toml --plugin clean.wasm --set run.parallel=4
          dkhost run job.toml --dry-run            plan and check every record, write nothing
          dkhost run job.toml --json | jq .counts  one object per event, the report last
    "#]],
    );
}

#[test]
fn every_command_has_a_help() {
    let world = World::new();
    for command in [
        "run",
        "plan",
        "preview",
        "validate",
        "history",
        "errors",
        "errors list",
        "errors show",
        "errors export",
        "errors retry",
        "backends",
        "job",
        "job init",
        "job check",
        "job schema",
        "schema",
        "schema list",
        "schema show",
        "schema diff",
        "schema check",
        "schema generate",
        "schema export",
        "schema import",
        "schema apply",
        "schema history",
        "plugin",
        "plugin new",
        "plugin build",
        "plugin test",
        "plugin inspect",
        "completions",
        "doctor",
    ] {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let answer = world.expect(0, &arguments);
        assert!(
            answer.out.contains("Usage: dkhost"),
            "{command}: {}",
            answer.out
        );
    }
}

#[test]
fn nothing_typed_is_answered_with_the_help() {
    let answer = World::new().expect(2, &[]);
    assert!(answer.err.contains("Commands:"), "{}", answer.err);
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(
        World::new().expect(0, &["--version"]).out,
        format!("dkhost {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_misspelt_word_names_the_nearest() {
    let world = World::new();
    check(
        &world.expect(2, &["rnu", "job.toml"]).err,
        expect![[r#"
            error[cli::unknown_command]: `dkhost` has no command `rnu`
              help: did you mean `dkhost run`?
        "#]],
    );
    check(
        &world.expect(2, &["run", "job.toml", "--plugn", "x"]).err,
        expect![[r#"
            error: unexpected argument '--plugn' found

              tip: a similar argument exists: '--plugin'

            Usage: dkhost run --plugin <[NAME=]PATH> <JOB>

            For more information, try '--help'.
        "#]],
    );
}

#[test]
fn what_comes_later_is_refused_with_a_sentence() {
    let world = World::new();
    check(
        &world.expect(2, &["rollback", "0198"]).err,
        expect![[r#"
        error[cli::later]: `rollback` is not in this version of dkhost
          help: undoing what a run wrote comes in a later version; `on_conflict = "replace-all"` publishes all or nothing today
    "#]],
    );
    check(
        &world.expect(2, &["run", "job.toml", "--locked"]).err,
        expect![[r#"
            error[cli::later]: `--locked` is not in this version of dkhost
              help: lock files come in a later version; the history keeps the digest of every plugin today
        "#]],
    );
    for later in ["replay", "verify", "tune", "serve", "cluster"] {
        let answer = world.expect(2, &[later]);
        assert!(
            answer.err.starts_with("error[cli::later]"),
            "{later}: {}",
            answer.err
        );
    }
    for later in ["sign", "verify", "push", "pull", "lock", "update", "bench"] {
        let answer = world.expect(2, &["plugin", later]);
        assert!(
            answer.err.starts_with("error[cli::later]"),
            "{later}: {}",
            answer.err
        );
    }
}

#[test]
fn completions_know_the_commands() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let answer = world.expect(0, &["completions", shell]);
        assert!(
            answer.out.contains("preview") && answer.out.contains("validate"),
            "{shell}"
        );
        assert!(!answer.out.contains("compile-plugin"), "{shell}");
    }
}

#[test]
fn backends_list_their_options_at_both_ends() {
    let world = World::new();
    check(
        &world.expect(0, &["backends", "memory"]).out,
        expect![[r#"
        memory  records in the job file and rows that live as long as the process, for trials and tests
          as [source]
            records      the records, a list of tables
            name         reads what a target of this name holds, instead of `records`
            fields       types of fields, such as { price = "decimal(10, 2)" }; the others are inferred
            infer        how many records types are inferred from (10000)
          as [target]
            name         what the rows are kept under while the process lives; `memory` by default
            documents    whether fields beside the columns are kept, true by default
    "#]],
    );
    let all = world.expect(0, &["backends", "--json"]).objects();
    let names: Vec<&str> = all
        .iter()
        .map(|backend| backend["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "memory",
            "file",
            "sqlite",
            "postgres",
            "elasticsearch",
            "s3"
        ]
    );
    for backend in &all {
        for end in ["source", "target"] {
            assert!(
                backend[end]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|option| !option["help"].as_str().unwrap().is_empty())
            );
        }
    }
    check(
        &world.expect(2, &["backends", "sqlit"]).err,
        expect![[r#"
        error[job::unknown_backend]: there is no backend `sqlit`
          help: did you mean `sqlite`?
    "#]],
    );
}

#[test]
fn the_schema_of_job_files_is_json_schema() {
    let answer = World::new().expect(0, &["job", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(
        schema["properties"]["source"]["properties"]["backend"]["enum"][1],
        "file"
    );
}

#[test]
fn doctor_says_what_is_there_and_leaves_nothing_behind() {
    let world = World::new();
    let checks = world.expect(0, &["doctor", "--json"]).objects();
    let found =
        |name: &str| checks.iter().find(|check| check["name"] == name).unwrap()["status"].clone();
    assert_eq!(found("state folder"), "ok");
    assert_eq!(found("plugin cache"), "ok");
    assert_eq!(std::fs::read_dir(world.path("")).unwrap().count(), 0);
}

#[test]
fn doctor_says_what_to_do_about_a_folder_that_cannot_be_written() {
    let world = World::with_job(
        "name = \"x\"\n[source]\nbackend = \"memory\"\n[target]\nbackend = \"memory\"\n[state]\nurl = \"sqlite:/proc/1/none/state.db\"\n",
    );
    let answer = world.expect(5, &["doctor", "job.toml"]);
    assert!(
        answer.out.contains("missing") && answer.out.contains("[state] url"),
        "{}",
        answer.out
    );
}
