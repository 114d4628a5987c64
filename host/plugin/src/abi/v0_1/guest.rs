//! One instance of a plugin in a Store of its own: how it is opened, called, limited, and what it
//! means when a call does not come back well.
//!
//! A trap poisons the whole Store, so a [`Guest`] that returned an error is never called again:
//! its owner drops it and opens another one.

use dkhost_core::{Class, Error, Result, Schema};
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Store, Trap};

use super::bindings::Every;
use super::bindings::dkhost::plugin::{columnar, types};
use super::bindings::exports::dkhost::plugin::{filter, migration, plugin, transform};
use super::imports::{State, Voice};
use super::promise::{Promise, SchemaText};
use super::receive::Received;
use super::rows::{Given, Output, Refused, Rows};
use super::send;
use crate::descriptor::{Descriptor, Kind};
use crate::engine::{self, TICK};
use crate::limits::{Limits, size};
use crate::log::in_an_error;
use crate::migration::{Direction, Told};

/// A compiled component, linked and ready to be instantiated.
#[derive(Clone)]
pub(crate) struct Loaded {
    pre: InstancePre<State>,
    plugin: plugin::GuestIndices,
    transform: Option<transform::GuestIndices>,
    filter: Option<filter::GuestIndices>,
    migration: Option<migration::GuestIndices>,
}

impl Loaded {
    /// Links `component` to the host's side of the contract.
    ///
    /// *Errors* – `plugin::contract` when an import or export has another shape than ours; the
    /// contract was compared before, so this is rare.
    pub(crate) fn link(name: &str, component: &Component) -> Result<Loaded> {
        let refused = |cause: wasmtime::Error| {
            Error::plugin(
                "plugin::contract",
                format!("`{name}` does not fit this host: {}", cause.root_cause()),
            )
            .help("build the plugin again with the SDK that belongs to this dkhost")
        };
        let mut linker = Linker::new(engine::shared()?);
        Every::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)
            .map_err(|cause| Error::bug(format!("the host's imports collide: {cause:#}")))?;
        let pre = linker.instantiate_pre(component).map_err(refused)?;
        Ok(Loaded {
            plugin: plugin::GuestIndices::new(&pre).map_err(refused)?,
            transform: transform::GuestIndices::new(&pre).ok(),
            filter: filter::GuestIndices::new(&pre).ok(),
            migration: migration::GuestIndices::new(&pre).ok(),
            pre,
        })
    }

    /// Whether the component exports what serves this kind of plugin.
    pub(crate) fn serves(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Transform => self.transform.is_some(),
            Kind::Filter => self.filter.is_some(),
            Kind::Migration => self.migration.is_some(),
            Kind::Unknown(_) => false,
        }
    }

    /// Asks the component for its plugins, on an instance that is dropped afterwards.
    pub(crate) fn describe(&self, component: &str, limits: &Limits) -> Result<Vec<Descriptor>> {
        let speaker = Speaker {
            plugin: component.to_owned(),
            place: "when asked for its plugins".into(),
        };
        let mut store = self.store(limits, None);
        let described = deadline(&mut store, limits).and_then(|()| {
            let instance = self.pre.instantiate(&mut store)?;
            let guest = self.plugin.load(&mut store, &instance)?;
            guest.call_describe(&mut store)
        });
        let described = described.map_err(|cause| explain(&store, limits, &speaker, cause))?;
        Ok(described.into_iter().map(descriptor).collect())
    }

    /// Asks the component for the migrations it offers, twice, on one instance that is dropped
    /// afterwards; none if it does not export the interface.
    ///
    /// A second instance would repeat the first word for word: it is given nothing to differ by.
    pub(crate) fn steps(&self, component: &str, limits: &Limits) -> Result<[Vec<Told>; 2]> {
        let Some(indices) = &self.migration else {
            return Ok([Vec::new(), Vec::new()]);
        };
        let speaker = Speaker {
            plugin: component.to_owned(),
            place: "when asked for its migrations".into(),
        };
        let mut store = self.store(limits, None);
        let steps = deadline(&mut store, limits).and_then(|()| {
            let instance = self.pre.instantiate(&mut store)?;
            let guest = indices.load(&mut store, &instance)?;
            let first = guest.call_steps(&mut store)?;
            deadline(&mut store, limits)?;
            Ok([first, guest.call_steps(&mut store)?])
        });
        let steps = steps.map_err(|cause| explain(&store, limits, &speaker, cause))?;
        Ok(steps.map(|answer| answer.into_iter().map(told).collect()))
    }

    fn store(&self, limits: &Limits, voice: Option<Voice>) -> Store<State> {
        let mut store = Store::new(self.pre.engine(), State::new(limits.memory_bytes, voice));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.output_bytes);
        store.set_max_component_handles(1024);
        store
    }
}

fn descriptor(from: types::Descriptor) -> Descriptor {
    Descriptor {
        name: from.name,
        kind: Kind::of(&from.kind),
        version: from.version,
        summary: from.summary,
        config_schema: from.config_schema,
        requests: from.requests,
        extra: from.extra,
    }
}

fn told(from: migration::Step) -> Told {
    Told {
        plugin: from.plugin,
        schema: from.schema,
        from: from.from,
        to: from.to,
        reversible: from.reversible,
        lossless: from.lossless,
    }
}

/// Who an error is about, and what it was doing.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    /// `clean 0.1.0`.
    pub(crate) plugin: String,
    /// `in batch 42 of partition 0`, `when it was opened`.
    pub(crate) place: String,
}

impl Speaker {
    /// An error that says the plugin returned something wrong.
    pub(crate) fn bad_output(&self, why: &str) -> Error {
        Error::plugin("plugin::bad_output", format!("plugin `{}` returned {why} {}", self.plugin, self.place))
            .help("the batch is untouched; tell the plugin's author, `dkhost plugin test DIR` may show it on small data")
    }

    /// An error that says what the plugin promised cannot be.
    pub(crate) fn bad_promise(&self, why: &str) -> Error {
        Error::plugin(
            "plugin::bad_output",
            format!("plugin `{}` promises {why}", self.plugin),
        )
        .help("tell the plugin's author; nothing was read or written yet")
    }
}

/// A step of a migration, by its index, and which way it is gone.
pub(crate) type Going = (u32, Direction);

/// What one stage is opened with.
pub(crate) struct Opening<'a> {
    pub(crate) plugin: &'a str,
    pub(crate) kind: &'a Kind,
    /// For a migration: which of its steps, and which way.
    pub(crate) going: Option<Going>,
    pub(crate) config: &'a str,
    pub(crate) input: &'a Schema,
    pub(crate) text: &'a SchemaText,
    pub(crate) extra: &'a [(&'a str, &'a str)],
}

enum Serves {
    Transform(transform::Guest),
    Filter(filter::Guest),
    Migration(migration::Guest),
}

/// What one call of `apply` gave.
pub(crate) enum Applied {
    Transform(Output),
    Filter {
        keep: Vec<u8>,
        rejects: Vec<Refused>,
    },
}

/// An opened instance.
pub(crate) struct Guest {
    store: Store<State>,
    serves: Serves,
    /// Memory after the first batch; growth is measured from here.
    settled: Option<usize>,
}

impl Guest {
    /// Instantiates and opens. Returns the guest with what it promises.
    pub(crate) fn open(
        loaded: &Loaded,
        limits: &Limits,
        voice: Option<Voice>,
        speaker: &Speaker,
        opening: &Opening<'_>,
    ) -> Result<(Guest, Promise)> {
        let mut store = loaded.store(limits, voice);
        let opened = deadline(&mut store, limits).and_then(|()| open(loaded, &mut store, opening));
        let (serves, opened) = opened.map_err(|cause| explain(&store, limits, speaker, cause))?;
        let promise = match opened.map_err(|failure| failed(speaker, failure))? {
            Opened::Filter(opened) => Promise::filter(opening.input.clone(), &opened.reads),
            Opened::Transform(opened) => {
                let fields = opened.output.fields;
                let (reads, carries) = (&opened.reads, &opened.carries);
                Promise::transform(opening.input.clone(), fields, reads, carries, limits)
            }
            Opened::Migration(opened) => {
                let fields = opened.output.fields;
                let (reads, carries) = (&opened.reads, &opened.carries);
                Promise::transform(opening.input.clone(), fields, reads, carries, limits)
            }
        };
        let promise = promise.map_err(|why| speaker.bad_promise(&why))?;
        Ok((
            Guest {
                store,
                serves,
                settled: None,
            },
            promise,
        ))
    }

    /// Calls `apply` with the columns the plugin reads.
    pub(crate) fn apply(
        &mut self,
        limits: &Limits,
        speaker: &Speaker,
        rows: usize,
        columns: &[send::Sent<'_>],
    ) -> Result<Applied> {
        let columns: Vec<columnar::ColumnParam<'_>> = columns
            .iter()
            .map(|sent| columnar::ColumnParam {
                data: &sent.data,
                offsets: &sent.offsets,
                validity: &sent.validity,
            })
            .collect();
        let rows = u32::try_from(rows)
            .map_err(|_| Error::bug("a batch has more rows than a plugin can be told"))?;
        let batch = columnar::BatchParam {
            rows,
            columns: &columns,
        };
        let store = &mut self.store;
        let applied = deadline(store, limits).and_then(|()| match &self.serves {
            Serves::Transform(guest) => Ok(guest.call_apply(&mut *store, batch)?.map(transformed)),
            Serves::Filter(guest) => Ok(guest.call_apply(&mut *store, batch)?.map(judged)),
            Serves::Migration(guest) => Ok(guest.call_apply(&mut *store, batch)?.map(transformed)),
        });
        match applied {
            Ok(Ok(applied)) => Ok(applied),
            Ok(Err(failure)) => Err(failed(speaker, failure)),
            Err(cause) => Err(explain(&self.store, limits, speaker, cause)),
        }
    }

    /// What the plugin counted during the last call.
    pub(crate) fn take_counted(&mut self) -> impl Iterator<Item = (String, u64)> + use<> {
        std::mem::take(&mut self.store.data_mut().counted).into_iter()
    }

    /// Whether it has used up half of the memory it had left after its first batch: some languages
    /// leak what they return, and a fresh instance costs less than a failed batch.
    pub(crate) fn is_worn_out(&mut self) -> bool {
        let memory = &self.store.data().memory;
        let settled = *self.settled.get_or_insert(memory.used);
        memory.used - settled > memory.limit.saturating_sub(settled) / 2
    }
}

enum Opened {
    Transform(transform::Opened),
    Filter(filter::Opened),
    Migration(migration::Opened),
}

type OpenedOr<T> = std::result::Result<T, types::Failure>;

fn open(
    loaded: &Loaded,
    store: &mut Store<State>,
    opening: &Opening<'_>,
) -> wasmtime::Result<(Serves, OpenedOr<Opened>)> {
    let instance = loaded.pre.instantiate(&mut *store)?;
    let missing = || wasmtime::Error::msg("the interface of this kind of plugin is not exported");
    opening.text.lend(|input| {
        let stage = types::Stage {
            plugin: opening.plugin,
            config: opening.config,
            input,
            extra: opening.extra,
        };
        if *opening.kind == Kind::Filter {
            let guest = loaded
                .filter
                .as_ref()
                .ok_or_else(missing)?
                .load(&mut *store, &instance)?;
            let opened = guest.call_open(&mut *store, stage)?.map(Opened::Filter);
            return Ok((Serves::Filter(guest), opened));
        }
        if let Some((step, direction)) = opening.going {
            let guest = loaded
                .migration
                .as_ref()
                .ok_or_else(missing)?
                .load(&mut *store, &instance)?;
            let direction = match direction {
                Direction::Up => migration::Direction::Up,
                Direction::Down => migration::Direction::Down,
            };
            let opened = guest.call_open(&mut *store, step, direction, stage)?;
            return Ok((Serves::Migration(guest), opened.map(Opened::Migration)));
        }
        let guest = loaded
            .transform
            .as_ref()
            .ok_or_else(missing)?
            .load(&mut *store, &instance)?;
        let opened = guest.call_open(&mut *store, stage)?.map(Opened::Transform);
        Ok((Serves::Transform(guest), opened))
    })
}

fn transformed(output: columnar::Output) -> Applied {
    Applied::Transform(Output {
        rows: match output.rows {
            columnar::Rows::All => Rows::All,
            columnar::Rows::Selection(bits) => Rows::Selection(bits),
            columnar::Rows::Origin(rows) => Rows::Origin(rows),
        },
        columns: output
            .columns
            .into_iter()
            .map(|column| match column {
                columnar::OutputColumn::Carried(from) => Given::Carried(from),
                columnar::OutputColumn::Computed(c) => Given::Computed(Received {
                    data: c.data,
                    offsets: c.offsets,
                    validity: c.validity,
                }),
            })
            .collect(),
        rejects: refused(output.rejects),
    })
}

fn judged(verdict: filter::Verdict) -> Applied {
    Applied::Filter {
        keep: verdict.keep,
        rejects: refused(verdict.rejects),
    }
}

fn refused(rejects: Vec<types::Reject>) -> Vec<Refused> {
    rejects
        .into_iter()
        .map(|r| Refused {
            row: r.row,
            column: r.column,
            code: r.code,
            message: r.message,
        })
        .collect()
}

/// Sets the clock and forgets what the last call left behind.
fn deadline(store: &mut Store<State>, limits: &Limits) -> wasmtime::Result<()> {
    let ticks = limits.call_timeout.as_millis().div_ceil(TICK.as_millis());
    // One more, because the current tick is already under way.
    store.set_epoch_deadline(
        u64::try_from(ticks)
            .unwrap_or(u64::MAX / 2)
            .saturating_add(1),
    );
    let state = store.data_mut();
    state.counted.clear();
    state.last_words = None;
    Ok(())
}

/// What a failure the plugin reports means for the run.
fn failed(speaker: &Speaker, failure: types::Failure) -> Error {
    let at = failure
        .at
        .map(|at| format!(" (at {})", in_an_error(&at)))
        .unwrap_or_default();
    let message = format!(
        "plugin `{}` failed {}: {}{at}",
        speaker.plugin,
        speaker.place,
        in_an_error(&failure.message)
    );
    match failure.kind.as_str() {
        "retry" => Error::new(Class::Transient, "plugin::retry", message)
            .help("the plugin asks to be tried again; the batch is untouched"),
        "config" => Error::config("plugin::config", message).help(
            "change the step's `config`; `dkhost plugin inspect FILE` shows what the plugin takes",
        ),
        "schema" => Error::config("plugin::schema", message)
            .help("add a step before the plugin that gives the column the name and type it needs"),
        _ => Error::plugin("plugin::failed", message)
            .help("the batch is untouched; the message is the plugin's own, ask its author"),
    }
}

/// What it means that a call did not return.
fn explain(
    store: &Store<State>,
    limits: &Limits,
    speaker: &Speaker,
    cause: wasmtime::Error,
) -> Error {
    let Speaker { plugin, place } = speaker;
    let state = store.data();
    if state.memory.refused {
        return Error::plugin(
            "plugin::out_of_memory",
            format!("plugin `{plugin}` asked for more than {} of memory {place}", size(limits.memory_bytes as u64)),
        )
        .help("the batch is untouched; allow more with `limits = { memory = \"…\" }` of the plugin in the job, or make `run.batch` smaller");
    }
    match cause.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Error::plugin(
            "plugin::out_of_time",
            format!("plugin `{plugin}` was stopped after {} ms {place}", limits.call_timeout.as_millis()),
        )
        .help("the batches before are safe: run the same command again to go on, or allow more time with `limits.call_timeout_ms`"),
        Some(trap) => {
            let said = state.last_words.as_ref().map(|said| format!("; it said: {}", in_an_error(said))).unwrap_or_default();
            Error::plugin("plugin::trap", format!("plugin `{plugin}` crashed {place}: {trap}{said}"))
                .help("the batch is untouched; tell the plugin's author")
        }
        None => {
            let reason = cause.root_cause().to_string();
            if reason.starts_with("resource limit exceeded") {
                return Error::plugin(
                    "plugin::out_of_memory",
                    format!("plugin `{plugin}` has more memories, tables or instances than a plugin may {place} ({reason})"),
                )
                .help("no compiler makes that of an honest plugin: check where it comes from");
            }
            if reason.contains("fuel allocated for hostcalls") {
                let most = size(limits.output_bytes as u64);
                return speaker.bad_output(&format!("more than {most} at once"));
            }
            speaker.bad_output(&format!("what is no value of the contract ({reason})"))
        }
    }
}
