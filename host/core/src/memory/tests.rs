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
