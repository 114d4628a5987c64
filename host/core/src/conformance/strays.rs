//! Records nobody prepared for us: malformed ones, and ones that drifted from the columns.
//!
//! The suite says what it wants to be found in a source, the fixture writes it the store's own
//! way ([`super::Fixture::plant`]). What the store can hold must come whole or be refused with its
//! bytes and its place; never changed, never lost, and its neighbours untouched.

use std::collections::HashSet;

use super::compare::{documents, same_documents};
use super::positions::{letter, read_by};
use super::trial::options;
use super::{Failure, Fixture, Verdict, ensure};
use crate::backend::{BatchSize, Nulls, OpenSource};
use crate::{Batch, DeadLetter, Field, Position, Role, Schema, Source, StageKind};

/// The columns the planted source is read as: name and type.
pub const COLUMNS: [(&str, &str); 3] = [("id", "int64"), ("n", "int64"), ("s", "utf8")];

/// A record that is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// A JSON object whose fields fit [`COLUMNS`].
    Fits(&'static str),
    /// A JSON object that drifted: a value that does not fit, a field without a column, a null.
    Drifted(&'static str),
    /// What cannot be read as a record at all, whatever that is in the store.
    Malformed,
}

impl Stray {
    /// The record as a JSON object; `None` for what is to be malformed.
    pub fn document(&self) -> Option<&'static str> {
        match self {
            Stray::Fits(document) | Stray::Drifted(document) => Some(document),
            Stray::Malformed => None,
        }
    }
}

/// [`COLUMNS`] as the option `fields` declares them.
pub fn declared() -> serde_json::Value {
    let types = COLUMNS.map(|(name, logical)| (name.to_owned(), logical.into()));
    serde_json::Map::from_iter(types).into()
}

/// What a reader is to find of a stray.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The whole document.
    Whole,
    /// A reject whose payload is these bytes.
    Refused(Vec<u8>),
    /// Nothing, as the store cannot hold such a record: it was not planted.
    Nowhere,
}

/// Strays in a store.
#[derive(Debug, Clone)]
pub struct Planted {
    /// Relative paths in the options start here.
    pub base: std::path::PathBuf,
    /// Options that read them, types as [`COLUMNS`] says, from a sample of the first record.
    pub source: serde_json::Value,
    /// For each stray what is to be found of it.
    pub found: Vec<Found>,
    /// Whether the store tells an explicit null from a field that is not there.
    pub tells_nulls: bool,
}

const STRAYS: [Stray; 14] = {
    use Stray::{Drifted, Fits, Malformed};
    [
        Fits(r#"{"id":0,"n":1,"s":"a"}"#),
        Malformed,
        Fits(r#"{"id":2,"n":2,"s":"b"}"#),
        Drifted(r#"{"id":3,"n":"two","s":"c"}"#),
        Drifted(r#"{"id":4,"n":4,"s":"d","more":{"x":[1,true]}}"#),
        Fits(r#"{"id":5,"n":5,"s":"e"}"#),
        Drifted(r#"{"id":6,"n":null,"s":null}"#),
        Fits(r#"{"id":7}"#),
        Drifted(r#"{"id":8,"n":100000000000000000000,"s":"f"}"#),
        Drifted(r#"{"id":9,"n":1.5,"s":"g"}"#),
        Malformed,
        Malformed,
        Fits(r#"{"id":12,"n":12,"s":"ü \" , h"}"#),
        Malformed,
    ]
};

/// What arrived of one source record.
#[derive(Debug, Clone, PartialEq)]
struct Arrived {
    locator: String,
    payload: Vec<u8>,
    what: Result<String, (StageKind, String)>,
}

fn open(
    fixture: &dyn Fixture,
    planted: &Planted,
    partitions: usize,
) -> Result<Box<dyn Source>, Failure> {
    let open = OpenSource {
        base: planted.base.clone(),
        batch: BatchSize {
            rows: 2,
            ..BatchSize::default()
        },
        partitions,
        explicit_nulls: planted.tells_nulls,
        ..OpenSource::default()
    };
    let options = options("[source]", &planted.source)?;
    Ok(fixture.backend().open_source(options, &open)?)
}

/// Every record of a batch, in order.
fn arrived(source: &dyn Source, batch: &Batch) -> Result<Vec<Arrived>, Failure> {
    ensure(batch.records.schema() == source.schema().to_arrow(), || {
        "the schema of a batch is not that of the source".to_owned()
    })?;
    let rows = bare_documents(batch)?;
    let mut whats = vec![None; batch.source.len()];
    for (row, document) in rows.into_iter().enumerate() {
        whats[batch.source_row(row) as usize] = Some(Ok(document));
    }
    for reject in &batch.rejects {
        ensure(
            reject.stage == "source" && !reject.code.is_empty() && !reject.message.is_empty(),
            || format!("a reject without stage, code or message: {reject:?}"),
        )?;
        let what = &mut whats[reject.source_row as usize];
        ensure(what.is_none(), || {
            format!("a record is both a row and refused: {reject:?}")
        })?;
        *what = Some(Err((reject.kind, reject.code.clone())));
    }
    let one = |(row, what): (usize, Option<_>)| {
        Ok(Arrived {
            locator: batch.source.locator(row).to_string(),
            payload: batch.source.payload(row).bytes,
            what: what.ok_or_else(|| Failure(format!("record {row} of a batch is lost")))?,
        })
    };
    whats.into_iter().enumerate().map(one).collect()
}

/// The rows as documents; without the ids and types a store tells on its own.
fn bare_documents(batch: &Batch) -> Result<Vec<String>, Failure> {
    let schema = Schema::from_arrow(&batch.records.schema())?;
    let told = |field: &Field| matches!(field.role, Some(Role::Id | Role::Meta));
    let kept: Vec<usize> = (0..schema.fields.len())
        .filter(|index| !told(&schema.fields[*index]))
        .collect();
    let records = batch.records.project(&kept)?;
    documents(&Schema::from_arrow(&records.schema())?, &[records])
}

fn arrived_in(source: &dyn Source, batches: &[Batch]) -> Result<Vec<Arrived>, Failure> {
    let each = batches.iter().map(|batch| arrived(source, batch));
    Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
}

fn everything(source: &dyn Source) -> Result<Vec<Arrived>, Failure> {
    let mut all = Vec::new();
    for partition in source.partitions()? {
        let batches = read_by(source, &partition, &Position::start(), 2)?;
        all.extend(arrived_in(source, &batches)?);
    }
    Ok(all)
}

/// The strays that were planted, with what is to be found of each.
fn planted(fixture: &dyn Fixture) -> Result<(Planted, Vec<(Stray, Found)>), Failure> {
    let planted = fixture.plant(&STRAYS);
    ensure(planted.found.len() == STRAYS.len(), || {
        format!(
            "the fixture planted {} of {} strays",
            planted.found.len(),
            STRAYS.len()
        )
    })?;
    let expected: Vec<(Stray, Found)> = STRAYS
        .into_iter()
        .zip(planted.found.iter().cloned())
        .filter(|(_, found)| *found != Found::Nowhere)
        .collect();
    let fits = |stray: &Stray| matches!(stray, Stray::Fits(_));
    let whole = expected
        .iter()
        .filter(|(stray, found)| fits(stray) && *found == Found::Whole);
    ensure(
        whole.count() == STRAYS.iter().filter(|stray| fits(stray)).count(),
        || "the fixture does not plant every record that fits".to_owned(),
    )?;
    Ok((planted, expected))
}

/// Compares the records that arrived with those planted, where `asked` looks at them.
fn check(fixture: &dyn Fixture, partitions: usize, asked: fn(Stray) -> bool) -> Verdict {
    let (planted, expected) = planted(fixture)?;
    let source = open(fixture, &planted, partitions)?;
    let all = everything(source.as_ref())?;
    ensure(all.len() == expected.len(), || {
        format!("{} records of {}: {all:?}", all.len(), expected.len())
    })?;
    let places: HashSet<&str> = all.iter().map(|one| one.locator.as_str()).collect();
    ensure(places.len() == all.len(), || {
        format!("records share a locator: {places:?}")
    })?;
    for ((stray, found), one) in expected.iter().zip(&all) {
        if asked(*stray) {
            as_planted(*stray, found, one, planted.tells_nulls)?;
        }
    }
    Ok(())
}

fn as_planted(stray: Stray, found: &Found, one: &Arrived, tells_nulls: bool) -> Verdict {
    let nulls = if tells_nulls {
        Nulls::Keep
    } else {
        Nulls::Omit
    };
    match (stray, found, &one.what) {
        (Stray::Fits(expected) | Stray::Drifted(expected), Found::Whole, Ok(document)) => {
            let (expected, document) = ([expected.to_owned()], [document.clone()]);
            same_documents("source", &expected, &document, true, nulls)
        }
        (_, Found::Refused(bytes), Err((kind, _))) => {
            ensure(one.payload == *bytes, || {
                format!(
                    "{stray:?} is refused with the bytes {:?} instead of {:?}",
                    String::from_utf8_lossy(&one.payload),
                    String::from_utf8_lossy(bytes)
                )
            })?;
            ensure(matches!(kind, StageKind::Read | StageKind::Decode), || {
                format!("{stray:?} is refused by a stage of kind {kind:?}")
            })
        }
        _ => Err(Failure(format!(
            "of {stray:?} the fixture expects {found:?}, but there is {one:?}"
        ))),
    }
}

pub(super) fn drifted_records(fixture: &dyn Fixture) -> Verdict {
    check(fixture, 1, |stray| stray != Stray::Malformed)
}

pub(super) fn malformed_records(fixture: &dyn Fixture) -> Verdict {
    for partitions in [1, 3] {
        check(fixture, partitions, |_| true)
            .map_err(|Failure(why)| Failure(format!("{partitions} partitions: {why}")))?;
    }
    Ok(())
}

pub(super) fn positions_around_refusals(fixture: &dyn Fixture) -> Verdict {
    let (planted, _) = planted(fixture)?;
    let source = open(fixture, &planted, 1)?;
    for partition in source.partitions()? {
        let all = read_by(source.as_ref(), &partition, &Position::start(), 2)?;
        for (done, batch) in all.iter().enumerate() {
            let later = open(fixture, &planted, 1)?;
            let rest = read_by(later.as_ref(), &partition, &batch.until, 2)?;
            let expected = arrived_in(source.as_ref(), &all[done + 1..])?;
            let found = arrived_in(later.as_ref(), &rest)?;
            ensure(expected == found, || {
                format!("after batch {done} there is {found:?} instead of {expected:?}")
            })?;
        }
    }
    Ok(())
}

pub(super) fn refusals_are_tried_again(fixture: &dyn Fixture) -> Verdict {
    let (planted, _) = planted(fixture)?;
    let source = open(fixture, &planted, 1)?;
    let (mut refused, mut good) = (Vec::new(), Vec::new());
    for partition in source.partitions()? {
        for batch in read_by(source.as_ref(), &partition, &Position::start(), 2)? {
            for (row, one) in arrived(source.as_ref(), &batch)?.into_iter().enumerate() {
                let letter = letter(&batch, &partition, row);
                match &one.what {
                    Ok(_) => good.push((letter, one)),
                    Err(_) => refused.push((letter, one)),
                }
            }
        }
    }
    // Each refused record behind a good one, and refused for the same reason again.
    let pairs: Vec<_> = good.iter().cycle().zip(&refused).collect();
    let expected: Vec<&Arrived> = pairs
        .iter()
        .flat_map(|(good, refused)| [&good.1, &refused.1])
        .collect();
    let letters: Vec<DeadLetter> = pairs
        .iter()
        .flat_map(|(good, refused)| [good.0.clone(), refused.0.clone()])
        .collect();
    let again = arrived(source.as_ref(), &source.decode(&letters)?)?;
    // A retry may say why in other words.
    let what = |one: &&Arrived| one.what.clone().map_err(|(kind, _)| kind);
    let whats = |all: &[&Arrived]| all.iter().map(what).collect::<Vec<_>>();
    let (expected, found) = (whats(&expected), whats(&again.iter().collect::<Vec<_>>()));
    ensure(expected == found, || {
        format!("the letters decode to {found:?} instead of {expected:?}")
    })?;
    // A letter whose payload was corrected becomes the row it is now.
    for ((letter, _), (other, row)) in refused.iter().zip(good.iter().cycle()) {
        let mut letter = letter.clone();
        letter.payload_length = other.payload_length;
        letter.payload = other.payload.clone();
        letter.source_id = other.source_id.clone();
        let corrected = arrived(source.as_ref(), &source.decode(&[letter])?)?;
        ensure(
            corrected.len() == 1 && corrected[0].what == row.what,
            || format!("corrected to {row:?}, a letter becomes {corrected:?}"),
        )?;
    }
    Ok(())
}
