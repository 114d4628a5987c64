//! Where a run begins: anew, or where an interrupted one stopped.
//!
//! The target's checkpoint is the authority. The history only knows which run it was and which
//! slices it froze; where it claims more than the target holds, the target was changed behind our
//! back and nothing is written.

use dkhost_core::{Checkpoint, Claim, Error, Partition, Result, TargetState, fail};

use sha2::{Digest, Sha256};

use super::RunOptions;
use crate::history::{Base, History, NewRun, RunRecord, Window};
use crate::job::Job;
use crate::plan::Plan;
use crate::plan::hash::hexadecimal;
use crate::verify;

/// A run that may begin to move records.
#[derive(Debug)]
pub struct Started {
    /// UUIDv7.
    pub run: String,
    /// Its epoch.
    pub epoch: u64,
    /// Whether an interrupted run goes on.
    pub resumed: bool,
    /// The frozen slices.
    pub partitions: Vec<Partition>,
    /// One per partition.
    pub checkpoints: Vec<Checkpoint>,
    /// What the target held before the run.
    pub base: Option<Base>,
}

/// Claims the target for a new run, or for the one that was interrupted.
pub fn start(plan: &Plan, history: &History, options: &RunOptions<'_>) -> Result<Started> {
    let job = &plan.job;
    let known = history.unfinished(&job.name)?;
    let mut held = plan.sink.inspect(&job.name)?;
    if held
        .as_ref()
        .is_some_and(|held| is_finished(held, known.as_ref()))
    {
        // Killed between the end of the run and the last sweep.
        plan.sink.retire()?;
        held = None;
    }
    if options.fresh {
        return anew(plan, history, options, known.as_ref(), held.as_ref());
    }
    match (known, held) {
        (Some(run), held) => {
            if run.kind != options.kind {
                return Err(other_kind(&run, job));
            }
            if let Some(held) = &held
                && held.run != run.id
            {
                return Err(other_run(&run.id, held));
            }
            // Before the target is claimed: a refusal leaves it as it is.
            let held = held.ok_or_else(|| forgotten(&run.id))?;
            for copied in &run.checkpoints {
                ensure_not_behind(&run, &held.checkpoints, copied.partition)?;
            }
            if held.published {
                return conclude(plan, history, &run);
            }
            let moved = run
                .checkpoints
                .iter()
                .chain(&held.checkpoints)
                .any(|checkpoint| checkpoint.seq > 0);
            if !moved
                && (run.plan_hash != plan.hash
                    || plan.source.fingerprint(&plan.partitions)? != run.fingerprint)
            {
                // Nothing of it reached the target, so there is nothing to go on with.
                return anew(plan, history, options, Some(&run), Some(&held));
            }
            go_on(plan, history, options, &run)
        }
        (None, Some(held)) if held.checkpoints.iter().any(|checkpoint| checkpoint.seq > 0) => {
            adopt(plan, history, options, &held)
        }
        (None, held) => anew(plan, history, options, None, held.as_ref()),
    }
}

/// Whether what is left in the target belongs to a run that published its result and is over.
fn is_finished(held: &TargetState, known: Option<&RunRecord>) -> bool {
    held.published && known.is_none_or(|known| known.id != held.run)
}

fn anew(
    plan: &Plan,
    history: &History,
    options: &RunOptions<'_>,
    known: Option<&RunRecord>,
    held: Option<&TargetState>,
) -> Result<Started> {
    // Where the interrupted run is given up for this one, its id is taken.
    let taken = known.is_some_and(|known| known.id == plan.run.to_string());
    let run = if taken {
        uuid::Uuid::now_v7()
    } else {
        plan.run
    }
    .to_string();
    let floor = known
        .map_or(0, |run| run.epoch)
        .max(held.map_or(0, |held| held.epoch));
    let claimed = plan.sink.claim(&claim(
        plan,
        &run,
        floor,
        &plan.partitions,
        &plan.source.fingerprint(&plan.partitions)?,
    ))?;
    fail::point("run.start.claimed")?;
    let base = verify::base(plan.sink.as_ref(), &plan.schema, plan.job.run.verify)?;
    history.begin(&new_run(plan, options, &run)?, claimed.epoch, base.as_ref())?;
    let checkpoints = plan
        .partitions
        .iter()
        .map(|p| Checkpoint::start(&plan.job.name, &run, claimed.epoch, &plan.hash, p.index))
        .collect();
    Ok(Started {
        run,
        epoch: claimed.epoch,
        resumed: false,
        partitions: plan.partitions.clone(),
        checkpoints,
        base,
    })
}

fn go_on(
    plan: &Plan,
    history: &History,
    options: &RunOptions<'_>,
    run: &RunRecord,
) -> Result<Started> {
    let mut remark = "taken up again".to_owned();
    if run.plan_hash != plan.hash {
        if !options.accept_plan_change {
            return Err(plan_changed(&run.id));
        }
        remark = format!(
            "taken up again with a changed plan ({} → {})",
            short(&run.plan_hash),
            short(&plan.hash)
        );
    }
    if plan.source.fingerprint(&run.partitions)? != run.fingerprint {
        return Err(Error::data("source::changed", format!("the source is not what it was when run {} was interrupted", short(&run.id)))
            .help("bring it back, or start over with `--no-resume` (what the interrupted run wrote is then met by on_conflict)"));
    }
    ensure_same_window(plan, run)?;
    take_over(plan, history, run, &plan.hash, &remark)
}

/// Takes a run over that was killed behind the swap. Nothing is read any more, so that nothing it
/// read need be there: where source and target are one store, neither the source nor the plan is
/// what it was.
fn conclude(plan: &Plan, history: &History, run: &RunRecord) -> Result<Started> {
    let remark = "taken up again after its result was published";
    take_over(plan, history, run, &run.plan_hash, remark)
}

fn take_over(
    plan: &Plan,
    history: &History,
    run: &RunRecord,
    plan_hash: &str,
    remark: &str,
) -> Result<Started> {
    let claimed = plan.sink.claim(&claim(
        plan,
        &run.id,
        run.epoch,
        &run.partitions,
        &run.fingerprint,
    ))?;
    let checkpoints = (0..run.partitions.len() as u32)
        .map(|index| authoritative(plan, run, &claimed.checkpoints, index, claimed.epoch))
        .collect::<Result<Vec<_>>>()?;
    fail::point("run.resume.claimed")?;
    // Sums of a job that was changed on the way say nothing about the whole.
    let mut base = run.base;
    if run.plan_hash != plan_hash
        && let Some(base) = &mut base
    {
        base.content = None;
    }
    history.take_over(&run.id, claimed.epoch, plan_hash, base.as_ref(), remark)?;
    for checkpoint in &checkpoints {
        history.forget_letters(&run.id, checkpoint.partition, checkpoint.seq)?;
    }
    fail::point("run.resume.letters-forgotten")?;
    history.copy_checkpoints(&checkpoints)?;
    Ok(Started {
        run: run.id.clone(),
        epoch: claimed.epoch,
        resumed: true,
        partitions: run.partitions.clone(),
        checkpoints,
        base,
    })
}

/// Refuses to go on with a run that reads from elsewhere than the plan does: the history moved
/// since the plan was made, or the run was given up and its cursor with it.
fn ensure_same_window(plan: &Plan, run: &RunRecord) -> Result<()> {
    let Some(kept) = &run.cursor else {
        return Ok(());
    };
    let bounds = |window: &Window| (window.from.clone(), window.until.clone());
    if plan.cursor.as_ref().map(bounds) == Some(bounds(kept)) {
        return Ok(());
    }
    Err(Error::state("run::cursor_moved", format!("run {} reads from another cursor than this plan", short(&run.id)))
        .help("run the same command again; or start over from the cursor of the last finished run (`--no-resume`), or from nothing (`--full`)"))
}

/// The target's checkpoint of a partition, in the epoch of this process.
fn authoritative(
    plan: &Plan,
    run: &RunRecord,
    held: &[Checkpoint],
    index: u32,
    epoch: u64,
) -> Result<Checkpoint> {
    ensure_not_behind(run, held, index)?;
    let held = held.iter().find(|checkpoint| checkpoint.partition == index);
    let mut checkpoint = held
        .cloned()
        .unwrap_or_else(|| Checkpoint::start(&plan.job.name, &run.id, epoch, &plan.hash, index));
    if checkpoint.version > dkhost_core::checkpoint::CHECKPOINT_VERSION {
        return Err(Error::state(
            "state::newer",
            "the target's checkpoint was written by a newer dkhost",
        )
        .help("use that version"));
    }
    (checkpoint.epoch, checkpoint.plan_hash) = (epoch, plan.hash.clone());
    Ok(checkpoint)
}

/// Refuses a target that holds less than was copied from it.
fn ensure_not_behind(run: &RunRecord, held: &[Checkpoint], index: u32) -> Result<()> {
    let seq = |checkpoints: &[Checkpoint]| {
        let of_partition = checkpoints
            .iter()
            .find(|checkpoint| checkpoint.partition == index);
        of_partition.map_or(0, |checkpoint| checkpoint.seq)
    };
    let (held, copied) = (seq(held), seq(&run.checkpoints));
    if copied <= held {
        return Ok(());
    }
    Err(Error::state(
        "state::target_behind",
        format!(
            "run {} committed {copied} batches of `{}`, but the target holds only {held}",
            short(&run.id),
            partition_label(run, index),
        ),
    )
    .help("was the target restored or replaced? `--no-resume` starts over"))
}

/// Goes on with a run only the target knows: its history is gone.
fn adopt(
    plan: &Plan,
    history: &History,
    options: &RunOptions<'_>,
    held: &TargetState,
) -> Result<Started> {
    if let Some(record) = history.known(&held.run)? {
        // Given up for another run since; its own slices are still known.
        return go_on(plan, history, options, &record);
    }
    let fingerprint = plan.source.fingerprint(&plan.partitions)?;
    let (hash, slices) = held
        .plan_hash
        .split_once(':')
        .unwrap_or((&held.plan_hash, ""));
    if slices != slices_hash(&plan.partitions, &fingerprint) {
        return Err(Error::data(
            "source::changed",
            format!("the source is not what run {} read, or would be cut into other partitions", short(&held.run)),
        )
        .help("its history is gone, so its slices cannot be told; bring it back, or start over with `--no-resume`"));
    }
    if hash != plan.hash && !options.accept_plan_change {
        return Err(plan_changed(&held.run));
    }
    if plan.run.to_string() != held.run && plan.job.uses_the_clock() {
        return Err(Error::state(
            "state::clock",
            format!(
                "run {} computed now() when it began, and its history is gone",
                short(&held.run)
            ),
        )
        .help("bring the history back, or start over with `--no-resume`"));
    }
    let base = plan.sink.plan().fresh.then(|| Base {
        rows: 0,
        content: Some(Default::default()),
    });
    history.begin(
        &new_run(plan, options, &held.run)?,
        held.epoch,
        base.as_ref(),
    )?;
    let record = history.run(&held.run)?;
    go_on(plan, history, options, &record)
}

/// What the target keeps beside the plan hash, so that a run whose history is gone is only gone on
/// with over the very same slices.
fn slices_hash(partitions: &[Partition], fingerprint: &serde_json::Value) -> String {
    let covered = serde_json::json!({ "partitions": partitions, "source": fingerprint });
    hexadecimal(&Sha256::digest(covered.to_string().as_bytes()))
}

fn claim(
    plan: &Plan,
    run: &str,
    epoch_floor: u64,
    partitions: &[Partition],
    fingerprint: &serde_json::Value,
) -> Claim {
    Claim {
        job: plan.job.name.clone(),
        run: run.to_owned(),
        plan_hash: format!("{}:{}", plan.hash, slices_hash(partitions, fingerprint)),
        epoch_floor,
    }
}

fn new_run(plan: &Plan, options: &RunOptions<'_>, id: &str) -> Result<NewRun> {
    let view = plan.view();
    let plugin = |stage: &crate::plan::StageView| {
        Some((
            stage.name.clone(),
            stage.plugin.clone()?,
            stage.digest.clone()?,
        ))
    };
    Ok(NewRun {
        id: id.to_owned(),
        job: plan.job.name.clone(),
        kind: options.kind,
        plan_hash: plan.hash.clone(),
        fingerprint: plan.source.fingerprint(&plan.partitions)?,
        partitions: plan.partitions.clone(),
        source: view.source.clone(),
        target: view.target.label.clone(),
        delivery: view.delivery.clone(),
        job_path: plan.job.path.display().to_string(),
        plugins: view.stages.iter().filter_map(plugin).collect(),
        // A retry reads letters, not the source.
        cursor: plan.cursor.clone().filter(|_| options.kind == "run"),
    })
}

fn partition_label(run: &RunRecord, index: u32) -> String {
    run.partitions
        .get(index as usize)
        .map_or_else(|| index.to_string(), |partition| partition.label.clone())
}

/// The first characters of an id or hash.
pub fn short(id: &str) -> &str {
    // UUIDv7s of one minute share their first characters; thirteen tell milliseconds apart.
    id.get(..13).unwrap_or(id)
}

fn plan_changed(run: &str) -> Error {
    Error::config("run::plan_changed", format!("the job, a plugin or the source's columns changed since run {} was interrupted", short(run))).help(
        "put it back and run again; or go on with the new plan from where it stopped (`--accept-plan-change`, recorded); or start over (`--no-resume`)",
    )
}

fn other_kind(run: &RunRecord, job: &Job) -> Error {
    let (what, command) = match run.kind.as_str() {
        "retry" => (
            "a retry of dead letters",
            format!("dkhost errors retry {}", job.path.display()),
        ),
        _ => ("a run", format!("dkhost run {}", job.path.display())),
    };
    Error::config(
        "run::unfinished",
        format!("{what} of job `{}` was interrupted", job.name),
    )
    .help(format!("finish it first: {command}"))
}

/// A run is recorded only after the target was claimed for it. What the target holds of it is not
/// known any more, so nothing may be written a second time.
fn forgotten(run: &str) -> Error {
    Error::state(
        "state::target_behind",
        format!("the history goes on with run {}, but the target knows nothing of it", short(run)),
    )
    .help("was the target restored, moved or replaced, or finished with another history? `--no-resume` starts over, and what is in the target is then met by on_conflict")
}

fn other_run(known: &str, held: &TargetState) -> Error {
    Error::state("state::other_run", format!("the history goes on with run {}, but the target holds run {}", short(known), short(&held.run)))
        .help("is this the right history ([state] url)? Two histories must not share a target; `--no-resume` starts over")
}
