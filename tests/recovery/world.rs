//! A job in a folder of its own, and the program run on it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::places::Place;
use super::targets::{Before, Target};

const DKHOST: &str = env!("CARGO_BIN_EXE_dkhost");

/// What moves: how many records, in how many partitions, through what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Load {
    pub records: usize,
    /// Files of the source.
    pub partitions: usize,
    /// Records in a batch.
    pub batch: usize,
    /// Whether the plugin `clean` takes part.
    pub plugin: bool,
    pub parallel: usize,
    pub verify: &'static str,
}

impl Load {
    /// Little work with many commits: the group commit of file targets is reached in each partition.
    pub const SMALL: Load = Load {
        records: 300,
        partitions: 2,
        batch: 2,
        plugin: false,
        parallel: 1,
        verify: "checksum",
    };
    /// Fewer commits, each of which costs some requests.
    pub const OVER_HTTP: Load = Load {
        records: 160,
        partitions: 2,
        batch: 5,
        plugin: false,
        parallel: 1,
        verify: "checksum",
    };
    /// As few system calls as a run can have that commits more than once.
    pub const TINY: Load = Load {
        records: 30,
        partitions: 2,
        batch: 5,
        plugin: false,
        parallel: 1,
        verify: "checksum",
    };
}

impl Load {
    /// Little work with many commits.
    pub fn small_for(target: &Target) -> Load {
        match target.is_index() || target.is_bucket() {
            true => Load::OVER_HTTP,
            false => Load::SMALL,
        }
    }
}

/// A folder with a source, a job and perhaps a target.
pub struct World {
    folder: tempfile::TempDir,
    /// Where the target is, if on a server.
    place: Option<Place>,
    pub target: &'static Target,
    pub load: Load,
}

/// How a process ended.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; minus the signal that ended it.
    pub code: i32,
    /// The last line of standard output, when it is JSON.
    pub last: Value,
    pub err: String,
}

impl Answer {
    /// The stable code of its error.
    pub fn error(&self) -> &str {
        let of_report = self.last["error"]["code"].as_str();
        of_report.or(self.last["code"].as_str()).unwrap_or_default()
    }

    /// The way out of its error.
    pub fn help(&self) -> &str {
        let of_report = self.last["error"]["help"].as_str();
        of_report.or(self.last["help"].as_str()).unwrap_or_default()
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = out
            .lines()
            .last()
            .or(err.lines().last())
            .unwrap_or_default();
        Answer {
            code: output
                .status
                .code()
                .unwrap_or_else(|| -output.status.signal().unwrap()),
            last: serde_json::from_str(last).unwrap_or_default(),
            err,
        }
    }
}

/// A folder in memory where there is one: how long a disk takes to sync is not what is tested.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

impl World {
    pub fn new(target: &'static Target, load: Load) -> World {
        World::at(target, load, Place::of(target))
    }

    /// As [`World::new`], on a server that the test may disturb.
    pub fn at(target: &'static Target, load: Load, place: Option<Place>) -> World {
        let world = World {
            folder: scratch(),
            place,
            target,
            load,
        };
        fs::create_dir(world.path("in")).unwrap();
        for part in 0..load.partitions {
            let (from, to) = (
                part * load.records / load.partitions,
                (part + 1) * load.records / load.partitions,
            );
            let lines: String = (from..to).map(line).collect();
            fs::write(world.path(&format!("in/{part}.jsonl")), lines).unwrap();
        }
        fs::write(world.path("job.toml"), world.job("in/*.jsonl")).unwrap();
        world.fill();
        world
    }

    /// Puts there what the run is to find in its target.
    fn fill(&self) {
        if let Some(place) = &self.place {
            return place.fill(self.target.before);
        }
        if self.target.before == Before::Nothing {
            return;
        }
        fs::create_dir(self.path("out")).unwrap();
        match self.target.before {
            Before::Nothing | Before::Documents(_) | Before::Objects(_) => {}
            Before::Sql(sql) => rusqlite::Connection::open(self.path(self.target.path))
                .unwrap()
                .execute_batch(sql)
                .unwrap(),
            Before::File => fs::write(self.path(self.target.path), "{\"old\":true}\n").unwrap(),
            Before::Folder => {
                fs::create_dir(self.path("out/t")).unwrap();
                fs::write(
                    self.path("out/t/part-00000-00000.jsonl"),
                    "{\"old\":true}\n",
                )
                .unwrap();
                let manifest = "{\"dkhost_manifest\":1,\"job\":\"other\",\"run\":\"other\",\"format\":\"jsonl\",\
                    \"compression\":\"none\",\"rows\":1,\"parts\":[{\"name\":\"part-00000-00000.jsonl\",\"rows\":1,\"bytes\":13}]}\n";
                fs::write(self.path("out/t/_manifest.json"), manifest).unwrap();
            }
        }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Where the target is, if on a server.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The target's database.
    pub fn database(&self) -> &dkhost_servers::Database {
        match &self.place {
            Some(Place::Database(database)) => database,
            _ => panic!("a target of a database server"),
        }
    }

    /// The target's file or folder.
    pub fn result(&self) -> PathBuf {
        self.path(self.target.path)
    }

    /// `dkhost run`, started by `around` where that is not empty.
    pub fn command_in(&self, around: &[String], more: &[&str]) -> Command {
        let mut words = around
            .iter()
            .map(String::as_str)
            .chain([DKHOST, "run", "job.toml", "--json"])
            .chain(more.iter().copied());
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
            .env(
                "XDG_CACHE_HOME",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
            )
            .env_remove("DKHOST_FAIL");
        command
    }

    /// The program with other words.
    pub fn other(&self, words: &[&str]) -> Command {
        let command = self.command();
        let mut other = Command::new(command.get_program());
        other.args(words).current_dir(self.folder.path());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => other.env(name, value),
                None => other.env_remove(name),
            };
        }
        other
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        other
    }

    pub fn command(&self) -> Command {
        self.command_in(&[], &[])
    }

    /// Runs to the end, undisturbed.
    pub fn run(&self) -> Answer {
        self.command().output().unwrap().into()
    }

    /// Runs with more arguments.
    pub fn run_with(&self, more: &[&str]) -> Answer {
        self.command_in(&[], more).output().unwrap().into()
    }

    /// Runs with `DKHOST_FAIL`.
    pub fn run_failing(&self, fail: &str) -> Answer {
        self.command()
            .env("DKHOST_FAIL", fail)
            .output()
            .unwrap()
            .into()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }
}

/// Record `i` of every source.
pub fn line(i: usize) -> String {
    let mail = if i % 50 == 21 {
        "nobody".to_owned()
    } else {
        format!(" A{i}@EXAMPLE.org")
    };
    format!(
        "{{\"id\":{i},\"name\":\"Ünï {i}\",\"price\":{}.25,\"even\":{},\"mail\":\"{mail}\"}}\n",
        i * 7,
        i.is_multiple_of(2)
    )
}

impl World {
    /// The job: some records are filtered, some refused by a step, some by the plugin, some by a table.
    pub fn job(&self, path: &str) -> String {
        let (target, load) = (self.target, self.load);
        let (plugin, path_of_plugin) = match load.plugin {
            true => (
                "[[steps]]\nplugin = \"clean\"\nconfig = { email = [\"mail\"], strict = true }\n",
                format!("[plugins.clean]\npath = {:?}\n", clean()),
            ),
            false => ("", String::new()),
        };
        let backend = match &self.place {
            Some(place) => place.toml(),
            None if target.is_sqlite() => "backend = \"sqlite\"\npath = \"out/t.db\"\n".to_owned(),
            None if target.toml.starts_with("path") => "backend = \"file\"\n".to_owned(),
            None => String::new(),
        };
        format!(
            "name = \"killed\"\n[source]\nbackend = \"file\"\npath = \"{path}\"\n\
             [[steps]]\nset = {{ share = \"1000 / (id % 100)\" }}\n[[steps]]\nfilter = \"id % 10 <> 7\"\n{plugin}\
             [target]\n{backend}{}\n[run]\nbatch = {{ rows = {} }}\non_error = \"dead-letter\"\nverify = \"{}\"\nparallel = {}\n{path_of_plugin}",
            target.toml, load.batch, load.verify, load.parallel
        )
    }
}

/// The plugin `clean`, built once.
fn clean() -> &'static Path {
    static CLEAN: OnceLock<PathBuf> = OnceLock::new();
    CLEAN.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clean-for-recovery.wasm");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/clean");
        let built = Command::new(DKHOST)
            .args(["plugin", "build"])
            .arg(source)
            .arg("-o")
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        path
    })
}
