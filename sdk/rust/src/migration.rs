//! Custom migrations: one step of a schema's history, up and down.

use serde::de::IgnoredAny;

use crate::errors::Failure;
use crate::plan::Plan;
use crate::plugin::{Descriptor, Output, Transformer};
use crate::rows::{ByRow, Transforming};
use crate::view::Batch;

/// One step of a schema's history, both ways.
///
/// Either way is a [`Transformer`], in row style a [`PerRow`]; the descriptor of the way up is the
/// plugin's. A job takes the migration by its schema and versions: `migrate = { schema = "user", to =
/// "2.0.0" }`, with the component given by `--plugin`. The records that come in are of the one
/// version, and those that go out must be of the other; the host checks both. Of documents, a null in
/// a field that is added means that the field is not there; a hint `null` of the field says otherwise.
///
/// ```
/// use dkhost_sdk::{Batch, Descriptor, Edit, Failure, Migration, NoConfig, Output, Plan, TextBuilder, Transformer};
///
/// struct LowerEmails;
///
/// impl Migration for LowerEmails {
///     const SCHEMA: &'static str = "user";
///     const FROM: &'static str = "1.0.0";
///     const TO: &'static str = "1.1.0";
///     const LOSSLESS: bool = false;
///     type Up = Lower;
///     type Down = dkhost_sdk::Irreversible;
/// }
///
/// struct Lower { email: Edit }
///
/// impl Transformer for Lower {
///     type Config = NoConfig;
///
///     fn descriptor() -> Descriptor {
///         Descriptor::new("lower-emails", "0.1.0").summary("e-mail addresses in lower case")
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
///
/// dkhost_sdk::export! { migrations: [LowerEmails] }
/// # fn main() {}
/// ```
pub trait Migration: 'static {
    /// The schema's name.
    const SCHEMA: &'static str;
    /// The older version, semantic: `1.0.0`.
    const FROM: &'static str;
    /// The newer version.
    const TO: &'static str;
    /// Whether down after up gives every record back. `dkhost plugin test` sees whether it does.
    const LOSSLESS: bool;
    /// The way up; its descriptor is the plugin's.
    type Up: Transformer;
    /// The way down, with the same configuration; [`Irreversible`] where there is none.
    type Down: Transformer;
}

/// A way of a migration in row style.
pub type PerRow<T> = ByRow<Transforming<T>>;

/// The way down of a migration that has none.
pub enum Irreversible {}

impl Transformer for Irreversible {
    type Config = IgnoredAny;

    fn descriptor() -> Descriptor {
        Descriptor::new("irreversible", "0.0.0")
    }

    fn open(_: IgnoredAny, _: &mut Plan) -> Result<Self, Failure> {
        Err(Failure::config("there is no way down"))
    }

    fn apply(&mut self, _: &Batch<'_>) -> Result<Output, Failure> {
        match *self {}
    }
}
