//! What a plugin is: a description, a way to open it, and what it does with a batch of columns.

use serde::de::DeserializeOwned;

use crate::builder::{Bits, Built};
use crate::errors::{Failure, Reject};
use crate::plan::{Edit, Inputs, Plan, Write};
use crate::view::Batch;
use crate::wit::types as raw;

/// What a job needs to know about a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    name: String,
    version: String,
    summary: String,
    config_schema: String,
    requests: Vec<String>,
    extra: Vec<(String, String)>,
}

impl Descriptor {
    /// A plugin's name (a-z, 0-9, -) and semantic version.
    ///
    /// ```
    /// # use dkhost_sdk::Descriptor;
    /// let descriptor = Descriptor::new("clean", env!("CARGO_PKG_VERSION"))
    ///     .summary("cleans e-mail addresses")
    ///     .config_schema(r#"{"type": "object", "additionalProperties": false}"#);
    /// ```
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Descriptor {
            name: name.into(),
            version: version.into(),
            summary: String::new(),
            config_schema: String::new(),
            requests: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// One line for people.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// The JSON Schema of the configuration; the host validates before the plugin is opened.
    #[must_use]
    pub fn config_schema(mut self, json: impl Into<String>) -> Self {
        self.config_schema = json.into();
        self
    }

    /// Something the job's owner must grant: `lookup`.
    #[must_use]
    pub fn request(mut self, request: impl Into<String>) -> Self {
        self.requests.push(request.into());
        self
    }

    /// More: `license`, `homepage`, `authors`.
    #[must_use]
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn into_raw(self, kind: &str) -> raw::Descriptor {
        raw::Descriptor {
            name: self.name,
            kind: kind.to_owned(),
            version: self.version,
            summary: self.summary,
            config_schema: self.config_schema,
            requests: self.requests,
            extra: self.extra,
        }
    }
}

/// The configuration of a plugin that takes none.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Changes, drops, expands or rejects records, a batch of columns at a time.
///
/// For one record at a time see [`crate::RowTransformer`].
///
/// ```
/// use dkhost_sdk::{Batch, Descriptor, Edit, Failure, NoConfig, Output, Plan, TextBuilder, Transformer};
///
/// struct Lower { email: Edit }
///
/// impl Transformer for Lower {
///     type Config = NoConfig;
///
///     fn descriptor() -> Descriptor {
///         Descriptor::new("lower", "0.1.0").summary("e-mail addresses in lower case")
///     }
///
///     fn open(_: NoConfig, plan: &mut Plan) -> Result<Self, Failure> {
///         Ok(Lower { email: plan.edit("email")? })
///     }
///
///     fn apply(&mut self, batch: &Batch<'_>) -> Result<Output, Failure> {
///         let mut lower = TextBuilder::with_capacity(batch.rows(), batch.rows() * 24);
///         for email in batch.text(self.email)?.iter() {
///             lower.push_option(email.map(str::to_lowercase).as_deref());
///         }
///         Ok(Output::new().set(self.email, lower))
///     }
/// }
/// ```
pub trait Transformer: Sized + 'static {
    /// What the step's `config` is read into.
    type Config: DeserializeOwned;

    /// What a job needs to know.
    fn descriptor() -> Descriptor;

    /// Decides what is read and what comes out. Called for the plan and for each partition, and
    /// must plan the same each time.
    fn open(config: Self::Config, plan: &mut Plan) -> Result<Self, Failure>;

    /// Changes one batch. The same rows must give the same output whatever came before.
    fn apply(&mut self, batch: &Batch<'_>) -> Result<Output, Failure>;
}

/// Keeps or drops records, a batch of columns at a time.
///
/// ```
/// use dkhost_sdk::{Batch, Bits, Descriptor, Failure, Filter, Inputs, NoConfig, Read, Verdict};
///
/// struct Active { status: Read }
///
/// impl Filter for Active {
///     type Config = NoConfig;
///
///     fn descriptor() -> Descriptor {
///         Descriptor::new("active", "0.1.0")
///     }
///
///     fn open(_: NoConfig, inputs: &mut Inputs) -> Result<Self, Failure> {
///         Ok(Active { status: inputs.read("status")? })
///     }
///
///     fn keep(&mut self, batch: &Batch<'_>) -> Result<Verdict, Failure> {
///         let status = batch.text(self.status)?;
///         Ok(Verdict::keep(status.iter().map(|status| status == Some("active")).collect::<Bits>()))
///     }
/// }
/// ```
pub trait Filter: Sized + 'static {
    /// What the step's `config` is read into.
    type Config: DeserializeOwned;

    /// What a job needs to know.
    fn descriptor() -> Descriptor;

    /// Decides what is read.
    fn open(config: Self::Config, inputs: &mut Inputs) -> Result<Self, Failure>;

    /// Judges one batch.
    fn keep(&mut self, batch: &Batch<'_>) -> Result<Verdict, Failure>;
}

pub(crate) enum Rows {
    All,
    Selection(Bits),
    Origin(Vec<u32>),
}

/// What a transformer made of a batch. Columns that the plan only carries need no word.
pub struct Output {
    pub(crate) rows: Rows,
    /// By slot of the plan; `None` carries the input column in this batch.
    pub(crate) columns: Vec<(Write, Option<Built>)>,
    pub(crate) rejects: Vec<(u32, Reject)>,
}

impl Default for Output {
    fn default() -> Self {
        Output::new()
    }
}

impl Output {
    /// All rows, in place.
    pub fn new() -> Self {
        Output {
            rows: Rows::All,
            columns: Vec::new(),
            rejects: Vec::new(),
        }
    }

    /// Only the rows whose bit is set. Computed columns still have a place for every input row.
    pub fn selection(keep: Bits) -> Self {
        Output {
            rows: Rows::Selection(keep),
            ..Output::new()
        }
    }

    /// For each output row the input row it comes from, ascending; a row may appear many times or
    /// not at all. Computed columns have as many rows as `origin`.
    pub fn origin(origin: Vec<u32>) -> Self {
        Output {
            rows: Rows::Origin(origin),
            ..Output::new()
        }
    }

    /// The values of a computed column.
    #[must_use]
    pub fn set(mut self, column: impl Into<Write>, values: impl Into<Built>) -> Self {
        self.columns.push((column.into(), Some(values.into())));
        self
    }

    /// Says that a column is the same as it came in, in this batch.
    #[must_use]
    pub fn unchanged(mut self, column: Edit) -> Self {
        self.columns.push((column.write, None));
        self
    }

    /// Refuses a row of the input. It is taken out whatever the rows say.
    pub fn reject(&mut self, row: usize, reject: Reject) {
        self.rejects.push((row as u32, reject));
    }
}

/// What a filter made of a batch.
pub struct Verdict {
    pub(crate) keep: Bits,
    pub(crate) rejects: Vec<(u32, Reject)>,
}

impl Verdict {
    /// Keeps the rows whose bit is set.
    pub fn keep(keep: Bits) -> Self {
        Verdict {
            keep,
            rejects: Vec::new(),
        }
    }

    /// Refuses a row of the input.
    pub fn reject(&mut self, row: usize, reject: Reject) {
        self.rejects.push((row as u32, reject));
    }
}
