//! dataknobs itself, installed from PyPI into an environment that is kept in the cache folder.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What is installed where the interpreter is new enough, and elsewhere.
const WANTED: [&str; 5] = [
    "dataknobs-data==0.11.0",
    "psycopg2-binary",
    "asyncpg",
    "boto3",
    "elasticsearch==8.19.1",
];
const OLDER: [&str; 5] = [
    "dataknobs-data==0.4.13",
    "psycopg2-binary",
    "asyncpg",
    "boto3",
    "elasticsearch==8.19.1",
];

/// The interpreter that dataknobs 0.11 needs at least.
const NEW_ENOUGH: (u32, u32) = (3, 12);

/// What a script prints that dataknobs can be imported by.
///
/// # Panics
/// With what it said, if it fails; with a sentence, if dataknobs cannot be installed.
pub fn dataknobs(script: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(environment().join("bin/python"));
    output(command.arg(script).args(arguments))
}

/// The folder of the environment, made unless it is there with these very packages.
fn environment() -> PathBuf {
    static MADE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    MADE.get_or_init(|| {
        let (python, version) = interpreter();
        let wanted = if version >= NEW_ENOUGH { WANTED } else { OLDER };
        let folder = cache().join(format!("dataknobs-python-{}.{}", version.0, version.1));
        let complete = folder.join("holds");
        if std::fs::read_to_string(&complete).is_ok_and(|holds| holds == wanted.join(" ")) {
            return folder;
        }
        let _ = std::fs::remove_dir_all(&folder);
        output(Command::new(python).args(["-m", "venv"]).arg(&folder));
        let mut pip = Command::new(folder.join("bin/python"));
        output(pip.args(["-m", "pip", "install", "--quiet"]).args(wanted));
        std::fs::write(&complete, wanted.join(" "))
            .unwrap_or_else(|cause| panic!("cannot write {}: {cause}", complete.display()));
        folder
    })
    .clone()
}

fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .unwrap_or_else(|| {
            panic!("there is no home folder to keep Python packages in; set XDG_CACHE_HOME")
        });
    cache.join("dkhost/tools")
}

/// The newest Python there is, and its version.
fn interpreter() -> (PathBuf, (u32, u32)) {
    let mut candidates: Vec<PathBuf> = ["python3.14", "python3.13", "python3.12", "python3"]
        .map(PathBuf::from)
        .into();
    let pyenv = std::env::home_dir().map(|home| home.join(".pyenv/versions"));
    let installed = pyenv.and_then(|folder| std::fs::read_dir(folder).ok());
    for version in installed.into_iter().flatten().flatten() {
        candidates.push(version.path().join("bin/python3"));
    }
    // Packages with compiled parts come late for the newest.
    let works = candidates
        .into_iter()
        .filter_map(|python| Some((version(&python)?, python)));
    let best = works
        .filter(|(version, _)| *version <= (3, 13))
        .max_by(|a, b| a.0.cmp(&b.0));
    let (version, python) =
        best.unwrap_or_else(|| panic!("dataknobs runs on Python: install python3"));
    (python, version)
}

fn version(python: &Path) -> Option<(u32, u32)> {
    let code = "import sys, venv; print(sys.version_info[0], sys.version_info[1])";
    let told = Command::new(python).args(["-c", code]).output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn output(command: &mut Command) -> String {
    let said = format!("{command:?}");
    let output = command
        .output()
        .unwrap_or_else(|cause| panic!("cannot run {said}: {cause}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "dataknobs cannot be asked (it is installed from PyPI): {said}\n{errors}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
