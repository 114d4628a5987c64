//! Decides from a component's bytes alone whether this host can run it, before anything is compiled.
//!
//! A component carries its own interface: imports, exports and the shape of every record. We
//! compare them with the lines in `wit/` that this host speaks, so that a plugin that is too new,
//! that asks for the operating system, or that is no component at all is told so in those words
//! and within milliseconds. Left to the engine the message would be "expected record of 4 fields,
//! found 5 fields", after up to twelve seconds of compiling.

use dkhost_core::{Error, Result};
use semver::Version;
use wit_component::DecodedWasm;
use wit_parser::{Interface, Resolve, WorldItem, WorldKey};

use crate::log::in_an_error;
use crate::shape;

/// The text of the line this host speaks.
pub const WIT_V0_1: &str = include_str!("../../../wit/v0.1/dkhost-plugin.wit");

/// The lines this host speaks, newest last.
pub const LINES: [&str; 1] = ["0.1"];

const PACKAGE: &str = "dkhost:plugin";
/// What a plugin may import; `types` and `columnar` hold no functions.
const IMPORTS: [&str; 5] = ["types", "columnar", "log", "counters", "lookup"];
/// What a plugin may export for the host to call.
const EXPORTS: [&str; 4] = ["plugin", "transform", "filter", "migration"];

/// What a component says about itself, as far as it can be read without running it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Contract {
    /// The contract line: `0.1`.
    pub line: String,
    /// Interfaces it imports: `dkhost:plugin/log@0.1.0`.
    pub imports: Vec<String>,
    /// Interfaces it exports: `dkhost:plugin/transform@0.1.0`.
    pub exports: Vec<String>,
}

impl Contract {
    /// Reads and checks the interface of a component.
    ///
    /// *Errors* – each names the import, export or version that is wrong and what to do:
    /// `plugin::not_wasm`, `plugin::core_module`, `plugin::malformed`, `plugin::not_a_plugin`,
    /// `plugin::contract`, `plugin::wasi_import`, `plugin::unknown_import`.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Contract> {
        check_header(name, bytes)?;
        let decoded = wit_component::decode(bytes).map_err(|cause| {
            Error::plugin(
                "plugin::malformed",
                format!("`{name}` is not a valid component"),
            )
            .caused_by(std::io::Error::other(in_an_error(&format!("{cause:#}"))))
            .help("build it again with `dkhost plugin build DIR`")
        })?;
        let DecodedWasm::Component(resolve, world) = decoded else {
            return Err(not_a_plugin(name, "is a WIT package, not a component"));
        };
        let ours = shape::line(WIT_V0_1)?;
        let world = &resolve.worlds[world];
        let mut contract = Contract {
            line: LINES[0].to_owned(),
            imports: Vec::new(),
            exports: Vec::new(),
        };
        for (key, item) in &world.imports {
            let full = resolve.name_world_key(key);
            check_import(name, &resolve, item, &full)?;
            if let Some(interface) = interface_of(&resolve, key, item) {
                check_shape(name, &resolve, interface, &ours, &full)?;
            }
            contract.imports.push(full);
        }
        for (key, item) in &world.exports {
            let full = resolve.name_world_key(key);
            if let Some(interface) = interface_of(&resolve, key, item) {
                check_export(name, &resolve, interface, &ours, &full)?;
            }
            contract.exports.push(full);
        }
        check_world(name, &contract)?;
        Ok(contract)
    }

    /// Whether it exports this interface of the contract: `transform`.
    pub fn serves(&self, interface: &str) -> bool {
        let prefix = format!("{PACKAGE}/{interface}@");
        self.exports
            .iter()
            .any(|export| export.starts_with(&prefix))
    }

    /// The worlds of `wit/` whose exports it has: `transformer`, `record-filter`.
    pub fn worlds(&self) -> Vec<&'static str> {
        [
            ("transform", "transformer"),
            ("filter", "record-filter"),
            ("migration", "schema-migration"),
        ]
        .into_iter()
        .filter(|(interface, _)| self.serves(interface))
        .map(|(_, world)| world)
        .collect()
    }
}

fn check_header(name: &str, bytes: &[u8]) -> Result<()> {
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => Err(Error::plugin(
            "plugin::core_module",
            format!("`{name}` is a core WebAssembly module, not a component"),
        )
        .help("`dkhost plugin build DIR` makes a component of a plugin's source folder")),
        _ => Err(
            Error::plugin("plugin::not_wasm", format!("`{name}` is not WebAssembly"))
                .help("give the path of a component, as `dkhost plugin build DIR` writes it"),
        ),
    }
}

fn interface_of<'a>(
    resolve: &'a Resolve,
    key: &WorldKey,
    item: &WorldItem,
) -> Option<&'a Interface> {
    match (key, item) {
        (WorldKey::Interface(id), _) => Some(&resolve.interfaces[*id]),
        (_, WorldItem::Interface { id, .. }) => Some(&resolve.interfaces[*id]),
        _ => None,
    }
}

fn check_import(name: &str, resolve: &Resolve, item: &WorldItem, full: &str) -> Result<()> {
    // A name may be as long as the component.
    let shown = in_an_error(full);
    if full.starts_with("wasi:") {
        return Err(Error::plugin(
            "plugin::wasi_import",
            format!("`{name}` imports `{shown}`, and a plugin has no access to the system"),
        )
        .help(
            "build it without WASI: for Rust the target is wasm32-unknown-unknown, and \
             `dkhost plugin build DIR` does the rest; in other languages stub WASI out",
        ));
    }
    let (package, interface, version) = split(full);
    if package != PACKAGE {
        let kind = match item {
            WorldItem::Function(_) => "function ",
            _ => "",
        };
        return Err(Error::plugin(
            "plugin::unknown_import",
            format!("`{name}` imports the {kind}`{shown}`, which dkhost does not offer"),
        )
        .help(format!(
            "a plugin may import {}",
            IMPORTS.map(|i| format!("{PACKAGE}/{i}")).join(", ")
        )));
    }
    check_line(name, interface, version)?;
    if IMPORTS.contains(&interface) {
        return Ok(());
    }
    let _ = resolve;
    Err(Error::plugin(
        "plugin::unknown_import",
        format!("`{name}` imports `{shown}`, which this dkhost does not offer"),
    )
    .help("update dkhost, or build the plugin with an older SDK"))
}

fn check_export(
    name: &str,
    resolve: &Resolve,
    interface: &Interface,
    ours: &Resolve,
    full: &str,
) -> Result<()> {
    let (package, short, version) = split(full);
    if package != PACKAGE {
        // A plugin may offer more to others; we only call what we know.
        return Ok(());
    }
    check_line(name, short, version)?;
    check_shape(name, resolve, interface, ours, full)
}

/// The line a version belongs to: `0.1` for 0.1.7, `2` for 2.3.1.
fn line_of(version: &Version) -> String {
    if version.major == 0 {
        format!("0.{}", version.minor)
    } else {
        version.major.to_string()
    }
}

fn check_line(name: &str, interface: &str, version: Option<Version>) -> Result<()> {
    let line = version.as_ref().map(line_of);
    if line.as_deref().is_some_and(|line| LINES.contains(&line)) {
        return Ok(());
    }
    let built_for = line.map_or("no contract line at all".into(), |line| {
        format!("contract line {line}")
    });
    Err(Error::plugin(
        "plugin::contract",
        format!(
            "`{name}` is built for {built_for} (`{}`), and this dkhost speaks {}",
            in_an_error(interface),
            LINES.join(", ")
        ),
    )
    .help("update dkhost, or build the plugin with the SDK of a line that this dkhost speaks"))
}

/// Compares what both sides have; a newer patch of the line may add imports and exports.
fn check_shape(
    name: &str,
    resolve: &Resolve,
    theirs: &Interface,
    ours: &Resolve,
    full: &str,
) -> Result<()> {
    let (_, short, _) = split(full);
    let Some(known) = shape::interface(ours, short) else {
        return Ok(());
    };
    shape::compare((ours, &ours.interfaces[known]), (resolve, theirs)).map_err(|difference| {
        Error::plugin(
            "plugin::contract",
            format!(
                "`{name}` was built for another draft of `{}`: {}",
                in_an_error(full),
                in_an_error(&difference)
            ),
        )
        .help("build the plugin again with the SDK that belongs to this dkhost")
    })
}

fn check_world(name: &str, contract: &Contract) -> Result<()> {
    if !contract.serves("plugin") {
        return Err(not_a_plugin(name, "does not export `dkhost:plugin/plugin`"));
    }
    if contract.worlds().is_empty() {
        return Err(not_a_plugin(
            name,
            &format!("exports none of {}", EXPORTS[1..].join(", ")),
        ));
    }
    Ok(())
}

fn not_a_plugin(name: &str, why: &str) -> Error {
    Error::plugin("plugin::not_a_plugin", format!("`{name}` {why}"))
        .help("`dkhost plugin new NAME` starts a plugin; `dkhost plugin build DIR` builds it")
}

/// `dkhost:plugin/log@0.1.0` → package, interface, version.
fn split(full: &str) -> (&str, &str, Option<Version>) {
    let (path, version) = match full.split_once('@') {
        Some((path, version)) => (path, Version::parse(version).ok()),
        None => (full, None),
    };
    let (package, interface) = path.split_once('/').unwrap_or(("", path));
    (package, interface, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8], code: &str, says: &str) {
        let error = Contract::read("x.wasm", bytes).expect_err(says);
        assert_eq!(error.code(), code, "{}", error.chain());
        assert!(error.chain().contains(says), "{}", error.chain());
        assert!(error.help_text().is_some());
    }

    fn component(text: &str) -> Vec<u8> {
        wat::parse_str(format!("(component {text})")).unwrap()
    }

    /// A component that imports and exports nothing but the shape of `wit`'s world `w`.
    fn of_world(wit: &str) -> Vec<u8> {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("test.wit", wit).unwrap();
        let world = resolve.select_world(&[package], Some("w")).unwrap();
        // Core exports as the world needs them, with bodies that trap.
        let mut module = String::from(
            r#"(module (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)"#,
        );
        for (key, item) in &resolve.worlds[world].exports {
            let Some(interface) = interface_of(&resolve, key, item) else {
                continue;
            };
            for function in interface.functions.values() {
                let name = function
                    .core_export_name(
                        Some(&resolve.name_world_key(key)),
                        wit_parser::Mangling::Legacy,
                    )
                    .into_owned();
                let signature =
                    resolve.wasm_signature(wit_parser::abi::AbiVariant::GuestExport, function);
                let word = |t: &wit_parser::abi::WasmType| match t {
                    wit_parser::abi::WasmType::I64 => "i64",
                    _ => "i32",
                };
                let params: Vec<_> = signature.params.iter().map(word).collect();
                let results: Vec<_> = signature.results.iter().map(word).collect();
                module.push_str(&format!(
                    "(func (export \"{name}\") (param {}) (result {}) unreachable)",
                    params.join(" "),
                    results.join(" ")
                ));
            }
        }
        module.push(')');
        let mut module = wat::parse_str(module).unwrap();
        wit_component::embed_component_metadata(
            &mut module,
            &resolve,
            world,
            wit_component::StringEncoding::UTF8,
        )
        .unwrap();
        crate::build::componentize("x", &module).unwrap()
    }

    const EXPORTS_ALL: &str = "world w { export plugin; export transform; export filter; }";

    #[test]
    fn a_plugin_of_our_line_is_accepted() {
        let contract =
            Contract::read("x.wasm", &of_world(&format!("{WIT_V0_1} {EXPORTS_ALL}"))).unwrap();
        assert_eq!(contract.line, "0.1");
        assert_eq!(contract.worlds(), ["transformer", "record-filter"]);
    }

    #[test]
    fn what_is_no_component_is_told_what_it_is() {
        refused(b"", "plugin::not_wasm", "is not WebAssembly");
        refused(b"#!/bin/sh\necho", "plugin::not_wasm", "is not WebAssembly");
        refused(
            &wat::parse_str("(module)").unwrap(),
            "plugin::core_module",
            "a core WebAssembly module",
        );
        refused(
            &component("")[..8],
            "plugin::not_a_plugin",
            "does not export `dkhost:plugin/plugin`",
        );
        let mut torn = component(r#"(import "a" (func))"#);
        torn.truncate(torn.len() - 1);
        refused(&torn, "plugin::malformed", "not a valid component");
    }

    #[test]
    fn imports_we_do_not_offer_are_named() {
        refused(
            &component(r#"(import "wasi:cli/environment@0.2.3" (instance))"#),
            "plugin::wasi_import",
            "imports `wasi:cli/environment@0.2.3`",
        );
        refused(
            &component(r#"(import "acme:db/query@1.0.0" (instance))"#),
            "plugin::unknown_import",
            "`acme:db/query@1.0.0`",
        );
        refused(
            &component(r#"(import "run" (func))"#),
            "plugin::unknown_import",
            "the function `run`",
        );
        refused(
            &component(r#"(import "dkhost:plugin/dreams@0.1.4" (instance))"#),
            "plugin::unknown_import",
            "`dkhost:plugin/dreams@0.1.4`",
        );
        refused(
            &component(r#"(import "dkhost:plugin/log@0.1.9" (instance (export "shout" (func))))"#),
            "plugin::contract",
            "it needs the function `shout`",
        );
    }

    #[test]
    fn a_name_as_long_as_the_component_is_not_repeated_whole() {
        let long = "a".repeat(90_000);
        for text in [
            format!("(import \"dkhost:plugin/{long}@0.1.0\" (instance))"),
            format!("(import \"acme:{long}/query@1.0.0\" (instance))"),
            format!("(import \"wasi:{long}/clock@0.2.0\" (instance))"),
            format!("(import \"dkhost:plugin/{long}@0.9.0\" (instance))"),
            format!("(import \"dkhost:plugin/log@0.1.0\" (instance (export \"{long}\" (func))))"),
        ] {
            let error = Contract::read("x.wasm", &component(&text)).unwrap_err();
            assert!(error.chain().len() < 1500, "{} bytes", error.chain().len());
        }
    }

    #[test]
    fn a_plugin_that_is_too_new_is_told_both_lines() {
        let newer = WIT_V0_1.replace("dkhost:plugin@0.1.0", "dkhost:plugin@0.3.0");
        let text = "built for contract line 0.3 (`transform`), and this dkhost speaks 0.1";
        let bytes = of_world(&format!("{newer} world w {{ export transform; }}"));
        refused(&bytes, "plugin::contract", "built for contract line 0.3");
        assert!(
            Contract::read("x.wasm", &bytes)
                .unwrap_err()
                .chain()
                .contains(&text[..30])
        );
        // A newer patch of our line is no reason to refuse.
        let patch = WIT_V0_1.replace("dkhost:plugin@0.1.0", "dkhost:plugin@0.1.7");
        Contract::read("x.wasm", &of_world(&format!("{patch} {EXPORTS_ALL}"))).unwrap();
    }

    #[test]
    fn another_draft_of_a_record_is_named_field_by_field() {
        let draft = WIT_V0_1.replacen("    carries: list<tuple<u32, u32>>,\n", "", 1);
        assert_ne!(draft, WIT_V0_1);
        refused(
            &of_world(&format!("{draft} {EXPORTS_ALL}")),
            "plugin::contract",
            "`open`: `opened` has the fields output, reads, extra there and output, reads, carries, extra here",
        );
    }

    #[test]
    fn a_component_that_serves_nothing_is_no_plugin() {
        refused(
            &of_world(&format!("{WIT_V0_1} world w {{ export plugin; }}")),
            "plugin::not_a_plugin",
            "exports none of transform, filter, migration",
        );
    }

    #[test]
    fn every_line_stands_in_the_table_and_a_frozen_one_has_not_changed() {
        use sha2::{Digest, Sha256};
        let table = include_str!("../../../wit/README.md");
        for (line, wit) in LINES.into_iter().zip([WIT_V0_1]) {
            let start = format!("| {line} |");
            let row = table
                .lines()
                .find(|row| row.starts_with(&start))
                .expect("a row for each line");
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            assert_eq!(cells[2], format!("`v{line}/dkhost-plugin.wit`"));
            let hash: String = Sha256::digest(wit)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let is_draft = cells[3].starts_with("draft") && cells[4] == "–";
            assert!(
                is_draft || cells[4].trim_matches('`') == hash,
                "line {line} is frozen and was edited: {hash}"
            );
        }
    }
}
