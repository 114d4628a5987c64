//! Versions nobody thought of, applied to stores: what stands there afterwards is what the migration
//! makes of the same records in a new store, and what is called lossless comes back.
//!
//! `PROPTEST_CASES=500` looks at more of them, `PROPTEST_RNG_SEED=17` at others.

use std::cell::Cell;
use std::fmt::Write;

use dkhost_schema::migration::generate::{Generate, generate};
use dkhost_schema::migration::lossless::promise;
use dkhost_schema::{SchemaVersion, migration, sample};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use serde_json::Value;

use crate::random_versions::{Version, versions};
use crate::stores::{index, prefix};
use crate::support::table;
use crate::world::World;

const RECORDS: usize = 25;

/// A schema in two versions, the migration between them, and a place for stores.
struct Trial<'a> {
    world: World,
    story: &'a [Version],
    place: Place,
}

/// The lines that name a store in a job; what holds the stores goes with it.
type Place = Box<dyn Fn(&str) -> String>;

/// How a command ended: its counts, or its error.
type Ended = Result<Value, String>;

impl Trial<'_> {
    /// Runs a job that ends; `Err` with a code for one that was refused.
    fn ended(&self, words: &[&str]) -> Result<Ended, TestCaseError> {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let answer = self.world.run(&words);
        let last = answer.last();
        match answer.code {
            0 | 3 if last["event"] == "nothing" => Ok(Ok(Value::Null)),
            0 | 3 => Ok(Ok(last["counts"].clone())),
            2 | 4 => {
                let code = last["error"]["code"].as_str().or(last["code"].as_str());
                Ok(Err(format!("{}: {last}", code.unwrap_or_default())))
            }
            code => Err(TestCaseError::fail(format!(
                "{words:?} ended with {code}: {last}"
            ))),
        }
    }

    /// Fills a store with the records of `in.csv`; `steps` come behind the check of the version.
    fn fill(&self, store: &str, steps: &str) -> Result<Ended, TestCaseError> {
        let fields = self.story[0].fields.iter();
        let types: Vec<String> = fields
            .map(|field| format!("{} = \"{}\"", field.name, field.logical))
            .collect();
        let job = format!(
            "name = \"{store}\"\n[source]\nbackend = \"file\"\npath = \"in.csv\"\nfields = {{ {} }}\n\
             [[steps]]\nvalidate = \"t@1.0.0\"\n{steps}[target]\n{}[run]\non_error = \"dead-letter\"\n",
            types.join(", "),
            (self.place)(store)
        );
        self.world.write(&format!("{store}.toml"), job);
        self.ended(&["run", &format!("{store}.toml")])
    }

    fn apply(&self, from: &str, to: &str) -> Result<Ended, TestCaseError> {
        self.ended(&[
            "schema", "apply", "t", "--from", from, "--to", to, "--job", "one.toml",
        ])
    }

    /// What a store holds, in no order, without nulls and what the store itself gave them.
    fn held(&self, store: &str) -> Result<Vec<String>, TestCaseError> {
        let job = format!(
            "name = \"copy\"\n[source]\n{}[target]\nbackend = \"file\"\npath = \"copy.jsonl\"\non_conflict = \"replace-all\"\n",
            (self.place)(store)
        );
        self.world.write("copy.toml", job);
        let copied = self.ended(&["run", "copy.toml"])?;
        copied.map_err(TestCaseError::fail)?;
        let text = self.world.read("copy.jsonl");
        let records = text.lines().map(|line| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            let fields = record.as_object_mut().unwrap();
            let given = ["_schema_version", "_id"];
            fields.retain(|name, value| !given.contains(&name.as_str()) && !value.is_null());
            fields.sort_keys();
            record.to_string()
        });
        let mut records: Vec<String> = records.collect();
        records.sort();
        Ok(records)
    }
}

/// Texts as CSV; what is null is not quoted.
pub fn csv(version: &SchemaVersion) -> Option<String> {
    let names = version.fields.iter().map(|field| field.name.as_str());
    let mut text = names.collect::<Vec<_>>().join(",") + "\n";
    for record in sample::records(version, RECORDS, 3).ok()? {
        let cells = record.iter().map(|cell| match cell {
            Some(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            None => String::new(),
        });
        writeln!(text, "{}", cells.collect::<Vec<_>>().join(",")).ok()?;
    }
    Some(text)
}

fn counted(counts: &Value, name: &str) -> u64 {
    counts[name].as_u64().unwrap_or_default()
}

/// Whether there was anything to look at.
fn look(story: &[Version], place: Place) -> Result<bool, TestCaseError> {
    let (from, to) = (story[0].parsed(), story[1].parsed());
    let (Ok(file), Some(records)) = (
        generate(&from, &to, Generate { keep_removed: true }),
        csv(&from),
    ) else {
        return Ok(false);
    };
    // A new table has the key itself; one that is there keeps its own.
    if !to.key.is_empty() && to.key != from.key {
        return Ok(false);
    }
    let trial = Trial {
        world: World::new(),
        story,
        place,
    };
    trial.world.write("schemas/t/1.0.0.toml", story[0].toml());
    trial.world.write("schemas/t/2.0.0.toml", story[1].toml());
    trial.world.write("schemas/t/1.0.0--2.0.0.toml", &file.text);
    trial.world.write("in.csv", records);
    let Ok(_) = trial.fill("one", "")? else {
        return Ok(false);
    };
    let fresh = trial.fill(
        "two",
        "[[steps]]\nmigrate = { schema = \"t\", from = \"1.0.0\", to = \"2.0.0\" }\n",
    )?;
    let before = trial.held("one")?;
    let applied = match (fresh, trial.apply("1.0.0", "2.0.0")?) {
        (Ok(_), Ok(applied)) => applied,
        (fresh, Err(why)) => {
            prop_assert_eq!(&trial.held("one")?, &before, "refused, and not as it was");
            // What a store cannot become in place, a new one can be.
            let is_told = ["::cannot_reshape", "plan::lossy"]
                .iter()
                .any(|code| why.contains(code));
            prop_assert!(fresh.is_err() || is_told, "not applied: {why}");
            return Ok(false);
        }
        (Err(why), Ok(_)) => return Err(TestCaseError::fail(format!("applied, and yet {why}"))),
    };
    prop_assert_eq!(
        trial.held("one")?,
        trial.held("two")?,
        "up, then in a new store"
    );
    let (start, end) = (from.id.version.clone(), to.id.version.clone());
    let file = migration::read("t", start, end, &file.text).unwrap();
    if file.down.is_some()
        && promise(&file, &from).lossless
        && counted(&applied, "dead_lettered") == 0
    {
        let down = trial
            .apply("2.0.0", "1.0.0")?
            .map_err(TestCaseError::fail)?;
        prop_assert_eq!(counted(&down, "dead_lettered"), 0);
        prop_assert_eq!(&trial.held("one")?, &before, "down, then as it was");
    }
    Ok(!before.is_empty())
}

/// Applies stories of two versions to a kind of store.
fn holds(cases: u32, place: &dyn Fn() -> Place) {
    all_hold(2, cases, &|story| look(story, place()));
}

/// Asks a rule of stories of `count` versions; a third of them must have something to say.
pub fn all_hold(
    count: usize,
    cases: u32,
    rule: &dyn Fn(&[Version]) -> Result<bool, TestCaseError>,
) {
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    if std::env::var("PROPTEST_CASES").is_err() {
        config.cases = cases;
        config.rng_seed = RngSeed::Fixed(5);
    }
    let said = Cell::new(0);
    let looked = TestRunner::new(config).run(&versions(count), |story| {
        let told: Vec<String> = story.iter().map(Version::toml).collect();
        let has_said = rule(&story)
            .map_err(|why| TestCaseError::fail(format!("{why}\n{}", told.join("\n---\n"))))?;
        said.set(said.get() + u32::from(has_said));
        Ok(())
    });
    if let Err(why) = looked {
        panic!("{why}");
    }
    assert!(
        said.get() > cases / 3,
        "{} stories said something",
        said.get()
    );
}

#[test]
fn a_table_of_sqlite_becomes_what_a_new_one_is() {
    holds(20, &|| {
        Box::new(|store| {
            format!("backend = \"sqlite\"\npath = \"store.db\"\ntable = \"{store}\"\n")
        })
    });
}

#[test]
fn a_file_of_columns_becomes_what_a_new_one_is() {
    holds(20, &|| {
        Box::new(|store| format!("backend = \"file\"\npath = \"{store}.parquet\"\n"))
    });
}

#[test]
fn lines_of_documents_become_what_new_ones_are() {
    holds(20, &|| {
        Box::new(|store| format!("backend = \"file\"\npath = \"{store}.jsonl\"\n"))
    });
}

#[test]
fn a_table_of_postgresql_becomes_what_a_new_one_is() {
    holds(10, &|| {
        let database = dkhost_servers::postgres();
        Box::new(move |store| table(&database, store))
    });
}

#[test]
fn an_index_becomes_what_a_new_one_is() {
    holds(5, &|| {
        let indices = dkhost_servers::elasticsearch();
        Box::new(move |store| index(&indices, store))
    });
}

#[test]
fn objects_become_what_new_ones_are() {
    holds(5, &|| {
        let bucket = dkhost_servers::s3();
        Box::new(move |store| {
            format!(
                "{}format = \"jsonl\"\n",
                prefix(&bucket, &format!("{store}/"))
            )
        })
    });
}
