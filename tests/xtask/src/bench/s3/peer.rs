//! dataknobs-data, whose stream into S3 is what a target is a multiple of.

use std::path::PathBuf;

use super::super::postgres::{brief, installed};
use super::super::rows::Input;
use crate::shell::{self, Outcome};

/// The newest that runs on a Python before 3.12, and the newest of all.
const WANTED: [&str; 3] = [
    "dataknobs-data==0.4.13; python_version < '3.12'",
    "dataknobs-data==0.11.0; python_version >= '3.12'",
    "boto3==1.44.5",
];

/// The package, installed or with the reason why not.
pub struct Dataknobs {
    /// As the table names it: `dataknobs-data 0.4.13`.
    pub name: String,
    environment: Outcome<PathBuf>,
}

impl Dataknobs {
    /// Installs it where it is absent, into the cache folder.
    pub fn found() -> Dataknobs {
        let environment = installed("dataknobs-s3", &WANTED);
        if let Err(why) = &environment {
            println!("NOT INSTALLED, so not measured: dataknobs-data\n{why}");
        }
        let version = environment.as_ref().ok().and_then(|venv| {
            let code = "from importlib.metadata import version; print(version('dataknobs-data'))";
            let mut python = shell::command(venv.join("bin/python"));
            shell::output(python.args(["-c", code])).ok()
        });
        let version = version.unwrap_or_default();
        Dataknobs {
            name: format!("dataknobs-data {}", version.trim())
                .trim()
                .to_owned(),
            environment,
        }
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
