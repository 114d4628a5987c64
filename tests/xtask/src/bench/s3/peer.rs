//! dataknobs-data, whose stream into S3 is what a target is a multiple of: the newest release of
//! all, and the newest that runs on a Python before 3.12, because the older stream is the faster.

use std::path::PathBuf;

use super::super::postgres::{brief, installed};
use super::super::rows::Input;
use crate::shell::{self, Outcome};

/// Releases, with the minor releases of Python 3 they are run on.
const RELEASES: [(&str, &[u32]); 2] = [("0.4.13", &[11, 10, 12, 13]), ("0.11.0", &[13, 12])];

/// Both take it to speak to S3.
const BOTO: &str = "boto3==1.44.5";

/// A release, installed or with the reason why not.
pub struct Dataknobs {
    /// As the table names it: `dataknobs-data 0.4.13`.
    pub name: String,
    environment: Outcome<PathBuf>,
}

impl Dataknobs {
    /// Every release, installed where it is absent, into the cache folder.
    pub fn found() -> Vec<Dataknobs> {
        let each = RELEASES.iter().map(|(release, minors)| {
            let name = format!("dataknobs-data {release}");
            let wanted = format!("dataknobs-data=={release}");
            let environment = interpreter(minors).and_then(|python| {
                let folder = format!("dataknobs-data-{release}-s3");
                installed(&python, &folder, &[&wanted, BOTO])
            });
            if let Err(why) = &environment {
                println!("NOT INSTALLED, so not measured: {name}\n{why}");
            }
            Dataknobs { name, environment }
        });
        each.collect()
    }

    /// The command line that streams a store into the bucket that its environment names.
    pub fn command(&self, input: &Input) -> Outcome<Vec<String>> {
        let venv = self.environment.as_ref();
        let venv = venv.map_err(|why| format!("not installed: {}", brief(why)))?;
        let script = shell::root().join("tests/bench/peers/with_dataknobs_s3.py");
        // What hangs would hang everything.
        let limit = ["timeout", "-k", "10", "1800"].map(str::to_owned);
        let paths = [venv.join("bin/python"), script, input.store.clone()];
        let paths = paths.iter().map(|path| path.display().to_string());
        let records = [input.rows.to_string()];
        Ok(limit.into_iter().chain(paths).chain(records).collect())
    }
}

/// A Python of one of these minor releases: on the path, or one that pyenv keeps.
fn interpreter(minors: &[u32]) -> Outcome<PathBuf> {
    let mut candidates = vec![PathBuf::from("python3")];
    candidates.extend(minors.iter().map(|minor| format!("python3.{minor}").into()));
    let pyenv = std::env::home_dir().map(|home| home.join(".pyenv/versions"));
    let kept = pyenv.and_then(|folder| std::fs::read_dir(folder).ok());
    let kept = kept.into_iter().flatten().flatten();
    candidates.extend(kept.map(|version| version.path().join("bin/python3")));
    let is_one = |python: &PathBuf| {
        let code = "import sys, venv; print(sys.version_info[1])";
        let told = shell::output(shell::command(python).args(["-c", code]));
        let minor = told.ok().and_then(|minor| minor.trim().parse().ok());
        minor.is_some_and(|minor| minors.contains(&minor))
    };
    candidates
        .into_iter()
        .find(is_one)
        .ok_or_else(|| format!("error: there is no Python 3.{minors:?} with venv"))
}
