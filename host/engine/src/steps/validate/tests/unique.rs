//! Values that no two records of a run may have.

use dkhost_core::StageKind;

use super::{bind, check, one};
use crate::steps::testing::{batch, input};

#[test]
fn the_record_that_comes_second_is_refused_and_nulls_do_not_count() {
    check(
        &one("utf8", "unique = true"),
        false,
        &input(&[("v", "utf8")]),
        r#"{"v":"a"} {"v":null} {"v":"b"} {"v":"a"} {} {"v":"A"} {"v":"a"}"#,
        r#"{"v":"a"} {"v":null} {"v":"b"} {"v":null} {"v":"A"}"#,
        &[
            "3 schema::unique v `v` is \"a\", which an earlier record has",
            "6 schema::unique v `v` is \"a\", which an earlier record has",
        ],
    );
}

#[test]
fn values_are_the_same_however_they_are_spelled() {
    for (logical, records, good) in [
        (
            "number",
            r#"{"v":"1.50"} {"v":"1.5"} {"v":"15e-1"} {"v":"2"}"#,
            2,
        ),
        (
            "float64",
            r#"{"v":"0.0"} {"v":"-0.0"} {"v":"NaN"} {"v":"NaN"}"#,
            2,
        ),
        ("date32", r#"{"v":"2026-01-31"} {"v":"2026-01-31"}"#, 1),
        (
            "timestamp(us, UTC)",
            r#"{"v":"2026-01-31T10:00:00Z"} {"v":"2026-01-31T11:00:00+01:00"}"#,
            1,
        ),
    ] {
        let schema = input(&[("v", "utf8")]);
        let step = bind(&one(logical, "unique = true"), true, &schema).unwrap();
        let changed = step
            .open(0)
            .unwrap()
            .apply(&batch(&schema, records))
            .unwrap();
        assert_eq!(
            changed.records.num_rows(),
            good,
            "{logical} {:?}",
            changed.rejects
        );
    }
}

#[test]
fn a_step_remembers_over_batches_and_partitions_and_a_new_one_knows_nothing() {
    let schema = input(&[("v", "int64")]);
    let toml = one("int64", "unique = true");
    let step = bind(&toml, false, &schema).unwrap();
    assert!(step.remembers());
    let summary = step.note().summary;
    assert_eq!(summary, "user@2.0.0; unique v: partitions take turns");
    let refused = |stage: &mut dyn dkhost_core::Stage| {
        let batch = batch(&schema, r#"{"v":1} {"v":2}"#);
        stage.apply(&batch).unwrap().rejects.len()
    };
    let mut first = step.open(0).unwrap();
    assert_eq!((refused(first.as_mut()), refused(first.as_mut())), (0, 2));
    assert_eq!(refused(step.open(1).unwrap().as_mut()), 2);
    let again = bind(&toml, false, &schema).unwrap();
    assert_eq!(refused(again.open(0).unwrap().as_mut()), 0);
    assert!(!bind(&one("int64", ""), false, &schema).unwrap().remembers());
}

#[test]
fn a_record_that_is_refused_has_no_value() {
    let toml = "[fields.a]\ntype = \"int64\"\nunique = true\n[fields.b]\ntype = \"int64\"\nunique = true\nrange = { max = 9 }\n";
    check(
        toml,
        false,
        &input(&[("a", "int64"), ("b", "int64")]),
        r#"{"a":1,"b":10} {"a":1,"b":1} {"a":2,"b":1} {"a":2,"b":2} {"a":1,"b":11} {"a":2,"b":2}"#,
        r#"{"a":1,"b":1} {"a":2,"b":2}"#,
        &[
            "0 schema::range b `b` is 10, more than 9",
            "2 schema::unique b `b` is 1, which an earlier record has",
            "4 schema::violations - 2 violations: `b` is 11, more than 9; `a` is 1, which an earlier record has",
            "5 schema::unique - 2 violations: `a` is 2, which an earlier record has; `b` is 2, which an earlier record has",
        ],
    );
}

#[test]
fn single_fields_are_not_asked_whether_they_are_unique() {
    let schema = input(&[("v", "int64")]);
    let scope = crate::expr::Scope::stage("here", &schema);
    let version = super::version(&one("int64", "unique = true"));
    let step = super::super::constrain(&version, &["v".to_owned()], &(0..1), &scope).unwrap();
    assert!(!step.remembers());
    let batch = batch(&schema, r#"{"v":1} {"v":1}"#);
    let changed = step.open(0).unwrap().apply(&batch).unwrap();
    let advanced = batch.advance(changed, StageKind::Step, "here").unwrap();
    assert_eq!(advanced.records.num_rows(), 2);
}

#[test]
fn a_late_value_of_a_document_counts_too() {
    let mut schema = crate::steps::testing::with_reserved(input(&[("v", "int64")]));
    schema.fields[1].null_is_absent = true;
    check(
        "[fields.v]\ntype = \"int64\"\n[fields.w]\ntype = \"utf8\"\nunique = true\n",
        false,
        &schema,
        r#"{"_rest":{"w":"a"}} {} {"_rest":{"w":"a"}}"#,
        r#"{"_id":null,"v":null,"_meta":null,"_rest":{"w":"a"}} {"_id":null,"v":null,"_meta":null,"_rest":null}"#,
        &["2 schema::unique w `w` is \"a\", which an earlier record has"],
    );
}

#[test]
fn behind_a_step_only_rows_that_come_out_of_it_have_values() {
    let schema = input(&[("a", "int64"), ("b", "int64")]);
    let node = dkhost_core::Node::from_json(&serde_json::json!({ "v": "10 / a" }));
    let scope = crate::expr::Scope::stage("here", &schema);
    let set = || crate::steps::build("set", &node, &scope).unwrap();
    let version = super::version(&one(
        "int64",
        "unique = true\n[fields.b]\ntype = \"int64\"\nunique = true\n",
    ));
    let step = super::super::once(set(), &version);
    assert!(step.remembers());
    let summary = step.note().summary;
    assert_eq!(summary, "10 / a as v; unique b, v: partitions take turns");
    let records = r#"{"a":0,"b":1} {"a":1,"b":1} {"a":1,"b":2} {"a":5,"b":3} {"a":2,"b":3}"#;
    let (good, bad) = super::run(step.as_ref(), &schema, records);
    assert_eq!(good, [r#"{"a":1,"b":1,"v":10}"#, r#"{"a":5,"b":3,"v":2}"#]);
    assert_eq!(
        bad,
        [
            "0 step::expression v division by zero",
            "2 schema::unique v `v` is 10, which an earlier record has",
            "4 schema::unique b `b` is 3, which an earlier record has",
        ]
    );
    let (good, _) = super::run(step.as_ref(), &schema, r#"{"a":10,"b":1} {"a":10,"b":4}"#);
    assert_eq!(good, [r#"{"a":10,"b":4,"v":1}"#], "batches before count");
    assert!(!super::super::once(set(), &super::version(&one("int64", ""))).remembers());
}

#[test]
fn each_record_alone_is_not_asked_for_values_of_others() {
    let schema = input(&[("v", "int64")]);
    let scope = crate::expr::Scope::stage("here", &schema);
    let version = super::version(&one("int64", "unique = true\nrange = { max = 9 }"));
    let step = super::super::each(&version, &(0..1), &scope).unwrap();
    let (good, bad) = super::run(step.as_ref(), &schema, r#"{"v":1} {"v":1} {"v":10}"#);
    assert_eq!((good.len(), bad.len(), step.remembers()), (2, 1, false));
}

/// Leaves out the first row, refuses the second and leaves it to the engine to take it out.
struct Careless(dkhost_core::Schema);

impl dkhost_core::Step for Careless {
    fn kind(&self) -> StageKind {
        StageKind::Step
    }
    fn output(&self) -> &dkhost_core::Schema {
        &self.0
    }
    fn reads(&self) -> Vec<String> {
        Vec::new()
    }
    fn carries(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    fn note(&self) -> dkhost_core::StepNote {
        dkhost_core::StepNote::default()
    }
    fn open(&self, _partition: u32) -> dkhost_core::Result<Box<dyn dkhost_core::Stage>> {
        Ok(Box::new(Careless(self.0.clone())))
    }
}

impl dkhost_core::Stage for Careless {
    fn apply(&mut self, batch: &dkhost_core::Batch) -> dkhost_core::Result<dkhost_core::Changed> {
        let rows = batch.records.num_rows();
        Ok(dkhost_core::Changed {
            records: batch.records.slice(1, rows - 1),
            origin: Some((1..rows as u32).collect()),
            rejects: vec![dkhost_core::RowReject {
                row: 1,
                column: None,
                code: "test::refused".into(),
                message: "refused".into(),
            }],
        })
    }
}

#[test]
fn a_refused_row_that_is_still_there_has_no_value_and_rows_are_told_by_their_input() {
    let schema = input(&[("v", "int64")]);
    let version = super::version(&one("int64", "unique = true"));
    let step = super::super::once(Box::new(Careless(schema.clone())), &version);
    let records = r#"{"v":1} {"v":1} {"v":1} {"v":2} {"v":1}"#;
    let (good, bad) = super::run(step.as_ref(), &schema, records);
    assert_eq!(good, [r#"{"v":1}"#, r#"{"v":2}"#]);
    assert_eq!(
        bad,
        [
            "1 test::refused - refused",
            "4 schema::unique v `v` is 1, which an earlier record has",
        ]
    );
}
