//! What the chores need beside Rust itself: looked for every time, installed when absent.
//!
//! Each function leaves the thing in place or says how to get it by hand. Tools that take minutes
//! to build are kept in a cache folder outside the checkout, so that the next clone finds them.

use std::path::PathBuf;
use std::time::Instant;

use dkhost_servers::{POSTGRES_URL, Server, Settings, programs};

use crate::shell::{self, Outcome};

/// The target plugins are compiled for.
pub const PLUGIN_TARGET: &str = "wasm32-unknown-unknown";

/// The release of cargo-deny that `deny.toml` was written for.
const CARGO_DENY: &str = "0.20.2";

/// Makes sure that Rust can compile plugins; says what it did.
pub fn plugin_target() -> Outcome<String> {
    if has_plugin_target() {
        return Ok(format!("{PLUGIN_TARGET} is there"));
    }
    if !shell::works("rustup", &["--version"]) {
        return Err(format!(
            "this Rust has no `{PLUGIN_TARGET}`, and there is no rustup to add it with\n  \
             help: install Rust with rustup, or your distribution's package for that target"
        ));
    }
    println!("  adding the target {PLUGIN_TARGET}, which plugins are compiled for");
    shell::run(shell::command("rustup").args(["target", "add", PLUGIN_TARGET]))?;
    if has_plugin_target() {
        return Ok(format!("{PLUGIN_TARGET} was added"));
    }
    Err(format!(
        "rustup added `{PLUGIN_TARGET}` to another toolchain than the one cargo uses here"
    ))
}

/// Asks the compiler itself: distributions ship the target without rustup.
fn has_plugin_target() -> bool {
    let arguments = ["--print", "target-libdir", "--target", PLUGIN_TARGET];
    shell::output(shell::command(rustc()).args(arguments))
        .is_ok_and(|folder| PathBuf::from(folder.trim()).is_dir())
}

/// What the recovery suite makes system calls fail, clocks go back and disks be small with: the
/// program, the arguments that show that it works, and its package.
const FAULT_TOOLS: [(&str, &[&str], &str); 4] = [
    ("strace", &["-qq", "-o", "/dev/null", "true"], "strace"),
    ("faketime", &["2001-01-01", "true"], "faketime"),
    ("prlimit", &["--fsize=1024", "true"], "util-linux"),
    ("unshare", &["--version"], "util-linux"),
];

/// Installs the tools that cause faults, where that can be done without asking anybody.
pub fn fault_tools() -> Outcome {
    for (program, probe, package) in FAULT_TOOLS {
        if shell::works(program, probe) {
            continue;
        }
        println!("  installing {package}, which the recovery suite causes faults with");
        let done = programs::install(package);
        if !done || !shell::works(program, probe) {
            return Err(format!(
                "the recovery suite needs a working `{program}`, and it could not be installed\n  \
                 help: sudo apt-get install {package}, or your distribution's package; in a container, allow ptrace"
            ));
        }
    }
    let mounts =
        |flags: &str| shell::works("unshare", &[flags, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    match mounts("-m") || mounts("-rm") {
        true => Ok(()),
        false => Err("the recovery suite mounts disks of a megabyte, which needs root or user namespaces\n  \
             help: run it as root, or: sudo sysctl kernel.unprivileged_userns_clone=1".to_owned()),
    }
}

/// The PostgreSQL that all test binaries share, unless the variable names one; it ends when the
/// result is dropped, or with this process.
pub fn postgres() -> Outcome<Option<Server>> {
    if let Some(url) = std::env::var_os(POSTGRES_URL) {
        // As the user wrote it, but for what may be a password.
        let url = url.to_string_lossy();
        let place = url.rsplit_once('@').map_or(&*url, |(_, place)| place);
        println!("PostgreSQL is the one at {place}, as {POSTGRES_URL} says");
        return Ok(None);
    }
    let server = Server::start(&Settings::default())?;
    println!("PostgreSQL is there, on port {}", server.port());
    Ok(Some(server))
}

/// Servers that have to be built or fetched once; each is started when the first test asks for it.
pub fn servers() -> Outcome {
    type Find = fn() -> Outcome<PathBuf>;
    let kinds: [(&str, Find); 4] = [
        ("MinIO", programs::minio),
        ("versitygw", programs::versitygw),
        ("Elasticsearch", programs::elasticsearch),
        ("OpenSearch", programs::opensearch),
    ];
    for (name, find) in kinds {
        let began = Instant::now();
        println!("looking for {name}; where it is not kept yet, it is built or fetched");
        find()?;
        println!("{name} is there ({})", shell::took(began.elapsed()));
    }
    Ok(())
}

/// `rustc 1.95.0 (…)`.
pub fn compiler() -> Outcome<String> {
    Ok(shell::output(shell::command(rustc()).arg("--version"))?
        .trim()
        .to_owned())
}

fn rustc() -> std::ffi::OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// The path of cargo-deny, built into the cache folder when neither it nor one on the path has the
/// release we use.
pub fn cargo_deny() -> Outcome<PathBuf> {
    let is_ours = |program: &PathBuf| {
        shell::output(shell::command(program).arg("--version"))
            .is_ok_and(|answer| answer.trim().ends_with(CARGO_DENY))
    };
    let cached = tools()?.join("bin/cargo-deny");
    if let Some(found) = [PathBuf::from("cargo-deny"), cached.clone()]
        .into_iter()
        .find(is_ours)
    {
        return Ok(found);
    }
    println!(
        "building cargo-deny {CARGO_DENY} once, into {} (some minutes)",
        tools()?.display()
    );
    // Nobody waits for what it computes, only for its build: the quick profile.
    let arguments = [
        "install",
        "cargo-deny",
        "--locked",
        "--debug",
        "--version",
        CARGO_DENY,
    ];
    let mut install = shell::cargo();
    install.args(arguments).arg("--root").arg(tools()?);
    install
        .env("CARGO_TARGET_DIR", tools()?.join("build"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    shell::run(&mut install)?;
    let _ = std::fs::remove_dir_all(tools()?.join("build"));
    Ok(cached)
}

/// The folder for tools that outlive a checkout.
pub fn tools() -> Outcome<PathBuf> {
    dkhost_servers::tools::cache()
}
