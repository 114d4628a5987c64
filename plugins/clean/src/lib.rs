//! `clean`: e-mail addresses, phone numbers, names of people and countries.
//!
//! Works on the columns its config names, or on those it recognises by their names; everything
//! else passes through without crossing into the sandbox. A value that cannot be cleaned stays as
//! it was, unless `strict` refuses its record. The rules stand in README.md.

mod countries;
mod country;
mod email;
mod name;
mod phone;
mod recognise;
mod rule;

use dkhost_sdk::log::count;
use dkhost_sdk::{
    Batch, Descriptor, Edit, Failure, Output, Plan, Reject, TextBuilder, Transformer, Type,
};
use serde::Deserialize;

use crate::country::{Countries, Format};
use crate::recognise::Kind;
use crate::rule::{Outcome, Rule};

const CONFIG_SCHEMA: &str = include_str!("config.schema.json");

/// The step's `config`; see `config.schema.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    email: Option<Vec<String>>,
    phone: Option<Vec<String>>,
    name: Option<Vec<String>>,
    country: Option<Vec<String>>,
    country_code: Option<String>,
    country_format: Format,
    recognise: Option<bool>,
    strict: bool,
}

struct Clean {
    columns: Vec<Column>,
    strict: bool,
}

struct Column {
    edit: Edit,
    name: String,
    nullable: bool,
    rule: Rule,
}

impl Transformer for Clean {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new("clean", env!("CARGO_PKG_VERSION"))
            .summary("cleans e-mail addresses, phone numbers, names and countries")
            .config_schema(CONFIG_SCHEMA)
            .extra("license", env!("CARGO_PKG_LICENSE"))
    }

    fn open(config: Config, plan: &mut Plan) -> Result<Self, Failure> {
        let mut columns = Vec::new();
        for (index, kind) in choose(&config, plan)? {
            let field = plan.fields()[index].clone();
            let rule = match kind {
                Kind::Email => Rule::Email,
                Kind::Phone => Rule::Phone(config.country_code.clone()),
                Kind::Name => Rule::Name,
                Kind::Country => Rule::Country(Countries::new(config.country_format)),
            };
            let edit = plan.edit_at(index);
            columns.push(Column {
                edit,
                name: field.name,
                nullable: field.nullable,
                rule,
            });
        }
        Ok(Clean {
            columns,
            strict: config.strict,
        })
    }

    fn apply(&mut self, batch: &Batch<'_>) -> Result<Output, Failure> {
        let mut output = Output::new();
        for column in &self.columns {
            let values = batch.text(column.edit)?;
            let mut cleaned = TextBuilder::with_capacity(batch.rows(), values.len_bytes());
            let mut changed = 0;
            for (row, value) in values.iter().enumerate() {
                let Some(value) = value else {
                    cleaned.push_null();
                    continue;
                };
                let mut wrote = Wrote::Same;
                cleaned.write_option(|out| {
                    wrote = column.write(value, out);
                    wrote != Wrote::Null
                });
                match wrote {
                    Wrote::Same => {}
                    Wrote::Other | Wrote::Null => changed += 1,
                    Wrote::Wrong(why) if self.strict => output.reject(row, column.reject(why)),
                    Wrote::Wrong(_) => {}
                }
            }
            count(column.rule.counter(), changed);
            output = if changed == 0 {
                output.unchanged(column.edit)
            } else {
                output.set(column.edit, cleaned)
            };
        }
        Ok(output)
    }
}

/// What became of a value.
#[derive(Clone, Copy, PartialEq)]
enum Wrote {
    /// It is as it was.
    Same,
    /// It is clean now.
    Other,
    /// Nothing was left of it.
    Null,
    /// It is as it was, because it cannot be cleaned.
    Wrong(&'static str),
}

impl Column {
    /// Appends what `value` should be to `out`, which holds the rows before it.
    #[inline]
    fn write(&self, value: &str, out: &mut String) -> Wrote {
        let start = out.len();
        match self.rule.clean(value, out) {
            Outcome::Same => {
                out.push_str(value);
                Wrote::Same
            }
            Outcome::Clean if out[start..] == *value => Wrote::Same,
            Outcome::Clean => Wrote::Other,
            Outcome::Empty if self.nullable => Wrote::Null,
            Outcome::Empty => {
                out.truncate(start);
                if value.is_empty() {
                    Wrote::Same
                } else {
                    Wrote::Other
                }
            }
            Outcome::Invalid(why) => {
                out.truncate(start);
                out.push_str(value);
                Wrote::Wrong(why)
            }
        }
    }

    fn reject(&self, why: &str) -> Reject {
        let message = format!("`{}` cannot be cleaned: {why}", self.name);
        Reject::new(self.rule.code(), message).column(self.edit)
    }
}

/// The columns to clean, by index: those the config names, and of the kinds it does not name those
/// that are recognised.
fn choose(config: &Config, plan: &Plan) -> Result<Vec<(usize, Kind)>, Failure> {
    let mut chosen: Vec<(usize, Kind)> = Vec::new();
    let named = [
        (Kind::Email, &config.email),
        (Kind::Phone, &config.phone),
        (Kind::Name, &config.name),
        (Kind::Country, &config.country),
    ];
    for (kind, columns) in &named {
        for (place, name) in columns.iter().flatten().enumerate() {
            let index = plan.index(name)?;
            let at = format!("/{}/{place}", kind.word());
            if !matches!(plan.fields()[index].ty, Type::Utf8) {
                let ty = &plan.fields()[index].ty;
                return Err(Failure::config(format!(
                    "`{name}` is of type {ty}, and only text can be cleaned"
                ))
                .at(at));
            }
            if chosen.iter().any(|(other, _)| *other == index) {
                return Err(Failure::config(format!("`{name}` is named twice")).at(at));
            }
            chosen.push((index, *kind));
        }
    }
    if config.recognise == Some(false) {
        return Ok(chosen);
    }
    for (index, field) in plan.fields().iter().enumerate() {
        // A key is what other stores refer to: it is only changed when it is named.
        let is_free =
            matches!(field.ty, Type::Utf8) && !field.is_reserved() && field.hint("key").is_none();
        let Some(kind) = Kind::of_column(&field.name).filter(|_| is_free) else {
            continue;
        };
        let is_named = named
            .iter()
            .any(|(other, columns)| *other == kind && columns.is_some());
        if !is_named && !chosen.iter().any(|(other, _)| *other == index) {
            chosen.push((index, kind));
        }
    }
    Ok(chosen)
}

dkhost_sdk::export! { transformers: [Clean] }
