//! The options of a target beside those of the cluster.

use dkhost_core::{
    Error, LogicalType, NodeKind, OpenTarget, OptionSpec, OptionType, Options, Result, Span,
};
use serde_json::{Map, Value as Json, json};

use super::place;
use crate::backend::{DATAKNOBS_INDEX, take_layout};

/// Bytes of a bulk, at about the most: below what servers take (100 MB), above what a request costs.
const BULK_BYTES: i64 = 8 << 20;

/// How bulks are sent, and how fields are indexed.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::optional(
        "index",
        OptionType::Text,
        "The index to write, or an alias of one; default with the dataknobs layout: records.",
    ),
    OptionSpec::optional(
        "mapping",
        OptionType::Any,
        "How columns are indexed where an index or a field is created: a type or a whole definition, { status = \"keyword\", body = { type = \"text\", analyzer = \"german\" } }.",
    ),
    OptionSpec::optional(
        "version",
        OptionType::Text,
        "A whole-number column that is each document's own version: an older one never replaces a newer one; with on_conflict = \"upsert\".",
    ),
    OptionSpec::optional(
        "bulk_bytes",
        OptionType::Integer,
        "How large a request may be, in bytes; default 8388608.",
    ),
    OptionSpec::optional(
        "gzip",
        OptionType::Boolean,
        "Compress requests: for a server far away; default false.",
    ),
    OptionSpec::optional(
        "requests",
        OptionType::Integer,
        "How many requests may be under way at once when the server takes them; default 8.",
    ),
];

/// What a job says about a target.
#[derive(Debug)]
pub(super) struct Wanted {
    pub name: String,
    pub span: Span,
    pub dataknobs: bool,
    pub mapping: Map<String, Json>,
    pub version: Option<usize>,
    pub bulk_bytes: usize,
    pub gzip: bool,
    pub requests: usize,
}

impl Wanted {
    pub fn take(options: &mut Options, open: &OpenTarget) -> Result<Self> {
        let (name, span, dataknobs) = named(options)?;
        Ok(Wanted {
            name,
            span,
            dataknobs,
            mapping: mapping(options, open)?,
            version: version(options, open)?,
            bulk_bytes: number(options, "bulk_bytes", BULK_BYTES, 1 << 10, 512 << 20)?,
            gzip: options.take("gzip")?.unwrap_or(false),
            requests: number(options, "requests", 8, 1, 64)?,
        })
    }
}

/// The name of the index, and where the job says it.
pub(super) fn name(options: &mut Options) -> Result<(String, Span)> {
    named(options).map(|(name, span, _)| (name, span))
}

fn named(options: &mut Options) -> Result<(String, Span, bool)> {
    let dataknobs = take_layout(options)?;
    let span = options.span_of("index");
    let named: Option<String> = options.take("index")?;
    let usual = dataknobs.then(|| DATAKNOBS_INDEX.to_owned());
    let Some(name) = named.or(usual) else {
        return Err(Error::config("job::missing_key", "[target] needs `index`")
            .at(span, "`index` is missing here")
            .help("add a line `index = \"…\"`"));
    };
    place::check(&name, span.clone())?;
    Ok((name, span, dataknobs))
}

fn number(options: &mut Options, name: &str, default: i64, least: i64, most: i64) -> Result<usize> {
    let span = options.span_of(name);
    let value: i64 = options.take(name)?.unwrap_or(default);
    if (least..=most).contains(&value) {
        return Ok(value as usize);
    }
    let message = format!("`{name}` is a number from {least} to {most}");
    Err(Error::config("job::wrong_value", message).at(span, "here"))
}

/// Definitions of fields, each of a column.
fn mapping(options: &mut Options, open: &OpenTarget) -> Result<Map<String, Json>> {
    let Some(node) = options.take_node("mapping") else {
        return Ok(Map::new());
    };
    let NodeKind::Table(entries) = node.kind else {
        let error = Error::config("job::wrong_type", "`mapping` must be a table");
        return Err(error.at(node.span, "here").help("{ status = \"keyword\" }"));
    };
    let mut mapping = Map::new();
    for (name, span, value) in entries {
        if open.schema.field(&name).is_none() {
            return Err(dkhost_core::options::unknown_key(
                "`mapping`",
                &name,
                &span,
                open.schema.fields.iter().map(|field| field.name.as_str()),
            ));
        }
        let definition = match value.kind {
            NodeKind::Text(kind) => json!({"type": kind}),
            NodeKind::Table(_) => value.to_json(),
            _ => {
                return Err(Error::config(
                    "job::wrong_type",
                    format!("`mapping.{name}` is neither a type nor a definition"),
                )
                .at(value.span, "here")
                .help("such as \"keyword\" or { type = \"text\", analyzer = \"german\" }"));
            }
        };
        mapping.insert(name, definition);
    }
    Ok(mapping)
}

/// The column of versions.
fn version(options: &mut Options, open: &OpenTarget) -> Result<Option<usize>> {
    let span = options.span_of("version");
    let Some(name) = options.take::<String>("version")? else {
        return Ok(None);
    };
    let wrong = |message: String| Error::config("elasticsearch::bad_version", message);
    if open.conflict != dkhost_core::Conflict::Upsert {
        return Err(
            wrong("versions of documents decide which of two stays".to_owned())
                .at(span, "only with on_conflict = \"upsert\""),
        );
    }
    match open.schema.index_of(&name) {
        Some(index) if open.schema.fields[index].logical == LogicalType::Int64 => Ok(Some(index)),
        Some(index) => Err(wrong(format!(
            "`{name}` is of type {}",
            open.schema.fields[index].logical
        ))
        .at(span, "a version is a whole number (int64)")),
        None => Err(wrong(format!("there is no column `{name}`")).at(span, "here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dkhost_core::{Conflict, Nulls};

    fn taken(options: Json, conflict: Conflict) -> std::result::Result<Wanted, &'static str> {
        let open = OpenTarget {
            base: Default::default(),
            job: "job".into(),
            schema: dkhost_drive::schema(&["!id int64", "name utf8"]),
            conflict,
            create: true,
            nulls: Nulls::Keep,
            content: true,
            reshape: None,
        };
        let mut options = Options::from_json("[target]", &options).unwrap();
        Wanted::take(&mut options, &open).map_err(|error| error.code())
    }

    #[test]
    fn options_are_checked_where_they_are_written() {
        let wanted = taken(
            json!({"index": "i", "mapping": {"name": "keyword"}, "version": "id"}),
            Conflict::Upsert,
        )
        .unwrap();
        assert_eq!(
            (wanted.mapping["name"].clone(), wanted.version),
            (json!({"type": "keyword"}), Some(0))
        );
        assert_eq!(
            (wanted.bulk_bytes, wanted.requests, wanted.gzip),
            (8 << 20, 8, false)
        );
        assert_eq!(
            taken(json!({"layout": "dataknobs"}), Conflict::Insert)
                .unwrap()
                .name,
            "records"
        );
        for (options, code) in [
            (json!({}), "job::missing_key"),
            (json!({"index": "A"}), "elasticsearch::bad_index"),
            (
                json!({"index": "i", "mapping": {"nmae": "keyword"}}),
                "job::unknown_key",
            ),
            (
                json!({"index": "i", "mapping": {"name": 1}}),
                "job::wrong_type",
            ),
            (
                json!({"index": "i", "version": "id"}),
                "elasticsearch::bad_version",
            ),
            (json!({"index": "i", "bulk_bytes": 1}), "job::wrong_value"),
        ] {
            assert_eq!(
                taken(options.clone(), Conflict::Insert).unwrap_err(),
                code,
                "{options}"
            );
        }
        let text = json!({"index": "i", "version": "name"});
        assert_eq!(
            taken(text, Conflict::Upsert).unwrap_err(),
            "elasticsearch::bad_version"
        );
    }
}
