//! The fuzz targets: bytes in, properties out. How they are driven is told in the crate's own doc.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod checkpoints;
mod csv;
mod dataknobs;
mod jobs;
mod json;
mod positions;
mod reading;
