//! A folder of parts: several partitions at once, and all of them visible together.

use super::*;
use crate::sink::manifest::{self, Manifest};

fn folder() -> Place {
    Place::new("out/").option("format", "jsonl")
}

/// Three partitions, each on a thread of its own.
fn write(place: &Place, run: &str, partitions: u32, batches: u64) -> Box<dyn Sink> {
    let sink = place.open();
    assert!(sink.plan().concurrent);
    let epoch = sink.claim(&claim(run)).unwrap().epoch;
    std::thread::scope(|scope| {
        for index in 0..partitions {
            let sink = &sink;
            scope.spawn(move || {
                let mut writer = sink.writer(&partition(index)).unwrap();
                for seq in committed(writer.as_ref())..batches {
                    writer
                        .write(&batch(small(index as usize * 1000 + seq as usize * 10, 10)))
                        .unwrap();
                    writer
                        .commit(&checkpoint(run, epoch, index, seq + 1))
                        .unwrap();
                    if seq % 3 == 0 {
                        writer.flush().unwrap();
                    }
                }
                writer.flush().unwrap();
            });
        }
    });
    sink
}

fn manifest_of(place: &Place) -> Manifest {
    manifest::read(&place.path("out")).unwrap()
}

#[test]
fn partitions_are_written_at_once_and_seen_together() {
    let place = folder();
    let sink = write(&place, "run", 3, 8);
    assert!(!place.path("out").exists());
    assert_eq!(sink.count().unwrap(), 240);
    sink.publish().unwrap();
    sink.retire().unwrap();
    assert_eq!(place.names(), ["out"]);
    assert_eq!(
        names(&place.path("out")),
        [
            "_manifest.json",
            "part-00000-00000.jsonl",
            "part-00001-00000.jsonl",
            "part-00002-00000.jsonl"
        ]
    );
    let manifest = manifest_of(&place);
    assert_eq!(
        (manifest.run.as_str(), manifest.rows, manifest.parts.len()),
        ("run", 240, 3)
    );
    for (index, part) in manifest.parts.iter().enumerate() {
        let text = fs::read_to_string(place.path("out").join(&part.name)).unwrap();
        assert_eq!((part.rows, part.bytes), (80, text.len() as u64));
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["n"], index * 1000);
    }
}

#[test]
fn an_interrupted_folder_is_resumed_partition_by_partition() {
    let clean = folder();
    write(&clean, "run", 3, 8).publish().unwrap();
    let place = folder();
    drop(write(&place, "run", 2, 3));
    let sink = write(&place, "run", 3, 8);
    sink.publish().unwrap();
    sink.retire().unwrap();
    for part in &manifest_of(&clean).parts {
        let read = |place: &Place| fs::read(place.path("out").join(&part.name)).unwrap();
        assert_eq!(read(&place), read(&clean), "{}", part.name);
    }
}

#[test]
fn a_partition_without_rows_has_no_part_and_a_run_without_rows_has_one() {
    let place = folder();
    let sink = place.open();
    let epoch = sink.claim(&claim("run")).unwrap().epoch;
    for index in 0..2 {
        let mut writer = sink.writer(&partition(index)).unwrap();
        writer.write(&batch(small(0, index as usize))).unwrap();
        writer.commit(&checkpoint("run", epoch, index, 1)).unwrap();
        writer.flush().unwrap();
    }
    sink.publish().unwrap();
    assert_eq!(
        names(&place.path("out")),
        ["_manifest.json", "part-00001-00000.jsonl"]
    );

    let place = Place::new("out/").option("format", "csv");
    run(&place, &[]);
    assert_eq!(
        fs::read_to_string(place.path("out/part-00000-00000.csv")).unwrap(),
        "n,t\n"
    );
}

#[test]
fn a_folder_that_a_run_wrote_is_swapped_for_the_next() {
    let place = folder();
    let sink = write(&place, "first", 3, 2);
    sink.publish().unwrap();
    sink.retire().unwrap();
    assert_eq!(place.refused(), "target::exists");
    let place = place.replacing();
    let sink = write(&place, "second", 2, 4);
    assert_eq!(manifest_of(&place).run, "first");
    sink.publish().unwrap();
    sink.retire().unwrap();
    assert_eq!(
        (manifest_of(&place).run.as_str(), manifest_of(&place).rows),
        ("second", 80)
    );
    assert_eq!(
        names(&place.path("out")),
        [
            "_manifest.json",
            "part-00000-00000.jsonl",
            "part-00001-00000.jsonl"
        ]
    );
    assert_eq!(place.names(), ["out"]);
}

#[test]
fn a_folder_with_somebody_elses_files_is_never_replaced() {
    let place = folder().replacing();
    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.path("out/holiday.jpg"), "").unwrap();
    assert_eq!(place.refused(), "target::foreign_files");
    // Nor when the file appears while the run is on.
    fs::remove_file(place.path("out/holiday.jpg")).unwrap();
    let sink = write(&place, "run", 1, 1);
    fs::write(place.path("out/holiday.jpg"), "").unwrap();
    assert_eq!(sink.publish().unwrap_err().code(), "target::foreign_files");
    assert_eq!(names(&place.path("out")), ["holiday.jpg"]);
}

#[test]
fn an_empty_folder_is_filled() {
    let place = Place::new("out").option("format", "jsonl");
    fs::create_dir(place.path("out")).unwrap();
    let sink = write(&place, "run", 1, 1);
    sink.publish().unwrap();
    sink.retire().unwrap();
    assert_eq!(manifest_of(&place).rows, 10);
    assert_eq!(place.names(), ["out"]);
}

#[test]
fn a_swap_in_two_renames_is_finished_or_undone() {
    let prepared = || {
        let place = folder();
        let sink = write(&place, "first", 1, 1);
        sink.publish().unwrap();
        sink.retire().unwrap();
        let place = place.replacing();
        let sink = write(&place, "second", 1, 2);
        // A file system that cannot swap: the old folder was moved aside, and the process killed.
        fs::rename(place.path("out"), place.path(".out.dkhost-old")).unwrap();
        drop(sink);
        place
    };
    let place = prepared();
    let sink = write(&place, "second", 1, 2);
    sink.publish().unwrap();
    sink.retire().unwrap();
    assert_eq!(
        (manifest_of(&place).run.as_str(), place.names()),
        ("second", vec!["out".to_owned()])
    );

    let place = prepared();
    place.open().claim(&claim("third")).unwrap();
    assert_eq!(manifest_of(&place).run, "first");
}
