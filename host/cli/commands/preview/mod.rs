//! `dkhost preview`: the first records before and after every step, side by side.
//!
//! A step's table shows the columns it changed: a cell that changed reads `before → after`, a record
//! that was dropped or refused keeps its line and says why. What a step left alone is not repeated.

mod changes;
mod grid;
mod sheet;

use std::collections::BTreeMap;

use dkhost_core::Result;
use dkhost_engine::Plan;
use dkhost_engine::plan::Purpose;
use dkhost_engine::preview::Scene;
use serde_json::json;
use serde_json::value::RawValue;

use self::grid::{grid, whole};
use self::sheet::Sheet;
use super::make_plan;
use super::run::log_to;
use crate::args::JobArgs;
use crate::escape::escape;
use crate::screen::{Paint, Screen};
use crate::table::counted;
use crate::watch::Voice;

/// Takes some records through the steps and shows them.
pub fn preview(args: &JobArgs, records: u32, screen: &mut Screen) -> Result<i32> {
    let voice = Voice::new(screen.json);
    let plan = make_plan(args, Purpose::Look, log_to(&voice))?;
    let scenes = dkhost_engine::preview::preview(&plan, records as usize)?;
    if screen.json {
        for scene in &scenes {
            screen.object(&object(scene)?)?;
        }
        return Ok(0);
    }
    let lines = text(&plan, &scenes, screen.paint)?;
    screen.line(lines.join("\n"))?;
    Ok(0)
}

fn object(scene: &Scene) -> Result<serde_json::Value> {
    let records = sheet::rows(scene)?
        .into_iter()
        .map(|(origin, fields)| json!({ "source_record": origin, "record": fields }))
        .collect::<Vec<_>>();
    let refused = scene
        .rejects
        .iter()
        .map(|r| json!({ "source_record": r.source_row, "column": r.column, "code": r.code, "message": r.message }))
        .collect::<Vec<_>>();
    Ok(
        json!({ "stage": scene.name, "summary": scene.summary, "records": records, "refused": refused }),
    )
}

fn text(plan: &Plan, scenes: &[Scene], paint: Paint) -> Result<Vec<String>> {
    let Some((source, steps)) = scenes.split_first() else {
        return Ok(vec!["the source has no records".to_owned()]);
    };
    let mut before = Sheet::of(source)?;
    let shown = counted(before.rows.len() as u64, "record");
    let mut lines = vec![format!("{}  the first {shown}", paint.bold("source"))];
    lines.extend(refusals(source, paint));
    lines.extend(grid(&whole(&before), paint));
    for (scene, planned) in steps.iter().zip(&plan.stages) {
        let after = Sheet::of(scene)?;
        let carried: BTreeMap<String, String> = planned
            .step
            .carries()
            .into_iter()
            .map(|(from, to)| (to, from))
            .collect();
        lines.push(String::new());
        lines.push(format!(
            "{}  {}",
            paint.bold(&escape(&scene.name)),
            escape(&scene.summary)
        ));
        lines.extend(changes::step(&before, &after, &carried, scene, paint));
        before = after;
    }
    Ok(lines)
}

fn refusals(scene: &Scene, paint: Paint) -> Vec<String> {
    let refused = scene.rejects.iter().map(|reject| {
        let column = reject
            .column
            .as_ref()
            .map(|column| format!(" `{}`", escape(column)))
            .unwrap_or_default();
        format!(
            "  {} {}{column}: {}",
            paint.red("refused"),
            reject.source_row + 1,
            escape(&reject.message)
        )
    });
    refused.collect()
}

/// A record's fields, each with its JSON text.
type Fields = BTreeMap<String, Box<RawValue>>;
