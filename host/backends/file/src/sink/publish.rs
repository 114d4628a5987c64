//! Giving the result its final name, and removing what only a resume needs.
//!
//! The end of the format is written and made durable, the log says so, and one rename follows. Each
//! step can be repeated, and a process that is killed between two of them leaves a state from which
//! the next one goes on: before the log says so the end is written again, after it only the rename
//! is missing, and after the rename there is nothing left to do.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use dkhost_core::{Conflict, Error, Result, fail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::beside;
use super::encode;
use super::lock::Lock;
use super::log::State;
use super::manifest::{self, Manifest};
use super::place::{Found, Place, remove, sync_folder};
use super::stamp::{self, Where};
use super::target::Target;

/// Makes the result visible under its final name.
pub fn publish(target: &Target) -> Result<()> {
    target.flush()?;
    fail::point("file.publish.flushed")?;
    let epoch = target.epoch()?;
    let _lock = Lock::exclusive(&target.place.log())?;
    target.ensure_current(epoch)?;
    let mut held = target.held();
    let Some(held) = held.as_mut() else {
        return Ok(());
    };
    if !target.is_published(&held.state) {
        if !held.state.publishing {
            finish(target, &held.state)?;
            fail::point("file.publish.finished")?;
            held.log.publishing()?;
            held.state.publishing = true;
            fail::point("file.publish.logged")?;
        }
        rename(target)?;
        fail::point("file.publish.renamed")?;
    }
    sync_folder(&target.place.parent)?;
    fail::point("file.publish.synced")?;
    stamp::settle(target, &held.state)?;
    remove(&target.place.staging())?;
    fail::point("file.publish.swept")?;
    remove(&target.place.old())
}

/// Writes the end of every part, and the manifest of a folder.
pub(super) fn finish(target: &Target, state: &State) -> Result<()> {
    let mut parts: Vec<u32> = state
        .parts
        .iter()
        .filter(|(_, part)| part.length > 0)
        .map(|(n, _)| *n)
        .collect();
    if parts.is_empty() {
        // No row at all: the columns are still worth a file.
        parts.push(0);
    }
    let stamp = stamp::of_run(&target.reshape, state);
    let says = Where::of(&target.place, &target.shape);
    let inside = stamp.as_ref().filter(|_| says == Where::Inside);
    let mut manifest = Manifest {
        dkhost_manifest: 1,
        job: state.owner.job.clone(),
        run: state.owner.run.clone(),
        format: target.shape.format.word().to_owned(),
        compression: target.shape.text_compression().word().to_owned(),
        rows: 0,
        schema: stamp.clone(),
        parts: Vec::new(),
    };
    for number in parts {
        let committed = state.parts.get(&number).cloned().unwrap_or_default();
        let path = target.part_path(number);
        let end = encode::finish(&target.shape, &target.schema, &committed, inside)?;
        let file = target.open_part(number, committed.length)?;
        let io = |cause| Error::io("finish", &path, cause);
        keep_mode(&file, &target.place)
            .and_then(|()| file.write_all_at(&end, committed.length))
            .map_err(io)?;
        fail::point("file.finish.written")?;
        file.sync_all().map_err(io)?;
        let content = match says {
            Where::Manifest if stamp.is_some() => Some(stamp::content(&path).map_err(io)?),
            _ => None,
        };
        manifest.rows += committed.rows;
        manifest.parts.push(manifest::Part {
            name: manifest::part_name(number, &target.shape.extension()),
            rows: committed.rows,
            bytes: committed.length + end.len() as u64,
            content,
        });
    }
    fail::point("file.finish.synced")?;
    if target.place.is_folder {
        write_manifest(&target.place.staging(), &manifest)?;
    }
    if let Some(stamp) = stamp.filter(|_| says == Where::Beside) {
        beside::announce(&target.place, &stamp, &target.place.staging())?;
    }
    Ok(())
}

/// A file that replaces another has its permissions.
fn keep_mode(file: &File, place: &Place) -> io::Result<()> {
    match fs::metadata(&place.path) {
        Ok(old) if old.is_file() => file.set_permissions(old.permissions()),
        _ => Ok(()),
    }
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    let path = folder.join(manifest::NAME);
    let mut text = serde_json::to_vec_pretty(manifest)
        .map_err(|c| Error::bug("a manifest has no JSON").caused_by(c))?;
    text.push(b'\n');
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(&text)?;
        file.sync_all()
    };
    write().map_err(|cause| Error::io("write", &path, cause))?;
    sync_folder(folder)
}

pub(super) fn rename(target: &Target) -> Result<()> {
    let place = &target.place;
    match (place.is_folder, target.conflict) {
        (true, conflict) => rename_folder(place, conflict),
        (false, Conflict::ReplaceAll) => {
            fs::rename(place.staging(), &place.path).map_err(|c| in_place(place, c))
        }
        (false, _) => rename_new(place),
    }
}

fn in_place(place: &Place, cause: io::Error) -> Error {
    Error::io("put the finished file in place as", &place.label, cause)
}

/// Under a name that must still be free.
fn rename_new(place: &Place) -> Result<()> {
    match renameat_with(
        CWD,
        place.staging(),
        CWD,
        &place.path,
        RenameFlags::NOREPLACE,
    ) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(place.exists()),
        // Not every file system can do that; a link never replaces anything either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_new(place),
        Err(cause) => Err(in_place(place, cause.into())),
    }
}

pub(super) fn link_new(place: &Place) -> Result<()> {
    match fs::hard_link(place.staging(), &place.path) {
        Ok(()) => {
            fail::point("file.rename.linked")?;
            remove(&place.staging())
        }
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Err(place.exists()),
        Err(cause) => Err(in_place(place, cause)),
    }
}

/// A folder takes the place of nothing, of an empty folder, or of one that an earlier run wrote.
fn rename_folder(place: &Place, conflict: Conflict) -> Result<()> {
    match place.found()? {
        Found::Something if conflict != Conflict::ReplaceAll => return Err(place.exists()),
        Found::Something => {
            manifest::owns_all_of(&place.path, &place.label)?;
            match renameat_with(
                CWD,
                place.staging(),
                CWD,
                &place.path,
                RenameFlags::EXCHANGE,
            ) {
                Ok(()) => return Ok(()),
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    fs::rename(&place.path, place.old()).map_err(|cause| in_place(place, cause))?;
                    fail::point("file.rename.moved-aside")?;
                }
                Err(cause) => return Err(in_place(place, cause.into())),
            }
        }
        _ => (),
    }
    // A rename replaces an empty folder and refuses one that is not.
    match fs::rename(place.staging(), &place.path) {
        Err(cause) if cause.kind() == io::ErrorKind::DirectoryNotEmpty => Err(place.exists()),
        renamed => renamed.map_err(|cause| in_place(place, cause)),
    }
}

/// Forgets the run: removes what only a resume needs, if it is still this run's.
pub fn retire(target: &Target) -> Result<()> {
    let place = &target.place;
    let lock = Lock::exclusive(&place.log())?;
    let is_ours = match (target.held().as_ref(), State::read(&place.log())?) {
        (_, None) => false,
        (Some(held), Some(_)) => held.log.is_current()?,
        (None, Some(state)) => target.is_published(&state),
    };
    if is_ours {
        // The log goes last: as long as it is there, the next run knows what to sweep.
        fail::point("file.retire.locked")?;
        remove(&place.staging())?;
        fail::point("file.retire.swept")?;
        remove(&place.old())?;
        remove(&place.new_version())?;
        sync_folder(&place.parent)?;
        fail::point("file.retire.synced")?;
        remove(&place.log())?;
        fail::point("file.retire.forgotten")?;
    }
    drop(lock);
    target.release();
    Ok(())
}
