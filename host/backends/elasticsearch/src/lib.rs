//! Elasticsearch and OpenSearch as source and target.
//!
//! As a source it is an index, an alias, a data stream or a pattern, read in points in time
//! (`source`); as a target an index that takes documents in bulk, each with an outcome of its own
//! (`target`). With `layout = "dataknobs"` either is an index as `dataknobs-data` keeps it.
//! Requests go through `client`, the only part that names the crate `elasticsearch`; what a server
//! refuses becomes an error in `fault`.

mod backend;
mod client;
mod fault;
mod source;
mod target;
mod vectors;

pub use backend::ElasticsearchBackend;
