//! The commands: one file each, all of the shape arguments → calls of the engine → text or JSON.

mod backends;
mod doctor;
mod errors;
mod history;
mod job;
mod plan;
mod plugin;
mod preview;
mod run;
mod schema;
mod validate;

use std::path::Path;

use clap::CommandFactory;
use dkhost_core::{Error, Result};
use dkhost_engine::history::{History, StateUrl};
use dkhost_engine::job::DEFAULT_STATE;
use dkhost_engine::plan::Purpose;
use dkhost_engine::{Job, Plan};
use dkhost_plugin::LogSink;

use crate::args::{
    Cli, Command, ErrorsCommand, JobArgs, JobCommand, PluginCommand, SchemaCommand, StateArgs,
};
use crate::screen::{Screen, complain};
use crate::{error, registry};

/// Runs a command and returns the exit code of the process.
pub fn run(cli: Cli) -> i32 {
    let (json, events, job) = manners(&cli.command);
    let mut screen = Screen::new(cli.color, json);
    match dispatch(cli.command, &mut screen) {
        Ok(code) => code,
        Err(error) => {
            tell(&mut screen, &error, job.as_deref(), events);
            error::exit_code(&error)
        }
    }
}

/// How a command speaks: whether in JSON, whether its stdout is a stream of events that an error
/// ends, and which job file errors point into.
fn manners(command: &Command) -> (bool, bool, Option<std::path::PathBuf>) {
    let file = |path: &str| Path::new(path).is_file().then(|| path.into());
    match command {
        Command::Run(run) => (run.job.json, true, Some(run.job.job.clone())),
        Command::Plan(job)
        | Command::Validate(job)
        | Command::Preview { job, .. }
        | Command::Job(JobCommand::Check(job)) => (job.json, false, Some(job.job.clone())),
        Command::Errors(ErrorsCommand::Retry { of, state, .. }) => {
            (state.json, true, of.as_deref().and_then(file))
        }
        Command::Errors(ErrorsCommand::List { of, .. } | ErrorsCommand::Export { of, .. }) => {
            (of.state.json, false, of.run.as_deref().and_then(file))
        }
        Command::Errors(ErrorsCommand::Show { state, .. }) => (state.json, false, None),
        Command::Schema(
            SchemaCommand::List { json, .. }
            | SchemaCommand::Show { json, .. }
            | SchemaCommand::Diff { json, .. },
        ) => (*json, false, None),
        Command::Schema(SchemaCommand::Check(args)) => (args.json, false, None),
        Command::Schema(SchemaCommand::Apply(args)) => (args.json, true, Some(args.job.clone())),
        Command::Schema(SchemaCommand::History { state, job, .. }) => {
            (state.json, false, job.clone())
        }
        Command::History { run, state, .. } => (state.json, false, run.as_deref().and_then(file)),
        Command::Backends { json, .. } | Command::Doctor { json, .. } => (*json, false, None),
        Command::Plugin(PluginCommand::Test { json, .. } | PluginCommand::Inspect { json, .. }) => {
            (*json, false, None)
        }
        _ => (false, false, None),
    }
}

/// Prints an error: for people on stderr, for programs as an object – the last event of a stream
/// on stdout, else on stderr, where it cannot be taken for the answer.
pub fn tell(screen: &mut Screen, error: &Error, job: Option<&Path>, events: bool) {
    if !screen.json {
        complain(error::render(error, job, screen.paint_err));
    } else {
        let object = error::object(error, job);
        if !events {
            complain(crate::escape::escape_json(&object.to_string()));
        } else if let Err(second) = screen.object(&object) {
            complain(error::render(&second, None, screen.paint_err));
        }
    }
}

fn dispatch(command: Command, screen: &mut Screen) -> Result<i32> {
    match command {
        Command::Run(args) => run::run(&args, screen),
        Command::Plan(args) => plan::plan(&args, screen),
        Command::Preview { job, records } => preview::preview(&job, records, screen),
        Command::Validate(args) => validate::validate(&args, screen),
        Command::History { run, limit, state } => {
            history::history(run.as_deref(), limit, &state, screen)
        }
        Command::Errors(command) => errors::errors(command, screen),
        Command::Backends { name, .. } => backends::backends(name.as_deref(), screen),
        Command::Job(command) => job::job(command, screen),
        Command::Plugin(command) => plugin::plugin(command, screen),
        Command::Schema(command) => schema::schema(command, screen),
        Command::Completions { shell } => completions(shell, screen),
        Command::Doctor { job, .. } => doctor::doctor(job.as_deref(), screen),
    }
}

fn completions(shell: clap_complete::Shell, screen: &mut Screen) -> Result<i32> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dkhost", &mut script);
    screen.bytes(&script)?;
    Ok(0)
}

/// The child's side of compiling a component: no command of the program, since only the program
/// itself starts it. The parent reads one line of stderr.
pub fn compile_plugin(input: &Path, output: &Path) -> i32 {
    match dkhost_plugin::compile_child(input, output) {
        Ok(()) => 0,
        Err(error) => {
            complain(crate::escape::escape(&error.chain()));
            error::exit_code(&error)
        }
    }
}

/// Reads a job file with what the command line adds to it.
fn load_job(args: &JobArgs) -> Result<Job> {
    let mut job = Job::load(&args.job, &variable, &args.set)?;
    job.bind_plugins(&args.plugins);
    Ok(job)
}

/// A plan for `args`; what plugins say goes to `log`.
fn make_plan(args: &JobArgs, purpose: Purpose, log: LogSink) -> Result<Plan> {
    let job = load_job(args)?;
    let registry = registry::registry(&job, log);
    Plan::make(job, &registry, purpose)
}

/// `${NAME}` in job files.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A history, and what of it is meant.
struct Looked {
    history: History,
    /// The job whose file was given.
    job: Option<String>,
    /// The run that was named.
    run: Option<String>,
}

/// Opens the history a command means: that of `--state`, of a job file, or of this folder.
///
/// *Errors* – `history::empty` when there is none; looking never creates one.
fn look(named: Option<&str>, state: &StateArgs) -> Result<Looked> {
    let job = match named.filter(|name| is_job_file(name)) {
        Some(path) => Some(Job::load(Path::new(path), &lenient, &[])?),
        None => None,
    };
    let place = match (&state.state, &job) {
        (Some(url), _) => StateUrl::parse(url, Path::new("."))?,
        (None, Some(job)) => job.state.clone(),
        (None, None) => StateUrl::parse(DEFAULT_STATE, Path::new("."))?,
    };
    let history = History::open_existing(&place)?.ok_or_else(|| {
        let form = match place.is_server() {
            true => "--state postgres://…",
            false => "--state sqlite:PATH",
        };
        Error::config("history::empty", format!("there is no history at `{place}`"))
            .help(format!("give the job file (`dkhost history job.toml`) or {form}; the first `dkhost run` makes it"))
    })?;
    let run = named.filter(|_| job.is_none()).map(str::to_owned);
    Ok(Looked {
        history,
        job: job.map(|job| job.name),
        run,
    })
}

/// An argument that means a job file: it ends like one, or is a file.
fn is_job_file(name: &str) -> bool {
    name.ends_with(".toml") || name.contains('/')
}

/// Looking at a history needs no secrets: a variable that is not set stands for itself.
fn lenient(name: &str) -> Option<String> {
    Some(variable(name).unwrap_or_else(|| format!("${{{name}}}")))
}
