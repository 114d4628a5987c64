//! A migration file to its operations: one verb each, in order, with their places.

use dkhost_core::options::unknown_key;
use dkhost_core::{
    Error, LogicalType, Node, NodeKind, OptionSpec, OptionType, Options, Result, Span, tree,
};
use semver::Version;

use super::{Migration, Operation, Verb};

const FILE: &[OptionSpec] = &[
    OptionSpec::optional("description", OptionType::Text, "what it is for"),
    OptionSpec::optional(
        "up",
        OptionType::Any,
        "operations to the newer version, each under its own [[up]]",
    ),
    OptionSpec::optional(
        "down",
        OptionType::Any,
        "operations back, each under its own [[down]]",
    ),
    OptionSpec::optional(
        "reversible",
        OptionType::Boolean,
        "false where there is no way down (true)",
    ),
];

/// The verbs of an operation, for help.
const VERBS: &[OptionSpec] = &[
    OptionSpec::optional(
        "rename",
        OptionType::TextTable,
        "new names: { old = \"new\" }, all at once",
    ),
    OptionSpec::optional(
        "add",
        OptionType::TextTable,
        "new fields and the SQL that computes them: { status = \"'active'\" }",
    ),
    OptionSpec::optional(
        "remove",
        OptionType::TextList,
        "fields that go; with keep_values = true their values are kept in `_removed`",
    ),
    OptionSpec::optional(
        "restore",
        OptionType::TextList,
        "fields that come back out of `_removed`",
    ),
    OptionSpec::optional(
        "cast",
        OptionType::TextTable,
        "other types: { price = \"decimal(10, 2)\" }",
    ),
    OptionSpec::optional(
        "set",
        OptionType::TextTable,
        "other values, by SQL: { email = \"lower(email)\" }",
    ),
    OptionSpec::optional(
        "constrain",
        OptionType::TextList,
        "fields whose values must satisfy the rules of the version it leads to",
    ),
];

const KEEP: OptionSpec = OptionSpec::optional(
    "keep_values",
    OptionType::Boolean,
    "for `remove`: keep the values in `_removed` (false)",
);

/// Reads the text of a migration file.
///
/// *Errors* – at the place of the mistake: unknown keys, an operation with no verb or two, no way
/// down that nobody has said there is none of.
pub fn read(schema: &str, from: Version, to: Version, text: &str) -> Result<Migration> {
    let node = tree::parse(text, "migration file", &|_| None)?;
    let mut options = Options::new("the migration", node)?;
    options.check(&[FILE])?;
    let place = options.span_of("reversible");
    let reversible: Option<bool> = options.take("reversible")?;
    let up = operations(&mut options, "up")?.unwrap_or_default();
    let down = operations(&mut options, "down")?;
    match (reversible, &down) {
        (Some(false), Some(_)) => Err(Error::config(
            "schema::migration_down",
            "the migration says that there is no way down, and has one",
        )
        .at(place, "here")
        .help("remove `reversible`, or the [[down]] operations")),
        (None | Some(true), None) => Err(Error::config(
            "schema::migration_down",
            "the migration does not say how records come back",
        )
        .at(place, "no [[down]]")
        .help("write [[down]] operations, `down = []` where nothing has to be done, or reversible = false")),
        _ => Ok(Migration {
            schema: schema.to_owned(),
            from,
            to,
            description: options.take("description")?.unwrap_or_default(),
            up,
            down,
            text: text.to_owned(),
        }),
    }
}

fn operations(options: &mut Options, name: &'static str) -> Result<Option<Vec<Operation>>> {
    let Some(node) = options.take_node(name) else {
        return Ok(None);
    };
    let NodeKind::Array(items) = node.kind else {
        return Err(
            Error::config("job::wrong_type", format!("`{name}` is a list"))
                .at(node.span, "here")
                .help(format!(
                    "write each operation under its own [[{name}]] line"
                )),
        );
    };
    items
        .into_iter()
        .map(operation)
        .collect::<Result<_>>()
        .map(Some)
}

fn operation(node: Node) -> Result<Operation> {
    let span = node.span.clone();
    let mut options = Options::new("an operation", node)?;
    let keep: Option<bool> = options.take("keep_values")?;
    let keys: Vec<(String, Span)> = options
        .keys()
        .map(|(key, span)| (key.to_owned(), span.clone()))
        .collect();
    let known = || VERBS.iter().map(|verb| verb.name);
    if let Some((key, place)) = keys
        .iter()
        .find(|(key, _)| !known().any(|known| known == key))
    {
        return Err(unknown_key(
            "an operation",
            key,
            place,
            known().chain([KEEP.name]),
        ));
    }
    let names: Vec<&str> = known().collect();
    let (verb, place) = match keys.as_slice() {
        [(verb, place)] => (verb.clone(), place.clone()),
        [] => {
            return Err(
                Error::config("schema::no_verb", "this operation does nothing")
                    .at(span, "it needs one verb")
                    .help(format!("one of: {}", names.join(", "))),
            );
        }
        [_, (second, place), ..] => {
            return Err(
                Error::config("schema::two_verbs", "an operation has exactly one verb")
                    .at(place.clone(), format!("`{second}` is the second one"))
                    .help("give it a line of its own: [[up]] or [[down]]"),
            );
        }
    };
    if keep.is_some() && verb != "remove" {
        return Err(Error::config(
            "job::unknown_key",
            format!("`keep_values` belongs to `remove`, not to `{verb}`"),
        )
        .at(place, "here"));
    }
    Ok(Operation {
        verb: verb_of(&verb, keep.unwrap_or_default(), &mut options)?,
        span: place,
    })
}

fn verb_of(verb: &str, keep: bool, options: &mut Options) -> Result<Verb> {
    Ok(match verb {
        "rename" => Verb::Rename(table(verb, options, name)?),
        "add" => Verb::Add(table(verb, options, expression)?),
        "set" => Verb::Set(table(verb, options, expression)?),
        "cast" => Verb::Cast(table(verb, options, logical)?),
        "remove" => Verb::Remove {
            fields: list(verb, options)?,
            keep,
        },
        "restore" => Verb::Restore(list(verb, options)?),
        _ => Verb::Constrain(list(verb, options)?),
    })
}

fn list(verb: &str, options: &mut Options) -> Result<Vec<String>> {
    let span = options.span_of(verb);
    let names: Vec<String> = options.require(verb)?;
    match names.is_empty() {
        true => Err(nothing(verb, span)),
        false => Ok(names),
    }
}

/// The entries of a table, in the order written, each read by `value`.
fn table<T>(
    verb: &str,
    options: &mut Options,
    value: impl Fn(&str, Node) -> Result<T>,
) -> Result<Vec<(String, T)>> {
    let span = options.span_of(verb);
    let node = options.take_node(verb);
    let Some(NodeKind::Table(entries)) = node.map(|node| node.kind) else {
        return Err(
            Error::config("job::wrong_type", format!("`{verb}` must be a table"))
                .at(span, "here")
                .help(format!("write {verb} = {{ field = \"…\" }}")),
        );
    };
    if entries.is_empty() {
        return Err(nothing(verb, span));
    }
    let read = entries.into_iter().map(|(name, _, node)| {
        let value = value(&name, node)?;
        Ok((name, value))
    });
    read.collect()
}

fn name(field: &str, node: Node) -> Result<String> {
    match node.kind {
        NodeKind::Text(text) => Ok(text),
        _ => Err(no_text(field, &node)),
    }
}

fn logical(field: &str, node: Node) -> Result<LogicalType> {
    let span = node.span.clone();
    let parsed = name(field, node)?.parse();
    parsed
        .map_err(|why: String| Error::config("schema::unknown_type", why).at(span, "in this cast"))
}

/// SQL; numbers and truth values are that as they are.
fn expression(field: &str, node: Node) -> Result<String> {
    match node.kind {
        NodeKind::Boolean(value) => Ok(value.to_string()),
        NodeKind::Integer(value) => Ok(value.to_string()),
        _ => name(field, node),
    }
}

fn no_text(field: &str, node: &Node) -> Error {
    Error::config("job::wrong_type", format!("`{field}` must be text"))
        .at(node.span.clone(), format!("this is {}", node.what()))
}

fn nothing(verb: &str, span: Span) -> Error {
    Error::config("schema::no_fields", format!("`{verb}` names no field")).at(span, "here")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Migration> {
        read("user", Version::new(1, 0, 0), Version::new(2, 0, 0), text)
    }

    #[test]
    fn operations_come_in_their_order_with_their_verbs() {
        let migration = parsed(
            "description = \"ages\"\n[[up]]\nrename = { years = \"age\" }\n[[up]]\ncast = { age = \"int32\" }\n\
             [[up]]\nremove = [\"legacy\"]\nkeep_values = true\n[[down]]\nrestore = [\"legacy\"]\n",
        )
        .unwrap();
        let verbs: Vec<&Verb> = migration
            .up
            .iter()
            .map(|operation| &operation.verb)
            .collect();
        assert_eq!(
            verbs,
            [
                &Verb::Rename(vec![("years".into(), "age".into())]),
                &Verb::Cast(vec![("age".into(), LogicalType::Int32)]),
                &Verb::Remove {
                    fields: vec!["legacy".into()],
                    keep: true
                },
            ]
        );
        let down = migration.down.unwrap();
        assert_eq!(down[0].verb, Verb::Restore(vec!["legacy".into()]));
        assert_eq!(&migration.text[down[0].span.clone()], "restore");
    }

    #[test]
    fn no_way_down_must_be_said() {
        assert_eq!(
            parsed("[[up]]\nremove = [\"a\"]").unwrap_err().code(),
            "schema::migration_down"
        );
        assert!(
            parsed("reversible = false\n[[up]]\nremove = [\"a\"]")
                .unwrap()
                .down
                .is_none()
        );
        assert!(
            parsed("up = []\ndown = []")
                .unwrap()
                .down
                .unwrap()
                .is_empty()
        );
        let both = parsed("reversible = false\ndown = []").unwrap_err();
        assert_eq!(both.code(), "schema::migration_down");
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, code, place) in [
            ("upp = []\ndown = []", "job::unknown_key", "upp"),
            (
                "down = []\n[[up]]\nrenam = { a = \"b\" }",
                "job::unknown_key",
                "renam",
            ),
            (
                "down = []\n[[up]]\ndrop = [\"a\"]",
                "job::unknown_key",
                "drop",
            ),
            (
                "down = []\n[[up]]\nset = { a = \"b\" }\nadd = { c = \"d\" }",
                "schema::two_verbs",
                "add",
            ),
            (
                "down = []\n[[up]]\nset = { a = \"b\" }\nkeep_values = true",
                "job::unknown_key",
                "set",
            ),
            (
                "down = []\n[[up]]\ncast = { a = \"intt\" }",
                "schema::unknown_type",
                "\"intt\"",
            ),
            (
                "down = []\n[[up]]\nrename = { a = 5 }",
                "job::wrong_type",
                "5",
            ),
            (
                "down = []\n[[up]]\ncast = { a = true }",
                "job::wrong_type",
                "true",
            ),
            (
                "down = []\n[[up]]\nset = { a = [] }",
                "job::wrong_type",
                "[]",
            ),
            (
                "reversible = true\n[[up]]\nset = { a = 1 }",
                "schema::migration_down",
                "true",
            ),
            ("down = []\n[[up]]\nremove = []", "schema::no_fields", "[]"),
            ("down = []\nup = 5", "job::wrong_type", "5"),
        ] {
            let error = parsed(text).unwrap_err();
            let (span, _) = error.place().unwrap_or_else(|| panic!("{text}: {error}"));
            assert_eq!(
                (error.code(), &text[span.clone()]),
                (code, place),
                "{text}: {error}"
            );
        }
    }
}
