//! `dkhost run`: plan, move records, report.

use dkhost_core::{Error, Result};
use dkhost_engine::history::History;
use dkhost_engine::plan::Purpose;
use dkhost_engine::run::{Ended, StopFlag};
use dkhost_engine::{Job, Plan, RunOptions};
use dkhost_plugin::{Level, LogLine, LogSink};

use super::{load_job, make_plan, plan, validate};
use crate::args::RunArgs;
use crate::escape::escape;
use crate::screen::{Screen, complain};
use crate::watch::{Voice, Watch};
use crate::{error, registry, report, signals};

/// Runs a job to its end, a signal, or an error.
pub fn run(args: &RunArgs, screen: &mut Screen) -> Result<i32> {
    let voice = Voice::new(args.quiet || screen.json);
    if args.dry_run {
        return dry_run(args, &voice, screen);
    }
    let job = load_job(&args.job)?;
    let registry = registry::registry(&job, log_to(&voice));
    let purpose = purpose(args);
    let plan = Plan::make(job, &registry, purpose)?;
    let history = History::open(&plan.job.state)?;
    promise(&plan, &voice);
    let watch = Watch::new(&plan.job, &voice, args.quiet, screen);
    let options = RunOptions {
        kind: "run",
        fresh: args.no_resume || args.full,
        accept_plan_change: args.accept_plan_change,
        stop: stop_flag(&voice)?,
        on_start: &|progress| watch.start(progress),
    };
    let ended = dkhost_engine::run::run(&plan, &history, &options);
    let peak = watch.end();
    conclude(&ended?, &plan.job, peak, args.quiet, screen)
}

fn purpose(args: &RunArgs) -> Purpose {
    match (args.full, args.no_resume) {
        (true, _) => Purpose::Full,
        (false, true) => Purpose::Anew,
        (false, false) => Purpose::Run,
    }
}

/// What is promised, before anything is written.
fn promise(plan: &Plan, voice: &Voice) {
    let view = plan.view();
    let (job, target) = (escape(&view.job), escape(&view.target.label));
    voice.say(&format!("{job}: {} to {target}", escape(&view.source)));
    voice.say(&format!(
        "delivery: {} ({})",
        escape(&view.delivery),
        escape(&view.delivery_mechanism)
    ));
}

/// Everything but writing: the plan, then every record through every step.
fn dry_run(args: &RunArgs, voice: &Voice, screen: &mut Screen) -> Result<i32> {
    let mut plan = make_plan(&args.job, purpose(args), log_to(voice))?;
    let stop = stop_flag(voice)?;
    if !args.quiet {
        plan::show(&plan, screen)?;
    }
    validate::check(&mut plan, &stop, args.quiet, screen)
}

/// A flag for signals; the voice says so when one came.
pub fn stop_flag(voice: &Voice) -> Result<StopFlag> {
    let voice = voice.clone();
    signals::stop_flag(move |sentence| voice.say(sentence))
}

/// What plugins log, from `info` on, as lines on stderr.
pub fn log_to(voice: &Voice) -> LogSink {
    let voice = voice.clone();
    LogSink::new(move |line| {
        if line.level >= Level::Info {
            voice.say(&log_line(&line));
        }
    })
}

fn log_line(line: &LogLine) -> String {
    let level = match line.level {
        Level::Error => "error",
        Level::Warn => "warning",
        _ => "says",
    };
    let fields: String = line
        .fields
        .iter()
        .map(|(name, value)| format!(", {} {}", escape(name), escape(value)))
        .collect();
    format!(
        "plugin {} {level}: {}{fields}",
        escape(&line.plugin),
        escape(&line.message)
    )
}

/// Prints the report, and why it stopped if it did.
pub fn conclude(
    ended: &Ended,
    job: &Job,
    peak: Option<f64>,
    quiet: bool,
    screen: &mut Screen,
) -> Result<i32> {
    let report = &ended.report;
    let typed = job.path.display().to_string();
    if screen.json {
        screen.object(report)?;
        return Ok(report.exit_code);
    }
    match &ended.error {
        None if quiet => {}
        None => screen.line(report::lines(report, &typed, peak, screen.paint).join("\n"))?,
        Some(error) => stopped(ended, error, job, peak, quiet, screen),
    }
    Ok(report.exit_code)
}

fn stopped(
    ended: &Ended,
    error: &Error,
    job: &Job,
    peak: Option<f64>,
    quiet: bool,
    screen: &Screen,
) {
    if !quiet {
        let typed = job.path.display().to_string();
        complain(report::lines(&ended.report, &typed, peak, screen.paint_err).join("\n"));
        complain("");
    }
    complain(error::render(error, Some(&job.path), screen.paint_err));
}
