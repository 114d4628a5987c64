//! What a version lets pass is valid by the JSON Schema that it is exported as, to a validator that
//! knows nothing of us.

use dkhost_schema::json_schema::json_schema;
use proptest::test_runner::TestCaseError;
use serde_json::{Map, Value, json};

use crate::made_up::{all_hold, csv};
use crate::random_versions::Version;
use crate::world::World;

/// Values that a field may not be meant for.
fn odd() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(2_147_483_648_u64),
        json!(1.0),
        json!(0.1),
        json!(1e300),
        json!(""),
        json!(" "),
        json!("1"),
        json!("abcdefgh"),
        json!("2026-01-31"),
        json!("2026-01-31T13:30:00+02:00"),
        json!("not-a-uuid"),
        json!([]),
        json!({ "a": null }),
    ]
}

/// Runs lines or cells through the step `validate`; those that pass.
fn passed(world: &World, version: &Version, from: &str) -> Vec<Value> {
    let types = version.fields.iter();
    let types = types.map(|field| format!("{} = \"{}\"", field.name, field.logical));
    world.write(
        "job.toml",
        format!(
            "name = \"t\"\n[source]\nbackend = \"file\"\npath = \"{from}\"\nfields = {{ {} }}\n\
             [[steps]]\nvalidate = \"t@1.0.0\"\n[target]\nbackend = \"file\"\npath = \"out.jsonl\"\n\
             on_conflict = \"replace-all\"\n[run]\non_error = \"dead-letter\"\nschema_drift = \"discard_row\"\n",
            types.collect::<Vec<_>>().join(", ")
        ),
    );
    let answer = world.run(&["run", "job.toml", "--json", "--no-resume"]);
    match answer.code {
        0 | 3 => lines(&world.read("out.jsonl")),
        _ => Vec::new(),
    }
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The first records, each field in turn with each odd value, without it, and with one too much.
fn spoiled(records: &[Value], version: &Version) -> String {
    let mut text = String::new();
    for record in records.iter().take(3) {
        let whole = record.as_object().unwrap();
        let mut add = |record: &Map<String, Value>| {
            text += &format!("{}\n", Value::Object(record.clone()));
        };
        for field in &version.fields {
            let mut other = whole.clone();
            other.remove(&field.name);
            add(&other);
            for value in odd() {
                other.insert(field.name.clone(), value);
                add(&other);
            }
        }
        let mut more = whole.clone();
        more.insert("nobody".into(), json!(1));
        add(&more);
    }
    text
}

fn look(version: &Version) -> Result<bool, TestCaseError> {
    let parsed = version.parsed();
    let Some(cells) = csv(&parsed) else {
        return Ok(false);
    };
    let world = World::new();
    world.write("schemas/t/1.0.0.toml", version.toml());
    world.write("in.csv", cells);
    let exported = json_schema(&parsed);
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&exported)
        .map_err(|why| TestCaseError::fail(why.to_string()))?;
    let records = passed(&world, version, "in.csv");
    world.write("spoiled.jsonl", spoiled(&records, version));
    let others = match records.is_empty() {
        true => Vec::new(),
        false => passed(&world, version, "spoiled.jsonl"),
    };
    for record in records.iter().chain(&others) {
        if let Err(why) = validator.validate(record) {
            return Err(TestCaseError::fail(format!("{record}: {why}\n{exported}")));
        }
    }
    Ok(!others.is_empty())
}

#[test]
fn what_passes_a_version_is_valid_by_its_json_schema() {
    all_hold(1, 30, &|story| look(&story[0].without_unique()));
}
