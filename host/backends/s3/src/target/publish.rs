//! Makes the result count: its manifest, then the name of the run that readers are led to.
//!
//! Each step can be repeated, and a process that is killed between two of them leaves a state from
//! which the next one goes on.

use bytes::Bytes;
use dkhost_core::{Error, Result, Stamp, fail};

use super::names::{Latest, Manifest, Names, Piece};
use super::state::State;
use super::{Target, not_claimed, sweep};
use crate::fault::is_precondition;
use crate::put::{self, If};
use crate::upload::Upload;

/// What leads readers to a run, and its ETag.
pub(crate) fn latest(target: &Target) -> Result<Option<(Latest, String)>> {
    let key = target.names.latest();
    let Some(found) = put::get(&target.client, &key)? else {
        return Ok(None);
    };
    let latest = serde_json::from_slice(&found.bytes).map_err(|cause| {
        Error::config(
            "s3::foreign_objects",
            format!("{} was not written by dkhost", target.client.place(&key)),
        )
        .at(target.client.server.span(), "holds somebody's objects")
        .help("name another prefix")
        .caused_by(cause)
    })?;
    Ok(Some((latest, found.etag)))
}

/// Makes the result visible under its final name.
pub(crate) fn publish(target: &Target) -> Result<()> {
    target.make_durable()?;
    fail::point("s3.publish.flushed")?;
    let mut held = target.held();
    let held = held.as_mut().ok_or_else(not_claimed)?;
    held.ensure_current()?;
    if held.state.published {
        return Ok(());
    }
    let manifest = manifest(target, &held.state)?;
    write_manifest(target, &manifest)?;
    fail::point("s3.publish.manifest")?;
    let replaces = lead_to(target, &held.state.run)?;
    fail::point("s3.publish.latest")?;
    held.change(State {
        published: true,
        replaces: replaces.or(held.state.replaces.clone()),
        ..held.state.clone()
    })
}

fn manifest(target: &Target, state: &State) -> Result<Manifest> {
    let mut parts = state.parts.clone();
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    if parts.is_empty() {
        // No row at all: the columns are still worth an object.
        parts.push(empty(target, &state.run)?);
    }
    let (format, compression) = target.parts.format();
    Ok(Manifest {
        dkhost_manifest: 1,
        job: state.job.clone(),
        run: state.run.clone(),
        format: format.to_owned(),
        compression: compression.to_owned(),
        rows: parts.iter().map(|part| part.rows).sum(),
        schema: target.reshape.as_ref().map(|reshape| Stamp {
            schema: reshape.schema.clone(),
            version: reshape.version.clone(),
            run: state.run.clone(),
        }),
        parts,
    })
}

fn empty(target: &Target, run: &str) -> Result<Piece> {
    let name = Names::part(run, 0, 0, &target.parts.extension());
    let key = format!("{}{name}", target.names.prefix);
    let (bytes, rows) = target.parts.begin()?.seal()?;
    let mut upload = Upload::begin(&target.client, key, target.content_type(), target.absent());
    upload.push(&bytes);
    let sent = upload.finish()?;
    Ok(Piece {
        name,
        rows,
        bytes: sent.bytes,
        etag: sent.etag,
    })
}

fn write_manifest(target: &Target, manifest: &Manifest) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(manifest)
        .map_err(|cause| Error::bug("a manifest has no JSON").caused_by(cause))?;
    text.push(b'\n');
    let key = target.names.manifest(&manifest.run);
    // The same content may be there, from a process that was killed right after; no other can be.
    let mut upload = Upload::begin(&target.client, key, "application/json", target.absent());
    upload.push(&text);
    upload.finish().map(drop)
}

/// Leads readers to a run; the one they were led to before.
fn lead_to(target: &Target, run: &str) -> Result<Option<String>> {
    let before = latest(target)?;
    if before.as_ref().is_some_and(|(latest, _)| latest.run == run) {
        return Ok(None);
    }
    let text = serde_json::to_vec(&Latest {
        dkhost_latest: 1,
        run: run.to_owned(),
        manifest: format!("{run}/_manifest.json"),
    });
    let text = text.map_err(|cause| Error::bug("a name has no JSON").caused_by(cause))?;
    let condition = match (&before, target.conditional) {
        (_, false) => If::Any,
        (Some((_, etag)), true) => If::Match(etag.clone()),
        (None, true) => If::Absent,
    };
    let key = target.names.latest();
    let put = put::put(
        &target.client,
        &key,
        Bytes::from(text),
        "application/json",
        &condition,
    );
    match put {
        Ok(_) => Ok(before.map(|(latest, _)| latest.run)),
        Err(error) if is_precondition(&error) => {
            match latest(target)?.is_some_and(|(latest, _)| latest.run == run) {
                // The answer to an earlier try was lost.
                true => Ok(before.map(|(latest, _)| latest.run)),
                false => Err(super::busy(&target.client)),
            }
        }
        Err(error) => Err(error),
    }
}

/// Forgets the run: what it replaced, its own leftovers and its state.
pub(crate) fn retire(target: &Target) -> Result<()> {
    let key = target.names.state();
    let ours = target.held().as_ref().map(|held| held.state.clone());
    let state = match ours {
        Some(state) => Some(state),
        None => super::state::read(&target.client, &key)?.map(|(state, _)| state),
    };
    let Some(state) = state else { return Ok(()) };
    let is_led_to = latest(target)?.is_some_and(|(latest, _)| latest.run == state.run);
    if !is_led_to {
        return Ok(());
    }
    if let Some(replaced) = &state.replaces {
        sweep::replaced(&target.client, &target.names, replaced)?;
    }
    fail::point("s3.retire.replaced")?;
    sweep::abort(&target.client, &target.names.run(&state.run))?;
    put::delete(&target.client, &[key])
}
