//! What is asked of made-up versions, and how: a pair and its generated migration, records brought
//! along a way, and a rule that must hold for all of them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::array_value_to_string;
use dkhost_core::{Result, Schema};
use dkhost_engine::expr::Scope;
use dkhost_engine::steps::migrate::{self, By, Hop, Wanted, Way};
use dkhost_engine::trial::{Brought, bring};
use dkhost_schema::migration::generate::{Generate, generate};
use dkhost_schema::migration::lossless::promise;
use dkhost_schema::{Direction, Migration, SchemaVersion, Verdict, differences, migration};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use crate::versions::{Version, versions};

/// Records made up of a version.
pub const RECORDS: usize = 40;
pub const SEED: u64 = 7;

/// What a story of versions had to say of a rule: nothing where it could not be asked.
pub type Said = std::result::Result<bool, TestCaseError>;

/// Asks `rule` of `cases` stories of `count` versions; at least `least` of them must have something to
/// say.
pub fn holds(count: usize, cases: u32, least: u32, rule: impl Fn(&[Version]) -> Said) {
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Config::default()
    };
    let is_asked_for = std::env::var("PROPTEST_CASES").is_ok();
    if !is_asked_for {
        config.cases = cases;
    }
    if config.rng_seed == RngSeed::Random && !is_asked_for {
        config.rng_seed = RngSeed::Fixed(SEED);
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
        is_asked_for || said.get() >= least,
        "{} cases said something",
        said.get()
    );
}

/// Two versions and the migration generated between them.
pub struct Pair {
    pub from: SchemaVersion,
    pub to: SchemaVersion,
    pub file: Migration,
    pub text: String,
}

impl Pair {
    /// `None` where none is generated.
    pub fn of(from: &Version, to: &Version) -> Option<Pair> {
        let (from, to) = (from.parsed(), to.parsed());
        let text = generate(&from, &to, Generate { keep_removed: true })
            .ok()?
            .text;
        let (start, end) = (from.id.version.clone(), to.id.version.clone());
        let file = migration::read("t", start, end, &text).unwrap();
        Some(Pair {
            from,
            to,
            file,
            text,
        })
    }

    pub fn is_safe(&self) -> bool {
        differences(&self.from, &self.to)
            .iter()
            .all(|one| one.verdict == Verdict::Safe)
    }

    pub fn is_lossless(&self) -> bool {
        promise(&self.file, &self.from).lossless
    }

    pub fn hop(&self, direction: Direction) -> Hop {
        let to = match direction {
            Direction::Up => &self.to,
            Direction::Down => &self.from,
        };
        Hop {
            to: to.clone(),
            direction,
            by: By::File {
                migration: self.file.clone(),
                path: PathBuf::from("generated"),
            },
        }
    }

    pub fn up(&self) -> Way {
        Way {
            from: self.from.clone(),
            hops: vec![self.hop(Direction::Up)],
        }
    }

    pub fn down(&self) -> Option<Way> {
        self.file.down.is_some().then(|| Way {
            from: self.to.clone(),
            hops: vec![self.hop(Direction::Down)],
        })
    }
}

/// What cannot be asked: values that cannot be made up, a check that says nothing of these types.
pub fn asked<T>(result: Result<T>) -> std::result::Result<Option<T>, TestCaseError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if ["schema::no_sample", "schema::wrong_check"].contains(&error.code()) => {
            Ok(None)
        }
        Err(error) => Err(TestCaseError::fail(error.chain())),
    }
}

/// Binds the ways to `to` for records with these columns, all of the first way's version unless they
/// say it.
pub fn bound(
    ways: &[Way],
    to: &SchemaVersion,
    input: &Schema,
) -> Result<Box<dyn dkhost_core::Step>> {
    let wanted = Wanted {
        to,
        ways,
        from: Some(&ways[0].from.id.version),
        stamps: false,
        span: &(0..0),
    };
    migrate::build(&wanted, &Scope::stage("migrate", input))
}

/// Records of the way's first version brought along it.
pub fn along(way: Way, to: &SchemaVersion, records: &RecordBatch) -> Result<(Brought, Schema)> {
    let input = way.from.schema();
    let step = bound(&[way], to, &input)?;
    Ok((
        bring(step.as_ref(), records.clone())?,
        step.output().clone(),
    ))
}

/// A record: of each field its value, as text.
pub type Record = BTreeMap<String, Option<String>>;

/// The values of these fields, by the number a record had before.
pub fn by_origin(brought: &Brought, names: &[&str]) -> BTreeMap<u32, Record> {
    let value = |row: usize, name: &str| {
        let column = brought.records.column_by_name(name).unwrap();
        let text = || array_value_to_string(column, row).unwrap();
        (name.to_owned(), column.is_valid(row).then(text))
    };
    let record = |row: usize| names.iter().map(|name| value(row, name)).collect();
    let origin = brought.origin.iter().enumerate();
    origin.map(|(row, before)| (*before, record(row))).collect()
}

pub fn names(version: &SchemaVersion) -> Vec<&str> {
    version
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect()
}
