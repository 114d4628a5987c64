//! One record at a time: comfort over speed, inside the sandbox.
//!
//! A row is either a struct of yours with `#[derive(Row)]` – fields by name, checked when the
//! plugin is opened – or a [`crate::Record`], which knows its columns only at run time.

use crate::builder::AnyBuilder;
use crate::errors::{Failure, Reject};
use crate::plan::{Inputs, Plan, Write};
use crate::plugin::{Descriptor, Filter, Output, Transformer, Verdict};
use crate::types::Type;
use crate::value::Value;
use crate::view::Batch;
use serde::de::DeserializeOwned;

use crate::builder::Bits;

/// A record a plugin works on. Derive it, or use [`crate::Record`].
///
/// `#[derive(Row)]` on a struct reads each field from the column of its name:
///
/// | attribute | meaning |
/// |---|---|
/// | – | read only |
/// | `#[row(edit)]` | read and written back |
/// | `#[row(add)]` | a new column, not read; starts as its type's default |
/// | `#[row(name = "E-Mail")]` | the column's name, when it is not the field's |
///
/// Fields are `&'a str`, `Cow<'a, str>`, `String`, `&'a [u8]`, `Vec<u8>`, `bool`, `i32`, `i64`,
/// `u64`, `f32`, `f64`, `i128` (decimal), `[u8; 16]` (uuid), or `Option` of one of these. A null
/// in a field that is no `Option` rejects the record with the code `null`.
pub trait Row: Sized + 'static {
    /// The row with the lifetime of a batch.
    type Of<'a>;
    /// Where its fields lie.
    type Bound;

    /// Finds the fields in the input.
    fn bind(columns: &mut dyn Columns) -> Result<Self::Bound, Failure>;

    /// Reads one row.
    fn read<'a>(bound: &Self::Bound, batch: &Batch<'a>, row: usize)
    -> Result<Self::Of<'a>, Reject>;

    /// Writes one row: a value for each of `builders`, in the order of `writes`.
    fn write(
        bound: &Self::Bound,
        row: &Self::Of<'_>,
        builders: &mut [AnyBuilder],
    ) -> Result<(), Reject>;

    /// The columns that are written.
    fn writes(bound: &Self::Bound) -> Vec<Write>;
}

/// What a row may ask for when it is bound: a [`Plan`], or only [`Inputs`] for a filter.
pub trait Columns {
    /// What there is to read.
    fn inputs(&mut self) -> &mut Inputs;
    /// What can be written; `None` for a filter.
    fn plan(&mut self) -> Option<&mut Plan>;
}

impl Columns for Plan {
    fn inputs(&mut self) -> &mut Inputs {
        self
    }
    fn plan(&mut self) -> Option<&mut Plan> {
        Some(self)
    }
}

impl Columns for Inputs {
    fn inputs(&mut self) -> &mut Inputs {
        self
    }
    fn plan(&mut self) -> Option<&mut Plan> {
        None
    }
}

/// Changes, drops, expands or rejects records, one at a time.
///
/// ```
/// use std::borrow::Cow;
/// use dkhost_sdk::{Descriptor, Failure, NoConfig, Plan, Reject, Row, RowTransformer, Rows};
///
/// #[derive(Row, Clone)]
/// struct Customer<'a> {
///     #[row(edit)]
///     email: Cow<'a, str>,
///     status: Option<&'a str>,
/// }
///
/// struct Tidy;
///
/// impl RowTransformer for Tidy {
///     type Config = NoConfig;
///     type Row = Customer<'static>;
///
///     fn descriptor() -> Descriptor {
///         Descriptor::new("tidy", "0.1.0")
///     }
///
///     fn open(_: NoConfig, _: &mut Plan) -> Result<Self, Failure> {
///         Ok(Tidy)
///     }
///
///     fn row(&mut self, mut customer: Customer<'_>, out: &mut Rows<'_, Customer<'static>>) -> Result<(), Reject> {
///         if customer.status == Some("deleted") {
///             return Ok(());                                    // dropped
///         }
///         if !customer.email.contains('@') {
///             return Err(Reject::new("invalid-email", "there is no @ in it"));
///         }
///         customer.email = customer.email.trim().to_lowercase().into();
///         out.emit(&customer)                                   // as often as you like
///     }
/// }
/// ```
pub trait RowTransformer: Sized + 'static {
    /// What the step's `config` is read into.
    type Config: DeserializeOwned;
    /// What a record looks like.
    type Row: Row;

    /// What a job needs to know.
    fn descriptor() -> Descriptor;

    /// Opens the plugin. The fields of its rows need no word; with
    /// [`crate::Record`], what the plan reads
    /// and writes is what a record has (all columns, if it says nothing).
    fn open(config: Self::Config, plan: &mut Plan) -> Result<Self, Failure>;

    /// Handles one record: emits it (once, or several times), emits nothing to drop it, or refuses.
    fn row(
        &mut self,
        row: <Self::Row as Row>::Of<'_>,
        out: &mut Rows<'_, Self::Row>,
    ) -> Result<(), Reject>;
}

/// Keeps, drops or rejects records, one at a time.
pub trait RowFilter: Sized + 'static {
    /// What the step's `config` is read into.
    type Config: DeserializeOwned;
    /// What a record looks like; only what is read matters.
    type Row: Row;

    /// What a job needs to know.
    fn descriptor() -> Descriptor;

    /// Opens the plugin.
    fn open(config: Self::Config, inputs: &mut Inputs) -> Result<Self, Failure>;

    /// Whether the record goes on.
    fn keep(&mut self, row: <Self::Row as Row>::Of<'_>) -> Result<bool, Reject>;
}

/// Where a row transformer puts its rows.
pub struct Rows<'b, R: Row> {
    bound: &'b R::Bound,
    builders: Vec<AnyBuilder>,
    origin: Vec<u32>,
    row: u32,
}

impl<R: Row> Rows<'_, R> {
    /// Lets a row go on.
    ///
    /// *Errors* – a reject when a value does not fit its column, for `?`.
    pub fn emit(&mut self, row: &R::Of<'_>) -> Result<(), Reject> {
        self.origin.push(self.row);
        R::write(self.bound, row, &mut self.builders)
    }
}

/// Runs a row plugin as a columnar one.
#[doc(hidden)]
pub struct ByRow<T: HasRow> {
    inner: T,
    bound: <T::Row as Row>::Bound,
    writes: Vec<(Write, Type)>,
}

#[doc(hidden)]
pub trait HasRow {
    type Row: Row;
}

/// A row transformer seen as a columnar one.
#[doc(hidden)]
pub struct Transforming<T>(T);

impl<T: RowTransformer> HasRow for Transforming<T> {
    type Row = T::Row;
}

/// A row filter seen as a columnar one.
#[doc(hidden)]
pub struct Filtering<T>(T);

impl<T: RowFilter> HasRow for Filtering<T> {
    type Row = T::Row;
}

impl<T: RowTransformer> Transformer for ByRow<Transforming<T>> {
    type Config = T::Config;

    fn descriptor() -> Descriptor {
        T::descriptor()
    }

    fn open(config: T::Config, plan: &mut Plan) -> Result<Self, Failure> {
        let inner = Transforming(T::open(config, plan)?);
        let bound = T::Row::bind(plan)?;
        let writes = T::Row::writes(&bound)
            .into_iter()
            .map(|write| (write, plan.slot(write).field.ty.clone()))
            .collect();
        Ok(ByRow {
            inner,
            bound,
            writes,
        })
    }

    fn apply(&mut self, batch: &Batch<'_>) -> Result<Output, Failure> {
        let ByRow {
            inner: Transforming(inner),
            bound,
            writes,
        } = self;
        let builders = writes.iter().map(|(_, ty)| {
            AnyBuilder::new(ty, batch.rows())
                .ok_or_else(|| Failure::schema(format!("cannot write columns of type {ty}")))
        });
        let mut out = Rows::<T::Row> {
            bound,
            builders: builders.collect::<Result<_, _>>()?,
            origin: Vec::new(),
            row: 0,
        };
        let mut rejects = Vec::new();
        for row in 0..batch.rows() {
            out.row = row as u32;
            let done =
                T::Row::read(bound, batch, row).and_then(|record| inner.row(record, &mut out));
            if let Err(reject) = done {
                rejects.push((row as u32, reject));
            }
        }
        let Rows {
            builders, origin, ..
        } = out;
        let is_in_place = origin.len() == batch.rows()
            && origin.iter().enumerate().all(|(i, row)| i as u32 == *row);
        let mut output = if is_in_place {
            Output::new()
        } else {
            Output::origin(origin)
        };
        for ((write, _), builder) in writes.iter().zip(builders) {
            output = output.set(*write, builder);
        }
        output.rejects = rejects;
        Ok(output)
    }
}

impl<T: RowFilter> Filter for ByRow<Filtering<T>> {
    type Config = T::Config;

    fn descriptor() -> Descriptor {
        T::descriptor()
    }

    fn open(config: T::Config, inputs: &mut Inputs) -> Result<Self, Failure> {
        let inner = Filtering(T::open(config, inputs)?);
        let bound = T::Row::bind(inputs)?;
        Ok(ByRow {
            inner,
            bound,
            writes: Vec::new(),
        })
    }

    fn keep(&mut self, batch: &Batch<'_>) -> Result<Verdict, Failure> {
        let mut verdict = Verdict::keep(Bits::with_capacity(batch.rows()));
        for row in 0..batch.rows() {
            let kept =
                T::Row::read(&self.bound, batch, row).and_then(|record| self.inner.0.keep(record));
            verdict.keep.push(*kept.as_ref().unwrap_or(&false));
            if let Err(reject) = kept {
                verdict.reject(row, reject);
            }
        }
        Ok(verdict)
    }
}

/// A value that does not fit its column.
pub(crate) fn misfit(name: &str, ty: &Type, value: &Value<'_>) -> Reject {
    Reject::new(
        "wrong-type",
        format!("`{name}` is of type {ty} and cannot hold {value:?}"),
    )
}
