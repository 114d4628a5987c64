//! Positions: reading can stop after any batch and go on from there.

use std::collections::HashSet;

use super::compare::{documents, same_documents};
use super::trial::{JOB, Trial};
use super::values::{batches, plain_schema};
use super::{Failure, Fixture, Verdict, ensure};
use crate::backend::{BatchSize, OpenSource};
use crate::{Batch, DeadLetter, Nulls, Partition, Position, Source, StageKind};

const ROWS: i64 = 50;
const BATCH: usize = 7;

/// A place with 50 rows.
fn filled(fixture: &dyn Fixture) -> Result<Trial<'_>, Failure> {
    let schema = plain_schema(fixture.traits().keyed);
    let trial = Trial::new(fixture, &schema);
    trial.load(&batches(&schema, ROWS / 5)?)?;
    Ok(trial)
}

fn in_sevens(open: &mut OpenSource) {
    open.batch = BatchSize {
        rows: BATCH,
        ..BatchSize::default()
    };
}

fn read(
    source: &dyn Source,
    partition: &Partition,
    from: &Position,
) -> Result<Vec<Batch>, Failure> {
    read_by(source, partition, from, BATCH)
}

/// The batches of a partition from a position on, each of `size` records at most.
pub(super) fn read_by(
    source: &dyn Source,
    partition: &Partition,
    from: &Position,
    size: usize,
) -> Result<Vec<Batch>, Failure> {
    let mut reader = source.read(partition, from)?;
    let mut batches = Vec::new();
    while let Some(batch) = reader.next()? {
        let (rows, records) = (batch.records.num_rows(), batch.source.len());
        ensure(records > 0 && records <= size, || {
            format!("a batch covers {records} records")
        })?;
        ensure(rows + batch.rejects.len() == records, || {
            format!(
                "{rows} rows and {} rejects of {records} records",
                batch.rejects.len()
            )
        })?;
        batches.push(batch);
    }
    ensure(reader.next()?.is_none(), || {
        "a batch after the last one".to_owned()
    })?;
    Ok(batches)
}

fn as_documents(source: &dyn Source, batches: &[Batch]) -> Result<Vec<String>, Failure> {
    let records: Vec<_> = batches.iter().map(|batch| batch.records.clone()).collect();
    documents(source.schema(), &records)
}

pub(super) fn from_every_position(fixture: &dyn Fixture) -> Verdict {
    let trial = filled(fixture)?;
    let source = trial.open_source(in_sevens)?;
    let mut total = 0;
    for partition in source.partitions()? {
        let all = read(source.as_ref(), &partition, &Position::start())?;
        let expected = as_documents(source.as_ref(), &all)?;
        total += expected.len();
        let mut seen = 0;
        for batch in &all {
            seen += batch.records.num_rows();
            // A resumed run has another process and a position that went through JSON.
            let later = trial.open_source(in_sevens)?;
            let until: Position =
                serde_json::from_str(&serde_json::to_string(&batch.until).unwrap_or_default())
                    .map_err(|e| Failure(e.to_string()))?;
            let rest = read(later.as_ref(), &partition, &until)?;
            let rest = as_documents(later.as_ref(), &rest)?;
            same_documents("what is left", &expected[seen..], &rest, true, Nulls::Keep)?;
        }
    }
    ensure(total == ROWS as usize, || {
        format!("{total} rows instead of {ROWS}")
    })
}

pub(super) fn reading_is_repeatable(fixture: &dyn Fixture) -> Verdict {
    let trial = filled(fixture)?;
    let (one, two) = (trial.open_source(in_sevens)?, trial.open_source(in_sevens)?);
    ensure(
        one.fingerprint(&one.partitions()?)? == two.fingerprint(&two.partitions()?)?,
        || "the fingerprint changes".to_owned(),
    )?;
    ensure(one.schema() == two.schema(), || {
        "the schema changes".to_owned()
    })?;
    ensure(one.partitions()? == two.partitions()?, || {
        "the partitions change".to_owned()
    })?;
    let mut locators = HashSet::new();
    for partition in one.partitions()? {
        let first = read(one.as_ref(), &partition, &Position::start())?;
        let again = read(two.as_ref(), &partition, &Position::start())?;
        ensure(first.len() == again.len(), || {
            "the number of batches changes".to_owned()
        })?;
        for (place, (a, b)) in first.iter().zip(&again).enumerate() {
            ensure(a.records == b.records, || "a batch changes".to_owned())?;
            // A position may say when it was made, but not mean another place.
            if a.until != b.until {
                let rest = read(two.as_ref(), &partition, &a.until)?;
                let same = rest.len() == again.len() - place - 1
                    && rest
                        .iter()
                        .zip(&again[place + 1..])
                        .all(|(rest, b)| rest.records == b.records);
                ensure(same, || "a position changes".to_owned())?;
            }
            for row in 0..a.source.len() {
                let (locator, payload) = (a.source.locator(row), a.source.payload(row));
                ensure(
                    locator == b.source.locator(row) && payload == b.source.payload(row),
                    || format!("locator or payload change at {locator}"),
                )?;
                ensure(locators.insert(locator.to_string()), || {
                    format!("two records at {locator}")
                })?;
            }
        }
    }
    ensure(locators.len() == ROWS as usize, || {
        format!("{} records", locators.len())
    })
}

pub(super) fn partitions_cover_all(fixture: &dyn Fixture) -> Verdict {
    let trial = filled(fixture)?;
    let whole = trial.open_source(in_sevens)?;
    let mut expected = Vec::new();
    for partition in whole.partitions()? {
        expected.extend(as_documents(
            whole.as_ref(),
            &read(whole.as_ref(), &partition, &Position::start())?,
        )?);
    }
    let parts = trial.open_source(|open| {
        in_sevens(open);
        open.partitions = 3;
    })?;
    let mut found = Vec::new();
    for (index, partition) in parts.partitions()?.into_iter().enumerate() {
        ensure(partition.index as usize == index, || {
            format!("partition {index} is {}", partition.index)
        })?;
        // The history keeps partitions as JSON.
        let kept = serde_json::to_string(&partition).map_err(|e| Failure(e.to_string()))?;
        let partition: Partition =
            serde_json::from_str(&kept).map_err(|e| Failure(e.to_string()))?;
        let batches = read(parts.as_ref(), &partition, &Position::start())?;
        found.extend(as_documents(parts.as_ref(), &batches)?);
    }
    same_documents("all partitions", &expected, &found, false, Nulls::Keep)
}

pub(super) fn payloads_decode_again(fixture: &dyn Fixture) -> Verdict {
    let trial = filled(fixture)?;
    let source = trial.open_source(in_sevens)?;
    for partition in source.partitions()? {
        for batch in read(source.as_ref(), &partition, &Position::start())? {
            let letters: Vec<DeadLetter> = (0..batch.source.len())
                .map(|row| letter(&batch, &partition, row))
                .collect();
            let again = source.decode(&letters)?;
            ensure(again.source.len() == letters.len(), || {
                format!(
                    "{} payloads decode to {} records",
                    letters.len(),
                    again.source.len()
                )
            })?;
            let expected = documents(source.schema(), &[batch.records])?;
            let found = documents(source.schema(), &[again.records])?;
            same_documents("decoded again", &expected, &found, true, Nulls::Keep)?;
        }
    }
    let mut broken = Vec::new();
    for partition in source.partitions()?.iter().take(1) {
        if let Some(batch) = read(source.as_ref(), partition, &Position::start())?.first() {
            broken = vec![letter(batch, partition, 0); 3];
            broken[1].payload = b"\xff\"{".to_vec();
        }
    }
    let again = source.decode(&broken)?;
    let rejected: Vec<u32> = again
        .rejects
        .iter()
        .map(|reject| reject.source_row)
        .collect();
    ensure(rejected == [1] && again.records.num_rows() == 2, || {
        format!("of three payloads, the second broken, {rejected:?} are rejected")
    })
}

/// A record of a batch as a dead letter.
pub(super) fn letter(batch: &Batch, partition: &Partition, row: usize) -> DeadLetter {
    let payload = batch.source.payload(row);
    DeadLetter {
        job: JOB.to_owned(),
        run: String::new(),
        partition: partition.index,
        batch: 0,
        row: row as u32,
        source_id: batch.source.id(row),
        locator: batch.source.locator(row),
        kind: StageKind::Decode,
        stage: "source".to_owned(),
        column: None,
        code: "test".to_owned(),
        message: String::new(),
        plugin_digest: None,
        attempts: 1,
        repeats: None,
        payload_length: payload.bytes.len() as u64,
        payload: payload.bytes,
        media: payload.media.to_owned(),
        payload_sha256: String::new(),
    }
}

pub(super) fn only_some_columns(fixture: &dyn Fixture) -> Verdict {
    let trial = filled(fixture)?;
    let source = trial.open_source(|open| {
        in_sevens(open);
        open.columns = Some(vec!["score".to_owned(), "id".to_owned()]);
    })?;
    let names: Vec<&str> = source
        .schema()
        .data_fields()
        .map(|(_, f)| f.name.as_str())
        .collect();
    ensure(names == ["score", "id"], || {
        format!("the columns are {names:?}")
    })?;
    let mut rows = 0;
    for partition in source.partitions()? {
        for batch in read(source.as_ref(), &partition, &Position::start())? {
            let found = documents(source.schema(), &[batch.records])?;
            rows += found.len();
            let strange = found.iter().find(|document| document.contains("name"));
            ensure(strange.is_none(), || {
                format!("a field nobody asked for: {strange:?}")
            })?;
        }
    }
    ensure(rows == ROWS as usize, || {
        format!("{rows} rows instead of {ROWS}")
    })?;
    let unknown = trial.open_source(|open| open.columns = Some(vec!["nowhere".to_owned()]));
    ensure(unknown.is_err(), || {
        "an unknown column is not refused".to_owned()
    })
}
