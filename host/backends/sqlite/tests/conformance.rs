//! The suite every backend passes, over tables.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use dkhost_core::conformance::{self, Fencing, Fixture, Place, Traits};
use dkhost_core::{Backend, Schema};
use dkhost_sqlite::SqliteBackend;
use serde_json::{Value, json};

struct Tables {
    folder: tempfile::TempDir,
    next: AtomicUsize,
}

impl Fixture for Tables {
    fn backend(&self) -> &dyn Backend {
        &SqliteBackend
    }

    fn place(&self) -> Place {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        Place {
            base: PathBuf::from(self.folder.path()),
            target: json!({"path": format!("{next}.db"), "table": "trial"}),
        }
    }

    fn source(&self, place: &Place, _schema: &Schema) -> Value {
        place.target.clone()
    }

    fn traits(&self) -> Traits {
        Traits {
            rejects: vec![
                ("float32", "NaN"),
                ("float32", "-0.0"),
                ("float64", "NaN"),
                ("float64", "-0.0"),
            ],
            fencing: Fencing::EpochBetweenBatches,
            ..Traits::default()
        }
    }
}

#[test]
fn tables_pass_the_suite() {
    conformance::run(&Tables {
        folder: tempfile::tempdir().unwrap(),
        next: AtomicUsize::new(0),
    });
}
