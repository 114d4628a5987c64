//! What a file target will do, in words, known before a row is read.

use std::fs;

use dkhost_core::{
    Column, Error, Field, LogicalType, OpenTarget, Result, Role, Schema, TargetPlan,
};

use super::log::State;
use super::place::Found;
use super::shape::Shape;
use super::stamp::Where;
use super::target::Target;
use crate::compression::Compression;
use crate::format::Format;

/// The plan of a target.
///
/// *Errors* – columns the format has no way to write at all.
pub fn plan(target: &Target, open: &OpenTarget) -> Result<TargetPlan> {
    check_columns(&target.shape, &target.schema)?;
    let place = &target.place;
    let what = if place.is_folder { "folder" } else { "file" };
    let mechanism = match place.is_folder {
        true => {
            "parts beside the target with their committed length, put in place as one folder when the run is done"
        }
        false => {
            "one file beside the target with its committed length, put in place when the run is done"
        }
    };
    Ok(TargetPlan {
        label: format!("{what} {} ({})", place.label, words(&target.shape)),
        promise: "effectively-once".to_owned(),
        mechanism: mechanism.to_owned(),
        effects: effects(target, open)?,
        notes: all_notes(target),
        columns: columns(&target.shape, &target.schema),
        fresh: true,
        concurrent: place.is_folder,
    })
}

/// The columns as a format holds them.
pub fn columns(shape: &Shape, schema: &Schema) -> Vec<Column> {
    let fields = schema.fields.iter();
    fields.map(|field| column(shape, field)).collect()
}

/// Format, compression and layout for people: `JSON Lines, gzip`.
pub fn words(shape: &Shape) -> String {
    let layout = if shape.is_dataknobs() {
        ", layout dataknobs"
    } else {
        ""
    };
    let compression = match (shape.format, shape.compression) {
        (Format::Parquet, None) => ", snappy".to_owned(),
        (_, None | Some(Compression::None)) => String::new(),
        (_, Some(compression)) => format!(", {compression}"),
    };
    format!("{}{compression}{layout}", shape.format)
}

fn effects(target: &Target, open: &OpenTarget) -> Result<Vec<String>> {
    let place = &target.place;
    let mut effects = Vec::new();
    if !place.parent.is_dir() {
        effects.push(format!("creates the folder for `{}`", place.label));
    }
    effects.push(match place.found()? {
        Found::Something => format!(
            "replaces `{}`{} when the run is done",
            place.label,
            size(target)
        ),
        _ => format!("creates `{}`", place.label),
    });
    if let Some(reshape) = &target.reshape {
        let whose = format!("its records are of {}@{}", reshape.schema, reshape.version);
        effects.push(match Where::of(place, &target.shape) {
            Where::Inside => format!("says inside `{}` that {whose}", place.label),
            Where::Manifest => format!("says in the manifest of `{}` that {whose}", place.label),
            Where::Beside => {
                let name = place.version();
                let name = name.file_name().unwrap_or_default().to_string_lossy();
                format!("says in `{name}`, beside `{}`, that {whose}", place.label)
            }
        });
    }
    if let Ok(Some(left)) = State::read(&place.log())
        && left.owner.job != open.job
        && !target.is_published(&left)
    {
        effects.push(format!(
            "drops what an unfinished run of the job `{}` left beside `{}`",
            left.owner.job, place.label
        ));
    }
    Ok(effects)
}

fn size(target: &Target) -> String {
    match fs::metadata(&target.place.path) {
        Ok(found) if found.is_file() => format!(" ({} bytes)", found.len()),
        _ => String::new(),
    }
}

fn all_notes(target: &Target) -> Vec<String> {
    let mut notes = notes(&target.shape, &target.schema);
    if let Some(reshape) = &target.reshape
        && !(reshape.constraints.is_empty() && reshape.required.is_empty())
    {
        notes.push(format!(
            "a file checks nothing: what {}@{} asks of its records is checked on the way, and not by `{}` itself",
            reshape.schema, reshape.version, target.place.label
        ));
    }
    notes
}

/// What a format cannot hold, a sentence each.
pub fn notes(shape: &Shape, schema: &Schema) -> Vec<String> {
    let mut notes = Vec::new();
    if shape.is_dataknobs() && shape.format == Format::Csv {
        notes.push("a CSV store keeps the metadata of fields; a null without any is a missing field, and a record with metadata of its own is refused unless `_meta` is left out".to_owned());
        return notes;
    }
    if shape.format.is_delimited() {
        notes.push(format!(
            "{} has no types: a reader has to be told or to guess them",
            shape.format
        ));
        let null = shape.csv.null.first().map(String::as_str);
        notes.push(match null {
            None => "nothing means null here: a record with a null is refused".to_owned(),
            Some("") => "a null is an empty cell, an empty text is \"\"".to_owned(),
            Some(word) => format!("a null is {word} without quotes"),
        });
        if schema.fields.len() == 1 && null == Some("") {
            notes.push("a null alone on its line is an empty line, which some readers pass over; `csv = { null = [\"NULL\"] }` avoids that".to_owned());
        }
    }
    let floats = schema.fields.iter().any(|f| {
        matches!(
            f.logical,
            LogicalType::Float32 | LogicalType::Float64 | LogicalType::Vector(_)
        )
    });
    if shape.is_document() && !shape.is_dataknobs() && floats {
        notes.push("JSON has no NaN and no infinity: such a record is refused".to_owned());
    }
    notes
}

/// Refuses columns the format has no way to write at all.
pub fn check_columns(shape: &Shape, schema: &Schema) -> Result<()> {
    let is_document = match shape.is_dataknobs() {
        true => shape.format == Format::Json,
        false => shape.is_document(),
    };
    if !is_document && schema.role(Role::Rest).is_some() {
        // The engine takes it away from tables; written as a column it would be one more field.
        return Err(Error::bug(format!(
            "{} has no place for the rest of a document",
            shape.format
        )));
    }
    if schema.fields.is_empty() && !shape.is_document() {
        return Err(Error::config(
            "target::no_columns",
            format!("{} needs at least one column", shape.format),
        ));
    }
    if shape.format.is_delimited() && shape.csv.quote.is_none() && shape.csv.header {
        let breaks = |name: &&str| {
            name.bytes()
                .any(|b| b == shape.csv.delimiter || b == b'\n' || b == b'\r')
        };
        if let Some(name) = schema.names().find(breaks) {
            return Err(Error::config(
                "target::column_name",
                format!("the name `{name}` needs quotes, and `csv.quote` is empty"),
            )
            .help("rename the column, or allow quotes"));
        }
    }
    if shape.is_dataknobs()
        && schema.role(Role::Id).is_none()
        && schema.key().is_empty()
        && schema.index_of("id").is_none()
    {
        return Err(Error::config(
            "target::no_id",
            "a store of dataknobs keeps records by id, and these have none",
        )
        .help("say which columns are the id: `key = [\"…\"]` in [source], or add a column `id`"));
    }
    Ok(())
}

fn column(shape: &Shape, field: &Field) -> Column {
    let (target_type, how) = match shape.format {
        _ if shape.is_dataknobs() => (dataknobs_type(&field.logical), None),
        Format::Json | Format::Jsonl => json_type(field),
        Format::Csv | Format::Tsv => ("text".to_owned(), csv_how(&field.logical)),
        Format::Parquet => parquet_type(&field.logical),
        Format::Arrow => (field.logical.arrow().to_string(), None),
    };
    if field.role == Some(Role::Rest) {
        return Column {
            name: field.name.clone(),
            target_type: "fields".to_owned(),
            how: Some("merged into each record".to_owned()),
            lossy: None,
        };
    }
    Column {
        name: field.name.clone(),
        target_type,
        how: how.map(str::to_owned),
        lossy: None,
    }
}

fn json_type(field: &Field) -> (String, Option<&'static str>) {
    use LogicalType::*;
    let (name, how) = match field.logical {
        Null => ("null", None),
        Boolean => ("boolean", None),
        Int32 | Int64 | UInt64 | Float32 | Float64 => ("number", None),
        Decimal(..) | Number => ("number", Some("with all its digits")),
        Utf8 => ("string", None),
        Binary => ("string", Some("as base64")),
        // Of documents such a null is no value of the column, and stands in the rest.
        Json if !field.null_is_absent => (
            "any",
            Some("JSON's own null reads back as no value, which verify finds"),
        ),
        Json => ("any", None),
        Date32 | Time64 | Timestamp(_) => ("string", Some("as ISO 8601 text")),
        Uuid => ("string", Some("as hexadecimal text")),
        Vector(_) => ("array", None),
    };
    (name.to_owned(), how)
}

fn csv_how(logical: &LogicalType) -> Option<&'static str> {
    use LogicalType::*;
    match logical {
        Binary => Some("as base64"),
        Json | Vector(_) => Some("as JSON"),
        Date32 | Time64 | Timestamp(_) => Some("as ISO 8601 text"),
        Decimal(..) | Number => Some("with all its digits"),
        _ => None,
    }
}

fn parquet_type(logical: &LogicalType) -> (String, Option<&'static str>) {
    use LogicalType::*;
    let (name, how) = match logical {
        Null => ("NULL", None),
        Boolean => ("BOOLEAN", None),
        Int32 => ("INT32", None),
        Int64 => ("INT64", None),
        UInt64 => ("UINT64", None),
        Float32 => ("FLOAT", None),
        Float64 => ("DOUBLE", None),
        Utf8 => ("STRING", None),
        Json => ("STRING", Some("as JSON text")),
        Number => ("STRING", Some("as text with all its digits")),
        Binary => ("BYTE_ARRAY", None),
        Date32 => ("DATE", None),
        Time64 => ("TIME(MICROS)", None),
        Timestamp(_) => ("TIMESTAMP(MICROS)", None),
        Uuid => ("FIXED_LEN_BYTE_ARRAY(16)", None),
        Vector(_) => ("LIST(FLOAT)", None),
        Decimal(precision, scale) => return (format!("DECIMAL({precision}, {scale})"), None),
    };
    (name.to_owned(), how)
}

fn dataknobs_type(logical: &LogicalType) -> String {
    use LogicalType::*;
    match logical {
        Boolean => "boolean",
        Int32 | Int64 | UInt64 => "integer",
        Float32 | Float64 | Decimal(..) | Number => "float",
        Json | Vector(_) => "json",
        _ => "string",
    }
    .to_owned()
}
