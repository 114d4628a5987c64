//! Compiles a component to machine code in a child process that can be killed.
//!
//! Compiling hostile bytes can cost any amount of time and memory, and the compiler's authors do
//! not call that a vulnerability. So the host starts itself again (`dkhost compile-plugin IN OUT`),
//! the child lowers its own limits before it looks at the bytes ([`compile_child`]), and the parent
//! keeps the wall clock and lowers them further if it was told to. What the child writes is loaded
//! by nobody until it has ended well, and a child whose parent is gone ends with it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use dkhost_core::{Class, Error, Result};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, prlimit, set_parent_process_death_signal, setrlimit,
};

use crate::engine;
use crate::log::in_an_error;

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

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Memory of the child that it can write to.
    pub memory_bytes: u64,
    /// CPU time of the child, whole seconds, all threads together.
    pub cpu_seconds: u64,
    /// Wall clock of the child.
    pub wall: Duration,
    /// Machine code it may write.
    pub output_bytes: u64,
}

impl Default for CompileLimits {
    /// Room for an 18 MB Python component, which takes 12 s and less than half of this memory.
    fn default() -> Self {
        CompileLimits {
            memory_bytes: 2 << 30,
            cpu_seconds: 180,
            wall: Duration::from_secs(240),
            output_bytes: 512 << 20,
        }
    }
}

/// Address space of the child: most of it is reserved and never touched.
const CHILD_ADDRESSES_BYTES: u64 = 6 << 30;
/// Threads of the child. Each holds a function under way, so more of them take more memory.
const CHILD_THREADS: &str = "4";
const REBUILD: &str = "build it again; if it was built with another tool than `dkhost plugin build`, check its wasm features";
/// How much of what the child says on stderr is kept.
const CHILD_SAYS_BYTES: u64 = 4096;

/// The child's side: lowers its own limits, compiles the component at `input`, writes `output`.
pub fn compile_child(input: &Path, output: &Path) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(unlimited)?;
    let limits = CompileLimits::default();
    lower(Resource::As, CHILD_ADDRESSES_BYTES)?;
    lower(Resource::Data, limits.memory_bytes)?;
    lower(Resource::Cpu, limits.cpu_seconds)?;
    lower(Resource::Fsize, limits.output_bytes)?;
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
    setrlimit(resource, wanted).map_err(unlimited)
}

fn unlimited(cause: rustix::io::Errno) -> Error {
    Error::infrastructure(
        "plugin::no_limits",
        "cannot limit the process that compiles plugins",
    )
    .caused_by(cause)
}

/// The parent's side of the limits: only ever lower than what the child sets itself.
fn lower_for(child: &Child, limits: &CompileLimits) -> Result<()> {
    let default = CompileLimits::default();
    let pid = Pid::from_child(child);
    for (resource, to, already) in [
        (Resource::Data, limits.memory_bytes, default.memory_bytes),
        (Resource::Cpu, limits.cpu_seconds, default.cpu_seconds),
        (Resource::Fsize, limits.output_bytes, default.output_bytes),
    ] {
        if to >= already {
            continue;
        }
        let wanted = Rlimit {
            current: Some(to),
            maximum: Some(to),
        };
        match prlimit(Some(pid), resource, wanted) {
            // It has ended already.
            Ok(_) | Err(rustix::io::Errno::SRCH) => {}
            Err(cause) => return Err(unlimited(cause)),
        }
    }
    Ok(())
}

/// Compiles `bytes` where `place` says and returns machine code in the engine's own format.
///
/// *Errors* – `plugin::compile` with the compiler's words when the component is refused,
/// `plugin::compile_limit` when the child ran out of memory or time.
pub(crate) fn compile(
    place: &CompileIn,
    limits: &CompileLimits,
    name: &str,
    bytes: &[u8],
    scratch: &Path,
) -> Result<Vec<u8>> {
    match place {
        CompileIn::InProcess => in_process(bytes),
        CompileIn::Child(program) => in_child(program, limits, name, bytes, scratch),
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

fn in_child(
    program: &Path,
    limits: &CompileLimits,
    name: &str,
    bytes: &[u8],
    scratch: &Path,
) -> Result<Vec<u8>> {
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
        .env("RAYON_NUM_THREADS", CHILD_THREADS)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| Error::io("start", program, cause))?;
    let limited = lower_for(&child, limits);
    let (status, said) = wait(&mut child, name, limited.map(|()| limits.wall))?;
    if !status.success() {
        return Err(ended(name, status, &said));
    }
    fs::read(&output).map_err(|cause| Error::io("read", &output, cause))
}

/// Waits for the child, keeping the wall clock and the beginning of what it says.
fn wait(child: &mut Child, name: &str, wall: Result<Duration>) -> Result<(ExitStatus, String)> {
    let wall = match wall {
        Ok(wall) => wall,
        Err(error) => {
            end(child);
            return Err(error);
        }
    };
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
    let deadline = Instant::now() + wall;
    let mut pause = Duration::from_millis(2);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(pause),
            Ok(None) => {
                end(child);
                return Err(limit(name, &format!("more than {} s", wall.as_secs_f64())));
            }
            Err(cause) => {
                end(child);
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

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn ended(name: &str, status: ExitStatus, said: &str) -> Error {
    use std::os::unix::process::ExitStatusExt;
    // Killed by the kernel (SIGXCPU, SIGXFSZ, SIGKILL), or aborted because an allocation failed
    // (SIGABRT); mapping memory and writing a file fail in words.
    let in_words = [
        "memory allocation",
        "Cannot allocate memory",
        "File too large",
    ];
    if status.signal().is_some() || in_words.iter().any(|words| said.contains(words)) {
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
        format!("`{name}` cannot be compiled: {}", in_an_error(reason)),
    )
    .help(REBUILD)
}

fn limit(name: &str, what: &str) -> Error {
    Error::plugin("plugin::compile_limit", format!("compiling `{name}` took {what} and was stopped"))
        .help("a plugin is compiled once and then cached; one that is too big to compile is too big to trust")
}
