//! `dkhost schema`: versions of schemas, and the stores that are brought to them.

mod apply;
mod history;

use dkhost_core::Result;

use crate::args::SchemaCommand;
use crate::screen::Screen;

/// Runs one of the commands.
pub fn schema(command: SchemaCommand, screen: &mut Screen) -> Result<i32> {
    match command {
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
