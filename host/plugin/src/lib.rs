//! dkhost-plugin
