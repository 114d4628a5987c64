//! `without-personal-data`: leaves out records.

use dkhost_sdk::{Batch, Bits, Descriptor, Failure, Filter, Inputs, Read, Type, Verdict};
use serde::Deserialize;

use crate::find::{Kind, next};

const CONFIG_SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "columns": { "type": "array", "items": { "type": "string" }, "description": "where to look; every text column without it" },
        "kinds": {
            "type": "array",
            "items": { "enum": ["email", "card", "iban", "phone"] },
            "description": "what to look for; everything without it"
        }
    },
    "additionalProperties": false
}"#;

/// The step's `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    columns: Option<Vec<String>>,
    kinds: Option<Vec<Kind>>,
}

pub(crate) struct WithoutPersonalData {
    columns: Vec<Read>,
    kinds: Option<Vec<Kind>>,
}

impl Filter for WithoutPersonalData {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new("without-personal-data", env!("CARGO_PKG_VERSION"))
            .summary("leaves out the records whose text holds personal data")
            .config_schema(CONFIG_SCHEMA)
            .extra("license", env!("CARGO_PKG_LICENSE"))
    }

    fn open(config: Config, inputs: &mut Inputs) -> Result<Self, Failure> {
        let mut columns = Vec::new();
        match config.columns {
            Some(names) => {
                for (place, name) in names.iter().enumerate() {
                    let read = inputs.read(name)?;
                    let ty = &inputs.field(read).ty;
                    if !ty.is_text() {
                        let why =
                            format!("`{name}` is of type {ty}, and only text can be searched");
                        return Err(Failure::config(why).at(format!("/columns/{place}")));
                    }
                    columns.push(read);
                }
            }
            None => {
                for index in 0..inputs.fields().len() {
                    if matches!(inputs.fields()[index].ty, Type::Utf8)
                        && !inputs.fields()[index].is_reserved()
                    {
                        columns.push(inputs.read_at(index));
                    }
                }
            }
        }
        Ok(WithoutPersonalData {
            columns,
            kinds: config.kinds,
        })
    }

    fn keep(&mut self, batch: &Batch<'_>) -> Result<Verdict, Failure> {
        let mut keep = Bits::filled(batch.rows(), true);
        for column in &self.columns {
            let values = batch.text(*column)?;
            for row in 0..batch.rows() {
                if values.get(row).is_some_and(|value| self.is_personal(value)) {
                    keep.set(row, false);
                }
            }
        }
        Ok(Verdict::keep(keep))
    }
}

impl WithoutPersonalData {
    fn is_personal(&self, value: &str) -> bool {
        let mut at = 0;
        while let Some((kind, range)) = next(value, at) {
            if self
                .kinds
                .as_ref()
                .is_none_or(|kinds| kinds.contains(&kind))
            {
                return true;
            }
            at = range.end;
        }
        false
    }
}
