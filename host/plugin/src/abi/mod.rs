//! One folder per contract line; the ladder between them is one `match`, at load time.
//!
//! Everything above this module speaks of plugins, promises and batches; what a line's records
//! look like is known only below.

pub(crate) mod v0_1;

use dkhost_core::{Error, Result};

pub(crate) use v0_1::Loaded;

/// Links a compiled component to the host's side of its contract line.
pub(crate) fn link(
    name: &str,
    line: &str,
    component: &wasmtime::component::Component,
) -> Result<Loaded> {
    match line {
        "0.1" => Loaded::link(name, component),
        other => Err(Error::bug(format!(
            "contract line {other} was accepted and has no host side"
        ))),
    }
}
