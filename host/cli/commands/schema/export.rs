//! `dkhost schema export`: a version as other programs read it.

use std::path::{Path, PathBuf};

use dkhost_core::{
    Backend, Checkpoint, Claim, Conflict, Error, Nulls, OpenTarget, Options, Partition, Result,
};
use dkhost_file::FileBackend;
use dkhost_schema::json_schema::json_schema;
use dkhost_schema::toml_text::toml;
use dkhost_schema::{Registry, SchemaVersion};
use serde_json::json;

use super::versions::meant;
use crate::escape::escape;
use crate::screen::Screen;

/// Writes a version in a format.
pub fn export(
    registry: &Registry,
    word: &str,
    format: &str,
    output: Option<&Path>,
    screen: &mut Screen,
) -> Result<i32> {
    let version = registry.version(&meant(registry, word)?)?;
    let text = match format {
        "arrow" => return arrow(&version, output, screen),
        "toml" => toml(&version),
        _ => format!("{:#}\n", json_schema(&version)),
    };
    match output {
        None => screen.bytes(text.as_bytes())?,
        Some(path) => {
            std::fs::write(path, text).map_err(|cause| Error::io("write", path, cause))?;
            wrote(path, screen)?;
        }
    }
    Ok(0)
}

fn wrote(path: &Path, screen: &mut Screen) -> Result<()> {
    screen.line(format!("wrote {}", escape(&path.display().to_string())))
}

/// An Arrow file without rows: its schema is the version's.
fn arrow(version: &SchemaVersion, output: Option<&Path>, screen: &mut Screen) -> Result<i32> {
    let path = output.ok_or_else(|| {
        Error::config("schema::no_output", "an Arrow file is not for a screen")
            .help("say where it goes: -o user.arrow")
    })?;
    let at = std::path::absolute(path).map_err(|cause| Error::io("find", path, cause))?;
    let options = json!({ "path": at.display().to_string(), "format": "arrow" });
    let open = OpenTarget {
        base: PathBuf::new(),
        job: "schema-export".to_owned(),
        schema: version.schema(),
        conflict: Conflict::ReplaceAll,
        create: true,
        nulls: Nulls::Keep,
        content: false,
        reshape: None,
    };
    let sink = FileBackend.open_target(Options::from_json("the export", &options)?, &open)?;
    let claim = Claim {
        job: open.job.clone(),
        run: format!("export of {}", version.id),
        plan_hash: String::new(),
        epoch_floor: 0,
    };
    let claimed = sink.claim(&claim)?;
    let partition = Partition {
        index: 0,
        label: "nothing".to_owned(),
        slice: serde_json::Value::Null,
    };
    let mut writer = sink.writer(&partition)?;
    let mut checkpoint = Checkpoint::start(&claim.job, &claim.run, claimed.epoch, "", 0);
    (checkpoint.seq, checkpoint.done) = (1, true);
    writer.commit(&checkpoint)?;
    writer.flush()?;
    drop(writer);
    sink.publish()?;
    sink.retire()?;
    wrote(path, screen)?;
    Ok(0)
}
