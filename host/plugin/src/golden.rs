//! `dkhost plugin test DIR`: records in, records out, through the real component.
//!
//! | file | holds |
//! |---|---|
//! | `case.in.jsonl` | records, an object a line; their schema is inferred as for any JSONL source |
//! | `case.out.jsonl` | what comes out; a refused record is `{"$reject": {"row": 3, "code": "…"}}` at the end, by row of the input from 0 |
//! | `case.config.json` | the step's `config`; `{}` without it |
//! | `case.fields.json` | declared types, `{"price": "decimal(10, 2)"}`; inferred without it |
//!
//! A case called like one of the component's plugins runs that plugin, others run the first. Of a
//! migration it is the way up, and then, where there is one, the way down: what comes back must be
//! the records that went in and were not refused if the migration is lossless, else what
//! `case.back.jsonl` holds. Of several steps a case called `1.0.0--2.0.0` runs that one, others the first.
//!
//! Every case is applied twice in a row, so that the host's check for hidden state runs too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use dkhost_core::json::{DecodeOptions, Decoder, Encoder, Inference};
use dkhost_core::{
    Batch, Changed, Error, Field, Locator, LogicalType, Nulls, Payload, Position, Result, Role,
    RowReject, Schema, SourceRows,
};
use serde_json::{Map, Value, json};

use crate::component::{Component, StageSpec};
use crate::diff;
use crate::migration::{Direction, Migration};

const INPUT: &str = ".in.jsonl";

/// One golden case of a plugin's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// `case` for `case.in.jsonl`.
    pub name: String,
    folder: PathBuf,
}

/// What running a case showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Out came what was expected.
    Same {
        /// Records that came out.
        records: usize,
        /// Records that were refused.
        rejects: usize,
    },
    /// Something else: lines with `-` were expected, lines with `+` came out.
    Different {
        /// A readable difference.
        diff: String,
    },
    /// The expectation was written anew.
    Blessed,
}

/// The cases of a folder, by name.
///
/// *Errors* – `plugin::no_case` when there is none.
pub fn cases(folder: &Path) -> Result<Vec<Case>> {
    let entries = fs::read_dir(folder).map_err(|cause| Error::io("look into", folder, cause))?;
    let mut cases: Vec<Case> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(INPUT)?.to_owned()))
        .map(|name| Case {
            name,
            folder: folder.to_owned(),
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    match cases.is_empty() {
        true => Err(Error::config("plugin::no_case", format!("there is no case in `{}`", folder.display()))
            .help("write some records into `case.in.jsonl`, then `dkhost plugin test --bless` writes `case.out.jsonl`")),
        false => Ok(cases),
    }
}

impl Case {
    fn path(&self, end: &str) -> PathBuf {
        self.folder.join(format!("{}{end}", self.name))
    }

    /// Runs the case through `component`. With `bless` the outcome becomes the expectation.
    ///
    /// *Errors* – whatever the plugin or the case's files do wrong.
    pub fn run(&self, component: &Component, bless: bool) -> Result<Verdict> {
        let migration = self.migration(component);
        // A run takes the written null of a field along with the field; alone, a migration does not
        // see the rest that holds it.
        let (schema, records) = self.records(migration.is_none())?;
        let config = match read_optional(&self.path(".config.json"))? {
            Some(text) => parse(&text, &self.path(".config.json"))?,
            None => json!({}),
        };
        if let Some(at) = migration {
            return self.migrate(component, at, config, &schema, records, bless);
        }
        let plugins = component.describe();
        let plugin = plugins
            .iter()
            .find(|plugin| plugin.name == self.name)
            .or(plugins.first());
        let spec = StageSpec {
            name: self.name.clone(),
            plugin: plugin.map(|plugin| plugin.name.clone()),
            config,
            input: &schema,
        };
        let step = component.bind(&spec)?;
        let mut stage = step.open(0)?;
        let batch = as_batch(records);
        let changed = stage.apply(&batch)?;
        stage.apply(&batch)?;
        let got = lines(step.output(), changed)?;
        self.compare(".out.jsonl", got, bless)
    }

    /// The migration the case is about; `None` for plugins of other kinds.
    fn migration(&self, component: &Component) -> Option<usize> {
        let (steps, plugins) = (component.migrations(), component.describe());
        let called = |step: &Migration| format!("{}--{}", step.from, step.to) == self.name;
        let named = plugins.iter().find(|plugin| plugin.name == self.name);
        if named.is_none()
            && let Some(at) = steps.iter().position(called)
        {
            return Some(at);
        }
        let plugin = named.or(plugins.first())?;
        let is_its = |step: &Migration| step.plugin == plugin.name;
        steps.iter().position(is_its)
    }

    fn migrate(
        &self,
        component: &Component,
        at: usize,
        config: Value,
        schema: &Schema,
        records: RecordBatch,
        bless: bool,
    ) -> Result<Verdict> {
        let step = &component.migrations()[at];
        let spec = |input| StageSpec {
            name: self.name.clone(),
            plugin: None,
            config: config.clone(),
            input,
        };
        let up = component.bind_migration(at, Direction::Up, &spec(schema))?;
        let mut stage = up.open(0)?;
        let batch = as_batch(records);
        let went = stage.apply(&batch)?;
        let refused: Vec<u32> = went.rejects.iter().map(|reject| reject.row).collect();
        let told = self.compare(".out.jsonl", lines(up.output(), went)?, bless)?;
        if matches!(told, Verdict::Different { .. }) {
            return Ok(told);
        }
        let there = as_batch(stage.apply(&batch)?.records);
        if !step.reversible {
            return Ok(told);
        }
        let down = component.bind_migration(at, Direction::Down, &spec(up.output()))?;
        let mut stage = down.open(0)?;
        let back = lines(down.output(), stage.apply(&there)?)?;
        stage.apply(&there)?;
        if !step.lossless {
            let came = self.compare(".back.jsonl", back, bless)?;
            return Ok(match came {
                Verdict::Different { .. } => came,
                Verdict::Same { .. } | Verdict::Blessed => told,
            });
        }
        // All that were not refused: one that was left out did not come back either.
        let rows: UInt32Array = (0..batch.records.num_rows() as u32)
            .filter(|row| !refused.contains(row))
            .collect();
        let went = Changed::columns(take_record_batch(&batch.records, &rows)?);
        let went = lines(schema, went)?;
        Ok(match returned(went, back) {
            Some(diff) => Verdict::Different { diff },
            None => told,
        })
    }

    /// The input's schema and its records; `nulls` that are written out are told from fields that
    /// are not there.
    fn records(&self, nulls: bool) -> Result<(Schema, RecordBatch)> {
        let path = self.path(INPUT);
        let text = fs::read_to_string(&path).map_err(|cause| Error::io("read", &path, cause))?;
        let wrong = |line: usize, why: String| {
            Error::config(
                "plugin::bad_case",
                format!("`{}` line {}: {why}", path.display(), line + 1),
            )
            .help("every line is one JSON object")
        };
        let lines = || {
            text.lines()
                .enumerate()
                .filter(|(_, line)| !line.trim().is_empty())
        };
        let mut inference = Inference::new();
        for (number, line) in lines() {
            inference
                .observe(line.as_bytes())
                .map_err(|cause| wrong(number, cause.to_string()))?;
        }
        let mut fields = inference.finish();
        self.declare(&mut fields)?;
        fields.push(Field::reserved(Role::Rest));
        let schema = Schema::new(fields);
        let mut decoder = Decoder::new(
            &schema,
            DecodeOptions {
                explicit_nulls: nulls,
                ..DecodeOptions::default()
            },
        );
        for (number, line) in lines() {
            decoder
                .push(line.as_bytes())
                .map_err(|cause| wrong(number, cause.to_string()))?;
        }
        Ok((schema, decoder.finish()?))
    }

    /// Gives fields the types of `case.fields.json`.
    fn declare(&self, fields: &mut Vec<Field>) -> Result<()> {
        let path = self.path(".fields.json");
        let Some(text) = read_optional(&path)? else {
            return Ok(());
        };
        let declared: BTreeMap<String, String> = parse(&text, &path)?;
        for (name, logical) in declared {
            let logical: LogicalType = logical.parse().map_err(|why| {
                Error::config("plugin::bad_case", format!("`{}`: {why}", path.display()))
            })?;
            match fields.iter_mut().find(|field| field.name == name) {
                Some(field) => field.logical = logical,
                None => fields.push(Field {
                    null_is_absent: true,
                    ..Field::new(name, logical)
                }),
            }
        }
        Ok(())
    }

    fn compare(&self, end: &str, got: Vec<Value>, bless: bool) -> Result<Verdict> {
        let path = self.path(end);
        let text: Vec<String> = got.iter().map(Value::to_string).collect();
        if bless {
            let all: String = text.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            fs::write(&path, all).map_err(|cause| Error::io("write", &path, cause))?;
            return Ok(Verdict::Blessed);
        }
        let expected = read_optional(&path)?.ok_or_else(|| {
            Error::config("plugin::no_case", format!("there is no `{}` to compare with", path.display()))
                .help("`dkhost plugin test --bless` writes what comes out now; read it before you keep it")
        })?;
        let mut lines = Vec::new();
        for line in expected.lines().filter(|line| !line.trim().is_empty()) {
            lines.push(parse::<Value>(line, &path)?);
        }
        if lines.len() == got.len()
            && lines
                .iter()
                .zip(&got)
                .all(|(expected, got)| matches(expected, got))
        {
            let rejects = got
                .iter()
                .filter(|line| line.get("$reject").is_some())
                .count();
            return Ok(Verdict::Same {
                records: got.len() - rejects,
                rejects,
            });
        }
        let expected: Vec<(String, Value)> = lines
            .into_iter()
            .map(|line| (line.to_string(), line))
            .collect();
        let got: Vec<(String, Value)> = text.into_iter().zip(got).collect();
        Ok(Verdict::Different {
            diff: diff::lines(&expected, &got, matches),
        })
    }
}

/// How records that came back differ from those that went; a null is as good as no field.
fn returned(went: Vec<Value>, back: Vec<Value>) -> Option<String> {
    let plain = |line: Value| match line {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
        other => other,
    };
    let [went, back] =
        [went, back].map(|lines| lines.into_iter().map(plain).collect::<Vec<Value>>());
    if went == back {
        return None;
    }
    let shown = |lines: Vec<Value>| {
        lines
            .into_iter()
            .map(|line| (line.to_string(), line))
            .collect::<Vec<_>>()
    };
    let diff = diff::lines(&shown(went), &shown(back), |one, two| one == two);
    Some(format!(
        "it says that it is lossless, and after up and down:\n{diff}"
    ))
}

/// A reject may leave out what does not matter to the case: the message, the column.
fn matches(expected: &Value, got: &Value) -> bool {
    match (
        expected.get("$reject").and_then(Value::as_object),
        got.get("$reject").and_then(Value::as_object),
    ) {
        (Some(expected), Some(got)) => expected
            .iter()
            .all(|(name, value)| got.get(name) == Some(value)),
        (None, None) => expected == got,
        _ => false,
    }
}

/// Records, then refused rows, as JSON.
fn lines(schema: &Schema, changed: Changed) -> Result<Vec<Value>> {
    let encoder = Encoder::new(schema, Nulls::Keep);
    let bound = encoder.bind(&changed.records)?;
    let mut lines = Vec::with_capacity(changed.records.num_rows() + changed.rejects.len());
    let mut text = Vec::new();
    for row in 0..changed.records.num_rows() {
        text.clear();
        bound.row(row, &mut text).map_err(|cause| {
            Error::data(
                "plugin::bad_case",
                format!("row {row} of the output: {cause}"),
            )
        })?;
        let value = serde_json::from_slice(&text)
            .map_err(|cause| Error::bug("an encoded row is no JSON").caused_by(cause))?;
        lines.push(value);
    }
    let mut rejects = changed.rejects;
    rejects.sort_by_key(|reject| reject.row);
    lines.extend(rejects.into_iter().map(rejected));
    Ok(lines)
}

fn rejected(reject: RowReject) -> Value {
    let mut members = Map::new();
    members.insert("row".into(), json!(reject.row));
    if let Some(column) = reject.column {
        members.insert("column".into(), json!(column));
    }
    members.insert("code".into(), json!(reject.code));
    members.insert("message".into(), json!(reject.message));
    json!({ "$reject": members })
}

fn read_optional(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::io("read", path, cause)),
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    serde_json::from_str(text).map_err(|cause| {
        Error::config(
            "plugin::bad_case",
            format!("`{}` is not what it should be: {cause}", path.display()),
        )
    })
}

/// The records of a case as if a source had read them.
#[derive(Debug)]
struct CaseRows(usize);

impl SourceRows for CaseRows {
    fn len(&self) -> usize {
        self.0
    }

    fn locator(&self, row: usize) -> Locator {
        Locator::of([("row", json!(row))])
    }

    fn payload(&self, _row: usize) -> Payload {
        Payload {
            bytes: Vec::new(),
            media: "json",
        }
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

fn as_batch(records: RecordBatch) -> Batch {
    let source = Arc::new(CaseRows(records.num_rows()));
    Batch {
        records,
        origin: None,
        source,
        rejects: Vec::new(),
        until: Position::start(),
        source_bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_do_not_come_back_are_shown() {
        let went = || vec![json!({ "id": 1, "name": "Ada " }), json!({ "id": 2 })];
        let back = vec![
            json!({ "name": "Ada ", "id": 1 }),
            json!({ "id": 2, "name": null }),
        ];
        assert_eq!(returned(went(), back), None);
        let trimmed = vec![json!({ "id": 1, "name": "Ada" }), json!({ "id": 2 })];
        let diff = returned(went(), trimmed).unwrap();
        assert!(
            diff.contains("lossless") && diff.contains("+ {\"id\":1,\"name\":\"Ada\"}"),
            "{diff}"
        );
        assert!(returned(went(), Vec::new()).is_some());
    }
}
