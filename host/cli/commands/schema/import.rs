//! `dkhost schema import`: a version from what there is already.

use std::fs;
use std::path::Path;

use dkhost_core::{Backend, Error, OpenSource, Options, Result, Schema};
use dkhost_engine::plan::Purpose;
use dkhost_file::FileBackend;
use dkhost_schema::json_schema::{Imported, from_json_schema};
use dkhost_schema::toml_text::toml;
use dkhost_schema::{Registry, SchemaId, read};
use serde_json::json;

use super::path;
use crate::args::{ImportArgs, JobArgs};
use crate::commands::make_plan;
use crate::commands::run::log_to;
use crate::escape::escape;
use crate::screen::{Screen, complain};
use crate::table::counted;
use crate::watch::Voice;

/// Writes the version's file, or prints it.
///
/// *Errors* – `schema::exists` for a version that is there; those of reading what is imported.
pub fn import(args: &ImportArgs, screen: &mut Screen) -> Result<i32> {
    let id: SchemaId = args.version.parse()?;
    let Imported { version, warnings } = imported(&id, args)?;
    for warning in &warnings {
        complain(format!(
            "{} {}",
            screen.paint_err.yellow("warning:"),
            escape(warning)
        ));
    }
    let text = toml(&version);
    if args.stdout {
        screen.bytes(text.as_bytes())?;
        return Ok(0);
    }
    let folder = path(&args.folder);
    fs::create_dir_all(folder.join(&id.name))
        .map_err(|cause| Error::io("create", folder.join(&id.name), cause))?;
    let registry = Registry::open(folder)?;
    let file = registry.path(&id);
    if file.exists() && !args.force {
        return Err(Error::config(
            "schema::exists",
            format!("there is {id} already: {}", file.display()),
        )
        .help("look at what would be written with --stdout; --force writes it anew"));
    }
    fs::write(&file, text).map_err(|cause| Error::io("write", &file, cause))?;
    let paint = screen.paint;
    let earlier = registry.versions(&id.name)?;
    let earlier = earlier.iter().rfind(|version| **version < id.version);
    let next = match earlier {
        Some(earlier) => format!("dkhost schema diff {}@{earlier} {id}", id.name),
        None => format!("dkhost schema show {id}"),
    };
    let fields = counted(version.fields.len() as u64, "field");
    screen.line(format!(
        "wrote {} ({fields})\n\n  {}",
        escape(&file.display().to_string()),
        paint.cyan(&escape(&next))
    ))?;
    Ok(0)
}

fn imported(id: &SchemaId, args: &ImportArgs) -> Result<Imported> {
    let from = &args.from;
    let end = from.extension().and_then(|end| end.to_str());
    match end {
        Some("toml") => {
            let job = JobArgs {
                job: from.clone(),
                plugins: Vec::new(),
                set: Vec::new(),
                json: false,
            };
            let plan = make_plan(&job, Purpose::Look, log_to(&Voice::new(true)))
                .map_err(|error| error.within(from))?;
            of_columns(id, plan.source.schema())
        }
        Some("json") if is_json_schema(from)? => {
            let text = fs::read_to_string(from).map_err(|cause| Error::io("read", from, cause))?;
            from_json_schema(id.clone(), &text)
        }
        _ => {
            let at = std::path::absolute(from).map_err(|cause| Error::io("find", from, cause))?;
            let options = json!({ "path": at.display().to_string() });
            let options = Options::from_json("the import", &options)?;
            let open = OpenSource {
                partitions: 1,
                ..OpenSource::default()
            };
            of_columns(id, FileBackend.open_source(options, &open)?.schema())
        }
    }
}

/// Whether a JSON file is a schema; records are not objects with `properties` or `$schema`.
fn is_json_schema(path: &Path) -> Result<bool> {
    const LOOKED_AT_MAX: u64 = 16 << 20;
    let length = path
        .metadata()
        .map_err(|cause| Error::io("read", path, cause))?
        .len();
    if length > LOOKED_AT_MAX {
        return Ok(false);
    }
    let text = fs::read(path).map_err(|cause| Error::io("read", path, cause))?;
    let value = serde_json::from_slice::<serde_json::Value>(&text);
    Ok(
        value
            .is_ok_and(|value| value.get("properties").is_some() || value.get("$schema").is_some()),
    )
}

/// A version of a source's columns. Documents may have further fields, so theirs is open.
fn of_columns(id: &SchemaId, schema: &Schema) -> Result<Imported> {
    let key: Vec<&str> = schema
        .key()
        .into_iter()
        .map(|at| &*schema.fields[at].name)
        .collect();
    let documents = schema.data_fields().any(|(_, field)| field.null_is_absent);
    let mut text = String::new();
    if !key.is_empty() {
        text += &format!("key = {}\n", json!(key));
    }
    if documents {
        text += "open = true\n";
    }
    let mut warnings = Vec::new();
    for (_, field) in schema.data_fields() {
        if [dkhost_schema::REMOVED, "_schema_version"].contains(&&*field.name) {
            warnings.push(format!(
                "`{}` belongs to migrations and is left out",
                field.name
            ));
            continue;
        }
        text += &format!(
            "[fields.{}]\ntype = {}\n",
            json!(field.name),
            json!(field.logical.to_string())
        );
        if !field.nullable && !key.contains(&&*field.name) {
            text += "required = true\n";
        }
    }
    Ok(Imported {
        version: read(id.clone(), &text)?,
        warnings,
    })
}
