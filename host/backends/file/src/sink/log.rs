//! What a run has committed to a file target: the authority a resume starts from.
//!
//! One JSON object per line. The first says who owns the target; every durable commit appends one
//! with the committed length of a part and the checkpoints that go with it; the last says that the
//! result is about to get its final name. Appending keeps a commit as cheap after a million batches
//! as after one. Taking the target over writes the log anew under the same name: whoever still
//! holds the old one sees that it is no longer there, and has lost the target.
//!
//! A line counts when its newline is there. What follows the last newline was being written when
//! the power went, and is cut off.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use dkhost_core::checkpoint::CHECKPOINT_VERSION;
use dkhost_core::{Checkpoint, Error, Result, fail};
use serde::{Deserialize, Serialize};

use super::lock;
use super::place::sync_folder;

/// Who owns the target, and what it writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Owner {
    /// [`CHECKPOINT_VERSION`] when it was written.
    pub version: u32,
    /// The job's name.
    pub job: String,
    /// The run.
    pub run: String,
    /// The epoch.
    pub epoch: u64,
    /// The plan hash.
    pub plan_hash: String,
    /// Format, compression and columns in words; a part is only ever continued in its own.
    pub shape: String,
}

/// How far a part is committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartState {
    /// Bytes that count.
    pub length: u64,
    /// Rows in them.
    pub rows: u64,
    /// What the end of the format needs to know, one piece for each commit that had something to
    /// say (see the encoders).
    pub tails: Vec<String>,
}

/// Everything a log says.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Who owns the target.
    pub owner: Owner,
    /// The parts, by number; one for a single file.
    pub parts: BTreeMap<u32, PartState>,
    /// The checkpoints, by partition.
    pub checkpoints: BTreeMap<u32, Checkpoint>,
    /// Whether the result was complete and about to get its final name.
    pub publishing: bool,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The part it wrote to.
    pub part: u32,
    /// The part's length after it.
    pub length: u64,
    /// The part's rows after it.
    pub rows: u64,
    /// What it adds to [`PartState::tails`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tails: Vec<String>,
    /// The checkpoints it moves.
    pub checkpoints: Vec<Checkpoint>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Owner(Owner),
    Commit(Commit),
    Publishing(bool),
}

/// A log that is being appended to.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    pub(super) file: File,
    length: u64,
    /// After a failed write nobody knows what the disk holds; only a new log is trusted again.
    is_broken: bool,
}

impl State {
    /// Nothing committed yet.
    pub fn new(owner: Owner) -> Self {
        State {
            owner,
            parts: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            publishing: false,
        }
    }

    /// Adds a commit.
    pub fn apply(&mut self, commit: Commit) {
        let part = self.parts.entry(commit.part).or_default();
        part.length = commit.length;
        part.rows = commit.rows;
        part.tails.extend(commit.tails);
        for checkpoint in commit.checkpoints {
            self.checkpoints.insert(checkpoint.partition, checkpoint);
        }
    }

    /// Reads a log; `None` if there is none.
    ///
    /// *Errors* – `state::corrupt` and `state::newer`; the log is untouched.
    pub fn read(path: &Path) -> Result<Option<State>> {
        match fs::read(path) {
            Ok(bytes) => State::parse(&bytes, path).map(Some),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::io("read", path, cause)),
        }
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<State> {
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        let mut lines = bytes[..whole]
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty());
        let first = lines.next().ok_or_else(|| corrupt(path, "it is empty"))?;
        let mut state = State::new(read_owner(first, path)?);
        for line in lines {
            match serde_json::from_slice(line).map_err(|cause| corrupt(path, &cause.to_string()))? {
                Line::Owner(_) => return Err(corrupt(path, "it names two owners")),
                Line::Publishing(yes) => state.publishing = yes,
                Line::Commit(commit) => {
                    if commit
                        .checkpoints
                        .iter()
                        .any(|c| c.version > CHECKPOINT_VERSION)
                    {
                        return Err(newer(path));
                    }
                    state.apply(commit);
                }
            }
        }
        Ok(state)
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::Owner(self.owner.clone())];
        let commit = |part: &u32, state: &PartState| {
            Line::Commit(Commit {
                part: *part,
                length: state.length,
                rows: state.rows,
                tails: state.tails.clone(),
                checkpoints: Vec::new(),
            })
        };
        lines.extend(self.parts.iter().map(|(part, state)| commit(part, state)));
        if let Some((part, state)) = self
            .parts
            .iter()
            .next_back()
            .filter(|_| !self.checkpoints.is_empty())
        {
            lines.push(Line::Commit(Commit {
                part: *part,
                length: state.length,
                rows: state.rows,
                tails: Vec::new(),
                checkpoints: self.checkpoints.values().cloned().collect(),
            }));
        }
        if self.publishing {
            lines.push(Line::Publishing(true));
        }
        lines
    }
}

fn read_owner(line: &[u8], path: &Path) -> Result<Owner> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    #[derive(Deserialize)]
    struct First {
        owner: Version,
    }
    // The version first: a newer line may have another shape.
    let first: First =
        serde_json::from_slice(line).map_err(|cause| corrupt(path, &cause.to_string()))?;
    if first.owner.version > CHECKPOINT_VERSION {
        return Err(newer(path));
    }
    match serde_json::from_slice(line) {
        Ok(Line::Owner(owner)) => Ok(owner),
        Ok(_) => Err(corrupt(path, "it does not begin with its owner")),
        Err(cause) => Err(corrupt(path, &cause.to_string())),
    }
}

/// The error for a log that makes no sense.
pub fn corrupt(path: &Path, what: &str) -> Error {
    Error::state("state::corrupt", format!("the checkpoint `{}` cannot be trusted: {what}", path.display())).help(format!(
        "nothing was touched; to give up what the interrupted run wrote: rm '{}', then `dkhost run JOB --no-resume`",
        path.display()
    ))
}

fn newer(path: &Path) -> Error {
    Error::state(
        "state::newer",
        format!(
            "the checkpoint `{}` was written by a newer dkhost",
            path.display()
        ),
    )
    .help(format!(
        "resume with that version; to give up what it wrote: rm '{}', then `dkhost run JOB --no-resume`",
        path.display()
    ))
}

fn encode(lines: &[Line]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)
            .map_err(|c| Error::bug("a checkpoint has no JSON").caused_by(c))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

impl Log {
    /// Writes a log anew: beside the old one, made durable, renamed over it. Whoever calls this
    /// holds the lock on `beside`, and with it the lock on the new log.
    pub fn create(beside: &Path, path: &Path, state: &State) -> Result<Self> {
        let io = |cause| Error::io("write", path, cause);
        let bytes = encode(&state.lines())?;
        let mut file = File::create(beside).map_err(io)?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .map_err(io)?;
        fail::point("file.log.written")?;
        fs::rename(beside, path).map_err(io)?;
        fail::point("file.log.renamed")?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Log {
            path: path.to_owned(),
            file,
            length: bytes.len() as u64,
            is_broken: false,
        })
    }

    /// Appends a commit and makes it durable.
    pub fn commit(&mut self, commit: &Commit) -> Result<()> {
        self.append(Line::Commit(commit.clone()))
    }

    /// Says that the result is complete and about to get its final name.
    pub fn publishing(&mut self) -> Result<()> {
        self.append(Line::Publishing(true))
    }

    fn append(&mut self, line: Line) -> Result<()> {
        if self.is_broken {
            return Err(Error::infrastructure(
                "io::failed",
                format!(
                    "`{}` could not be written earlier in this run",
                    self.path.display()
                ),
            ));
        }
        let bytes = encode(&[line])?;
        self.is_broken = true;
        self.file
            .write_all_at(&bytes, self.length)
            .map_err(|cause| Error::io("write", &self.path, cause))?;
        fail::point("file.append.written")?;
        self.file
            .sync_data()
            .map_err(|cause| Error::io("write", &self.path, cause))?;
        self.is_broken = false;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Whether nobody has taken the target over since.
    pub fn is_current(&self) -> Result<bool> {
        lock::is_same(&self.file, &self.path)
            .map_err(|cause| Error::io("look at", &self.path, cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            version: CHECKPOINT_VERSION,
            job: "j".into(),
            run: "r".into(),
            epoch: 3,
            plan_hash: "p".into(),
            shape: "jsonl".into(),
        }
    }

    fn commit(seq: u64, length: u64) -> Commit {
        let mut checkpoint = Checkpoint::start("j", "r", 3, "p", 0);
        checkpoint.seq = seq;
        Commit {
            part: 0,
            length,
            rows: seq * 10,
            tails: vec![format!("t{seq}")],
            checkpoints: vec![checkpoint],
        }
    }

    fn written() -> (tempfile::TempDir, PathBuf, Log) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log =
            Log::create(&path.with_extension("new"), &path, &State::new(owner())).unwrap();
        log.commit(&commit(1, 100)).unwrap();
        log.commit(&commit(2, 200)).unwrap();
        (dir, path, log)
    }

    #[test]
    fn the_last_commit_counts_and_tails_add_up() {
        let (_dir, path, _log) = written();
        let state = State::read(&path).unwrap().unwrap();
        assert_eq!(
            state.parts[&0],
            PartState {
                length: 200,
                rows: 20,
                tails: vec!["t1".into(), "t2".into()]
            }
        );
        assert_eq!(state.checkpoints[&0].seq, 2);
        assert!(!state.publishing);
    }

    #[test]
    fn a_log_written_anew_says_the_same() {
        let (_dir, path, mut log) = written();
        log.publishing().unwrap();
        let state = State::read(&path).unwrap().unwrap();
        Log::create(&path.with_extension("new"), &path, &state).unwrap();
        assert_eq!(State::read(&path).unwrap().unwrap(), state);
    }

    #[test]
    fn a_log_cut_anywhere_says_a_commit_that_was_made() {
        let (_dir, path, _log) = written();
        let bytes = fs::read(&path).unwrap();
        let first = memchr::memchr(b'\n', &bytes).unwrap() + 1;
        for cut in first..=bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            let state = State::read(&path).unwrap().unwrap();
            let lengths: Vec<u64> = state.parts.values().map(|part| part.length).collect();
            assert!(
                lengths.is_empty() || lengths == [100] || lengths == [200],
                "cut at {cut}: {lengths:?}"
            );
        }
    }

    #[test]
    fn a_log_that_makes_no_sense_is_refused_and_untouched() {
        let (_dir, path, _log) = written();
        let mut bytes = fs::read(&path).unwrap();
        let middle = memchr::memchr(b'\n', &bytes).unwrap() + 5;
        bytes[middle] = b'#';
        fs::write(&path, &bytes).unwrap();
        assert_eq!(State::read(&path).unwrap_err().code(), "state::corrupt");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        fs::write(&path, b"\n").unwrap();
        assert_eq!(State::read(&path).unwrap_err().code(), "state::corrupt");
    }

    #[test]
    fn a_newer_log_is_refused() {
        let (_dir, path, _log) = written();
        fs::write(&path, "{\"owner\":{\"version\":99,\"whatever\":[]}}\n").unwrap();
        assert_eq!(State::read(&path).unwrap_err().code(), "state::newer");
    }

    #[test]
    fn taking_over_is_seen_by_the_one_before() {
        let (_dir, path, log) = written();
        assert!(log.is_current().unwrap());
        let state = State::read(&path).unwrap().unwrap();
        let next = Log::create(&path.with_extension("new"), &path, &state).unwrap();
        assert!(!log.is_current().unwrap());
        assert!(next.is_current().unwrap());
    }
}
