//! The options of a section of the job file: every key known, typed, and consumed.
//!
//! A backend or step lists its keys as [`OptionSpec`]s. The same list is its documentation
//! (`dkhost backends`), its linter (an unknown key names the nearest known one) and its part of
//! the JSON Schema. Values keep their place in the job file, so that every error can point there.

use serde::de::DeserializeOwned;

use crate::error::nearest;
use crate::{Error, Result, Span};

/// A value of the job file with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
}

/// What a value of the job file is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// true or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text, variables filled in.
    Text(String),
    /// A list.
    Array(Vec<Node>),
    /// Keys in the order written, each with the place of the key itself.
    Table(Vec<(String, Span, Node)>),
}

impl Node {
    /// A value without a place: for tests and for `--set`.
    pub fn new(kind: NodeKind) -> Self {
        Node { span: 0..0, kind }
    }

    /// From JSON, without a place: for tests.
    pub fn from_json(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        Node::new(match value {
            Value::Null => NodeKind::Text(String::new()),
            Value::Bool(value) => NodeKind::Boolean(*value),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => NodeKind::Integer(integer),
                None => NodeKind::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => NodeKind::Text(text.clone()),
            Value::Array(items) => NodeKind::Array(items.iter().map(Node::from_json).collect()),
            Value::Object(fields) => NodeKind::Table(
                fields
                    .iter()
                    .map(|(k, v)| (k.clone(), 0..0, Node::from_json(v)))
                    .collect(),
            ),
        })
    }

    /// As JSON, places dropped.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            NodeKind::Boolean(value) => Value::Bool(*value),
            NodeKind::Integer(value) => Value::from(*value),
            NodeKind::Float(value) => Value::from(*value),
            NodeKind::Text(text) => Value::String(text.clone()),
            NodeKind::Array(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            NodeKind::Table(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(k, _, v)| (k.clone(), v.to_json()))
                    .collect(),
            ),
        }
    }

    /// In words: `a list`, `text`.
    pub fn what(&self) -> &'static str {
        match self.kind {
            NodeKind::Boolean(_) => "true or false",
            NodeKind::Integer(_) => "a whole number",
            NodeKind::Float(_) => "a number",
            NodeKind::Text(_) => "text",
            NodeKind::Array(_) => "a list",
            NodeKind::Table(_) => "a table",
        }
    }

    /// Read into a Rust type by serde; the error points at this value.
    pub fn parse<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_value(self.to_json()).map_err(|cause| {
            let cause = cause.to_string();
            Error::config(
                "job::wrong_value",
                format!("`{name}` cannot be read: {cause}"),
            )
            .at(self.span.clone(), format!("this is {}", self.what()))
        })
    }
}

/// The type of an option, for docs and JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionType {
    /// true or false.
    Boolean,
    /// A whole number.
    Integer,
    /// Text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts.
    TextList,
    /// A table of texts.
    TextTable,
    /// A table with fixed keys, described in the help.
    Table,
    /// Anything: a list of tables, or several shapes.
    Any,
}

/// One key of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionSpec {
    /// The key.
    pub name: &'static str,
    /// Its type.
    pub ty: OptionType,
    /// Whether it must be there.
    pub required: bool,
    /// What it does, its default and unit, in one sentence.
    pub help: &'static str,
}

impl OptionSpec {
    /// A key that must be there.
    pub const fn required(name: &'static str, ty: OptionType, help: &'static str) -> Self {
        OptionSpec {
            name,
            ty,
            required: true,
            help,
        }
    }

    /// A key that may be there.
    pub const fn optional(name: &'static str, ty: OptionType, help: &'static str) -> Self {
        OptionSpec {
            required: false,
            ..OptionSpec::required(name, ty, help)
        }
    }
}

/// A section of the job file whose keys are being consumed.
#[derive(Debug, Clone)]
pub struct Options {
    /// The section's name for messages: `[source]`.
    pub section: String,
    /// Where the section stands.
    pub span: Span,
    entries: Vec<(String, Span, Node)>,
}

impl Options {
    /// The keys of a table.
    ///
    /// *Errors* – if `node` is not a table.
    pub fn new(section: impl Into<String>, node: Node) -> Result<Self> {
        let section = section.into();
        match node.kind {
            NodeKind::Table(entries) => Ok(Options {
                section,
                span: node.span,
                entries,
            }),
            _ => Err(
                Error::config("job::wrong_type", format!("{section} must be a table"))
                    .at(node.span.clone(), format!("this is {}", node.what()))
                    .help("a table is written { key = value }, or under a [section] line"),
            ),
        }
    }

    /// Options from JSON, without places: for tests.
    pub fn from_json(section: &str, value: &serde_json::Value) -> Result<Self> {
        Self::new(section, Node::from_json(value))
    }

    /// Refuses keys that are in none of `specs`, naming the nearest that is, and reports a
    /// required one that is missing.
    pub fn check(&self, specs: &[&[OptionSpec]]) -> Result<()> {
        let known: Vec<&OptionSpec> = specs.iter().flat_map(|s| s.iter()).collect();
        for (key, span, _) in &self.entries {
            if !known.iter().any(|spec| spec.name == key) {
                return Err(unknown_key(
                    &self.section,
                    key,
                    span,
                    known.iter().map(|s| s.name),
                ));
            }
        }
        for spec in known {
            if spec.required && self.get(spec.name).is_none() {
                return Err(Error::config(
                    "job::missing_key",
                    format!("{} needs `{}`", self.section, spec.name),
                )
                .at(
                    self.span.clone(),
                    format!("`{}` is missing here", spec.name),
                )
                .help(spec.help));
            }
        }
        Ok(())
    }

    /// The value of a key, left in place.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|(key, ..)| key == name)
            .map(|(_, _, node)| node)
    }

    /// Where a key's value stands, else where the section stands.
    pub fn span_of(&self, name: &str) -> Span {
        self.get(name)
            .map_or_else(|| self.span.clone(), |node| node.span.clone())
    }

    /// Takes a key's value out.
    pub fn take_node(&mut self, name: &str) -> Option<Node> {
        let index = self.entries.iter().position(|(key, ..)| key == name)?;
        Some(self.entries.remove(index).2)
    }

    /// Takes a key out and reads it into a Rust type by serde.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        self.take_node(name)
            .map(|node| node.parse(name))
            .transpose()
    }

    /// Takes a key out that must be there.
    pub fn require<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        self.take(name)?.ok_or_else(|| {
            Error::config(
                "job::missing_key",
                format!("{} needs `{name}`", self.section),
            )
            .at(self.span.clone(), format!("`{name}` is missing here"))
            .help(format!("add a line `{name} = …`"))
        })
    }

    /// A section of the keys that `specs` knows too, as they are left here.
    pub fn shared_with(&self, section: &str, specs: &[OptionSpec]) -> Options {
        let is_known = |key: &str| specs.iter().any(|spec| spec.name == key);
        let shared = self.entries.iter().filter(|(key, ..)| is_known(key));
        Options {
            section: section.to_owned(),
            span: self.span.clone(),
            entries: shared.cloned().collect(),
        }
    }

    /// Puts a key in, in place of what it said.
    pub fn put(&mut self, name: &str, node: Node) {
        self.take_node(name);
        self.entries
            .push((name.to_owned(), node.span.clone(), node));
    }

    /// The keys that are left, in the order written.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &Span)> {
        self.entries
            .iter()
            .map(|(key, span, _)| (key.as_str(), span))
    }
}

/// The error for a key nobody knows.
pub fn unknown_key<'a>(
    section: &str,
    key: &str,
    span: &Span,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Error {
    let label = match nearest(key, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "not a key of this section".to_owned(),
    };
    Error::config("job::unknown_key", format!("{section} has no key `{key}`"))
        .at(span.clone(), label)
        .help(format!(
            "known keys: {}",
            known.collect::<Vec<_>>().join(", ")
        ))
}
