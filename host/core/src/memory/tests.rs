use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;
use crate::conformance::{self, Fixture, Place, Planted, Stray, Traits, in_memory};
use crate::{Batch, Position, Schema};

/// Tables, or with `documents` what a document store is.
struct InMemory {
    documents: bool,
    next: AtomicU32,
}

impl InMemory {
    fn new(documents: bool) -> Self {
        InMemory {
            documents,
            next: AtomicU32::new(0),
        }
    }
}

impl Fixture for InMemory {
    fn backend(&self) -> &dyn Backend {
        &Memory
    }

    fn place(&self) -> Place {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("conformance {} {next}", self.documents);
        Place {
            base: "".into(),
            target: json!({"name": name, "documents": self.documents}),
        }
    }

    fn source(&self, place: &Place, _schema: &Schema) -> serde_json::Value {
        json!({"name": place.target["name"]})
    }

    fn plant(&self, strays: &[Stray]) -> Planted {
        in_memory(strays)
    }

    fn traits(&self) -> Traits {
        Traits::default()
    }
}

#[test]
fn the_memory_backend_passes_the_suite() {
    conformance::run(&InMemory::new(true));
}

#[test]
fn tables_in_memory_pass_the_suite() {
    conformance::run(&InMemory::new(false));
}

fn open(options: serde_json::Value, open: &OpenSource) -> Result<Box<dyn Source>> {
    Memory.open_source(Options::from_json("[source]", &options)?, open)
}

fn first_batch(source: &dyn Source) -> Batch {
    let partition = &source.partitions().unwrap()[0];
    source
        .read(partition, &Position::start())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
}

#[test]
fn inline_records_get_a_schema_and_declared_fields_win() {
    let records = json!([{"n": 1, "price": 1.50}, {"n": 2, "name": "Ada"}]);
    let fields = json!({"price": "decimal(10, 2)"});
    let wanted = OpenSource {
        key: vec!["n".into()],
        ..OpenSource::default()
    };
    let source = open(json!({"records": records, "fields": fields}), &wanted).unwrap();
    let described: Vec<String> = source
        .schema()
        .fields
        .iter()
        .map(|field| format!("{} {} {:?}", field.name, field.logical, field.key))
        .collect();
    assert_eq!(
        described,
        [
            "n int64 Some(0)",
            "price decimal(10, 2) None",
            "name utf8 None",
            "_rest json None"
        ]
    );
    let batch = first_batch(source.as_ref());
    assert_eq!(
        crate::json::row(&batch.records, 0),
        r#"{"n":1,"price":1.50}"#
    );
    assert_eq!(
        crate::json::row(&batch.records, 1),
        r#"{"n":2,"name":"Ada"}"#
    );
}

#[test]
fn what_is_no_record_is_refused_when_the_source_is_opened() {
    for options in [
        json!({}),
        json!({"records": 7}),
        json!({"records": [7]}),
        json!({"name": "nobody"}),
    ] {
        assert!(
            open(options.clone(), &OpenSource::default()).is_err(),
            "{options}"
        );
    }
    let unknown = OpenSource {
        columns: Some(vec!["m".into()]),
        ..OpenSource::default()
    };
    let refused = open(json!({"records": [{"n": 1}]}), &unknown)
        .err()
        .unwrap();
    assert_eq!(refused.help_text(), Some("the records have: n"));
}

/// The names of all records that are read, slice by slice.
fn names(source: &dyn Source) -> Vec<Vec<String>> {
    let name = |batch: &Batch, row: usize| {
        let record: serde_json::Value =
            serde_json::from_str(&crate::json::row(&batch.records, row)).unwrap();
        record["name"].as_str().unwrap().to_owned()
    };
    let slices = source.partitions().unwrap();
    slices
        .iter()
        .map(|slice| {
            let mut reader = source.read(slice, &Position::start()).unwrap();
            let mut names = Vec::new();
            while let Some(batch) = reader.next().unwrap() {
                names.extend((0..batch.records.num_rows()).map(|row| name(&batch, row)));
            }
            names
        })
        .collect()
}

fn people() -> serde_json::Value {
    json!({"records": [
        {"name": "Ada", "at": 3, "born": "1815-12-10", "in": "London"},
        {"name": "Bob", "at": 5, "born": "1990-01-01", "in": "Berlin"},
        {"name": "Cyd", "at": 5, "born": "1921-03-08"},
        {"name": "Dan", "born": "1921-03-09", "in": "London"},
    ], "fields": {"born": "date32"}})
}

fn since(column: &str, cursor: Option<&str>, lookback: Option<&str>) -> OpenSource {
    OpenSource {
        incremental: Some(crate::Incremental {
            column: column.into(),
            lookback: lookback.map(str::to_owned),
            cursor: cursor.map(str::to_owned),
            until: None,
        }),
        ..OpenSource::default()
    }
}

#[test]
fn an_incremental_source_reads_from_its_cursor_on_and_ties_again() {
    let read = |column, cursor, lookback| {
        let source = open(people(), &since(column, cursor, lookback)).unwrap();
        (
            names(source.as_ref()).concat().concat(),
            source.cursor().unwrap(),
        )
    };
    assert_eq!(read("at", None, None), ("AdaBobCydDan".into(), "5".into()));
    assert_eq!(read("at", Some("5"), None), ("BobCyd".into(), "5".into()));
    assert_eq!(
        read("at", Some("5"), Some("2")),
        ("AdaBobCyd".into(), "5".into())
    );
    assert_eq!(
        read("born", Some("1921-03-09"), Some("1d")),
        ("BobCydDan".into(), "1990-01-01".into())
    );
    let mut frozen = since("at", None, None);
    frozen.incremental.as_mut().unwrap().until = Some("4".into());
    let source = open(people(), &frozen).unwrap();
    assert_eq!(names(source.as_ref()), [["Ada", "Dan"]]);
    let notes = open(people(), &since("at", Some("5"), None))
        .unwrap()
        .notes();
    assert_eq!(notes[1], "1 records have no `at` and are not read");
}

#[test]
fn slices_by_values_hold_every_record_once() {
    let by = OpenSource {
        partition_by: Some(("in".into(), vec!["London".into(), "Rome".into()])),
        ..OpenSource::default()
    };
    let source = open(people(), &by).unwrap();
    let none: Vec<String> = Vec::new();
    assert_eq!(
        names(source.as_ref()),
        [
            vec!["Ada".into(), "Dan".into()],
            none,
            vec!["Bob".to_owned(), "Cyd".into()]
        ]
    );
    let labels: Vec<String> = source
        .partitions()
        .unwrap()
        .into_iter()
        .map(|slice| slice.label)
        .collect();
    assert_eq!(
        labels,
        ["in = London", "in = Rome", "in of any other value"]
    );
}

#[test]
fn a_filter_on_a_column_that_some_value_does_not_fit_is_left_to_the_engine() {
    let filter = |column: &str| OpenSource {
        filter: vec![crate::Predicate::IsNull {
            column: column.into(),
            negated: true,
        }],
        ..OpenSource::default()
    };
    let records = json!({"records": [{"name": "Ada", "at": 3}, {"name": "Bob", "at": "soon"}, {"name": "Cyd"}], "infer": 1});
    let taken = open(records.clone(), &filter("name")).unwrap();
    assert_eq!(
        (taken.pushed(), names(taken.as_ref()).concat().len()),
        (vec![0], 3)
    );
    let left = open(records, &filter("at")).unwrap();
    assert_eq!(
        (left.pushed(), names(left.as_ref()).concat().len()),
        (vec![], 3)
    );
    let taken = open(people(), &filter("at")).unwrap();
    assert_eq!(
        (taken.pushed(), names(taken.as_ref())),
        (
            vec![0],
            vec![vec!["Ada".into(), "Bob".into(), "Cyd".to_owned()]]
        )
    );
}
