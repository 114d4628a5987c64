//! The commands about versions of schemas.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use dkhost_engine::job::PluginBinding;
use dkhost_schema::compatibility::{MODES, Mode};

use super::StateArgs;

#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// List the versions there are
    List {
        /// Only this schema
        name: Option<String>,
        #[command(flatten)]
        folder: FolderArgs,
        /// JSON instead of text, one object per line
        #[arg(long)]
        json: bool,
    },
    /// Show what a version says
    Show {
        /// A version, user@2.0.0, or a schema, whose newest version is shown
        version: String,
        #[command(flatten)]
        folder: FolderArgs,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Show how two versions differ, and what each difference may do to records
    Diff {
        /// The older one: user@1.0.0
        from: String,
        /// The newer one: user@2.0.0
        to: String,
        #[command(flatten)]
        folder: FolderArgs,
        /// JSON instead of text, one object per line
        #[arg(long)]
        json: bool,
    },
    /// Check versions, migrations and what they promise; for CI
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Write the migration between two versions, to be looked at and edited
    Generate(GenerateArgs),
    /// Write a version as JSON Schema, as an Arrow file without rows, or as TOML
    Export {
        /// A version, user@2.0.0, or a schema, whose newest version is meant
        version: String,
        /// What is written
        #[arg(long, default_value = "json-schema", value_name = "FORMAT", value_parser = ["json-schema", "arrow", "toml"])]
        format: String,
        /// Where to; stdout when left out
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        folder: FolderArgs,
    },
    /// Write a version from a JSON Schema, a job's source, or a sample of records
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Bring the store a job writes to to another version of its schema
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(ApplyArgs),
    /// List which store was brought to which version, by whom, by which migrations
    History {
        /// Only this schema
        name: Option<String>,
        /// Only by this job; its folder of schemas and its history are looked at
        #[arg(long, value_name = "JOB")]
        job: Option<PathBuf>,
        #[command(flatten)]
        folder: FolderArgs,
        /// Applications listed at most
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
        #[command(flatten)]
        state: StateArgs,
    },
}

/// Where versions of schemas lie.
#[derive(Debug, Clone, Args)]
pub struct FolderArgs {
    /// The folder of schemas; `schemas` when left out
    #[arg(long, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Only this schema
    pub name: Option<String>,
    /// What every version is to promise to the one before; left out, what each declares
    #[arg(long, value_name = "MODE", value_parser = modes())]
    pub mode: Option<Mode>,
    /// Promises hold towards all versions before, not only the last
    #[arg(long)]
    pub all: bool,
    /// Made-up records each migration is tried on
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub records: usize,
    #[command(flatten)]
    pub folder: FolderArgs,
    /// JSON instead of text, one object per line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// The schema
    pub name: String,
    /// The older version
    pub from: semver::Version,
    /// The newer version
    pub to: semver::Version,
    /// Keep the values of fields that go, so that the way back gives them back
    #[arg(long)]
    pub keep_removed: bool,
    /// Print it instead of writing the file
    #[arg(long)]
    pub stdout: bool,
    /// Write over a file that is there
    #[arg(long, conflicts_with = "stdout")]
    pub force: bool,
    #[command(flatten)]
    pub folder: FolderArgs,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The version that is written: user@1.0.0
    pub version: String,
    /// A JSON Schema (.json), a job (.toml), whose source is looked at, or a file of records
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// Print it instead of writing the file
    #[arg(long)]
    pub stdout: bool,
    /// Write over a version that is there
    #[arg(long, conflicts_with = "stdout")]
    pub force: bool,
    #[command(flatten)]
    pub folder: FolderArgs,
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The schema
    pub name: String,
    /// The version the records are of; left out, what the store or each record says
    #[arg(long, value_name = "VERSION")]
    pub from: Option<semver::Version>,
    /// The version they are brought to; an older one undoes
    #[arg(long, value_name = "VERSION")]
    pub to: semver::Version,
    /// The job whose target is the store
    #[arg(long, value_name = "JOB")]
    pub job: PathBuf,
    /// A component that offers migrations; NAME is the file's stem when left out
    #[arg(long = "plugin", value_name = "[NAME=]PATH")]
    pub plugins: Vec<PluginBinding>,
    /// Override a key of the job: --set run.on_error=dead-letter
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Show the plan and check every record, but write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Start over although an interrupted application could go on
    #[arg(long)]
    pub no_resume: bool,
    /// Go on with an interrupted application although a migration or a plugin changed
    #[arg(long, conflicts_with = "no_resume")]
    pub accept_plan_change: bool,
    /// Apply a migration that was edited after it had been applied
    #[arg(long)]
    pub accept_edited: bool,
    /// Print errors only
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// The modes, by name for help and completion.
fn modes() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(MODES).try_map(|word| word.parse::<Mode>())
}

const CHECK_EXAMPLES: &str = "\
Examples:
  dkhost schema check                          every schema of the folder
  dkhost schema check user --mode backward     exit code 2 when a promise is broken
  dkhost schema check user --mode full --all   towards all versions before";

const IMPORT_EXAMPLES: &str = "\
Examples:
  dkhost schema import user@1.0.0 --from user.schema.json
  dkhost schema import user@1.0.0 --from job.toml         the table, index or files that the job reads
  dkhost schema import user@1.0.0 --from users.jsonl      types inferred from the first 10,000 records

Of a table the types and the key are taken over, and NOT NULL where that binds every value (PostgreSQL);
its checks are not.";

const APPLY_EXAMPLES: &str = "\
Examples:
  dkhost schema apply user --to 2.0.0 --job job.toml --dry-run
  dkhost schema apply user --from 1.0.0 --to 2.0.0 --job job.toml
  dkhost schema apply user --to 1.0.0 --job job.toml                    back, where every step is reversible
  dkhost schema apply customers --to 2.0.0 --job job.toml --plugin customers-v2.wasm

The store is read and written in one run: what comes out is staged beside it and swapped in at the
end. Killed at any moment, the same command goes on.";
