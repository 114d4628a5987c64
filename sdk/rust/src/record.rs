//! A record whose fields are known only at run time: read and edited by name.

use std::rc::Rc;

use crate::builder::AnyBuilder;
use crate::errors::{Failure, Reject};
use crate::plan::{Read, Write};
use crate::rows::{Columns, Row, misfit};
use crate::types::Type;
use crate::value::Value;
use crate::view::Batch;

/// One record; its fields are what the plan reads and writes.
///
/// ```
/// # use dkhost_sdk::{Record, Reject};
/// fn tidy(record: &mut Record<'_>) -> Result<(), Reject> {
///     if let Some(email) = record.text("email") {
///         let email = email.trim().to_lowercase();
///         record.set("email", email)?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Record<'a> {
    names: Rc<[Slot]>,
    values: Vec<Value<'a>>,
}

#[derive(Debug)]
struct Slot {
    name: String,
    ty: Type,
    read: Option<Read>,
    write: Option<Write>,
}

impl<'a> Record<'a> {
    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|slot| slot.name == name)
    }

    /// The value of a field; `None` when there is no such field, [`Value::Null`] when it is empty.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.place(name).map(|place| &self.values[place])
    }

    /// The text of a field, if it has some.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Changes a field.
    ///
    /// *Errors* – a reject, for `?`: when there is no such field, or the plan does not write it.
    pub fn set(&mut self, name: &str, value: impl Into<Value<'a>>) -> Result<(), Reject> {
        match self.place(name) {
            Some(place) if self.names[place].write.is_some() => {
                self.values[place] = value.into();
                Ok(())
            }
            Some(_) => Err(Reject::new(
                "read-only",
                format!("`{name}` is only read; say `plan.edit(\"{name}\")`"),
            )),
            None => Err(Reject::new(
                "unknown-field",
                format!("there is no field `{name}`"),
            )),
        }
    }

    /// Names and values, in the order of the columns.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.names
            .iter()
            .map(|slot| slot.name.as_str())
            .zip(&self.values)
    }
}

impl Row for Record<'static> {
    type Of<'a> = Record<'a>;
    type Bound = RecordBound;

    fn bind(columns: &mut dyn Columns) -> Result<RecordBound, Failure> {
        let mut slots = Vec::new();
        match columns.plan() {
            Some(plan) => {
                if plan.is_untouched() {
                    let data: Vec<usize> = (0..plan.fields().len())
                        .filter(|i| {
                            !plan.fields()[*i].is_reserved()
                                && !matches!(plan.fields()[*i].ty, Type::Other(_))
                        })
                        .collect();
                    data.into_iter().for_each(|index| {
                        plan.edit_at(index);
                    });
                }
                for (read, index) in plan.reads.iter().enumerate() {
                    let field = &plan.fields()[*index];
                    slots.push(Slot {
                        name: field.name.clone(),
                        ty: field.ty.clone(),
                        read: Some(Read(read)),
                        write: None,
                    });
                }
                let written: Vec<_> = plan.outputs().filter(|(_, slot)| slot.computed).collect();
                for (write, planned) in written {
                    let name = planned
                        .from
                        .map_or(&planned.field.name, |from| &plan.fields()[from].name);
                    match slots.iter_mut().find(|slot| slot.name == *name) {
                        Some(slot) => {
                            (slot.ty, slot.write) = (planned.field.ty.clone(), Some(Write(write)))
                        }
                        None => {
                            let ty = planned.field.ty.clone();
                            slots.push(Slot {
                                name: name.clone(),
                                ty,
                                read: None,
                                write: Some(Write(write)),
                            });
                        }
                    }
                }
            }
            None => {
                let inputs = columns.inputs();
                if inputs.reads.is_empty() {
                    for index in 0..inputs.fields().len() {
                        inputs.read_at(index);
                    }
                }
                for (read, index) in inputs.reads.iter().enumerate() {
                    let field = &inputs.fields()[*index];
                    slots.push(Slot {
                        name: field.name.clone(),
                        ty: field.ty.clone(),
                        read: Some(Read(read)),
                        write: None,
                    });
                }
            }
        }
        Ok(RecordBound(slots.into()))
    }

    fn read<'a>(bound: &RecordBound, batch: &Batch<'a>, row: usize) -> Result<Record<'a>, Reject> {
        let values = bound.0.iter().map(|slot| {
            slot.read
                .map_or(Value::Null, |read| batch.view(read).get(row))
        });
        Ok(Record {
            names: bound.0.clone(),
            values: values.collect(),
        })
    }

    fn write(
        bound: &RecordBound,
        row: &Record<'_>,
        builders: &mut [AnyBuilder],
    ) -> Result<(), Reject> {
        let written = bound
            .0
            .iter()
            .zip(&row.values)
            .filter(|(slot, _)| slot.write.is_some());
        let mut misfits = Ok(());
        for ((slot, value), builder) in written.zip(builders) {
            // Every builder gets its row, also after a misfit: the host takes the row out.
            if !builder.push(value) && misfits.is_ok() {
                let reject = misfit(&slot.name, &slot.ty, value);
                misfits = Err(match slot.read {
                    Some(read) => reject.column(read),
                    None => reject,
                });
            }
        }
        misfits
    }

    fn writes(bound: &RecordBound) -> Vec<Write> {
        bound.0.iter().filter_map(|slot| slot.write).collect()
    }
}

/// Where a [`Record`]'s fields lie.
#[derive(Debug)]
pub struct RecordBound(Rc<[Slot]>);
