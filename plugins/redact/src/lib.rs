//! `redact`: one component, two plugins.
//!
//! * [`mask::Redact`] (`redact`, a transformer) masks personal data in the columns it is told, or
//!   finds it in every text column.
//! * [`filter::WithoutPersonalData`] (`without-personal-data`, a filter) leaves out the records
//!   that hold some.

mod filter;
mod find;
mod mask;

use filter::WithoutPersonalData;
use mask::Redact;

dkhost_sdk::export! {
    transformers: [Redact],
    filters: [WithoutPersonalData],
}
