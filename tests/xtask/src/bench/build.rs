//! Builds what is measured, all in one go: two builds with other features would compile most of the
//! tree twice.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::shell::{self, Outcome};

/// The programs, with the release profile.
pub struct Programs {
    /// The product.
    pub dkhost: PathBuf,
    /// `tests/bench/stage.rs`.
    pub stage: PathBuf,
    /// `tests/bench/native`.
    pub native: PathBuf,
}

/// Builds dkhost unless there is one, and, if asked, the programs that measure the plugin's stage.
pub fn release(dkhost: Option<&Path>, with_stage: bool) -> Outcome<Programs> {
    println!("building the release profile; the first time this takes half an hour on two cores");
    let mut cargo = shell::cargo();
    cargo
        .args(["build", "--release", "-p", "dkhost"])
        .args(["--message-format", "json-render-diagnostics"]);
    if dkhost.is_none() {
        cargo.args(["--bin", "dkhost"]);
    }
    if with_stage {
        cargo
            .args(["-p", "bench-native", "--bin", "bench-native"])
            .args(["-p", "dkhost-plugin", "--bench", "stage"]);
    }
    let built = shell::output(cargo.stderr(Stdio::inherit()))?;
    let release = shell::target().join("release");
    Ok(Programs {
        dkhost: dkhost.map_or_else(|| release.join("dkhost"), Path::to_owned),
        stage: executable(&built, "stage").unwrap_or_default().into(),
        native: release.join("bench-native"),
    })
}

/// Where cargo says it put a program; a benchmark's name ends with a hash.
fn executable<'a>(messages: &'a str, name: &str) -> Option<&'a str> {
    let target = format!("\"name\":\"{name}\"");
    let of_target = messages.lines().filter(|line| line.contains(&target));
    let mut paths =
        of_target.filter_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next());
    paths.next_back()
}

#[cfg(test)]
mod tests {
    use super::executable;

    #[test]
    fn a_program_is_found_among_cargos_messages() {
        let messages = concat!(
            r#"{"target":{"name":"other"},"executable":"/t/other"}"#,
            "\n",
            r#"{"target":{"name":"stage"},"executable":"/t/release/deps/stage-1f"}"#,
        );
        assert_eq!(
            executable(messages, "stage"),
            Some("/t/release/deps/stage-1f")
        );
        assert_eq!(executable(messages, "none"), None);
    }
}
