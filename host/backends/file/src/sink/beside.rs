//! The hidden file beside a text file that says of which version of a schema its records are.
//!
//! ```text
//! out/.movies.jsonl.dkhost-schema.json
//! {"dkhost_schema":1,"contents":[{"bytes":512,"xxh3":"…","schema":"movie","version":"2.0.0","run":"…"}]}
//! ```
//!
//! Each statement names the content it is about. While a file is being replaced there are two, of the
//! old content and of the new one, so that whichever of them lies under the final name has its own: a
//! process may die before the rename or after it. A file that somebody else has written since is
//! neither, and has no version.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use dkhost_core::{Error, Result, Stamp};
use serde::{Deserialize, Serialize};

use super::place::{Place, remove, sync_folder};
use super::stamp::content;

/// The file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Beside {
    /// The version of this file's shape: 1.
    dkhost_schema: u32,
    /// The oldest first.
    contents: Vec<Content>,
}

/// What is said of one content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Content {
    bytes: u64,
    /// XXH3-128 of all bytes.
    xxh3: String,
    #[serde(flatten)]
    stamp: Stamp,
}

const SHAPE: u32 = 1;

/// What is said of the file as it is now. Where two statements are about the same bytes, the older
/// one counts until the run that makes the newer one is published.
///
/// *Errors* – `state::corrupt`, `state::newer`.
pub fn read(place: &Place) -> Result<Option<Stamp>> {
    Ok(about_now(place)?.map(|content| content.stamp))
}

/// Says beforehand what will be true of the content at `staged`, beside what is true now.
pub fn announce(place: &Place, stamp: &Stamp, staged: &Path) -> Result<()> {
    let io = |cause| Error::io("read", staged, cause);
    // What cannot be read says nothing of the old content that is worth keeping.
    let now = about_now(place).ok().flatten();
    let next = Content {
        bytes: fs::metadata(staged).map_err(io)?.len(),
        xxh3: content(staged).map_err(io)?,
        stamp: stamp.clone(),
    };
    write(place, now.into_iter().chain([next]).collect())
}

/// Takes back whatever is said beside `stamp`.
pub fn keep_only(place: &Place, stamp: &Stamp) -> Result<()> {
    let contents = parse(place)?.map_or(Vec::new(), |said| said.contents);
    let (ours, others): (Vec<_>, Vec<_>) =
        contents.into_iter().partition(|said| said.stamp == *stamp);
    match others.is_empty() {
        true => Ok(()),
        false => write(place, ours),
    }
}

/// Takes everything back.
pub fn forget(place: &Place) -> Result<()> {
    remove(&place.version())
}

fn about_now(place: &Place) -> Result<Option<Content>> {
    let Some(said) = parse(place)? else {
        return Ok(None);
    };
    let io = |cause| Error::io("read", &place.label, cause);
    let bytes = match fs::metadata(&place.path) {
        Ok(there) => there.len(),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(io(cause)),
    };
    let mut fitting = said.contents.into_iter().filter(|said| said.bytes == bytes);
    let Some(first) = fitting.next() else {
        return Ok(None);
    };
    let now = content(&place.path).map_err(io)?;
    Ok([first]
        .into_iter()
        .chain(fitting)
        .find(|said| said.xxh3 == now))
}

fn parse(place: &Place) -> Result<Option<Beside>> {
    #[derive(Deserialize)]
    struct Version {
        dkhost_schema: u32,
    }
    let path = place.version();
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::io("read", &path, cause)),
    };
    let refused = |code, what: &str| {
        Error::state(code, format!("`{}` {what}", path.display())).help(format!(
            "without it the version is not known, and `--from` says it: rm '{}'",
            path.display()
        ))
    };
    // The version first: a newer one may have another shape.
    match serde_json::from_slice::<Version>(&bytes) {
        Ok(found) if found.dkhost_schema > SHAPE => {
            Err(refused("state::newer", "was written by a newer dkhost"))
        }
        _ => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|cause| refused("state::corrupt", "cannot be read").caused_by(cause)),
    }
}

/// Beside the old one, made durable, renamed over it.
fn write(place: &Place, contents: Vec<Content>) -> Result<()> {
    let (path, beside) = (place.version(), place.new_version());
    let said = Beside {
        dkhost_schema: SHAPE,
        contents,
    };
    let mut text =
        serde_json::to_vec(&said).map_err(|c| Error::bug("a version has no JSON").caused_by(c))?;
    text.push(b'\n');
    let put = || {
        let mut file = File::create(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    put().map_err(|cause| Error::io("write", &path, cause))?;
    sync_folder(&place.parent)
}
