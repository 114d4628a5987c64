//! The plan as people and programs read it.

use dkhost_core::{Field, Schema, TargetPlan};
use serde::Serialize;

use super::Plan;
use crate::history::Window;

/// Everything that will happen.
#[derive(Debug, Clone, Serialize)]
pub struct PlanView {
    /// The job's name.
    pub job: String,
    /// The backend that is read.
    pub source: String,
    /// What was inferred and how values are converted.
    pub source_notes: Vec<String>,
    /// Parts of the job's filter the source checks itself; the rest is a stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_checks: Vec<String>,
    /// What an incremental run reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Window>,
    /// The slices.
    pub partitions: Vec<String>,
    /// Source records, if known.
    pub records: Option<u64>,
    /// Source bytes, if known.
    pub bytes: Option<u64>,
    /// The source's columns.
    pub columns: Vec<ColumnView>,
    /// The steps.
    pub stages: Vec<StageView>,
    /// The target.
    pub target: TargetPlan,
    /// `insert`, …
    pub on_conflict: &'static str,
    /// The key columns in the target.
    pub key: Vec<String>,
    /// The delivery promise, weakened by what a plugin may do.
    pub delivery: String,
    /// Why it is that.
    pub delivery_mechanism: String,
    /// `freeze`, …
    pub schema_drift: &'static str,
    /// `count`, …
    pub verify: &'static str,
    /// SHA-256 of what decides the result.
    pub plan_hash: String,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnView {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub logical: String,
    /// Whether it may hold nulls.
    pub nullable: bool,
    /// `id`, `meta`, `rest`, `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct StageView {
    /// What reports and dead letters call it.
    pub name: String,
    /// What it does.
    pub summary: String,
    /// For plugins: name and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// For plugins: digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// For plugins: limits and grants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// The columns after it.
    pub columns: Vec<ColumnView>,
}

/// The columns of a schema.
pub fn columns(schema: &Schema) -> Vec<ColumnView> {
    schema
        .fields
        .iter()
        .map(|field: &Field| ColumnView {
            name: field.name.clone(),
            logical: field.logical.to_string(),
            nullable: field.nullable,
            role: match (field.role, field.key) {
                (Some(dkhost_core::Role::Id), _) => Some("id"),
                (Some(dkhost_core::Role::Meta), _) => Some("meta"),
                (Some(dkhost_core::Role::Rest), _) => Some("rest"),
                (None, Some(_)) => Some("key"),
                (None, None) => None,
            },
        })
        .collect()
}

pub(super) fn view(plan: &Plan) -> PlanView {
    let target = plan.sink.plan().clone();
    let estimate = plan.source.estimate();
    let weakened = plan
        .stages
        .iter()
        .find_map(|stage| stage.step.note().weakens);
    PlanView {
        job: plan.job.name.clone(),
        source: plan.job.source.backend.0.clone(),
        source_notes: [plan.source.notes(), plan.notes.clone()].concat(),
        source_checks: plan.pushed.clone(),
        cursor: plan.cursor.clone(),
        partitions: plan
            .partitions
            .iter()
            .map(|partition| partition.label.clone())
            .collect(),
        records: estimate.records,
        bytes: estimate.bytes,
        columns: columns(plan.source.schema()),
        stages: plan
            .stages
            .iter()
            .map(|stage| {
                let note = stage.step.note();
                StageView {
                    name: stage.name.clone(),
                    summary: note.summary,
                    plugin: note.plugin,
                    digest: note.digest,
                    limits: note.limits,
                    columns: columns(stage.step.output()),
                }
            })
            .collect(),
        on_conflict: plan.job.target.conflict.0.word(),
        key: plan
            .schema
            .key()
            .into_iter()
            .map(|i| plan.schema.fields[i].name.clone())
            .collect(),
        delivery: if weakened.is_some() {
            "at-least-once".to_owned()
        } else {
            target.promise.clone()
        },
        delivery_mechanism: weakened.unwrap_or_else(|| target.mechanism.clone()),
        schema_drift: plan.job.run.drift.word(),
        verify: plan.job.run.verify.word(),
        plan_hash: plan.hash.clone(),
        target,
    }
}
