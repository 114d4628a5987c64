//! dkhost-file
