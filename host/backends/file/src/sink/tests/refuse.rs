//! What cannot become a target is refused before anything is written.

use super::*;

#[test]
fn conflict_modes_that_need_a_key_name_the_way_out() {
    for conflict in [Conflict::Upsert, Conflict::Skip] {
        let place = Place {
            conflict,
            ..Place::new("x.jsonl")
        };
        let error = place.try_open().err().unwrap();
        assert_eq!(error.code(), "target::needs_key_store");
        assert!(
            error.help_text().unwrap().contains("sqlite")
                && error.help_text().unwrap().contains("replace-all")
        );
    }
}

#[test]
fn an_existing_file_is_refused_under_insert() {
    let place = Place::new("x.jsonl");
    fs::write(place.path("x.jsonl"), "mine").unwrap();
    let error = place.try_open().err().unwrap();
    assert_eq!(error.code(), "target::exists");
    assert!(error.help_text().unwrap().contains("replace-all"));
    assert_eq!(place.names(), ["x.jsonl"]);
}

#[test]
fn paths_that_cannot_be_a_target() {
    let place = |path: &str| {
        let place = Place::new(path);
        fs::create_dir(place.path("folder.jsonl")).unwrap();
        fs::write(place.path("file"), "").unwrap();
        place
    };
    assert_eq!(place("folder.jsonl").refused(), "target::is_folder");
    assert_eq!(
        place("file/").option("format", "jsonl").refused(),
        "target::not_a_folder"
    );
    assert_eq!(place("file/x.jsonl").refused(), "target::no_folder");
    assert_eq!(place("*.jsonl").refused(), "target::glob");
    assert_eq!(
        place("..").option("format", "jsonl").refused(),
        "target::no_name"
    );
    assert_eq!(
        place("/").option("format", "jsonl").refused(),
        "target::no_name"
    );
    assert_eq!(place("x").refused(), "file::unknown_format");
    assert_eq!(
        place("/dev/null")
            .option("format", "jsonl")
            .replacing()
            .refused(),
        "target::not_a_file"
    );
    assert_eq!(
        place(&format!("{}.jsonl", "n".repeat(240))).refused(),
        "target::name_too_long"
    );
}

#[test]
fn a_folder_is_created_unless_the_job_says_no() {
    let place = Place::new("a/b/x.jsonl");
    assert!(
        place
            .open()
            .plan()
            .effects
            .iter()
            .any(|effect| effect.contains("folder"))
    );
    run(&place, &[small(0, 1)]);
    assert_eq!(place.text().lines().count(), 1);
    let place = Place {
        create: false,
        ..Place::new("a/x.jsonl")
    };
    assert_eq!(place.refused(), "target::absent");
    let place = Place {
        create: false,
        ..Place::new("x.jsonl").replacing()
    };
    assert_eq!(place.refused(), "target::absent");
    fs::write(place.path("x.jsonl"), "old").unwrap();
    run(&place, &[small(0, 1)]);
}

#[test]
fn options_that_contradict_the_format() {
    assert_eq!(
        Place::new("x.parquet.gz").refused(),
        "target::compressed_twice"
    );
    assert_eq!(
        Place::new("x.arrow")
            .option("compression", "gzip")
            .refused(),
        "file::not_for_format"
    );
    assert_eq!(
        Place::new("x.jsonl").option("csv", json!({})).refused(),
        "file::not_for_format"
    );
    assert_eq!(
        Place::new("x.csv").schema(Schema::default()).refused(),
        "target::no_columns"
    );
    let named = Schema::new(vec![Field::new("a,b", LogicalType::Int64)]);
    assert_eq!(
        Place::new("x.csv")
            .option("csv", json!({ "quote": "" }))
            .schema(named)
            .refused(),
        "target::column_name"
    );
}

#[test]
fn a_log_that_cannot_be_trusted_stops_the_run_and_stays() {
    let place = Place::new("x.jsonl");
    let log = place.path(".x.jsonl.dkhost-checkpoint");
    fs::write(&log, "what?\n").unwrap();
    let sink = place.open();
    assert_eq!(sink.inspect("job").unwrap_err().code(), "state::corrupt");
    assert_eq!(
        sink.claim(&claim("run")).unwrap_err().code(),
        "state::corrupt"
    );
    assert_eq!(fs::read(&log).unwrap(), b"what?\n");
    fs::write(&log, "{\"owner\":{\"version\":2}}\n").unwrap();
    assert_eq!(sink.inspect("job").unwrap_err().code(), "state::newer");
}

#[test]
fn a_part_shorter_than_its_checkpoint_stops_the_run() {
    let place = Place::new("x.jsonl");
    let sink = place.open();
    let epoch = sink.claim(&claim("run")).unwrap().epoch;
    write_small(
        sink.writer(&partition(0)).unwrap().as_mut(),
        epoch,
        0..2,
        5,
        1,
    );
    fs::write(place.path(".x.jsonl.dkhost-part"), "{").unwrap();
    let error = place.open().claim(&claim("run")).unwrap_err();
    assert_eq!(error.code(), "state::corrupt");
    assert!(error.help_text().unwrap().contains("rm '"));
}

#[test]
fn a_run_is_not_continued_in_another_format_or_with_other_columns() {
    let unfinished = |path: &str| {
        let place = Place::new(path);
        let sink = place.open();
        let epoch = sink.claim(&claim("run")).unwrap().epoch;
        write_small(
            sink.writer(&partition(0)).unwrap().as_mut(),
            epoch,
            0..1,
            5,
            1,
        );
        place
    };
    let place = unfinished("x.csv").option("csv", json!({ "delimiter": ";" }));
    assert_eq!(
        place.open().claim(&claim("run")).unwrap_err().code(),
        "target::other_shape"
    );
    let place =
        unfinished("x.parquet").schema(Schema::new(vec![Field::new("n", LogicalType::Int32)]));
    assert_eq!(
        place.open().claim(&claim("run")).unwrap_err().code(),
        "target::other_shape"
    );
    // Documents may have other columns: each stands for itself.
    let place =
        unfinished("x.jsonl").schema(Schema::new(vec![Field::new("n", LogicalType::Int32)]));
    assert_eq!(place.open().claim(&claim("run")).unwrap().epoch, 2);
}
