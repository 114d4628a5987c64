//! What `#[derive(Row)]` expands to calls here, so that the expansion stays small.

use crate::builder::AnyBuilder;
use crate::cell::Cell;
use crate::errors::{Failure, Reject};
use crate::plan::{Read, Write};
use crate::rows::Columns;
use crate::types::{Field, Type};
use crate::view::Batch;

/// One field of a derived row, bound to its column.
#[derive(Debug)]
pub struct Bound {
    name: &'static str,
    read: Option<Read>,
    write: Option<Write>,
}

/// What a field's attribute says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Read only.
    Read,
    /// Read and written back.
    Edit,
    /// A new column.
    Add,
}

/// Binds one field.
pub fn bind<'a, T: Cell<'a>>(
    columns: &mut dyn Columns,
    name: &'static str,
    how: Use,
) -> Result<Bound, Failure> {
    if how == Use::Add {
        let write = match columns.plan() {
            Some(plan) => Some(plan.add(Field {
                nullable: T::NULLABLE,
                ..Field::new(name, T::ty())
            })?),
            None => None,
        };
        return Ok(Bound {
            name,
            read: None,
            write,
        });
    }
    let read = columns.inputs().read(name)?;
    let found: Type = columns.inputs().field(read).ty.clone();
    if !T::fits(&found) {
        return Err(Failure::schema(format!(
            "column `{name}` is of type {found}, and {} is needed",
            T::ty()
        ))
        .at(name));
    }
    let write = match (how, columns.plan()) {
        (Use::Edit, Some(plan)) => Some(plan.overwrite(name)?),
        _ => None,
    };
    Ok(Bound {
        name,
        read: Some(read),
        write,
    })
}

/// Reads one field.
#[inline]
pub fn read<'a, T: Cell<'a>>(bound: &Bound, batch: &Batch<'a>, row: usize) -> Result<T, Reject> {
    let null = || Reject::new("null", format!("`{}` is null", bound.name));
    match bound.read {
        Some(read) => T::get(&batch.view(read), row).ok_or_else(|| null().column(read)),
        None => Err(null()),
    }
}

/// Writes one field, if it is written at all; returns how many builders it took.
#[inline]
pub fn write<'a, T: Cell<'a>>(
    bound: &Bound,
    field: &T,
    builders: &mut [AnyBuilder],
    at: usize,
) -> usize {
    match (bound.write, builders.get_mut(at)) {
        (Some(_), Some(builder)) => {
            builder.push(&field.value());
            1
        }
        _ => 0,
    }
}

/// The columns that are written.
pub fn writes(bound: &[Bound]) -> Vec<Write> {
    bound.iter().filter_map(|bound| bound.write).collect()
}
