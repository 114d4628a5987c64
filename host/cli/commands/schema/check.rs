//! `dkhost schema check`: every version and migration of a folder looked at, for CI.

use std::path::{Path, PathBuf};

use dkhost_core::{Error, Result};
use dkhost_engine::steps::migrate::{By, Hop, Way};
use dkhost_engine::trial::{Trial, trial};
use dkhost_schema::compatibility::{self, Mode};
use dkhost_schema::migration::{check, lossless};
use dkhost_schema::{Bump, Direction, Migration, Registry, SchemaId, SchemaVersion, differences};
use semver::Version;
use serde_json::json;

use crate::args::CheckArgs;
use crate::error;
use crate::escape::escape;
use crate::screen::Screen;

/// What a folder with mistakes ends with, as every mistake in a file does.
const WRONG: i32 = 2;

/// Made-up records are the same each time.
const SEED: u64 = 1;

/// Checks one schema or all, and says of each file what was found.
pub fn check(registry: &Registry, args: &CheckArgs, screen: &mut Screen) -> Result<i32> {
    let names = match &args.name {
        Some(name) => vec![name.clone()],
        None => registry.names()?,
    };
    let mut code = 0;
    for name in &names {
        let versions = registry.versions(name)?;
        let look = Look {
            registry,
            name,
            mode: args.mode,
            all: args.all,
            records: args.records,
        };
        for (at, version) in versions.iter().enumerate() {
            let found = look.version(version, &versions[..at]);
            code = code.max(tell(&look.path(version), found, screen)?);
        }
        for (from, to) in registry.migrations(name)? {
            let found = look.migration(&from, &to);
            let path = registry.migration_path(name, &from, &to);
            code = code.max(tell(&path, found, screen)?);
        }
    }
    Ok(code)
}

/// Says what was found of a file: what is good about it, or what is wrong.
fn tell(path: &Path, found: Result<String>, screen: &mut Screen) -> Result<i32> {
    let file = path.display().to_string();
    let (said, wrong) = match found {
        Ok(said) => (said, None),
        Err(error) => (String::new(), Some(error)),
    };
    if screen.json {
        let mut object = json!({ "file": file, "ok": wrong.is_none(), "note": said });
        if let Some(wrong) = &wrong {
            object["error"] = error::object(wrong, Some(path));
        }
        screen.object(&object)?;
    } else {
        let paint = screen.paint;
        match &wrong {
            None => screen.line(format!(
                "{} {}  {}",
                paint.green("ok"),
                escape(&file),
                paint.dim(&escape(&said))
            ))?,
            Some(wrong) => screen.line(format!(
                "{} {}\n{}",
                paint.red("wrong"),
                escape(&file),
                error::render(wrong, Some(path), paint)
            ))?,
        }
    }
    Ok(match wrong {
        None => 0,
        Some(_) => WRONG,
    })
}

struct Look<'a> {
    registry: &'a Registry,
    name: &'a str,
    mode: Option<Mode>,
    all: bool,
    records: usize,
}

impl Look<'_> {
    fn id(&self, version: &Version) -> SchemaId {
        SchemaId {
            name: self.name.to_owned(),
            version: version.clone(),
        }
    }

    fn path(&self, version: &Version) -> PathBuf {
        self.registry.path(&self.id(version))
    }

    fn read(&self, version: &Version) -> Result<SchemaVersion> {
        self.registry.version_alone(&self.id(version))
    }

    /// A version: itself, its number, and what it promises to those before.
    fn version(&self, version: &Version, before: &[Version]) -> Result<String> {
        let read = self.read(version)?;
        let Some(last) = before.last() else {
            return Ok("the first version".to_owned());
        };
        let last = self.read(last)?;
        let found = differences(&last, &read);
        Bump::check(&last.id, &read.id, &found)?;
        let mode = self.mode.unwrap_or(read.compatibility);
        let first = match self.all {
            true => 0,
            false => before.len() - 1,
        };
        for older in before[first..].iter().rev() {
            compatibility::ensure(&self.read(older)?, &read, mode)?;
        }
        let promise = match mode {
            Mode::None => String::new(),
            mode => format!(", {mode}"),
        };
        Ok(format!(
            "a {} version after {}{promise}",
            Bump::between(&last.id.version, version),
            last.id.version
        ))
    }

    /// A migration: against both versions, and tried on made-up records.
    fn migration(&self, from: &Version, to: &Version) -> Result<String> {
        let migration = self.registry.migration(self.name, from, to)?;
        let path = self.registry.migration_path(self.name, from, to);
        let (from, to) = (self.read(from)?, self.read(to)?);
        check::check(&migration, &from, &to).map_err(|error| error.within(&path))?;
        let promise = lossless::promise(&migration, &from);
        let way = |start: &SchemaVersion, end: &SchemaVersion, direction| Way {
            from: start.clone(),
            hops: vec![Hop {
                to: end.clone(),
                direction,
                by: By::File {
                    migration: migration.clone(),
                    path: path.clone(),
                },
            }],
        };
        let down = migration
            .down
            .as_ref()
            .map(|_| way(&to, &from, Direction::Down));
        let words = match trial(way(&from, &to, Direction::Up), down, self.records, SEED) {
            Ok(tried) => {
                if promise.lossless {
                    kept(&tried, &migration)?;
                }
                trial_words(&tried)
            }
            Err(error) if error.code() == "schema::no_sample" => format!("not tried: {error}"),
            Err(error) => return Err(error),
        };
        Ok(format!("{}; {words}", promised(&promise)))
    }
}

fn promised(promise: &lossless::Promise) -> String {
    match (promise.reversible, promise.lossless) {
        (false, _) => "only up".to_owned(),
        (true, true) => "reversible, lossless".to_owned(),
        (true, false) => format!("reversible, not lossless: {}", promise.why.join("; ")),
    }
}

fn trial_words(tried: &Trial) -> String {
    match (tried.refused, &tried.reason) {
        (0, _) => format!("tried on {} made-up records", tried.tried),
        (n, Some(reason)) => format!(
            "{n} of {} made-up records are refused: {reason}",
            tried.tried
        ),
        (n, None) => format!("{n} of {} made-up records are refused", tried.tried),
    }
}

/// Refuses a promise that made-up records do not keep.
///
/// *Errors* – `schema::not_lossless`.
fn kept(tried: &Trial, migration: &Migration) -> Result<()> {
    let what = match &tried.example {
        Some((field, before, after)) => {
            format!("`{field}` went up as {before} and came down as {after}")
        }
        None if tried.refused_down > 0 => {
            "a record went up and was refused on the way down".to_owned()
        }
        None => return Ok(()),
    };
    Err(Error::config(
        "schema::not_lossless",
        format!(
            "{} to {} should give every record back: {what}",
            migration.from, migration.to
        ),
    )
    .help("look at its [[down]] operations"))
}
