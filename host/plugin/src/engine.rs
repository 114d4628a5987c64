//! The one WebAssembly engine of the process, and the clock that stops plugins that run too long.
//!
//! Everything that changes compiled code is decided here, because the same configuration compiles
//! in the child process and runs in the parent: both call [`shared`]. The compatibility hash of
//! this engine is part of a compiled plugin's name in the cache.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;
use std::time::Duration;

use dkhost_core::{Class, Error, Result};
use wasmtime::{Config, Engine};

/// How often a running plugin is asked whether its time is up. Shorter costs wake-ups, longer
/// makes `call_timeout_ms` coarse.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The version of wasmtime this host was built with; part of the cache key.
pub(crate) const WASMTIME: &str = "48.0";

/// The engine of this process, started on first use together with its ticker.
pub(crate) fn shared() -> Result<&'static Engine> {
    static ENGINE: OnceLock<std::result::Result<Engine, String>> = OnceLock::new();
    ENGINE.get_or_init(start).as_ref().map_err(|reason| {
        Error::new(
            Class::Infrastructure,
            "plugin::no_engine",
            format!("cannot start the WebAssembly engine: {reason}"),
        )
        .help("`dkhost doctor` shows what this machine lacks")
    })
}

/// What else must match before a compiled plugin may be loaded: configuration and CPU features.
pub(crate) fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

fn start() -> std::result::Result<Engine, String> {
    let engine = Engine::new(&configuration()).map_err(|cause| format!("{cause:#}"))?;
    let ticking = engine.weak();
    std::thread::Builder::new()
        .name("plugin-clock".into())
        .spawn(move || {
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map_err(|cause| cause.to_string())?;
    Ok(engine)
}

fn configuration() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        // 335 ns for each call, and nothing of ours is asynchronous.
        .concurrency_support(false)
        // The same batch must give the same bytes on every machine: replay and resume rest on it.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}
