//! What must lie in the tree: the promise that adding something takes a known number of steps.

use super::Tracked;

/// What every folder below `plugins/` has.
const PLUGIN_FILES: [&str; 3] = ["README.md", "case.in.jsonl", "case.out.jsonl"];

/// Plugin folders that lack a file.
pub fn incomplete_plugins(paths: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    for plugin in folders_below(paths, "plugins/") {
        for file in PLUGIN_FILES {
            let wanted = format!("plugins/{plugin}/{file}");
            if !paths.contains(&wanted) {
                complaints.push(format!(
                    "{wanted} is missing: `dkhost plugin test` reads the cases"
                ));
            }
        }
    }
    complaints
}

/// Backend crates that the cli does not know.
pub fn unregistered_backends(paths: &[String], registry: &str) -> Vec<String> {
    let backends = folders_below(paths, "host/backends/");
    assert!(
        !backends.is_empty(),
        "no backend was found: the check looks in the wrong place"
    );
    let unknown = backends
        .into_iter()
        .filter(|name| !registry.contains(&format!("dkhost_{name}")));
    unknown
        .map(|name| format!("host/backends/{name} has no line in host/cli/registry.rs"))
        .collect()
}

/// The version's heading, unless the changelog has it.
pub fn missing_in_changelog(version: &str, changelog: &str) -> Vec<String> {
    match changelog
        .lines()
        .any(|line| line.starts_with(&format!("## [{version}]")))
    {
        true => Vec::new(),
        false => vec![format!("CHANGELOG.md has no heading `## [{version}]`")],
    }
}

/// The ten source files with most lines, largest first.
pub fn largest(files: &[Tracked]) -> Vec<(usize, &str)> {
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    let mut sizes: Vec<_> = sources
        .map(|file| (file.text.lines().count(), file.path.as_str()))
        .collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.truncate(10);
    sizes
}

/// Names of the folders directly below `parent`.
fn folders_below<'a>(paths: &'a [String], parent: &str) -> Vec<&'a str> {
    let below = paths.iter().filter_map(|path| path.strip_prefix(parent));
    let mut folders: Vec<&str> = below
        .filter_map(|rest| Some(rest.split_once('/')?.0))
        .collect();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn a_plugin_without_cases_is_complained_about() {
        let tree = [
            "plugins/clean/README.md",
            "plugins/clean/src/lib.rs",
            "plugins/clean/case.in.jsonl",
        ];
        assert_eq!(incomplete_plugins(&paths(&tree)).len(), 1);
    }

    #[test]
    fn a_backend_nobody_registered_is_complained_about() {
        let tree = paths(&[
            "host/backends/file/src/lib.rs",
            "host/backends/redis/src/lib.rs",
        ]);
        let found = unregistered_backends(&tree, "registry.backend(dkhost_file::backend());");
        assert_eq!(
            found,
            ["host/backends/redis has no line in host/cli/registry.rs"]
        );
    }

    #[test]
    fn a_version_without_a_heading_is_complained_about() {
        assert_eq!(
            missing_in_changelog("0.2.0", "## [0.1.0] - unreleased").len(),
            1
        );
        assert!(missing_in_changelog("0.1.0", "# Changelog\n## [0.1.0] - unreleased").is_empty());
    }

    #[test]
    fn the_largest_file_comes_first() {
        let file = |path: &str, lines: usize| Tracked {
            path: path.to_owned(),
            text: "\n".repeat(lines),
        };
        let files = [file("a.rs", 10), file("b.rs", 300), file("c.md", 900)];
        assert_eq!(largest(&files), [(300, "b.rs"), (10, "a.rs")]);
    }
}
