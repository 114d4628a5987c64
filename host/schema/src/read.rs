//! A schema file to a version: every key known, every default and bound in the type of its field.

use std::cmp::Ordering;

use dkhost_core::{
    Error, LogicalType, Node, NodeKind, OptionSpec, OptionType, Options, Result, tree,
};

use crate::compatibility::{MODES, Mode};
use crate::constant::{Constant, is_ordered};
use crate::migration::RESERVED;
use crate::rule::{Bounds, Pattern, Rules};
use crate::version::{FieldVersion, SchemaId, SchemaVersion};

const VERSION: &[OptionSpec] = &[
    OptionSpec::optional("description", OptionType::Text, "what the records are"),
    OptionSpec::optional(
        "key",
        OptionType::TextList,
        "fields that tell records apart",
    ),
    OptionSpec::optional(
        "open",
        OptionType::Boolean,
        "whether unknown fields are kept (false)",
    ),
    OptionSpec::optional(
        "check",
        OptionType::TextList,
        "expressions over the record that must not be false: \"age < 18 or email is not null\"",
    ),
    OptionSpec::optional(
        "compatibility",
        OptionType::Word(MODES),
        "what it promises to the version before: backward | forward | full | none (none)",
    ),
    OptionSpec::required(
        "fields",
        OptionType::Table,
        "a section [fields.NAME] for each field",
    ),
];

const FIELD: &[OptionSpec] = &[
    OptionSpec::required(
        "type",
        OptionType::Text,
        "int64, utf8, timestamp(us, UTC), …",
    ),
    OptionSpec::optional(
        "required",
        OptionType::Boolean,
        "whether it must have a value (false)",
    ),
    OptionSpec::optional(
        "default",
        OptionType::Any,
        "the value of records that have none",
    ),
    OptionSpec::optional("description", OptionType::Text, "what the field is"),
    OptionSpec::optional("was", OptionType::Text, "its name in the version before"),
    OptionSpec::optional("range", OptionType::Table, "{ min, max }, both included"),
    OptionSpec::optional("length", OptionType::Table, "{ min, max } characters"),
    OptionSpec::optional(
        "pattern",
        OptionType::Text,
        "a regular expression that must match",
    ),
    OptionSpec::optional("one_of", OptionType::Any, "the only values there may be"),
    OptionSpec::optional(
        "unique",
        OptionType::Boolean,
        "no two records have the same (false)",
    ),
    OptionSpec::optional(
        "not_empty",
        OptionType::Boolean,
        "more than white space (false)",
    ),
];

const BOUNDS: &[OptionSpec] = &[
    OptionSpec::optional("min", OptionType::Any, "the least"),
    OptionSpec::optional("max", OptionType::Any, "the most"),
];

/// Reads the text of a schema file.
///
/// *Errors* – at the place of the mistake: unknown keys, values of a wrong type, rules that do not
/// suit the field's type, a default that its own rules refuse, a key without its field.
pub fn read(id: SchemaId, text: &str) -> Result<SchemaVersion> {
    from_node(id, tree::parse(text, "schema file", &|_| None)?)
}

/// Reads what a schema file would hold.
///
/// *Errors* – as [`read`], without places where the node has none.
pub(crate) fn from_node(id: SchemaId, node: Node) -> Result<SchemaVersion> {
    let mut options = Options::new("the schema", node)?;
    options.check(&[VERSION])?;
    let fields = fields(&mut options)?;
    let key = names(&mut options, "key", &fields)?;
    let mode = options.span_of("compatibility");
    let word: Option<String> = options.take("compatibility")?;
    let compatibility = word.map(|word| word.parse::<Mode>()).transpose();
    let compatibility =
        compatibility.map_err(|why| Error::config("schema::mode", why).at(mode, "here"))?;
    Ok(SchemaVersion {
        id,
        compatibility: compatibility.unwrap_or_default(),
        description: options.take("description")?.unwrap_or_default(),
        key,
        open: options.take("open")?.unwrap_or_default(),
        checks: options.take("check")?.unwrap_or_default(),
        fields,
    })
}

fn fields(options: &mut Options) -> Result<Vec<FieldVersion>> {
    let section = options
        .take_node("fields")
        .unwrap_or_else(|| Node::new(NodeKind::Table(Vec::new())));
    let span = section.span.clone();
    let NodeKind::Table(entries) = section.kind else {
        return Err(wrong_shape("fields", &section));
    };
    if entries.is_empty() {
        return Err(Error::config("schema::no_fields", "a schema needs a field")
            .at(span, "there is none")
            .help("begin with [fields.id] and type = \"int64\""));
    }
    let mut fields: Vec<FieldVersion> = Vec::with_capacity(entries.len());
    for (name, place, node) in entries {
        if RESERVED.contains(&name.as_str()) {
            let message = format!("`{name}` is what migrations keep for themselves");
            let error = Error::config("schema::reserved_name", message);
            return Err(error.at(place, "this field").help("give it another name"));
        }
        let field = field(&name, node)?;
        let before = field.was.as_ref();
        if before
            .is_some_and(|was| *was == name || fields.iter().any(|f| f.was.as_ref() == Some(was)))
        {
            return Err(Error::config(
                "schema::was",
                format!(
                    "`{name}` cannot have been `{}`",
                    before.map_or("", String::as_str)
                ),
            )
            .at(place, "its `was`")
            .help("each field of the version before becomes one field"));
        }
        fields.push(field);
    }
    Ok(fields)
}

fn field(name: &str, node: Node) -> Result<FieldVersion> {
    let mut options = Options::new(format!("[fields.{name}]"), node)?;
    options.check(&[FIELD])?;
    let span = options.span_of("type");
    let logical: LogicalType = options
        .require::<String>("type")?
        .parse()
        .map_err(|why: String| Error::config("schema::unknown_type", why).at(span, "this type"))?;
    let rules = rules(&mut options, &logical)?;
    let place = options.span_of("default");
    let default = options
        .take_node("default")
        .map(|node| Constant::read(&node, "default", &logical))
        .transpose()?;
    if let Some(default) = &default {
        let broken = match logical == LogicalType::Json && default.text().trim() == "null" {
            true => Some("type: json's null is no value".to_owned()),
            false => rules.broken_by(default, &logical),
        };
        if let Some(rule) = broken {
            return Err(Error::config(
                "schema::default",
                format!("the default of `{name}` does not satisfy its own {rule}"),
            )
            .at(place, "this value")
            .help("records without a value would be refused: change the default or the rule"));
        }
    }
    Ok(FieldVersion {
        name: name.to_owned(),
        required: options.take("required")?.unwrap_or_default(),
        description: options.take("description")?.unwrap_or_default(),
        was: options.take("was")?,
        default,
        rules,
        logical,
    })
}

fn rules(options: &mut Options, logical: &LogicalType) -> Result<Rules> {
    suited(options, logical)?;
    let value = |node: &Node, name: &str| Constant::read(node, name, logical);
    let characters = |node: &Node, name: &str| node.parse::<u64>(name);
    Ok(Rules {
        range: bounds(options, "range", value, |min, max| min.order(max, logical))?,
        length: bounds(options, "length", characters, u64::partial_cmp)?,
        pattern: pattern(options)?,
        one_of: one_of(options, logical)?,
        unique: options.take("unique")?.unwrap_or_default(),
        not_empty: options.take("not_empty")?.unwrap_or_default(),
    })
}

/// Refuses rules that say nothing about values of the type.
fn suited(options: &Options, logical: &LogicalType) -> Result<()> {
    let is_text = *logical == LogicalType::Utf8;
    let is_json = *logical == LogicalType::Json;
    for (name, suits, which) in [
        ("range", is_ordered(logical), "numbers and times"),
        ("length", is_text, "text"),
        ("pattern", is_text, "text"),
        ("not_empty", is_text, "text"),
        ("unique", !is_json, "all types but json"),
        ("one_of", !is_json, "all types but json"),
    ] {
        if options.get(name).is_some() && !suits {
            let message = format!("`{name}` says nothing about {logical}");
            let error = Error::config("schema::unsuited_rule", message);
            return Err(error.at(options.span_of(name), format!("a rule for {which}")));
        }
    }
    Ok(())
}

fn bounds<T>(
    options: &mut Options,
    name: &'static str,
    read: impl Fn(&Node, &str) -> Result<T>,
    order: impl Fn(&T, &T) -> Option<Ordering>,
) -> Result<Option<Bounds<T>>> {
    let Some(node) = options.take_node(name) else {
        return Ok(None);
    };
    let span = node.span.clone();
    let mut options = Options::new(format!("`{name}`"), node)?;
    options.check(&[BOUNDS])?;
    let mut one = |end| {
        let node = options.take_node(end);
        node.map(|node| read(&node, end)).transpose()
    };
    let (min, max) = (one("min")?, one("max")?);
    match (&min, &max) {
        (None, None) => Err(Error::config(
            "schema::empty_rule",
            format!("`{name}` bounds nothing"),
        )
        .at(span, "neither min nor max")
        .help(format!(
            "write {name} = {{ min = 0, max = 150 }}, or one of them"
        ))),
        (Some(least), Some(most)) if order(least, most) == Some(Ordering::Greater) => {
            let message = format!("no value is within this `{name}`");
            Err(Error::config("schema::empty_range", message).at(span, "min is more than max"))
        }
        _ => Ok(Some(Bounds { min, max })),
    }
}

fn pattern(options: &mut Options) -> Result<Option<Pattern>> {
    let span = options.span_of("pattern");
    let text: Option<String> = options.take("pattern")?;
    let compiled = text.map(|text| Pattern::new(&text)).transpose();
    compiled.map_err(|cause| {
        Error::config(
            "schema::pattern",
            format!("`pattern` is no regular expression: {cause}"),
        )
        .at(span, "here")
        .help("backslashes need '…': pattern = '^\\d+$'")
    })
}

fn one_of(options: &mut Options, logical: &LogicalType) -> Result<Vec<Constant>> {
    let Some(node) = options.take_node("one_of") else {
        return Ok(Vec::new());
    };
    match &node.kind {
        NodeKind::Array(items) if !items.is_empty() => {
            let read = |item| Constant::read(item, "one_of", logical);
            items.iter().map(read).collect()
        }
        _ => Err(wrong_shape("one_of", &node)),
    }
}

/// Texts of a list that are names of fields.
fn names(options: &mut Options, name: &str, fields: &[FieldVersion]) -> Result<Vec<String>> {
    let span = options.span_of(name);
    let names: Vec<String> = options.take(name)?.unwrap_or_default();
    for (at, one) in names.iter().enumerate() {
        if names[..at].contains(one) {
            return Err(
                Error::config("schema::key", format!("`{one}` is in `{name}` twice"))
                    .at(span, "here"),
            );
        }
        if !fields.iter().any(|field| field.name == *one) {
            let known = fields.iter().map(|field| field.name.as_str());
            let near = dkhost_core::error::nearest(one, known);
            return Err(
                Error::config("schema::key", format!("`{name}` names no field `{one}`")).at(
                    span,
                    match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "a field is needed".to_owned(),
                    },
                ),
            );
        }
    }
    Ok(names)
}

fn wrong_shape(name: &str, node: &Node) -> Error {
    let wanted = match name {
        "fields" => "a table",
        _ => "a list of values",
    };
    Error::config("job::wrong_type", format!("`{name}` must be {wanted}"))
        .at(node.span.clone(), format!("this is {}", node.what()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_migrations_write_belong_to_no_version() {
        for name in ["_removed", "_schema_version"] {
            let text = format!("[fields.{name}]\ntype = \"json\"\n");
            let error = read("user@1.0.0".parse().unwrap(), &text).unwrap_err();
            assert_eq!(error.code(), "schema::reserved_name");
            assert_eq!(&text[error.place().unwrap().0.clone()], name);
        }
    }

    #[test]
    fn mistakes_have_their_place() {
        let field = |lines: &str| format!("[fields.a]\ntype = 'int64'\n{lines}");
        let text = |lines: &str| format!("[fields.a]\ntype = 'utf8'\n{lines}");
        for (file, code, place) in [
            ("keys = ['a']".to_owned(), "job::unknown_key", "keys"),
            ("[fields]".to_owned(), "schema::no_fields", "[fields]"),
            ("fields = 5".to_owned(), "job::wrong_type", "5"),
            (
                field("compatibility = 'full'"),
                "job::unknown_key",
                "compatibility",
            ),
            (
                "[fields.a]\ntype = 'int'".to_owned(),
                "schema::unknown_type",
                "'int'",
            ),
            (field("default = 'x'"), "schema::wrong_value", "'x'"),
            (
                field("default = 5\nrange = { max = 4 }"),
                "schema::default",
                "5",
            ),
            (
                field("range = { min = 5, max = 4 }"),
                "schema::empty_range",
                "{ min = 5, max = 4 }",
            ),
            (field("range = {}"), "schema::empty_rule", "{}"),
            (field("range = { most = 4 }"), "job::unknown_key", "most"),
            (
                field("length = { max = 4 }"),
                "schema::unsuited_rule",
                "{ max = 4 }",
            ),
            (
                text("range = { max = 4 }"),
                "schema::unsuited_rule",
                "{ max = 4 }",
            ),
            (text("length = { min = -1 }"), "job::wrong_value", "-1"),
            (
                text("length = { min = 2, max = 1 }"),
                "schema::empty_range",
                "{ min = 2, max = 1 }",
            ),
            (text("pattern = '('"), "schema::pattern", "'('"),
            (
                "[fields.a]\ntype = 'json'\ndefault = 'null'".to_owned(),
                "schema::default",
                "'null'",
            ),
            (text("one_of = []"), "job::wrong_type", "[]"),
            (text("one_of = ['x', 5]"), "schema::wrong_value", "5"),
            (
                "[fields.a]\ntype = 'json'\nunique = true".to_owned(),
                "schema::unsuited_rule",
                "true",
            ),
            (text("was = 'a'"), "schema::was", "a"),
            (
                text("was = 'x'\n[fields.b]\ntype = 'utf8'\nwas = 'x'"),
                "schema::was",
                "b",
            ),
            (format!("key = ['b']\n{}", text("")), "schema::key", "['b']"),
            (
                format!("key = ['a', 'a']\n{}", text("")),
                "schema::key",
                "['a', 'a']",
            ),
        ] {
            let error = read("user@1.0.0".parse().unwrap(), &file).unwrap_err();
            let (span, _) = error.place().unwrap_or_else(|| panic!("{file}: {error}"));
            assert_eq!(
                (error.code(), &file[span.clone()]),
                (code, place),
                "{file}: {error}"
            );
        }
    }
}
