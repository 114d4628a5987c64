//! Which version of a schema the records of a target are of, said where it changes with them.
//!
//! Parquet says it in its key-value metadata and Arrow in its footer, both under [`KEY`]; a folder
//! in its manifest. Text has no place that other readers pass over, so a hidden file beside it says
//! it (see [`super::beside`]). Wherever the statement does not lie inside the file, it names the
//! content it is about, and counts for nothing once somebody else has written there.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use dkhost_core::{Error, Reshape, Result, Stamp};
use xxhash_rust::xxh3::Xxh3;

use super::beside;
use super::log::State;
use super::manifest;
use super::place::Place;
use super::shape::Shape;
use super::target::Target;
use crate::handle::Handle;
use crate::options::FileOptions;

/// The name of the statement inside a file: a [`Stamp`] as JSON.
pub const KEY: &str = "dkhost.schema";

/// Where a target says the version of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// In the file.
    Inside,
    /// In a hidden file beside it.
    Beside,
    /// In the manifest of the folder.
    Manifest,
}

impl Where {
    /// Where a target of this shape says it.
    pub fn of(place: &Place, shape: &Shape) -> Where {
        match place.is_folder {
            true => Where::Manifest,
            false if shape.format.is_binary() => Where::Inside,
            false => Where::Beside,
        }
    }
}

/// The statement that a run makes with its result.
pub fn of_run(reshape: &Option<Reshape>, state: &State) -> Option<Stamp> {
    reshape.as_ref().map(|reshape| Stamp {
        schema: reshape.schema.clone(),
        version: reshape.version.clone(),
        run: state.owner.run.clone(),
    })
}

/// Takes back what the result does not say any more, once it has its final name.
pub fn settle(target: &Target, state: &State) -> Result<()> {
    let is_beside = Where::of(&target.place, &target.shape) == Where::Beside;
    match of_run(&target.reshape, state).filter(|_| is_beside) {
        Some(stamp) => beside::keep_only(&target.place, &stamp),
        None => beside::forget(&target.place),
    }
}

/// What the target that a job means says of its records. Nothing is written.
///
/// *Errors* – as for a target that is opened; `file::corrupt`; `state::corrupt` and `state::newer`
/// for a statement that cannot be read.
pub fn read(options: &FileOptions, base: &Path) -> Result<Option<Stamp>> {
    let place = Place::find(&options.path, base, options.path_span.clone())?;
    if place.is_folder {
        return Ok(in_manifest(&place));
    }
    if !place.path.is_file() {
        return Ok(None);
    }
    let (format, _) = options.format_of(options.path.as_ref())?;
    if !format.is_binary() {
        return beside::read(&place);
    }
    let file = File::open(&place.path).map_err(|cause| Error::io("read", &place.label, cause))?;
    let said = crate::source::said_inside(&Handle::disk(file), &place.label, format, KEY)?;
    said.map(|text| parse(&text, &place.label)).transpose()
}

/// A statement as it stands inside a file.
pub fn text(stamp: &Stamp) -> Result<String> {
    serde_json::to_string(stamp).map_err(|c| Error::bug("a version has no JSON").caused_by(c))
}

fn parse(text: &str, label: &str) -> Result<Stamp> {
    serde_json::from_str(text).map_err(|cause| {
        Error::state(
            "state::corrupt",
            format!("what `{label}` says under `{KEY}` cannot be read"),
        )
        .caused_by(cause)
        .help(
            "only `dkhost schema apply` writes it; `--from` says which version the records are of",
        )
    })
}

/// A folder's statement counts while every part is what its manifest says, and nothing else is there.
fn in_manifest(place: &Place) -> Option<Stamp> {
    let manifest = manifest::read(&place.path)?;
    let stamp = manifest.schema.clone()?;
    manifest::owns_all_of(&place.path, &place.label).ok()?;
    let is_whole = |part: &manifest::Part| {
        let path = place.path.join(&part.name);
        fs::metadata(&path).is_ok_and(|there| there.len() == part.bytes)
            && content(&path).ok() == part.content
    };
    manifest.parts.iter().all(is_whole).then_some(stamp)
}

/// XXH3-128 over all bytes of a file, hexadecimal.
pub fn content(path: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (File::open(path)?, Xxh3::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("{:032x}", hash.digest128())),
            bytes => hash.update(&buffer[..bytes]),
        }
    }
}
