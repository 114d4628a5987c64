//! `dkhost plugin test`: builds a plugin and runs its golden cases through the real component.

use std::path::Path;

use dkhost_core::{Error, Result};
use dkhost_plugin::Component;
use dkhost_plugin::build::{BuildOptions, build};
use dkhost_plugin::golden::{Verdict, cases};
use serde_json::json;

use super::{build_options, load_options};
use crate::error;
use crate::escape::{escape, escape_lines};
use crate::screen::Screen;
use crate::table::counted;

/// What a plugin that fails a case ends with.
const FAILED: i32 = 6;

/// Runs the cases of the plugin in `dir`; of `component` if it is given, else of a fresh build.
pub fn test(dir: &Path, component: Option<&Path>, bless: bool, screen: &mut Screen) -> Result<i32> {
    let cases = cases(dir)?;
    let component = match component {
        Some(file) => Component::load(file, &load_options())?,
        None => fresh(dir, screen)?,
    };
    let (mut passed, mut failed) = (0u64, 0u64);
    for case in &cases {
        let verdict = case.run(&component, bless);
        match &verdict {
            Ok(Verdict::Same { .. } | Verdict::Blessed) => passed += 1,
            Ok(Verdict::Different { .. }) | Err(_) => failed += 1,
        }
        show(&case.name, &verdict, screen)?;
    }
    if !screen.json {
        screen.line(format!("\n{passed} passed, {failed} failed"))?;
        if failed > 0 {
            screen.line("`dkhost plugin test --bless` takes what came out as what is expected")?;
        }
    }
    Ok(if failed > 0 { FAILED } else { 0 })
}

/// A build of `dir` that leaves nothing behind.
fn fresh(dir: &Path, screen: &Screen) -> Result<Component> {
    let scratch = tempfile::tempdir()
        .map_err(|cause| Error::io("make a folder in", std::env::temp_dir(), cause))?;
    let output = Some(scratch.path().join("plugin.wasm"));
    let built = build(
        dir,
        &BuildOptions {
            output,
            ..build_options(screen)
        },
    )?;
    Component::load(&built.path, &load_options())
}

fn show(name: &str, verdict: &Result<Verdict>, screen: &mut Screen) -> Result<()> {
    if screen.json {
        return screen.object(&match verdict {
            Ok(Verdict::Same { records, rejects }) => {
                json!({ "case": name, "verdict": "same", "records": records, "rejects": rejects })
            }
            Ok(Verdict::Blessed) => json!({ "case": name, "verdict": "blessed" }),
            Ok(Verdict::Different { diff }) => {
                json!({ "case": name, "verdict": "different", "diff": diff })
            }
            Err(wrong) => {
                json!({ "case": name, "verdict": "failed", "error": error::object(wrong, None) })
            }
        });
    }
    let paint = screen.paint;
    let shown = paint.bold(&escape(name));
    match verdict {
        Ok(Verdict::Same { records, rejects }) => {
            let records = counted(*records as u64, "record");
            screen.line(format!(
                "{} {shown}: {records} out, {rejects} refused",
                paint.green("ok")
            ))
        }
        Ok(Verdict::Blessed) => screen.line(format!("{} {shown}", paint.yellow("blessed"))),
        Ok(Verdict::Different { diff }) => {
            screen.line(format!(
                "{} {shown}: - expected, + came out",
                paint.red("differs")
            ))?;
            screen.line(coloured(diff, screen))
        }
        Err(wrong) => {
            screen.line(format!("{} {shown}", paint.red("failed")))?;
            screen.line(error::render(wrong, None, paint))
        }
    }
}

fn coloured(diff: &str, screen: &Screen) -> String {
    let paint = screen.paint;
    let line = |line: &str| match line.as_bytes().first() {
        Some(b'-') => paint.red(line),
        Some(b'+') => paint.green(line),
        _ => line.to_owned(),
    };
    escape_lines(diff)
        .lines()
        .map(|text| format!("  {}", line(text)))
        .collect::<Vec<_>>()
        .join("\n")
}
