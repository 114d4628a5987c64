//! dkhost-sdk
