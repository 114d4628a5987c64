//! The command line, as people type it.
//!
//! clap parses it, names the nearest known word for a misspelt one and prints the help. What the
//! design has and this version does not is refused with a sentence (see [`later`]) and stays out of
//! the help, so that nobody plans with it.

mod schema;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dkhost_engine::job::PluginBinding;

pub use schema::{ApplyArgs, CheckArgs, FolderArgs, GenerateArgs, ImportArgs, SchemaCommand};

/// Moves records between stores, through sandboxed plugins.
#[derive(Debug, Parser)]
#[command(name = "dkhost", version, arg_required_else_help = true)]
#[command(after_help = "\
A first job:
  dkhost job init               writes job.toml, which runs as it stands
  dkhost plan job.toml          what would happen, nothing written
  dkhost run job.toml           makes it happen; after an interruption, the same command goes on

Exit codes: 0 done, 2 usage or job, 3 done with dead letters, 4 stopped by the data, 5 environment,
6 plugin, 7 locked by another run, 8 state corrupt, 130/143 stopped by a signal, 101 a bug.")]
pub struct Cli {
    /// Colours: auto follows the terminal and NO_COLOR
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_possible_values = true
    )]
    pub color: ColorChoice,
    #[command(subcommand)]
    pub command: Command,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Do what the job says; takes up a run that was interrupted
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Show everything that would happen, typed; nothing is written
    Plan(JobArgs),
    /// Show the first records before and after every step
    Preview {
        #[command(flatten)]
        job: JobArgs,
        /// How many source records
        #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
        records: u32,
    },
    /// Check every record against every step; nothing is written
    Validate(JobArgs),
    /// List runs, or show one: partitions, checkpoints, steps, plugins
    #[command(after_help = HISTORY_EXAMPLES)]
    History {
        /// Run id or the beginning of one, a job's name, or a job file; all runs when left out
        #[arg(value_name = "RUN|JOB")]
        run: Option<String>,
        /// Runs listed at most
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Refused records: list, show, export, retry
    #[command(subcommand)]
    Errors(ErrorsCommand),
    /// List the backends and their options
    Backends {
        /// Only this one
        name: Option<String>,
        /// One JSON object per backend
        #[arg(long)]
        json: bool,
    },
    /// Job files: write one, check one, print their JSON Schema
    #[command(subcommand)]
    Job(JobCommand),
    /// Plugins: start, build, test and inspect them
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Versions of schemas: bring stores to them, look at what was done
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  dkhost completions bash > ~/.local/share/bash-completion/completions/dkhost"
    )]
    Completions { shell: clap_complete::Shell },
    /// Check what dkhost needs on this machine
    Doctor {
        /// Check the state of this job instead of `.dkhost` in this folder
        job: Option<PathBuf>,
        /// One JSON object per check
        #[arg(long)]
        json: bool,
    },
}

/// A job file and what the command line adds to it.
#[derive(Debug, Clone, Args)]
pub struct JobArgs {
    /// The job file
    pub job: PathBuf,
    /// Bind a component to the steps that name it; NAME is the file's stem when left out
    #[arg(long = "plugin", value_name = "[NAME=]PATH")]
    pub plugins: Vec<PluginBinding>,
    /// Override a key of the job: --set run.parallel=4
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// JSON instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Plan, and check every record, but write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Start over although an interrupted run could go on
    #[arg(long)]
    pub no_resume: bool,
    /// Start over and read everything, wherever the cursor of an incremental job stands
    #[arg(long, conflicts_with = "no_resume")]
    pub full: bool,
    /// Go on with an interrupted run although the job or a plugin changed
    #[arg(long, conflicts_with_all = ["no_resume", "full"])]
    pub accept_plan_change: bool,
    /// Print errors only
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
}

/// Which history is meant.
#[derive(Debug, Clone, Args)]
pub struct StateArgs {
    /// Where the history is kept: sqlite:PATH or postgres://…
    #[arg(long, value_name = "URL")]
    pub state: Option<String>,
    /// JSON instead of text, one object per line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ErrorsCommand {
    /// List refused records of a run
    #[command(after_help = ERRORS_EXAMPLES)]
    List {
        #[command(flatten)]
        of: LettersOf,
        /// Those too that a retry brought in
        #[arg(long)]
        all: bool,
        /// Records listed at most
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: u32,
    },
    /// Show one refused record with everything known about it
    Show {
        /// Its number in the list
        number: i64,
        /// A job file whose history is meant
        #[arg(value_name = "JOB")]
        job: Option<String>,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Write refused records to a file as JSON Lines
    Export {
        /// The file; `-` for stdout
        file: PathBuf,
        #[command(flatten)]
        of: LettersOf,
    },
    /// Take refused records through the job again
    Retry {
        /// The job file, or a run whose job file lies where it did
        #[arg(value_name = "JOB|RUN")]
        of: Option<String>,
        /// Bind a component to the steps that name it
        #[arg(long = "plugin", value_name = "[NAME=]PATH")]
        plugins: Vec<PluginBinding>,
        /// Override a key of the job: --set run.on_error=skip
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
        #[command(flatten)]
        state: StateArgs,
    },
}

/// The letters of which run.
#[derive(Debug, Clone, Args)]
pub struct LettersOf {
    /// Run id or the beginning of one, a job's name, or a job file; the latest run when left out
    #[arg(value_name = "RUN|JOB")]
    pub run: Option<String>,
    #[command(flatten)]
    pub state: StateArgs,
}

#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Write a commented job file that runs as it stands
    Init {
        #[arg(default_value = "job.toml")]
        file: PathBuf,
    },
    /// Check a job file without opening a store
    Check(JobArgs),
    /// Print the JSON Schema that editors complete job files from
    #[command(
        after_help = "Example:\n  dkhost job schema > dkhost-job.schema.json\n  and `#:schema dkhost-job.schema.json` as the first line of a job file"
    )]
    Schema,
}

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Start a plugin: a folder with source, README and golden cases
    New {
        /// Name of the plugin and its folder: lower case, digits, `-`
        name: String,
        /// Language of the plugin
        #[arg(long, default_value = "rust", value_name = "LANG")]
        lang: String,
        /// What it is: transformer, record-filter or schema-migration
        #[arg(long, default_value = "transformer", value_name = "WORLD")]
        world: String,
        /// Folder of the SDK's source; the one beside this program when left out
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Build a plugin's folder into a component
    Build {
        /// The plugin's folder
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Where the component goes; DIR/NAME.wasm when left out
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Build a plugin and run its golden cases
    Test {
        /// The plugin's folder
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Test this component instead of building one
        #[arg(long, value_name = "FILE")]
        component: Option<PathBuf>,
        /// Take what comes out as what is expected
        #[arg(long)]
        bless: bool,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Show what a component is: plugins, contract, imports, exports, digest
    Inspect {
        file: PathBuf,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  dkhost run job.toml
  dkhost run job.toml --plugin clean.wasm --set run.parallel=4
  dkhost run job.toml --dry-run            plan and check every record, write nothing
  dkhost run job.toml --json | jq .counts  one object per event, the report last";

const HISTORY_EXAMPLES: &str = "\
Examples:
  dkhost history                 runs in .dkhost/state.db of this folder
  dkhost history job.toml        runs of this job
  dkhost history 0198f3          one run";

const ERRORS_EXAMPLES: &str = "\
Examples:
  dkhost errors list job.toml    refused records of the job's latest run
  dkhost errors show 3 job.toml
  dkhost errors retry job.toml   after mending the job or the plugin";

/// The commands and options of the design that this version does not have, each with a sentence.
pub fn later(word: &str) -> Option<&'static str> {
    Some(match word {
        "rollback" => {
            "undoing what a run wrote comes in a later version; `on_conflict = \"replace-all\"` publishes all or nothing today"
        }
        "replay" => "replaying chunks against their receipts comes in a later version",
        "verify" => {
            "comparing on its own comes in a later version; `run.verify = \"full\"` compares during the run today"
        }
        "tune" => {
            "tuning comes in a later version; `--set run.batch.rows=…` and `--set run.parallel=…` try values by hand"
        }
        "serve" => "the web page comes in a later version; `dkhost history` shows the runs today",
        "cluster" => {
            "running on several machines comes in a later version; `run.parallel` uses the cores of one"
        }
        "sign" | "push" | "pull" | "lock" | "update" => {
            "signatures, registries and lock files come in a later version; `dkhost plugin inspect` prints the digest today"
        }
        "bench" => {
            "measuring a plugin alone comes in a later version; a run's report shows the CPU time of each step"
        }
        "docs" => {
            "`dkhost backends` lists every option, `dkhost job schema` prints them for editors"
        }
        "--locked" => {
            "lock files come in a later version; the history keeps the digest of every plugin today"
        }
        _ => return None,
    })
}
