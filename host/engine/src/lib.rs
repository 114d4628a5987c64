//! From a job file to a finished run: job → plan → run.
//!
//! The engine knows backends and plugins only through the traits of `dkhost-core`, as its caller
//! registers them in a [`Registry`]; it cannot tell a plugin from a built-in step (invariant 2).
//! It neither prints, nor reads the environment, nor exits (invariant 4): progress is counted in
//! [`run::Progress`], variables come in through [`job::Variables`].

pub mod apply;
pub mod dead_letters;
pub mod drift;
pub mod expr;
pub mod history;
pub mod job;
pub mod plan;
pub mod preview;
pub mod registry;
pub mod run;
pub mod steps;
pub mod trial;
pub mod validate;
pub mod verify;

pub use history::History;
pub use job::Job;
pub use plan::Plan;
pub use registry::{PluginLoader, Registry};
pub use run::{Report, RunOptions};
