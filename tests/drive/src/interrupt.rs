//! A run interrupted at every fail point it passes, one after the other: whoever goes on must end
//! as an undisturbed run does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use dkhost_core::{Checkpoint, Claim, Class, Error, Result, Sink};

use crate::{batch, fates, partition};

/// The names of fail points.
pub type Points = BTreeSet<String>;

/// The code of the error at a point that is a death.
const KILLED: &str = "drive::killed";

thread_local! {
    /// Points still to be passed before one fails.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    static PASSED: RefCell<Points> = const { RefCell::new(Points::new()) };
}

fn hook(name: &'static str) -> Result<()> {
    PASSED.with_borrow_mut(|passed| passed.insert(name.to_owned()));
    LEFT.set(LEFT.get().wrapping_sub(1));
    match LEFT.get() {
        0 => Err(Error::infrastructure(KILLED, name)),
        _ => Ok(()),
    }
}

/// Interrupts a run of `batches` at its first point, its second and so on, each time on a fresh
/// place, until one ends without; `held` tells what a place holds, leftovers included. The points
/// that were passed on this thread.
///
/// # Panics
/// If a run that was interrupted and taken up again leaves another place than an undisturbed one,
/// or tells other fates of the rows.
pub fn interrupted_anywhere<P, H: PartialEq + Debug>(
    batches: &[RecordBatch],
    fresh: impl Fn() -> P,
    open: impl Fn(&P) -> Result<Box<dyn Sink>>,
    held: impl Fn(&P) -> H,
) -> Points {
    dkhost_core::fail::arm(hook);
    let (clean, mut expected) = (fresh(), Story::new());
    go_on(batches, &|| open(&clean), &mut expected).unwrap();
    let clean = held(&clean);
    for nth in 1.. {
        let (place, mut story) = (fresh(), Story::new());
        LEFT.set(nth);
        let ended = go_on(batches, &|| open(&place), &mut story);
        LEFT.set(usize::MAX);
        let Err(killed) = ended else {
            break;
        };
        let at = format!("killed at point {nth}: {killed}");
        assert_eq!(killed.code(), KILLED, "{at}");
        // Once a run is in the history, all there is to do is to sweep.
        let ended = match killed.to_string().contains(".retire.") {
            true => open(&place).and_then(|sink| sink.retire()),
            false => go_on(batches, &|| open(&place), &mut story),
        };
        ended.unwrap_or_else(|error| panic!("{at}: {}", error.chain()));
        assert_eq!(held(&place), clean, "{at}");
        assert_eq!(story, expected, "{at}");
    }
    PASSED.take()
}

/// As often as what goes wrong may pass, as the engine would.
fn go_on(
    batches: &[RecordBatch],
    open: &dyn Fn() -> Result<Box<dyn Sink>>,
    story: &mut Story,
) -> Result<()> {
    for _ in 0..50 {
        match work(batches, open, story) {
            Err(error) if error.class() == Class::Transient => {
                std::thread::sleep(Duration::from_millis(200));
            }
            ended => return ended,
        }
    }
    work(batches, open, story)
}

/// What became of the rows of each batch, by its seq, as committed last.
type Story = Vec<(u64, String, u64)>;

/// Goes on wherever the target stands; an error is where the process was killed.
fn work(
    batches: &[RecordBatch],
    open: &dyn Fn() -> Result<Box<dyn Sink>>,
    story: &mut Story,
) -> Result<()> {
    let sink = open()?;
    let claim = Claim {
        job: "job".into(),
        run: "run 2".into(),
        plan_hash: "hash".into(),
        epoch_floor: 0,
    };
    let claimed = sink.claim(&claim)?;
    let mut writer = sink.writer(&partition(0))?;
    let start = || Checkpoint::start("job", "run 2", claimed.epoch, "hash", 0);
    let mut checkpoint = writer.checkpoint().cloned().unwrap_or_else(start);
    checkpoint.epoch = claimed.epoch;
    for (seq, records) in (1..).zip(batches).skip(checkpoint.seq as usize) {
        let report = writer.write(&batch(records.clone()))?;
        let told = (
            seq,
            fates(&report, records.num_rows()),
            report.replaced_rows,
        );
        story.retain(|(known, ..)| *known < seq);
        story.push(told);
        checkpoint.seq = seq;
        writer.commit(&checkpoint)?;
        if seq % 2 == 0 {
            writer.flush()?;
        }
    }
    writer.flush()?;
    drop(writer);
    sink.publish()?;
    sink.retire()
}

/// The points in the source below a folder.
///
/// # Panics
/// If two of them have one name.
pub fn points_in(folder: &Path) -> Points {
    let mut found = Points::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let names = match path.is_dir() {
            true => points_in(&path).into_iter().collect(),
            false => names_in(&std::fs::read_to_string(&path).unwrap()),
        };
        for name in names {
            assert!(!found.contains(&name), "two points are called `{name}`");
            found.insert(name);
        }
    }
    found
}

/// The names given to `fail::point` and its cousins in the history.
fn names_in(text: &str) -> Vec<String> {
    let calls = ["point(\"", "passed(\""].map(|call| text.match_indices(call));
    calls
        .into_iter()
        .flatten()
        .filter_map(|(at, call)| text[at + call.len()..].split('"').next())
        .filter(|name| name.contains('.'))
        .map(str::to_owned)
        .collect()
}
