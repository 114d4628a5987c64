//! From what was found in a file to the schema of its batches: declared types, the columns that
//! were asked for, the key, the id, the reserved columns.

use dkhost_core::error::nearest;
use dkhost_core::{Error, Field, LogicalType, OpenSource, Result, Role, Schema, Span};

use crate::options::SourceOptions;

/// Puts declared types over found ones.
///
/// *Shape* – `open` is set when the file may have fields that were not seen: a declared one that
/// looks like no other is then added.
///
/// *Errors* – `file::unknown_field` with the nearest known name.
pub fn declare(
    fields: &mut Vec<Field>,
    declared: &[(String, LogicalType, Span)],
    open: bool,
) -> Result<()> {
    for (name, logical, span) in declared {
        if let Some(field) = fields.iter_mut().find(|field| field.name == *name) {
            field.logical = logical.clone();
            continue;
        }
        let near = nearest(name, fields.iter().map(|field| field.name.as_str()));
        if open && near.is_none() {
            fields.push(Field {
                null_is_absent: true,
                ..Field::new(name, logical.clone())
            });
            continue;
        }
        return Err(unknown("`fields`", name, fields).at(span.clone(), "not a field of the file"));
    }
    Ok(())
}

/// The error for a name that is none of the file's.
fn unknown(who: &str, name: &str, fields: &[Field]) -> Error {
    let rest = |field: &&Field| field.role != Some(Role::Rest);
    let known: Vec<&str> = fields
        .iter()
        .filter(rest)
        .map(|field| field.name.as_str())
        .collect();
    let near = nearest(name, known.iter().copied())
        .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    let shown = &known[..known.len().min(40)];
    let more = if known.len() > shown.len() {
        ", …"
    } else {
        ""
    };
    Error::config(
        "file::unknown_field",
        format!("{who} names `{name}`, which the file does not have{near}"),
    )
    .help(format!("the file has: {}{more}", shown.join(", ")))
}

/// The columns that were asked for, in that order, reserved ones kept where they are: an id or
/// metadata before them, the rest behind.
pub fn project(all: &Schema, columns: Option<&[String]>) -> Result<Schema> {
    let Some(columns) = columns else {
        return Ok(all.clone());
    };
    let mut wanted: Vec<Field> = Vec::with_capacity(columns.len() + 1);
    let reserved = |field: &&Field| field.role.is_some() && !columns.contains(&field.name);
    let (rest, before): (Vec<&Field>, Vec<&Field>) = all
        .fields
        .iter()
        .filter(reserved)
        .partition(|field| field.role == Some(Role::Rest));
    wanted.extend(before.into_iter().cloned());
    for name in columns {
        let Some(field) = all.field(name) else {
            return Err(unknown("`columns`", name, &all.fields));
        };
        if !wanted.iter().any(|known| known.name == *name) {
            wanted.push(field.clone());
        }
    }
    wanted.extend(rest.into_iter().cloned());
    Ok(Schema::new(wanted))
}

/// Marks the id and the key.
///
/// *Errors* – `file::unknown_field`; `file::bad_id` for a field that can be no id.
pub fn mark(schema: &mut Schema, options: &SourceOptions, open: &OpenSource) -> Result<()> {
    if let Some((name, span)) = &options.id {
        mark_id(schema, name).map_err(|error| error.at(span.clone(), "no id of these records"))?;
    }
    if !open.key.is_empty() {
        schema.fields.iter_mut().for_each(|field| field.key = None);
    }
    for (place, name) in open.key.iter().enumerate() {
        match schema.index_of(name) {
            Some(index) => schema.fields[index].key = Some(place as u32),
            None => return Err(unknown("`key`", name, &schema.fields)),
        }
    }
    Ok(())
}

/// The field stays where it is and keeps its type, so that a document comes out as it was; targets
/// that have ids take its text.
fn mark_id(schema: &mut Schema, name: &str) -> Result<()> {
    if let Some(other) = schema
        .role(Role::Id)
        .map(|index| schema.fields[index].name.clone())
    {
        if other == name {
            return Ok(());
        }
        return Err(Error::config(
            "file::bad_id",
            format!("the records have an id already: `{other}`"),
        )
        .help("remove `id`; the field stays a field"));
    }
    let Some(index) = schema.index_of(name) else {
        return Err(unknown("`id`", name, &schema.fields));
    };
    let field = &mut schema.fields[index];
    match field.logical {
        // Ids that are numbers here and text there: text it is, and numbers stay in the rest.
        LogicalType::Json => field.logical = LogicalType::Utf8,
        LogicalType::Boolean
        | LogicalType::Float32
        | LogicalType::Float64
        | LogicalType::Null
        | LogicalType::Vector(_) => {
            let message = format!("`{name}` is {}, which can be no id", field.logical);
            return Err(
                Error::config("file::bad_id", message).help("an id is text or a whole number")
            );
        }
        _ => (),
    }
    field.role = Some(Role::Id);
    Ok(())
}

/// A reserved column under a name that no field has.
pub fn reserved(role: Role, fields: &[Field]) -> Field {
    let mut column = Field::reserved(role);
    while fields.iter().any(|field| field.name == column.name) {
        column.name.push('_');
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(names: &[&str]) -> Schema {
        let mut fields: Vec<Field> = names
            .iter()
            .map(|name| Field::new(*name, LogicalType::Int64))
            .collect();
        fields.push(Field::reserved(Role::Rest));
        Schema::new(fields)
    }

    #[test]
    fn columns_come_in_the_order_asked_for_and_the_rest_behind() {
        let columns = ["c".to_owned(), "a".to_owned()];
        let wanted = project(&schema(&["a", "b", "c"]), Some(&columns)).unwrap();
        assert_eq!(wanted.names().collect::<Vec<_>>(), ["c", "a", "_rest"]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest() {
        let error = project(&schema(&["name", "email"]), Some(&["emial".to_owned()])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`columns` names `emial`, which the file does not have; did you mean `email`?"
        );
        let mut fields = schema(&["price"]).fields;
        let declared = [("prize".to_owned(), LogicalType::Utf8, 3..8)];
        assert_eq!(
            declare(&mut fields, &declared, true)
                .unwrap_err()
                .place()
                .unwrap()
                .0,
            &(3..8)
        );
    }

    #[test]
    fn a_reserved_column_takes_no_field_s_name() {
        assert_eq!(reserved(Role::Rest, &schema(&["a"]).fields).name, "_rest_");
    }
}
