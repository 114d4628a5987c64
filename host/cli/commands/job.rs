//! `dkhost job`: a file to begin with, a check without stores, the schema for editors.

use std::io::Write;
use std::path::Path;

use dkhost_core::{Error, Result};
use dkhost_engine::job::schema::json_schema;
use dkhost_plugin::LogSink;
use serde_json::json;

use super::load_job;
use crate::args::{JobArgs, JobCommand};
use crate::escape::escape;
use crate::registry;
use crate::screen::Screen;
use crate::table::counted;

/// What `init` writes: it runs as it stands.
const EXAMPLE: &str = include_str!("example.toml");

/// Runs a command about job files.
pub fn job(command: JobCommand, screen: &mut Screen) -> Result<i32> {
    match command {
        JobCommand::Init { file } => init(&file, screen),
        JobCommand::Check(args) => check(&args, screen),
        JobCommand::Schema => schema(screen),
    }
}

fn init(file: &Path, screen: &mut Screen) -> Result<i32> {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut file| file.write_all(EXAMPLE.as_bytes()));
    written.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => Error::config(
            "job::exists",
            format!("`{}` exists and is left as it is", file.display()),
        )
        .help("give another name: dkhost job init other.toml"),
        _ => Error::io("write", file, cause).with_class(dkhost_core::Class::Config),
    })?;
    let shown = file.display().to_string();
    let shown = escape(&shown);
    let paint = screen.paint;
    screen.line(format!("wrote {shown}, a job that runs as it stands\n"))?;
    screen.line(format!(
        "  {}  what would happen",
        paint.cyan(&format!("dkhost plan {shown}"))
    ))?;
    screen.line(format!(
        "  {}   makes it happen",
        paint.cyan(&format!("dkhost run {shown}"))
    ))?;
    Ok(0)
}

/// Reads a job file as far as that needs no store: keys, types, words, options of its backends.
fn check(args: &JobArgs, screen: &mut Screen) -> Result<i32> {
    let job = load_job(args)?;
    let registry = registry::registry(&job, LogSink::default());
    let reading = registry.backend(&job.source.backend.0, &job.source.backend.1)?;
    let writing = registry.backend(&job.target.backend.0, &job.target.backend.1)?;
    job.source.options.check(&[reading.source_options()])?;
    job.target.options.check(&[writing.target_options()])?;
    writing.target_capabilities(&job.target.options)?;
    if screen.json {
        screen.object(&json!({
            "job": job.name,
            "source": reading.name(),
            "steps": job.steps.len(),
            "target": writing.name(),
        }))?;
    } else {
        let steps = counted(job.steps.len() as u64, "step");
        let (name, shown) = (escape(&job.name), job.path.display().to_string());
        screen.line(format!(
            "{name}: {} to {}, {steps}; the file is fine",
            reading.name(),
            writing.name()
        ))?;
        screen.line(format!(
            "`dkhost plan {}` checks it against the stores",
            escape(&shown)
        ))?;
    }
    Ok(0)
}

fn schema(screen: &mut Screen) -> Result<i32> {
    let schema = json_schema(&registry::backends());
    let text = serde_json::to_string_pretty(&schema)
        .map_err(|cause| Error::bug("the schema could not be written").caused_by(cause))?;
    screen.line(text)?;
    Ok(0)
}
