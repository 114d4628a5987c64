//! The `[run]` section: bounds, policies, retries.

use std::time::Duration;

use dkhost_core::{
    BatchSize, Class, Error, Node, NodeKind, Nulls, OptionSpec, OptionType, Options, Result,
};

use super::later;
use super::quantity::{bytes_up_to, duration_up_to, wrong};

/// What happens to refused records.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OnError {
    /// The first refused record stops the run; nothing of its batch is written.
    Stop,
    /// Refused records are counted and passed over.
    Skip,
    /// Refused records are kept as dead letters.
    DeadLetter {
        /// Stop beyond so many in a run.
        max: Option<u64>,
        /// Stop beyond this share of the records read.
        max_ratio: Option<f64>,
    },
}

/// What happens to what the frozen schema cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// Add the column to the target.
    Evolve,
    /// Stop.
    Freeze,
    /// A dead letter.
    DiscardRow,
    /// Keep it in the rest, or drop the value, counted.
    DiscardValue,
}

impl Drift {
    /// The spelling in job files.
    pub fn word(self) -> &'static str {
        match self {
            Drift::Evolve => "evolve",
            Drift::Freeze => "freeze",
            Drift::DiscardRow => "discard_row",
            Drift::DiscardValue => "discard_value",
        }
    }
}

/// How what was sent is compared with what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Verify {
    /// Not at all.
    None,
    /// Rows are counted.
    Count,
    /// The content of all rows is summed.
    Checksum,
    /// As checksum, and every batch is read back and compared field by field before its commit.
    Full,
}

impl Verify {
    /// The spelling in job files.
    pub fn word(self) -> &'static str {
        match self {
            Verify::None => "none",
            Verify::Count => "count",
            Verify::Checksum => "checksum",
            Verify::Full => "full",
        }
    }
}

/// How trouble that may pass is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Tries after the first.
    pub max_retries: u32,
    /// Each pause is this many times the one before.
    pub backoff_factor: f64,
    /// The first pause.
    pub initial: Duration,
    /// Whether trouble with connections, locks and timeouts is tried again.
    pub on_transient: bool,
    /// Whether a target that asks to slow down is tried again.
    pub on_throttled: bool,
}

impl Retry {
    /// Whether an error of this class is tried again.
    pub fn covers(&self, class: Class) -> bool {
        match class {
            Class::Transient => self.on_transient,
            Class::Throttled => self.on_throttled,
            _ => false,
        }
    }

    /// The pause before try `attempt` (from 1), at most a minute.
    pub fn pause(&self, attempt: u32) -> Duration {
        let factor = self.backoff_factor.powi(attempt.saturating_sub(1) as i32);
        Duration::try_from_secs_f64(self.initial.as_secs_f64() * factor)
            .unwrap_or(Duration::from_secs(60))
            .min(Duration::from_secs(60))
    }
}

/// The `[run]` section.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSettings {
    /// The bounds of a batch.
    pub batch: BatchSize,
    /// Bytes of batches in flight, for the whole run.
    pub memory_bytes: u64,
    /// Partitions in flight.
    pub parallel: usize,
    /// What happens to refused records.
    pub on_error: OnError,
    /// What happens to what the frozen schema cannot hold.
    pub drift: Drift,
    /// Columns whose values may change on the way.
    pub allow_lossy: Vec<String>,
    /// How trouble that may pass is tried again.
    pub retry: Retry,
    /// How what was sent is compared with what is held.
    pub verify: Verify,
    /// What a document target writes for a null.
    pub nulls: Nulls,
    /// Pause between progress lines without a terminal.
    pub progress_interval: Duration,
}

impl Default for RunSettings {
    fn default() -> Self {
        RunSettings {
            batch: BatchSize::default(),
            memory_bytes: 256 << 20,
            parallel: 2,
            on_error: OnError::Stop,
            drift: Drift::Freeze,
            allow_lossy: Vec::new(),
            retry: Retry {
                max_retries: 3,
                backoff_factor: 2.0,
                initial: Duration::from_millis(100),
                on_transient: true,
                on_throttled: true,
            },
            verify: Verify::Count,
            nulls: Nulls::Keep,
            progress_interval: Duration::from_secs(10),
        }
    }
}

/// The keys of `[run]`.
pub const RUN_OPTIONS: &[OptionSpec] = &[
    OptionSpec::optional(
        "batch",
        OptionType::Any,
        "bounds of a batch: { rows = 8192, bytes = \"8MiB\" }, or \"auto\"",
    ),
    OptionSpec::optional(
        "memory",
        OptionType::Text,
        "bytes of batches in flight for the whole run (256MiB)",
    ),
    OptionSpec::optional("parallel", OptionType::Integer, "partitions in flight (2)"),
    OptionSpec::optional(
        "on_error",
        OptionType::Any,
        "refused records: \"stop\" (default), \"skip\", \"dead-letter\", or { dead_letter = { max = 1000, max_ratio = 0.01 } }",
    ),
    OptionSpec::optional(
        "schema_drift",
        OptionType::Word(&["evolve", "freeze", "discard_row", "discard_value"]),
        "what the frozen schema cannot hold: evolve | freeze (default) | discard_row | discard_value",
    ),
    OptionSpec::optional(
        "allow_lossy",
        OptionType::TextList,
        "columns whose values may change on the way",
    ),
    OptionSpec::optional(
        "retry",
        OptionType::Table,
        "{ max_retries = 3, backoff_factor = 2.0, initial = \"100ms\", retry_on = [\"connection\", \"timeout\", \"throttled\"] }",
    ),
    OptionSpec::optional(
        "verify",
        OptionType::Word(&["none", "count", "checksum", "full"]),
        "compare what was sent with what is held: none | count (default) | checksum | full",
    ),
    OptionSpec::optional(
        "nulls",
        OptionType::Word(&["keep", "omit"]),
        "what document targets write for a null: keep (default) | omit",
    ),
    OptionSpec::optional(
        "progress_interval",
        OptionType::Text,
        "pause between progress lines without a terminal (10s)",
    ),
];

const LATER: &[(&str, &str)] = &[
    (
        "two_phase",
        "validating every record before the first write comes in a later version; `dkhost validate JOB` does the first phase alone",
    ),
    (
        "transactional",
        "rolling back what a failed run wrote comes in a later version; `on_conflict = \"replace-all\"` publishes all or nothing today",
    ),
    ("rate_limit", "rate limits come in a later version"),
];

/// More than the machines there are.
const MEMORY_MAX_GIB: u64 = 1 << 14;
/// Nobody means a longer pause.
const PAUSE_MAX: Duration = Duration::from_secs(86_400);

/// Reads the `[run]` section.
pub fn read(mut options: Options) -> Result<RunSettings> {
    later::refuse(&mut options, LATER)?;
    options.check(&[RUN_OPTIONS])?;
    let mut run = RunSettings::default();
    if let Some(node) = options.take_node("batch") {
        run.batch = batch(node)?;
    }
    if let Some(node) = options.take_node("memory") {
        run.memory_bytes = bytes_up_to(&node, "memory", MEMORY_MAX_GIB)?;
    }
    if let Some(node) = options.take_node("parallel") {
        run.parallel = whole(&node, "parallel", 1, 256)? as usize;
    }
    if let Some(node) = options.take_node("on_error") {
        run.on_error = on_error(&node)?;
    }
    if let Some(node) = options.take_node("schema_drift") {
        let words = [
            ("evolve", Drift::Evolve),
            ("freeze", Drift::Freeze),
            ("discard_row", Drift::DiscardRow),
            ("discard_value", Drift::DiscardValue),
        ];
        run.drift = word(&node, "schema_drift", &words)?;
    }
    run.allow_lossy = options.take("allow_lossy")?.unwrap_or_default();
    if let Some(node) = options.take_node("retry") {
        run.retry = retry(node)?;
    }
    if let Some(node) = options.take_node("verify") {
        let words = [
            ("none", Verify::None),
            ("count", Verify::Count),
            ("checksum", Verify::Checksum),
            ("full", Verify::Full),
        ];
        run.verify = word(&node, "verify", &words)?;
    }
    if let Some(node) = options.take_node("nulls") {
        run.nulls = word(
            &node,
            "nulls",
            &[("keep", Nulls::Keep), ("omit", Nulls::Omit)],
        )?;
    }
    if let Some(node) = options.take_node("progress_interval") {
        run.progress_interval = duration_up_to(&node, "progress_interval", PAUSE_MAX, "a day")?;
        if run.progress_interval.is_zero() {
            return Err(wrong(
                &node,
                "progress_interval",
                "a duration above zero, such as \"10s\"",
            ));
        }
    }
    Ok(run)
}

/// One of some words.
pub fn word<T: Copy>(node: &Node, name: &str, words: &[(&str, T)]) -> Result<T> {
    let known = || words.iter().map(|(word, _)| *word);
    let NodeKind::Text(text) = &node.kind else {
        return Err(wrong(
            node,
            name,
            &format!("one of {}", known().collect::<Vec<_>>().join(", ")),
        ));
    };
    words
        .iter()
        .find(|(word, _)| word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let label = match dkhost_core::error::nearest(text, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "not one of them".to_owned(),
            };
            Error::config("job::wrong_value", format!("`{name}` cannot be `{text}`"))
                .at(node.span.clone(), label)
                .help(format!(
                    "one of: {}",
                    known().collect::<Vec<_>>().join(", ")
                ))
        })
}

/// A whole number within bounds.
pub fn whole(node: &Node, name: &str, min: i64, max: i64) -> Result<i64> {
    match node.kind {
        NodeKind::Integer(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(wrong(
            node,
            name,
            &format!("a whole number from {min} to {max}"),
        )),
    }
}

fn batch(node: Node) -> Result<BatchSize> {
    if node.kind == NodeKind::Text("auto".into()) {
        return Ok(BatchSize::default());
    }
    let mut options = Options::new("`batch`", node)?;
    const KEYS: &[OptionSpec] = &[
        OptionSpec::optional("rows", OptionType::Integer, "rows at most"),
        OptionSpec::optional("bytes", OptionType::Text, "bytes at about the most"),
    ];
    options.check(&[KEYS])?;
    let mut batch = BatchSize::default();
    if let Some(node) = options.take_node("rows") {
        batch.rows = whole(&node, "rows", 1, 1_000_000)? as usize;
    }
    if let Some(node) = options.take_node("bytes") {
        batch.bytes = bytes_up_to(&node, "bytes", 1)? as usize;
    }
    Ok(batch)
}

/// Reads an `on_error` value; also used by steps.
pub fn on_error(node: &Node) -> Result<OnError> {
    if let NodeKind::Text(_) = node.kind {
        let any = OnError::DeadLetter {
            max: None,
            max_ratio: None,
        };
        return word(
            node,
            "on_error",
            &[
                ("stop", OnError::Stop),
                ("skip", OnError::Skip),
                ("dead-letter", any),
            ],
        );
    }
    const OUTER: &[OptionSpec] = &[OptionSpec::optional(
        "dead_letter",
        OptionType::Table,
        "{ max = 1000, max_ratio = 0.01 }",
    )];
    const INNER: &[OptionSpec] = &[
        OptionSpec::optional(
            "max",
            OptionType::Integer,
            "stop beyond so many dead letters",
        ),
        OptionSpec::optional(
            "max_ratio",
            OptionType::Any,
            "stop beyond this share of the records read, 0 to 1",
        ),
    ];
    let mut options = Options::new("`on_error`", node.clone())?;
    options.check(&[OUTER])?;
    let Some(inner) = options.take_node("dead_letter") else {
        return Err(wrong(
            node,
            "on_error",
            "\"stop\", \"skip\", \"dead-letter\" or { dead_letter = { max = 1000 } }",
        ));
    };
    let mut inner = Options::new("`dead_letter`", inner)?;
    inner.check(&[INNER])?;
    let max = inner
        .take_node("max")
        .map(|n| whole(&n, "max", 0, i64::MAX))
        .transpose()?;
    let max_ratio = inner
        .take_node("max_ratio")
        .map(|n| match n.kind {
            NodeKind::Float(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
            NodeKind::Integer(ratio @ 0..=1) => Ok(ratio as f64),
            _ => Err(wrong(&n, "max_ratio", "a share from 0 to 1")),
        })
        .transpose()?;
    Ok(OnError::DeadLetter {
        max: max.map(|n| n as u64),
        max_ratio,
    })
}

fn retry(node: Node) -> Result<Retry> {
    const KEYS: &[OptionSpec] = &[
        OptionSpec::optional("max_retries", OptionType::Integer, "tries after the first"),
        OptionSpec::optional(
            "backoff_factor",
            OptionType::Any,
            "each pause is this many times the one before",
        ),
        OptionSpec::optional("initial", OptionType::Text, "the first pause"),
        OptionSpec::optional(
            "retry_on",
            OptionType::TextList,
            "connection, timeout, throttled",
        ),
    ];
    let mut options = Options::new("`retry`", node)?;
    options.check(&[KEYS])?;
    let mut retry = RunSettings::default().retry;
    if let Some(node) = options.take_node("max_retries") {
        retry.max_retries = whole(&node, "max_retries", 0, 1_000)? as u32;
    }
    if let Some(node) = options.take_node("backoff_factor") {
        retry.backoff_factor = match node.kind {
            NodeKind::Float(f) if (1.0..=100.0).contains(&f) => f,
            NodeKind::Integer(f @ 1..=100) => f as f64,
            _ => return Err(wrong(&node, "backoff_factor", "a number from 1 to 100")),
        };
    }
    if let Some(node) = options.take_node("initial") {
        retry.initial = duration_up_to(&node, "initial", PAUSE_MAX, "a day")?;
    }
    if let Some(node) = options.take_node("retry_on") {
        let NodeKind::Array(items) = &node.kind else {
            return Err(wrong(&node, "retry_on", "a list of words"));
        };
        (retry.on_transient, retry.on_throttled) = (false, false);
        for item in items {
            match word(
                item,
                "retry_on",
                &[
                    ("connection", true),
                    ("timeout", true),
                    ("throttled", false),
                ],
            )? {
                true => retry.on_transient = true,
                false => retry.on_throttled = true,
            }
        }
    }
    Ok(retry)
}
