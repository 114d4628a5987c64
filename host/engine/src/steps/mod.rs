//! The built-in steps: each a verb of the job file, bound to a schema when planning.
//!
//! A step knows its output schema, the columns whose values it looks at, and the columns it only
//! carries; the engine follows the rest of a document by these ([`rest`]). At work it is a
//! function of a batch without state, so a batch that is repeated comes out the same; but the rule
//! `unique` remembers the values of a run ([`Step::remembers`]).
//!
//! | verb | what happens to the reserved columns and the key |
//! |---|---|
//! | `rename` | may rename them; role, key and nullability stay |
//! | `set` | the id may be set, to text; meta and rest are refused; a key column that is set stays key |
//! | `apply` | as `set`, value by value |
//! | `drop` | drops what it names, reserved columns too |
//! | `keep` | id, meta and rest stay; of the rest only what belongs to kept columns |
//! | `filter` | nothing |
//! | `validate` | looks through the rest; the key is the version's, if it has one |
//! | `migrate` | the version goes into meta, and fields of the rest into columns; the key is the version's |

mod apply;
mod assign;
mod behind;
mod built_in;
mod filter;
pub mod migrate;
mod project;
mod rename;
pub mod rest;
mod set;
pub mod validate;

#[cfg(test)]
mod real_data;
#[cfg(test)]
pub(crate) mod testing;

use dkhost_core::error::nearest;
use dkhost_core::{Error, Node, NodeKind, OptionSpec, OptionType, Result, Span, Step};

use crate::expr::names::missing_field;
use crate::expr::{Expression, Scope};

pub use apply::{APPLY_VERBS, ApplyVerb};

/// The verbs of this module, for help and JSON Schema. `plugin`, which is no built-in step, is not
/// among them.
pub const VERBS: &[OptionSpec] = &[
    OptionSpec::optional(
        "rename",
        OptionType::TextTable,
        "new names for columns: { old = \"new\" }; all at once, so two can be swapped",
    ),
    OptionSpec::optional(
        "set",
        OptionType::TextTable,
        "columns computed by SQL expressions: { column = \"expression\" }; each sees the step's input; new columns come last",
    ),
    OptionSpec::optional(
        "apply",
        OptionType::Table,
        "one or more changes to the values of a column: { column = \"lowercase\" }, a list of them, or { verb = arguments }",
    ),
    OptionSpec::optional("drop", OptionType::TextList, "columns that do not go on"),
    OptionSpec::optional(
        "keep",
        OptionType::TextList,
        "the only columns that go on, in this order; the record's id and metadata go on, too",
    ),
    OptionSpec::optional(
        "filter",
        OptionType::Text,
        "a SQL condition; records for which it is false or null do not go on",
    ),
];

/// Binds a step to its input; the rest of documents follows it.
///
/// *Shape* – `node` is the value of `verb` in the job file, places included; every error points
/// into it.
/// *Errors* – class `Config`: `plan::unknown_field` and `plan::unknown_verb` name the nearest,
/// `plan::name_taken`, `plan::nothing_left`, `job::wrong_type`, and those of
/// [`crate::expr::Expression::parse`].
pub fn build(verb: &str, node: &Node, scope: &Scope) -> Result<Box<dyn Step>> {
    let step = match verb {
        "rename" => rename::build(node, scope)?,
        "set" => set::build(node, scope)?,
        "apply" => apply::build(node, scope)?,
        "drop" => project::drop(node, scope)?,
        "keep" => project::keep(node, scope)?,
        "filter" => filter::build(node, scope)?,
        other => {
            let error = Error::config("plan::unknown_verb", format!("there is no step `{other}`"));
            let label = match nearest(other, VERBS.iter().map(|verb| verb.name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "not a step".to_owned(),
            };
            return Err(error.at(node.span.clone(), label));
        }
    };
    Ok(rest::following(step, scope.input))
}

/// The step `filter` of a condition that is bound to the scope's columns.
pub fn holds(condition: Expression, scope: &Scope) -> Box<dyn Step> {
    rest::following(filter::holds(condition, scope), scope.input)
}

/// Index of the column called `name` at `span`.
fn index_of(name: &str, span: &Span, scope: &Scope) -> Result<usize> {
    scope.input.index_of(name).ok_or_else(|| {
        let label = match nearest(name, scope.input.names()) {
            Some(near) => format!("not there; did you mean `{near}`?"),
            None => "no such field".to_owned(),
        };
        missing_field(&scope.reader, name, scope.input).at(span.clone(), label)
    })
}

/// The entries of a table: column, place of its name, value.
fn entries<'a>(node: &'a Node, what: &str) -> Result<&'a [(String, Span, Node)]> {
    match &node.kind {
        NodeKind::Table(entries) => Ok(entries),
        _ => Err(
            Error::config("job::wrong_type", format!("{what} must be a table"))
                .at(node.span.clone(), format!("this is {}", node.what())),
        ),
    }
}

/// The text of a value.
fn text<'a>(node: &'a Node, what: &str) -> Result<&'a str> {
    match &node.kind {
        NodeKind::Text(text) => Ok(text),
        _ => Err(
            Error::config("job::wrong_type", format!("{what} must be text"))
                .at(node.span.clone(), format!("this is {}", node.what())),
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::steps::testing::{input, refused};

    #[test]
    fn an_unknown_verb_names_the_nearest() {
        let schema = input(&[("a", "utf8")]);
        let error = refused("fliter", serde_json::json!("a = 'b'"), &schema);
        assert_eq!(error.place().unwrap().1, "did you mean `filter`?");
    }
}
