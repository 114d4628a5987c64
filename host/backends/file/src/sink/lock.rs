//! Who may write right now: shared by those who commit, alone for those who take the target over,
//! publish it or forget it.
//!
//! The lock closes the gap between "is the target still ours?" and the write that follows: a
//! process that was paused in between finds the lock taken, or its successor waits. It is an
//! advisory lock of the operating system (flock), gone with the process that holds it.
//!
//! What is locked is the log itself: a file of its own would be left behind by a process that is
//! killed between removing the one and the other. Where there is no log yet, the file that is about
//! to become it is locked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use dkhost_core::{Class, Error, Result};

/// A commit holds the lock for one write and two syncs; a process that holds it longer than this
/// is paused or its disk hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Together with others who commit; `None` if there is no such file.
    pub fn shared(path: &Path) -> Result<Option<Self>> {
        Self::acquire(path, false, File::try_lock_shared)
    }

    /// Alone; `None` if there is no such file.
    pub fn exclusive(path: &Path) -> Result<Option<Self>> {
        Self::acquire(path, false, File::try_lock)
    }

    /// Alone, on a file that is created if it is not there.
    pub fn creating(path: &Path) -> Result<Self> {
        Self::acquire(path, true, File::try_lock)?
            .ok_or_else(|| Error::bug("a file that is created is there"))
    }

    fn acquire(
        path: &Path,
        create: bool,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<Self>> {
        let io = |cause| Error::io("lock", path, cause);
        let mut options = OpenOptions::new();
        options.write(true).create(create).truncate(false);
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            let file = match options.open(path) {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound && !create => {
                    return Ok(None);
                }
                opened => opened.map_err(io)?,
            };
            match lock(&file) {
                // Somebody may have replaced or removed the file in between.
                Ok(()) if is_same(&file, path).map_err(io)? => {
                    return Ok(Some(Lock { _file: file }));
                }
                Ok(()) => (),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(cause)) => return Err(io(cause)),
            }
        }
        Err(Error::new(
            Class::Locked,
            "target::locked",
            format!(
                "another process has been writing to the target for {} s (it holds `{}`)",
                PATIENCE.as_secs(),
                path.display()
            ),
        )
        .help("is another dkhost paused? end it, then run this again"))
    }
}

/// Whether `path` still names the open file.
pub fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((open.dev(), open.ino()) == (there.dev(), there.ino())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_commit_share_and_a_successor_waits_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(Lock::shared(&path).unwrap().is_none());
        drop(Lock::creating(&path).unwrap());
        let first = Lock::shared(&path).unwrap();
        let second = Lock::shared(&path).unwrap();
        assert!(File::open(&path).unwrap().try_lock().is_err());
        drop((first, second));
        let alone = Lock::exclusive(&path).unwrap();
        assert!(File::open(&path).unwrap().try_lock_shared().is_err());
        drop(alone);
        assert!(Lock::exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn a_file_that_was_replaced_is_another_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = File::create(&path).unwrap();
        held.try_lock().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!is_same(&held, &path).unwrap());
        assert!(Lock::exclusive(&path).unwrap().is_none());
        assert!(Lock::creating(&path).is_ok());
    }
}
