//! TOML to a tree of values that know their place, variables filled in: job files, schema files.

use crate::{Error, Node, NodeKind, Result, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Looks up `${NAME}`; the cli gives the process environment.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A job file is written by hand; what is larger is something else.
pub const MAX_BYTES: usize = 4 << 20;

/// Parses the text of a file; `what` is what errors call it: `job file`.
///
/// *Errors* – `job::too_large`, `job::syntax` and its kin, at their place.
pub fn parse(text: &str, what: &str, variables: Variables<'_>) -> Result<Node> {
    if text.len() > MAX_BYTES {
        return Err(too_large(what, text.len() as u64));
    }
    let table = DeTable::parse(text).map_err(|cause| syntax_error(text, what, &cause))?;
    let span = table.span();
    Ok(Node {
        span: span.clone(),
        kind: table_kind(table.into_inner(), text, variables)?,
    })
}

/// The error of a file that is larger than [`MAX_BYTES`].
pub fn too_large(what: &str, bytes: u64) -> Error {
    Error::config("job::too_large", format!("the {what} has {bytes} bytes")).help(format!(
        "a {what} may have 4 MiB; is this the data rather than the {}?",
        what.trim_end_matches(" file")
    ))
}

fn syntax_error(text: &str, what: &str, cause: &toml::de::Error) -> Error {
    let message = cause.message();
    if message.contains("recursion") {
        let at = cause.span().unwrap_or_else(|| deepest_line(text));
        return Error::config("job::too_deep", format!("the {what} is nested too deeply"))
            .at(clamp(at, text), "here")
            .help("no key lies deeper than a few levels; is this the data rather than what is done with it?");
    }
    let span = cause.span().unwrap_or(0..0);
    let code = if message.contains("duplicate key") {
        "job::duplicate_key"
    } else {
        "job::syntax"
    };
    let error = Error::config(code, format!("the {what} is not valid TOML: {message}"))
        .at(clamp(span, text), "here");
    if code == "job::duplicate_key" {
        return error.help("each key stands once in its section");
    }
    error.help("text needs quotes, lists need [ ], tables need { } or a [section] line")
}

/// The line with the longest dotted key: the parser does not say where it gave up on one.
fn deepest_line(text: &str) -> Span {
    let dots = |line: &str| line.bytes().filter(|byte| *byte == b'.').count();
    let lines = text.split_inclusive('\n').scan(0, |end, line| {
        let start = *end;
        *end += line.len();
        Some((dots(line), start..start + line.trim_end().len()))
    });
    lines
        .max_by_key(|(dots, _)| *dots)
        .map_or(0..0, |(_, span)| span)
}

fn clamp(span: Span, text: &str) -> Span {
    span.start.min(text.len())..span.end.min(text.len())
}

fn table_kind(table: DeTable<'_>, text: &str, variables: Variables<'_>) -> Result<NodeKind> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        let key_span = key.span();
        let span = value.span();
        let node = Node {
            kind: kind(value, text, variables)?,
            span,
        };
        entries.push((key.into_inner().into_owned(), key_span, node));
    }
    Ok(NodeKind::Table(entries))
}

fn kind(value: Spanned<DeValue<'_>>, text: &str, variables: Variables<'_>) -> Result<NodeKind> {
    let span = value.span();
    Ok(match value.into_inner() {
        DeValue::Boolean(value) => NodeKind::Boolean(value),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) => NodeKind::Integer(value),
            Err(_) => {
                return Err(
                    Error::config("job::wrong_value", "this number does not fit 64 bits")
                        .at(span, "too large")
                        .help("numbers of more than 18 digits are written as text: \"…\""),
                );
            }
        },
        DeValue::Float(float) => match float.as_str().parse() {
            Ok(value) => NodeKind::Float(value),
            Err(_) => {
                return Err(Error::config("job::wrong_value", "this is not a number")
                    .at(span, "here")
                    .help("numbers are written like 1000, 0.01 or 1e6"));
            }
        },
        DeValue::String(raw) => NodeKind::Text(fill_in(&raw, &span, variables)?),
        DeValue::Datetime(datetime) => NodeKind::Text(datetime.to_string()),
        DeValue::Array(items) => NodeKind::Array(
            items
                .into_iter()
                .map(|item| {
                    let span = item.span();
                    Ok(Node {
                        kind: kind(item, text, variables)?,
                        span,
                    })
                })
                .collect::<Result<_>>()?,
        ),
        DeValue::Table(table) => table_kind(table, text, variables)?,
    })
}

/// Replaces `${NAME}` once; what a variable holds is never looked at again. `$${` is a literal `${`.
fn fill_in(raw: &str, span: &Span, variables: Variables<'_>) -> Result<String> {
    let mut filled = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            filled.push_str(&rest[..start - 1]);
            filled.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        filled.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('}') else {
            return Err(Error::config("job::variable", "`${` without its `}`")
                .at(span.clone(), "in this text")
                .help("write `$${` for a literal `${`"));
        };
        let name = &rest[start + 2..start + end];
        if name.is_empty() || name.contains(['=', '\0', '$', '{']) {
            return Err(
                Error::config("job::variable", format!("`${{{name}}}` names no variable"))
                    .at(span.clone(), "in this text")
                    .help("write `${NAME}`, or `$${` for a literal `${`"),
            );
        }
        let value = variables(name).ok_or_else(|| {
            Error::config(
                "job::unset_variable",
                format!("the environment variable `{name}` is not set"),
            )
            .at(span.clone(), "needed here")
            .help(format!(
                "set it first: {name}=… dkhost run …; write `$${{` for a literal `${{`"
            ))
        })?;
        filled.push_str(&value);
        rest = &rest[start + end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(toml: &str) -> Result<String> {
        let variables = |name: &str| match name {
            "HOME_DIR" => Some("/h/${HOME_DIR}".to_owned()),
            _ => None,
        };
        let node = parse(toml, "job file", &variables)?;
        Ok(node.to_json()["v"].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_variable_is_filled_in_once_and_never_again() {
        assert_eq!(text_of("v = '${HOME_DIR}/x'").unwrap(), "/h/${HOME_DIR}/x");
        assert_eq!(text_of("v = '$${HOME_DIR}'").unwrap(), "${HOME_DIR}");
    }

    #[test]
    fn an_unset_variable_is_an_error_at_its_place() {
        let error = text_of("v = '${NOPE}'").unwrap_err();
        assert_eq!(error.code(), "job::unset_variable");
        assert_eq!(error.place().unwrap().0, &(4..13));
    }

    #[test]
    fn a_duplicate_key_is_refused() {
        assert_eq!(
            text_of("v = '1'\nv = '2'").unwrap_err().code(),
            "job::duplicate_key"
        );
    }
}
