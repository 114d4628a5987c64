//! Every step between the last commit and the retired run may be the last one a process makes.

use super::*;
use crate::sink::target::Target;

/// What a process does at the end of a run, step by step.
pub const STEPS: &[fn(&Target)] = &[
    |_| (),
    |target| crate::sink::publish::finish(target, &target.held().as_ref().unwrap().state).unwrap(),
    |target| {
        let mut held = target.held();
        let held = held.as_mut().unwrap();
        held.log.publishing().unwrap();
        held.state.publishing = true;
    },
    |target| crate::sink::publish::rename(target).unwrap(),
    |target| crate::sink::publish::publish(target).unwrap(),
    |target| crate::sink::place::remove(&target.place.staging()).unwrap(),
    |target| crate::sink::place::remove(&target.place.log()).unwrap(),
    |target| crate::sink::publish::retire(target).unwrap(),
];

fn target(place: &Place) -> Arc<Target> {
    let options =
        TargetOptions::read(Options::from_json("[target]", &place.options).unwrap()).unwrap();
    let shape = crate::sink::shape::Shape::of(&options.file, Nulls::Keep).unwrap();
    let spot = crate::sink::place::Place::find(&options.file.path, place.dir.path(), 0..0).unwrap();
    let mut target = Target::new(spot, shape, small_schema(), place.conflict, true);
    target.reshape.clone_from(&place.reshape);
    Arc::new(target)
}

/// Commits a run and makes the first `steps` steps of its end.
pub fn ended(place: &Place, steps: usize) -> Arc<Target> {
    let target = target(place);
    let epoch = target.claim(&claim("run")).unwrap().epoch;
    let mut writer = crate::sink::writer::PartWriter::open(target.clone(), 0).unwrap();
    write_small(&mut writer, epoch, 0..3, 20, 1);
    for step in &STEPS[..steps] {
        step(&target);
    }
    target
}

fn content(place: &Place, path: &str) -> Vec<(String, Vec<u8>)> {
    let path = place.path(path);
    match path.is_dir() {
        false => vec![(String::new(), fs::read(path).unwrap())],
        true => names(&path)
            .into_iter()
            .map(|n| (n.clone(), fs::read(path.join(n)).unwrap()))
            .collect(),
    }
}

#[test]
fn killed_after_any_step_the_next_process_ends_the_run() {
    for path in [
        "x.jsonl",
        "x.json",
        "x.csv.gz",
        "x.parquet",
        "x.arrow",
        "out/",
    ] {
        for replace in [false, true] {
            let fresh = || {
                let mut place = Place::new(path);
                if path == "out/" {
                    place = place.option("format", "jsonl");
                }
                if replace {
                    place.conflict = Conflict::ReplaceAll;
                    old_result(&place, path);
                }
                place
            };
            let clean = fresh();
            ended(&clean, STEPS.len());
            let expected = content(&clean, path);
            let name = path.trim_end_matches('/');
            assert_eq!(clean.names(), [name], "{path}");
            for steps in 0..=STEPS.len() {
                let place = fresh();
                drop(ended(&place, steps));
                if !replace && !place.path(".").join(log_name(path)).exists() {
                    // The log is gone and the result is there: for the next run it is any file.
                    assert_eq!(place.refused(), "target::exists");
                    continue;
                }
                let next = place.open();
                if let Some(left) = next.inspect("job").unwrap() {
                    assert_eq!((left.run.as_str(), left.checkpoints[0].seq), ("run", 3));
                    assert_eq!(left.published, steps >= 4, "{path} after step {steps}");
                    next.claim(&claim("run")).unwrap();
                    assert_eq!(committed(next.writer(&partition(0)).unwrap().as_ref()), 3);
                    assert_eq!(next.count().unwrap(), 60, "{path} after step {steps}");
                    next.publish().unwrap();
                    next.publish().unwrap();
                }
                next.retire().unwrap();
                next.retire().unwrap();
                assert_eq!(content(&place, path), expected, "{path} after step {steps}");
                assert_eq!(place.names(), [name], "{path} after step {steps}");
            }
        }
    }
}

fn log_name(path: &str) -> String {
    format!(".{}.dkhost-checkpoint", path.trim_end_matches('/'))
}

/// What an earlier run left as its result.
fn old_result(place: &Place, path: &str) {
    let sink = place.open();
    let epoch = sink.claim(&claim("earlier")).unwrap().epoch;
    let mut writer = sink.writer(&partition(0)).unwrap();
    writer.write(&batch(small(500, 5))).unwrap();
    writer.commit(&checkpoint("earlier", epoch, 0, 1)).unwrap();
    writer.flush().unwrap();
    sink.publish().unwrap();
    sink.retire().unwrap();
    assert!(place.path(path).exists());
}

#[test]
fn an_existing_file_stays_as_it_is_until_the_new_one_is_complete() {
    let place = Place::new("x.jsonl").replacing();
    fs::write(place.path("x.jsonl"), "old").unwrap();
    let target = ended(&place, 3);
    assert_eq!(place.text(), "old");
    crate::sink::publish::publish(&target).unwrap();
    assert_eq!(place.text().lines().count(), 60);
}

#[test]
fn a_file_that_appears_between_plan_and_claim_or_publish_is_not_replaced() {
    let place = Place::new("x.jsonl");
    let sink = place.open();
    fs::write(place.path("x.jsonl"), "mine").unwrap();
    assert_eq!(
        sink.claim(&claim("run")).unwrap_err().code(),
        "target::exists"
    );
    assert_eq!(place.names(), ["x.jsonl"]);
    fs::remove_file(place.path("x.jsonl")).unwrap();

    let epoch = sink.claim(&claim("run")).unwrap().epoch;
    write_small(
        sink.writer(&partition(0)).unwrap().as_mut(),
        epoch,
        0..2,
        5,
        1,
    );
    fs::write(place.path("x.jsonl"), "mine").unwrap();
    assert_eq!(sink.publish().unwrap_err().code(), "target::exists");
    assert_eq!(place.text(), "mine");
    drop(sink);
    // The run is not lost: with the file out of the way it ends.
    assert_eq!(place.refused(), "target::exists");
    fs::rename(place.path("x.jsonl"), place.path("other")).unwrap();
    let sink = place.open();
    sink.claim(&claim("run")).unwrap();
    sink.publish().unwrap();
    sink.retire().unwrap();
    assert_eq!(place.text().lines().count(), 10);
    assert_eq!(fs::read_to_string(place.path("other")).unwrap(), "mine");
}

#[test]
fn a_file_system_without_exclusive_rename_links() {
    let place = Place::new("x.jsonl");
    let target = ended(&place, 3);
    // Killed between the link and the removal of the old name.
    fs::hard_link(target.place.staging(), &target.place.path).unwrap();
    let sink = place.open();
    assert!(sink.inspect("job").unwrap().unwrap().published);
    sink.claim(&claim("run")).unwrap();
    sink.publish().unwrap();
    sink.retire().unwrap();
    assert_eq!(place.names(), ["x.jsonl"]);
    assert_eq!(place.text().lines().count(), 60);

    let place = Place::new("x.jsonl");
    let target = ended(&place, 3);
    crate::sink::publish::link_new(&target.place).unwrap();
    assert_eq!(place.text().lines().count(), 60);
    assert!(!target.place.staging().exists());
    fs::write(target.place.staging(), "again").unwrap();
    assert_eq!(
        crate::sink::publish::link_new(&target.place)
            .unwrap_err()
            .code(),
        "target::exists"
    );
}

#[test]
fn a_replaced_file_hands_on_its_permissions_and_a_link_is_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::new("x.jsonl").replacing();
    fs::write(place.path("real.jsonl"), "old").unwrap();
    fs::set_permissions(place.path("real.jsonl"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.jsonl", place.path("x.jsonl")).unwrap();
    run(&place, &[small(0, 3)]);
    assert!(
        fs::symlink_metadata(place.path("x.jsonl"))
            .unwrap()
            .is_symlink()
    );
    let real = fs::metadata(place.path("real.jsonl")).unwrap();
    assert_eq!(real.permissions().mode() & 0o777, 0o640);
    assert_eq!(place.text().lines().count(), 3);
    assert_eq!(place.names(), ["real.jsonl", "x.jsonl"]);
}

#[test]
fn a_new_run_over_a_published_one_leaves_its_result_alone() {
    let place = Place::new("x.jsonl");
    drop(ended(&place, 5));
    let published = place.bytes();
    let sink = place.open();
    assert!(sink.inspect("job").unwrap().unwrap().published);
    assert_eq!(
        sink.claim(&claim("next")).unwrap_err().code(),
        "target::exists"
    );
    assert_eq!(place.bytes(), published);
    // Whoever knows that it is done retires it without a claim.
    place.open().retire().unwrap();
    assert_eq!(place.names(), ["x.jsonl"]);
}

#[test]
fn an_unfinished_run_of_somebody_else_is_not_retired() {
    let place = Place::new("x.jsonl");
    drop(ended(&place, 1));
    place.open().retire().unwrap();
    assert_eq!(
        place.open().inspect("job").unwrap().unwrap().checkpoints[0].seq,
        3
    );
}
