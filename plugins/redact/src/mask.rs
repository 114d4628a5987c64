//! `redact`: masks values.

use std::collections::BTreeMap;

use dkhost_sdk::log::count;
use dkhost_sdk::{
    AnyBuilder, Batch, Descriptor, Edit, Failure, Output, Plan, TextBuilder, Transformer, Type,
    Value, Write,
};
use serde::Deserialize;

use crate::find::next;

const CONFIG_SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "columns": {
            "type": "object",
            "description": "how each column is masked; without it, `find` in every text column",
            "additionalProperties": { "enum": ["null", "fixed", "last4", "email", "find"] }
        },
        "text": { "type": "string", "default": "***", "description": "what `fixed` writes" }
    },
    "additionalProperties": false
}"#;

/// The step's `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    columns: Option<BTreeMap<String, Method>>,
    #[serde(default = "stars")]
    text: String,
}

fn stars() -> String {
    "***".into()
}

/// How a column is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Method {
    /// Nothing is left, of any type. The value never enters the sandbox.
    Null,
    /// The same text in every row. The value never enters the sandbox.
    Fixed,
    /// Only the last four letters or digits stay.
    Last4,
    /// The first letter and the domain stay.
    Email,
    /// Personal data inside the text is replaced by what it is.
    Find,
}

pub(crate) struct Redact {
    blind: Vec<(Write, Type, Value<'static>)>,
    seeing: Vec<(Edit, Method)>,
}

impl Transformer for Redact {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new("redact", env!("CARGO_PKG_VERSION"))
            .summary(
                "masks personal data in the columns it is told, or finds it in every text column",
            )
            .config_schema(CONFIG_SCHEMA)
            .extra("license", env!("CARGO_PKG_LICENSE"))
    }

    fn open(config: Config, plan: &mut Plan) -> Result<Self, Failure> {
        let Config { columns, text } = config;
        let mut redact = Redact {
            blind: Vec::new(),
            seeing: Vec::new(),
        };
        let Some(columns) = columns else {
            for index in 0..plan.fields().len() {
                let field = &plan.fields()[index];
                if matches!(field.ty, Type::Utf8)
                    && !field.is_reserved()
                    && field.hint("key").is_none()
                {
                    redact.seeing.push((plan.edit_at(index), Method::Find));
                }
            }
            return Ok(redact);
        };
        for (name, method) in columns {
            let field = plan.fields()[plan.index(&name)?].clone();
            if method != Method::Null && !matches!(field.ty, Type::Utf8) {
                let why = format!(
                    "`{name}` is of type {}, and only text can be masked; `null` empties any column",
                    field.ty
                );
                return Err(Failure::config(why).at(format!("/columns/{name}")));
            }
            match method {
                Method::Null => {
                    let write = plan.overwrite(&name)?;
                    plan.field_mut(write).nullable = true;
                    redact.blind.push((write, field.ty, Value::Null));
                }
                Method::Fixed => {
                    redact
                        .blind
                        .push((plan.overwrite(&name)?, field.ty, text.clone().into()))
                }
                _ => redact.seeing.push((plan.edit(&name)?, method)),
            }
        }
        Ok(redact)
    }

    fn apply(&mut self, batch: &Batch<'_>) -> Result<Output, Failure> {
        let mut output = Output::new();
        for (write, ty, value) in &self.blind {
            let mut same = AnyBuilder::new(ty, batch.rows())
                .ok_or_else(|| Failure::schema(format!("columns of type {ty} cannot be masked")))?;
            for _ in 0..batch.rows() {
                same.push(value);
            }
            output = output.set(*write, same);
        }
        for (edit, method) in &self.seeing {
            let values = batch.text(*edit)?;
            let mut masked = TextBuilder::with_capacity(batch.rows(), batch.rows() * 24);
            let mut finds = 0;
            for row in 0..batch.rows() {
                match (values.get(row), method) {
                    (None, _) => masked.push_null(),
                    (Some(value), Method::Last4) => masked.write(|text| last4(value, text)),
                    (Some(value), Method::Email) => masked.write(|text| email(value, text)),
                    (Some(value), _) => masked.write(|text| finds += find(value, text)),
                }
            }
            count("found", finds);
            output = match (method, finds) {
                (Method::Find, 0) => output.unchanged(*edit),
                _ => output.set(*edit, masked),
            };
        }
        Ok(output)
    }
}

/// `4111 1111 1111 1234` → `**** **** **** 1234`.
fn last4(value: &str, out: &mut String) {
    let letters = value.chars().filter(|c| c.is_alphanumeric()).count();
    let mut left = letters;
    for c in value.chars() {
        let stays = !c.is_alphanumeric() || (left <= 4 && letters > 4);
        out.push(if stays { c } else { '*' });
        left -= usize::from(c.is_alphanumeric());
    }
}

/// `ada@example.org` → `a***@example.org`.
fn email(value: &str, out: &mut String) {
    let Some((local, domain)) = value.rsplit_once('@') else {
        return out.push_str("***");
    };
    out.extend(local.chars().next());
    out.push_str("***@");
    out.push_str(domain);
}

/// Replaces personal data by its mark; returns how often.
fn find(value: &str, out: &mut String) -> u64 {
    let (mut at, mut finds) = (0, 0);
    while let Some((kind, range)) = next(value, at) {
        out.push_str(&value[at..range.start]);
        out.push_str(kind.mark());
        at = range.end;
        finds += 1;
    }
    out.push_str(&value[at..]);
    finds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(mask: impl Fn(&str, &mut String), value: &str) -> String {
        let mut out = String::new();
        mask(value, &mut out);
        out
    }

    #[test]
    fn masks_leave_only_what_they_say() {
        assert_eq!(masked(last4, "4111 1111 1111 1234"), "**** **** **** 1234");
        assert_eq!(masked(last4, "1234"), "****");
        assert_eq!(masked(email, "ada@example.org"), "a***@example.org");
        assert_eq!(masked(email, "ada"), "***");
        assert_eq!(
            masked(
                |v, o| {
                    find(v, o);
                },
                "ada@example.org, +49 30 1234567!"
            ),
            "[email], [phone]!"
        );
    }
}
