//! `dkhost schema apply`: the store a job writes to, brought to another version of its schema.

use std::sync::Mutex;

use dkhost_core::{Error, Result};
use dkhost_engine::history::{
    Application, ApplicationCounts, ApplicationEnd, ApplicationFilter, Author, Edited, History,
    Hop, JobLock, RunRecord, Status, edited,
};
use dkhost_engine::plan::{Evolution, Purpose};
use dkhost_engine::run::Ended;
use dkhost_engine::{Job, Plan, RunOptions, apply};
use serde_json::json;

use super::history::digest_now;
use crate::args::{ApplyArgs, JobArgs};
use crate::commands::run::{conclude, log_to, stop_flag};
use crate::commands::{load_job, plan, validate};
use crate::escape::escape;
use crate::registry;
use crate::screen::Screen;
use crate::watch::{Voice, Watch};

/// Applies a version, or shows what applying it would do.
pub fn apply(args: &ApplyArgs, screen: &mut Screen) -> Result<i32> {
    let voice = Voice::new(args.quiet || screen.json);
    let job = load_job(&JobArgs {
        job: args.job.clone(),
        plugins: args.plugins.clone(),
        set: args.set.clone(),
        json: args.json,
    })?;
    let registry = registry::registry(&job, log_to(&voice));
    let request = apply::Request {
        schema: args.name.clone(),
        from: args.from.clone(),
        to: args.to.clone(),
    };
    let apply::Applied {
        job: mut applied,
        is_there,
    } = apply::job_for(&job, &registry, &request)?;
    if is_there && unfinished(&applied)?.is_none() {
        return there(args, screen);
    }
    // Who only looks keeps nobody from writing.
    applied.in_place &= !args.dry_run;
    let purpose = match args.no_resume {
        true => Purpose::Anew,
        false => Purpose::Run,
    };
    let mut plan =
        Plan::make(applied, &registry, purpose).map_err(|error| said_here(error, args))?;
    match args.dry_run {
        true => look(&mut plan, args, &voice, screen),
        false => write(&plan, &job, args, &voice, screen),
    }
}

/// Shows the plan and checks every record.
fn look(plan: &mut Plan, args: &ApplyArgs, voice: &Voice, screen: &mut Screen) -> Result<i32> {
    if !args.quiet {
        plan::show(plan, screen)?;
        way(evolution(plan)?, voice);
        would_be_refused(plan, args, voice)?;
    }
    validate::check(plan, &stop_flag(voice)?, args.quiet, screen)
}

/// Says what a look is not kept from, and writing is.
fn would_be_refused(plan: &Plan, args: &ApplyArgs, voice: &Voice) -> Result<()> {
    let Some(history) = History::open_existing(&plan.job.state)? else {
        return Ok(());
    };
    match refuse_edited(&history, plan, evolution(plan)?) {
        Err(error) if error.code() == "schema::edited" && !args.accept_edited => {
            voice.say(&format!(
                "  {}: only --accept-edited applies it",
                escape(&error.to_string())
            ));
            Ok(())
        }
        Err(error) if error.code() != "schema::edited" => Err(error),
        _ => Ok(()),
    }
}

/// Carries the plan out; `job` is the one whose target the store is.
fn write(
    plan: &Plan,
    job: &Job,
    args: &ApplyArgs,
    voice: &Voice,
    screen: &mut Screen,
) -> Result<i32> {
    let evolution = evolution(plan)?;
    let history = History::open(&plan.job.state)?;
    if !args.accept_edited {
        refuse_edited(&history, plan, evolution)?;
    }
    // The job itself must not write to the store meanwhile.
    let _lock = JobLock::take(&history, &job.name)?;
    refuse_interrupted(&history, job)?;
    told(plan, evolution, voice);
    let row = application(plan, evolution, &job.name);
    let (ended, peak) = carried_out(plan, &history, row, args, voice, screen)?;
    conclude(&ended, &plan.job, peak, args.quiet, screen)
}

/// Points at the command, where the plan of a job would point at the job.
fn said_here(error: Error, args: &ApplyArgs) -> Error {
    match error.code() {
        "schema::no_version" => error.help(format!(
            "neither the store nor its records say it: add --from VERSION, one of `dkhost schema list {}`",
            args.name
        )),
        // There are no steps before it.
        "schema::missing_field" => error.help(format!(
            "give the store that field, or name the version that its records are of: --from VERSION, one of `dkhost schema list {}`",
            args.name
        )),
        "schema::unknown_field" => error.help(
            "say it in the version that the records are of, or open = true there; or name the right one with --from VERSION",
        ),
        "sqlite::generated_column" => error.help(
            "drop that column, apply the schema and add it again; or migrate into another table (a job with a step `migrate`)",
        ),
        _ => error,
    }
}

/// An application of the job that was interrupted.
fn unfinished(job: &Job) -> Result<Option<RunRecord>> {
    match History::open_existing(&job.state)? {
        Some(history) => history.unfinished(&job.name),
        None => Ok(None),
    }
}

/// Refuses a store that the job has only half written: what it left could not be taken up again.
///
/// *Errors* – `schema::interrupted_job`.
fn refuse_interrupted(history: &History, job: &Job) -> Result<()> {
    let Some(run) = history.unfinished(&job.name)? else {
        return Ok(());
    };
    let path = job.path.display();
    Err(Error::config(
        "schema::interrupted_job",
        format!(
            "run {} of job `{}` was interrupted and is not finished",
            run.id, job.name
        ),
    )
    .help(format!(
        "finish it first: `dkhost run {path}` goes on with it, and with --no-resume begins anew"
    )))
}

/// Says that there is nothing to do.
fn there(args: &ApplyArgs, screen: &mut Screen) -> Result<i32> {
    let (schema, to) = (&args.name, &args.to);
    if screen.json {
        screen
            .object(&json!({ "event": "nothing", "schema": schema, "version": to.to_string() }))?;
    } else if !args.quiet {
        screen.line(format!(
            "the store is at {} already",
            escape(&format!("{schema} {to}"))
        ))?;
    }
    Ok(0)
}

fn evolution(plan: &Plan) -> Result<&Evolution> {
    let last = plan.stages.last();
    let evolution = last.and_then(|stage| stage.evolution.as_ref());
    evolution.ok_or_else(|| Error::bug("an application has no migration"))
}

/// What will happen, before anything is written.
fn told(plan: &Plan, evolution: &Evolution, voice: &Voice) {
    let view = plan.view();
    voice.say(&format!(
        "{}: {} to {}",
        escape(&view.target.label),
        from_words(evolution),
        escape(&format!("{} {}", evolution.schema, evolution.to))
    ));
    way(evolution, voice);
    for effect in &view.target.effects {
        voice.say(&format!("  {}", escape(effect)));
    }
}

fn from_words(evolution: &Evolution) -> String {
    match &evolution.from {
        Some(from) => escape(&format!("{} {from}", evolution.schema)).into_owned(),
        None => "what each record says it is".to_owned(),
    }
}

/// The migrations, in order.
fn way(evolution: &Evolution, voice: &Voice) {
    if evolution.hops.is_empty() {
        voice.say("  no migration is needed: records are only checked");
    }
    for hop in &evolution.hops {
        voice.say(&format!("  {}", escape(&hop_words(hop))));
    }
}

fn hop_words(hop: &Hop) -> String {
    let direction = hop.direction.word();
    let by = match &hop.by {
        Author::File(file) => file.clone(),
        Author::Plugin(name) => format!("plugin {name}"),
    };
    format!("{direction} from {} to {} by {by}", hop.from, hop.to)
}

/// Runs the plan, with a row of the history that says what it was.
fn carried_out(
    plan: &Plan,
    history: &History,
    row: Application,
    args: &ApplyArgs,
    voice: &Voice,
    screen: &mut Screen,
) -> Result<(Ended, Option<f64>)> {
    let watch = Watch::new(&plan.job, voice, args.quiet, screen);
    let begun = Mutex::new(Ok(()));
    let options = RunOptions {
        kind: "schema",
        fresh: args.no_resume,
        accept_plan_change: args.accept_plan_change,
        stop: stop_flag(voice)?,
        on_start: &|progress| {
            let row = Application {
                run: progress.run.clone(),
                ..row.clone()
            };
            *begun
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) =
                history.begin_application(&row);
            watch.start(progress);
        },
    };
    let ended = dkhost_engine::run::run(plan, history, &options);
    let peak = watch.end();
    let ended = ended?;
    begun
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)?;
    let report = &ended.report;
    let end = ApplicationEnd {
        status: match report.status {
            "done" => Status::Done,
            "stopped" => Status::Stopped,
            _ => Status::Failed,
        },
        counts: ApplicationCounts::of(&json!(report)).unwrap_or_default(),
        duration_ms: report.duration_ms,
        message: ended.error.as_ref().map(Error::chain),
    };
    history.end_application(&report.run, report.epoch, &end)?;
    Ok((ended, peak))
}

/// What the history is told, but for the run.
fn application(plan: &Plan, evolution: &Evolution, job: &str) -> Application {
    Application {
        run: String::new(),
        schema: evolution.schema.clone(),
        from: evolution.from.as_ref().map(ToString::to_string),
        to: evolution.to.to_string(),
        direction: evolution.direction,
        job: job.to_owned(),
        store: plan.sink.plan().label.clone(),
        who: who(),
        hops: evolution.hops.clone(),
    }
}

/// Who types the command, as far as the machine knows: `ada@build-7`.
fn who() -> String {
    let name = ["USER", "LOGNAME"].into_iter();
    let name = name.filter_map(|name| std::env::var(name).ok()).next();
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    format!("{}@{host}", name.as_deref().unwrap_or("unknown"))
}

/// Refuses migrations that say something else than when they were applied, unless it was accepted
/// for this store.
///
/// *Errors* – `schema::edited`.
fn refuse_edited(history: &History, plan: &Plan, evolution: &Evolution) -> Result<()> {
    let records = history.applications(ApplicationFilter {
        schema: Some(&evolution.schema),
        limit: u32::MAX,
        ..ApplicationFilter::default()
    })?;
    let edits = edited(&records, &|schema, hop| {
        digest_now(&plan.job.schemas, schema, hop)
    });
    let store = &plan.sink.plan().label;
    // What brought the store to where it is, the latest first.
    let done = records
        .iter()
        .filter(|record| record.status == Status::Done);
    let own = done.filter(|record| record.application.store == *store);
    let applied: Vec<&Hop> = own.flat_map(|record| &record.application.hops).collect();
    let is_accepted = |hop: &Hop| {
        let latest = applied.iter().find(|applied| applied.by == hop.by);
        latest.is_some_and(|latest| latest.digest == hop.digest)
    };
    let is_used = |edit: &&Edited| {
        let mut hops = evolution.hops.iter();
        hops.any(|hop| hop.by == Author::File(edit.file.clone()) && !is_accepted(hop))
    };
    match edits.iter().find(is_used) {
        None => Ok(()),
        Some(edit) => Err(Error::config(
            "schema::edited",
            format!(
                "{}/{} was edited after it had been applied to {} on {}",
                edit.schema, edit.file, edit.store, edit.applied_at
            ),
        )
        .help("put it back as it was and write a further migration; or say --accept-edited where the difference does not matter")),
    }
}
