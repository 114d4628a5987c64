//! What a target will do, in words, known before a row is read.

use dkhost_core::{Conflict, Error, OpenTarget, Result, TargetPlan};
use dkhost_file::options::{FileOptions, Layout};

use super::Target;
use super::claim::Found;

/// Refuses what needs to find a record by its key.
///
/// *Errors* – `target::needs_key_store`, `file::not_for_format`.
pub(crate) fn refuse_what_files_cannot(files: &FileOptions, open: &OpenTarget) -> Result<()> {
    if matches!(open.conflict, Conflict::Upsert | Conflict::Skip) {
        let word = open.conflict.word();
        return Err(Error::config(
            "target::needs_key_store",
            format!("`on_conflict = \"{word}\"` has to find records by key, and these are files of many records"),
        )
        .at(files.path_span.clone(), "files")
        .help("say `object = \"record\"` for an object of each record, or `on_conflict = \"replace-all\"` to write all of them anew"));
    }
    if files.layout == Layout::Dataknobs {
        return Err(Error::config(
            "s3::not_for_files",
            "a store of dataknobs-data has an object for each record",
        )
        .at(files.path_span.clone(), "`object = \"file\"`")
        .help("leave out `object`, `format` and `compression`"));
    }
    Ok(())
}

/// The plan of a target.
pub(crate) fn plan(target: &Target, found: &Found, job: &str) -> TargetPlan {
    let label = target.client.server.label();
    let mut effects = vec![match &found.latest {
        Some(run) => format!("replaces run {run} under {label} when this one is done"),
        None => format!("creates objects under {label}"),
    }];
    if let Some(left) = found
        .left
        .as_ref()
        .filter(|left| left.job != job && !left.published)
    {
        effects.push(format!(
            "drops what an unfinished run of the job `{}` left under {label}",
            left.job
        ));
    }
    if let Some(reshape) = &target.reshape {
        effects.push(format!(
            "says in the manifest under {label} that its records are of {}@{}",
            reshape.schema, reshape.version
        ));
    }
    let (promise, mechanism) = match target.conditional {
        true => (
            "effectively-once",
            "parts with fixed names, written under conditions, which count once the manifest that `_LATEST` names is there",
        ),
        false => (
            "at-least-once",
            "parts with fixed names; without conditions nothing keeps two processes apart",
        ),
    };
    let mut notes = target.parts.notes();
    notes.push("readers that list the prefix see parts before the run is done; `_LATEST` names the manifest of those that count".to_owned());
    if let Some(reshape) = &target.reshape
        && !(reshape.constraints.is_empty() && reshape.required.is_empty())
    {
        notes.push(format!(
            "objects check nothing: what {}@{} asks of their records is checked on the way",
            reshape.schema, reshape.version
        ));
    }
    TargetPlan {
        label: format!("{label} ({})", target.parts.label()),
        promise: promise.to_owned(),
        mechanism: mechanism.to_owned(),
        effects,
        notes,
        columns: target.parts.columns(),
        fresh: true,
        concurrent: true,
    }
}
