//! PostgreSQL as source and target.
//!
//! Rows move as binary COPY in both directions, decoded straight into columns and encoded straight
//! from them ([`copy`]). As a source it is a table, a view or a query read in one exported snapshot
//! ([`source`]); as a target a table whose rows, checkpoint and epoch are one transaction
//! ([`target`]). With `layout = "dataknobs"` either is a table of documents as `dataknobs-data`
//! keeps them.

mod backend;
mod catalog;
mod copy;
mod fault;
mod kind;
mod name;
mod server;
mod session;
mod source;
mod target;

pub use backend::PostgresBackend;
