//! A target that is being written: who owns it, and how far each part is committed.
//!
//! Every write happens under the lock and after a look whether the log is still ours, so a process
//! that lost the target can neither write into it nor move its checkpoint.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use dkhost_core::checkpoint::CHECKPOINT_VERSION;
use dkhost_core::sink::{fenced, next_epoch};
use dkhost_core::{
    Checkpoint, Claim, Claimed, Conflict, Error, Reshape, Result, Schema, TargetState, fail,
};

use super::encode;
use super::lock::Lock;
use super::log::{Log, Owner, State, corrupt};
use super::manifest;
use super::part::Part;
use super::place::{Place, remove, sync_folder};
use super::shape::Shape;

/// Who may read a store of dataknobs: its owner, as the package has it.
const DATAKNOBS_MODE: u32 = 0o600;
const USUAL_MODE: u32 = 0o666;

/// A target, shared by the sink and its writers.
pub struct Target {
    /// Where it lies.
    pub place: Place,
    /// What is written.
    pub shape: Shape,
    /// The plan's columns.
    pub schema: Schema,
    /// Whether an existing target is replaced.
    pub conflict: Conflict,
    /// Whether an absent folder is created.
    pub create: bool,
    /// Which version of a schema the result is of, if it is to say one.
    pub reshape: Option<Reshape>,
    held: Mutex<Option<Held>>,
    parts: Mutex<BTreeMap<u32, Arc<Mutex<Part>>>>,
}

/// The log of a target that is ours, and what it says.
pub struct Held {
    /// The log.
    pub log: Log,
    /// What it says.
    pub state: State,
}

impl Target {
    /// A target that nobody owns yet.
    pub fn new(
        place: Place,
        shape: Shape,
        schema: Schema,
        conflict: Conflict,
        create: bool,
    ) -> Self {
        Target {
            place,
            shape,
            schema,
            conflict,
            create,
            reshape: None,
            held: Mutex::default(),
            parts: Mutex::default(),
        }
    }

    /// What a run of `job` left; `None` if nothing.
    pub fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        let state = State::read(&self.place.log())?.filter(|state| state.owner.job == job);
        Ok(state.map(|state| TargetState {
            published: self.is_published(&state),
            run: state.owner.run,
            epoch: state.owner.epoch,
            plan_hash: state.owner.plan_hash,
            checkpoints: state.checkpoints.into_values().collect(),
        }))
    }

    /// Whether the result has its final name.
    pub fn is_published(&self, state: &State) -> bool {
        if !state.publishing {
            return false;
        }
        if self.place.is_folder {
            return manifest::is_of_run(&self.place.path, &state.owner.run);
        }
        let Ok(there) = fs::metadata(&self.place.path) else {
            return false;
        };
        match fs::metadata(self.place.staging()) {
            // Renamed by a link, and the old name not removed yet.
            Ok(staged) => (staged.dev(), staged.ino()) == (there.dev(), there.ino()),
            // Any other error says nothing about the rename.
            Err(cause) => cause.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Takes the target over.
    pub fn claim(&self, claim: &Claim) -> Result<Claimed> {
        // Refused before the first file is created, and again when nobody can interfere.
        let left = State::read(&self.place.log())?;
        self.check(&left, claim)?;
        self.place.create_parent()?;
        // One claim at a time, and nobody commits under the old log meanwhile.
        let _new = Lock::creating(&self.place.new_log())?;
        let claimed = Lock::exclusive(&self.place.log()).and_then(|_old| self.claim_locked(claim));
        if claimed.is_err() {
            remove(&self.place.new_log())?;
        }
        claimed
    }

    fn check(&self, left: &Option<State>, claim: &Claim) -> Result<()> {
        let ours = left
            .as_ref()
            .is_some_and(|s| s.owner.run == claim.run && self.is_published(s));
        self.place.check(self.conflict, self.create, ours)
    }

    fn claim_locked(&self, claim: &Claim) -> Result<Claimed> {
        fail::point("file.claim.locked")?;
        let left = State::read(&self.place.log())?;
        self.check(&left, claim)?;
        let seen = left.as_ref().map_or(0, |state| state.owner.epoch);
        let owner = Owner {
            version: CHECKPOINT_VERSION,
            job: claim.job.clone(),
            run: claim.run.clone(),
            epoch: next_epoch(seen, claim)?,
            plan_hash: claim.plan_hash.clone(),
            shape: self.shape.words(&self.schema),
        };
        let resumed = left.filter(|state| state.owner.run == claim.run);
        let state = match resumed {
            Some(left) => self.resume(left, owner)?,
            None => {
                let state = State::new(owner);
                // The log first: leftovers without a log are nothing, a log without its part is
                // a broken promise.
                let log = Log::create(&self.place.new_log(), &self.place.log(), &state)?;
                fail::point("file.claim.logged")?;
                self.restore_old()?;
                fail::point("file.claim.restored")?;
                remove(&self.place.staging())?;
                fail::point("file.claim.swept")?;
                remove(&self.place.old())?;
                remove(&self.place.new_version())?;
                return self.hold(log, state);
            }
        };
        let log = Log::create(&self.place.new_log(), &self.place.log(), &state)?;
        self.hold(log, state)
    }

    /// Puts the old folder back that a run had moved aside and could not replace any more.
    fn restore_old(&self) -> Result<()> {
        if !self.place.old().exists() || self.place.path.exists() {
            return Ok(());
        }
        fs::rename(self.place.old(), &self.place.path)
            .map_err(|c| Error::io("put back", &self.place.label, c))
    }

    fn resume(&self, mut state: State, owner: Owner) -> Result<State> {
        state.publishing = self.is_published(&state);
        // A result that has its final name is not written to any more; and where the run read what
        // it replaced, the plan of whoever ends it is of the new columns.
        if !state.publishing && state.owner.shape != owner.shape {
            return Err(Error::config(
                "target::other_shape",
                format!(
                    "the unfinished run wrote `{}` in another format or with other columns",
                    self.place.label
                ),
            )
            .help("`dkhost run JOB --no-resume` drops what it wrote and starts anew"));
        }
        for (part, committed) in state.parts.iter().filter(|_| !state.publishing) {
            let path = self.part_path(*part);
            let there = fs::metadata(&path).map_or(0, |found| found.len());
            if there < committed.length {
                let what = format!(
                    "`{}` has {there} of {} committed bytes",
                    path.display(),
                    committed.length
                );
                return Err(corrupt(&self.place.log(), &what));
            }
            if !encode::is_intact(&self.shape, committed) {
                return Err(corrupt(
                    &self.place.log(),
                    "it does not say where the row groups lie",
                ));
            }
        }
        state.owner = owner;
        Ok(state)
    }

    fn hold(&self, log: Log, state: State) -> Result<Claimed> {
        if self.place.is_folder && !state.publishing && !self.place.staging().is_dir() {
            fs::create_dir(self.place.staging())
                .map_err(|cause| Error::io("create the folder", self.place.staging(), cause))?;
            fail::point("file.claim.folder-created")?;
            sync_folder(&self.place.parent)?;
        }
        let claimed = Claimed {
            epoch: state.owner.epoch,
            checkpoints: state.checkpoints.values().cloned().collect(),
        };
        lock(&self.parts).clear();
        *lock(&self.held) = Some(Held { log, state });
        Ok(claimed)
    }

    /// The log and its state.
    pub fn held(&self) -> MutexGuard<'_, Option<Held>> {
        lock(&self.held)
    }

    /// The epoch under which the target is ours.
    pub fn epoch(&self) -> Result<u64> {
        self.held()
            .as_ref()
            .map(|held| held.state.owner.epoch)
            .ok_or_else(not_claimed)
    }

    /// Forgets that the target was ours.
    pub fn release(&self) {
        lock(&self.parts).clear();
        *self.held() = None;
    }

    /// Where a part is before the target is published.
    pub fn part_path(&self, part: u32) -> PathBuf {
        match self.place.is_folder {
            true => self
                .place
                .staging()
                .join(manifest::part_name(part, &self.shape.extension())),
            false => self.place.staging(),
        }
    }

    /// Opens a part's file, cut to what is committed.
    pub fn open_part(&self, part: u32, committed: u64) -> Result<File> {
        let path = self.part_path(part);
        let is_new = !path.exists();
        let mode = if self.shape.is_dataknobs() {
            DATAKNOBS_MODE
        } else {
            USUAL_MODE
        };
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(mode);
        let file = match options.open(&path) {
            // It has the permissions of the file it replaces already.
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied && !is_new => {
                make_writable(&path).and_then(|()| options.open(&path))
            }
            opened => opened,
        };
        let file = file.map_err(|cause| Error::io("create", &path, cause))?;
        let length = file
            .metadata()
            .map_err(|cause| Error::io("look at", &path, cause))?
            .len();
        if length != committed {
            file.set_len(committed)
                .map_err(|cause| Error::io("cut", &path, cause))?;
        }
        if is_new {
            fail::point("file.part.created")?;
            sync_folder(path.parent().unwrap_or(&self.place.parent))?;
        }
        Ok(file)
    }

    /// Refuses to go on when somebody else owns the target.
    ///
    /// *Errors* – `run::fenced`.
    pub fn ensure_current(&self, epoch: u64) -> Result<()> {
        let held = self.held();
        let Some(held) = held.as_ref() else {
            return Err(not_claimed());
        };
        let owner = &held.state.owner;
        if owner.epoch != epoch {
            return Err(fenced(&owner.run, epoch, owner.epoch));
        }
        if held.log.is_current()? {
            return Ok(());
        }
        let theirs = State::read(&self.place.log())
            .ok()
            .flatten()
            .map_or(epoch, |state| state.owner.epoch);
        Err(fenced(&owner.run, epoch, theirs))
    }

    /// The part that a partition writes to, and the partition's checkpoint.
    pub fn part(&self, partition: u32) -> Result<(Arc<Mutex<Part>>, Option<Checkpoint>)> {
        let number = if self.place.is_folder { partition } else { 0 };
        let (state, checkpoint) = {
            let held = self.held();
            let state = &held.as_ref().ok_or_else(not_claimed)?.state;
            (
                state.parts.get(&number).cloned().unwrap_or_default(),
                state.checkpoints.get(&partition).cloned(),
            )
        };
        let mut parts = lock(&self.parts);
        let part = match parts.get(&number) {
            // A partition that is opened again starts from what is durable.
            Some(part) if !lock(part).is_stale(partition) => part.clone(),
            _ => {
                let part = Arc::new(Mutex::new(Part::new(self, number, &state)?));
                parts.insert(number, part.clone());
                part
            }
        };
        Ok((part, checkpoint))
    }

    /// Makes everything committed durable.
    pub fn flush(&self) -> Result<()> {
        let parts: Vec<_> = lock(&self.parts).values().cloned().collect();
        let epoch = self.epoch()?;
        parts
            .iter()
            .try_for_each(|part| lock(part).make_durable(self, epoch))
    }
}

/// Lets the owner of a file read and write it.
fn make_writable(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o600))
}

/// The error for using a target before it is ours.
pub fn not_claimed() -> Error {
    Error::bug("the target was not claimed")
}

/// A lock is only ever poisoned by a panic, which is our bug and was reported as such.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staging_file_with_the_mode_of_a_read_only_target_can_be_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        make_writable(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        OpenOptions::new().write(true).open(&path).unwrap();
    }
}
