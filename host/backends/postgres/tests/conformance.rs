//! The suite every backend passes, over tables and dataknobs stores of a real server.
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
    dataknobs: bool,
}

impl Fixture for Tables {
    fn backend(&self) -> &dyn Backend {
        &PostgresBackend
    }

    fn place(&self) -> Place {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let mut target = json!({"url": self.database.url, "table": format!("place_{next}.trial")});
        if self.dataknobs {
            target["layout"] = "dataknobs".into();
        }
        Place {
            base: PathBuf::new(),
            target,
        }
    }

    fn source(&self, place: &Place, _schema: &Schema) -> Value {
        place.target.clone()
    }

    fn plant(&self, strays: &[Stray]) -> Planted {
        let place = self.place();
        let table = place.target["table"].as_str().unwrap();
        let (schema, _) = table.split_once('.').unwrap();
        if self.dataknobs {
            return Planted {
                found: self.plant_records(schema, table, strays),
                base: place.base,
                source: place.target,
                tells_nulls: true,
            };
        }
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
        // The server keeps no NUL in a text, and jsonb has numbers only, and no -0 among them.
        let mut rejects = vec![("utf8", "a\0b")];
        if self.dataknobs {
            for kind in ["float32", "float64"] {
                rejects.extend(["NaN", "inf", "-inf", "-0.0"].map(|text| (kind, text)));
            }
            rejects.push(("vector(3)", "[0.0,-0.0,1e-45]"));
        }
        Traits {
            rejects,
            named: self.dataknobs,
            // By id, which is text: 10 comes before 2.
            ordered: !self.dataknobs,
            ..Traits::default()
        }
    }
}

impl Tables {
    fn new(dataknobs: bool) -> Self {
        Tables {
            database: dkhost_servers::postgres(),
            next: AtomicUsize::new(0),
            dataknobs,
        }
    }

    /// Strays as records of a dataknobs store. Its server takes no JSON that is none, so what cannot
    /// be read is metadata that is no object.
    fn plant_records(&self, schema: &str, table: &str, strays: &[Stray]) -> Vec<Found> {
        self.database.sql(&format!(
            "CREATE SCHEMA {schema}; CREATE TABLE {table} (id text PRIMARY KEY, data jsonb NOT NULL, metadata jsonb, \
             created_at timestamp DEFAULT CURRENT_TIMESTAMP, updated_at timestamp DEFAULT CURRENT_TIMESTAMP)"
        ));
        let one = |(number, stray): (usize, &Stray)| {
            let id = format!("rec-{number:02}");
            let (data, metadata) = match stray.document() {
                Some(document) => (document.replace('\'', "''"), "NULL"),
                None => ("{}".to_owned(), "'[1]'"),
            };
            self.database.sql(&format!(
                "INSERT INTO {table} (id, data, metadata) VALUES ('{id}', '{data}', {metadata})"
            ));
            match stray.document() {
                Some(_) => Found::Whole,
                None => {
                    let payload = json!({"id": id, "data": "{}", "metadata": "[1]"});
                    Found::Refused(payload.to_string().into_bytes())
                }
            }
        };
        strays.iter().enumerate().map(one).collect()
    }

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
    conformance::run(&Tables::new(false));
}

#[test]
fn dataknobs_stores_pass_the_suite() {
    conformance::run(&Tables::new(true));
}
