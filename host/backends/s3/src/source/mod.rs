//! Reads objects: files under a prefix, or one record each.
//!
//! Files are listed here and read by the backend `file`, which asks for bytes of them ([`objects`]).
//! Records are read here ([`records`]).

mod ahead;
mod fetch;
mod list;
mod objects;
pub(crate) mod records;

use std::collections::HashMap;
use std::sync::Arc;

use dkhost_core::{Error, OpenSource, Options, Result, Source, Stamp};
use dkhost_file::identity::{Identity, Mark};
use dkhost_file::options::{FileOptions, SourceOptions};

pub(crate) use self::fetch::Fetch;
pub(crate) use self::list::{Listed, under};
pub(crate) use self::objects::{Objects, get};

use crate::client::Client;
use crate::server::Server;
use crate::target::names::{Latest, Manifest, Names, Piece};

/// Opens what a job names.
///
/// *Errors* – all point at the job: at the key to blame, else at the prefix or bucket.
pub(crate) fn open(mut options: Options, open: &OpenSource) -> Result<Box<dyn Source>> {
    let server = Server::read(&mut options)?;
    let span = server.span();
    let opened = match is_of_records(&mut options)? {
        true => records::open(options, server, open),
        false => files(options, server, open),
    };
    opened.map_err(|error| error.at_least(span))
}

/// Whether each object is a record, as in the stores of dataknobs-data.
///
/// *Errors* – `s3::not_for_files` for such a store that is said to be of files.
pub(crate) fn is_of_records(options: &mut Options) -> Result<bool> {
    let span = options.span_of("object");
    let object: Option<String> = options.take("object")?;
    let layout = options.get("layout").map(|node| node.to_json());
    let is_dataknobs = layout == Some("dataknobs".into());
    match object.as_deref() {
        None => Ok(is_dataknobs),
        Some("record") => Ok(true),
        Some("file") if is_dataknobs => Err(Error::config(
            "s3::not_for_files",
            "a store of dataknobs-data has an object for each record",
        )
        .at(span, "not with `layout = \"dataknobs\"`")
        .help("leave out `object`")),
        Some("file") => Ok(false),
        Some(other) => Err(Error::config(
            "job::wrong_value",
            format!("`object` cannot be `{other}`"),
        )
        .at(span, "not one of file, record")
        .help("`object` is one of file, record")),
    }
}

fn files(mut options: Options, server: Server, open: &OpenSource) -> Result<Box<dyn Source>> {
    let (label, span) = (server.label(), server.span());
    let files = FileOptions::read_at(&mut options, label.clone(), span)?;
    let options = SourceOptions::read_with(options, files)?;
    let client = Client::open(server, &open.base)?;
    let prefix = client.server.prefix.clone();
    let found = match published(&client, under(&client, &prefix)?)? {
        Found::Parts(found) => found,
        Found::Objects(found) => known_files(found, &prefix, &options),
    };
    if found.is_empty() {
        return Err(Error::config(
            "s3::no_objects",
            format!("there is no object of a known format under `{label}`"),
        )
        .help(format!(
            "known extensions: {}; `format` says another one's",
            dkhost_file::format::EXTENSIONS
        )));
    }
    let store = Arc::new(Objects::new(client));
    let found = found.into_iter().map(identity).collect();
    dkhost_file::open_files(options, open, store, found)
}

/// What is under a prefix.
enum Found {
    /// The parts that count of what dkhost wrote.
    Parts(Vec<Listed>),
    /// Whatever there is.
    Objects(Vec<Listed>),
}

/// Where a run of dkhost published its parts, those and no others; its unfinished ones are no
/// records.
///
/// *Errors* – `s3::unfinished`, `s3::bad_manifest`.
fn published(client: &Client, found: Vec<Listed>) -> Result<Found> {
    let names = Names::under(&client.server.prefix);
    let Some(manifest) = manifest(client, &found)? else {
        if is_there(&found, &names.state()) {
            let label = client.server.label();
            return Err(Error::config(
                "s3::unfinished",
                format!("a run of dkhost writes to {label} and has not ended"),
            )
            .help("run its job again until it is done"));
        }
        return Ok(Found::Objects(found));
    };
    Ok(Found::Parts(parts(&names, &manifest, &found)?))
}

/// What the run that counts says of its records.
///
/// *Errors* – `s3::bad_manifest`, also when one of its parts is another by now.
pub(crate) fn stamp(client: &Client) -> Result<Option<Stamp>> {
    let names = Names::under(&client.server.prefix);
    let found = under(client, &names.prefix)?;
    let Some(manifest) = manifest(client, &found)? else {
        return Ok(None);
    };
    parts(&names, &manifest, &found)?;
    Ok(manifest.schema)
}

fn is_there(found: &[Listed], key: &str) -> bool {
    found.iter().any(|listed| listed.key == key)
}

/// The manifest of the run that counts.
fn manifest(client: &Client, found: &[Listed]) -> Result<Option<Manifest>> {
    let names = Names::under(&client.server.prefix);
    if !is_there(found, &names.latest()) {
        return Ok(None);
    }
    let latest: Latest = read_json(client, &names.latest())?;
    read_json(client, &format!("{}{}", names.prefix, latest.manifest)).map(Some)
}

/// The parts that a manifest names.
fn parts(names: &Names, manifest: &Manifest, found: &[Listed]) -> Result<Vec<Listed>> {
    let by_key: HashMap<&str, &Listed> = found
        .iter()
        .map(|listed| (listed.key.as_str(), listed))
        .collect();
    let listed = |part: Piece| {
        let key = format!("{}{}", names.prefix, part.name);
        let found = by_key.get(key.as_str());
        match found.filter(|found| (found.size, &found.etag) == (part.bytes, &part.etag)) {
            Some(found) => Ok((*found).clone()),
            None => Err(Error::data(
                "s3::bad_manifest",
                format!(
                    "`{key}` is not the part that the manifest of run {} names",
                    manifest.run
                ),
            )
            .help("somebody removed or replaced it; run the job that wrote it again")),
        }
    };
    manifest.parts.iter().cloned().map(listed).collect()
}

fn read_json<T: serde::de::DeserializeOwned>(client: &Client, key: &str) -> Result<T> {
    let bad = |why: &str| {
        Error::data("s3::bad_manifest", format!("{} {why}", client.place(key)))
            .help("somebody changed what dkhost wrote; run the job that wrote it again")
    };
    let found = crate::put::get(client, key)?.ok_or_else(|| bad("is gone"))?;
    serde_json::from_slice(&found.bytes).map_err(|cause| bad("cannot be read").caused_by(cause))
}

/// Objects that are not hidden and of a known format.
fn known_files(found: Vec<Listed>, prefix: &str, options: &SourceOptions) -> Vec<Listed> {
    let known = |listed: &Listed| {
        options.file.format.is_some()
            || dkhost_file::format::from_name(listed.key.as_ref())
                .0
                .is_some()
    };
    let found = found.into_iter();
    found
        .filter(|listed| !list::is_hidden(&listed.key, prefix) && known(listed))
        .collect()
}

/// Which object it is, as positions and fingerprints keep it.
fn identity(listed: Listed) -> Identity {
    Identity {
        file: listed.key,
        size: listed.size,
        mark: Mark::Elsewhere {
            etag: listed.etag,
            version: None,
        },
    }
}
