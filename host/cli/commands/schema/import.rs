//! `dkhost schema import`: a version from what there is already.

use std::fs;
use std::path::Path;

use dkhost_core::{Backend, Error, Field, OpenSource, Options, Result, Schema};
use dkhost_engine::plan::Purpose;
use dkhost_file::FileBackend;
use dkhost_schema::compatibility::Mode;
use dkhost_schema::json_schema::{Imported, from_json_schema};
use dkhost_schema::rule::Rules;
use dkhost_schema::toml_text::toml;
use dkhost_schema::{FieldVersion, RESERVED, Registry, SchemaId, SchemaVersion, read};
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
    super::write(&file, &text, &id.to_string(), args.force)?;
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
    let key = schema.key().into_iter();
    let key: Vec<String> = key.map(|at| schema.fields[at].name.clone()).collect();
    let is_reserved = |field: &&Field| RESERVED.contains(&&*field.name);
    let columns = schema.data_fields().map(|(_, field)| field);
    let (reserved, columns): (Vec<&Field>, Vec<&Field>) = columns.partition(is_reserved);
    let fields = columns.iter().map(|field| FieldVersion {
        name: field.name.clone(),
        logical: field.logical.clone(),
        required: !field.nullable && !key.contains(&field.name),
        default: None,
        description: String::new(),
        was: None,
        rules: Rules::default(),
    });
    let version = SchemaVersion {
        id: id.clone(),
        description: String::new(),
        open: columns.iter().any(|field| field.null_is_absent),
        compatibility: Mode::None,
        fields: fields.collect(),
        checks: Vec::new(),
        key,
    };
    let left_out =
        |field: &&Field| format!("`{}` belongs to migrations and is left out", field.name);
    Ok(Imported {
        // What makes no sense as a version is found by reading it.
        version: read(id.clone(), &toml(&version))?,
        warnings: reserved.iter().map(left_out).collect(),
    })
}
