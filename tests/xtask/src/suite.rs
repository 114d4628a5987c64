//! `cargo xtask test`: what the tests need is installed, all of them run, and the sum is said.
//!
//! The last line is `N passed, N failed` over every test binary and every doc test. A binary that
//! does not compile, or dies before it reports, counts as one failure: silence is not success.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use dkhost_servers::POSTGRES_URL;

use crate::needs;
use crate::shell::{self, Outcome};

/// The chore `test`; `rest` goes on to `cargo test`.
pub fn run(rest: &[String]) -> Outcome {
    println!("{}; {}", needs::compiler()?, needs::plugin_target()?);
    needs::fault_tools()?;
    // They end with this function.
    let postgres = needs::postgres()?;
    needs::servers()?;
    let servers = dkhost_servers::share()?;
    let mut cargo = shell::cargo();
    let (name, value) = servers.variable();
    cargo.env(name, value);
    if let Some(server) = &postgres {
        cargo.env(POSTGRES_URL, server.url());
    }
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(rest)
        .stdout(Stdio::piped());
    println!("$ {}", shell::shown(&cargo));
    let mut child = cargo
        .spawn()
        .map_err(|cause| shell::cannot_start(&cargo, &cause))?;
    let mut sum = Sum::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            println!("{line}");
            sum.take(&line);
        }
    }
    let status = child
        .wait()
        .map_err(|cause| format!("lost sight of cargo: {cause}"))?;
    if !status.success() && sum.failed == 0 {
        println!(
            "\nA test binary did not compile or died before it could report; cargo says which above."
        );
        sum.failed = 1;
    }
    if sum.ignored > 0 {
        println!(
            "\n{} ignored: a test that cannot run fails, it is not skipped.",
            sum.ignored
        );
        sum.failed += sum.ignored;
    }
    println!("\n{} passed, {} failed", sum.passed, sum.failed);
    match (sum.failed, sum.passed) {
        (0, 0) if rest.is_empty() => Err("no test ran".to_owned()),
        (0, _) => Ok(()),
        _ => Err("the tests failed".to_owned()),
    }
}

/// What the test binaries reported, added up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Sum {
    /// Takes a line of a test binary's output: `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
    fn take(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|l| l.split_once(". "))
        else {
            return;
        };
        for part in counts.split("; ") {
            let mut words = part.split(' ');
            let count = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => self.passed += count,
                Some("failed") => self.failed += count,
                Some("ignored") => self.ignored += count,
                _ => {}
            }
        }
    }
}

/// The chore `deny`. Advisories are left out: their database has to be downloaded, and this must
/// also work where only a registry can be reached.
pub fn deny(cargo_deny: &Path) -> Outcome {
    shell::run(shell::command(cargo_deny).args(["check", "licenses", "bans", "sources"]))
}

#[cfg(test)]
mod tests {
    use super::Sum;

    #[test]
    fn results_of_all_binaries_are_added_up() {
        let mut sum = Sum::default();
        sum.take("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        sum.take("test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1s");
        sum.take("test other::passes ... ok");
        assert_eq!(
            sum,
            Sum {
                passed: 13,
                failed: 2,
                ignored: 1
            }
        );
    }
}
