//! `dkhost plugin build DIR`: from a plugin's source folder to a component, with the language's own
//! compiler and nothing else.
//!
//! Cargo builds a core module for `wasm32-unknown-unknown`; the module carries its contract in a
//! custom section, and wit-component, which is part of this program, wraps it. What comes out is
//! read the same way as when it is loaded, so that a component that would be refused is not written.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dkhost_core::{Error, Result};
use serde::Deserialize;

use crate::contract::Contract;

const TARGET: &str = "wasm32-unknown-unknown";
/// How much of a failed compiler's output is kept, from its end.
const SAID_MAX: usize = 8 * 1024;

/// What a build is told.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Where the component goes; `DIR/NAME.wasm` when `None`.
    pub output: Option<PathBuf>,
    /// Whether the compiler may write its progress to our stderr; else it is kept for the error.
    pub show_progress: bool,
    /// Whether cargo may not use the network.
    pub offline: bool,
    /// Where cargo keeps what it compiles; its own choice when `None`.
    pub target_dir: Option<PathBuf>,
}

/// A component that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What it says about itself.
    pub contract: Contract,
}

/// Builds the plugin in `folder`.
///
/// *Errors* – `plugin::no_source`, `plugin::no_toolchain`, `plugin::build` with the end of the
/// compiler's output, `plugin::no_cdylib`, and those of [`Contract::read`].
pub fn build(folder: &Path, options: &BuildOptions) -> Result<Built> {
    let manifest = folder.join("Cargo.toml");
    let manifest = manifest.canonicalize().map_err(|_| {
        Error::config(
            "plugin::no_source",
            format!("there is no Cargo.toml in `{}`", folder.display()),
        )
        .help(
            "`dkhost plugin new NAME` starts a plugin in Rust, the one language this dkhost builds",
        )
    })?;
    let artifact = compile(&manifest, options)?;
    let module =
        fs::read(&artifact.module).map_err(|cause| Error::io("read", &artifact.module, cause))?;
    let component = componentize(&artifact.name, &module)?;
    let contract = Contract::read(&artifact.name, &component)?;
    let path = options
        .output
        .clone()
        .unwrap_or_else(|| folder.join(format!("{}.wasm", artifact.name)));
    replace(&path, &component)?;
    Ok(Built {
        path,
        bytes: component.len() as u64,
        contract,
    })
}

/// Wraps a core module that carries its contract into a component.
///
/// *Errors* – `plugin::build` when the module carries no contract, or another than it exports.
pub fn componentize(name: &str, module: &[u8]) -> Result<Vec<u8>> {
    wit_component::ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|cause| {
            Error::plugin("plugin::build", format!("`{name}` was compiled, but is no plugin: {cause:#}"))
                .help("a plugin ends with `dkhost_sdk::export! { transformers: [MyPlugin] }` and uses nothing of the system")
        })
}

struct Artifact {
    name: String,
    module: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

fn compile(manifest: &Path, options: &BuildOptions) -> Result<Artifact> {
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--release",
            "--target",
            TARGET,
            "--message-format",
            "json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(manifest)
        // A toolchain or flags chosen for the host build do not fit this one.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(if options.show_progress {
            Stdio::inherit()
        } else {
            Stdio::piped()
        });
    if let Some(folder) = manifest.parent() {
        // Cargo reads rust-toolchain.toml and .cargo/config.toml from where it runs.
        cargo.current_dir(folder);
    }
    if options.offline {
        cargo.arg("--offline");
    }
    if let Some(folder) = &options.target_dir {
        cargo.arg("--target-dir").arg(folder);
    }
    let mut child = cargo.spawn().map_err(|cause| {
        Error::infrastructure("plugin::no_toolchain", "cannot start `cargo`")
            .caused_by(cause)
            .help("install Rust from https://rustup.rs")
    })?;
    let stderr = child.stderr.take();
    let listener = std::thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_end(&mut said);
        }
        let said = String::from_utf8_lossy(&said);
        let start = (said.len().saturating_sub(SAID_MAX)..said.len())
            .find(|i| said.is_char_boundary(*i))
            .unwrap_or(0);
        said[start..].trim().to_owned()
    });
    let found = child
        .stdout
        .take()
        .and_then(|stdout| find(BufReader::new(stdout), manifest));
    let status = child
        .wait()
        .map_err(|cause| Error::io("wait for", "cargo", cause))?;
    let said = listener.join().unwrap_or_default();
    match (status.success(), found) {
        (true, Some(artifact)) => Ok(artifact),
        (true, None) => Err(Error::config(
            "plugin::no_cdylib",
            format!("`{}` makes no WebAssembly module", manifest.display()),
        )
        .help("add `[lib]` with `crate-type = [\"cdylib\"]` to its Cargo.toml")),
        (false, _) => Err(failed(manifest, &said)),
    }
}

/// The module of this very package among cargo's messages; all of them are read.
fn find(messages: impl BufRead, manifest: &Path) -> Option<Artifact> {
    let mut found = None;
    for line in messages.lines() {
        let Ok(line) = line else { break };
        let Ok(message) = serde_json::from_str::<Message>(&line) else {
            continue;
        };
        let (Some(path), Some(target)) = (message.manifest_path, message.target) else {
            continue;
        };
        let is_ours = message.reason == "compiler-artifact"
            && path.canonicalize().is_ok_and(|path| path == manifest)
            && target.crate_types.iter().any(|kind| kind == "cdylib");
        let module = message
            .filenames
            .into_iter()
            .find(|file| file.extension().is_some_and(|end| end == "wasm"));
        if let (true, Some(module)) = (is_ours, module) {
            found = Some(Artifact {
                name: target.name.replace('_', "-"),
                module,
            });
        }
    }
    found
}

fn failed(manifest: &Path, said: &str) -> Error {
    let folder = manifest.parent().unwrap_or(manifest).display();
    if said.contains("target may not be installed") || said.contains("can't find crate for `core`")
    {
        return Error::infrastructure(
            "plugin::no_toolchain",
            format!("this Rust cannot compile for {TARGET}"),
        )
        .help(format!("rustup target add {TARGET}"));
    }
    let error = Error::config(
        "plugin::build",
        format!("the plugin in `{folder}` does not compile"),
    );
    let error = error.help(format!(
        "`cargo check --target {TARGET}` in its folder shows the same errors"
    ));
    if said.is_empty() {
        error
    } else {
        error.caused_by(std::io::Error::other(said.to_owned()))
    }
}

/// Writes beside and renames, so that a running job never sees half a component.
fn replace(path: &Path, component: &[u8]) -> Result<()> {
    let draft = path.with_extension(format!("wasm.{}.part", std::process::id()));
    fs::write(&draft, component)
        .and_then(|()| fs::rename(&draft, path))
        .map_err(|cause| Error::io("write", path, cause))
}
