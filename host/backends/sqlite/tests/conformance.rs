//! The suite every backend passes, over tables and over the stores of dataknobs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use dkhost_core::conformance::{self, Fencing, Fixture, Found, Place, Planted, Stray, Traits};
use dkhost_core::{Backend, Schema};
use dkhost_sqlite::SqliteBackend;
use serde_json::{Value, json};

struct Tables {
    folder: tempfile::TempDir,
    next: AtomicUsize,
    dataknobs: bool,
}

impl Tables {
    fn new(dataknobs: bool) -> Self {
        Tables {
            folder: tempfile::tempdir().unwrap(),
            next: AtomicUsize::new(0),
            dataknobs,
        }
    }
}

impl Fixture for Tables {
    fn backend(&self) -> &dyn Backend {
        &SqliteBackend
    }

    fn place(&self) -> Place {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let mut target = json!({"path": format!("{next}.db"), "table": "trial"});
        if self.dataknobs {
            target["layout"] = "dataknobs".into();
        }
        Place {
            base: PathBuf::from(self.folder.path()),
            target,
        }
    }

    fn source(&self, place: &Place, _schema: &Schema) -> Value {
        place.target.clone()
    }

    fn plant(&self, strays: &[Stray]) -> Planted {
        let place = self.place();
        let path = place.base.join(place.target["path"].as_str().unwrap());
        let db = rusqlite::Connection::open(path).unwrap();
        let found = match self.dataknobs {
            true => records(&db, strays),
            false => rows(&db, strays),
        };
        Planted {
            base: place.base,
            source: place.target,
            found,
            tells_nulls: self.dataknobs,
        }
    }

    fn traits(&self) -> Traits {
        let no_json = ["NaN", "inf", "-inf"];
        let no_sqlite = ["NaN", "-0.0"];
        let texts: &[&str] = if self.dataknobs { &no_json } else { &no_sqlite };
        let rejects = ["float32", "float64"].into_iter().flat_map(|kind| {
            texts
                .iter()
                .map(move |text| (kind, *text))
                .collect::<Vec<_>>()
        });
        Traits {
            rejects: rejects.collect(),
            named: self.dataknobs,
            fencing: Fencing::EpochBetweenBatches,
            ..Traits::default()
        }
    }
}

/// Strays as rows of a table: a cell holds any value, but there is no column nobody declared. What
/// cannot be read is text that is not UTF-8.
fn rows(db: &rusqlite::Connection, strays: &[Stray]) -> Vec<Found> {
    db.execute_batch("CREATE TABLE trial(id INTEGER, n INTEGER, s TEXT)")
        .unwrap();
    let mut malformed = 100;
    let one = |stray: &Stray| {
        let Some(document) = stray.document() else {
            malformed += 1;
            let insert = "INSERT INTO trial VALUES (?1, 1, CAST(x'61ff' AS TEXT))";
            db.execute(insert, [malformed]).unwrap();
            let payload = format!("{{\"id\":{malformed},\"n\":1,\"s\":{{\"$text\":\"Yf8=\"}}}}");
            return Found::Refused(payload.into_bytes());
        };
        let document: Value = serde_json::from_str(document).unwrap();
        if document.get("more").is_some() {
            return Found::Nowhere;
        }
        let insert = "INSERT INTO trial SELECT ?1 ->> 'id', ?1 ->> 'n', ?1 ->> 's'";
        db.execute(insert, [document.to_string()]).unwrap();
        Found::Whole
    };
    strays.iter().map(one).collect()
}

/// Strays as records of a dataknobs store, whose own constraint keeps out what is no JSON: such
/// text only gets in where it is switched off.
fn records(db: &rusqlite::Connection, strays: &[Stray]) -> Vec<Found> {
    db.execute_batch(
        "CREATE TABLE trial (id VARCHAR(255) PRIMARY KEY,
           data TEXT NOT NULL CHECK (json_valid(data)),
           metadata TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
           created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
         PRAGMA ignore_check_constraints = ON;",
    )
    .unwrap();
    let one = |(number, stray): (usize, &Stray)| {
        let data = stray.document().unwrap_or("{\"id\": oops}");
        let insert = "INSERT INTO trial (id, data) VALUES (?1, ?2)";
        db.execute(insert, (format!("rec-{number:02}"), data))
            .unwrap();
        match stray.document() {
            Some(_) => Found::Whole,
            None => {
                let payload =
                    json!({"id": format!("rec-{number:02}"), "data": data, "metadata": null});
                Found::Refused(payload.to_string().into_bytes())
            }
        }
    };
    strays.iter().enumerate().map(one).collect()
}

#[test]
fn tables_pass_the_suite() {
    conformance::run(&Tables::new(false));
}

#[test]
fn dataknobs_stores_pass_the_suite() {
    conformance::run(&Tables::new(true));
}
