//! `dkhost plugin`: what authors of plugins need, over the modules of `dkhost-plugin`.

mod inspect;
mod test;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use dkhost_core::{Error, Result};
use dkhost_plugin::LoadOptions;
use dkhost_plugin::build::{BuildOptions, build};
use dkhost_plugin::new::{Sdk, World, new};

use crate::args::PluginCommand;
use crate::escape::escape;
use crate::registry;
use crate::screen::Screen;
use crate::table::bytes;

/// Runs a command about plugins.
pub fn plugin(command: PluginCommand, screen: &mut Screen) -> Result<i32> {
    match command {
        PluginCommand::New {
            name,
            lang,
            world,
            sdk,
        } => start(&name, &lang, &world, sdk, screen),
        PluginCommand::Build { dir, output } => make(&dir, output, screen),
        PluginCommand::Test {
            dir,
            component,
            bless,
            ..
        } => test::test(&dir, component.as_deref(), bless, screen),
        PluginCommand::Inspect { file, .. } => inspect::inspect(&file, screen),
    }
}

/// How components are loaded where there is no job.
fn load_options() -> LoadOptions {
    LoadOptions::new(registry::own_cache(), registry::compiler())
}

fn start(
    name: &str,
    lang: &str,
    world: &str,
    sdk: Option<PathBuf>,
    screen: &mut Screen,
) -> Result<i32> {
    known_language(lang)?;
    let world = World::parse(world)?;
    let sdk = match sdk.or_else(sdk_beside_program) {
        Some(folder) => Sdk::Path(folder),
        None => return Err(no_sdk()),
    };
    let folder = new(Path::new("."), name, world, &sdk)?;
    let folder = folder
        .strip_prefix(".")
        .unwrap_or(&folder)
        .display()
        .to_string();
    let (name, paint) = (escape(name), screen.paint);
    screen.line(format!(
        "wrote the plugin {}; what to do next:\n",
        paint.bold(&name)
    ))?;
    let lines = [
        (
            format!("cd {folder}"),
            "src/lib.rs is the plugin, case.*.jsonl what it must do",
        ),
        (
            "dkhost plugin test".to_owned(),
            "builds it and runs its cases",
        ),
        ("dkhost plugin build".to_owned(), "writes the component"),
        match world {
            World::SchemaMigration => (
                format!(
                    "dkhost schema apply user --to 2.0.0 --job ../job.toml --plugin {name}.wasm"
                ),
                "brings a store to the newer version",
            ),
            World::Transformer | World::RecordFilter => (
                format!("dkhost run ../job.toml --plugin {name}.wasm"),
                "uses it in a job",
            ),
        },
    ];
    let mut table = crate::table::Table::indented(2);
    for (command, what) in lines {
        table.row([
            crate::table::Cell::new(command).painted(|text| paint.cyan(text)),
            what.into(),
        ]);
    }
    screen.line(table.lines().join("\n"))?;
    Ok(0)
}

fn known_language(lang: &str) -> Result<()> {
    match lang {
        "rust" => Ok(()),
        "python" | "js" | "javascript" | "typescript" | "ts" | "go" | "c" | "cpp" | "c++" => {
            Err(Error::config(
                "cli::later",
                format!("plugins in `{lang}` are not in this version of dkhost"),
            )
            .help("--lang rust works today"))
        }
        other => Err(Error::config(
            "plugin::unknown_language",
            format!("there is no language `{}`", escape(other)),
        )
        .help("this version has: rust")),
    }
}

/// The SDK's source: beside the program, else in the checkout it was built from.
fn sdk_beside_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.canonicalize().ok()?;
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = program
        .ancestors()
        .chain([checkout])
        .map(|folder| folder.join("sdk/rust"));
    folders.find(|sdk| sdk.join("Cargo.toml").is_file())
}

fn no_sdk() -> Error {
    Error::config("plugin::no_sdk", "the source of the plugin SDK does not lie beside this program")
        .help("give the folder `sdk/rust` of dkhost's source: dkhost plugin new NAME --sdk dkhost/sdk/rust")
}

fn make(dir: &Path, output: Option<PathBuf>, screen: &mut Screen) -> Result<i32> {
    let built = build(
        dir,
        &BuildOptions {
            output,
            ..build_options(screen)
        },
    )?;
    let path = built
        .path
        .strip_prefix(".")
        .unwrap_or(&built.path)
        .display()
        .to_string();
    let worlds = built.contract.worlds().join(", ");
    screen.line(format!(
        "wrote {} ({}, {worlds}, contract {})",
        screen.paint.bold(&escape(&path)),
        bytes(built.bytes),
        escape(&built.contract.line),
    ))?;
    Ok(0)
}

/// The compiler's own progress is shown to people who watch.
fn build_options(screen: &Screen) -> BuildOptions {
    BuildOptions {
        show_progress: !screen.json && std::io::stderr().is_terminal(),
        ..BuildOptions::default()
    }
}
