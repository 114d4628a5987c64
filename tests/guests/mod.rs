//! Plugins that attack: one tiny module of WebAssembly text for each misdeed, and the proof that
//! none goes untested.
//!
//! [`foreach_guest`] is the list: the name of a file in `attacks/` and the code of the error it must
//! end with (`""`: it is held in check without one). The tests turn the list into a `use` of one
//! function for each name, so that a guest without a test does not compile; a test here compares the
//! list with the folder. A file holds what it replaces of `base.wat`, a plugin that behaves; the lines
//! `;; world: …`, `;; line: …` and `;; times N: …` are explained at [`Text`].

#![allow(dead_code)]

use std::fmt::Write;

use wit_parser::Resolve;

macro_rules! foreach_guest {
    ($each:ident) => {
        $each! {
            // Crashes.
            trap_in_apply => "plugin::trap",
            trap_in_open => "plugin::trap",
            trap_in_partition => "plugin::trap",
            trap_in_describe => "plugin::trap",
            trap_in_start => "plugin::trap",
            trap_in_post_return => "plugin::trap",
            trap_in_drop => "plugin::trap",
            deep_recursion => "plugin::trap",
            dies_on_bang => "plugin::trap",
            // Time.
            loop_in_apply => "plugin::out_of_time",
            loop_in_open => "plugin::out_of_time",
            loop_in_describe => "plugin::out_of_time",
            loop_in_start => "plugin::out_of_time",
            loop_in_realloc => "plugin::out_of_time",
            loop_in_post_return => "plugin::out_of_time",
            loop_of_calls => "plugin::out_of_time",
            late_answer => "plugin::out_of_time",
            log_flood_forever => "plugin::out_of_time",
            slow_to_compile => "plugin::compile_limit",
            // Memory.
            memory_bomb => "plugin::out_of_memory",
            memory_bomb_at_start => "plugin::out_of_memory",
            memory_bomb_touched => "plugin::out_of_memory",
            many_memories => "plugin::out_of_memory",
            table_bomb => "plugin::out_of_memory",
            many_tables => "plugin::out_of_memory",
            too_many_tables => "plugin::out_of_memory",
            leaks_and_logs => "",
            // Amounts.
            huge_row => "plugin::out_of_memory",
            one_buffer_many_times => "plugin::bad_output",
            expansion_bomb => "plugin::bad_output",
            null_bomb => "plugin::bad_output",
            too_many_rows => "plugin::bad_output",
            describes_a_million => "plugin::bad_output",
            // Words.
            log_flood => "",
            log_huge => "plugin::trap",
            log_escapes => "plugin::trap",
            counter_flood => "",
            counter_names => "",
            failure_of_ten_megabytes => "plugin::failed",
            failure_that_forges_lines => "plugin::failed",
            reject_of_ten_megabytes => "",
            reject_code_with_escapes => "",
            reject_without_code => "plugin::bad_output",
            name_with_controls => "plugin::bad_output",
            version_of_ten_megabytes => "plugin::bad_output",
            kind_of_ten_megabytes => "plugin::bad_output",
            request_of_ten_megabytes => "plugin::bad_output",
            column_called_by_escapes => "",
            rest_that_is_no_object => "plugin::bad_output",
            key_far_away => "",
            zone_that_is_none => "plugin::bad_output",
            column_name_with_controls => "plugin::bad_output",
            type_of_ten_megabytes => "plugin::bad_output",
            schema_without_end => "",
            schema_that_doubles => "plugin::bad_schema",
            schema_of_ten_megabytes => "plugin::bad_output",
            bad_utf8_in_a_word => "plugin::bad_output",
            // Pointers.
            bad_result_pointer => "plugin::bad_output",
            misaligned_result => "plugin::bad_output",
            over_long_result => "plugin::bad_output",
            bad_variant => "plugin::bad_output",
            realloc_beyond => "plugin::bad_output",
            realloc_misaligned => "plugin::bad_output",
            realloc_overlapping => "plugin::bad_output",
            // Columns.
            bad_utf8 => "plugin::bad_output",
            too_few_columns => "plugin::bad_output",
            too_many_columns => "plugin::bad_output",
            wrong_type => "plugin::bad_output",
            wrong_column_order => "plugin::bad_output",
            carries_a_column_that_is_not_there => "plugin::bad_output",
            offsets_backwards => "plugin::bad_output",
            offsets_negative => "plugin::bad_output",
            offsets_beyond => "plugin::bad_output",
            offsets_short => "plugin::bad_output",
            nulls_against_the_promise => "plugin::bad_output",
            // Promises.
            promise_of_one_name_twice => "plugin::bad_output",
            promise_without_a_name => "plugin::bad_output",
            promise_of_an_unknown_type => "plugin::bad_output",
            promise_to_read_beyond => "plugin::bad_output",
            promise_to_read_twice => "plugin::bad_output",
            promise_to_carry_beyond => "plugin::bad_output",
            promise_to_carry_as_another_type => "plugin::bad_output",
            promise_of_thousands_of_columns => "plugin::bad_output",
            asks_again_for_ever => "plugin::retry",
            // Rows.
            origin_unsorted => "plugin::bad_output",
            origin_out_of_range => "plugin::bad_output",
            origin_of_odd_bytes => "plugin::bad_output",
            origin_without_rows => "plugin::bad_output",
            selection_short => "plugin::bad_output",
            reject_out_of_range => "plugin::bad_output",
            reject_of_a_column_that_is_not_there => "plugin::bad_output",
            too_many_rejects => "plugin::bad_output",
            lies_in_company => "plugin::bad_output",
            verdict_short => "plugin::bad_output",
            verdict_rejects_beyond => "plugin::bad_output",
            blames_a_neighbour => "",
            drops_and_repeats => "",
            // Hidden state.
            hidden_state => "plugin::nondeterministic",
            hidden_state_in_the_rows => "plugin::nondeterministic",
            hidden_state_in_the_rejects => "plugin::nondeterministic",
            another_schema_in_the_run => "plugin::bad_output",
            // Migrations.
            migration_wrong_type => "plugin::bad_output",
            migration_wrong_rows => "plugin::bad_output",
            migration_hidden_state => "plugin::nondeterministic",
            migration_another_schema_in_the_run => "plugin::bad_output",
            migration_trap_in_steps => "plugin::trap",
            migration_trap_in_apply => "plugin::trap",
            migration_trap_on_the_way_down => "plugin::trap",
            migration_loop_in_steps => "plugin::out_of_time",
            migration_loop_in_apply => "plugin::out_of_time",
            migration_of_nobody => "plugin::bad_output",
            migration_backwards => "plugin::bad_output",
            migration_from_nowhere => "plugin::bad_output",
            migration_of_a_path => "plugin::bad_output",
            migration_in_bad_utf8 => "plugin::bad_output",
            migration_twice => "plugin::bad_output",
            migration_of_two_plugins => "plugin::bad_output",
            migration_by_the_thousand => "plugin::bad_output",
            migration_lossless_one_way => "plugin::bad_output",
            migration_one_way => "plugin::one_way",
            migration_that_changes => "plugin::nondeterministic",
            migration_loses_a_record => "",
            // The contract.
            unknown_import => "plugin::unknown_import",
            unknown_function => "plugin::unknown_import",
            wasi_stdout => "plugin::wasi_import",
            wasi_clock => "plugin::wasi_import",
            wasi_random => "plugin::wasi_import",
            wasi_environment => "plugin::wasi_import",
            wasi_sockets => "plugin::wasi_import",
            wasi_files => "plugin::wasi_import",
            too_new => "plugin::contract",
            core_module => "plugin::core_module",
            empty_component => "plugin::not_a_plugin",
            forged_handle => "plugin::bad_output",
            forged_handle_dropped => "plugin::bad_output",
            lookup_without_grant => "plugin::bad_output",
            describes_nothing => "plugin::bad_output",
        }
    };
}

/// The text of a good plugin with hooks.
const BASE: &str = include_str!("base.wat");

/// What it needs to be a migration.
const MIGRATION: &str = include_str!("migration.wat");

/// What an attack may define instead of these.
const DEFAULTS: &[(&str, &str)] = &[
    ("(memory $memory", "(memory $memory 2)"),
    ("(func $in_describe", "(func $in_describe)"),
    ("(func $in_open", "(func $in_open)"),
    ("(func $in_opened", "(func $in_opened (param $r i32))"),
    (
        "(func $in_apply",
        "(func $in_apply (param $rows i32) (param $columns i32))",
    ),
    (
        "(func $in_output",
        "(func $in_output (param $r i32) (param $rows i32))",
    ),
    (
        "(func $in_verdict",
        "(func $in_verdict (param $r i32) (param $rows i32))",
    ),
    ("(func $in_post", "(func $in_post)"),
    ("(func $in_steps", "(func $in_steps)"),
    (
        "(func $realloc",
        "(func $realloc (param i32 i32 i32 i32) (result i32) (call $alloc (local.get 3)))",
    ),
];

macro_rules! texts {
    ($($name:ident => $code:literal,)*) => {
        /// Name, text and the code of the error that must come of it.
        pub const GUESTS: &[(&str, &str, &str)] = &[
            $((stringify!($name), include_str!(concat!("attacks/", stringify!($name), ".wat")), $code),)*
        ];
    };
}
foreach_guest!(texts);

/// The component called `name`, ready to be loaded.
pub fn guest(name: &str) -> Vec<u8> {
    let (_, text, _) = GUESTS
        .iter()
        .find(|(known, ..)| *known == name)
        .unwrap_or_else(|| panic!("there is no guest `{name}`"));
    Text::read(text).component()
}

/// A guest that was edited after it was written: the text of `name` with `from` replaced.
pub fn varied(name: &str, from: &str, to: &str) -> Vec<u8> {
    let (_, text, _) = GUESTS.iter().find(|(known, ..)| *known == name).unwrap();
    assert!(text.contains(from), "`{name}` does not hold `{from}`");
    Text::read(&text.replace(from, to)).component()
}

/// A plugin that behaves.
pub fn good() -> Vec<u8> {
    Text::read("").component()
}

/// A migration that behaves: `user` 1.0.0 to 2.0.0, up and down.
pub fn good_migration() -> Vec<u8> {
    Text::read(";; migration").component()
}

/// An attack, read.
///
/// ```text
/// ;; world: import acme:db/query@1.0.0;   adds to the world, with packages before it
/// ;; package: package acme:db@1.0.0 { … }
/// ;; migration                            the base is a migration, by `migration.wat`
/// ;; line: 0.3.0                          the contract line instead of 0.1.0
/// ;; times 5000: local.get {i}            so many copies of the rest of the line, {i} counts from 1
/// (import …)                              imports go to the front
/// (component … or (module …               stands as it is, without the base
/// ```
struct Text {
    body: String,
    imports: String,
    world: String,
    packages: String,
    line: String,
    is_migration: bool,
}

impl Text {
    fn read(text: &str) -> Text {
        let mut read = Text {
            body: String::new(),
            imports: String::new(),
            world: String::new(),
            packages: String::new(),
            line: "0.1.0".into(),
            is_migration: false,
        };
        for line in text.lines() {
            if let Some(more) = line.strip_prefix(";; world: ") {
                read.world.push_str(more);
            } else if let Some(package) = line.strip_prefix(";; package: ") {
                read.packages.push_str(package);
            } else if line == ";; migration" {
                read.is_migration = true;
                read.world.push_str(" export migration;");
            } else if let Some(line) = line.strip_prefix(";; line: ") {
                read.line = line.into();
            } else if let Some(times) = line.trim_start().strip_prefix(";; times ") {
                let (times, what) = times.split_once(": ").expect(";; times N: …");
                let copies = 1..=times.parse::<u32>().unwrap();
                read.body
                    .extend(copies.map(|i| what.replace("{i}", &i.to_string()) + "\n"));
            } else if line.starts_with("(import ") {
                read.imports.push_str(line);
            } else {
                writeln!(read.body, "{line}").unwrap();
            }
        }
        read
    }

    fn component(&self) -> Vec<u8> {
        let bare = self
            .body
            .lines()
            .find(|line| !line.starts_with(";;") && !line.is_empty());
        if bare.is_some_and(|line| line.starts_with("(component") || line.starts_with("(module")) {
            return wat::parse_str(&self.body).unwrap();
        }
        let (resolve, world) = self.contract();
        let mut module = wat::parse_str(self.module()).unwrap_or_else(|e| panic!("{e}"));
        let utf8 = wit_component::StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut module, &resolve, world, utf8).unwrap();
        dkhost_plugin::build::componentize("attack", &module)
            .unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    fn module(&self) -> String {
        let missing: Vec<_> = DEFAULTS
            .iter()
            .filter(|(starts, _)| !defines(&self.body, starts))
            .map(|(_, default)| *default)
            .collect();
        let more = if self.is_migration { MIGRATION } else { "" };
        // Later data replaces earlier: the attack stands last.
        BASE.replace(";; IMPORTS", &self.imports)
            .replace(
                ";; ATTACK",
                &format!("{}\n{more}\n{}", missing.join("\n"), self.body),
            )
            .replace("@0.1.0", &format!("@{}", self.line))
    }

    fn contract(&self) -> (Resolve, wit_parser::WorldId) {
        let wit = dkhost_plugin::WIT_V0_1.replace("@0.1.0", &format!("@{}", self.line));
        let own = format!(
            "world attack {{ include base; export transform; export filter; {} }} {}",
            self.world, self.packages
        );
        let mut resolve = Resolve::default();
        let package = resolve
            .push_str("attack.wit", &format!("{wit}\n{own}"))
            .unwrap();
        let world = resolve.select_world(&[package], Some("attack")).unwrap();
        (resolve, world)
    }
}

/// Whether `body` has what begins with `starts`, and not only something with a longer name.
fn defines(body: &str, starts: &str) -> bool {
    body.match_indices(starts)
        .any(|(at, _)| body[at + starts.len()..].starts_with([' ', ')', '\n']))
}

#[test]
fn every_file_in_the_folder_is_in_the_list() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = [
        folder.join("tests/guests"),
        folder.join("../../tests/guests"),
    ]
    .into_iter()
    .find(|folder| folder.is_dir())
    .unwrap();
    let mut files: Vec<String> = std::fs::read_dir(folder.join("attacks"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    files.sort();
    let mut listed: Vec<_> = GUESTS.iter().map(|(name, ..)| *name).collect();
    listed.sort();
    assert_eq!(files, listed);
}
