//! What a source file must not say. The checks read text, not syntax: a word in a comment is free,
//! a word in code is not.

use super::Tracked;

/// Words that speak to the world outside, and the invariant they break anywhere but in the cli.
const SPEAKS: [&str; 11] = [
    "println!(",
    "eprintln!(",
    "print!(",
    "eprint!(",
    "dbg!(",
    "std::env",
    "env::var",
    "process::exit",
    "process::abort",
    "io::stdout",
    "io::stderr",
];

/// Places outside the cli where one of these words is right, each with its reason.
const MAY_SPEAK: [(&str, &str); 0] = [];

const CORE_REACHES: [&str; 11] = [
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "File::",
    "OpenOptions",
    "Instant",
    "SystemTime",
    "Utc::now",
    "Local::now",
];

/// Invariant 4: only the cli prints, reads the environment or exits.
pub fn speaks(file: &Tracked) -> Vec<String> {
    if !is_product(file) || file.path.starts_with("host/cli/") {
        return Vec::new();
    }
    let excused = |word: &str| {
        MAY_SPEAK
            .iter()
            .any(|(path, w)| *path == file.path && *w == word)
    };
    let words = SPEAKS.iter().filter(|word| !excused(word));
    found(
        file,
        words.copied(),
        "only the cli prints, reads the environment or exits",
    )
}

/// Invariant 1: core reaches no file, socket, clock or runtime.
pub fn core_reaches_out(file: &Tracked) -> Vec<String> {
    if !is_product(file) || !file.path.starts_with("host/core/") {
        return Vec::new();
    }
    found(
        file,
        CORE_REACHES.into_iter(),
        "core reaches no file, socket, clock or thread",
    )
}

/// Code that says it is not done, and tests that do not run.
pub fn unfinished(file: &Tracked) -> Vec<String> {
    if !file.path.ends_with(".rs") {
        return Vec::new();
    }
    // Put together here, or this file would complain about itself.
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
        concat!("assert!(tr", "ue)"),
        concat!("FIX", "ME"),
    ];
    let lines = file.text.lines().enumerate();
    let said = lines.filter(|(_, line)| words.iter().any(|word| line.contains(word)));
    said.map(|(i, line)| format!("{}:{}: unfinished: {}", file.path, i + 1, line.trim()))
        .collect()
}

/// Every source file of ours begins with a module doc. Unit tests in `src/` belong to the file
/// whose `mod tests;` names them, and their names are the reasons.
pub fn without_reason(file: &Tracked) -> Vec<String> {
    let beside_its_unit = file
        .path
        .rsplit_once("/src/")
        .is_some_and(|(_, path)| path.ends_with("tests.rs") || path.contains("tests/"));
    let needs_one = file.path.ends_with(".rs") && !beside_its_unit;
    match needs_one && !file.text.trim_start().starts_with("//!") {
        true => vec![format!(
            "{}: opens without a `//!` that says why the file exists",
            file.path
        )],
        false => Vec::new(),
    }
}

/// Paths of one machine and hosts of registries: others have neither.
pub fn belongs_to_one_machine(file: &Tracked) -> Vec<String> {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/fa", "rm/"),
        concat!("C:\\Us", "ers\\"),
        concat!("registry.npm", "js.org"),
        concat!("pythonho", "sted.org"),
        concat!("pypi", ".org"),
        concat!("static.crates", ".io"),
        concat!("index.crates", ".io"),
        concat!("proxy.gol", "ang.org"),
        concat!("repo1.ma", "ven"),
        concat!("deb.deb", "ian.org"),
    ];
    let lines = file.text.lines().enumerate();
    let said = lines
        .filter(|(_, line)| words.iter().any(|word| line.contains(word)) || names_a_home(line));
    said.map(|(i, line)| {
        format!(
            "{}:{}: belongs to one machine: {}",
            file.path,
            i + 1,
            line.trim()
        )
    })
    .collect()
}

/// A folder below the one where people live, spelled out.
fn names_a_home(line: &str) -> bool {
    let mut rest = line;
    while let Some((_, after)) = rest.split_once(concat!("/ho", "me/")) {
        if after.split('/').next().is_some_and(|name| {
            after.len() > name.len()
                && !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase())
        }) {
            return true;
        }
        rest = after;
    }
    false
}

/// Code that runs for users: the host without its tests.
fn is_product(file: &Tracked) -> bool {
    let path = &file.path;
    let is_test =
        path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs");
    path.starts_with("host/")
        && path.ends_with(".rs")
        && !is_test
        && !path.ends_with("/conformance.rs")
}

/// Where the words stand in code, up to the file's test module.
fn found<'a>(
    file: &Tracked,
    words: impl Iterator<Item = &'a str> + Clone,
    rule: &str,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for (i, line) in before_tests(&file.text).lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        for word in words.clone().filter(|word| says(line, word)) {
            complaints.push(format!("{}:{}: `{word}`: {rule}", file.path, i + 1));
        }
    }
    complaints
}

/// The text before an inline test module; `mod tests;` alone ends nothing.
fn before_tests(text: &str) -> &str {
    let inline = |at: &usize| {
        text[*at..]
            .lines()
            .nth(1)
            .is_some_and(|line| line.contains('{'))
    };
    let starts = text.match_indices("#[cfg(test)]\nmod ").map(|(at, _)| at);
    &text[..starts.into_iter().find(inline).unwrap_or(text.len())]
}

/// Whether a line has the word, not as the end of a longer one.
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Tracked {
        Tracked {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn speaking_outside_the_cli_is_complained_about() {
        for line in [
            "println!(\"{x}\");",
            "let home = std::env::var(\"HOME\");",
            "std::process::exit(1);",
        ] {
            assert!(
                !speaks(&file("host/engine/src/run.rs", line)).is_empty(),
                "{line}"
            );
            assert!(speaks(&file("host/cli/main.rs", line)).is_empty(), "{line}");
        }
        let harmless =
            "// never println!(…) here\nlet my_print!(x);\n#[cfg(test)]\nmod tests { println!(); }";
        assert_eq!(
            speaks(&file("host/engine/src/run.rs", harmless)),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_clock_in_core_is_complained_about() {
        let bad = file(
            "host/core/src/batch.rs",
            "use std::time::Duration;\nlet now = Instant::now();",
        );
        assert_eq!(core_reaches_out(&bad).len(), 1);
        assert!(core_reaches_out(&file("host/engine/src/run.rs", &bad.text)).is_empty());
    }

    #[test]
    fn unfinished_code_is_complained_about() {
        let bad = concat!("fn f() { todo", "!() }\n#[ig", "nore]\nfn g() {}");
        assert_eq!(unfinished(&file("host/x.rs", bad)).len(), 2);
    }

    #[test]
    fn a_file_without_a_reason_is_complained_about() {
        assert_eq!(
            without_reason(&file("host/x.rs", "use std::fmt;\n//! late")).len(),
            1
        );
        assert!(without_reason(&file("host/x.rs", "//! Why.\n")).is_empty());
    }

    #[test]
    fn a_path_of_one_machine_is_complained_about() {
        let bad = concat!("see /ho", "me/ada/notes and /wo", "rk/main");
        assert_eq!(belongs_to_one_machine(&file("README.md", bad)).len(), 1);
        let fine = concat!("$HOME/.cache, /ho", "me/NAME/, pip install duckdb");
        assert!(belongs_to_one_machine(&file("README.md", fine)).is_empty());
    }
}
