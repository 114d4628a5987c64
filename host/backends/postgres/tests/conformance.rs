//! The suite every backend passes, over tables of a real server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use dkhost_core::conformance::{self, Fixture, Found, Place, Planted, Stray, Traits};
use dkhost_core::{Backend, Schema};
use dkhost_postgres::PostgresBackend;
use dkhost_servers::Database;
use serde_json::{Value, json};

/// Tables of one database, each place in a schema of its own.
struct Tables {
    database: Database,
    next: AtomicUsize,
}

impl Fixture for Tables {
    fn backend(&self) -> &dyn Backend {
        &PostgresBackend
    }

    fn place(&self) -> Place {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        Place {
            base: PathBuf::new(),
            target: json!({"url": self.database.url, "table": format!("place_{next}.trial")}),
        }
    }

    fn source(&self, place: &Place, _schema: &Schema) -> Value {
        place.target.clone()
    }

    fn plant(&self, strays: &[Stray]) -> Planted {
        let place = self.place();
        let table = place.target["table"].as_str().unwrap();
        let (schema, _) = table.split_once('.').unwrap();
        self.database.sql(&format!(
            "CREATE SCHEMA {schema}; CREATE TABLE {table} (id bigint PRIMARY KEY, n numeric, s text)"
        ));
        let found = (0..)
            .zip(strays)
            .map(|(row, stray)| self.plant_one(table, row, stray));
        let found = found.collect();
        let mut source = place.target.clone();
        source["fields"] = conformance::declared();
        Planted {
            base: place.base,
            source,
            found,
            tells_nulls: false,
        }
    }

    fn traits(&self) -> Traits {
        Traits {
            // The server keeps no NUL in a text.
            rejects: vec![("utf8", "a\0b")],
            ..Traits::default()
        }
    }
}

impl Tables {
    /// A row of a table: its cells have their columns' types, and there is no column nobody declared.
    /// What cannot be read is a number that the declared type does not hold.
    fn plant_one(&self, table: &str, row: i64, stray: &Stray) -> Found {
        let Some(document) = stray.document() else {
            self.database
                .sql(&format!("INSERT INTO {table} VALUES ({row}, 'NaN', 'x')"));
            return Found::Refused(
                format!("{{\"id\":{row},\"n\":\"NaN\",\"s\":\"x\"}}").into_bytes(),
            );
        };
        let document: Value = serde_json::from_str(document).unwrap();
        if document.get("more").is_some() || document["n"].is_string() {
            return Found::Nowhere;
        }
        let cell = |name: &str| match &document[name] {
            Value::String(text) => format!("'{}'", text.replace('\'', "''")),
            value => value.to_string(),
        };
        self.database.sql(&format!(
            "INSERT INTO {table} VALUES ({}, {}, {})",
            cell("id"),
            cell("n"),
            cell("s")
        ));
        // A number that the declared type does not hold is told as the server spells it.
        let n = match document["id"].as_i64() {
            Some(8) => "100000000000000000000",
            Some(9) => "1.5",
            _ => return Found::Whole,
        };
        let payload = json!({"id": document["id"], "n": n, "s": document["s"]});
        Found::Refused(payload.to_string().into_bytes())
    }
}

#[test]
fn tables_pass_the_suite() {
    conformance::run(&Tables {
        database: dkhost_servers::postgres(),
        next: AtomicUsize::new(0),
    });
}
