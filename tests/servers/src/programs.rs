//! Where a server's programs are, and how they get there when they are not.

use std::path::PathBuf;
use std::process::{Command, Stdio};

pub use crate::go::{minio, versitygw};
pub use crate::java::{elasticsearch, opensearch};

/// Folders that hold a server's programs beside those on the path, newest version first.
const POSTGRES_FOLDERS: [&str; 3] = [
    "/usr/lib/postgresql",
    "/usr/pgsql",
    "/usr/local/opt/postgresql",
];

/// The path of one of PostgreSQL's programs; installed if need be.
///
/// *Errors* – a sentence that says what to install.
pub fn postgres(program: &str) -> Result<PathBuf, String> {
    let find = || {
        versions()
            .into_iter()
            .chain(on_path())
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
    };
    find_or_install(find, program, "postgresql")
}

/// The path of pgbouncer; installed if need be.
///
/// *Errors* – as [`postgres`].
pub fn pgbouncer() -> Result<PathBuf, String> {
    let folders = || on_path().chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let find = || {
        folders()
            .map(|folder| folder.join("pgbouncer"))
            .find(|path| path.is_file())
    };
    find_or_install(find, "pgbouncer", "pgbouncer")
}

/// Installs one of Debian's packages where that needs nobody's password; says whether it is there.
pub fn install(package: &str) -> bool {
    let as_root: [&[&str]; 2] = [&[], &["sudo", "-n"]];
    as_root.into_iter().any(|prefix| {
        // Several test binaries may find out at once: they wait for each other.
        let install = [
            "apt-get",
            "install",
            "-y",
            "-qq",
            "-o",
            "DPkg::Lock::Timeout=300",
            package,
        ];
        let refresh = ["apt-get", "update", "-qq"];
        let run = |words: &[&str]| succeeds(&[prefix, words].concat());
        run(&install) || (run(&refresh) && run(&install))
    })
}

/// Whether this process may do anything.
pub fn is_root() -> bool {
    output("id", &["-u"]).is_some_and(|answer| answer.trim() == "0")
}

/// The words that run a program as the user `postgres` when this one is root, which PostgreSQL
/// refuses to be; and that end it when its parent dies.
pub(crate) fn as_ordinary_user() -> Vec<String> {
    let user: &[&str] = match is_root() {
        true => &[
            "--reuid",
            "postgres",
            "--regid",
            "postgres",
            "--clear-groups",
        ],
        false => &[],
    };
    let words = ["setpriv"]
        .iter()
        .chain(user)
        .chain(&["--pdeathsig", "QUIT"]);
    words.map(|word| (*word).to_owned()).collect()
}

/// The words that run a program as the leader of a group of its own, ended when its parent dies;
/// when this one is root, and `ordinary` is asked for, as a user who may do nothing.
pub(crate) fn as_leader(ordinary: bool) -> Vec<String> {
    // The user `nobody` by its number: its group has different names.
    let user: &[&str] = match ordinary && is_root() {
        true => &["--reuid", "65534", "--regid", "65534", "--clear-groups"],
        false => &[],
    };
    let words = ["setsid", "setpriv"].iter().chain(user);
    let words = words.chain(&["--pdeathsig", "TERM"]);
    words.map(|word| (*word).to_owned()).collect()
}

fn find_or_install(
    find: impl Fn() -> Option<PathBuf>,
    program: &str,
    package: &str,
) -> Result<PathBuf, String> {
    if let Some(path) = find() {
        return Ok(path);
    }
    install(package);
    find().ok_or_else(|| {
        format!(
            "this test needs `{program}`, which is not here and could not be installed\n  \
             help: sudo apt-get install {package}, or your distribution's package"
        )
    })
}

/// Folders of installed versions, highest first.
fn versions() -> Vec<PathBuf> {
    let entries = POSTGRES_FOLDERS
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok());
    let mut versions: Vec<(u32, PathBuf)> = entries
        .flat_map(|entries| entries.flatten())
        .map(|entry| {
            let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
            (version, entry.path().join("bin"))
        })
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, path)| path).collect()
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn succeeds(words: &[&str]) -> bool {
    Command::new(words[0])
        .args(&words[1..])
        // A server that a package starts on its own port is of no use here.
        .env("RUNLEVEL", "1")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a program answers; `None` if there is none, or it fails.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then_some(())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
