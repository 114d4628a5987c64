//! dkhost-engine
