//! Components that do not fit the contract, or reach for what nobody gave them.

each! {
    unknown_import: "imports the `acme:db/query@1.0.0`, which dkhost does not offer",
    unknown_function: "imports the function `shell`, which dkhost does not offer",
    wasi_stdout: "imports `wasi:cli/stdout@0.2.3`, and a plugin has no access to the system",
    wasi_clock: "imports `wasi:clocks/wall-clock@0.2.3`",
    wasi_random: "imports `wasi:random/random@0.2.3`",
    wasi_environment: "imports `wasi:cli/environment@0.2.3`",
    wasi_sockets: "imports `wasi:sockets/tcp@0.2.3`",
    wasi_files: "imports `wasi:filesystem/types@0.2.3`",
    too_new: "is built for contract line 0.3 (`log`), and this dkhost speaks 0.1",
    core_module: "is a core WebAssembly module, not a component",
    empty_component: "does not export `dkhost:plugin/plugin`",

    forged_handle: "what is no value of the contract (unknown handle index 1)",
    forged_handle_dropped: "what is no value of the contract (unknown handle index 7)",
    lookup_without_grant: "what is no value of the contract (unknown handle index",

    bad_result_pointer: "what is no value of the contract (list pointer/length out of bounds of memory)",
    misaligned_result: "what is no value of the contract (list pointer is not aligned)",
    over_long_result: "what is no value of the contract (list pointer/length out of bounds of memory)",
    bad_variant: "what is no value of the contract (unexpected discriminant: 77)",
    realloc_beyond: "what is no value of the contract (realloc return: beyond end of memory)",
    realloc_misaligned: "what is no value of the contract (realloc return: result not aligned)",
    realloc_overlapping: "what is no value of the contract",
}
