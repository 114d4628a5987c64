//! A server that cannot outlive whoever started it.
//!
//! Beside each server runs a keeper, a few lines of shell. It starts the server and then waits for
//! words on its standard input; when there are no more because the process at the other end has
//! died, of whatever, it stops the server and removes the folder. The keeper has a process group of
//! its own and ignores what a terminal sends; if even it is killed, the server gets a signal
//! (`setpriv --pdeathsig`).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// `$1` is the folder, `$2` the size of the disk it is to have for `data`, in MiB, or 0, `$3` the
/// signal that ends the server at once, `$4` says `group` where signals are for all its processes.
/// One that does not end is killed.
const KEEPER: &str = r#"
trap '' INT TERM HUP PIPE QUIT
folder=$1; pid=; group=$4
[ "$2" = 0 ] || mount -t tmpfs -o "size=$2m,mode=0777" tmpfs "$folder/data" || exit 1
stop() { # the signal; what is paused goes on, or it could not end
    [ -z "$pid" ] && return
    local whom=$pid children=
    if [ -n "$group" ]; then whom=-$pid; else children=$(cat "/proc/$pid/task/$pid/children"); fi
    kill -s "$1" -- "$whom"; kill -s CONT -- "$whom" $children
    { sleep 20; kill -s KILL -- "$whom"; } & local late=$!
    wait "$pid"
    # Others of a killed group need a moment to go; not for ever, if nobody buries them.
    local left=200
    while [ -n "$group" ] && [ "$left" -gt 0 ] && kill -s 0 -- "$whom"; do
        sleep 0.02; left=$((left - 1))
    done
    pid=
    kill "$late"
}
while read -r word signal; do
    case $word in
        init) if sh "$folder/init.sh" >>"$folder/log" 2>&1; then echo done; else echo failed; fi ;;
        start) sh "$folder/start.sh" </dev/null >>"$folder/log" 2>&1 & pid=$!; echo "$pid" ;;
        stop) stop "$signal"; echo done ;;
    esac
done
stop "$3"
[ "$2" = 0 ] || umount "$folder/data"
rm -rf "$folder"
"#;

/// A folder with the server's files, and the server when it runs.
pub(crate) struct Kept {
    pub folder: PathBuf,
    /// Of the server; `None` while it is stopped.
    pub pid: Option<u32>,
    keeper: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Kept {
    /// A keeper with a new folder below the temporary one, in which everybody may make files.
    /// `disk_mib` bounds the folder `data` in it; the signal `end` ends the server in the end.
    pub(crate) fn new(what: &str, disk_mib: Option<u32>, end: &str) -> Result<Self, String> {
        Self::with(what, disk_mib, end, "")
    }

    /// As [`Kept::new`], for a server of several processes that leads a group of its own, as
    /// `setsid` makes one: each signal is for all of them.
    pub(crate) fn group(what: &str, end: &str) -> Result<Self, String> {
        Self::with(what, None, end, "group")
    }

    fn with(what: &str, disk_mib: Option<u32>, end: &str, group: &str) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Short: the path of a unix socket holds a hundred bytes.
        let name = format!("dkhost-{what}-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        make_open(&folder)
            .and_then(|()| make_open(&folder.join("data")))
            .map_err(|cause| {
                format!(
                    "cannot make a server's folder {}: {cause}",
                    folder.display()
                )
            })?;
        // A disk of its own is seen by the keeper and the server alone.
        let mut command = Command::new("sh");
        if disk_mib.is_some() {
            command = Command::new("unshare");
            command.args(["-m", "sh"]);
        }
        command.args(["-c", KEEPER, "keeper"]).arg(&folder);
        command.arg(disk_mib.unwrap_or(0).to_string());
        command.args([end, group]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let started = command.process_group(0).current_dir("/").spawn();
        let mut keeper = started.map_err(|cause| format!("cannot start `sh`: {cause}"))?;
        let (words, answers) = (keeper.stdin.take(), keeper.stdout.take());
        let answers = BufReader::new(answers.ok_or("the keeper has no output")?);
        Ok(Kept {
            folder,
            pid: None,
            keeper,
            words,
            answers,
        })
    }

    /// Writes a script that the keeper runs: `init.sh` or `start.sh`.
    pub(crate) fn script(&self, name: &str, words: &[String]) -> Result<(), String> {
        let quoted: Vec<String> = words
            .iter()
            .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
            .collect();
        let path = self.folder.join(name);
        std::fs::write(&path, format!("exec {}\n", quoted.join(" ")))
            .map_err(|cause| format!("cannot write {}: {cause}", path.display()))
    }

    /// Runs `init.sh` to its end.
    pub(crate) fn init(&mut self) -> Result<(), String> {
        match self.ask("init")?.as_str() {
            "done" => Ok(()),
            _ => Err(format!(
                "the server's data folder could not be made:\n{}",
                self.log()
            )),
        }
    }

    /// Starts `start.sh`, which becomes the server.
    pub(crate) fn start(&mut self) -> Result<u32, String> {
        let answer = self.ask("start")?;
        let pid = answer
            .parse()
            .map_err(|_| format!("the keeper said `{answer}`"))?;
        self.pid = Some(pid);
        Ok(pid)
    }

    /// Sends a signal (`INT`, `QUIT`, …) and waits until the server has ended.
    pub(crate) fn stop(&mut self, signal: &str) -> Result<(), String> {
        self.ask(&format!("stop {signal}"))?;
        self.pid = None;
        Ok(())
    }

    /// Sends a signal to all processes of the server's group.
    pub(crate) fn signal_group(&self, name: &str) {
        if let Some(pid) = self.pid {
            let _ = Command::new("kill")
                .args(["-s", name, "--", &format!("-{pid}")])
                .status();
        }
    }

    /// Whether the server runs; one that ended by itself does not.
    pub(crate) fn is_running(&self) -> bool {
        let stat = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        let state = |stat: String| {
            stat.rsplit_once(") ")
                .map(|(_, rest)| rest.starts_with('Z'))
        };
        self.pid.and_then(stat).and_then(state) == Some(false)
    }

    /// What the server has written about itself.
    pub(crate) fn log(&self) -> String {
        std::fs::read(self.folder.join("log"))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    fn ask(&mut self, words: &str) -> Result<String, String> {
        let gone = || format!("a server's keeper is gone:\n{}", self.log());
        let mut pipe = self.words.as_ref().ok_or_else(gone)?;
        writeln!(pipe, "{words}").map_err(|_| gone())?;
        let mut answer = String::new();
        match self.answers.read_line(&mut answer) {
            Ok(1..) => Ok(answer.trim().to_owned()),
            _ => Err(format!("a server's keeper is gone:\n{}", self.log())),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.words.take());
        let _ = self.keeper.wait();
    }
}

/// A folder in which the user that the server runs as may write too.
pub(crate) fn make_open(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))
}
