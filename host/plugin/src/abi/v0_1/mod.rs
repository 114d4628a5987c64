//! The host's side of contract line 0.1: from Arrow to the plugin and back, nothing believed.
//!
//! | file | does |
//! |---|---|
//! | `guest` | one instance in its Store: limits, imports, calls, what a failed call means |
//! | `promise` | what `open` promised: schema, columns read, columns carried |
//! | `send` | Arrow columns → the contract's buffers |
//! | `receive`, `text` | buffers → Arrow columns, verified |
//! | `rows` | the batch that goes on: carried and computed columns together |
//! | `kept`, `refused` | which rows go on, and the refused ones |
//! | `room` | how much an answer may grow into |
//! | `step` | a plugin bound to a schema in a plan |
//! | `stage` | a plugin at work in one partition |

#[cfg(test)]
mod fuzzed;
mod guest;
mod imports;
mod kept;
mod promise;
mod receive;
mod refused;
mod room;
mod rows;
mod send;
mod stage;
mod step;
mod text;

pub(crate) use guest::Loaded;
pub(crate) use step::{Binding, PluginStep};

/// Generated from `wit/v0.1`. One world with every interface, so that all stages share the types;
/// what a component really exports is asked for interface by interface.
#[allow(unsafe_code, missing_docs, unused_qualifications, clippy::all)]
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        inline: "
            package dkhost:host;
            world every {
                import dkhost:plugin/log@0.1.0;
                import dkhost:plugin/counters@0.1.0;
                import dkhost:plugin/lookup@0.1.0;
                export dkhost:plugin/plugin@0.1.0;
                export dkhost:plugin/transform@0.1.0;
                export dkhost:plugin/filter@0.1.0;
                export dkhost:plugin/migration@0.1.0;
            }
        ",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: { default: trappable },
    });
}
