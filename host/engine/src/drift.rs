//! What the source's frozen schema cannot hold, and what the job says about it.
//!
//! A source puts fields its schema does not know and values that do not fit their column into the
//! rest. A document target takes the rest as it is, so nothing has to be decided there — unless a
//! step looks at the column a value did not fit: it would see a null that is none. A table has no
//! place for the rest at all. This guard stands directly behind the source and applies
//! `schema_drift` before any step can draw a wrong conclusion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder};
use dkhost_core::{Batch, Error, Result, Role, RowReject, Schema, StageKind};
use serde_json::value::RawValue;

use crate::job::Drift;
use crate::plan::PlannedStage;

/// Stands between the source and the first step.
#[derive(Debug, Clone)]
pub struct Guard {
    rest: Option<usize>,
    columns: BTreeSet<String>,
    /// Columns whose misfits cannot pass: those a step reads; all of them before a table.
    guarded: BTreeSet<String>,
    documents: bool,
    drift: Drift,
}

/// What the guard did to a batch.
#[derive(Debug)]
pub struct Guarded {
    /// The batch.
    pub batch: Batch,
    /// Values dropped under `discard_value`.
    pub values_discarded: u64,
}

impl Guard {
    /// The guard for a source and the steps behind it.
    pub fn new(source: &Schema, stages: &[PlannedStage], documents: bool, drift: Drift) -> Self {
        let columns: BTreeSet<String> = source
            .data_fields()
            .map(|(_, field)| field.name.clone())
            .collect();
        let guarded = if documents {
            columns_read(&columns, stages)
        } else {
            columns.clone()
        };
        Guard {
            rest: source.role(Role::Rest),
            columns,
            guarded,
            documents,
            drift,
        }
    }

    /// Applies the policy to a batch fresh from the source.
    ///
    /// *Errors* – `drift::…` under `freeze`, with the record's place.
    pub fn check(&self, batch: Batch) -> Result<Guarded> {
        let Some(index) = self.rest else {
            return Ok(Guarded {
                batch,
                values_discarded: 0,
            });
        };
        let rest = batch.records.column(index).clone();
        if rest.null_count() == rest.len() {
            return Ok(Guarded {
                batch,
                values_discarded: 0,
            });
        }
        let rest = rest.as_string::<i32>();
        let mut rejects = Vec::new();
        let mut values_discarded = 0;
        let mut kept: Vec<Option<String>> = Vec::with_capacity(rest.len());
        for row in 0..rest.len() {
            if rest.is_null(row) {
                kept.push(None);
                continue;
            }
            let fields: Fields<'_> = serde_json::from_str(rest.value(row)).map_err(|cause| {
                Error::bug("a source built an unreadable rest").caused_by(cause)
            })?;
            kept.push(self.decide(&batch, row, fields, &mut rejects, &mut values_discarded)?);
        }
        let batch = with_rest(batch, index, kept)?;
        Ok(Guarded {
            batch: batch.refuse(rejects, StageKind::Decode, "source")?,
            values_discarded,
        })
    }

    /// What stays in the rest of one row.
    fn decide(
        &self,
        batch: &Batch,
        row: usize,
        mut fields: Fields<'_>,
        rejects: &mut Vec<RowReject>,
        discarded: &mut u64,
    ) -> Result<Option<String>> {
        let offends = |name: &str, value: &RawValue| {
            let known = self.columns.contains(name);
            let misfit = known && value.get() != "null" && self.guarded.contains(name);
            misfit || (!known && !self.documents && self.drift != Drift::Evolve)
        };
        let offender = fields
            .0
            .iter()
            .find(|(name, value)| offends(name, value))
            .map(|(name, value)| (name.clone(), value.get().to_owned()));
        if let Some((name, value)) = offender {
            match self.drift {
                Drift::Freeze => return Err(self.frozen(batch, row, &name, &value)),
                Drift::DiscardRow | Drift::Evolve => {
                    let (code, message) = self.words(&name, &value);
                    rejects.push(RowReject {
                        row: row as u32,
                        column: Some(name),
                        code: code.into(),
                        message,
                    });
                }
                Drift::DiscardValue => {
                    let before = fields.0.len();
                    fields.0.retain(|(name, value)| !offends(name, value));
                    *discarded += (before - fields.0.len()) as u64;
                }
            }
        }
        if !self.documents {
            // A null of a known column is an ordinary null in a table.
            fields.0.retain(|(name, _)| !self.columns.contains(name));
        }
        Ok(fields.to_json())
    }

    fn words(&self, name: &str, value: &str) -> (&'static str, String) {
        let shown: String = value.chars().take(60).collect();
        if self.columns.contains(name) {
            (
                "drift::type_mismatch",
                format!("the value {shown} of `{name}` does not fit its column"),
            )
        } else {
            (
                "drift::unknown_field",
                format!(
                    "the field `{}` is not in the frozen schema",
                    name.escape_debug()
                ),
            )
        }
    }

    fn frozen(&self, batch: &Batch, row: usize, name: &str, value: &str) -> Error {
        let (code, message) = self.words(name, value);
        let place = batch.source.locator(batch.source_row(row) as usize);
        Error::data(code, format!("{message} ({place})")).help(format!(
            "the schema is frozen. Declare it ([source] fields = {{ \"{}\" = \"…\" }}, or a larger infer), or choose run.schema_drift = \"discard_row\" (dead letter), \"discard_value\" or \"evolve\"",
            name.escape_debug()
        ))
    }
}

/// Source columns whose values some step looks at, followed through renames.
fn columns_read(columns: &BTreeSet<String>, stages: &[PlannedStage]) -> BTreeSet<String> {
    let mut origin: BTreeMap<String, String> = columns
        .iter()
        .map(|name| (name.clone(), name.clone()))
        .collect();
    let mut read = BTreeSet::new();
    for stage in stages {
        read.extend(
            stage
                .step
                .reads()
                .iter()
                .filter_map(|name| origin.get(name).cloned()),
        );
        origin = stage
            .step
            .carries()
            .into_iter()
            .filter_map(|(before, after)| origin.get(&before).map(|source| (after, source.clone())))
            .collect();
    }
    read
}

fn with_rest(mut batch: Batch, index: usize, kept: Vec<Option<String>>) -> Result<Batch> {
    let mut builder = StringBuilder::new();
    for text in &kept {
        builder.append_option(text.as_deref());
    }
    let mut columns = batch.records.columns().to_vec();
    columns[index] = Arc::new(builder.finish()) as ArrayRef;
    batch.records = RecordBatch::try_new(batch.records.schema(), columns)?;
    Ok(batch)
}

/// The fields of a rest object, in order.
pub(crate) struct Fields<'a>(pub Vec<(String, &'a RawValue)>);

impl Fields<'_> {
    /// Back to JSON; `None` when nothing is left.
    pub(crate) fn to_json(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut text = String::from("{");
        for (i, (name, value)) in self.0.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            text.push_str(&serde_json::Value::from(name.as_str()).to_string());
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        Some(text)
    }
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push(entry);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Visitor).map(Fields)
    }
}
