//! Where a target lies, and the hidden names beside it that a run works under.
//!
//! Everything a run writes has the target's own folder, so that the last step is one rename:
//!
//! ```text
//! out/movies.jsonl                          the target, there when the run is published
//! out/.movies.jsonl.dkhost-part             what is written so far (a folder for a folder)
//! out/.movies.jsonl.dkhost-checkpoint       how far it is committed (see `log`); locked while
//!                                           somebody writes (see `lock`)
//! out/.movies.jsonl.dkhost-checkpoint-new   what is about to become it
//! out/.movies.jsonl.dkhost-schema.json      which version its records are of (see `beside`), for
//!                                           as long as it is there
//! ```
//!
//! What can be known to fail fails here, before a row is read.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dkhost_core::{Conflict, Error, Result, Span};

use super::manifest;
use crate::format;

/// The longest file name of the usual file systems, in bytes.
const NAME_MAX_BYTES: usize = 255;

/// What the name ends in of a folder that is about to be replaced.
const OLD: &str = "old";

/// Where a target lies.
#[derive(Debug, Clone)]
pub struct Place {
    /// As the job writes it.
    pub label: String,
    /// The target itself; a symbolic link is followed.
    pub path: PathBuf,
    /// Whether the target is a folder of parts.
    pub is_folder: bool,
    /// The folder the target lies in.
    pub parent: PathBuf,
    name: OsString,
    span: Span,
}

/// What is at the target's place now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A folder with nothing in it.
    EmptyFolder,
    /// Something.
    Something,
}

impl Place {
    /// Finds the place a job means. Nothing is written.
    ///
    /// *Errors* – `target::…` for a path that cannot become a target.
    pub fn find(label: &str, base: &Path, span: Span) -> Result<Self> {
        let refused = |error: Error| error.at(span.clone(), "this path");
        if label.contains('*') {
            return Err(refused(refuse(
                "target::glob",
                format!("`{label}` names many files, and a target is one"),
                "name a file, or a folder with a `/` at its end",
            )));
        }
        if label.trim_end_matches('/').is_empty() {
            return Err(refused(nameless(label)));
        }
        // Without the slash: `file/` is an error of another kind to the operating system.
        let path = follow_link(base.join(label.trim_end_matches('/')), label)?;
        let is_folder = is_folder(&path, label).map_err(refused)?;
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return Err(refused(nameless(label)));
        };
        let parent = match parent == Path::new("") {
            true => Path::new("."),
            false => parent,
        };
        let place = Place {
            label: label.to_owned(),
            is_folder,
            parent: parent.to_owned(),
            name: name.to_owned(),
            span: span.clone(),
            path,
        };
        if place.new_log().file_name().map_or(0, OsStr::len) > NAME_MAX_BYTES {
            return Err(refused(refuse(
                "target::name_too_long",
                format!("the name of `{label}` is too long"),
                "use at most 230 bytes",
            )));
        }
        Ok(place)
    }

    /// Where the run writes before it is published.
    pub fn staging(&self) -> PathBuf {
        self.hidden("part")
    }

    /// Where the run keeps what is committed.
    pub fn log(&self) -> PathBuf {
        self.hidden("checkpoint")
    }

    /// What a process that takes the target over writes before it becomes the log.
    pub fn new_log(&self) -> PathBuf {
        self.hidden("checkpoint-new")
    }

    /// Where the old folder waits to be removed, on file systems that cannot swap.
    pub fn old(&self) -> PathBuf {
        self.hidden(OLD)
    }

    /// Where a text file's version is said (see `beside`).
    pub fn version(&self) -> PathBuf {
        self.hidden("schema.json")
    }

    /// What is about to become it.
    pub fn new_version(&self) -> PathBuf {
        self.hidden("schema-new")
    }

    fn hidden(&self, what: &str) -> PathBuf {
        self.parent.join(hidden(&self.name, what))
    }

    /// What is at the target's place now.
    pub fn found(&self) -> Result<Found> {
        match fs::symlink_metadata(&self.path) {
            Err(cause)
                if matches!(
                    cause.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(Found::Absent)
            }
            Err(cause) => Err(Error::io("look at", &self.label, cause)),
            Ok(found) if found.is_dir() => {
                let mut entries =
                    fs::read_dir(&self.path).map_err(|c| Error::io("list", &self.label, c))?;
                Ok(if entries.next().is_none() {
                    Found::EmptyFolder
                } else {
                    Found::Something
                })
            }
            Ok(_) => Ok(Found::Something),
        }
    }

    /// Refuses what the plan could not carry out: an existing target under `insert`, a folder with
    /// somebody else's files under `replace-all`, a place where nothing can be created.
    ///
    /// *Shape* – `ours`: the target that exists is the published result of the run that is resumed.
    pub fn check(&self, conflict: Conflict, create: bool, ours: bool) -> Result<()> {
        match self.found()? {
            Found::Something if ours => (),
            Found::Something if conflict != Conflict::ReplaceAll => return Err(self.exists()),
            Found::Something if self.is_folder => manifest::owns_all_of(&self.path, &self.label)
                .map_err(|e| e.at_least(self.span.clone()))?,
            _ => (),
        }
        if !create && !ours && self.found()? == Found::Absent {
            return Err(Error::config(
                "target::absent",
                format!("`{}` does not exist, and `create` is false", self.label),
            )
            .at(self.span.clone(), "not there")
            .help("remove `create = false`"));
        }
        self.check_parent()?;
        if self.is_folder && self.is_mounted() {
            return Err(Error::config(
                "target::mount_point",
                format!(
                    "`{}` is a mount point and cannot be swapped for a finished folder",
                    self.label
                ),
            )
            .at(self.span.clone(), "a mount point")
            .help(format!(
                "name a folder inside it: `path = \"{}/NAME/\"`",
                self.label.trim_end_matches('/')
            )));
        }
        Ok(())
    }

    /// The error for a target that is there and may not be replaced.
    pub fn exists(&self) -> Error {
        Error::config("target::exists", format!("the target `{}` exists", self.label))
            .at(self.span.clone(), "exists")
            .help("choose another path, or say `on_conflict = \"replace-all\"` to swap it for the new one at the end")
    }

    fn check_parent(&self) -> Result<()> {
        let existing = self
            .parent
            .ancestors()
            .find(|p| p.as_os_str().is_empty() || p.exists());
        let existing = match existing {
            None => Path::new("/"),
            Some(path) if path.as_os_str().is_empty() => Path::new("."),
            Some(path) => path,
        };
        if !existing.is_dir() {
            return Err(Error::config(
                "target::no_folder",
                format!(
                    "`{}` cannot be in `{}`, which is not a folder",
                    self.label,
                    existing.display()
                ),
            )
            .at(self.span.clone(), "below a file"));
        }
        use rustix::fs::{Access, access};
        access(existing, Access::WRITE_OK | Access::EXEC_OK).map_err(|cause| {
            Error::io("create a file in", existing, cause.into())
                .with_class(dkhost_core::Class::Config)
                .at_least(self.span.clone())
        })
    }

    fn is_mounted(&self) -> bool {
        match (fs::metadata(&self.path), fs::metadata(&self.parent)) {
            (Ok(folder), Ok(parent)) => folder.dev() != parent.dev(),
            _ => false,
        }
    }

    /// Creates the folder the target lies in.
    pub fn create_parent(&self) -> Result<()> {
        if self.parent.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.parent)
            .map_err(|c| Error::io("create the folder", &self.parent, c))?;
        // Every new folder must be in its parent after a power cut, not only the last one.
        for folder in self.parent.ancestors().skip(1) {
            if sync_folder(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn refuse(code: &'static str, message: String, help: &str) -> Error {
    Error::config(code, message).help(help)
}

fn nameless(label: &str) -> Error {
    refuse(
        "target::no_name",
        format!("`{label}` says no name"),
        "name a file or folder inside it",
    )
}

/// Whether the target is a folder: what is there says it, else the `/` at the end.
fn is_folder(path: &Path, label: &str) -> Result<bool> {
    let says_folder = label.ends_with('/');
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            if format::from_name(path).0.is_some() && !says_folder {
                return Err(refuse(
                    "target::is_folder",
                    format!("`{label}` is a folder, and its name says a file"),
                    "write a `/` at the end to fill the folder with parts, or choose another name",
                ));
            }
            Ok(true)
        }
        Ok(found) if !found.is_file() => Err(refuse(
            "target::not_a_file",
            format!("`{label}` is neither a file nor a folder"),
            "name a file that can be replaced by a finished one",
        )),
        Ok(_) if says_folder => Err(refuse(
            "target::not_a_folder",
            format!("`{label}` is a file, and the `/` at its end says a folder"),
            "remove the `/`, or choose another name",
        )),
        Ok(_) => Ok(false),
        Err(_) => Ok(says_folder),
    }
}

/// Where a run put a folder that it was about to replace, if it left it there.
pub fn moved_aside(path: &Path) -> Option<PathBuf> {
    let aside = path.with_file_name(hidden(path.file_name()?, OLD));
    aside.is_dir().then_some(aside)
}

fn hidden(name: &OsStr, what: &str) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".dkhost-{what}"));
    hidden
}

/// The file a symbolic link means: it is replaced, not the link.
fn follow_link(path: PathBuf, label: &str) -> Result<PathBuf> {
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_symlink() => fs::canonicalize(&path).map_err(|cause| {
            Error::io("follow the link", label, cause).with_class(dkhost_core::Class::Config)
        }),
        _ => Ok(path),
    }
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    fs::File::open(folder)
        .and_then(|open| open.sync_all())
        .map_err(|cause| Error::io("make durable the folder", folder, cause))
}

/// Removes a file or a folder with everything in it; nothing there is no error.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(cause) => Err(cause),
    };
    match removed {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", path, cause))
        }
        _ => Ok(()),
    }
}
