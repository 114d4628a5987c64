//! What a plugin can reach: a log, counters, and lookups that nobody granted.
//!
//! Also what it may use up: [`Memory`] is asked before any linear memory or table grows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use wasmtime::component::Resource;
use wasmtime::{Error, ResourceLimiter, Result};

use super::bindings::dkhost::plugin::{columnar, counters, log, lookup, types};
use crate::log::{Budget, FIELDS_MAX, Level, LogLine, LogSink, MESSAGE_MAX, clip};

/// Different counters a stage may have.
const COUNTERS_MAX: usize = 64;
/// Bytes of a counter's name.
const COUNTER_NAME_MAX: usize = 64;
/// Elements of all tables together; a Python component has about 20,000.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// Whose lines and counters these are.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    pub(crate) plugin: String,
    pub(crate) stage: String,
    pub(crate) partition: Option<u32>,
    pub(crate) sink: LogSink,
    /// The lines it may still write: the same for all instances of a stage, because a plugin can
    /// have itself replaced as often as it likes.
    pub(crate) budget: Arc<Mutex<Budget>>,
}

/// What the host keeps beside an instance.
pub(crate) struct State {
    pub(crate) memory: Memory,
    /// What the plugin counted during the current call.
    pub(crate) counted: BTreeMap<String, u64>,
    /// The last line of level error in the current call: where a panic says what it was.
    pub(crate) last_words: Option<String>,
    /// `None` for an instance that only repeats a batch, whose lines were written already.
    voice: Option<Voice>,
}

impl State {
    pub(crate) fn new(memory_bytes: usize, voice: Option<Voice>) -> Self {
        State {
            memory: Memory {
                limit: memory_bytes,
                ..Memory::default()
            },
            counted: BTreeMap::new(),
            last_words: None,
            voice,
        }
    }
}

/// The memory of one instance.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) limit: usize,
    /// Bytes of all its linear memories together.
    pub(crate) used: usize,
    /// Elements of all its tables together.
    elements: usize,
    /// Set when growth was refused: the trap that follows is ours.
    pub(crate) refused: bool,
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.refused = true;
            // An error and not `Ok(false)`: a guest that handles a refused growth may do so wrongly.
            return Err(Error::msg("memory limit reached"));
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let elements = self
            .elements
            .saturating_add(desired.saturating_sub(current));
        if elements > TABLE_ELEMENTS_MAX {
            self.refused = true;
            return Err(Error::msg("table limit reached"));
        }
        self.elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        8
    }
}

impl types::Host for State {}
impl columnar::Host for State {}

impl log::Host for State {
    fn log(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> Result<()> {
        let level = match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        let message = clip(message, MESSAGE_MAX);
        if level == Level::Error {
            self.last_words = Some(message.clone());
        }
        let Some(voice) = &self.voice else {
            return Ok(());
        };
        let mut budget = voice.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(suppressed) = budget.take(Instant::now()) else {
            return Ok(());
        };
        drop(budget);
        let mut fields: Vec<_> = fields
            .into_iter()
            .take(FIELDS_MAX)
            .map(|(name, value)| (clip(name, COUNTER_NAME_MAX), clip(value, MESSAGE_MAX)))
            .collect();
        if suppressed > 0 {
            fields.push(("lines left out before".into(), suppressed.to_string()));
        }
        voice.sink.take(LogLine {
            plugin: voice.plugin.clone(),
            stage: voice.stage.clone(),
            partition: voice.partition,
            level,
            message,
            fields,
        });
        Ok(())
    }
}

impl counters::Host for State {
    fn add(&mut self, name: String, by: u64) -> Result<()> {
        let is_name = !name.is_empty()
            && name.len() <= COUNTER_NAME_MAX
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !is_name || (self.counted.len() >= COUNTERS_MAX && !self.counted.contains_key(&name)) {
            return Ok(());
        }
        let sum = self.counted.entry(name).or_default();
        *sum = sum.saturating_add(by);
        Ok(())
    }
}

impl lookup::Host for State {}

impl lookup::HostTable for State {
    fn open(
        &mut self,
        name: String,
    ) -> Result<std::result::Result<Resource<lookup::Table>, types::Failure>> {
        Ok(Err(types::Failure {
            kind: "config".into(),
            message: format!(
                "the job grants no lookup `{}`",
                clip(name, COUNTER_NAME_MAX)
            ),
            at: None,
        }))
    }

    // A table cannot be opened, so nobody has one to ask.
    fn schema(&mut self, _: Resource<lookup::Table>) -> Result<types::SchemaResult> {
        Err(Error::msg("no such lookup table"))
    }

    fn get_many(
        &mut self,
        _: Resource<lookup::Table>,
        _: columnar::BatchResult,
        _: Vec<u32>,
    ) -> Result<std::result::Result<columnar::BatchResult, types::Failure>> {
        Err(Error::msg("no such lookup table"))
    }

    fn drop(&mut self, _: Resource<lookup::Table>) -> Result<()> {
        Ok(())
    }
}
