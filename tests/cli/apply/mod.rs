//! `dkhost schema apply` on tables and files: what was there, in another version, and back.

mod applying;
mod edits;
mod mixed;
mod refusals;
mod stores;
