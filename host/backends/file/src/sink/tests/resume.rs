//! A run that is killed and taken up again ends in the same bytes as one that was not, and a
//! process that lost the target changes nothing in it.

use std::fs::File;

use super::{Place, *};
use crate::sink::place::Place as Spot;
use crate::sink::shape::Shape;
use crate::sink::target::{Target, lock};
use crate::sink::writer::PartWriter;

const BATCHES: u64 = 7;
const ROWS: usize = 50;
const EVERY: &[&str] = &[
    "x.jsonl",
    "x.json",
    "x.csv",
    "x.jsonl.gz",
    "x.json.gz",
    "x.csv.zst",
    "x.parquet",
    "x.arrow",
];

/// Writes the run from wherever it stands; stops before `kill`, without another word.
fn process(place: &Place, kill: u64, flush: u64) {
    let sink = place.open();
    let epoch = sink.claim(&claim("run")).unwrap().epoch;
    let mut writer = sink.writer(&partition(0)).unwrap();
    let from = committed(writer.as_ref());
    write_small(writer.as_mut(), epoch, from..kill.min(BATCHES), ROWS, flush);
    if kill < BATCHES {
        // Staged, never committed.
        writer.write(&batch(small(9_000, 10))).unwrap();
        return;
    }
    writer.flush().unwrap();
    sink.publish().unwrap();
    sink.retire().unwrap();
}

#[test]
fn killed_at_any_batch_and_resumed_the_file_is_the_same() {
    for path in EVERY {
        for flush in [1, 2, 3, 100] {
            let clean = Place::new(path);
            process(&clean, BATCHES, flush);
            for kill in 0..BATCHES {
                let place = Place::new(path);
                process(&place, kill, flush);
                assert!(
                    !place.path(path).exists(),
                    "{path} is visible before it is complete"
                );
                process(&place, (kill + 2).min(BATCHES - 1), flush);
                process(&place, BATCHES, flush);
                assert_eq!(
                    place.bytes(),
                    clean.bytes(),
                    "{path} killed at {kill}, durable every {flush}"
                );
                assert_eq!(place.names(), [*path]);
            }
        }
    }
}

#[test]
fn a_resume_starts_from_what_is_durable_and_not_from_more() {
    let place = Place::new("x.jsonl");
    process(&place, 5, 2);
    let sink = place.open();
    let left = sink.inspect("job").unwrap().unwrap();
    assert_eq!(
        (left.run.as_str(), left.epoch, left.published),
        ("run", 1, false)
    );
    assert_eq!(
        left.checkpoints.iter().map(|c| c.seq).collect::<Vec<_>>(),
        [4]
    );
    assert!(sink.inspect("another job").unwrap().is_none());
    let claimed = sink.claim(&claim("run")).unwrap();
    assert_eq!((claimed.epoch, claimed.checkpoints), (2, left.checkpoints));
    assert_eq!(sink.count().unwrap(), 4 * ROWS as u64);
}

#[test]
fn bytes_after_the_last_commit_are_cut_off() {
    for path in EVERY {
        let clean = Place::new(path);
        process(&clean, BATCHES, 2);
        let place = Place::new(path);
        process(&place, 4, 2);
        let staged = place.path(&format!(".{path}.dkhost-part"));
        let mut bytes = fs::read(&staged).unwrap();
        bytes.extend_from_slice(b"half a batch that was being wri");
        fs::write(&staged, bytes).unwrap();
        process(&place, BATCHES, 2);
        assert_eq!(place.bytes(), clean.bytes(), "{path}");
    }
}

#[test]
fn many_small_commits_become_durable_without_a_flush() {
    let place = Place::new("x.jsonl");
    let sink = place.open();
    let epoch = sink.claim(&claim("run")).unwrap().epoch;
    let mut writer = sink.writer(&partition(0)).unwrap();
    let durable = (1..=130).filter(|seq| {
        writer.write(&batch(small(0, 0))).unwrap();
        writer.commit(&checkpoint("run", epoch, 0, *seq)).unwrap() == dkhost_core::Durable::Now
    });
    assert_eq!(durable.collect::<Vec<_>>(), [64, 128]);
}

#[test]
fn a_commit_repeated_is_written_once() {
    let place = Place::new("x.jsonl");
    let sink = place.open();
    let epoch = sink.claim(&claim("run")).unwrap().epoch;
    let mut writer = sink.writer(&partition(0)).unwrap();
    for _ in 0..2 {
        writer.write(&batch(small(0, 3))).unwrap();
        writer.commit(&checkpoint("run", epoch, 0, 1)).unwrap();
    }
    writer.flush().unwrap();
    writer.write(&batch(small(0, 3))).unwrap();
    assert_eq!(
        writer.commit(&checkpoint("run", epoch, 0, 1)).unwrap(),
        dkhost_core::Durable::Now
    );
    assert_eq!(sink.count().unwrap(), 3);
}

#[test]
fn what_is_rolled_back_is_not_in_the_file() {
    for path in EVERY {
        let place = Place::new(path);
        let sink = place.open();
        let epoch = sink.claim(&claim("run")).unwrap().epoch;
        let mut writer = sink.writer(&partition(0)).unwrap();
        writer.write(&batch(small(900, 9))).unwrap();
        writer.roll_back().unwrap();
        write_small(writer.as_mut(), epoch, 0..1, ROWS, 1);
        writer.write(&batch(small(900, 9))).unwrap();
        writer.roll_back().unwrap();
        write_small(writer.as_mut(), epoch, 1..2, ROWS, 1);
        sink.publish().unwrap();
        let clean = Place::new(path);
        let sink = clean.open();
        let epoch = sink.claim(&claim("run")).unwrap().epoch;
        write_small(
            sink.writer(&partition(0)).unwrap().as_mut(),
            epoch,
            0..2,
            ROWS,
            1,
        );
        sink.publish().unwrap();
        assert_eq!(place.bytes(), clean.bytes(), "{path}");
    }
}

#[test]
fn one_partition_after_the_other_into_one_file() {
    let place = Place::new("x.json");
    let write = |partitions: std::ops::Range<u32>| {
        let sink = place.open();
        let epoch = sink.claim(&claim("run")).unwrap().epoch;
        for index in partitions {
            let mut writer = sink.writer(&partition(index)).unwrap();
            assert_eq!(committed(writer.as_ref()), 0);
            writer.write(&batch(small(index as usize * 2, 2))).unwrap();
            writer.commit(&checkpoint("run", epoch, index, 1)).unwrap();
            writer.flush().unwrap();
        }
        sink
    };
    write(0..2);
    let sink = write(2..3);
    sink.publish().unwrap();
    let records: Vec<Value> = serde_json::from_str(&place.text()).unwrap();
    assert_eq!(
        records
            .iter()
            .map(|r| r["n"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
}

#[test]
fn a_process_that_lost_the_target_can_neither_commit_nor_publish() {
    for path in EVERY {
        let place = Place::new(path);
        let (old, new) = (place.open(), place.open());
        let epoch = old.claim(&claim("run")).unwrap().epoch;
        let mut stale = old.writer(&partition(0)).unwrap();
        write_small(stale.as_mut(), epoch, 0..1, ROWS, 1);
        stale.write(&batch(small(50, 50))).unwrap();
        stale.commit(&checkpoint("run", epoch, 0, 2)).unwrap();

        let next = new.claim(&claim("run")).unwrap().epoch;
        assert_eq!((epoch, next), (1, 2));
        let mut writer = new.writer(&partition(0)).unwrap();
        assert_eq!(committed(writer.as_ref()), 1);
        let before = fs::read(place.path(&format!(".{path}.dkhost-part"))).unwrap();
        assert_eq!(stale.flush().unwrap_err().code(), "run::fenced");
        stale.write(&batch(small(100, 50))).unwrap();
        assert_eq!(
            stale
                .commit(&checkpoint("run", epoch, 0, 3))
                .unwrap_err()
                .code(),
            "run::fenced"
        );
        assert_eq!(old.publish().unwrap_err().code(), "run::fenced");
        assert_eq!(
            fs::read(place.path(&format!(".{path}.dkhost-part"))).unwrap(),
            before
        );
        old.retire().unwrap();

        write_small(writer.as_mut(), next, 1..BATCHES, ROWS, 1);
        new.publish().unwrap();
        new.retire().unwrap();
        let clean = Place::new(path);
        process(&clean, BATCHES, 1);
        assert_eq!(place.bytes(), clean.bytes(), "{path}");
    }
}

#[test]
fn a_writer_of_an_earlier_claim_of_the_same_process_is_fenced() {
    let place = Place::new("x.jsonl");
    let sink = place.open();
    let epoch = sink.claim(&claim("run")).unwrap().epoch;
    let mut stale = sink.writer(&partition(0)).unwrap();
    sink.claim(&claim("run")).unwrap();
    stale.write(&batch(small(0, 1))).unwrap();
    assert_eq!(
        stale
            .commit(&checkpoint("run", epoch, 0, 1))
            .unwrap_err()
            .code(),
        "run::fenced"
    );
}

#[test]
fn another_run_drops_what_was_left_and_raises_the_epoch() {
    let place = Place::new("x.jsonl");
    process(&place, 4, 1);
    let sink = place.open();
    let claimed = sink
        .claim(&Claim {
            epoch_floor: 7,
            ..claim("another")
        })
        .unwrap();
    assert_eq!((claimed.epoch, claimed.checkpoints), (8, vec![]));
    assert_eq!(sink.count().unwrap(), 0);
    sink.publish().unwrap();
    assert_eq!(place.text(), "");
}

/// A target whose first two batches are durable, and its writer.
fn two_durable(place: &Place) -> (Arc<Target>, PartWriter) {
    let options = Options::from_json("[target]", &place.options).unwrap();
    let options = TargetOptions::read(options).unwrap();
    let shape = Shape::of(&options.file, Nulls::Keep).unwrap();
    let spot = Spot::find(&options.file.path, place.dir.path(), 0..0).unwrap();
    let target = Target::new(spot, shape, small_schema(), Conflict::Insert, true);
    let target = Arc::new(target);
    let epoch = target.claim(&claim("run")).unwrap().epoch;
    let mut writer = PartWriter::open(target.clone(), 0).unwrap();
    write_small(&mut writer, epoch, 0..2, ROWS, 1);
    (target, writer)
}

/// A device on which every write fails for want of space.
fn full_disk() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_full_disk_keeps_the_last_commit() {
    for path in ["x.jsonl", "x.json.gz", "x.parquet", "x.arrow"] {
        for log_is_full in [false, true] {
            let place = Place::new(path);
            let (target, mut writer) = two_durable(&place);
            if log_is_full {
                let log = target.place.log();
                fs::rename(&log, place.path("kept")).unwrap();
                std::os::unix::fs::symlink("/dev/full", &log).unwrap();
                target.held().as_mut().unwrap().log.file = full_disk();
            } else {
                lock(&target.part(0).unwrap().0).file = Some(full_disk());
            }
            writer.write(&batch(small(2 * ROWS, ROWS))).unwrap();
            writer.commit(&checkpoint("run", 1, 0, 3)).unwrap();
            assert_eq!(
                writer.flush().unwrap_err().code(),
                "io::disk_full",
                "{path}"
            );
            // The descriptor that failed is never trusted again, and never says "all is durable".
            assert_eq!(writer.flush().unwrap_err().code(), "io::failed");
            let next = writer.commit(&checkpoint("run", 1, 0, 4));
            assert_eq!(next.unwrap_err().code(), "io::failed");
            assert_eq!(target.flush().unwrap_err().code(), "io::failed");
            drop(writer);
            if log_is_full {
                fs::rename(place.path("kept"), target.place.log()).unwrap();
            }
            process(&place, BATCHES, 1);
            let clean = Place::new(path);
            process(&clean, BATCHES, 1);
            assert_eq!(place.bytes(), clean.bytes(), "{path}");
        }
    }
}

#[test]
fn a_part_that_failed_is_opened_again_from_what_is_durable() {
    let place = Place::new("x.jsonl");
    let (target, mut writer) = two_durable(&place);
    lock(&target.part(0).unwrap().0).file = Some(full_disk());
    writer.write(&batch(small(2 * ROWS, ROWS))).unwrap();
    writer.commit(&checkpoint("run", 1, 0, 3)).unwrap();
    writer.flush().unwrap_err();
    let mut writer = PartWriter::open(target.clone(), 0).unwrap();
    assert_eq!(committed(&writer), 2);
    write_small(&mut writer, 1, 2..3, ROWS, 1);
    assert_eq!(committed(&writer), 3);
}
