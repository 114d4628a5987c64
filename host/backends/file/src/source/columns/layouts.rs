//! Which column a foreign Arrow field becomes.
//!
//! Our own marks are believed as far as the layout allows; what they say about values is verified
//! when those are read (see `verify`).

use std::collections::HashSet;

use arrow::datatypes::{self, DataType, SchemaRef, TimeUnit};
use dkhost_core::{Error, Field, LogicalType, Result, Role};

use crate::source::dataknobs::ID_COLUMN;

/// The columns of a file as dkhost has them.
///
/// *Errors* – `columns::unsupported` for a layout without a type, unless `wanted` leaves it out.
pub fn fields(
    schema: &SchemaRef,
    label: &str,
    wanted: Option<&[String]>,
    is_dataknobs: bool,
) -> Result<Vec<Field>> {
    let mut names = HashSet::new();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        if !names.insert(field.name()) {
            return Err(Error::data(
                "columns::twice",
                format!("`{label}` has two columns called `{}`", field.name()),
            )
            .help("write the file again with names of their own"));
        }
        match natural(field) {
            Some(natural) => fields.push(natural),
            None if wanted.is_some_and(|wanted| !wanted.contains(field.name())) => (),
            None => {
                return Err(Error::data(
                    "columns::unsupported",
                    format!(
                        "column `{}` of `{label}` is {}, for which dkhost has no type",
                        field.name(),
                        field.data_type()
                    ),
                )
                .help("leave it out with `columns = […]`"));
            }
        }
    }
    if is_dataknobs && let Some(id) = fields.iter_mut().find(|field| field.name == ID_COLUMN) {
        id.role = Some(Role::Id);
    }
    Ok(fields)
}

/// The column a foreign one becomes; our own marks are believed where they can be.
pub fn natural(field: &datatypes::Field) -> Option<Field> {
    if let Ok(ours) = Field::from_arrow(field) {
        let is_object = matches!(ours.role, Some(Role::Meta | Role::Rest));
        let role = ours
            .role
            .filter(|_| !is_object || ours.logical == LogicalType::Json);
        let logical = match extension(field) {
            Some("arrow.json") if ours.logical == LogicalType::Utf8 => LogicalType::Json,
            _ => ours.logical.clone(),
        };
        return Some(Field {
            role,
            logical,
            ..ours
        });
    }
    let logical = match (extension(field), field.data_type()) {
        (Some("arrow.uuid"), DataType::FixedSizeBinary(16)) => LogicalType::Uuid,
        (Some("arrow.json"), DataType::LargeUtf8 | DataType::Utf8View) => LogicalType::Json,
        (_, DataType::Timestamp(TimeUnit::Nanosecond, zone)) => {
            LogicalType::Timestamp(zone.clone())
        }
        (_, DataType::Time64(TimeUnit::Nanosecond)) => LogicalType::Time64,
        (_, other) => LogicalType::widened(other)?,
    };
    let source_type = Some(field.data_type().to_string());
    Some(Field {
        nullable: field.is_nullable(),
        source_type,
        ..Field::new(field.name(), logical)
    })
}

fn extension(field: &datatypes::Field) -> Option<&str> {
    field
        .metadata()
        .get("ARROW:extension:name")
        .map(String::as_str)
}
