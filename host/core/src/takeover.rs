//! What every target that remembers a run does when another one wants it: read what is remembered,
//! and begin anew only where nobody has moved on since the last look.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use crate::checkpoint::CHECKPOINT_VERSION;
use crate::{Class, Error, Result, TargetState};

/// Reads what is remembered of `job` as JSON with a member `version`.
///
/// *Errors* – `state::newer` for a version this program does not know; `corrupt` of a sentence's end
/// for what cannot be read.
pub fn recall<T: for<'de> Deserialize<'de>>(
    body: &str,
    job: &str,
    corrupt: impl Fn(&str) -> Error,
) -> Result<T> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let version: Version = serde_json::from_str(body)
        .map_err(|cause| corrupt("it is no JSON of ours").caused_by(cause))?;
    if version.version > CHECKPOINT_VERSION {
        return Err(Error::state(
            "state::newer",
            format!(
                "the checkpoint of job `{job}` was written by a newer dkhost (format {})",
                version.version
            ),
        )
        .help("finish the run with that version"));
    }
    serde_json::from_str(body).map_err(|cause| corrupt("parts of it are missing").caused_by(cause))
}

/// What the last look at a target found: whoever decides to begin anew decides by it.
#[derive(Debug, Default)]
pub struct LastLook(Mutex<Option<Progress>>);

/// How far somebody's run is: run, epoch and batches over all partitions; `None` for no run.
type Progress = Option<(String, u64, u64)>;

fn progress(found: Option<&TargetState>) -> Progress {
    found.map(|state| {
        let batches = state.checkpoints.iter().map(|checkpoint| checkpoint.seq);
        (state.run.clone(), state.epoch, batches.sum())
    })
}

impl LastLook {
    /// Remembers what was found.
    pub fn note(&self, found: Option<&TargetState>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress(found));
    }

    /// Refuses to begin anew where another process has moved on since we looked: its rows would stay
    /// in the target, and ours come on top. `label` is the target for people.
    ///
    /// *Errors* – `target::busy`.
    pub fn ensure_unmoved(&self, now: &TargetState, label: &str) -> Result<()> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen
            .as_ref()
            .is_none_or(|seen| *seen == progress(Some(now)))
        {
            return Ok(());
        }
        Err(Error::new(
            Class::Locked,
            "target::busy",
            format!("another process began to write to {label} meanwhile"),
        )
        .help("run the same command again: it goes on with what that process began"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Checkpoint;

    fn state(epoch: u64, seq: u64) -> TargetState {
        TargetState {
            run: "run".into(),
            epoch,
            plan_hash: String::new(),
            checkpoints: vec![Checkpoint {
                seq,
                ..Checkpoint::start("job", "run", epoch, "", 0)
            }],
            published: false,
        }
    }

    #[test]
    fn whoever_moved_on_since_the_last_look_is_not_run_over() {
        let look = LastLook::default();
        let outcome = |now| look.ensure_unmoved(&now, "table t").map_err(|e| e.code());
        assert_eq!(outcome(state(1, 1)), Ok(()), "nobody looked");
        look.note(Some(&state(1, 1)));
        assert_eq!(outcome(state(1, 1)), Ok(()));
        assert_eq!(outcome(state(1, 2)), Err("target::busy"));
        assert_eq!(outcome(state(2, 1)), Err("target::busy"));
        look.note(None);
        assert_eq!(outcome(state(1, 1)), Err("target::busy"));
    }

    #[test]
    fn what_is_remembered_is_read_or_refused() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Owner {
            run: String,
        }
        let recalled = |body: &str| {
            let corrupt = |why: &str| Error::state("state::corrupt", why.to_owned());
            recall::<Owner>(body, "job", corrupt)
                .map(|owner| owner.run)
                .map_err(|error| (error.code(), error.to_string()))
        };
        assert_eq!(recalled(r#"{"version":1,"run":"r"}"#), Ok("r".into()));
        for (body, code, part) in [
            ("{", "state::corrupt", "no JSON"),
            (r#"{"run":"r"}"#, "state::corrupt", "no JSON"),
            (r#"{"version":1}"#, "state::corrupt", "missing"),
            (r#"{"version":99,"run":"r"}"#, "state::newer", "format 99"),
        ] {
            let (found, message) = recalled(body).unwrap_err();
            assert_eq!(found, code);
            assert!(message.contains(part), "{message}");
        }
    }
}
