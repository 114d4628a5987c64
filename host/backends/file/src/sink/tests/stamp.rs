//! Which version of a schema a result says its records are of, and when it says nothing.

use dkhost_core::{Backend, Constraint, ConstraintRule, Stamp};

use super::*;
use crate::FileBackend;

const NAMES: [&str; 8] = [
    "x.jsonl",
    "x.json",
    "x.csv",
    "x.tsv.zst",
    "x.jsonl.gz",
    "x.parquet",
    "x.arrow",
    "out/",
];

fn at(path: &str) -> Place {
    let place = Place::new(path).replacing();
    match path {
        "out/" => place.option("format", "jsonl"),
        _ => place,
    }
}

impl Place {
    fn reshaped(mut self, version: Option<&str>) -> Self {
        self.reshape = version.map(|version| Reshape {
            schema: "user".into(),
            version: version.into(),
            ..Reshape::default()
        });
        self
    }

    fn stamp(&self) -> Result<Option<Stamp>> {
        let options = Options::from_json("[target]", &self.options)?;
        FileBackend.stamp(options, self.dir.path())
    }

    /// `1.0.0 of run`, or nothing.
    fn says(&self) -> String {
        let stamp = self.stamp().unwrap();
        stamp.map_or(String::new(), |s| {
            format!("{} {} of {}", s.schema, s.version, s.run)
        })
    }

    /// Where its bytes are.
    fn file(&self) -> PathBuf {
        match self.path("out").is_dir() {
            true => self.path("out/part-00000-00000.jsonl"),
            false => self.path(self.options["path"].as_str().unwrap()),
        }
    }
}

/// One undisturbed run of another name.
fn run_as(place: &Place, run: &str, records: RecordBatch) {
    let sink = place.open();
    let epoch = sink.claim(&claim(run)).unwrap().epoch;
    let mut writer = sink.writer(&partition(0)).unwrap();
    writer.write(&batch(records)).unwrap();
    writer.commit(&checkpoint(run, epoch, 0, 1)).unwrap();
    writer.flush().unwrap();
    sink.publish().unwrap();
    sink.retire().unwrap();
}

#[test]
fn a_result_says_the_version_it_was_brought_to_and_the_next_run_takes_it_back() {
    for name in NAMES {
        let place = at(name).reshaped(Some("1.0.0"));
        assert_eq!(place.says(), "", "{name}: nothing is there");
        run_as(&place, "a", small(0, 3));
        assert_eq!(place.says(), "user 1.0.0 of a", "{name}");
        let place = place.reshaped(Some("2.0.0"));
        run_as(&place, "b", small(0, 5));
        assert_eq!(place.says(), "user 2.0.0 of b", "{name}");
        let place = place.reshaped(None);
        run_as(&place, "c", small(0, 5));
        assert_eq!(place.says(), "", "{name}");
        assert_eq!(place.names(), [name.trim_end_matches('/')]);
    }
}

#[test]
fn without_a_version_the_bytes_are_what_they_were() {
    for name in NAMES.into_iter().filter(|name| !name.ends_with('/')) {
        let (plain, said) = (at(name), at(name).reshaped(Some("1.0.0")));
        run_as(&plain, "a", small(0, 3));
        run_as(&said, "a", small(0, 3));
        let is_inside = name.ends_with("parquet") || name.ends_with("arrow");
        assert_eq!(plain.bytes() == said.bytes(), !is_inside, "{name}");
    }
}

#[test]
fn a_version_does_not_outlive_the_content_it_is_about() {
    for name in NAMES {
        let (place, other) = (at(name).reshaped(Some("1.0.0")), at(name));
        run_as(&place, "a", small(0, 3));
        run_as(&other, "b", small(9, 3));
        fs::copy(other.file(), place.file()).unwrap();
        assert_eq!(place.says(), "", "{name} has other bytes");
    }
}

#[test]
fn a_version_goes_along_with_a_copy() {
    for name in NAMES {
        let place = at(name).reshaped(Some("1.0.0"));
        run_as(&place, "a", small(0, 3));
        let copy = at(name);
        let status = std::process::Command::new("cp")
            .args(["-r", "--no-target-directory"])
            .args([place.dir.path(), copy.dir.path()])
            .status();
        assert!(status.unwrap().success());
        assert_eq!(copy.says(), "user 1.0.0 of a", "{name}");
    }
}

#[test]
fn a_folder_with_a_part_less_or_other_or_a_file_more_has_no_version() {
    let place = at("out/").reshaped(Some("1.0.0"));
    run_as(&place, "a", small(0, 3));
    let part = place.file();
    let bytes = fs::read(&part).unwrap();
    fs::write(
        &part,
        String::from_utf8(bytes.clone()).unwrap().replace('0', "9"),
    )
    .unwrap();
    assert_eq!(place.says(), "", "as long, and not the same");
    fs::write(&part, bytes).unwrap();
    assert_eq!(place.says(), "user 1.0.0 of a");
    fs::write(place.path("out/part-00001-00000.jsonl"), "{}\n").unwrap();
    assert_eq!(place.says(), "");
    fs::remove_file(place.path("out/part-00001-00000.jsonl")).unwrap();
    assert_eq!(place.says(), "user 1.0.0 of a");
    fs::remove_file(place.path("out/part-00000-00000.jsonl")).unwrap();
    assert_eq!(place.says(), "");
}

#[test]
fn while_a_file_is_replaced_the_old_one_and_the_new_one_have_each_its_version() {
    for name in NAMES {
        let place = at(name).reshaped(Some("1.0.0"));
        run_as(&place, "a", small(500, 5));
        let place = place.reshaped(Some("2.0.0"));
        for steps in 0..=publish::STEPS.len() {
            let place = fresh_copy(&place, name);
            drop(publish::ended(&place, steps));
            let expected = match steps {
                0..4 => "user 1.0.0 of a",
                _ => "user 2.0.0 of run",
            };
            assert_eq!(place.says(), expected, "{name} after step {steps}");
            let next = place.open();
            if next.inspect("job").unwrap().is_some() {
                next.claim(&claim("run")).unwrap();
                next.publish().unwrap();
            }
            next.retire().unwrap();
            assert_eq!(
                place.says(),
                "user 2.0.0 of run",
                "{name} after step {steps}"
            );
        }
    }
}

fn fresh_copy(place: &Place, name: &str) -> Place {
    let mut copy = at(name);
    copy.reshape.clone_from(&place.reshape);
    let status = std::process::Command::new("cp")
        .args(["-r", "--no-target-directory"])
        .args([place.dir.path(), copy.dir.path()])
        .status();
    assert!(status.unwrap().success());
    copy
}

#[test]
fn the_same_bytes_are_of_the_old_version_until_the_run_is_published() {
    let place = at("x.jsonl").reshaped(Some("1.0.0"));
    drop(publish::ended(&place, publish::STEPS.len()));
    let old = place.bytes();
    let place = place.reshaped(Some("1.1.0"));
    drop(publish::ended(&place, 3));
    assert_eq!(place.says(), "user 1.0.0 of run");
    let sink = place.open();
    sink.claim(&claim("run")).unwrap();
    sink.publish().unwrap();
    assert_eq!(
        (place.bytes(), place.says()),
        (old, "user 1.1.0 of run".into())
    );
    sink.retire().unwrap();
    assert_eq!(place.names(), [".x.jsonl.dkhost-schema.json", "x.jsonl"]);
}

#[test]
fn what_a_dying_process_was_writing_about_the_version_is_swept() {
    for retired in [false, true] {
        let place = at("x.jsonl");
        if retired {
            drop(publish::ended(&place, 5));
        }
        fs::write(place.path(".x.jsonl.dkhost-schema-new"), "{").unwrap();
        match retired {
            true => place.open().retire().unwrap(),
            false => run_as(&place, "a", small(0, 3)),
        }
        assert_eq!(place.names(), ["x.jsonl"], "retired: {retired}");
    }
}

#[test]
fn a_published_run_is_ended_by_a_plan_of_the_new_columns() {
    let place = at("x.parquet").reshaped(Some("1.0.0"));
    drop(publish::ended(&place, 5));
    let before = place.bytes();
    let place = place.schema(Schema::new(vec![Field::new("other", LogicalType::Int64)]));
    let sink = place.open();
    assert!(sink.inspect("job").unwrap().unwrap().published);
    sink.claim(&claim("run")).unwrap();
    sink.publish().unwrap();
    sink.retire().unwrap();
    assert_eq!(
        (place.bytes(), place.says()),
        (before, "user 1.0.0 of run".into())
    );
    assert_eq!(place.names(), ["x.parquet"]);
}

#[test]
fn what_cannot_be_read_is_refused_and_newer_ones_too() {
    let place = at("x.jsonl").reshaped(Some("1.0.0"));
    run_as(&place, "a", small(0, 3));
    let beside = place.path(".x.jsonl.dkhost-schema.json");
    fs::write(&beside, "{\"dkhost_schema\":2,\"x\":1}").unwrap();
    assert_eq!(place.stamp().unwrap_err().code(), "state::newer");
    fs::write(&beside, "{\"dkhost_schema\":1").unwrap();
    let error = place.stamp().unwrap_err();
    assert_eq!(error.code(), "state::corrupt");
    assert!(error.help_text().unwrap().contains("rm '"), "{error:?}");
    // It does not keep anybody from writing the file anew.
    run_as(&place, "b", small(0, 4));
    assert_eq!(place.says(), "user 1.0.0 of b");

    let place = at("x.parquet");
    fs::write(place.path("x.parquet"), "PAR1 and no more").unwrap();
    assert_eq!(place.stamp().unwrap_err().code(), "file::corrupt");
}

#[test]
fn the_plan_says_where_the_version_will_stand_and_that_a_file_checks_nothing() {
    let effects = |name: &str| {
        let place = at(name).reshaped(Some("2.0.0"));
        place.open().plan().effects.last().cloned().unwrap()
    };
    assert_eq!(
        effects("x.jsonl"),
        "says in `.x.jsonl.dkhost-schema.json`, beside `x.jsonl`, that its records are of user@2.0.0"
    );
    assert_eq!(
        effects("x.parquet"),
        "says inside `x.parquet` that its records are of user@2.0.0"
    );
    assert_eq!(
        effects("out/"),
        "says in the manifest of `out/` that its records are of user@2.0.0"
    );
    let mut place = at("x.parquet").reshaped(Some("2.0.0"));
    let notes = |place: &Place| place.open().plan().notes.clone();
    assert_eq!(notes(&place), Vec::<String>::new());
    place
        .reshape
        .as_mut()
        .unwrap()
        .constraints
        .push(Constraint {
            name: "user_n_unique".into(),
            column: "n".into(),
            logical: LogicalType::Int64,
            rule: ConstraintRule::Unique,
        });
    assert_eq!(
        notes(&place),
        [
            "a file checks nothing: what user@2.0.0 asks of its records is checked on the way, and not by `x.parquet` itself"
        ]
    );
}
