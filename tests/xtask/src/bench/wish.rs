//! What the command line asks of the benchmark.

use std::path::PathBuf;

use crate::shell::Outcome;

/// How it is called.
pub const USAGE: &str = "\
cargo xtask bench [OPTIONS]
  --only WHAT      `files` (and SQLite), `schemas`, or `postgres`, `elasticsearch`, `s3`, which start
                   servers of their own (all)
  --rows N,N…      rows to move, fewest first (files 1000000,5000000; postgres 500000,5000000;
                   elasticsearch 500000; s3 500000, and 20000 objects)
  --runs N         rounds; each runs every contender once (3; postgres moves 5000000 once)
  --route TEXT     only routes whose name holds this text, and nothing but routes
  --dkhost PATH    measure this binary; otherwise the release profile is built
  --no-peers       leave everybody else out
  --json PATH      where the figures are kept (bench.json beside the data)
";

/// What `--only` may name.
const PARTS: [&str; 5] = ["files", "schemas", "postgres", "elasticsearch", "s3"];

/// The options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Rows, fewest first, where they are not the usual ones.
    pub rows: Option<Vec<u64>>,
    /// Rounds.
    pub runs: usize,
    /// A part of a route's name.
    pub route: Option<String>,
    /// The only one of the parts that runs; all of them if none is named.
    pub only: Option<&'static str>,
    /// The binary to measure.
    pub dkhost: Option<PathBuf>,
    /// Whether anybody else is measured.
    pub peers: bool,
    /// Where the figures are kept.
    pub json: Option<PathBuf>,
}

impl Wish {
    /// Reads the options.
    pub fn read(arguments: &[String]) -> Outcome<Wish> {
        let mut wish = Wish {
            rows: None,
            runs: 3,
            route: None,
            only: None,
            dkhost: None,
            peers: true,
            json: None,
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("`{name}` needs a value\n\n{USAGE}"))
            };
            match name.as_str() {
                "--only" => wish.only = Some(only(value()?)?),
                "--rows" => {
                    wish.rows = Some(value()?.split(',').map(number).collect::<Outcome<_>>()?)
                }
                "--runs" => wish.runs = number(value()?)? as usize,
                "--route" => wish.route = Some(value()?.clone()),
                "--dkhost" => wish.dkhost = Some(PathBuf::from(value()?)),
                "--json" => wish.json = Some(PathBuf::from(value()?)),
                "--no-peers" => wish.peers = false,
                _ => return Err(format!("the benchmark has no option `{name}`\n\n{USAGE}")),
            }
        }
        Ok(wish)
    }

    /// Whether a part is wanted: `files`, `postgres`, ….
    pub fn has(&self, part: &str) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    /// Whether a route is wanted.
    pub fn wants(&self, route: &str) -> bool {
        self.route.as_ref().is_none_or(|part| route.contains(part))
    }

    /// Whether the figures beside the routes are wanted too.
    pub fn is_whole(&self) -> bool {
        self.route.is_none() && self.has("files")
    }
}

fn only(what: &str) -> Outcome<&'static str> {
    let known = PARTS.into_iter().find(|part| *part == what);
    known.ok_or_else(|| format!("`{what}` is none of `{}`\n\n{USAGE}", PARTS.join("`, `")))
}

fn number(text: &(impl AsRef<str> + ?Sized)) -> Outcome<u64> {
    let text = text.as_ref();
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{text}` is not a number from 1 on")),
    }
}

#[cfg(test)]
mod tests {
    use super::Wish;

    fn read(line: &str) -> Result<Wish, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Wish::read(&words)
    }

    #[test]
    fn a_part_of_the_benchmark_can_be_asked_for() {
        let wish = read("--only postgres --rows 20000 --route pg-pg").unwrap();
        assert!(wish.has("postgres") && !wish.has("files") && !wish.is_whole());
        assert!(wish.wants("pg-pg-upsert") && !wish.wants("csv-pg"));
        assert_eq!(wish.rows, Some(vec![20_000]));
        assert!(read("").unwrap().is_whole());
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(
            read("--only sqlite")
                .unwrap_err()
                .starts_with("`sqlite` is none of `files`, ")
        );
        assert!(read("--rows 0").unwrap_err().contains("`0`"));
        assert!(read("--runs").unwrap_err().starts_with("`--runs` needs"));
    }
}
