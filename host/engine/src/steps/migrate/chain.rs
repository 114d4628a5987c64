//! Several steps that are one step of the job: its stage, its rejects, its line in the report.

use dkhost_core::{
    Batch, Changed, Reject, Result, RowReject, Schema, Stage, StageKind, Step, StepNote,
};

/// Steps one behind the other, each bound to the output of the one before.
pub(super) struct Chain {
    title: String,
    input: Schema,
    steps: Vec<Box<dyn Step>>,
}

impl Chain {
    /// No steps yet; `title` is what the plan says before theirs.
    pub(super) fn new(title: String, input: &Schema) -> Self {
        Chain {
            title,
            input: input.clone(),
            steps: Vec::new(),
        }
    }

    /// Adds a step that is bound to [`Chain::schema`].
    pub(super) fn push(&mut self, step: Box<dyn Step>) {
        self.steps.push(step);
    }

    /// The columns behind the last step.
    pub(super) fn schema(&self) -> &Schema {
        self.steps.last().map_or(&self.input, |step| step.output())
    }

    /// The input's columns and the names they have before the first step: their own.
    fn own_names(&self) -> Vec<(String, String)> {
        let same = |name: &str| (name.to_owned(), name.to_owned());
        self.input.names().map(same).collect()
    }
}

/// The columns that a step carries, under the names they have behind it.
fn carried(step: &dyn Step, before: Vec<(String, String)>) -> Vec<(String, String)> {
    let carries = step.carries();
    let behind = |(first, now): (String, String)| {
        let names = carries.iter().filter(move |(from, _)| *from == now);
        names.map(move |(_, to)| (first.clone(), to.clone()))
    };
    before.into_iter().flat_map(behind).collect()
}

impl Step for Chain {
    fn kind(&self) -> StageKind {
        StageKind::Step
    }

    fn output(&self) -> &Schema {
        self.schema()
    }

    fn reads(&self) -> Vec<String> {
        let mut read: Vec<String> = Vec::new();
        let mut names = self.own_names();
        for step in &self.steps {
            let reads = step.reads();
            for (first, now) in &names {
                if reads.contains(now) && !read.contains(first) {
                    read.push(first.clone());
                }
            }
            names = carried(step.as_ref(), names);
        }
        read
    }

    fn carries(&self) -> Vec<(String, String)> {
        let steps = self.steps.iter();
        steps.fold(self.own_names(), |names, step| {
            carried(step.as_ref(), names)
        })
    }

    fn keeps_unknown(&self) -> bool {
        self.steps.iter().all(|step| step.keeps_unknown())
    }

    fn note(&self) -> StepNote {
        let mut notes: Vec<StepNote> = self.steps.iter().map(|step| step.note()).collect();
        let parts: Vec<String> = notes
            .iter_mut()
            .map(|note| std::mem::take(&mut note.summary))
            .filter(|part| !part.is_empty())
            .collect();
        let plugin = notes.into_iter().find(|note| note.plugin.is_some());
        StepNote {
            summary: format!("{}: {}", self.title, parts.join("; ")),
            ..plugin.unwrap_or_default()
        }
    }

    fn open(&self, partition: u32) -> Result<Box<dyn Stage>> {
        let stages = self.steps.iter().map(|step| step.open(partition));
        Ok(Box::new(Stages {
            stages: stages.collect::<Result<_>>()?,
            output: self.schema().clone(),
        }))
    }
}

struct Stages {
    stages: Vec<Box<dyn Stage>>,
    output: Schema,
}

impl Stage for Stages {
    fn apply(&mut self, batch: &Batch) -> Result<Changed> {
        // Rows are numbered anew, so that what comes out speaks of rows of this batch.
        let mut now = Batch {
            origin: None,
            rejects: Vec::new(),
            ..batch.clone()
        };
        for stage in &mut self.stages {
            let changed = stage.apply(&now)?;
            now = now.advance(changed, StageKind::Step, "")?;
        }
        debug_assert_eq!(now.records.schema(), self.output.to_arrow());
        Ok(Changed {
            origin: now.origin.map(|origin| origin.to_vec()),
            records: now.records,
            rejects: now.rejects.into_iter().map(refused).collect(),
        })
    }

    fn counters(&self) -> Vec<(String, u64)> {
        self.stages
            .iter()
            .flat_map(|stage| stage.counters())
            .collect()
    }
}

fn refused(reject: Reject) -> RowReject {
    RowReject {
        row: reject.source_row,
        column: reject.column,
        code: reject.code,
        message: reject.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Scope;
    use crate::steps::testing::{batch, input, parse, records_of};
    use dkhost_core::Node;
    use serde_json::{Value, json};

    fn chain(schema: &Schema, steps: &[(&str, Value)]) -> Chain {
        let mut chain = Chain::new(String::new(), schema);
        for (verb, node) in steps {
            let input = chain.schema().clone();
            let scope = Scope::stage("here", &input);
            chain.push(crate::steps::build(verb, &Node::from_json(node), &scope).unwrap());
        }
        chain
    }

    #[test]
    fn steps_follow_each_other_and_refused_rows_keep_their_numbers() {
        let schema = input(&[("a", "int64"), ("b", "utf8")]);
        let chain = chain(
            &schema,
            &[
                ("filter", json!("a <> 2")),
                ("rename", json!({ "b": "c" })),
                ("apply", json!({ "c": { "type_cast": { "to": "int64" } } })),
                ("set", json!({ "d": "a + c" })),
            ],
        );
        let records = batch(
            &schema,
            r#"{"a":1,"b":"10"}{"a":2,"b":"20"}{"a":3,"b":"x"}{"a":4,"b":"40"}"#,
        );
        let changed = chain.open(0).unwrap().apply(&records).unwrap();
        let rows: Vec<u32> = changed.rejects.iter().map(|reject| reject.row).collect();
        assert_eq!(rows, [2]);
        assert_eq!(changed.origin, Some(vec![0, 3]));
        assert_eq!(
            records_of(&changed.records, chain.output()),
            parse(r#"{"a":1,"c":10,"d":11}{"a":4,"c":40,"d":44}"#)
        );
    }

    #[test]
    fn what_is_read_and_carried_is_told_under_the_names_of_the_input() {
        let schema = input(&[("a", "int64"), ("b", "utf8"), ("c", "utf8"), ("d", "utf8")]);
        let chain = chain(
            &schema,
            &[
                ("rename", json!({ "b": "x", "c": "b" })),
                ("set", json!({ "b": "upper(b)", "e": "1" })),
                ("drop", json!(["d"])),
            ],
        );
        assert_eq!(chain.reads(), ["c"]);
        assert_eq!(
            chain.carries(),
            [("a".into(), "a".into()), ("b".into(), "x".into())]
        );
    }
}
