//! A file that grows: bytes in the order of the commits, each commit durable with its log line.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use dkhost_core::{Checkpoint, Error, Result, fail};

use super::encode::{self, Encoder};
use super::lock::Lock;
use super::log::{Commit, PartState};
use super::scan;
use super::target::{Target, not_claimed};

/// Commits after which one is made durable even if they hold next to nothing: a filter that drops
/// everything must not send a resume back to the start.
const DURABLE_COMMITS: u32 = 64;

/// A file that grows.
pub struct Part {
    number: u32,
    /// Turns batches into bytes.
    pub encoder: Box<dyn Encoder>,
    pub(super) file: Option<File>,
    length: u64,
    rows: u64,
    /// Checkpoints that are committed and not yet durable.
    pending: BTreeMap<u32, Checkpoint>,
    commits: u32,
    /// After a failed write or sync nobody knows what the disk holds: the part is opened anew,
    /// and cut to what is durable.
    is_broken: bool,
}

impl Part {
    /// Goes on after what is committed.
    pub fn new(target: &Target, number: u32, state: &PartState) -> Result<Self> {
        let mut encoder = encode::open(&target.shape, &target.schema, state)?;
        if encoder.remembers() && state.length > 0 {
            scan::recall(target, number, state, &mut |text, first| {
                encoder.recall(text, first)
            })?;
        }
        Ok(Part {
            number,
            encoder,
            file: None,
            length: state.length,
            rows: state.rows,
            pending: BTreeMap::new(),
            commits: 0,
            is_broken: false,
        })
    }

    /// Whether a partition that is opened again needs the part opened anew: from what is durable.
    pub fn is_stale(&self, partition: u32) -> bool {
        self.is_broken || self.pending.contains_key(&partition)
    }

    /// Whether a partition has commits that are not durable.
    pub fn is_pending(&self, partition: u32) -> bool {
        self.pending.contains_key(&partition)
    }

    /// Keeps what is staged, and the checkpoint that goes with it.
    pub fn accept(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.ensure_whole()?;
        self.is_broken = true;
        self.encoder.accept()?;
        self.is_broken = false;
        self.pending
            .insert(checkpoint.partition, checkpoint.clone());
        self.commits += 1;
        Ok(())
    }

    /// Whether it is time to make the commits durable.
    pub fn is_full(&self) -> bool {
        self.commits >= DURABLE_COMMITS || self.encoder.is_full()
    }

    /// Makes all commits durable: the bytes first, then the log that counts them.
    pub fn make_durable(&mut self, target: &Target, epoch: u64) -> Result<()> {
        // Before anything else: a failed commit took its checkpoints with it, and a flush that said
        // "all is durable" then would let the history run ahead of the target (invariant 6).
        self.ensure_whole()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        let _lock = Lock::shared(&target.place.log())?;
        target.ensure_current(epoch)?;
        self.is_broken = true;
        let sealed = self.encoder.take()?;
        let length = self.length + sealed.bytes.len() as u64;
        if !sealed.bytes.is_empty() {
            let file = match self.file.take() {
                Some(file) => file,
                None => target.open_part(self.number, self.length)?,
            };
            let io = |cause| Error::io("write", target.part_path(self.number), cause);
            file.write_all_at(&sealed.bytes, self.length).map_err(io)?;
            fail::point("file.commit.written")?;
            file.sync_data().map_err(io)?;
            fail::point("file.commit.synced")?;
            self.file = Some(file);
        }
        let commit = Commit {
            part: self.number,
            length,
            rows: self.rows + sealed.rows,
            tails: sealed.tails,
            checkpoints: std::mem::take(&mut self.pending).into_values().collect(),
        };
        (self.length, self.rows, self.commits) = (commit.length, commit.rows, 0);
        let mut held = target.held();
        let held = held.as_mut().ok_or_else(not_claimed)?;
        held.log.commit(&commit)?;
        fail::point("file.commit.logged")?;
        held.state.apply(commit);
        self.is_broken = false;
        Ok(())
    }

    fn ensure_whole(&self) -> Result<()> {
        match self.is_broken {
            false => Ok(()),
            true => Err(Error::infrastructure(
                "io::failed",
                "an earlier write to the target failed",
            )
            .help("run the same command again: it goes on from the last checkpoint")),
        }
    }
}
