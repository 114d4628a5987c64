//! What a plugin will do with its input: which columns it reads, changes, adds, renames or drops.
//!
//! A plan starts as "carry everything, read nothing". Columns that are only carried never cross
//! the boundary, so a plugin that touches 3 of 50 columns pays for 3. The handles a plan gives out
//! ([`Read`], [`Write`], [`Edit`]) are what [`crate::Batch`] and [`crate::Output`] take.

use std::ops::{Deref, DerefMut};

use crate::errors::Failure;
use crate::types::{Field, Type};

/// A column that is sent to the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read(pub(crate) usize);

/// A column that the plugin computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write(pub(crate) usize);

/// A column that is read and computed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    /// Its old values.
    pub read: Read,
    /// Its new ones.
    pub write: Write,
}

impl From<Edit> for Read {
    fn from(edit: Edit) -> Read {
        edit.read
    }
}

impl From<Edit> for Write {
    fn from(edit: Edit) -> Write {
        edit.write
    }
}

/// The input's columns, and which of them are read. All a filter needs.
#[derive(Debug, Clone)]
pub struct Inputs {
    fields: Vec<Field>,
    pub(crate) reads: Vec<usize>,
    extra: Vec<(String, String)>,
}

impl Inputs {
    pub(crate) fn new(fields: Vec<Field>, extra: Vec<(String, String)>) -> Self {
        Inputs {
            fields,
            reads: Vec::new(),
            extra,
        }
    }

    /// The columns of the input, reserved ones included.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The step's name in the job.
    pub fn stage(&self) -> &str {
        self.extra
            .iter()
            .find(|(name, _)| name == "stage")
            .map_or("", |(_, value)| value)
    }

    /// The index of the column called `name`.
    ///
    /// *Errors* – a schema failure that names the columns there are.
    pub fn index(&self, name: &str) -> Result<usize, Failure> {
        self.fields
            .iter()
            .position(|field| field.name == name)
            .ok_or_else(|| {
                let known: Vec<&str> = self
                    .fields
                    .iter()
                    .filter(|f| !f.is_reserved())
                    .map(|f| f.name.as_str())
                    .collect();
                Failure::schema(format!(
                    "there is no column `{name}`; there are {}",
                    known.join(", ")
                ))
                .at(name)
            })
    }

    /// Reads the column called `name`.
    pub fn read(&mut self, name: &str) -> Result<Read, Failure> {
        Ok(self.read_at(self.index(name)?))
    }

    /// Reads a column by its index; asking twice gives the same handle.
    pub fn read_at(&mut self, index: usize) -> Read {
        let place = self
            .reads
            .iter()
            .position(|read| *read == index)
            .unwrap_or_else(|| {
                self.reads.push(index);
                self.reads.len() - 1
            });
        Read(place)
    }

    /// The field behind a handle.
    pub fn field(&self, read: impl Into<Read>) -> &Field {
        &self.fields[self.reads[read.into().0]]
    }

    pub(crate) fn types(&self) -> Vec<Type> {
        self.reads
            .iter()
            .map(|read| self.fields[*read].ty.clone())
            .collect()
    }

    pub(crate) fn raw_reads(&self) -> Vec<u32> {
        self.reads.iter().map(|read| *read as u32).collect()
    }
}

/// What a transformer does with its columns. Derefs to [`Inputs`] for reading.
///
/// ```
/// # use dkhost_sdk::{Failure, Field, Plan, Type};
/// # fn open(plan: &mut Plan) -> Result<(), Failure> {
/// let email = plan.edit("email")?;                             // read and changed
/// let status = plan.read("status")?;                           // read only
/// let domain = plan.add(Field::new("domain", Type::Utf8))?;    // new
/// plan.rename("fullname", "name")?;
/// plan.drop("password")?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Plan {
    inputs: Inputs,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) field: Field,
    /// The input column it comes from.
    pub(crate) from: Option<usize>,
    pub(crate) computed: bool,
    pub(crate) dropped: bool,
}

impl Deref for Plan {
    type Target = Inputs;
    fn deref(&self) -> &Inputs {
        &self.inputs
    }
}

impl DerefMut for Plan {
    fn deref_mut(&mut self) -> &mut Inputs {
        &mut self.inputs
    }
}

impl Plan {
    pub(crate) fn new(inputs: Inputs) -> Self {
        let slots = inputs.fields.iter().enumerate().map(|(i, field)| Slot {
            field: field.clone(),
            from: Some(i),
            computed: false,
            dropped: false,
        });
        Plan {
            slots: slots.collect(),
            inputs,
        }
    }

    /// Reads a column and computes it anew, with the same type.
    pub fn edit(&mut self, name: &str) -> Result<Edit, Failure> {
        let index = self.index(name)?;
        Ok(self.edit_at(index))
    }

    /// The same by index.
    pub fn edit_at(&mut self, index: usize) -> Edit {
        Edit {
            read: self.read_at(index),
            write: self.write_at(index),
        }
    }

    /// Reads a column and computes it anew with another type.
    pub fn retype(&mut self, name: &str, ty: Type) -> Result<Edit, Failure> {
        let edit = self.edit(name)?;
        self.slots[edit.write.0].field.ty = ty;
        Ok(edit)
    }

    /// Computes a column anew without reading it.
    pub fn overwrite(&mut self, name: &str) -> Result<Write, Failure> {
        let index = self.index(name)?;
        Ok(self.write_at(index))
    }

    /// The same by index.
    pub fn write_at(&mut self, index: usize) -> Write {
        self.slots[index].computed = true;
        Write(index)
    }

    /// Adds a column.
    ///
    /// *Errors* – a schema failure when there is one of that name.
    pub fn add(&mut self, field: Field) -> Result<Write, Failure> {
        self.check_free(&field.name)?;
        self.slots.push(Slot {
            field,
            from: None,
            computed: true,
            dropped: false,
        });
        Ok(Write(self.slots.len() - 1))
    }

    /// Gives a column another name; its values are carried.
    pub fn rename(&mut self, name: &str, to: &str) -> Result<(), Failure> {
        let index = self.index(name)?;
        if name != to {
            self.check_free(to)?;
        }
        self.slots[index].field.name = to.to_owned();
        Ok(())
    }

    /// Leaves a column out.
    pub fn drop(&mut self, name: &str) -> Result<(), Failure> {
        let index = self.index(name)?;
        self.slots[index].dropped = true;
        Ok(())
    }

    /// The field a handle computes, to change whether it may be null, or its hints.
    pub fn field_mut(&mut self, write: impl Into<Write>) -> &mut Field {
        &mut self.slots[write.into().0].field
    }

    /// Of documents, where fields may be missing, the fields that are added may be missing too: a null
    /// in them means that there is none, as it does in the others.
    pub(crate) fn added_may_be_absent(&mut self) {
        let absent = |field: &Field| !field.is_reserved() && field.hint("null") == Some("absent");
        let has_rest = |field: &Field| field.hint("role") == Some("rest");
        let fields = &self.inputs.fields;
        if !fields.iter().any(has_rest) || !fields.iter().any(absent) {
            return;
        }
        let added = self.slots.iter_mut().filter(|slot| slot.from.is_none());
        for Slot { field, .. } in added {
            if field.nullable && !field.is_reserved() && field.hint("null").is_none() {
                field.hints.push(("null".into(), "absent".into()));
            }
        }
    }

    fn check_free(&self, name: &str) -> Result<(), Failure> {
        match self
            .slots
            .iter()
            .any(|slot| !slot.dropped && slot.field.name == name)
        {
            true => Err(Failure::schema(format!("there is a column `{name}` already")).at(name)),
            false => Ok(()),
        }
    }

    /// The columns that come out, with their slots, in order.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| !slot.dropped)
    }

    pub(crate) fn slot(&self, write: Write) -> &Slot {
        &self.slots[write.0]
    }

    /// (input column, output column) of everything that is only carried.
    pub(crate) fn carries(&self) -> Vec<(u32, u32)> {
        let outputs = self.outputs().enumerate();
        outputs
            .filter(|(_, (_, slot))| !slot.computed)
            .filter_map(|(to, (_, slot))| Some((slot.from? as u32, to as u32)))
            .collect()
    }

    /// Whether nothing was declared yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.inputs.reads.is_empty() && self.slots.iter().all(|slot| !slot.computed)
    }
}
