//! Runs jobs over the memory backend, with faults where a test wants them.

#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use dkhost_core::memory::{Memory, Store};
use dkhost_core::*;
use dkhost_engine::history::StateUrl;
use dkhost_engine::job::PluginSettings;
use dkhost_engine::plan::Purpose;
use dkhost_engine::registry::{LoadedPlugin, PluginLoader, Registry};
use dkhost_engine::run::{Ended, run};
use dkhost_engine::{History, Job, Plan, RunOptions};

/// What goes wrong in the target; counts down, and fails when it reaches zero.
#[derive(Default)]
pub struct Faults {
    pub writes: AtomicI64,
    pub commits: AtomicI64,
    /// The commit happens, and then its reply is lost.
    pub lost_replies: AtomicI64,
    pub publishes: AtomicI64,
    pub flushes: AtomicI64,
    pub columns: AtomicI64,
    /// Only the first commit says that it is durable; the others will be with a flush.
    pub is_lazy: std::sync::atomic::AtomicBool,
    /// A target that forgets its last row and says nothing.
    pub loses_a_row: std::sync::atomic::AtomicBool,
    pub class: Mutex<Option<Class>>,
    /// The batch is staged, and then the connection is gone: until another writer is opened, every
    /// call fails.
    pub disconnects: AtomicI64,
    /// The same at a commit, which did not happen.
    pub lost_commits: AtomicI64,
    /// How often a commit was asked for.
    pub commits_asked: AtomicI64,
    /// What a source can do; `None` for all that memory can.
    pub can: Mutex<Option<SourceCapabilities>>,
    /// A source that takes only the first part of a filter it is offered.
    pub takes_one: std::sync::atomic::AtomicBool,
    /// What sources were opened with.
    pub opened: Mutex<Vec<OpenSource>>,
}

impl Faults {
    fn hit(&self, counter: &AtomicI64, what: &str) -> Result<()> {
        match counter.fetch_sub(1, Ordering::SeqCst) {
            1 => Err(Error::new(
                self.class.lock().unwrap().unwrap_or(Class::Infrastructure),
                "test::fault",
                format!("{what} failed"),
            )),
            _ => Ok(()),
        }
    }
}

/// The memory backend with faults in its target.
struct Faulty(Arc<Faults>);

impl Backend for Faulty {
    fn name(&self) -> &'static str {
        "memory"
    }
    fn summary(&self) -> &'static str {
        "memory with faults"
    }
    fn source_options(&self) -> &'static [OptionSpec] {
        Memory.source_options()
    }
    fn target_options(&self) -> &'static [OptionSpec] {
        Memory.target_options()
    }
    fn target_capabilities(&self, options: &Options) -> Result<Capabilities> {
        Memory.target_capabilities(options)
    }
    fn source_capabilities(&self) -> SourceCapabilities {
        let can = *self.0.can.lock().unwrap();
        can.unwrap_or_else(|| Memory.source_capabilities())
    }
    fn open_source(&self, options: Options, open: &OpenSource) -> Result<Box<dyn Source>> {
        let mut open = open.clone();
        if self.0.takes_one.load(Ordering::SeqCst) {
            open.filter.truncate(1);
        }
        let source = Memory.open_source(options, &open)?;
        self.0.opened.lock().unwrap().push(open);
        Ok(source)
    }
    fn open_target(&self, options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
        Ok(Box::new(FaultySink(
            Memory.open_target(options, open)?,
            self.0.clone(),
        )))
    }
}

struct FaultySink(Box<dyn Sink>, Arc<Faults>);

impl Sink for FaultySink {
    fn plan(&self) -> &TargetPlan {
        self.0.plan()
    }
    fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        self.0.inspect(job)
    }
    fn claim(&self, claim: &Claim) -> Result<Claimed> {
        self.0.claim(claim)
    }
    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>> {
        Ok(Box::new(FaultyWriter {
            inner: self.0.writer(partition)?,
            faults: self.1.clone(),
            is_gone: false,
        }))
    }
    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let loses = self.1.loses_a_row.load(Ordering::SeqCst);
        self.0.scan(&mut |records| {
            each(if loses {
                records.slice(0, records.num_rows() - 1)
            } else {
                records
            })
        })
    }
    fn publish(&self) -> Result<()> {
        self.1.hit(&self.1.publishes, "publish")?;
        self.0.publish()
    }
    fn retire(&self) -> Result<()> {
        self.0.retire()
    }
}

struct FaultyWriter {
    inner: Box<dyn Writer>,
    faults: Arc<Faults>,
    is_gone: bool,
}

impl FaultyWriter {
    fn connected(&mut self) -> Result<&mut dyn Writer> {
        match self.is_gone {
            true => Err(Error::new(Class::Transient, "test::gone", "no connection")),
            false => Ok(self.inner.as_mut()),
        }
    }

    /// Loses the connection, and what is staged with it, if it is time.
    fn may_lose(&mut self, counter: fn(&Faults) -> &AtomicI64) -> Result<()> {
        if counter(&self.faults).fetch_sub(1, Ordering::SeqCst) == 1 {
            self.inner.roll_back()?;
            self.is_gone = true;
        }
        self.connected().map(drop)
    }
}

impl Writer for FaultyWriter {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.inner.checkpoint()
    }
    fn write(&mut self, batch: &Batch) -> Result<WriteReport> {
        self.faults.hit(&self.faults.writes, "write")?;
        let report = self.connected()?.write(batch)?;
        self.may_lose(|faults| &faults.disconnects)?;
        Ok(report)
    }
    fn read_back(&mut self) -> Result<RecordBatch> {
        self.connected()?.read_back()
    }
    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable> {
        self.faults.commits_asked.fetch_add(1, Ordering::SeqCst);
        self.faults.hit(&self.faults.commits, "commit")?;
        self.may_lose(|faults| &faults.lost_commits)
            .map_err(sink::staged_lost)?;
        let durable = self.connected()?.commit(checkpoint)?;
        self.faults.hit(&self.faults.lost_replies, "reply")?;
        match self.faults.is_lazy.load(Ordering::SeqCst) && checkpoint.seq > 1 {
            true => Ok(Durable::Later),
            false => Ok(durable),
        }
    }
    fn roll_back(&mut self) -> Result<()> {
        self.connected()?.roll_back()
    }
    fn flush(&mut self) -> Result<()> {
        self.faults.hit(&self.faults.flushes, "flush")?;
        self.connected()?.flush()
    }
    fn add_columns(&mut self, columns: &[Field]) -> Result<()> {
        self.faults.hit(&self.faults.columns, "add_columns")?;
        self.connected()?.add_columns(columns)
    }
}

struct NoPlugins;
impl PluginLoader for NoPlugins {
    fn load(&self, path: &Path, _settings: &PluginSettings) -> Result<Arc<dyn LoadedPlugin>> {
        Err(Error::plugin(
            "plugin::none",
            format!("no plugin at `{}`", path.display()),
        ))
    }
}

/// A job over the memory backend and a state folder of its own.
pub struct World {
    pub folder: tempfile::TempDir,
    pub faults: Arc<Faults>,
    pub stop: dkhost_engine::run::StopFlag,
    pub fresh: bool,
    pub full: bool,
    pub accept_plan_change: bool,
}

impl World {
    pub fn new() -> Self {
        World {
            folder: tempfile::tempdir().unwrap(),
            faults: Arc::default(),
            stop: Arc::default(),
            fresh: false,
            full: false,
            accept_plan_change: false,
        }
    }

    pub fn registry(&self) -> Registry {
        Registry {
            backends: vec![Arc::new(Faulty(self.faults.clone()))],
            plugins: Arc::new(NoPlugins),
        }
    }

    pub fn history(&self) -> History {
        let place = StateUrl::sqlite(self.folder.path().join(".dkhost/state.db"));
        History::open(&place).unwrap()
    }

    pub fn job(&self, toml: &str) -> Result<Job> {
        Job::parse(
            &self.folder.path().join("job.toml"),
            toml.to_owned(),
            &|_| None,
            &[],
        )
    }

    pub fn plan(&self, toml: &str) -> Result<Plan> {
        let purpose = match (self.full, self.fresh) {
            (true, _) => Purpose::Full,
            (false, true) => Purpose::Anew,
            (false, false) => Purpose::Run,
        };
        Plan::make(self.job(toml)?, &self.registry(), purpose)
    }

    pub fn options(&self, kind: &'static str) -> RunOptions<'static> {
        RunOptions {
            kind,
            fresh: self.fresh || self.full,
            accept_plan_change: self.accept_plan_change,
            stop: self.stop.clone(),
            on_start: &|_| {},
        }
    }

    pub fn run(&self, toml: &str) -> Result<Ended> {
        run(&self.plan(toml)?, &self.history(), &self.options("run"))
    }
}

/// A job that moves `records` (JSON) into the memory table `table`, with more TOML at the end.
pub fn job(table: &str, records: &str, rest: &str) -> String {
    let records: serde_json::Value = serde_json::from_str(records).unwrap();
    let records: Vec<String> = records.as_array().unwrap().iter().map(inline).collect();
    format!(
        "name = \"{table}\"\n[source]\nbackend = \"memory\"\nrecords = [{}]\n[target]\nbackend = \"memory\"\nname = \"{table}\"\n{rest}",
        records.join(", ")
    )
}

fn inline(record: &serde_json::Value) -> String {
    let fields: BTreeMap<&String, String> = record
        .as_object()
        .unwrap()
        .iter()
        // TOML has no null.
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| match value.is_object() {
            true => (name, inline(value)),
            false => (name, value.to_string()),
        })
        .collect();
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name:?} = {value}"))
        .collect();
    format!("{{ {} }}", fields.join(", "))
}

/// `count` records `{"id": i, "name": "n<i>"}`.
pub fn numbered(count: usize) -> String {
    let records: Vec<_> = (0..count)
        .map(|i| serde_json::json!({ "id": i, "name": format!("n{i}") }))
        .collect();
    serde_json::Value::from(records).to_string()
}

/// What a memory table holds, one JSON object per row, in order.
pub fn rows(table: &str) -> Vec<String> {
    let records = Store::open(table).rows().unwrap();
    records.map_or_else(Vec::new, |records| {
        (0..records.num_rows())
            .map(|row| json::row(&records, row))
            .collect()
    })
}
