//! The lock of a job beside a history in a file: an advisory lock the kernel drops when the process
//! dies.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use dkhost_core::{Error, Result};

use super::super::{create_private_folder, now};

/// A locked file.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock of `job` beside the history at `state`.
    pub fn take(state: &Path, job: &str) -> Result<FileLock> {
        use std::os::unix::fs::OpenOptionsExt;
        let folder = state.parent().unwrap_or(Path::new("."));
        create_private_folder(folder)?;
        let path = folder.join(format!("{job}.lock"));
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| Error::io("open the lock of the job", &path, cause))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(&mut file, job)),
            Err(TryLockError::Error(cause)) => return Err(Error::io("lock", &path, cause)),
        }
        // Who holds it is for people only; the kernel's lock is the truth.
        let _ = file
            .set_len(0)
            .and_then(|()| write!(file, "process {} since {}", std::process::id(), now()));
        Ok(FileLock { file })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Emptied, not removed: a third process may already wait on this very file.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

fn held(file: &mut File, job: &str) -> Error {
    let mut holder = String::new();
    let _ = file.rewind();
    let _ = file.take(200).read_to_string(&mut holder);
    super::locked(job, &holder)
}
