//! The suite every backend passes, for every format and compression and both layouts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "conformance/strays.rs"]
mod strays;
mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use dkhost_core::conformance::{self, Fencing, Fixture, Place, Planted, Stray, Traits};
use dkhost_core::{Backend, Conflict, Schema};
use dkhost_file::FileBackend;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Targets of one name in folders of their own.
struct Files {
    dir: TempDir,
    next: AtomicUsize,
    name: &'static str,
    options: Value,
    /// What the format cannot say.
    rejects: Vec<(&'static str, &'static str)>,
    /// Whether the file keeps its types; otherwise the source is told them.
    typed: bool,
}

impl Files {
    fn new(name: &'static str) -> Self {
        Files {
            dir: tempfile::tempdir().unwrap(),
            next: AtomicUsize::new(0),
            name,
            options: json!({}),
            rejects: Vec::new(),
            typed: false,
        }
    }

    fn option(mut self, name: &str, value: &str) -> Self {
        self.options[name] = value.into();
        self
    }

    fn typed(self) -> Self {
        Files {
            typed: true,
            ..self
        }
    }

    /// JSON has neither NaN nor infinity.
    fn json(self) -> Self {
        let floats = ["float32", "float64"];
        let texts = ["NaN", "inf", "-inf"];
        let rejects = floats
            .iter()
            .flat_map(|kind| texts.map(|text| (*kind, text)))
            .collect();
        Files { rejects, ..self }
    }
}

impl Fixture for Files {
    fn backend(&self) -> &dyn Backend {
        &FileBackend
    }

    fn place(&self) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let base: PathBuf = self.dir.path().join(number.to_string());
        std::fs::create_dir(&base).unwrap();
        let mut target = self.options.clone();
        target["path"] = self.name.into();
        Place { base, target }
    }

    fn source(&self, place: &Place, schema: &Schema) -> Value {
        let mut source = place.target.clone();
        if self.typed {
            // The codec inside the file, which says itself what it is.
            source
                .as_object_mut()
                .map(|options| options.remove("compression"));
        } else {
            let types: Map<String, Value> = schema
                .data_fields()
                .map(|(_, field)| (field.name.clone(), field.logical.to_string().into()))
                .collect();
            source["fields"] = types.into();
        }
        source
    }

    fn plant(&self, strays: &[Stray]) -> Planted {
        let base = self.place().base;
        let format = self.options["format"].as_str();
        let dataknobs = self.options["layout"] == "dataknobs";
        let written = strays::write(self.name, format, dataknobs, strays);
        for (name, content) in &written.files {
            let path = base.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let mut source = self.options.clone();
        source.as_object_mut().unwrap().remove("compression");
        source["path"] = self.name.into();
        source["fields"] = conformance::declared();
        if written.infers {
            source["infer"] = 1.into();
        }
        Planted {
            base,
            source,
            found: written.found,
            tells_nulls: written.tells_nulls,
        }
    }

    fn traits(&self) -> Traits {
        Traits {
            cannot_hold: Vec::new(),
            rejects: self.rejects.clone(),
            conflicts: vec![Conflict::ReplaceAll],
            keyed: false,
            named: self.options["layout"] == "dataknobs",
            fencing: Fencing::Epoch,
            ordered: true,
        }
    }
}

#[test]
fn json_lines() {
    conformance::run(&Files::new("x.jsonl").json());
}

#[test]
fn json_lines_gzip() {
    conformance::run(&Files::new("x.jsonl.gz").json());
}

#[test]
fn json_array() {
    conformance::run(&Files::new("x.json").json());
}

#[test]
fn a_dataknobs_store() {
    conformance::run(&Files::new("x.json").option("layout", "dataknobs"));
}

#[test]
fn json_array_zstd() {
    conformance::run(&Files::new("x.json.zst").json());
}

#[test]
fn csv() {
    conformance::run(&Files::new("x.csv"));
}

#[test]
fn csv_zstd() {
    conformance::run(&Files::new("x.csv.zst"));
}

#[test]
fn tsv_gzip() {
    conformance::run(&Files::new("x.tsv.gz"));
}

#[test]
fn parquet() {
    conformance::run(&Files::new("x.parquet").typed());
}

#[test]
fn parquet_zstd() {
    conformance::run(
        &Files::new("x.parquet")
            .option("compression", "zstd")
            .typed(),
    );
}

#[test]
fn arrow() {
    conformance::run(&Files::new("x.arrow").typed());
}

#[test]
fn arrow_zstd() {
    conformance::run(&Files::new("x.arrow").option("compression", "zstd").typed());
}

#[test]
fn a_folder_of_parts() {
    conformance::run(&Files::new("out/").option("format", "jsonl").json());
}

#[test]
fn a_folder_of_parquet() {
    conformance::run(&Files::new("out/").option("format", "parquet").typed());
}
