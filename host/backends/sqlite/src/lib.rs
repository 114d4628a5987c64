//! dkhost-sqlite
