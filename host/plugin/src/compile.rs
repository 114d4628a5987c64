//! Compiles a component to machine code in a child process that can be killed.
//!
//! Compiling hostile bytes can cost any amount of time and memory, and the compiler's authors do
//! not call that a vulnerability. So the host starts itself again (`dkhost compile-plugin IN OUT`),
//! the child lowers its own limits before it looks at the bytes ([`compile_child`]), and the parent
//! keeps the wall clock. What the child writes is loaded by nobody until it has ended well.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use dkhost_core::{Class, Error, Result};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::engine;

/// Where components are compiled.
#[derive(Debug, Clone)]
pub enum CompileIn {
    /// In a limited child: this program is started as `PROGRAM compile-plugin IN OUT` and calls
    /// [`compile_child`].
    Child(PathBuf),
    /// In this process: for tests, and for bytes that were built a moment ago.
    InProcess,
}

/// The hidden subcommand of the child.
pub const SUBCOMMAND: &str = "compile-plugin";

/// Address space of the child. An 18 MB Python component takes about 1.5 GiB on two threads; most
/// of the rest is reserved and never touched.
const CHILD_MEMORY_BYTES: u64 = 6 << 30;
/// CPU time of the child, all threads together. That Python component takes 12 s.
const CHILD_CPU_SECONDS: u64 = 180;
/// Wall clock of the child.
const CHILD_WALL: Duration = Duration::from_secs(240);
const REBUILD: &str = "build it again; if it was built with another tool than `dkhost plugin build`, check its wasm features";
/// How much of what the child says on stderr is kept.
const CHILD_SAYS_BYTES: u64 = 4096;

/// The child's side: lowers its own limits, compiles the component at `input`, writes `output`.
pub fn compile_child(input: &Path, output: &Path) -> Result<()> {
    lower(Resource::As, CHILD_MEMORY_BYTES)?;
    lower(Resource::Cpu, CHILD_CPU_SECONDS)?;
    lower(Resource::Core, 0)?;
    let bytes = fs::read(input).map_err(|cause| Error::io("read", input, cause))?;
    let compiled = in_process(&bytes)?;
    fs::write(output, compiled).map_err(|cause| Error::io("write", output, cause))
}

fn lower(resource: Resource, to: u64) -> Result<()> {
    let now = rustix::process::getrlimit(resource);
    let maximum = now.maximum.map_or(to, |maximum| maximum.min(to));
    let wanted = Rlimit {
        current: Some(maximum),
        maximum: Some(maximum),
    };
    setrlimit(resource, wanted).map_err(|cause| {
        Error::infrastructure(
            "plugin::no_limits",
            "cannot limit the process that compiles plugins",
        )
        .caused_by(cause)
    })
}

/// Compiles `bytes` where `place` says and returns machine code in the engine's own format.
///
/// *Errors* – `plugin::compile` with the compiler's words when the component is refused,
/// `plugin::compile_limit` when the child ran out of memory or time.
pub(crate) fn compile(
    place: &CompileIn,
    name: &str,
    bytes: &[u8],
    scratch: &Path,
) -> Result<Vec<u8>> {
    match place {
        CompileIn::InProcess => in_process(bytes),
        CompileIn::Child(program) => in_child(program, name, bytes, scratch),
    }
}

fn in_process(bytes: &[u8]) -> Result<Vec<u8>> {
    engine::shared()?
        .precompile_component(bytes)
        .map_err(|cause| {
            Error::plugin(
                "plugin::compile",
                format!("the component cannot be compiled: {cause:#}"),
            )
            .help(REBUILD)
        })
}

fn in_child(program: &Path, name: &str, bytes: &[u8], scratch: &Path) -> Result<Vec<u8>> {
    let folder = tempfile::Builder::new()
        .prefix("compile-")
        .tempdir_in(scratch)
        .map_err(|cause| Error::io("create a folder in", scratch, cause))?;
    let (input, output) = (
        folder.path().join("in.wasm"),
        folder.path().join("out.cwasm"),
    );
    fs::write(&input, bytes).map_err(|cause| Error::io("write", &input, cause))?;
    let mut child = Command::new(program)
        .arg(SUBCOMMAND)
        .args([&input, &output])
        // The child needs no secrets, and what it does not get it cannot lose.
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| Error::io("start", program, cause))?;
    let (status, said) = wait(&mut child, name)?;
    if !status.success() {
        return Err(ended(name, status, &said));
    }
    fs::read(&output).map_err(|cause| Error::io("read", &output, cause))
}

/// Waits for the child, keeping the wall clock and the beginning of what it says.
fn wait(child: &mut Child, name: &str) -> Result<(ExitStatus, String)> {
    let stderr = child.stderr.take();
    let listener = std::thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr
                .by_ref()
                .take(CHILD_SAYS_BYTES)
                .read_to_end(&mut said);
            // Read on, so that a talkative child does not stop at a full pipe.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    });
    let deadline = Instant::now() + CHILD_WALL;
    let mut pause = Duration::from_millis(2);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(pause),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(limit(
                    name,
                    &format!("more than {} s", CHILD_WALL.as_secs()),
                ));
            }
            Err(cause) => {
                let _ = child.kill();
                return Err(Error::new(
                    Class::Infrastructure,
                    "plugin::compile",
                    "lost the compiling process",
                )
                .caused_by(cause));
            }
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    };
    Ok((status, listener.join().unwrap_or_default()))
}

fn ended(name: &str, status: ExitStatus, said: &str) -> Error {
    use std::os::unix::process::ExitStatusExt;
    // Killed by the kernel (SIGXCPU, SIGKILL), or aborted because an allocation failed (SIGABRT).
    if status.signal().is_some() {
        return limit(name, "more memory or processor time than it may have");
    }
    let refused = said
        .lines()
        .find_map(|line| line.split_once("cannot be compiled: "));
    let last = || said.lines().rev().find(|line| !line.trim().is_empty());
    let reason = refused
        .map(|(_, reason)| reason)
        .or_else(last)
        .unwrap_or("it gave no reason");
    Error::plugin(
        "plugin::compile",
        format!("`{name}` cannot be compiled: {}", reason.trim()),
    )
    .help(REBUILD)
}

fn limit(name: &str, what: &str) -> Error {
    Error::plugin("plugin::compile_limit", format!("compiling `{name}` took {what} and was stopped"))
        .help("a plugin is compiled once and then cached; one that is too big to compile is too big to trust")
}
