//! Versions nobody thought of, made up by proptest: what is said of a migration holds for records of
//! them, one hop or two, alone or beside records of other versions.
//!
//! `PROPTEST_CASES=20000` looks at more of them, `PROPTEST_RNG_SEED=17` at others.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod asking;
mod versions;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow::compute::concat_batches;
use dkhost_core::{Field, LogicalType, Schema};
use dkhost_engine::expr::Scope;
use dkhost_engine::steps::migrate::{VERSION_FIELD, Way};
use dkhost_engine::steps::validate;
use dkhost_engine::trial::{Brought, bring, made_up, trial};
use dkhost_schema::{Direction, SchemaVersion};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use asking::{Pair, RECORDS, SEED, along, asked, bound, by_origin, holds, names};
use versions::Version;

#[test]
fn what_is_called_safe_refuses_nothing() {
    holds(2, 400, 60, |story| {
        let Some(pair) = Pair::of(&story[0], &story[1]).filter(Pair::is_safe) else {
            return Ok(false);
        };
        let Some(tried) = asked(trial(pair.up(), None, RECORDS, SEED))? else {
            return Ok(false);
        };
        prop_assert_eq!(tried.refused, 0, "{:?}\n{}", tried.reason, pair.text);
        Ok(tried.tried > 0)
    });
}

#[test]
fn what_is_called_lossless_gives_every_record_back() {
    holds(2, 400, 60, |story| {
        let Some(pair) = Pair::of(&story[0], &story[1]).filter(Pair::is_lossless) else {
            return Ok(false);
        };
        let Some(tried) = asked(trial(pair.up(), pair.down(), RECORDS, SEED))? else {
            return Ok(false);
        };
        let came = tried.refused_down + tried.changed;
        prop_assert!(tried.refused > 0 || came == 0, "{:?}\n{}", tried, pair.text);
        Ok(tried.tried > tried.refused)
    });
}

#[test]
fn a_record_comes_up_valid_or_is_refused_by_name() {
    holds(2, 400, 150, |story| {
        let Some(pair) = Pair::of(&story[0], &story[1]) else {
            return Ok(false);
        };
        let Some(records) = asked(made_up(&pair.from, RECORDS, SEED))? else {
            return Ok(false);
        };
        let Some((up, schema)) = asked(along(pair.up(), &pair.to, &records))? else {
            return Ok(false);
        };
        let refused: BTreeSet<u32> = up.rejects.iter().map(|reject| reject.row).collect();
        let came: BTreeSet<u32> = up.origin.iter().copied().collect();
        prop_assert!(refused.is_disjoint(&came));
        prop_assert_eq!(refused.len() + came.len(), records.num_rows());
        for reject in &up.rejects {
            prop_assert!(!reject.code.is_empty() && !reject.message.is_empty());
        }
        let scope = Scope::stage("validate", &schema);
        let check = validate::build(&pair.to, false, &(0..0), &scope);
        let Some(checked) = asked(check.and_then(|step| bring(step.as_ref(), up.records.clone())))?
        else {
            return Ok(false);
        };
        let wrong = checked.rejects.first().map(|reject| &reject.message);
        prop_assert!(wrong.is_none(), "{:?}\n{}", wrong, pair.text);
        Ok(!came.is_empty())
    });
}

/// Two hops one after the other, and what they bring of the same records.
struct Hops {
    pairs: [Pair; 2],
    records: RecordBatch,
    /// Both hops as one way.
    composed: Brought,
    output: Schema,
}

impl Hops {
    fn of(story: &[Version]) -> Result<Option<Hops>, TestCaseError> {
        let [Some(first), Some(second)] = [0, 1].map(|at| Pair::of(&story[at], &story[at + 1]))
        else {
            return Ok(None);
        };
        let Some(records) = asked(made_up(&first.from, RECORDS, SEED))? else {
            return Ok(None);
        };
        let mut way = first.up();
        way.hops.push(second.hop(Direction::Up));
        let Some((composed, output)) = asked(along(way, &second.to, &records))? else {
            return Ok(None);
        };
        Ok((records.num_rows() > 0).then_some(Hops {
            pairs: [first, second],
            records,
            composed,
            output,
        }))
    }

    fn texts(&self) -> String {
        format!("{}\n---\n{}", self.pairs[0].text, self.pairs[1].text)
    }
}

#[test]
fn two_hops_bring_what_one_hop_after_the_other_brings() {
    holds(3, 300, 100, |story| {
        let Some(hops) = Hops::of(story)? else {
            return Ok(false);
        };
        let [first, second] = &hops.pairs;
        let Some((there, middle)) = asked(along(first.up(), &first.to, &hops.records))? else {
            return Ok(false);
        };
        let step = bound(&[second.up()], &second.to, &middle);
        let Some(mut end) =
            asked(step.and_then(|step| bring(step.as_ref(), there.records.clone())))?
        else {
            return Ok(false);
        };
        for origin in &mut end.origin {
            *origin = there.origin[*origin as usize];
        }
        let names = names(&second.to);
        let (stepwise, composed) = (by_origin(&end, &names), by_origin(&hops.composed, &names));
        // What the version between refuses may be what the composed way takes, and then takes the
        // place of another.
        let none_between = there.rejects.is_empty();
        for (row, record) in &stepwise {
            let other = composed.get(row);
            prop_assert!(
                other.is_some() || !none_between,
                "{row} is refused\n{}",
                hops.texts()
            );
            prop_assert!(
                other.is_none_or(|other| other == record),
                "{record:?} is {other:?}\n{}",
                hops.texts()
            );
        }
        prop_assert!(
            !none_between || stepwise.len() == composed.len(),
            "{}",
            hops.texts()
        );
        Ok(!stepwise.is_empty())
    });
}

#[test]
fn two_safe_hops_refuse_nothing_and_two_lossless_ones_give_everything_back() {
    holds(3, 500, 60, |story| {
        let Some(hops) = Hops::of(story)? else {
            return Ok(false);
        };
        let reject = hops.composed.rejects.first().map(|reject| &reject.message);
        let is_safe = hops.pairs.iter().all(Pair::is_safe);
        prop_assert!(!is_safe || reject.is_none(), "{reject:?}\n{}", hops.texts());
        if !hops.pairs.iter().all(Pair::is_lossless) || reject.is_some() {
            return Ok(is_safe);
        }
        let [first, second] = &hops.pairs;
        let down = Way {
            from: second.to.clone(),
            hops: vec![second.hop(Direction::Down), first.hop(Direction::Down)],
        };
        let step = bound(&[down], &first.from, &hops.output);
        let back =
            asked(step.and_then(|step| bring(step.as_ref(), hops.composed.records.clone())))?;
        let Some(back) = back else {
            return Ok(false);
        };
        let names = names(&first.from);
        let whole = Brought {
            origin: (0..hops.records.num_rows() as u32).collect(),
            records: hops.records.clone(),
            rejects: Vec::new(),
        };
        prop_assert_eq!(
            by_origin(&whole, &names),
            by_origin(&back, &names),
            "{}",
            hops.texts()
        );
        Ok(true)
    });
}

#[test]
fn two_lossless_hops_bring_what_the_direct_path_brings() {
    holds(3, 500, 60, |story| {
        let Some(hops) = Hops::of(story)? else {
            return Ok(false);
        };
        let direct = Pair::of(&story[0], &story[2].after(&story[0]));
        let (Some(direct), true) = (direct, hops.pairs.iter().all(Pair::is_lossless)) else {
            return Ok(false);
        };
        let Some((other, _)) = asked(along(direct.up(), &direct.to, &hops.records))? else {
            return Ok(false);
        };
        let names: Vec<&str> = story[2]
            .fields
            .iter()
            .filter(|field| keeps_its_form(field.identity, story))
            .map(|field| field.name.as_str())
            .collect();
        let (one, two) = (by_origin(&hops.composed, &names), by_origin(&other, &names));
        // Fields that came in between may have had other defaults.
        let is_whole = names.len() == story[2].fields.len();
        let rejects = other.rejects.first().map(|reject| &reject.message);
        for (row, record) in &one {
            let texts = || format!("{}\n---\n{}", hops.texts(), direct.text);
            let direct = two.get(row);
            prop_assert!(direct.is_some() || !is_whole, "{rejects:?}\n{}", texts());
            prop_assert!(
                direct.is_none_or(|direct| direct == record),
                "{direct:?}\n{}",
                texts()
            );
        }
        Ok(!names.is_empty() && !one.is_empty())
    });
}

/// Whether a field is there all the time, and not text that another type wrote on the way.
fn keeps_its_form(identity: usize, story: &[Version]) -> bool {
    let of = |version: &Version| {
        let mut fields = version.fields.iter();
        fields
            .find(|field| field.identity == identity)
            .map(|field| field.logical)
    };
    match [0, 1, 2].map(|at| of(&story[at])) {
        [Some(first), Some(between), Some(last)] => {
            !["utf8", "json"].contains(&last) || first == between || between == last
        }
        _ => false,
    }
}

#[test]
fn records_of_several_versions_side_by_side_become_what_each_becomes_alone() {
    holds(3, 300, 60, |story| {
        let story: Vec<Version> = story.iter().map(Version::without_unique).collect();
        let [Some(first), Some(second)] = [0, 1].map(|at| Pair::of(&story[at], &story[at + 1]))
        else {
            return Ok(false);
        };
        let ways = || {
            let mut far = first.up();
            far.hops.push(second.hop(Direction::Up));
            let stay = Way {
                from: second.to.clone(),
                hops: Vec::new(),
            };
            [far, second.up(), stay]
        };
        let Some(columns) = side_by_side(&ways()) else {
            return Ok(false);
        };
        let names = names(&second.to);
        let (mut groups, mut alone) = (Vec::new(), Vec::new());
        for way in ways() {
            let Some(records) = asked(made_up(&way.from, RECORDS / 2, SEED))? else {
                return Ok(false);
            };
            groups.push(stamped(&records, &way.from, &columns));
            let Some((brought, _)) = asked(along(way, &second.to, &records))? else {
                return Ok(false);
            };
            alone.push(by_origin(&brought, &names));
        }
        let Some(step) = asked(bound(&ways(), &second.to, &columns))? else {
            return Ok(false);
        };
        let (mixed, places) = shuffled(&groups);
        let mixed = by_origin(&asked(bring(step.as_ref(), mixed))?.unwrap(), &names);
        for (row, (group, place)) in places.iter().enumerate() {
            prop_assert_eq!(mixed.get(&(row as u32)), alone[*group].get(place));
        }
        Ok(!mixed.is_empty())
    });
}

/// The columns of all versions and one for a record's own; `None` where one name has two types.
fn side_by_side(ways: &[Way]) -> Option<Schema> {
    let mut fields = vec![Field::new(VERSION_FIELD, LogicalType::Utf8)];
    for field in ways.iter().flat_map(|way| way.from.schema().fields) {
        match fields.iter().find(|known| known.name == field.name) {
            Some(known) if known.logical != field.logical => return None,
            Some(_) => (),
            None => fields.push(Field::new(&field.name, field.logical)),
        }
    }
    Some(Schema::new(fields))
}

/// Records with all columns, saying their version.
fn stamped(records: &RecordBatch, version: &SchemaVersion, columns: &Schema) -> RecordBatch {
    let rows = records.num_rows();
    let stamp = StringArray::from(vec![version.id.version.to_string(); rows]);
    let arrays = columns.fields.iter().map(|field| -> ArrayRef {
        let column = records.column_by_name(&field.name).cloned();
        match field.name == VERSION_FIELD {
            true => Arc::new(stamp.clone()),
            false => column.unwrap_or_else(|| new_null_array(&field.logical.arrow(), rows)),
        }
    });
    RecordBatch::try_new(columns.to_arrow(), arrays.collect()).unwrap()
}

/// Records of all groups in turn, and for each of them its group and its row there.
fn shuffled(groups: &[RecordBatch]) -> (RecordBatch, Vec<(usize, u32)>) {
    let longest = groups.iter().map(RecordBatch::num_rows).max().unwrap();
    let places =
        (0..longest as u32).flat_map(|row| (0..groups.len()).map(move |group| (group, row)));
    let is_there = |(group, row): &(usize, u32)| (*row as usize) < groups[*group].num_rows();
    let places: Vec<(usize, u32)> = places.filter(is_there).collect();
    let rows: Vec<RecordBatch> = places
        .iter()
        .map(|(group, row)| groups[*group].slice(*row as usize, 1))
        .collect();
    (concat_batches(&groups[0].schema(), &rows).unwrap(), places)
}

#[test]
fn texts_are_coerced_to_the_values_that_they_say() {
    holds(1, 400, 150, |story| {
        let version = story[0].parsed();
        let Some(records) = asked(made_up(&version, RECORDS, SEED))? else {
            return Ok(false);
        };
        let (texts, schema) = as_texts(&records, &version);
        let coerced = |records: &RecordBatch, input: &Schema| {
            let scope = Scope::stage("validate", input);
            let step = validate::build(&version, true, &(0..0), &scope)?;
            bring(step.as_ref(), records.clone())
        };
        let (Some(from_values), Some(from_texts)) = (
            asked(coerced(&records, &version.schema()))?,
            asked(coerced(&texts, &schema))?,
        ) else {
            return Ok(false);
        };
        let names = names(&version);
        // A default may be what another record has.
        prop_assert_eq!(&from_texts.rejects, &from_values.rejects);
        prop_assert_eq!(
            by_origin(&from_texts, &names),
            by_origin(&from_values, &names)
        );
        Ok(!from_texts.origin.is_empty())
    });
}

/// Records as a file without types holds them.
fn as_texts(records: &RecordBatch, version: &SchemaVersion) -> (RecordBatch, Schema) {
    let text = |column: &ArrayRef, row: usize, logical: &LogicalType| {
        let mut out = Vec::new();
        let is_there = dkhost_core::text::write(column, row, logical, &mut out).unwrap();
        is_there.then(|| String::from_utf8(out).unwrap())
    };
    let columns = version.fields.iter().zip(records.columns());
    let columns = columns.map(|(field, column)| -> ArrayRef {
        let rows = 0..column.len();
        Arc::new(StringArray::from_iter(
            rows.map(|row| text(column, row, &field.logical)),
        ))
    });
    let fields = version.fields.iter();
    let schema = Schema::new(
        fields
            .map(|field| Field::new(&field.name, LogicalType::Utf8))
            .collect(),
    );
    let texts = RecordBatch::try_new(schema.to_arrow(), columns.collect()).unwrap();
    (texts, schema)
}
