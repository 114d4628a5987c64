//! Documents that keep their word: an invariant names its test, a link leads somewhere.

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
    for row in rows {
        let last = row
            .trim_end()
            .trim_end_matches('|')
            .rsplit('|')
            .next()
            .unwrap_or_default();
        let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            complaints.push(format!("no test is named in: {row}"));
        }
        for name in named {
            let declared = format!("fn {name}(");
            if !files
                .iter()
                .any(|file| file.path.ends_with(".rs") && file.text.contains(&declared))
            {
                complaints.push(format!(
                    "ARCHITECTURE.md names the test `{name}`, which does not exist"
                ));
            }
        }
    }
    complaints
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
