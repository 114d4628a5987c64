//! `dkhost errors retry`: refused records through the job again, as a run of its own.

use std::path::PathBuf;

use dkhost_core::{Error, Result};
use dkhost_engine::history::{History, RunRecord};
use dkhost_engine::job::PluginBinding;
use dkhost_engine::{Job, RunOptions};

use crate::args::{JobArgs, StateArgs};
use crate::commands::run::{conclude, log_to, stop_flag};
use crate::commands::{is_job_file, load_job, look};
use crate::escape::escape;
use crate::registry;
use crate::screen::Screen;
use crate::watch::{Voice, Watch};

/// Retries the open letters of a job, whichever of its runs refused them; of one run only, where a
/// run was named.
pub fn retry(
    of: Option<&str>,
    plugins: &[PluginBinding],
    set: &[String],
    state: &StateArgs,
    screen: &mut Screen,
) -> Result<i32> {
    let looked = look(of, state)?;
    let run = match &looked.run {
        Some(named) => looked.history.find(Some(named))?,
        None => latest(&looked.history, looked.job.as_deref())?,
    };
    refuse_application(&run)?;
    // A job may be named as well as a run.
    let only = looked
        .run
        .as_ref()
        .filter(|named| **named != run.job)
        .map(|_| run.id.clone());
    let job = load_job(&JobArgs {
        job: job_file(of, &run)?,
        plugins: plugins.to_vec(),
        set: set.to_vec(),
        json: screen.json,
    })?;
    same_job(&job, &run)?;
    let voice = Voice::new(screen.json);
    let registry = registry::registry(&job, log_to(&voice));
    let watch = Watch::new(&job, &voice, false, screen);
    let options = RunOptions {
        kind: "retry",
        fresh: false,
        accept_plan_change: true,
        stop: stop_flag(&voice)?,
        on_start: &|progress| watch.start(progress),
    };
    let ended = dkhost_engine::dead_letters::retry(
        job.clone(),
        &registry,
        &looked.history,
        only.as_deref(),
        &options,
    );
    let peak = watch.end();
    match ended.map_err(|error| finished_file(error, &job))? {
        Some(ended) => conclude(&ended, &job, peak, false, screen),
        None => {
            match screen.json {
                true => screen.object(&serde_json::json!({ "event": "report", "run": run.id, "status": "nothing to retry", "exit_code": 0 }))?,
                false => screen.line(nothing(only.as_deref(), &run))?,
            }
            Ok(0)
        }
    }
}

fn nothing(only: Option<&str>, run: &RunRecord) -> String {
    let whose = match only {
        Some(id) => format!("run {}", escape(id)),
        None => format!("job {}", escape(&run.job)),
    };
    format!("{whose} has no open refused records")
}

/// A file that was published is finished; the records then need one of their own.
fn finished_file(error: Error, job: &Job) -> Error {
    if error.code() != "target::exists" {
        return error;
    }
    let job = job.path.display();
    error.help(format!(
        "a finished file takes no more records; write them to another: dkhost errors retry {job} --set target.path=retried.jsonl"
    ))
}

/// The latest run whose letters can be retried: not a retry that was interrupted itself, since the
/// letters it takes are those of the run before.
fn latest(history: &History, job: Option<&str>) -> Result<RunRecord> {
    let of_job = history.find(job)?;
    let runs = history.runs(Some(&of_job.job), 100)?;
    let interrupted_retry = |run: &RunRecord| run.kind == "retry" && run.status.is_unfinished();
    Ok(runs
        .into_iter()
        .find(|run| !interrupted_retry(run))
        .unwrap_or(of_job))
}

/// Records that no migration could bring to the wanted version would only be refused again, and the
/// job's own steps are made for others.
fn refuse_application(run: &RunRecord) -> Result<()> {
    if run.kind != "schema" {
        return Ok(());
    }
    let id = &run.id;
    Err(Error::config(
        "errors::of_a_schema",
        format!("run {id} applied a schema, and what it refused is no record of a job"),
    )
    .help(format!(
        "`dkhost errors export refused.jsonl {id}` writes the records down; mend them and load them with a job"
    )))
}

fn job_file(of: Option<&str>, run: &RunRecord) -> Result<PathBuf> {
    if let Some(path) = of.filter(|of| is_job_file(of)) {
        return Ok(path.into());
    }
    let path = PathBuf::from(&run.job_path);
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::config(
        "errors::no_job",
        format!(
            "the job file of run {} is not at `{}`",
            run.id,
            path.display()
        ),
    )
    .help("give it: dkhost errors retry job.toml"))
}

fn same_job(job: &Job, run: &RunRecord) -> Result<()> {
    if job.name == run.job {
        return Ok(());
    }
    Err(Error::config(
        "errors::other_job",
        format!(
            "run {} is of job `{}`, but the file says `{}`",
            run.id, run.job, job.name
        ),
    )
    .help("give the job file the run was made with"))
}
