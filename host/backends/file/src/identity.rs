//! Which file this is, so that a file that was replaced, cut or written to is noticed.
//!
//! Device, inode, size and the times of modification and change are what the file system knows; the
//! hash of the first 64 KiB catches a file that was replaced by a tool that keeps the rest. What is read from
//! one identity is never continued in another ([`Identity::verify`]).

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use dkhost_core::{Error, Result};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// Bytes at the start of a file that are hashed.
const HEAD_BYTES: u64 = 64 << 10;

/// Which file this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The path as the job writes it, or below the folder the job writes; elsewhere its key.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// What else tells it from others.
    #[serde(flatten)]
    pub mark: Mark,
}

/// What tells a file from others of its name and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Mark {
    /// A file on this machine.
    Disk(DiskMark),
    /// A file of a store elsewhere.
    Elsewhere {
        /// What the store says instead of a hash, quotes included.
        etag: String,
        /// Its version, in a store that keeps them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
}

/// What the file system knows, and a hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskMark {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
    /// Last modification, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Last change of content, mode or names, nanoseconds since 1970: unlike the modification it
    /// cannot be set back by whoever writes.
    pub ctime_ns: i64,
    /// XXH3-128 of the first 64 KiB, hexadecimal.
    pub head: String,
}

impl Identity {
    /// Opens a file and says which one it is.
    ///
    /// *Shape* – `label` is how the job names the file; `path` is where it is.
    pub fn open(path: &Path, label: &str) -> Result<(File, Self)> {
        let io = |cause| Error::io("open", label, cause);
        // Before it is opened: opening a pipe waits for somebody to write.
        if !path.metadata().map_err(io)?.is_file() {
            return Err(Error::config(
                "file::not_a_file",
                format!("`{label}` is not a file"),
            )
            .help("a source is read again after an interruption: write the records to a file first"));
        }
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        let mut head = Vec::new();
        (&file)
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(io)?;
        let identity = Identity {
            file: label.to_owned(),
            size: metadata.size(),
            mark: Mark::Disk(DiskMark {
                device: metadata.dev(),
                inode: metadata.ino(),
                mtime_ns: mtime_ns(&metadata),
                ctime_ns: ctime_ns(&metadata),
                head: hash(&head),
            }),
        };
        Ok((file, identity))
    }

    /// Refuses to go on in another file.
    ///
    /// *Errors* – `source::changed`.
    pub fn verify(&self, now: &Identity) -> Result<()> {
        let what = if self.size != now.size {
            format!("it had {} bytes and has {} now", self.size, now.size)
        } else if self.mark == now.mark {
            return Ok(());
        } else {
            self.mark.differs(&now.mark).to_owned()
        };
        Err(changed(&self.file, &what))
    }

    /// Refuses a file that was written to while it was being read.
    ///
    /// *Errors* – `source::changed`.
    pub fn verify_open(&self, file: &File) -> Result<()> {
        let metadata = file
            .metadata()
            .map_err(|cause| Error::io("look at", &self.file, cause))?;
        let Mark::Disk(mark) = &self.mark else {
            return Ok(());
        };
        if (metadata.size(), mtime_ns(&metadata)) == (self.size, mark.mtime_ns) {
            return Ok(());
        }
        Err(changed(
            &self.file,
            "it was written to while it was being read",
        ))
    }
}

impl Mark {
    fn differs(&self, now: &Mark) -> &'static str {
        let (Mark::Disk(was), Mark::Disk(now)) = (self, now) else {
            return "it was written anew since";
        };
        if was.head != now.head {
            "its first bytes are others now"
        } else if (was.device, was.inode) != (now.device, now.inode) {
            "it was replaced by another file"
        } else {
            "it was written to since"
        }
    }
}

/// Nanoseconds since 1970; beyond the year 2262 they wrap around, and still differ where times do.
fn mtime_ns(metadata: &Metadata) -> i64 {
    let seconds = metadata.mtime().wrapping_mul(1_000_000_000);
    seconds.wrapping_add(metadata.mtime_nsec())
}

/// As [`mtime_ns`].
fn ctime_ns(metadata: &Metadata) -> i64 {
    let seconds = metadata.ctime().wrapping_mul(1_000_000_000);
    seconds.wrapping_add(metadata.ctime_nsec())
}

/// The error for a source that is no longer what it was.
pub fn changed(label: &str, what: &str) -> Error {
    Error::data(
        "source::changed",
        format!("`{label}` is no longer the file this run began to read: {what}"),
    )
    .help("put the old file back to go on, or start anew with `dkhost run JOB --no-resume`")
}

/// XXH3-128 in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}
