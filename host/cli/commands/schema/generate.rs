//! `dkhost schema generate`: the migration between two versions, written beside them.

use dkhost_core::Result;
use dkhost_schema::migration::generate::{Generate, generate};
use dkhost_schema::migration::{self, lossless};
use dkhost_schema::{Bump, Registry, SchemaId, differences};
use semver::Version;

use crate::args::GenerateArgs;
use crate::escape::escape;
use crate::screen::Screen;

/// Writes the migration, or prints it.
///
/// *Errors* – `schema::no_conversion`; `schema::exists` for a file that is there.
pub fn write(registry: &Registry, args: &GenerateArgs, screen: &mut Screen) -> Result<i32> {
    let read = |version: &Version| {
        registry.version(&SchemaId {
            name: args.name.clone(),
            version: version.clone(),
        })
    };
    let (from, to) = (read(&args.from)?, read(&args.to)?);
    Bump::check(&from.id, &to.id, &differences(&from, &to))?;
    let options = Generate {
        keep_removed: args.keep_removed,
    };
    let file = generate(&from, &to, options)?;
    if args.stdout {
        screen.line(file.text.trim_end())?;
        return Ok(0);
    }
    let path = registry.migration_path(&args.name, &args.from, &args.to);
    super::write(&path, &file.text, "a migration", args.force)?;
    let migration = migration::read(&args.name, args.from.clone(), args.to.clone(), &file.text)?;
    let promise = lossless::promise(&migration, &from);
    let paint = screen.paint;
    let mut lines = vec![format!("wrote {}", escape(&path.display().to_string()))];
    lines.push(match (promise.reversible, promise.lossless) {
        (false, _) => paint.yellow("there is no way down"),
        (true, false) => paint.yellow("down after up does not give every record back"),
        (true, true) => paint.green("down after up gives every record back"),
    });
    let reasons = promise.why.iter().chain(&file.notes);
    lines.extend(reasons.map(|reason| format!("  - {}", escape(reason))));
    lines.push(String::new());
    let command = format!("dkhost schema check {}", args.name);
    lines.push(format!(
        "  {}  tries it on made-up records",
        paint.cyan(&escape(&command))
    ));
    screen.line(lines.join("\n"))?;
    Ok(0)
}
