//! The contract's types, generated from `wit/v0.1`; plugins see the friendlier ones around them.

#[allow(unsafe_code, missing_docs, unused_qualifications, clippy::all)]
mod generated {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        inline: "
            package dkhost:sdk;
            world sdk {
                import dkhost:plugin/types@0.1.0;
                import dkhost:plugin/columnar@0.1.0;
                import dkhost:plugin/log@0.1.0;
                import dkhost:plugin/counters@0.1.0;
                import dkhost:plugin/lookup@0.1.0;
            }
        ",
        generate_all,
        generate_unused_types: true,
    });
}

pub use generated::dkhost::plugin::{columnar, counters, log, lookup, types};
