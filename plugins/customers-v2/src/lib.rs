//! `customers-v2`: the schema `customers` from 1.0.0 to 2.0.0, and back.
//!
//! Up, `name` becomes `first_name` and `last_name`, and `age` is computed from `birthdate`. Down, the
//! name is put together again. What the two parts do not say – spaces, an empty name – is kept in
//! `full_name`, so that every record comes back as it was.

mod age;
mod name;

use dkhost_sdk::{
    Descriptor, Failure, Migration, PerRow, Plan, Read, Reject, Row, RowTransformer, Rows,
};
use serde::Deserialize;

use crate::age::{Birthdate, Day};

/// From 1.0.0 to 2.0.0.
struct SplitNames;

impl Migration for SplitNames {
    const SCHEMA: &'static str = "customers";
    const FROM: &'static str = "1.0.0";
    const TO: &'static str = "2.0.0";
    const LOSSLESS: bool = true;
    type Up = PerRow<Split>;
    type Down = PerRow<Join>;
}

/// The component's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The day on which people have the age that is computed. A plugin has no clock, and the same
    /// records must always come out the same.
    today: Day,
}

fn descriptor() -> Descriptor {
    Descriptor::new("customers-v2", env!("CARGO_PKG_VERSION"))
        .summary("splits names, computes ages")
        .config_schema(include_str!("config.schema.json"))
        .extra("license", env!("CARGO_PKG_LICENSE"))
}

/// The way up.
struct Split {
    today: Day,
    birthdate: Read,
}

#[derive(Row)]
struct Customer<'a> {
    name: Option<&'a str>,
    birthdate: Option<Birthdate<'a>>,
    #[row(add)]
    first_name: Option<String>,
    #[row(add)]
    last_name: Option<String>,
    #[row(add)]
    full_name: Option<String>,
    #[row(add)]
    age: Option<i64>,
}

impl RowTransformer for Split {
    type Config = Config;
    type Row = Customer<'static>;

    fn descriptor() -> Descriptor {
        descriptor()
    }

    fn open(config: Config, plan: &mut Plan) -> Result<Self, Failure> {
        plan.drop("name")?;
        Ok(Split {
            today: config.today,
            birthdate: plan.read("birthdate")?,
        })
    }

    fn row(
        &mut self,
        mut customer: Customer<'_>,
        out: &mut Rows<'_, Customer<'static>>,
    ) -> Result<(), Reject> {
        let parts = name::split(customer.name);
        customer.age = match customer.birthdate {
            None => None,
            Some(birthdate) => Some(self.age(birthdate)?),
        };
        customer.first_name = parts.first;
        customer.last_name = parts.last;
        customer.full_name = parts.full;
        out.emit(&customer)
    }
}

impl Split {
    fn age(&self, birthdate: Birthdate<'_>) -> Result<i64, Reject> {
        let refuse = |code, why| Reject::new(code, why).column(self.birthdate);
        let born = birthdate
            .day()
            .ok_or_else(|| refuse("no-date", "the birthdate is no day like 1815-12-10"))?;
        match born > self.today {
            true => Err(refuse("not-born-yet", "the birthdate is after `today`")),
            false => Ok(born.years_until(self.today)),
        }
    }
}

/// The way down.
struct Join;

#[derive(Row)]
struct Named<'a> {
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    full_name: Option<&'a str>,
    #[row(add)]
    name: Option<String>,
}

impl RowTransformer for Join {
    type Config = Config;
    type Row = Named<'static>;

    fn descriptor() -> Descriptor {
        descriptor()
    }

    fn open(_: Config, plan: &mut Plan) -> Result<Self, Failure> {
        for gone in ["first_name", "last_name", "full_name", "age"] {
            plan.drop(gone)?;
        }
        Ok(Join)
    }

    fn row(
        &mut self,
        mut named: Named<'_>,
        out: &mut Rows<'_, Named<'static>>,
    ) -> Result<(), Reject> {
        named.name = name::restore(named.first_name, named.last_name, named.full_name);
        out.emit(&named)
    }
}

dkhost_sdk::export! { migrations: [SplitNames] }
