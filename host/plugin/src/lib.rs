//! Loads, compiles, limits and runs plugins: the only crate that names wasmtime (invariant 2).
//!
//! ```text
//! Component::load   size cap → digest → contract → compile in a limited child, cached → describe, steps
//! Component::bind   choose the plugin → grants → config schema → open on a throw-away instance
//! Step::open        one instance for each partition
//! Stage::apply      columns the plugin reads → plugin → verified columns, rows, rejects
//! ```
//!
//! To the engine a bound plugin is a [`dkhost_core::Step`] like any other. What the plugin returns
//! is input, not truth (invariant 8): see `abi/v0_1`. [`build`], [`new`] and [`golden`] are the
//! commands of plugin authors.

pub mod build;
pub mod golden;
pub mod new;

mod abi;
mod cache;
mod compile;
mod component;
mod config;
mod contract;
mod descriptor;
mod diff;
mod engine;
mod limits;
mod log;
mod migration;
mod shape;

pub use compile::{CompileIn, CompileLimits, SUBCOMMAND, compile_child};
pub use component::{Component, Inspection, LoadOptions, StageSpec};
pub use contract::{Contract, LINES, WIT_V0_1};
pub use descriptor::{Descriptor, Kind};
pub use limits::{Limits, size};
pub use log::{Level, LogLine, LogSink, MESSAGE_MAX};
pub use migration::{Direction, Migration};
