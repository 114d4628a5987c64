//! What PostgreSQL's types are here, and how ours are held there.
//!
//! [`Reading`] says how a column is read: as which logical type, in which form, by which
//! expression. [`Writing`] says how a logical type gets into a column that exists, and what that
//! may cost; [`declare()`] which type a column of a new table gets. All of it is decided from the
//! catalogue, before a row moves: a type is read exactly, by its text, or refused in the plan.
//!
//! *Source* – PostgreSQL documentation, "Data Types", "JSON Functions"; pgvector's README.

mod declare;
mod reading;
mod writing;

#[cfg(test)]
mod tests;

pub(crate) use declare::declare;
pub(crate) use reading::Reading;
pub(crate) use reading::is_name;
pub(crate) use writing::Writing;

/// The modifier of a type, as a count of characters or bytes: the n of `varchar(n)`.
fn length(modifier: i32) -> Option<u32> {
    u32::try_from(modifier - 4).ok()
}

/// Precision and scale of `numeric(p, s)`.
fn precision(modifier: i32) -> Option<(u32, i32)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    // The scale is a signed number of 11 bits since 15, where it may be negative.
    Some((
        (packed >> 16) as u32 & 0xffff,
        ((packed & 0x7ff) ^ 1024) - 1024,
    ))
}
