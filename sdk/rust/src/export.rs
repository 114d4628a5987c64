//! What `export!` expands to calls here: dispatch by name, one opened plugin per instance.

use std::any::TypeId;
use std::cell::RefCell;

use crate::builder::Built;
use crate::errors::Failure;
use crate::log::report_panics;
use crate::migration::{Irreversible, Migration};
use crate::plan::{Inputs, Plan, Write};
use crate::plugin::{Descriptor, Filter, Output, Rows, Transformer, Verdict};
use crate::types::Field;
use crate::view::Batch;
use crate::wit::{columnar as raw, types};

/// The descriptor of a transformer.
pub fn describe_transformer<T: Transformer>() -> types::Descriptor {
    T::descriptor().into_raw("transform")
}

/// The descriptor of a filter.
pub fn describe_filter<T: Filter>() -> types::Descriptor {
    T::descriptor().into_raw("filter")
}

/// What `transform.open` answers.
pub struct OpenedTransform {
    pub output: types::Schema,
    pub reads: Vec<u32>,
    pub carries: Vec<(u32, u32)>,
}

/// What `filter.apply` answers.
pub struct RawVerdict {
    pub keep: Vec<u8>,
    pub rejects: Vec<types::Reject>,
}

type Transforming = Box<dyn FnMut(&raw::Batch) -> Result<raw::Output, Failure>>;
type Judging = Box<dyn FnMut(&raw::Batch) -> Result<RawVerdict, Failure>>;

thread_local! {
    static TRANSFORM: RefCell<Option<Transforming>> = const { RefCell::new(None) };
    static FILTER: RefCell<Option<Judging>> = const { RefCell::new(None) };
}

/// Opens one of a component's transformers.
pub type OpenTransformer = fn(&types::Stage) -> Result<Option<OpenedTransform>, Failure>;
/// Opens one of a component's filters.
pub type OpenFilter = fn(&types::Stage) -> Result<Option<Vec<u32>>, Failure>;

/// Opens the transformer the stage names.
pub fn open_transform(
    stage: &types::Stage,
    known: &[OpenTransformer],
) -> Result<OpenedTransform, types::Failure> {
    report_panics();
    first(known.iter().map(|open| open(stage)), &stage.plugin)
}

/// Opens the filter the stage names.
pub fn open_filter(stage: &types::Stage, known: &[OpenFilter]) -> Result<Vec<u32>, types::Failure> {
    report_panics();
    first(known.iter().map(|open| open(stage)), &stage.plugin)
}

fn first<T>(
    opened: impl Iterator<Item = Result<Option<T>, Failure>>,
    plugin: &str,
) -> Result<T, types::Failure> {
    for opened in opened {
        if let Some(opened) = opened.map_err(Failure::into_raw)? {
            return Ok(opened);
        }
    }
    Err(Failure::config(format!(
        "this component holds no plugin `{plugin}` of that kind"
    ))
    .into_raw())
}

/// Opens `T` if the stage names it.
pub fn transformer<T: Transformer>(
    stage: &types::Stage,
) -> Result<Option<OpenedTransform>, Failure> {
    if !is_named(T::descriptor, stage) {
        return Ok(None);
    }
    opened::<T>(stage, |_| ()).map(Some)
}

/// Opens `T`, whatever it is called; `after` may add to what it planned.
fn opened<T: Transformer>(
    stage: &types::Stage,
    after: fn(&mut Plan),
) -> Result<OpenedTransform, Failure> {
    let mut plan = Plan::new(inputs(stage));
    let mut plugin = T::open(config(stage)?, &mut plan)?;
    after(&mut plan);
    let opened = OpenedTransform {
        output: types::Schema {
            fields: plan
                .outputs()
                .map(|(_, slot)| slot.field.to_raw())
                .collect(),
        },
        reads: plan.raw_reads(),
        carries: plan.carries(),
    };
    let columns = plan.types();
    let apply: Transforming = Box::new(move |batch| {
        let batch = Batch::new(&columns, batch)?;
        let output = plugin.apply(&batch)?;
        finish(&plan, batch.rows(), output)
    });
    TRANSFORM.with_borrow_mut(|slot| *slot = Some(apply));
    Ok(opened)
}

/// A step of a schema's history, as the contract tells it.
pub struct MigrationStep {
    pub plugin: String,
    pub schema: &'static str,
    pub from: &'static str,
    pub to: &'static str,
    pub reversible: bool,
    pub lossless: bool,
}

/// The descriptor of a migration.
pub fn describe_migration<M: Migration>() -> types::Descriptor {
    M::Up::descriptor().into_raw("migration")
}

/// Several steps may belong to one plugin, which is described once.
pub fn each_once(described: Vec<types::Descriptor>) -> Vec<types::Descriptor> {
    let mut once: Vec<types::Descriptor> = Vec::with_capacity(described.len());
    for descriptor in described {
        if once.iter().all(|known| known.name != descriptor.name) {
            once.push(descriptor);
        }
    }
    once
}

/// What a migration is a step of.
pub fn migration_step<M: Migration>() -> MigrationStep {
    let reversible = TypeId::of::<M::Down>() != TypeId::of::<Irreversible>();
    MigrationStep {
        plugin: M::Up::descriptor().name().to_owned(),
        schema: M::SCHEMA,
        from: M::FROM,
        to: M::TO,
        reversible,
        lossless: M::LOSSLESS && reversible,
    }
}

/// Opens one of a component's migrations, up or down.
pub type OpenMigration = fn(bool, &types::Stage) -> Result<OpenedTransform, Failure>;

/// Opens a migration, up or down.
pub fn migration<M: Migration>(up: bool, stage: &types::Stage) -> Result<OpenedTransform, Failure> {
    match up {
        true => opened::<M::Up>(stage, Plan::added_may_be_absent),
        false => opened::<M::Down>(stage, Plan::added_may_be_absent),
    }
}

/// Opens the migration of this index.
pub fn open_migration(
    step: u32,
    up: bool,
    stage: &types::Stage,
    known: &[OpenMigration],
) -> Result<OpenedTransform, types::Failure> {
    report_panics();
    let open = known.get(step as usize).ok_or_else(|| {
        Failure::config(format!("this component has no migration {step}")).into_raw()
    })?;
    open(up, stage).map_err(Failure::into_raw)
}

/// Opens `T` if the stage names it.
pub fn filter<T: Filter>(stage: &types::Stage) -> Result<Option<Vec<u32>>, Failure> {
    if !is_named(T::descriptor, stage) {
        return Ok(None);
    }
    let mut inputs = inputs(stage);
    let mut plugin = T::open(config(stage)?, &mut inputs)?;
    let reads = inputs.raw_reads();
    let (columns, opened) = (inputs.types(), reads.clone());
    let keep: Judging = Box::new(move |batch| {
        let batch = Batch::new(&columns, batch)?;
        let Verdict { keep, rejects } = plugin.keep(&batch)?;
        if keep.rows() != batch.rows() {
            return Err(Failure::internal(format!(
                "a verdict on {} of {} rows",
                keep.rows(),
                batch.rows()
            )));
        }
        let rejects = rejects
            .into_iter()
            .map(|(row, reject)| reject.into_raw(row, &reads))
            .collect();
        Ok(RawVerdict {
            keep: keep.into_bytes(),
            rejects,
        })
    });
    FILTER.with_borrow_mut(|slot| *slot = Some(keep));
    Ok(Some(opened))
}

/// Applies the opened transformer.
pub fn apply_transform(batch: &raw::Batch) -> Result<raw::Output, types::Failure> {
    TRANSFORM.with_borrow_mut(|slot| match slot {
        Some(apply) => apply(batch).map_err(Failure::into_raw),
        None => Err(not_open()),
    })
}

/// Applies the opened filter.
pub fn apply_filter(batch: &raw::Batch) -> Result<RawVerdict, types::Failure> {
    FILTER.with_borrow_mut(|slot| match slot {
        Some(keep) => keep(batch).map_err(Failure::into_raw),
        None => Err(not_open()),
    })
}

fn not_open() -> types::Failure {
    Failure::internal("applied before it was opened").into_raw()
}

fn is_named(descriptor: fn() -> Descriptor, stage: &types::Stage) -> bool {
    descriptor().name() == stage.plugin
}

fn inputs(stage: &types::Stage) -> Inputs {
    let fields = stage
        .input
        .fields
        .iter()
        .cloned()
        .map(Field::from_raw)
        .collect();
    Inputs::new(fields, stage.extra.clone())
}

fn config<C: serde::de::DeserializeOwned>(stage: &types::Stage) -> Result<C, Failure> {
    serde_json::from_str(&stage.config).map_err(|cause| Failure::config(cause.to_string()))
}

/// Puts the columns into the order of the plan, and says so when one is missing or too short.
fn finish(plan: &Plan, input_rows: usize, output: Output) -> Result<raw::Output, Failure> {
    let (rows, computed_rows) = raw_rows(output.rows, input_rows)?;
    let mut given: Vec<_> = output.columns.into_iter().map(Some).collect();
    let mut columns = Vec::new();
    for (slot, planned) in plan.outputs() {
        if !planned.computed {
            let from = planned.from.unwrap_or_default();
            columns.push(raw::OutputColumn::Carried(from as u32));
            continue;
        }
        let name = &planned.field.name;
        let is_for_slot = |(write, _): &(Write, _)| *write == Write(slot);
        let values = given
            .iter_mut()
            .find(|given| given.as_ref().is_some_and(is_for_slot))
            .and_then(Option::take);
        let (_, built) = values.ok_or_else(|| {
            Failure::internal(format!("column `{name}` was planned and not given")).at(name.clone())
        })?;
        columns.push(raw_column(name, built, planned.from, computed_rows)?);
    }
    let reads = plan.raw_reads();
    let rejects = output.rejects.into_iter();
    Ok(raw::Output {
        rows,
        columns,
        rejects: rejects
            .map(|(row, reject)| reject.into_raw(row, &reads))
            .collect(),
    })
}

/// Which rows go on, and how many values a computed column has for them.
fn raw_rows(rows: Rows, input_rows: usize) -> Result<(raw::Rows, usize), Failure> {
    Ok(match rows {
        Rows::All => (raw::Rows::All, input_rows),
        Rows::Selection(keep) if keep.rows() != input_rows => {
            return Err(Failure::internal(format!(
                "a selection of {} of {input_rows} rows",
                keep.rows()
            )));
        }
        Rows::Selection(keep) => (raw::Rows::Selection(keep.into_bytes()), input_rows),
        Rows::Origin(origin) => {
            let bytes = origin.iter().flat_map(|row| row.to_le_bytes()).collect();
            (raw::Rows::Origin(bytes), origin.len())
        }
    })
}

/// A column the plugin answers for: its values, or "unchanged" where it edits one.
fn raw_column(
    name: &str,
    built: Option<Built>,
    from: Option<usize>,
    rows: usize,
) -> Result<raw::OutputColumn, Failure> {
    match (built, from) {
        (None, Some(from)) => Ok(raw::OutputColumn::Carried(from as u32)),
        (None, None) => Err(Failure::internal(format!(
            "column `{name}` is new and cannot be unchanged"
        ))),
        (Some(built), _) if built.rows == rows => Ok(raw::OutputColumn::Computed(built.column)),
        (Some(built), _) => Err(Failure::internal(format!(
            "column `{name}` has {} rows instead of {rows}",
            built.rows
        ))
        .at(name.to_owned())),
    }
}
