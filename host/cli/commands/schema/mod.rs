//! `dkhost schema`: versions of schemas, and the stores that are brought to them.

mod apply;
mod check;
mod export;
mod generate;
mod history;
mod import;
mod versions;

use std::path::Path;

use dkhost_core::{Error, Result};
use dkhost_engine::job::DEFAULT_SCHEMAS;
use dkhost_schema::Registry;

use crate::args::{FolderArgs, SchemaCommand};
use crate::screen::Screen;

/// Runs one of the commands.
pub fn schema(command: SchemaCommand, screen: &mut Screen) -> Result<i32> {
    match command {
        SchemaCommand::List { name, folder, .. } => {
            versions::list(&registry(&folder)?, name.as_deref(), screen)
        }
        SchemaCommand::Show {
            version, folder, ..
        } => versions::show(&registry(&folder)?, &version, screen),
        SchemaCommand::Diff {
            from, to, folder, ..
        } => versions::diff(&registry(&folder)?, &from, &to, screen),
        SchemaCommand::Check(args) => check::check(&registry(&args.folder)?, &args, screen),
        SchemaCommand::Generate(args) => generate::write(&registry(&args.folder)?, &args, screen),
        SchemaCommand::Export {
            version,
            format,
            output,
            folder,
        } => export::export(
            &registry(&folder)?,
            &version,
            &format,
            output.as_deref(),
            screen,
        ),
        SchemaCommand::Import(args) => import::import(&args, screen),
        SchemaCommand::Apply(args) => apply::apply(&args, screen),
        SchemaCommand::History {
            name,
            job,
            folder,
            limit,
            state,
        } => history::history(
            name.as_deref(),
            job.as_deref(),
            folder.schemas.as_deref(),
            limit,
            &state,
            screen,
        ),
    }
}

/// Writes a file of a schema: one that is there, called `what`, only with `force`.
///
/// *Errors* – `schema::exists`.
fn write(path: &Path, text: &str, what: &str, force: bool) -> Result<()> {
    if path.exists() && !force {
        return Err(Error::config(
            "schema::exists",
            format!("there is {what} already: {}", path.display()),
        )
        .help("look at what would be written with --stdout; --force writes it anew"));
    }
    std::fs::write(path, text).map_err(|cause| Error::io("write", path, cause))
}

fn registry(folder: &FolderArgs) -> Result<Registry> {
    Registry::open(path(folder))
}

fn path(folder: &FolderArgs) -> &Path {
    folder
        .schemas
        .as_deref()
        .unwrap_or(Path::new(DEFAULT_SCHEMAS))
}
