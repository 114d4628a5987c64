//! One minute to a first run: builds dkhost and a plugin, moves real records, shows what came of it.
//!
//! Everything is done by commands a person could have typed, and each is shown before it runs. The
//! result lies in `out/`; running it again makes it anew.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::needs;
use crate::shell::{self, Outcome};

const JOB: &str = "tests/data/jobs/movies.toml";
const PLUGIN: &str = "out/clean.wasm";

/// Done, and done with dead letters: both are what this job is expected to end with.
const RUN_IS_FINE: [i32; 2] = [0, 3];

const NEXT: &str = "\
What to try next
  {dkhost} plan {job} --plugin {plugin}
      what would happen: the type of every column after every step, nothing written
  {dkhost} preview {job} --plugin {plugin}
      the first records before and after each step
  {dkhost} errors list {job}
      the records that were refused, and why
  {dkhost} plugin new shout --lang rust
      a plugin of your own: folder, source and golden cases
  {dkhost} job init
      a job file to begin with
  The result is the table `movies` in out/movies.db.
";

/// The chore `quickstart`.
pub fn run() -> Outcome {
    println!(
        "dkhost quickstart: 3,201 films from a JSON file through steps and a plugin into SQLite\n"
    );
    step(1, &format!("the toolchain: {}", needs::compiler()?));
    println!("  {}", needs::plugin_target()?);
    step(2, &format!("building dkhost{}", expectation()));
    let started = Instant::now();
    // With the features of the whole workspace, so that `cargo xtask test` compiles nothing again.
    shell::run(shell::cargo().args(["build", "--workspace", "--bin", "dkhost"]))?;
    println!("  built in {}", shell::took(started.elapsed()));

    let dkhost = short(&shell::target().join("debug/dkhost"));
    std::fs::create_dir_all(shell::root().join("out"))
        .map_err(|cause| format!("cannot make `out`: {cause}"))?;
    step(
        3,
        "building the plugin `clean` into a WebAssembly component",
    );
    show(
        shell::command(&dkhost).args(["plugin", "build", "plugins/clean", "-o", PLUGIN]),
        &[0],
    )?;
    step(4, "running the job");
    let run = show(
        shell::command(&dkhost).args(["run", JOB, "--plugin", PLUGIN]),
        &RUN_IS_FINE,
    )?;
    if run == 3 {
        println!(
            "\n  Exit code 3: done, and some records were refused. None is lost: they are dead letters."
        );
    }
    show(shell::command(&dkhost).args(["history", JOB]), &[0])?;
    let program = dkhost.display().to_string();
    println!(
        "\n{}",
        NEXT.replace("{dkhost}", &program)
            .replace("{job}", JOB)
            .replace("{plugin}", PLUGIN)
    );
    Ok(())
}

fn step(number: u8, what: &str) {
    println!("[{number}/4] {what}");
}

/// Shows a command and runs it.
fn show(command: &mut Command, fine: &[i32]) -> Outcome<i32> {
    println!("\n$ {}", shell::shown(command));
    shell::run_allowing(command, fine)
}

/// What the reader is in for; nothing when most of it was built before.
fn expectation() -> &'static str {
    let built =
        std::fs::read_dir(shell::target().join("debug/.fingerprint")).is_ok_and(|folders| {
            folders
                .flatten()
                .any(|f| f.file_name().to_string_lossy().starts_with("wasmtime-"))
        });
    match built {
        true => "",
        false => {
            ", for the first time: about 350 crates, \
             three to five minutes on eight cores, fifteen on two; later builds take seconds"
        }
    }
}

/// Relative to the top folder when it lies below it: that is what people type.
fn short(path: &Path) -> PathBuf {
    path.strip_prefix(shell::root())
        .map_or_else(|_| path.to_owned(), Path::to_owned)
}
