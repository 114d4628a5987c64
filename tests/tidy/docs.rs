//! Documents that keep their word: an invariant names its test, a link leads somewhere, an example
//! is the one that runs.

use super::Tracked;

/// Rows of the table of invariants that name no test, or one that is not there.
///
/// A row begins with the invariant's number; its last cell has the test's name in backticks.
pub fn invariants_without_test(architecture: &str, files: &[Tracked]) -> Vec<String> {
    let table = architecture
        .split("## Invariants")
        .nth(1)
        .unwrap_or_default();
    let rows: Vec<&str> = table.lines().filter(|line| is_numbered(line)).collect();
    let mut complaints = Vec::new();
    if rows.len() != 10 {
        complaints.push(format!(
            "ARCHITECTURE.md lists {} invariants, not 10",
            rows.len()
        ));
    }
    complaints.extend(rows.iter().flat_map(|row| without_test(row, files)));
    complaints
}

/// Rows of the README's table of promises that name no test, or one that is not there.
pub fn promises_without_test(readme: &str, files: &[Tracked]) -> Vec<String> {
    let table = readme.split("| promise | the test").nth(1);
    let rows: Vec<&str> = table
        .unwrap_or_default()
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    if rows.is_empty() {
        return vec!["README.md lists no promise with its test".to_owned()];
    }
    rows.iter()
        .flat_map(|row| without_test(row, files))
        .collect()
}

/// Complaints about a row whose last cell is to name tests in backticks.
fn without_test(row: &str, files: &[Tracked]) -> Vec<String> {
    let last = row
        .trim_end()
        .trim_end_matches('|')
        .rsplit('|')
        .next()
        .unwrap_or_default();
    // What has a slash is a folder.
    let named = last.split('`').skip(1).step_by(2);
    let named: Vec<&str> = named.filter(|name| !name.contains('/')).collect();
    if named.is_empty() {
        return vec![format!("no test is named in: {row}")];
    }
    let is_there = |name: &str| {
        let declared = format!("fn {name}(");
        let mut sources = files.iter().filter(|file| file.path.ends_with(".rs"));
        sources.any(|file| file.text.contains(&declared))
    };
    let gone = named.into_iter().filter(|name| !is_there(name));
    gone.map(|name| format!("the test `{name}` is named and does not exist"))
        .collect()
}

fn is_numbered(line: &str) -> bool {
    let cell = line.strip_prefix('|').map(str::trim_start);
    cell.is_some_and(|cell| cell.starts_with(|c: char| c.is_ascii_digit()))
}

/// Relative Markdown links whose file is absent.
pub fn broken_links(files: &[Tracked], exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links(&file.text) {
            let path = link.split('#').next().unwrap_or_default();
            let from_here = if folder.is_empty() {
                path.to_owned()
            } else {
                format!("{folder}/{path}")
            };
            if !path.is_empty() && !exists(&from_here) {
                complaints.push(format!("{}: the link to `{link}` leads nowhere", file.path));
            }
        }
    }
    complaints
}

/// Targets of `[text](target)` that are not addresses.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://") && !target.contains(char::is_whitespace))
}

/// Examples of a document that are not the ones that are run or compiled: each of its blocks in
/// `language` must stand, comments and indentation aside, in `original`.
pub fn invented_examples(document: &str, language: &str, original: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = document.split(&fence).skip(1);
    let blocks: Vec<&str> = blocks
        .filter_map(|rest| rest.split("\n```").next())
        .collect();
    assert!(
        !blocks.is_empty(),
        "no block of {language}: the check looks in the wrong place"
    );
    let bare = |text: &str| {
        text.lines()
            .map(without_comment)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let original = bare(original);
    let invented = blocks
        .iter()
        .filter(|block| !original.contains(&bare(block)));
    invented
        .map(|block| format!("this example is not the one that runs:\n{block}"))
        .collect()
}

/// A line of code without its comment, and without the mark of a doc comment before it.
fn without_comment(line: &str) -> &str {
    let line = line.strip_prefix("//!").unwrap_or(line).trim();
    let code = line.split(" // ").next().unwrap_or(line);
    code.split(" # ").next().unwrap_or(code).trim_end()
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
    fn an_invariant_whose_test_is_gone_is_complained_about() {
        let rows: String = (1..=10)
            .map(|i| format!("| {i} | holds | `it_holds` |\n"))
            .collect();
        let tests = [file("tests/x.rs", "#[test] fn it_holds() {}")];
        let table = format!("## Invariants\n| # | |\n{rows}");
        assert_eq!(
            invariants_without_test(&table, &tests),
            Vec::<String>::new()
        );
        assert_eq!(invariants_without_test(&table, &[]).len(), 10);
        let unnamed = table.replace("| 3 | holds | `it_holds` |", "| 3 | holds | see there |");
        assert_eq!(invariants_without_test(&unnamed, &tests).len(), 1);
        let fewer = table.replace("| 3 | holds | `it_holds` |", "");
        assert_eq!(invariants_without_test(&fewer, &tests).len(), 1);
    }

    #[test]
    fn a_promise_whose_test_is_gone_is_complained_about() {
        let tests = [file("tests/x.rs", "#[test] fn it_holds() {}")];
        let table =
            "| promise | the test |\n|---|---|\n| kept | `it_holds`, in `tests/x` |\n\nand so on";
        assert_eq!(promises_without_test(table, &tests), Vec::<String>::new());
        assert_eq!(promises_without_test(table, &[]).len(), 1);
        assert_eq!(promises_without_test("no table", &tests).len(), 1);
    }

    #[test]
    fn an_example_that_does_not_run_is_complained_about() {
        let readme = "See:\n```toml\nname = \"a\" # why\n\nlimit = 1\n```\nand so on";
        let found = |job| invented_examples(readme, "toml", job).len();
        assert_eq!(found("# a job\nname = \"a\"\n\nlimit = 1\nmore = 2\n"), 0);
        assert_eq!(found("name = \"a\"\n\nlimit = 2\n"), 1);
    }

    #[test]
    fn a_link_to_nothing_is_complained_about() {
        let files = [file(
            "wit/README.md",
            "[a](v0.1/) [b](gone.md#part) [c](https://example.com) [d](#here)",
        )];
        let found = broken_links(&files, &|path| path == "wit/v0.1/");
        assert_eq!(
            found,
            ["wit/README.md: the link to `gone.md#part` leads nowhere"]
        );
    }
}
