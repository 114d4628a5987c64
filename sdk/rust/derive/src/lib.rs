//! dkhost-sdk-derive
